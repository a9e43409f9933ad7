//! Ends this process when a turn takes a minute: something was lost, and one end waits for the other.

use std::process;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What this process does.
struct Turn {
    name: String,
    began: Instant,
    limit: Duration,
}

static TURN: LazyLock<Mutex<Turn>> = LazyLock::new(|| {
    thread::spawn(|| {
        loop {
            thread::sleep(LOOK_EVERY);
            let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            if turn.began.elapsed() > turn.limit {
                eprintln!("gave up after {} s: {}", turn.limit.as_secs(), turn.name);
                process::exit(1);
            }
        }
    });
    Mutex::new(Turn { name: String::new(), began: Instant::now(), limit: LIMIT })
});

/// To be called when a turn begins, with a name for it.
pub(crate) fn begin(name: &str) {
    begin_long(name, LIMIT);
}

/// The same for a turn that may take longer.
pub(crate) fn begin_long(name: &str, limit: Duration) {
    let mut current = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    name.clone_into(&mut current.name);
    current.began = Instant::now();
    current.limit = limit;
}
