//! What a sink is: the trait that each destination implements, and the answers it may give.

use std::error::Error;

use hookring_journal::Batch;

/// An error on its way to a person: the pump shows it, with its causes, and decides nothing by it.
pub type SinkError = Box<dyn Error + Send + Sync>;

/// What became of one batch. The pump's reaction hangs on the variant alone.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// Every event of the batch is where it should be: the cursor moves past it.
    Accepted,
    /// Nothing is known to have arrived: the same batch is sent again after a backoff, for as long
    /// as the journal keeps it.
    Failed {
        /// Why, in words that name the thing (file, address) that failed.
        error: SinkError,
    },
}

impl Outcome {
    /// [`Outcome::Failed`] from any error.
    pub fn failed(error: impl Into<SinkError>) -> Outcome {
        Outcome::Failed { error: error.into() }
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

    /// Sends one batch. It is never empty, and its events carry ascending sequence numbers; after
    /// [`Outcome::Failed`] the next call brings the same batch. After a restart, or an error from
    /// [`flush`](Sink::flush), batches may begin with events that were accepted before.
    fn deliver(&mut self, batch: &Batch) -> Outcome;

    /// Makes every accepted batch as durable as this sink can. The pump calls it before it stores
    /// its cursor, hence no more often than the journal itself syncs, and before it ends.
    ///
    /// # Errors
    /// What was accepted since the last successful flush may be lost: the pump sends it again.
    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
