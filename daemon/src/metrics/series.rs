//! Series whose value is counted as things happen: plain atomics, written by one thread and read by any.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

/// The upper ends of a histogram's buckets: in ns, and in seconds as text. Rising.
pub(super) type Bounds = &'static [(u64, &'static str)];

/// A count that only rises.
#[derive(Default)]
pub(super) struct Counter {
    /// As they stand between braces.
    pub(super) labels: String,
    value: AtomicU64,
}

impl Counter {
    pub(super) fn new(labels: String) -> Counter {
        Counter { labels, value: AtomicU64::new(0) }
    }

    /// By the one thread that counts.
    pub(super) fn add(&self, more: u64) {
        add(&self.value, more);
    }

    pub(super) fn value(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

/// How many things took how long.
pub(super) struct Histogram {
    /// As they stand between braces; empty: none.
    pub(super) labels: String,
    pub(super) bounds: Bounds,
    /// One for each bound, and one for what is above all of them.
    counts: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

impl Histogram {
    pub(super) fn new(labels: String, bounds: Bounds) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { labels, bounds, counts, sum_ns: AtomicU64::new(0) }
    }

    /// One without labels.
    pub(super) fn plain(bounds: Bounds) -> Histogram {
        Histogram::new(String::new(), bounds)
    }

    /// By the one thread that counts.
    pub(super) fn add(&self, ns: u64) {
        let at = self.bounds.partition_point(|(bound_ns, _)| *bound_ns < ns);
        add(&self.counts[at], 1);
        // It wraps after 584 years of waiting.
        add(&self.sum_ns, ns);
    }

    pub(super) fn sum_ns(&self) -> u64 {
        self.sum_ns.load(Ordering::Relaxed)
    }

    /// How many took at most as long as each bound, and how many there are at all: at one moment, so that none is
    /// smaller than the one before.
    pub(super) fn rising(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().scan(0, |total, count| {
            *total += count.load(Ordering::Relaxed);
            Some(*total)
        })
    }
}

/// One thread writes: it needs no more than to be seen whole, which costs a tenth of an atomic addition.
fn add(to: &AtomicU64, more: u64) {
    to.store(to.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// What those who read see of a family's series.
pub(super) struct Listed<T>(Arc<Mutex<Vec<Arc<T>>>>);

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Listed(Arc::default())
    }
}

impl<T> Clone for Listed<T> {
    fn clone(&self) -> Self {
        Listed(Arc::clone(&self.0))
    }
}

impl<T> Listed<T> {
    /// All that are listed now.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A family's series, for the one thread that counts. They are found by two small numbers, as labels have them.
pub(super) struct Series<T> {
    known: Vec<Vec<Option<Arc<T>>>>,
    /// New ones that are not listed yet, since somebody read the list just then.
    unlisted: Vec<Arc<T>>,
    listed: Listed<T>,
}

impl<T> Series<T> {
    pub(super) fn new(listed: &Listed<T>) -> Series<T> {
        Series { known: Vec::new(), unlisted: Vec::new(), listed: listed.clone() }
    }

    /// Whether there is any with this first number.
    pub(super) fn has_row(&self, row: usize) -> bool {
        self.known.get(row).is_some_and(|columns| !columns.is_empty())
    }

    /// The series with these numbers; `make` makes a new one.
    pub(super) fn of(&mut self, row: usize, column: usize, make: impl FnOnce() -> T) -> &T {
        if self.known.len() <= row {
            self.known.resize_with(row + 1, Vec::new);
        }
        if self.known[row].len() <= column {
            self.known[row].resize(column + 1, None);
        }
        if self.known[row][column].is_none() {
            self.unlisted.push(Arc::new(make()));
            self.known[row][column] = self.unlisted.last().cloned();
            self.list();
        }
        let known = self.known[row][column].as_deref();
        known.expect("it was made if it was not there")
    }

    /// Lists what is new, unless that would mean to wait.
    pub(super) fn list(&mut self) {
        if self.unlisted.is_empty() {
            return;
        }
        let mut listed = match self.listed.0.try_lock() {
            Ok(listed) => listed,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        listed.append(&mut self.unlisted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_a_bound_is_in_its_bucket() {
        let histogram = Histogram::plain(&[(10, "1e-8"), (20, "2e-8")]);
        [0, 10, 11, 20, 21, 1000].iter().for_each(|ns| histogram.add(*ns));
        assert_eq!(histogram.rising().collect::<Vec<_>>(), [2, 4, 6]);
        assert_eq!(histogram.sum_ns(), 1062);
    }

    #[test]
    fn whoever_reads_the_list_keeps_nobody_waiting_and_what_was_new_meanwhile_is_listed_later() {
        let listed = Listed::default();
        let mut series = Series::new(&listed);
        let reading = listed.0.lock().unwrap();
        series.of(1, 0, || Counter::new("a".to_owned())).add(1);
        drop(reading);
        assert!(listed.all().is_empty());
        series.list();
        series.of(1, 0, || unreachable!()).add(1);
        let all = listed.all();
        let seen: Vec<_> = all.iter().map(|it| (it.labels.as_str(), it.value())).collect();
        assert_eq!(seen, [("a", 2)]);
    }
}
