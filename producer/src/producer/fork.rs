//! Forking: how a child notices that it is one, and what it does then.

use super::Producer;
use hookring_bus::create::random_seed;
use hookring_bus::ident::Ids;
use hookring_bus::region::Region;
use hookring_bus::sys::{self, Advice, Errno};

/// Notices a fork: a word that the child finds wiped or, where the system wipes nothing, the pid.
pub(super) struct ForkMark {
    page: Region,
    pid: Option<u32>,
}

impl ForkMark {
    pub(super) fn new() -> Result<ForkMark, Errno> {
        let page = Region::anonymous(4096)?;
        let pid = page.advise(Advice::WipeOnFork).is_err().then(sys::process_id);
        page.word32(0).store(1, hookring_bus::atomic::Ordering::Relaxed);
        Ok(ForkMark { page, pid })
    }

    /// From now on this process is not a child any more, but may have some. Needs no memory: without a
    /// new mark each publish would take itself for a child's first, and lose the lane that the last
    /// one claimed.
    fn renew(&mut self) {
        self.page.word32(0).store(1, hookring_bus::atomic::Ordering::Relaxed);
        self.pid = self.pid.map(|_| sys::process_id());
    }

    #[inline]
    pub(super) fn is_wiped(&self) -> bool {
        self.page.word32(0).load(hookring_bus::atomic::Ordering::Relaxed) == 0
            || self.pid.is_some_and(|pid| pid != sys::process_id())
    }
}

impl Producer {
    /// In a forked child: its parent's lane is not mapped here, and its ids are its parent's.
    #[cold]
    pub(super) fn after_fork(&mut self) {
        self.forget_lanes();
        self.fork_mark.renew();
        self.ids = Ids::new(random_seed());
        self.pid = sys::process_id();
        self.claim();
    }

    /// What is the parent's is not mapped here.
    pub(super) fn forget_lanes(&mut self) {
        for claimed in [self.left.take(), self.lane.take()].into_iter().flatten() {
            claimed.lane.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `act` in a forked child and returns what it says.
    fn in_child(act: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child allocates nothing, and takes no lock of its parent's.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            let is_right = act();
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!is_right)) };
        }
        let mut status = 0;
        // SAFETY: `status` is a live integer.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        status == 0
    }

    #[test]
    fn every_generation_notices_that_it_is_a_child_once_and_needs_no_memory_for_it() {
        for pid in [ForkMark::new().unwrap().pid, Some(sys::process_id())] {
            let mut mark = ForkMark { pid, ..ForkMark::new().unwrap() };
            let mut renew = || {
                let was_wiped = mark.is_wiped();
                // No mapping can be made any more.
                let limit = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
                // SAFETY: a live limit, for this child and its own.
                let _ = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
                mark.renew();
                was_wiped && !mark.is_wiped()
            };
            assert!(in_child(|| renew() && in_child(renew)));
            assert!(!mark.is_wiped());
        }
    }
}
