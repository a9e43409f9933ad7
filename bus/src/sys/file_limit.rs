//! Writing in a host program that may have a limit for the size of its files (`ulimit -f`).

use super::backend;
use core::marker::PhantomData;

/// While this lives, a write of this thread beyond the limit fails, and sends no SIGXFSZ, which would
/// end the process. The host's handlers stay as they are.
pub struct WithoutSigxfsz {
    before: SigxfszBefore,
    /// It belongs to the thread that made it.
    _thread: PhantomData<*const ()>,
}

/// What a thread's state was.
#[derive(Copy, Clone)]
pub(super) struct SigxfszBefore {
    pub(super) was_blocked: bool,
    pub(super) was_pending: bool,
}

impl WithoutSigxfsz {
    /// From now on.
    pub fn begin() -> WithoutSigxfsz {
        WithoutSigxfsz { before: backend::block_sigxfsz(), _thread: PhantomData }
    }
}

impl Drop for WithoutSigxfsz {
    fn drop(&mut self) {
        backend::unblock_sigxfsz(self.before);
    }
}
