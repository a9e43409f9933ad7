//! The fence that producers leave to the reader: two processes, store then load on both sides.

use hookring_bus::atomic::{AtomicU32, Ordering};
use hookring_bus::doorbell;
use hookring_bus::place::Path;
use hookring_bus::region::Region;
use hookring_bus::sys::{self, Open};
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 120_000;
/// No producer lets the reader sleep for so long, but one whose wake was lost.
const LIMIT: Duration = Duration::from_secs(120);
/// Longer than the reader waits for a wake: it is the one to say what went wrong.
const PARENT_LIMIT: Duration = Duration::from_secs(2 * LIMIT.as_secs());
/// Where a child process finds the memory that it shares with this one.
const VARIABLE: &str = "HOOKRING_TEST_BARRIER";

/// The words that both sides have mapped. On one cache line, where a processor lets a load overtake a
/// store most often.
struct Shared(Region);

impl Shared {
    fn map(path: &std::path::Path) -> Shared {
        let path = Path::new().join(path.as_os_str().as_encoded_bytes()).expect("a short path");
        let file = sys::open(None, path.as_c_str(), Open::ReadWrite).expect("the file is there");
        Shared(Region::map(&file, 0, 4096).expect("it can be mapped"))
    }

    fn bell(&self) -> &AtomicU32 {
        self.0.word32(0)
    }

    fn tail(&self) -> &AtomicU32 {
        self.0.word32(8)
    }

    fn head(&self) -> &AtomicU32 {
        self.0.word32(16)
    }
}

#[test]
fn no_wake_is_lost_between_a_reader_and_a_process_that_joined() {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return produce(&Shared::map(path.as_ref()));
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.as_file().set_len(4096).expect("it can grow");
    let shared = Shared::map(file.path());
    let mut producer = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "barrier::no_wake_is_lost_between_a_reader_and_a_process_that_joined"])
        .env(VARIABLE, file.path())
        .spawn()
        .expect("a child process starts");
    for round in 1..=ROUNDS {
        let has_work = || shared.tail().load(Ordering::Acquire) >= round;
        while !has_work() {
            let start = Instant::now();
            let limit_ns = LIMIT.as_nanos() as u64;
            doorbell::wait(&[shared.bell()], sys::has_barrier(), limit_ns, has_work);
            assert!(start.elapsed() < LIMIT, "the wake of round {round} was lost");
        }
        shared.head().store(round, Ordering::Release);
    }
    assert!(producer.wait().expect("the child is waited for").success());
}

fn produce(shared: &Shared) {
    let has_joined = sys::join_barrier();
    for round in 1..=ROUNDS {
        // Sweeps over the moments at which the reader announces that it sleeps.
        for _ in 0..round % 256 {
            std::hint::black_box(round);
        }
        shared.tail().store(round, Ordering::Release);
        if has_joined {
            doorbell::ring_joined(shared.bell())
        } else {
            doorbell::ring(shared.bell())
        };
        let start = Instant::now();
        while shared.head().load(Ordering::Acquire) < round {
            assert!(start.elapsed() < PARENT_LIMIT, "the reader of round {round} is gone");
            std::hint::spin_loop();
        }
    }
}
