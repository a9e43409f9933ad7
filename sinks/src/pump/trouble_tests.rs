//! Files of ours that cannot be read or written while something is sent once more: nothing is lost, nothing is
//! sent without end, the sink is not to blame, and it can be stopped.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::time::SystemTime;

use rustix::fs::{CWD, FlockOperation, Mode, flock, mkfifoat};

use super::asked_tests::{letters, start_patient, switch};
use super::*;
use crate::delivery::BreakerState;
use crate::replay::{Replay, ReplayEnd};
use crate::stats::{RetryProgress, SinkState};
use crate::testing::{Fault, Recorder, TestJournal, deadline, wait_for, wait_until};

/// Waits until this is shown, of a sink that is not to blame.
fn wait_for_trouble(handle: &PumpHandle, beginning: &str, after: SystemTime) -> SinkStats {
    let stats = wait_until(handle, |stats| {
        let error = stats.last_error.as_ref();
        error.is_some_and(|it| it.message.starts_with(beginning) && it.at > after)
    });
    assert_ne!(stats.state, SinkState::Retrying);
    stats
}

#[test]
fn a_replay_whose_end_cannot_be_written_is_over_all_the_same() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::faulty([(1, Fault::Block)]);
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.stored_seq == 4);
    journal.replay_file().ask(&Replay { last: 9, ..Replay::default() }).expect("asked");
    sink.wait_until_blocked();
    // In its way, as a disk that is full.
    let in_its_way = journal.path("cursors/s.replay.new");
    fs::create_dir(&in_its_way).expect("a folder");
    sink.release();
    // More often than a breaker bears.
    let mut last = SystemTime::UNIX_EPOCH;
    for _ in 0..7 {
        let stats = wait_for_trouble(&handle, "cannot write ", last);
        assert_eq!(stats.replay.expect("it is to be written").end, Some(ReplayEnd::Done));
        last = stats.last_error.expect("an error").at;
    }
    journal.write_many(1);
    let stats = wait_until(&handle, |stats| stats.stored_seq == 5);
    assert_eq!((stats.state, stats.breaker), (SinkState::Running, BreakerState::Closed));
    assert_eq!(sink.with(|state| state.replayed.clone()), [1, 2, 3], "it is not sent again");
    fs::remove_dir(&in_its_way).expect("room");
    let ended = journal.replay_ended();
    assert_eq!((ended.end, ended.sent_events), (Some(ReplayEnd::Done), 3));
    wait_until(&handle, |stats| stats.replay.is_none());
    assert_eq!(sink.accepted(), [1, 2, 3, 4]);
}

#[test]
fn a_replay_is_stopped_though_that_cannot_be_written() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::default();
    let handle = start_patient(&journal, &sink);
    wait_until(&handle, |stats| stats.stored_seq == 4);
    let slow = Replay { last: 9, speed: Some(1e-9), ..Replay::default() };
    journal.replay_file().ask(&slow).expect("asked");
    let is_waiting = |it: &Replay| it.next_at.is_some();
    wait_for("the second", || journal.replay_file().read().expect("readable").filter(is_waiting));
    let in_its_way = journal.path("cursors/s.replay.new");
    // The worker may be writing just now.
    wait_for("room for it", || fs::create_dir(&in_its_way).ok());
    switch(&journal).ask_stop().expect("asked");
    wait_for_trouble(&handle, "cannot write ", SystemTime::UNIX_EPOCH);
    // (How far it is may be what could not be written first.)
    let is_stopped = |it: &Replay| it.end == Some(ReplayEnd::Stopped);
    wait_until(&handle, |stats| stats.replay.as_ref().is_some_and(is_stopped));
    assert!(switch(&journal).wants_stop(), "another daemon is to see that");
    // So it is, though this one could write nothing.
    assert!(handle.stop(deadline()).worker_ended);
    let handle = start_patient(&journal, &sink);
    wait_for_trouble(&handle, "cannot write ", SystemTime::UNIX_EPOCH);
    fs::remove_dir(&in_its_way).expect("room");
    let ended = journal.replay_ended();
    assert_eq!(ended.end, Some(ReplayEnd::Stopped));
    wait_for("the order to be seen", || (!switch(&journal).wants_stop()).then_some(()));
    assert_eq!(sink.with(|state| state.replayed.clone()), [1]);
}

#[test]
fn a_clean_stop_writes_how_far_a_replay_is() {
    let mut journal = TestJournal::new();
    let sink = Recorder::default();
    let handle = journal.deliver(20, 5, &sink);
    sink.with(|state| state.faults.insert(state.attempts.len() + 1, Fault::Throttle));
    journal.replay_file().ask(&Replay { last: 20, ..Replay::default() }).expect("asked");
    wait_until(&handle, |stats| stats.waiting.is_some());
    assert!(handle.stop(deadline()).worker_ended);
    let left = journal.replay_file().read().expect("readable").expect("it goes on");
    assert_eq!((left.sent_events, left.next, left.end), (5, 6, None));
}

#[test]
fn what_says_how_a_replay_ended_is_removed_when_nobody_read_it_for_long() {
    let journal = TestJournal::new();
    let ended = Replay { end: Some(ReplayEnd::Done), ..Replay::default() };
    journal.replay_file().write(&ended).expect("written");
    let path = journal.path("cursors/s.replay");
    let old = SystemTime::now() - Duration::from_hours(2);
    let file = File::options().append(true).open(&path).expect("the file");
    file.set_modified(old).expect("its time");
    let handle = journal.start("s", Recorder::default());
    wait_for("its end", || (!path.exists()).then_some(()));
    assert!(handle.stop(deadline()).worker_ended);
}

/// A sink with two dead letters, which takes them now.
fn with_letters(journal: &mut TestJournal) -> (Recorder, PumpHandle) {
    journal.write_many(2);
    let sink = Recorder::default();
    sink.with(|state| state.poison = vec![1, 2]);
    let handle = start_patient(journal, &sink);
    wait_until(&handle, |stats| stats.kept_dead_letters == 2 && stats.stored_seq == 3);
    sink.with(|state| state.poison.clear());
    (sink, handle)
}

fn is_first(letter: &crate::Letter<'_>) -> bool {
    letter.event().is_some_and(|event| event.seq == 1)
}

#[test]
fn a_retry_that_cannot_begin_for_want_of_room_is_said_and_can_be_stopped() {
    let mut journal = TestJournal::new();
    let (sink, handle) = with_letters(&mut journal);
    let in_its_way = journal.path("dead_letters/s.jsonl.new");
    fs::create_dir(&in_its_way).expect("a folder");
    let before = SystemTime::now();
    assert_eq!(letters(&journal).ask_retry(is_first).expect("asked"), 1);
    let stats = wait_for_trouble(&handle, "cannot begin with ", before);
    wait_for_trouble(&handle, "cannot begin with ", stats.last_error.expect("an error").at);
    journal.write_many(1);
    wait_until(&handle, |stats| stats.stored_seq == 4);
    switch(&journal).ask_stop().expect("asked");
    wait_for("the end", || (!letters(&journal).is_retrying()).then_some(()));
    wait_until(&handle, |stats| stats.kept_dead_letters == 2);
    wait_for("the order to be seen", || (!switch(&journal).wants_stop()).then_some(()));
    // All of them need no room.
    assert_eq!(letters(&journal).ask_retry(|_| true).expect("asked"), 2);
    wait_until(&handle, |stats| stats.kept_dead_letters == 0 && stats.retry.is_none());
    assert_eq!(sink.with(|state| state.replayed.clone()), [1, 2]);
}

#[test]
fn letters_that_cannot_be_put_back_are_tried_again_and_not_sent_meanwhile() {
    let mut journal = TestJournal::new();
    let (sink, handle) = with_letters(&mut journal);
    // The first is taken; before the second an hour passes.
    sink.with(|state| state.faults.insert(state.attempts.len() + 1, Fault::Throttle));
    let before = SystemTime::now();
    assert_eq!(letters(&journal).ask_retry(|_| true).expect("asked"), 2);
    wait_until(&handle, |stats| stats.waiting.is_some());
    let in_its_way = journal.path("dead_letters/s.jsonl");
    fs::create_dir(&in_its_way).expect("a folder");
    switch(&journal).ask_stop().expect("asked");
    let stats = wait_for_trouble(&handle, "cannot put back what is in ", before);
    wait_for_trouble(&handle, "cannot put back what is in ", stats.last_error.expect("one").at);
    fs::remove_dir(&in_its_way).expect("room");
    let stats = wait_until(&handle, |stats| stats.retry.is_none());
    assert_eq!((stats.kept_dead_letters, letters(&journal).is_retrying()), (1, false));
    assert_eq!(sink.with(|state| state.replayed.clone()), [1]);
}

/// The worker's descriptor by which it marks letters of a retry, as it is among those of this process.
fn marks(journal: &TestJournal) -> i32 {
    let path = journal.path("dead_letters/s.retry.jsonl");
    let is_it = |fd: &i32| {
        let is_file = fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|it| it == path);
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
        // The last digit of its flags: it is open to write.
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        is_file && flags.is_some_and(|flags| flags.ends_with('1'))
    };
    let names = fs::read_dir("/proc/self/fd").expect("descriptors").flatten();
    let mut fds = names.filter_map(|it| it.file_name().to_str()?.parse().ok());
    fds.find(is_it).expect("one that is open to write")
}

/// Puts another file behind a descriptor.
fn put_behind(fd: i32, file: &File) {
    // SAFETY: both are open; the owner of the first one does no more than write to it.
    let put = unsafe { libc::dup3(file.as_raw_fd(), fd, libc::O_CLOEXEC) };
    assert_eq!(put, fd, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_letter_that_was_taken_and_cannot_be_marked_is_not_sent_again() {
    let mut journal = TestJournal::new();
    let (sink, handle) = with_letters(&mut journal);
    sink.with(|state| state.faults.insert(state.attempts.len(), Fault::Block));
    let before = SystemTime::now();
    assert_eq!(letters(&journal).ask_retry(|_| true).expect("asked"), 2);
    sink.wait_until_blocked();
    let (fd, path) = (marks(&journal), journal.path("dead_letters/s.retry.jsonl"));
    put_behind(fd, &File::open(&path).expect("to be read"));
    sink.release();
    let stats = wait_for_trouble(&handle, "cannot mark ", before);
    let stats = wait_for_trouble(&handle, "cannot mark ", stats.last_error.expect("an error").at);
    assert_eq!(stats.retry.expect("it goes on").left, 2);
    assert_eq!(sink.with(|state| state.replayed.clone()), [1]);
    put_behind(fd, &File::options().write(true).open(&path).expect("to be written"));
    wait_until(&handle, |stats| stats.retry.is_none() && stats.kept_dead_letters == 0);
    assert_eq!(sink.with(|state| state.replayed.clone()), [1, 2]);
}

#[test]
fn a_letter_that_is_done_with_and_not_marked_stays_so_when_that_is_stopped() {
    for is_refused in [false, true] {
        let mut journal = TestJournal::new();
        let (sink, handle) = with_letters(&mut journal);
        sink.with(|state| {
            state.poison = if is_refused { vec![1] } else { Vec::new() };
            state.faults.insert(state.attempts.len(), Fault::Throttle);
        });
        let before = SystemTime::now();
        assert_eq!(letters(&journal).ask_retry(|_| true).expect("asked"), 2);
        wait_until(&handle, |stats| stats.waiting.is_some());
        let path = journal.path("dead_letters/s.retry.jsonl");
        put_behind(marks(&journal), &File::open(&path).expect("to be read"));
        switch(&journal).ask_try_now().expect("asked");
        wait_for_trouble(&handle, "cannot mark ", before);
        switch(&journal).ask_stop().expect("asked");
        let stats = wait_until(&handle, |stats| stats.retry.is_none());
        let last = stats.last_retry.expect("it ended");
        let (taken, refused) = (u64::from(!is_refused), u64::from(is_refused));
        assert_eq!(last.progress, RetryProgress { taken, refused, left: 1 });
        assert!(last.at > before);
        let mut seqs = Vec::new();
        let each = |letter: &crate::Letter<'_>, _| seqs.push(letter.event().expect("one").seq);
        letters(&journal).each(each).expect("readable");
        seqs.sort_unstable();
        assert_eq!(seqs, if is_refused { vec![1, 2] } else { vec![2] });
        assert_eq!(stats.kept_dead_letters, seqs.len() as u64);
        assert_eq!(stats.dead_letters, 2, "none of them is a new one");
    }
}

#[test]
fn who_holds_the_lock_of_the_letters_holds_up_no_sink_for_ever() {
    let mut journal = TestJournal::new();
    journal.write_many(2);
    fs::create_dir(journal.path("dead_letters")).expect("a folder");
    let lock = File::create(journal.path("dead_letters/s.lock")).expect("the lock");
    flock(&lock, FlockOperation::LockExclusive).expect("locked");
    let sink = Recorder::default();
    sink.with(|state| state.poison = vec![1]);
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| {
        let error = stats.last_error.as_ref();
        error.is_some_and(|it| it.message.ends_with(", such as a `hookring dlq`"))
    });
    // Nor does it hold up the end of the daemon.
    assert!(handle.stop(deadline()).worker_ended);
    let handle = journal.start("s", sink.clone());
    drop(lock);
    let stats = wait_until(&handle, |stats| stats.stored_seq == 3);
    assert_eq!((stats.dead_letters, stats.kept_dead_letters), (1, 1));
    assert_eq!(sink.accepted(), [2]);
}

#[test]
fn what_is_no_file_among_the_letters_is_said_and_holds_up_nobody() {
    let mut journal = TestJournal::new();
    fs::create_dir(journal.path("dead_letters")).expect("a folder");
    for name in ["s.jsonl", "s.retry.jsonl"] {
        let path = journal.path("dead_letters").join(name);
        mkfifoat(CWD, &path, Mode::RWXU).expect("a pipe");
        let sink = Recorder::default();
        let handle = start_patient(&journal, &sink);
        wait_until(&handle, |stats| {
            let error = stats.last_error.as_ref();
            error.is_some_and(|it| it.message.ends_with("move it away: it is no regular file"))
        });
        let last = journal.write_many(2);
        let stats = wait_until(&handle, |stats| stats.stored_seq == last + 1);
        assert_eq!((stats.state, stats.breaker), (SinkState::Running, BreakerState::Closed));
        assert_eq!(sink.accepted(), [last - 1, last]);
        assert!(handle.stop(deadline()).worker_ended);
        fs::remove_file(path).expect("removed");
    }
}
