//! loom's atomics under the names and with the methods that the ring uses. Before each store the
//! process may die.
//!
//! Each has a `turn` that every access takes. loom 0.7 remembers only the last access to an atomic, so
//! a thread that loads and then stores hides another's load in between, and loom does not try the
//! store before that load. A condition variable on which nobody waits makes any two accesses depend on
//! each other, and orders no memory.

use super::step;
use core::sync::atomic::Ordering;
use loom::sync::Condvar;

/// As loom's; two of them depend on each other, which loom leaves out as well.
#[track_caller]
pub fn fence(order: Ordering) {
    super::fence_turn().notify_all();
    loom::sync::atomic::fence(order);
}

/// A fence that costs a processor nothing; what it pairs with is `sys::barrier`. See the module above.
pub fn compiler_fence(_: Ordering) {
    super::barrier_word().fetch_add(0, Ordering::AcqRel);
}

macro_rules! atomic {
    ($name:ident, $int:ty) => {
        /// As core's of this name.
        #[derive(Debug)]
        pub struct $name {
            value: loom::sync::atomic::$name,
            turn: Condvar,
        }

        #[allow(missing_docs, dead_code)]
        impl $name {
            #[track_caller]
            pub fn new(value: $int) -> $name {
                $name { value: loom::sync::atomic::$name::new(value), turn: Condvar::new() }
            }

            /// What the futex model tells words apart by; nothing is read through it.
            pub fn as_ptr(&self) -> *mut $int {
                (&raw const *self).cast_mut().cast()
            }

            #[track_caller]
            pub fn load(&self, order: Ordering) -> $int {
                self.turn.notify_all();
                self.value.load(order)
            }

            #[track_caller]
            pub fn store(&self, value: $int, order: Ordering) {
                step();
                self.turn.notify_all();
                self.value.store(value, order);
            }

            /// As `store`, by the kernel, which does not die.
            pub(super) fn set(&self, value: $int, order: Ordering) {
                self.turn.notify_all();
                self.value.store(value, order);
            }

            /// As `compare_exchange`, by the kernel.
            pub(super) fn exchange(&self, current: $int, new: $int) -> bool {
                self.turn.notify_all();
                let (done, missed) = (Ordering::AcqRel, Ordering::Acquire);
                self.value.compare_exchange(current, new, done, missed).is_ok()
            }

            /// Comes behind all that came to this word before, and before all that comes later.
            pub(super) fn pass(&self) {
                self.turn.notify_all();
                self.value.fetch_add(0, Ordering::AcqRel);
            }

            #[track_caller]
            pub fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                step();
                self.turn.notify_all();
                self.value.fetch_add(value, order)
            }

            #[track_caller]
            pub fn fetch_or(&self, value: $int, order: Ordering) -> $int {
                step();
                self.turn.notify_all();
                self.value.fetch_or(value, order)
            }

            #[track_caller]
            pub fn fetch_and(&self, value: $int, order: Ordering) -> $int {
                step();
                self.turn.notify_all();
                self.value.fetch_and(value, order)
            }

            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$int, $int> {
                step();
                self.turn.notify_all();
                self.value.compare_exchange(current, new, success, failure)
            }

            #[track_caller]
            pub fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                update: impl FnMut($int) -> Option<$int>,
            ) -> Result<$int, $int> {
                step();
                self.turn.notify_all();
                self.value.fetch_update(success, failure, update)
            }
        }
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
