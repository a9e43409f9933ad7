//! What a sink wants to know of before it is sent anything: events that it had, shown to it once more from the
//! journal. So what it remembers of them needs no file.

use std::time::Duration;

use hookring_journal::{Batch, Feed, Seq};

use super::worker::{Worker, guarded};
use crate::sink::SinkError;

/// Events that are shown at once.
const SHOWN_AT_ONCE: usize = 1000;

impl Worker {
    /// Shows the sink what stands before `next`, as far as it wants that, and the journal has it.
    pub(super) fn recall(&mut self, next: Seq, is_replay: bool) -> Result<(), SinkError> {
        let wanted = guarded(|| Ok(self.sink.recall_events(is_replay)))?;
        if wanted == 0 {
            return Ok(());
        }
        let first = next.saturating_sub(wanted).max(self.tail.available_from()).max(1);
        let mut feed = Feed::new(self.journal_dir.clone(), self.tail.clone(), first);
        let (filter, batch_bytes) = (self.filter.as_ref(), self.batch_bytes);
        let mut read = || -> Result<Option<Batch>, SinkError> {
            while feed.position() < next {
                let read = feed.next(SHOWN_AT_ONCE, batch_bytes, Duration::ZERO)?;
                let Some(batch) = read else { return Ok(None) };
                // What is sent next is not among it, nor among the numbers that it stands for.
                let events = batch.lines().take_while(|it| it.seq < next).count();
                if events == 0 {
                    break;
                }
                let (before, _) = batch.split(events);
                let wanted =
                    before.only(|line| filter.is_none_or(|filter| filter.takes(line.bytes)));
                if !wanted.is_empty() {
                    return Ok(Some(wanted));
                }
            }
            Ok(None)
        };
        guarded(|| self.sink.recall(&mut read, is_replay))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::sink::{Outcome, Sink};
    use crate::testing::{TestJournal, deadline, wait_until};

    /// What it was shown and sent, in order.
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Saw {
        Recalled(bool, Vec<Seq>),
        Sent(Seq),
    }

    #[derive(Clone, Default)]
    struct Rememberer(Arc<Mutex<Vec<Saw>>>, Seq);

    impl Sink for Rememberer {
        fn deliver(&mut self, batch: &Batch) -> Outcome {
            assert!(batch.first() > self.1, "nothing of it was shown before");
            self.0.lock().expect("no panic").extend(batch.lines().map(|line| Saw::Sent(line.seq)));
            Outcome::Accepted
        }

        fn recall_events(&self, is_replay: bool) -> u64 {
            if is_replay { 2 } else { 3 }
        }

        fn recall(
            &mut self,
            read: &mut dyn FnMut() -> Result<Option<Batch>, SinkError>,
            is_replay: bool,
        ) -> Result<(), SinkError> {
            let mut seqs = Vec::new();
            self.1 = 0;
            while let Some(batch) = read()? {
                seqs.extend(batch.lines().map(|line| line.seq));
                self.1 = batch.last();
            }
            self.0.lock().expect("no panic").push(Saw::Recalled(is_replay, seqs));
            Ok(())
        }
    }

    impl Rememberer {
        fn take(&self) -> Vec<Saw> {
            std::mem::take(&mut *self.0.lock().expect("no panic"))
        }
    }

    #[test]
    fn a_sink_sees_again_what_it_had_before_it_is_sent_more() {
        let mut journal = TestJournal::new();
        let sink = Rememberer::default();
        journal.write_many(5);
        let stopped = journal.start("memory", sink.clone()).stop(deadline());
        assert!(stopped.worker_ended);
        let sent = |first, last| (first..=last).map(Saw::Sent);
        let mut expected = vec![Saw::Recalled(false, vec![])];
        expected.extend(sent(1, 5));
        assert_eq!(sink.take(), expected);
        journal.write_many(2);
        assert!(journal.start("memory", sink.clone()).stop(deadline()).worker_ended);
        let mut expected = vec![Saw::Recalled(false, vec![3, 4, 5])];
        expected.extend(sent(6, 7));
        assert_eq!(sink.take(), expected);
    }

    #[test]
    fn after_a_reset_it_sees_what_is_before_that() {
        let mut journal = TestJournal::new();
        let sink = Rememberer::default();
        journal.write_many(5);
        let handle = journal.start("memory", sink.clone());
        wait_until(&handle, |stats| stats.stored_seq == 6);
        sink.take();
        let switch = crate::Switch::new(&journal.path("cursors"), "memory");
        switch.ask_reset(5).expect("asked for");
        wait_until(&handle, |_| switch.wants_reset().expect("readable").is_none());
        wait_until(&handle, |stats| stats.lag_events == 0);
        assert!(handle.stop(deadline()).worker_ended);
        assert_eq!(sink.take(), [Saw::Recalled(false, vec![2, 3, 4]), Saw::Sent(5)]);
    }

    #[test]
    fn before_a_replay_it_sees_what_is_before_that() {
        let mut journal = TestJournal::new();
        let sink = Rememberer::default();
        journal.write_many(9);
        let handle = journal.start("memory", sink.clone());
        wait_until(&handle, |stats| stats.stored_seq == 10);
        sink.take();
        let file = crate::ReplayFile::new(&journal.path("cursors"), "memory");
        file.ask(&crate::Replay { first: 5, last: 7, ..crate::Replay::default() }).expect("asked");
        wait_until(&handle, |_| file.read().expect("readable").is_some_and(|it| it.end.is_some()));
        assert!(handle.stop(deadline()).worker_ended);
        let mut expected = vec![Saw::Recalled(true, vec![3, 4])];
        expected.extend((5..=7).map(Saw::Sent));
        assert_eq!(sink.take(), expected);
    }

    #[test]
    fn what_its_filter_leaves_out_is_not_shown() {
        let mut journal = TestJournal::new();
        for tool in ["a", "b", "a", "b", "a"] {
            journal.write_with(&serde_json::json!({}), &[("tool_name", tool.into())]);
        }
        let sink = Rememberer::default();
        let options = crate::FilterOptions {
            include: crate::Match { tools: vec!["a".to_owned()], ..crate::Match::default() },
            ..crate::FilterOptions::default()
        };
        let start = |journal: &TestJournal| {
            let mut pump = journal.pump("memory");
            pump.filter = crate::Filter::new(&options).expect("a filter");
            pump.start(Box::new(sink.clone()), journal.tail()).expect("a worker")
        };
        assert!(start(&journal).stop(deadline()).worker_ended);
        sink.take();
        journal.write_with(&serde_json::json!({}), &[("tool_name", "a".into())]);
        assert!(start(&journal).stop(deadline()).worker_ended);
        assert_eq!(sink.take(), [Saw::Recalled(false, vec![3, 5]), Saw::Sent(6)]);
    }
}
