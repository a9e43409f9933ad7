//! When each event of a replay is due: with the spacing that the events had, divided by a number. Knows no
//! clock: whoever asks says what time it is.

use std::time::{Duration, Instant};

use hookring_journal::Batch;
use jiff::Timestamp;

/// A replay that is later than this does not make up for it: what was held up would come in one heap.
const SLACK: Duration = Duration::from_secs(1);

/// The pace of one replay.
#[derive(Clone, Debug)]
pub struct Pace {
    /// `None`: everything is due at once.
    speed: Option<f64>,
    /// An event that was sent, by its time, and when.
    origin: Option<(Timestamp, Instant)>,
    /// When the first event is due.
    begin: Option<Instant>,
}

impl Pace {
    /// `speed`: by what the times between events are divided, above 0; `None`: there are none.
    pub fn new(speed: Option<f64>) -> Pace {
        Pace { speed, origin: None, begin: None }
    }

    /// One that goes on with an event that is due then.
    pub fn beginning(speed: Option<f64>, begin: Instant) -> Pace {
        Pace { begin: Some(begin), ..Pace::new(speed) }
    }

    /// When an event that was published at `time` is due. The first one that is asked for is due `now`, as is one
    /// that was published before it.
    pub fn due(&mut self, time: Timestamp, now: Instant) -> Instant {
        let Some(speed) = self.speed else { return now };
        let begin = self.begin.take().unwrap_or(now);
        let (first, begin) = *self.origin.get_or_insert((time, begin));
        let after_s = (time.duration_since(first).as_secs_f64() / speed).max(0.0);
        // A century is as good as never.
        let after = Duration::try_from_secs_f64(after_s).unwrap_or(Duration::MAX);
        begin.checked_add(after).unwrap_or(now + Duration::from_secs(3_000_000_000))
    }

    /// How many of the first events of a batch are due at `now`, if any is; else when the first one is.
    ///
    /// # Errors
    ///
    /// None is: the moment when the first one will be.
    pub(crate) fn count_due(&mut self, batch: &Batch, now: Instant) -> Result<usize, Instant> {
        let mut due = 0;
        for line in batch.lines() {
            // One whose time cannot be read goes with the one before it.
            let at = line.timestamp().map_or(now, |time| self.due(time, now));
            if at > now {
                return if due == 0 { Err(at) } else { Ok(due) };
            }
            due += 1;
        }
        Ok(due)
    }

    /// An event that was published at `time` is sent at `now`. If that is late, so is what follows.
    pub fn sent(&mut self, time: Timestamp, now: Instant) {
        if now.saturating_duration_since(self.due(time, now)) > SLACK {
            self.origin = Some((time, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: f64) -> Timestamp {
        Timestamp::from_nanosecond((second * 1e9) as i128).expect("a time")
    }

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_spacing_is_divided() {
        for (speed, factor) in [(1.0, 1.0), (10.0, 0.1), (0.5, 2.0)] {
            let (mut pace, begin) = (Pace::new(Some(speed)), Instant::now());
            let mut now = begin;
            for second in [100.0, 101.0, 101.5, 3700.0] {
                let due = pace.due(at(second), now);
                let expected = begin + secs((second - 100.0) * factor);
                assert!(due.max(expected) - due.min(expected) < secs(0.001), "{second} at {speed}");
                now = due;
                pace.sent(at(second), now);
            }
        }
    }

    #[test]
    fn one_that_goes_on_keeps_the_moment_that_was_due() {
        let begin = Instant::now();
        let mut pace = Pace::beginning(Some(2.0), begin + secs(9.0));
        assert_eq!(pace.due(at(100.0), begin), begin + secs(9.0));
        assert_eq!(pace.due(at(104.0), begin), begin + secs(11.0));
    }

    #[test]
    fn without_a_speed_everything_is_due() {
        let (mut pace, now) = (Pace::new(None), Instant::now());
        assert_eq!([pace.due(at(1.0), now), pace.due(at(9e6), now)], [now; 2]);
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nothing_up() {
        let (mut pace, now) = (Pace::new(Some(1.0)), Instant::now());
        assert_eq!([pace.due(at(100.0), now), pace.due(at(50.0), now + secs(3.0))], [now; 2]);
    }

    #[test]
    fn a_short_delay_is_made_up_for_and_a_long_one_is_not() {
        let (mut pace, begin) = (Pace::new(Some(1.0)), Instant::now());
        pace.sent(at(0.0), begin);
        assert_eq!(pace.due(at(1.0), begin), begin + secs(1.0));
        pace.sent(at(1.0), begin + secs(1.9));
        assert_eq!(pace.due(at(2.0), begin), begin + secs(2.0));
        // The sink was down for a minute.
        pace.sent(at(2.0), begin + secs(62.0));
        assert_eq!(pace.due(at(5.0), begin), begin + secs(65.0));
    }

    #[test]
    fn times_beyond_any_clock_are_no_panic() {
        let (mut pace, now) = (Pace::new(Some(1e-300)), Instant::now());
        assert_eq!(pace.due(at(0.0), now), now);
        assert!(pace.due(at(1e9), now) > now + secs(1e9));
    }
}
