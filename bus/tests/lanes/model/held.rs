//! Hooks that stand still in the middle of a store in the spool, step by step as the format says, while
//! others go on: counted in and begun; linked; ended and told.

use super::queue::Stands;
use super::run::Run;
use hookring_bus::atomic::Ordering::SeqCst;
use hookring_bus::crc::Crc32c;
use hookring_bus::record::{RecordHeader, SPOOL_POSITION, flag};
use hookring_bus::spool::{self, DEFAULT_LIMIT_BYTES, Usage};
use hookring_bus::sys;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

/// How a hook that stands still goes on.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// To its next step.
    Next,
    Dies,
}

pub(super) struct Held {
    header: RecordHeader,
    payload: Vec<u8>,
    /// The spool and the counters that it has open.
    dir: File,
    usage: Usage,
    is_linked: bool,
    /// What had happened when it began.
    looks: u32,
    harms: u32,
}

impl Run {
    /// A hook comes as far as the link.
    pub(super) fn hold(&mut self, bytes: usize) {
        let (header, payload) = self.event(bytes);
        let place = self.place();
        let uid = sys::effective_uid();
        let usage = Usage::open(&spool::open(&place, uid).unwrap(), uid).unwrap();
        let dir = File::open(self.path().join("spool")).unwrap();
        let limit = match usage.limit_bytes().load(SeqCst) {
            0 => DEFAULT_LIMIT_BYTES,
            limit => limit,
        };
        if usage.used_bytes().load(SeqCst) + header.bytes() > limit {
            usage.count_dropped(header.bytes());
            return self.dropped.count();
        }
        usage.used_bytes().fetch_add(header.bytes(), SeqCst);
        usage.begun_stores().fetch_add(1, SeqCst);
        self.is_exact = false;
        let (looks, harms) = (self.looks, self.harms);
        self.held.push(Held { header, payload, dir, usage, is_linked: false, looks, harms });
    }

    /// One of those that stand still goes on, or dies.
    pub(super) fn go_on(&mut self, which: usize, step: Step) {
        if self.held.is_empty() {
            return;
        }
        let which = which % self.held.len();
        let mut held = self.held.swap_remove(which);
        if step == Step::Dies {
            return;
        }
        if held.is_linked {
            held.usage.ended_stores().fetch_add(1, SeqCst);
            let is_told = self.announce(None);
            // One that counts in a file that the reader has left is seen when that looks at its places.
            if held.harms == self.harms && (self.is_synced || is_told) {
                self.queue.is_told(held.header.stamp_ns);
            }
            return;
        }
        match held.link() {
            Ok(()) => {
                self.show_linked(&held);
                held.is_linked = true;
                self.held.push(held);
            }
            // The spool is gone: another one may take it.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                held.usage.ended_stores().fetch_add(1, SeqCst);
                held.usage.give_back(held.header.bytes());
                self.spool(held.header, held.payload, None);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn show_linked(&mut self, held: &Held) {
        let ours = held.dir.metadata().unwrap();
        let found = fs::metadata(self.path().join("spool"));
        let is_here = found.is_ok_and(|it| (it.dev(), it.ino()) == (ours.dev(), ours.ino()));
        let stands = if is_here { Stands::Spool } else { Stands::Away };
        // The reader takes it for dead once it has seen it at two looks.
        let was_taken_for_dead = self.looks >= held.looks + 2;
        let is_late = was_taken_for_dead || held.harms != self.harms || !self.is_synced;
        self.publish_event(held.header, held.payload.clone(), stands, is_late, true);
    }
}

impl Held {
    /// Writes the entry, as where there are no unnamed files.
    fn link(&self) -> io::Result<()> {
        let mut header = self.header;
        header.position = SPOOL_POSITION;
        header.flags |= flag::CRC;
        header.crc = header.compute_crc(Crc32c::fastest(), b"", &self.payload);
        let name = spool::entry_name(header.stamp_ns, &header.id);
        let name = String::from_utf8(name[..spool::NAME_BYTES].to_vec()).unwrap();
        let dir = format!("/proc/self/fd/{}", self.dir.as_raw_fd());
        let temporary = format!("{dir}/{}{name}", spool::TEMPORARY_PREFIX);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&header.to_bytes())?;
        file.write_all(&self.payload)?;
        fs::hard_link(&temporary, format!("{dir}/{name}"))?;
        fs::remove_file(&temporary)
    }
}
