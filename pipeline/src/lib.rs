//! What lies between the ring and the journal: what an agent's payload means, how risky it is, and
//! the secrets in it gone.

mod activity;
pub mod agents;
mod classify;
mod deed;
pub mod document;
mod keep;
mod members;
mod own;
mod pipeline;
mod received;
pub mod redact;
pub mod risk;
pub mod shell;
mod steps;
mod summary;
mod texts;
mod told;

pub use keep::Keep;
pub use own::{OWN_AGENT, Own};
pub use pipeline::{Options, Pipeline, Written};
pub use received::{MAX_ARGUMENTS_BYTES, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, Received};
pub use steps::{Step, Watch};
pub use summary::{Failure, Summary};
