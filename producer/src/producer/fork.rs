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
        if let Some(claimed) = self.lane.take() {
            claimed.lane.forget();
        }
        if let Ok(mark) = ForkMark::new() {
            self.fork_mark = mark;
        }
        self.ids = Ids::new(random_seed());
        self.pid = sys::process_id();
        self.claim();
    }
}
