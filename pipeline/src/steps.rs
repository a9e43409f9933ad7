//! The steps in which an event is made, for whoever wants to know where the time goes.

use crate::summary::Summary;

/// One after the other; see [`Watch`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The payload is checked and indexed.
    Index,
    /// The strings that a secret may be in are found.
    Flag,
    /// Those are looked into, and the secrets in them replaced.
    Redact,
    /// What stands beside the payload is redacted; the agent's adapter says what it all means.
    Normalise,
    /// It is held against what was told before.
    Remember,
    /// The rules for risk judge it.
    Judge,
    /// The event's members are written.
    Write,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Step; 7] = [
        Step::Index,
        Step::Flag,
        Step::Redact,
        Step::Normalise,
        Step::Remember,
        Step::Judge,
        Step::Write,
    ];
}

/// Is told when a step is done; see [`Pipeline::write_watched`](crate::Pipeline::write_watched).
pub trait Watch {
    /// A step has ended, and the next one begins.
    fn done(&mut self, step: Step);

    /// The event is made, and this is what it says.
    fn made(&mut self, _summary: &Summary<'_>) {}
}

/// Nobody wants to know.
impl Watch for () {
    fn done(&mut self, _step: Step) {}
}
