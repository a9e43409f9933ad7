//! How long hooks took in the last minutes.

use std::time::Duration;

use hookring_journal::system::{HooksSlow, SlowState};

use super::{Moment, hooks_slow, us};

/// What the last minutes are: so many windows of so long.
const WINDOWS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// After fewer hooks none is called slow.
pub(super) const MIN_HOOKS: u64 = 100;

/// Buckets for each doubling: their ends are an eighth apart at most.
const PER_DOUBLING: u32 = 8;
const BUCKETS: usize = 30 * PER_DOUBLING as usize;

/// Durations of hooks, by window.
pub(super) struct Hooks {
    counts: [[u32; BUCKETS]; WINDOWS],
    /// Which window is filled now, counted from the machine's start.
    window: i64,
    slow: Option<HooksSlow>,
    /// When a look found them slow last.
    slow_at: Moment,
}

impl Default for Hooks {
    fn default() -> Self {
        Hooks { counts: [[0; BUCKETS]; WINDOWS], window: 0, slow: None, slow_at: Moment::default() }
    }
}

impl Hooks {
    pub(super) fn note(&mut self, took_us: u32, now: Moment) {
        let counts = self.windows(now);
        let count = &mut counts[bucket(took_us)];
        *count = count.saturating_add(1);
    }

    /// The window of this moment. What is too old is forgotten.
    fn windows(&mut self, now: Moment) -> &mut [u32; BUCKETS] {
        let window = now.boot_ns / WINDOW.as_nanos() as i64;
        let passed = usize::try_from(window - self.window).unwrap_or(0);
        for back in 0..passed.min(WINDOWS) {
            self.counts[place(window - back as i64)] = [0; BUCKETS];
        }
        self.window = self.window.max(window);
        &mut self.counts[place(self.window)]
    }

    /// Whether they became slow, or are slow no more: they are fine only after as long without a look that found them
    /// slow as hooks are remembered, so that some about the limit are not told again and again. A limit of zero is
    /// none.
    pub(super) fn look(&mut self, now: Moment, limit: Duration) -> Option<HooksSlow> {
        self.windows(now);
        let (hooks, p99_us) = self.p99_us();
        let is_slow = !limit.is_zero() && hooks >= MIN_HOOKS && p99_us > us(limit);
        // Of a few hooks none may be slow; without any none is.
        let is_below = p99_us <= us(limit) && now.since(self.slow_at) >= WINDOW * WINDOWS as u32;
        let is_fine = limit.is_zero() || is_below;
        if is_slow {
            self.slow_at = now;
            let is_new = self.slow.is_none();
            self.slow = Some(hooks_slow(SlowState::Slow, p99_us, limit, hooks));
            return self.slow.clone().filter(|_| is_new);
        }
        if is_fine && self.slow.take().is_some() {
            return Some(hooks_slow(SlowState::Fine, p99_us, limit, hooks));
        }
        None
    }

    pub(super) fn slow(&self) -> Option<HooksSlow> {
        self.slow.clone()
    }

    /// How many hooks there were, and how long 99 of 100 took at most: the upper end of a bucket.
    fn p99_us(&self) -> (u64, u64) {
        let total = |at: usize| self.counts.iter().map(|counts| u64::from(counts[at])).sum::<u64>();
        let hooks: u64 = (0..BUCKETS).map(total).sum();
        let rank = (hooks * 99).div_ceil(100);
        let mut below = 0;
        let at = (0..BUCKETS).find(|at| {
            below += total(*at);
            below >= rank.max(1)
        });
        (hooks, at.map_or(0, end_us))
    }
}

fn place(window: i64) -> usize {
    window.rem_euclid(WINDOWS as i64) as usize
}

/// In which bucket a duration is counted: that of its highest bits.
fn bucket(took_us: u32) -> usize {
    if took_us < PER_DOUBLING {
        return took_us as usize;
    }
    let doublings = took_us.ilog2() - PER_DOUBLING.ilog2();
    let part = (took_us >> doublings) - PER_DOUBLING;
    ((doublings + 1) * PER_DOUBLING + part) as usize
}

/// The longest duration of a bucket.
fn end_us(bucket: usize) -> u64 {
    let (doublings, part) = (bucket as u32 / PER_DOUBLING, u64::from(bucket as u32 % PER_DOUBLING));
    match doublings.checked_sub(1) {
        None => part,
        Some(doublings) => ((u64::from(PER_DOUBLING) + part + 1) << doublings) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_begins() {
        for took_us in (0..100_000).chain([u32::MAX - 1, u32::MAX]) {
            let bucket = bucket(took_us);
            assert!(bucket < BUCKETS && end_us(bucket) >= u64::from(took_us), "{took_us}");
            assert!(end_us(bucket) <= u64::from(took_us) * 9 / 8 + 1, "{took_us}");
            assert!(bucket == 0 || end_us(bucket - 1) < u64::from(took_us), "{took_us}");
        }
    }
}
