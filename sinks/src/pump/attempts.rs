//! How often each event of a batch in hand was sent: whole, in halves and alone.

/// From the first event that is not done with on.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// So many events, and how often they were sent. What is behind these was not sent. Each send takes the first
    /// ones, so the counts fall, and there are no more of these than events.
    runs: Vec<(usize, u32)>,
}

impl Attempts {
    /// The first `events` are sent.
    pub(super) fn sent(&mut self, events: usize) {
        let (mut at, mut left) = (0, events);
        while left > 0 {
            match self.runs.get_mut(at) {
                None => {
                    self.runs.push((left, 1));
                    left = 0;
                }
                Some((count, times)) if *count <= left => {
                    *times = times.saturating_add(1);
                    left -= *count;
                }
                Some((count, times)) => {
                    let rest = (*count - left, *times);
                    (*count, *times) = (left, times.saturating_add(1));
                    left = 0;
                    self.runs.insert(at + 1, rest);
                }
            }
            at += 1;
        }
    }

    /// The first `events` are done with.
    pub(super) fn done(&mut self, mut events: usize) {
        self.runs.retain_mut(|(count, _)| {
            let done = events.min(*count);
            (*count, events) = (*count - done, events - done);
            *count > 0
        });
    }

    /// How often those at these places were sent.
    pub(super) fn of(&self, places: &[usize]) -> Vec<u32> {
        places.iter().map(|place| self.at(*place)).collect()
    }

    fn at(&self, place: usize) -> u32 {
        let mut end = 0;
        let run = self.runs.iter().find(|(count, _)| {
            end += count;
            place < end
        });
        run.map_or(0, |(_, times)| *times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_its_own_count() {
        let mut attempts = Attempts::default();
        let first = |attempts: &Attempts| attempts.of(&[0, 1, 2, 3, 4, 5, 6]);
        attempts.sent(6);
        attempts.sent(3);
        attempts.sent(1);
        attempts.sent(1);
        assert_eq!(first(&attempts), [4, 2, 2, 1, 1, 1, 0]);
        attempts.done(2);
        assert_eq!(first(&attempts), [2, 1, 1, 1, 0, 0, 0]);
        attempts.sent(5);
        assert_eq!(first(&attempts), [3, 2, 2, 2, 1, 0, 0]);
        attempts.done(5);
        assert!(attempts.runs.is_empty());
        attempts.sent(2);
        assert_eq!(attempts.of(&[1, 2]), [1, 0]);
    }
}
