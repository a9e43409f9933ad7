//! The reader's death before each of its steps: what is safe in the journal does not come again, and
//! the rest does.

use super::{Clock, Reader, explore_deaths, hook, start};
use crate::model::killed_at;
use loom::thread;
use std::sync::{Arc, Mutex};

#[test]
fn what_a_dead_reader_had_not_made_safe_is_taken_by_the_next() {
    explore_deaths(5, |step| {
        start(1, Clock::Stands);
        assert_eq!(hook("one"), Ok(()));
        // What is safe, whoever dies; not the ring's, so not loom's.
        let safe = Arc::new(Mutex::new((Vec::new(), Vec::new(), Vec::new())));
        let journal = safe.clone();
        let first = thread::spawn(move || {
            killed_at(step, || {
                let mut reader = Reader::open();
                for _ in 0..2 {
                    let batch = reader.drain.next_batch();
                    let mut journal = journal.lock().unwrap();
                    for record in batch.records() {
                        journal.0.push(String::from_utf8(record.payload.to_vec()).unwrap());
                        let super::Origin::Lane(end) = record.origin else { continue };
                        journal.1.push(*end);
                        journal.2.push(record.header.id);
                    }
                    drop(journal);
                    reader.drain.release();
                }
                reader.assert_sound();
            })
        });
        let second = hook("two");
        assert_eq!(second, Ok(()));
        let ended = first.join().expect("it ends");
        let (mut taken, ends, ids) = std::mem::take(&mut *safe.lock().unwrap());
        let mut reader = Reader::open();
        reader.drain.recover(&ends, ids);
        taken.extend(reader.finish());
        assert_eq!(taken, ["one", "two"]);
        ended.is_none()
    });
}
