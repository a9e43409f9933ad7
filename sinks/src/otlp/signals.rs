//! What is sent of a batch, and what was: each signal has its own requests, and none is sent again because another
//! one failed.

use std::time::Duration;

use hookring_journal::{Batch, Seq};

use super::answer::Signal;
use super::encode::{Encoding, Resources, logs, traces};
use super::event::Event;
use super::spans::{Context, Counts, Spans};
use crate::sink::{Outcome, SinkError};

/// The bodies of requests without a place that they go to.
pub struct Preview(Signals);

impl Preview {
    /// Of all signals that are made of events, uncompressed. `has_content`: with what people and tools said.
    pub fn new(encoding: Encoding, has_content: bool) -> Preview {
        Preview(Signals::new(Making {
            signals: Signal::OF_EVENTS.map(|it| (it, encoding)).to_vec(),
            has_content,
            resources: Resources::default(),
            span_timeout: DEFAULT_SPAN_TIMEOUT,
        }))
    }

    /// Makes the bodies of a batch, as for one that is accepted.
    pub fn make(&mut self, batch: &Batch, mut take: impl FnMut(Signal, &[u8])) {
        // Only an event that cannot be read has another outcome; it is in no body.
        let _ = self.0.deliver(batch, false, |signal, body, _| {
            take(signal, body);
            Outcome::Accepted
        });
    }
}

/// So long a session may be silent by default before its spans are ended.
pub const DEFAULT_SPAN_TIMEOUT: Duration = Duration::from_secs(3600);

/// What becomes of events.
#[derive(Clone, Debug)]
pub(super) struct Making {
    /// Of [`Signal::OF_EVENTS`] alone, each with how its requests are written.
    pub(super) signals: Vec<(Signal, Encoding)>,
    /// With what people and tools said.
    pub(super) has_content: bool,
    pub(super) resources: Resources,
    pub(super) span_timeout: Duration,
}

/// The live events, and those that a person wants once more: each has its own memory.
pub(super) struct Signals {
    making: Making,
    live: Memory,
    again: Memory,
    /// What was counted of live events that are forgotten.
    forgotten: Counts,
    /// The last body, for its memory.
    body: Vec<u8>,
    /// Texts that were cut, and attributes that were left out, in records.
    cut: u64,
}

/// How far the events of one sequence are.
struct Memory {
    spans: Spans,
    /// What was counted of events that were only shown again.
    recalled: Counts,
    /// Accepted up to there, by signal.
    through: [Seq; Signal::OF_EVENTS.len()],
    /// Accepted up to there by all.
    done: Seq,
}

impl Memory {
    fn new(span_timeout: Duration) -> Memory {
        Memory {
            spans: Spans::new(span_timeout),
            recalled: Counts::default(),
            through: [0; Signal::OF_EVENTS.len()],
            done: 0,
        }
    }
}

/// A body that is kept for its memory may have this many bytes: those of usual batches have.
const MAX_KEPT_BYTES: usize = 4 << 20;

impl Signals {
    pub(super) fn new(making: Making) -> Signals {
        let (live, again) = (Memory::new(making.span_timeout), Memory::new(making.span_timeout));
        let forgotten = Counts::default();
        Signals { making, live, again, forgotten, body: Vec::new(), cut: 0 }
    }

    /// What was done to have valid spans, of what was sent for the first time; and what was cut in records.
    pub(super) fn counts(&self) -> (Counts, u64) {
        (sum(self.forgotten, since(self.live.recalled, self.live.spans.counts())), self.cut)
    }

    /// Begins anew: what is open comes from events that are [shown again](Signals::recall). It counts on.
    pub(super) fn forget(&mut self, is_replay: bool) {
        if !is_replay {
            self.forgotten = self.counts().0;
        }
        *self.memory(is_replay) = Memory::new(self.making.span_timeout);
    }

    /// Events before those that are sent next. One that cannot be read says nothing.
    pub(super) fn recall(&mut self, batch: &Batch, is_replay: bool) {
        let has_content = self.making.has_content;
        let memory = self.memory(is_replay);
        for line in batch.lines() {
            let mut event = Event::read(&line, false);
            // What was said is needed of what may still be open.
            if has_content && event.as_ref().is_ok_and(Event::is_beginning) {
                event = Event::read(&line, true);
            }
            if let Ok(event) = event {
                memory.spans.apply(&event);
            }
        }
        memory.spans.forget(batch.last());
        memory.recalled = memory.spans.counts();
        memory.done = memory.done.max(batch.last());
    }

    /// Sends a batch, or as much of it as was not accepted before. `send` gets the signal, the request, and how many
    /// records or spans are in it.
    pub(super) fn deliver(
        &mut self,
        batch: &Batch,
        is_replay: bool,
        mut send: impl FnMut(Signal, &[u8], u64) -> Outcome,
    ) -> Outcome {
        let events = batch.lines().map(|line| Event::read(&line, self.making.has_content));
        let events: Vec<Event<'_>> = match events.collect() {
            Ok(events) => events,
            // Only damage can bring that about; what is damaged is never sent.
            Err(error) => return Outcome::Rejected { status: None, error: error.into() },
        };
        if batch.first() <= self.memory(is_replay).done {
            self.forget(is_replay);
        }
        let memory = self.memory(is_replay);
        // What came before and is not among this became dead letters.
        memory.spans.forget(batch.first().saturating_sub(1));
        let with_context = |event| {
            let context = memory.spans.apply(&event);
            (event, context)
        };
        let events: Vec<(Event<'_>, Context)> = events.into_iter().map(with_context).collect();
        let mut worst = Outcome::Accepted;
        for (signal, encoding) in self.making.signals.clone() {
            let outcome = match self.write((signal, encoding), batch, &events, is_replay) {
                Ok(0) => Outcome::Accepted,
                Ok(items) => send(signal, &self.body, items),
                Err(error) => Outcome::Rejected { status: None, error },
            };
            match outcome {
                Outcome::Accepted => {
                    // A part of what was accepted as a whole does not set it back.
                    let through = &mut self.memory(is_replay).through[signal as usize];
                    *through = batch.last().max(*through);
                }
                // The other signals may still be taken: what is to blame is searched in parts.
                Outcome::Rejected { .. } | Outcome::TooLarge { .. } => worst = outcome,
                outcome => return outcome,
            }
        }
        if matches!(worst, Outcome::Accepted) {
            let memory = self.memory(is_replay);
            memory.done = batch.last();
            memory.spans.forget(batch.last());
        }
        if self.body.capacity() > MAX_KEPT_BYTES {
            self.body = Vec::new();
        }
        worst
    }

    /// Writes what of the batch was not accepted: so many records or spans.
    fn write(
        &mut self,
        (signal, encoding): (Signal, Encoding),
        batch: &Batch,
        events: &[(Event<'_>, Context)],
        is_replay: bool,
    ) -> Result<u64, SinkError> {
        let resources = &self.making.resources;
        let memory = if is_replay { &mut self.again } else { &mut self.live };
        let through = memory.through[signal as usize];
        match signal {
            Signal::Logs => {
                let left = events.partition_point(|(event, _)| event.seq <= through);
                let left = &events[left..];
                if !left.is_empty() {
                    self.cut += logs::write(left, is_replay, resources, encoding, &mut self.body)?;
                }
                Ok(left.len() as u64)
            }
            Signal::Traces => {
                let first = batch.first().max(through + 1);
                let spans = memory.spans.finished(first, batch.last());
                if !spans.is_empty() {
                    traces::write(spans, resources, encoding, &mut self.body)?;
                }
                Ok(spans.len() as u64)
            }
            // They are of no event.
            Signal::Metrics => Ok(0),
        }
    }

    fn memory(&mut self, is_replay: bool) -> &mut Memory {
        if is_replay { &mut self.again } else { &mut self.live }
    }
}

fn sum(a: Counts, b: Counts) -> Counts {
    Counts {
        finished: a.finished + b.finished,
        unfinished: a.unfinished + b.unfinished,
        repaired: a.repaired + b.repaired,
        late: a.late + b.late,
        evicted: a.evicted + b.evicted,
        cut: a.cut + b.cut,
    }
}

/// What was counted between two looks.
fn since(before: Counts, now: Counts) -> Counts {
    Counts {
        finished: now.finished - before.finished,
        unfinished: now.unfinished - before.unfinished,
        repaired: now.repaired - before.repaired,
        late: now.late - before.late,
        evicted: now.evicted - before.evicted,
        cut: now.cut - before.cut,
    }
}
