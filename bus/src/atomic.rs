//! The atomics of the shared ring, in one place, so that a model checker can run the same code.
//!
//! Atomics that processes share are used through this module only.

pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence, fence};
