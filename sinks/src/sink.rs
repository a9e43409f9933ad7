//! What a sink is: the trait that each destination implements, and the answers it may give.

use std::error::Error;
use std::time::Duration;

use hookring_journal::Batch;

/// An error on its way to a person: the pump shows it, with its causes, and decides nothing by it.
pub type SinkError = Box<dyn Error + Send + Sync>;

/// What became of one batch. What happens then hangs on the variant alone: see [`crate::delivery`].
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// Every event of the batch is where it should be: the cursor moves past it.
    Accepted,
    /// The sink has too much to do. Nothing of the batch arrived; it is sent again.
    Throttled {
        /// For how long it wants to be left alone, if it says so.
        wait: Option<Duration>,
        /// In its words.
        error: SinkError,
    },
    /// Nothing is known to have arrived: the same batch is sent again after a backoff, for as long
    /// as the journal keeps it.
    Failed {
        /// Why, in words that name the thing (file, address) that failed.
        error: SinkError,
    },
    /// Nothing arrived, since it was too much at once.
    TooLarge {
        /// The answer's code, if it has one.
        status: Option<u16>,
        /// Its words.
        error: SinkError,
    },
    /// Nothing arrived, since something in the batch is not as the sink wants it.
    Rejected {
        /// The answer's code, if it has one.
        status: Option<u16>,
        /// Its words.
        error: SinkError,
    },
    /// Nothing arrives until a person does something: a wrong key, a wrong address, a certificate.
    Refused {
        /// What is wrong.
        error: SinkError,
    },
    /// The sink wants nothing any more.
    Gone {
        /// In its words.
        error: SinkError,
    },
    /// The sink judged each event, or each of the first ones: what is behind those is sent again.
    Each {
        /// One for each event of the batch, in order, or fewer.
        answers: Vec<Answer>,
        /// Why not all were accepted.
        error: SinkError,
    },
}

/// What became of one event of a batch.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is where it should be.
    Accepted,
    /// It will never be taken.
    Rejected,
    /// It is to be sent again, with what follows.
    Failed,
}

impl Outcome {
    /// [`Outcome::Failed`] from any error.
    pub fn failed(error: impl Into<SinkError>) -> Outcome {
        Outcome::Failed { error: error.into() }
    }

    /// Why not everything was accepted.
    pub fn error(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Outcome::Accepted => None,
            Outcome::Throttled { error, .. }
            | Outcome::Failed { error }
            | Outcome::TooLarge { error, .. }
            | Outcome::Rejected { error, .. }
            | Outcome::Refused { error }
            | Outcome::Gone { error }
            | Outcome::Each { error, .. } => Some(&**error),
        }
    }

    /// What all of them are called.
    pub const NAMES: [&'static str; 8] =
        ["accepted", "throttled", "failed", "too_large", "rejected", "refused", "gone", "each"];

    /// What it is called where it is counted: one of [`Outcome::NAMES`].
    pub const fn name(&self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Throttled { .. } => "throttled",
            Outcome::Failed { .. } => "failed",
            Outcome::TooLarge { .. } => "too_large",
            Outcome::Rejected { .. } => "rejected",
            Outcome::Refused { .. } => "refused",
            Outcome::Gone { .. } => "gone",
            Outcome::Each { .. } => "each",
        }
    }

    /// The same with another error, if it has one.
    pub(crate) fn map_error(self, change: impl FnOnce(SinkError) -> SinkError) -> Outcome {
        match self {
            Outcome::Accepted => Outcome::Accepted,
            Outcome::Throttled { wait, error } => Outcome::Throttled { wait, error: change(error) },
            Outcome::Failed { error } => Outcome::Failed { error: change(error) },
            Outcome::TooLarge { status, error } => {
                Outcome::TooLarge { status, error: change(error) }
            }
            Outcome::Rejected { status, error } => {
                Outcome::Rejected { status, error: change(error) }
            }
            Outcome::Refused { error } => Outcome::Refused { error: change(error) },
            Outcome::Gone { error } => Outcome::Gone { error: change(error) },
            Outcome::Each { answers, error } => Outcome::Each { answers, error: change(error) },
        }
    }

    /// The code of an answer that a dead letter keeps.
    pub fn status(&self) -> Option<u16> {
        match self {
            Outcome::TooLarge { status, .. } | Outcome::Rejected { status, .. } => *status,
            _ => None,
        }
    }
}

/// A destination for events.
///
/// One thread calls a sink, and only that thread: there is one batch in flight, in journal order.
/// A call may block (the sink sets its own time limits) and may panic, which counts as a failure:
/// the sink is called again afterwards and must be able to go on.
pub trait Sink: Send {
    /// Makes ready before the first batch, so that a wrong path or address shows at once and not
    /// with the first event. Called again, after a backoff, until it succeeds.
    ///
    /// # Errors
    /// Whatever keeps the sink from working now.
    fn open(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Sends one batch. It is never empty, has [`max_events`](Sink::max_events) at most, [fits](Sink::fits), and
    /// its events carry
    /// ascending sequence numbers; after
    /// [`Outcome::Failed`] the next call brings the same batch. After a restart, or an error from
    /// [`flush`](Sink::flush), batches may begin with events that were accepted before.
    fn deliver(&mut self, batch: &Batch) -> Outcome;

    /// Sends a batch that a person asked for once more, from the journal or the dead letters
    /// ([`deliver`](Sink::deliver) in all else). Its numbers
    /// are lower than those of what was accepted last. A sink whose format can say so marks it.
    fn replay(&mut self, batch: &Batch) -> Outcome {
        self.deliver(batch)
    }

    /// How many of the events before the next one the sink wants to see again when its worker begins, or goes on
    /// elsewhere: for a sink whose events hang together. 0: none. `is_replay`: before a [`replay`](Sink::replay), which
    /// comes for each dead letter that is sent again.
    fn recall_events(&self, is_replay: bool) -> u64 {
        let _ = is_replay;
        0
    }

    /// Shows events that the sink had, or was not to have; nothing of them may be sent. `read` gives them batch by
    /// batch, and `None` at their end; there may be none. What was shown or sent before is to be forgotten. Comes
    /// after [`open`](Sink::open), before the first [`deliver`](Sink::deliver) and after each jump, if
    /// [`recall_events`](Sink::recall_events) is above 0; with `is_replay`, before a [`replay`](Sink::replay), whose
    /// events are another sequence.
    ///
    /// # Errors
    /// Those of `read`: it comes again.
    fn recall(
        &mut self,
        read: &mut dyn FnMut() -> Result<Option<Batch>, SinkError>,
        is_replay: bool,
    ) -> Result<(), SinkError> {
        let (_, _) = (read, is_replay);
        Ok(())
    }

    /// Called about once in a second while there is nothing to send, or nothing may be sent yet, from when the sink was
    /// opened, unless it is off: for what a sink sends that is made of no event. Nothing that comes of it moves or holds
    /// the cursor; a sink says it as a [warning](Sink::take_warning) and [counts](Sink::counts) it. It keeps to the time
    /// limits of any other request, and leaves time between them.
    fn send_beside(&mut self) {}

    /// Called once when the worker ends in order, after the last [`flush`](Sink::flush), from when the sink was opened,
    /// unless it is off, fails or wants to be left alone: for what [`send_beside`](Sink::send_beside) would have sent
    /// later. It takes `limit` at most, and reads nothing anew for it.
    fn send_last(&mut self, limit: Duration) {
        let _ = limit;
    }

    /// What a place said beside taking what it was sent, if a person should see it. Asked after each attempt, and each
    /// [`send_beside`](Sink::send_beside).
    fn take_warning(&mut self) -> Option<SinkError> {
        None
    }

    /// What only this kind of sink counts, by name: of this run.
    fn counts(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Called while there is nothing to send, or nothing may be sent yet, about once in a second, from when it
    /// was opened: for a sink that has something to look after. It should not wait for anything.
    ///
    /// # Errors
    /// The sink does not work any more. It is opened again before anything is sent.
    fn idle(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// The most events that one call takes, at least 1; a larger batch comes in parts.
    fn max_events(&self) -> usize {
        usize::MAX
    }

    /// How many of the first events of `batch` the next call takes, at least 1; asked before each call. For
    /// limits that show when it is open, or that are in bytes.
    fn fits(&self, batch: &Batch) -> usize {
        batch.len()
    }

    /// Makes every accepted batch as durable as this sink can. The pump calls it before it stores
    /// its cursor, hence no more often than the journal itself syncs, and before it ends.
    ///
    /// # Errors
    /// What was accepted since the last successful flush may be lost: the pump sends it again.
    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_name_in_the_list() {
        let error = || SinkError::from("x");
        let all = [
            Outcome::Accepted,
            Outcome::Throttled { wait: None, error: error() },
            Outcome::Failed { error: error() },
            Outcome::TooLarge { status: None, error: error() },
            Outcome::Rejected { status: None, error: error() },
            Outcome::Refused { error: error() },
            Outcome::Gone { error: error() },
            Outcome::Each { answers: Vec::new(), error: error() },
        ];
        assert_eq!(all.map(|outcome| outcome.name()), Outcome::NAMES);
    }
}
