//! Ends this process when a turn takes a minute: something was lost, and one end waits for the other.

use std::process;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What this process does, and since when.
static TURN: LazyLock<Mutex<(String, Instant)>> = LazyLock::new(|| {
    thread::spawn(|| {
        loop {
            thread::sleep(LOOK_EVERY);
            let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            if turn.1.elapsed() > LIMIT {
                eprintln!("gave up after {} s: {}", LIMIT.as_secs(), turn.0);
                process::exit(1);
            }
        }
    });
    Mutex::new((String::new(), Instant::now()))
});

/// To be called when a turn begins, with a name for it.
pub(crate) fn begin(turn: &str) {
    let mut current = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    turn.clone_into(&mut current.0);
    current.1 = Instant::now();
}
