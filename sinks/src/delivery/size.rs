//! How many events go into one batch: fewer after the sink said that a batch is too large, and by and by
//! more again.

/// Batches of the present size that are taken before the next may be larger.
const PATIENCE: u32 = 20;

/// The sticky size of a sink's batches, in events.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct BatchSize {
    max: usize,
    now: usize,
    taken: u32,
}

impl BatchSize {
    /// `max`: from the config, at least 1.
    pub(crate) fn new(max: usize) -> BatchSize {
        BatchSize { max, now: max, taken: 0 }
    }

    pub(crate) fn get(self) -> usize {
        self.now
    }

    /// The sink took a batch of so many.
    pub(crate) fn was_taken(&mut self, events: usize) {
        if events < self.now || self.now == self.max {
            return;
        }
        self.taken += 1;
        if self.taken == PATIENCE {
            self.taken = 0;
            self.now = (self.now + (self.now / 8).max(1)).min(self.max);
        }
    }

    /// The sink found so many too large.
    pub(crate) fn was_too_large(&mut self, events: usize) {
        self.taken = 0;
        self.now = self.now.min((events / 2).max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_halved_at_once_and_recovers_slowly() {
        let mut size = BatchSize::new(100);
        size.was_too_large(100);
        assert_eq!(size.get(), 50);
        size.was_too_large(50);
        size.was_too_large(3);
        size.was_too_large(1);
        assert_eq!(size.get(), 1);
        let mut seen = vec![1];
        for taken in 1..=2000 {
            // A short batch says nothing of larger ones.
            size.was_taken(size.get() - 1);
            size.was_taken(size.get());
            if *seen.last().expect("the first") != size.get() {
                assert!(taken % PATIENCE as usize == 0, "after {taken}");
                seen.push(size.get());
            }
        }
        assert_eq!((seen[1], seen[2], size.get()), (2, 3, 100));
        assert!(seen.is_sorted());
    }
}
