//! The atomics of the shared ring, in one place, so that a model checker can run the same code.
//!
//! Atomics that processes share are used through this module only.

#[cfg(loom)]
pub use crate::model::atomic::{AtomicU32, AtomicU64, compiler_fence, fence};
pub use core::sync::atomic::Ordering;
#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU32, AtomicU64, compiler_fence, fence};
