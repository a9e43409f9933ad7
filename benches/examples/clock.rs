//! What a clock costs that could stamp a record, and how far the processor's own counter strays from
//! the one that is used: by how much two stamps could tell the wrong order.
//!
//! `cargo run --release --package hookring-benches --example clock`, on x86_64.

#[cfg(target_arch = "x86_64")]
mod tsc {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    use std::time::{Duration, Instant};

    use hookring_bus::sys;

    const READS: u32 = 2_000_000;
    const TURNS: usize = 11;
    /// A reader would compare counter and clock about as often.
    const CALIBRATION: Duration = Duration::from_secs(1);
    const WATCHED: Duration = Duration::from_secs(10);

    pub(crate) fn main() {
        println!("clock that is used      {:>6.1} ns a read", cost(sys::boottime_ns));
        println!("counter                 {:>6.1} ns a read", cost(counter));
        println!("counter, in its order   {:>6.1} ns a read", cost(counter_in_order));
        let begin = pair();
        std::thread::sleep(CALIBRATION);
        let end = pair();
        let ns_per_tick = (end.1 - begin.1) as f64 / (end.0 - begin.0) as f64;
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        let watch = Instant::now();
        while watch.elapsed() < WATCHED {
            let now = pair();
            let by_counter = (now.0 - end.0) as f64 * ns_per_tick;
            let strays = by_counter - (now.1 - end.1) as f64;
            (low, high) = (low.min(strays), high.max(strays));
            std::thread::sleep(Duration::from_millis(1));
        }
        let seconds = WATCHED.as_secs();
        println!("strays within {seconds} s      {low:>6.0} to {high:.0} ns");
    }

    /// Counter and clock at one moment: of several tries, the one that took least.
    fn pair() -> (u64, u64) {
        let tries = (0..100).map(|_| {
            let (before, ns, after) = (counter_in_order(), sys::boottime_ns(), counter_in_order());
            (after - before, before + (after - before) / 2, ns)
        });
        let best = tries.min().unwrap_or_default();
        (best.1, best.2)
    }

    fn counter() -> u64 {
        // SAFETY: every x86_64 processor has the instruction; where a process may not use it, it ends.
        unsafe { _rdtsc() }
    }

    fn counter_in_order() -> u64 {
        // SAFETY: it only orders instructions, and is part of SSE2, which every x86_64 processor has.
        unsafe { _mm_lfence() };
        counter()
    }

    /// Nanoseconds for a read: the median of several turns.
    fn cost(read: impl Fn() -> u64) -> f64 {
        let mut turns = [0.0; TURNS];
        for turn in &mut turns {
            let begin = Instant::now();
            for _ in 0..READS {
                std::hint::black_box(read());
            }
            *turn = begin.elapsed().as_nanos() as f64 / f64::from(READS);
        }
        turns.sort_by(f64::total_cmp);
        turns[TURNS / 2]
    }
}

fn main() {
    #[cfg(target_arch = "x86_64")]
    tsc::main();
    #[cfg(not(target_arch = "x86_64"))]
    println!("there is no counter to compare with here");
}
