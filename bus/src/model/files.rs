//! The place's files and directories: a ring, a spool with its counters and its entries. What the
//! kernel is taken to promise of them stands in the module above.

use super::memory::Memory;
use super::step;
use crate::atomic::{AtomicU64, Ordering};
use crate::layout::Geometry;
use crate::place::{RING, SPOOL};
use crate::spool::USAGE;
use crate::sys::{Errno, Stat};
use loom::cell::UnsafeCell;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::Arc;

/// The user whose place it is.
pub(crate) const UID: u32 = 7;
/// The path of the place.
pub(crate) const PLACE: &CStr = c"/bus";

/// A file or a directory, under whichever name.
pub(crate) struct Node {
    inode: u64,
    /// The length, which orders nothing: a file is as long as it will be before anybody else has it.
    bytes: Cell<u64>,
    kind: Kind,
}

enum Kind {
    Directory(Directory),
    /// One that is mapped.
    Shared(Arc<Memory>),
    /// One that is written and read.
    Plain(UnsafeCell<Vec<u8>>),
}

struct Directory {
    /// Who changes it and who lists it come one after the other.
    turn: AtomicU64,
    /// Names that nobody looks up at the same time as they change.
    fixed: RefCell<BTreeMap<Vec<u8>, u64>>,
    /// The other names that anybody asked for.
    names: RefCell<Vec<Vec<u8>>>,
    /// Their inodes, or 0. All are there from the beginning, since loom has a word belong to its maker until
    /// that says otherwise.
    inodes: [AtomicU64; NAMES],
}

/// Names that one directory has in one model at most, beside those that do not change.
const NAMES: usize = 4;

/// All there is.
pub(crate) struct Files {
    nodes: RefCell<Vec<Arc<Node>>>,
    place: Arc<Node>,
}

impl Files {
    /// A place with a ring, and with a spool that has counters.
    pub(super) fn new(geometry: &Geometry) -> Files {
        let place = Node::new(1, Kind::directory());
        let files = Files { nodes: RefCell::new(vec![place.clone()]), place };
        let ring = files.add(Kind::Shared(Arc::new(Memory::of_ring(geometry))));
        ring.bytes.set(geometry.file_bytes());
        let spool = files.add(Kind::directory());
        let usage = files.add_counters();
        usage.bytes.set(crate::spool::USAGE_BYTES as u64);
        files.place.directory().fix(RING, &ring);
        files.place.directory().fix(SPOOL, &spool);
        spool.directory().fix(USAGE, &usage);
        files
    }

    pub(super) fn place(&self) -> Arc<Node> {
        self.place.clone()
    }

    fn add(&self, kind: Kind) -> Arc<Node> {
        let mut nodes = self.nodes.borrow_mut();
        let node = Node::new(nodes.len() as u64 + 1, kind);
        nodes.push(node.clone());
        node
    }

    /// An empty file without a name.
    pub(super) fn add_plain(&self) -> Arc<Node> {
        self.add(Kind::Plain(UnsafeCell::new(Vec::new())))
    }

    fn add_counters(&self) -> Arc<Node> {
        self.add(Kind::Shared(Arc::new(Memory::of_counters())))
    }

    fn node(&self, inode: u64) -> Arc<Node> {
        self.nodes.borrow()[inode as usize - 1].clone()
    }

    /// What has this path: below `at`, or from the place on.
    pub(crate) fn find(&self, at: Option<&Node>, path: &CStr) -> Result<Arc<Node>, Errno> {
        let path = path.to_bytes();
        let path = match at {
            Some(_) => path,
            None => path.strip_prefix(PLACE.to_bytes()).expect("the model has one place"),
        };
        let mut found = self.node(at.map_or(self.place.inode, |at| at.inode));
        for name in
            path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".")
        {
            found = self.node(found.directory().find(name).ok_or(Errno::NOENT)?);
        }
        Ok(found)
    }

    /// Makes the spool's counters anew, as a writer does.
    pub(super) fn create_new(&self, at: &Node, name: &CStr) -> Result<Arc<Node>, Errno> {
        let node = self.add_counters();
        self.link(&node, at, name).map(|()| node)
    }

    pub(crate) fn make_directory(&self, at: &Node, name: &CStr) -> Result<(), Errno> {
        self.link(&self.add(Kind::directory()), at, name)
    }

    pub(crate) fn link(&self, node: &Node, at: &Node, name: &CStr) -> Result<(), Errno> {
        step();
        at.directory().change(name.to_bytes(), 0, node.inode).ok_or(Errno::EXIST)
    }

    pub(crate) fn unlink(&self, at: &Node, name: &CStr) -> Result<(), Errno> {
        step();
        let directory = at.directory();
        let found = directory.find(name.to_bytes()).ok_or(Errno::NOENT)?;
        directory.change(name.to_bytes(), found, 0).ok_or(Errno::NOENT)
    }

    /// Between two processes' steps: somebody removes the spool with all that is in it.
    pub(super) fn remove_spool(&self) {
        self.place.directory().fixed.borrow_mut().remove(SPOOL.to_bytes());
    }
}

impl Node {
    // The `Arc` is for its counting; nothing is shared between real threads.
    #[allow(clippy::arc_with_non_send_sync)]
    fn new(inode: u64, kind: Kind) -> Arc<Node> {
        Arc::new(Node { inode, bytes: Cell::new(0), kind })
    }

    fn directory(&self) -> &Directory {
        let Kind::Directory(directory) = &self.kind else { panic!("it is no directory") };
        directory
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    pub(super) fn memory(&self) -> Arc<Memory> {
        let Kind::Shared(memory) = &self.kind else { panic!("nobody maps it") };
        memory.clone()
    }

    pub(crate) fn allocate(&self, bytes: u64) {
        self.bytes.set(bytes);
    }

    pub(crate) fn stat(&self) -> Stat {
        let mode = if self.is_directory() { 0o040_700 } else { 0o100_600 };
        let (inode, bytes) = (self.inode, self.bytes.get());
        Stat { device: 1, inode, mode, uid: UID, bytes, modified_s: 0 }
    }

    #[track_caller]
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) {
        let Kind::Plain(content) = &self.kind else {
            return self.memory().write(offset as usize, bytes);
        };
        step();
        content.with_mut(|content| {
            // SAFETY: loom runs one thread at a time, and the file lives as long as `self`.
            let content = unsafe { &mut *content };
            content.resize(offset as usize, 0);
            content.extend_from_slice(bytes);
            self.bytes.set(content.len() as u64);
        });
    }

    #[track_caller]
    pub(crate) fn read(&self, into: &mut [u8], offset: u64) -> usize {
        let Kind::Plain(content) = &self.kind else { panic!("nobody reads it") };
        content.with(|content| {
            // SAFETY: as for `write`.
            let content = unsafe { &*content };
            let rest = content.get(offset as usize..).unwrap_or_default();
            let bytes = rest.len().min(into.len());
            into[..bytes].copy_from_slice(&rest[..bytes]);
            bytes
        })
    }

    /// Names that were there throughout, and of those that came or went meanwhile some.
    pub(crate) fn for_each_name(&self, mut each: impl FnMut(&[u8]) -> bool) {
        let directory = self.directory();
        directory.turn.pass();
        let fixed: Vec<_> = directory.fixed.borrow().keys().cloned().collect();
        let names = directory.names.borrow().clone();
        let is_linked = |at: usize| directory.inodes[at].load(Ordering::Acquire) != 0;
        let linked = names.into_iter().enumerate().filter(|(at, _)| is_linked(*at));
        let mut all = fixed.into_iter().chain(linked.map(|(_, name)| name));
        let _ = all.all(|name| each(&name));
    }
}

impl Kind {
    fn directory() -> Kind {
        Kind::Directory(Directory {
            turn: AtomicU64::new(0),
            fixed: RefCell::default(),
            names: RefCell::default(),
            inodes: std::array::from_fn(|_| AtomicU64::new(0)),
        })
    }
}

impl Directory {
    fn fix(&self, name: &CStr, node: &Node) {
        self.fixed.borrow_mut().insert(name.to_bytes().to_vec(), node.inode);
    }

    fn inode_of(&self, name: &[u8]) -> &AtomicU64 {
        let mut names = self.names.borrow_mut();
        let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_vec());
            names.len() - 1
        });
        &self.inodes[at]
    }

    /// Takes no turn: whether a name that is just being given is found says nothing.
    fn find(&self, name: &[u8]) -> Option<u64> {
        let fixed = self.fixed.borrow().get(name).copied();
        // What is reached by a name was written before it had that.
        fixed.or_else(|| {
            Some(self.inode_of(name).load(Ordering::Acquire)).filter(|inode| *inode != 0)
        })
    }

    /// `None`: it does not stand for `from` now.
    fn change(&self, name: &[u8], from: u64, to: u64) -> Option<()> {
        if self.fixed.borrow().contains_key(name) {
            return None;
        }
        let is_changed = self.inode_of(name).exchange(from, to);
        self.turn.pass();
        is_changed.then_some(())
    }
}
