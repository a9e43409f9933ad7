//! What an in-process program links to publish events: [`Producer`].
//!
//! The `hookring-emit` command beside it (`src/emit`) is for hooks that are processes of their own.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "std")]
mod producer;
#[cfg(feature = "std")]
pub use producer::{BatchError, Event, OpenError, Producer, PublishError, Published, Slot};
