//! A limit on how many events a sink gets in a second: a token bucket that holds one second's worth.

use std::time::{Duration, Instant};

/// The limit of one sink. Knows no clock: whoever asks says what time it is.
#[derive(Copy, Clone, PartialEq, Debug)]
pub(crate) struct RateLimit {
    events_per_s: f64,
    tokens: f64,
    at: Option<Instant>,
}

impl RateLimit {
    /// `events_per_s`: more than 0. The bucket is full.
    pub(crate) fn new(events_per_s: f64) -> RateLimit {
        RateLimit { events_per_s, tokens: events_per_s.max(1.0), at: None }
    }

    /// How many of `wanted` (at least 1) may be sent now, or when to ask again. Never fewer than can be: a
    /// batch that fits into the bucket waits until it is there.
    pub(crate) fn permit(&mut self, wanted: usize, now: Instant) -> Result<usize, Instant> {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let burst = self.events_per_s.max(1.0);
        self.tokens = (self.tokens + passed.as_secs_f64() * self.events_per_s).min(burst);
        self.at = Some(now);
        let events = (wanted as f64).min(burst.floor());
        // The clock's steps must not make a wait of nothing out of what is missing.
        let missing = events - self.tokens;
        if missing <= 1e-6 {
            return Ok(events as usize);
        }
        let wait_s = (missing / self.events_per_s).min(3600.0);
        Err(now + Duration::from_secs_f64(wait_s) + Duration::from_micros(1))
    }

    /// So many were sent.
    pub(crate) fn took(&mut self, events: usize) {
        self.tokens = (self.tokens - events as f64).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many events go out in so many seconds, if as many as possible do.
    fn sent(events_per_s: f64, batch: usize, seconds: u64) -> usize {
        let (begin, mut sent) = (Instant::now(), 0);
        let mut limit = RateLimit::new(events_per_s);
        let mut now = begin;
        while now < begin + Duration::from_secs(seconds) {
            match limit.permit(batch, now) {
                Ok(events) => {
                    limit.took(events);
                    sent += events;
                }
                Err(later) => {
                    assert!(later > now);
                    now = later;
                }
            }
        }
        sent
    }

    #[test]
    fn it_lets_through_what_it_says_and_one_second_ahead() {
        for (rate, batch) in [(10.0, 1), (10.0, 100), (1000.0, 100), (0.5, 1), (0.5, 7), (3.3, 3)] {
            let events = sent(rate, batch, 100) as f64;
            let most = rate * 100.0 + rate.max(1.0);
            assert!(events <= most + 0.01, "{events} at {rate} in batches of {batch}");
            assert!(events >= rate * 100.0 - rate.max(1.0), "{events} at {rate}, {batch}");
        }
    }

    #[test]
    fn a_batch_waits_until_it_is_whole() {
        let now = Instant::now();
        let mut limit = RateLimit::new(100.0);
        assert_eq!(limit.permit(60, now), Ok(60));
        limit.took(60);
        let later = limit.permit(60, now).expect_err("40 are left");
        assert!(later - now >= Duration::from_millis(200));
        assert_eq!(limit.permit(60, later), Ok(60));
        assert_eq!(limit.permit(1000, now + Duration::from_secs(60)), Ok(100));
    }
}
