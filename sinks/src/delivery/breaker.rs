//! The circuit breaker of one sink: whether it is tried now, and how long it is left alone.
//!
//! Closed, it lets everything through. It opens after five failures in a row, or when half of the last
//! twenty attempts failed, and then lets nothing through for a while. After that it is half open: one
//! event at a time, until two were taken. (The pattern is Michael Nygard's, "Release It!", 2007.)

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::backoff::{Backoff, Jitter, Waits};

/// Failures in a row that open it; attempts before half of them can.
const FAILURES: u32 = 5;
/// The attempts that are looked back upon.
const WINDOW: usize = 20;
/// Successes in a row that close it again.
const PROBES: u32 = 2;
/// How long it stays open, drawn up to these ceilings.
const OPEN: Waits = Waits { base: Duration::from_secs(1), cap: Duration::from_secs(60) };
/// The same where only a person can help: a wrong key, a wrong address, a certificate.
const REFUSED: Waits = Waits { base: Duration::from_secs(60), cap: Duration::from_secs(900) };

/// What a breaker shows of itself.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything is let through.
    Closed,
    /// Nothing is, until its time is over.
    Open,
    /// One event at a time is, to see whether the sink works again.
    HalfOpen,
}

/// What may be sent now.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// A whole batch.
    Batch,
    /// One event.
    Probe,
    /// Nothing before this moment.
    NotBefore(Instant),
}

/// The breaker of one sink. Knows no clock: whoever asks says what time it is.
pub(crate) struct Breaker {
    phase: Phase,
    /// Whether the latest attempts failed, the oldest first.
    recent: VecDeque<bool>,
    failures_in_row: u32,
    waits: Backoff,
    refused_waits: Backoff,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Instant, is_refused: bool },
    HalfOpen { taken: u32 },
}

impl Breaker {
    pub(crate) fn new() -> Breaker {
        Breaker {
            phase: Phase::Closed,
            recent: VecDeque::with_capacity(WINDOW),
            failures_in_row: 0,
            waits: Backoff::new(OPEN),
            refused_waits: Backoff::new(REFUSED),
        }
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// What may be sent at `now`. An open breaker whose time is over is half open from here on.
    pub(crate) fn permit(&mut self, now: Instant) -> Permit {
        match self.phase {
            Phase::Closed => Permit::Batch,
            Phase::Open { until, .. } if now < until => Permit::NotBefore(until),
            Phase::Open { .. } => {
                self.phase = Phase::HalfOpen { taken: 0 };
                Permit::Probe
            }
            Phase::HalfOpen { .. } => Permit::Probe,
        }
    }

    /// The sink answered as one that works.
    pub(crate) fn succeeded(&mut self) {
        self.failures_in_row = 0;
        match self.phase {
            Phase::HalfOpen { taken } if taken + 1 < PROBES => {
                self.phase = Phase::HalfOpen { taken: taken + 1 };
            }
            Phase::HalfOpen { .. } => self.close(),
            Phase::Closed | Phase::Open { .. } => self.remember(false),
        }
    }

    /// An attempt at `now` failed.
    pub(crate) fn failed(&mut self, now: Instant, jitter: &mut Jitter) {
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        self.remember(true);
        if self.phase != Phase::Closed || self.is_too_much() {
            self.phase =
                Phase::Open { until: now + self.waits.next_wait(jitter), is_refused: false };
        }
    }

    /// The sink will not take anything until a person has done something about it.
    pub(crate) fn refused(&mut self, now: Instant, jitter: &mut Jitter) {
        self.phase =
            Phase::Open { until: now + self.refused_waits.next_wait(jitter), is_refused: true };
    }

    /// Until when it is open, and whether only a person can help.
    pub(crate) fn open_until(&self) -> Option<(Instant, bool)> {
        match self.phase {
            Phase::Open { until, is_refused } => Some((until, is_refused)),
            Phase::Closed | Phase::HalfOpen { .. } => None,
        }
    }

    /// Somebody mended something: an open one is half open at once.
    pub(crate) fn try_now(&mut self) {
        if matches!(self.phase, Phase::Open { .. }) {
            self.phase = Phase::HalfOpen { taken: 0 };
        }
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.recent.clear();
        self.waits.reset();
        self.refused_waits.reset();
    }

    fn remember(&mut self, is_failure: bool) {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(is_failure);
    }

    fn is_too_much(&self) -> bool {
        let failures = self.recent.iter().filter(|failed| **failed).count();
        let is_half = self.recent.len() >= FAILURES as usize && failures * 2 >= self.recent.len();
        self.failures_in_row >= FAILURES || is_half
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Jitter {
        Box::new(|ceiling| ceiling)
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Opened by failures at one moment.
    fn open(now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..FAILURES {
            assert_eq!(breaker.permit(now), Permit::Batch);
            breaker.failed(now, &mut whole());
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_two_probes_close_it() {
        let now = Instant::now();
        let mut breaker = open(now);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.permit(now), Permit::NotBefore(now + secs(1)));
        assert_eq!(breaker.permit(now + secs(1)), Permit::Probe);
        breaker.succeeded();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(breaker.permit(now + secs(1)), Permit::Probe);
        breaker.succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.permit(now + secs(1)), Permit::Batch);
    }

    #[test]
    fn a_failed_probe_doubles_the_wait_up_to_a_minute_and_closing_forgets_it() {
        let mut now = Instant::now();
        let mut breaker = open(now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(breaker.permit(now), Permit::NotBefore(now + secs(seconds)));
            now += secs(seconds);
            assert_eq!(breaker.permit(now), Permit::Probe);
            breaker.succeeded();
            breaker.failed(now, &mut whole());
        }
        now += secs(60);
        assert_eq!(breaker.permit(now), Permit::Probe);
        (0..PROBES).for_each(|_| breaker.succeeded());
        for _ in 0..FAILURES {
            breaker.failed(now, &mut whole());
        }
        assert_eq!(breaker.permit(now), Permit::NotBefore(now + secs(1)));
    }

    #[test]
    fn half_of_the_last_twenty_opens_it_and_fewer_do_not() {
        let now = Instant::now();
        // Three of five.
        let mut breaker = Breaker::new();
        for failed in [true, false, true, false] {
            if failed { breaker.failed(now, &mut whole()) } else { breaker.succeeded() }
        }
        assert_eq!(breaker.state(), BreakerState::Closed, "too few attempts to judge");
        breaker.failed(now, &mut whole());
        assert_eq!(breaker.state(), BreakerState::Open);
        // One of three, for long.
        let mut breaker = Breaker::new();
        for _ in 0..100 {
            breaker.succeeded();
            breaker.succeeded();
            breaker.failed(now, &mut whole());
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        // What is long past does not count.
        let mut breaker = Breaker::new();
        (0..100).for_each(|_| breaker.succeeded());
        for _ in 0..WINDOW / 2 {
            assert_eq!(breaker.state(), BreakerState::Closed);
            breaker.failed(now, &mut whole());
            breaker.succeeded();
        }
        breaker.failed(now, &mut whole());
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_refusal_opens_it_at_once_and_for_longer() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new();
        for seconds in [60, 120, 240, 480, 900, 900] {
            breaker.refused(now, &mut whole());
            assert_eq!(breaker.permit(now), Permit::NotBefore(now + secs(seconds)));
            now += secs(seconds);
            assert_eq!(breaker.permit(now), Permit::Probe);
        }
    }
}
