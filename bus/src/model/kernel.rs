//! What the kernel does for the ring: open file descriptions and the locks that they own, sleeping
//! and waking, clocks. `files` has what can be opened. See the module above for what is promised and what is not.

use super::death;
use super::files::{Files, Node};
use super::memory::Memory;
use crate::atomic::AtomicU64;
use crate::layout::{Geometry, LANE_LOCK};
use crate::sys::{Errno, Fd, Open};
use loom::sync::{Condvar, Mutex};
use std::cell::RefCell;
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How time passes. A clock that ticks is one more word on which all processes meet.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Clock {
    /// It stands still, so that stamps say nothing.
    Stands,
    /// No two readings are the same.
    Ticks,
}

struct World {
    files: Files,
    /// The holder of each of the ring's lock bytes: its description's number and 1, or 0.
    locks: Vec<AtomicU64>,
    ticks: Option<AtomicU64>,
    barrier: AtomicU64,
    fences: Condvar,
    sleepers: Mutex<Sleepers>,
    woken: Condvar,
    // Of the descriptions, in their order: what is not one of loom's is not seen by it.
    open: RefCell<Vec<Description>>,
    /// What a dying process had open.
    left: RefCell<Vec<usize>>,
}

#[derive(Default)]
struct Sleepers {
    words: Vec<usize>,
    is_time_up: bool,
}

struct Description {
    node: Arc<Node>,
    /// Descriptors and mappings.
    uses: usize,
    held: Vec<usize>,
}

thread_local! {
    // loom runs all threads of a model on one real one.
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

// The `Arc` is for its counting; nothing is shared between real threads.
#[allow(clippy::arc_with_non_send_sync)]
/// Begins an execution with an empty ring and an empty spool. To be called first in each model.
pub(crate) fn start(geometry: &Geometry, clock: Clock) {
    death::reset();
    let world = World {
        files: Files::new(geometry),
        locks: (0..LANE_LOCK + u64::from(geometry.lanes)).map(|_| AtomicU64::new(0)).collect(),
        ticks: (clock == Clock::Ticks).then(|| AtomicU64::new(0)),
        barrier: AtomicU64::new(0),
        fences: Condvar::new(),
        sleepers: Mutex::default(),
        woken: Condvar::new(),
        open: RefCell::default(),
        left: RefCell::default(),
    };
    WORLD.set(Some(Arc::new(world)));
}

fn world() -> Arc<World> {
    WORLD.with_borrow(|world| world.clone().expect("a model calls `start` first"))
}

/// The place, for whoever opens it.
pub(crate) fn place() -> Fd {
    let world = world();
    world.open(world.files.place())
}

/// See [`sys::open`](crate::sys::open).
pub(crate) fn open(at: Option<&Fd>, path: &CStr, how: Open) -> Result<Fd, Errno> {
    let world = world();
    let at = at.map(|at| world.node(at));
    let node = match (how, &at) {
        (Open::Unnamed, _) => world.files.add_plain(),
        (Open::CreateNew, Some(at)) => world.files.create_new(at, path)?,
        _ => world.files.find(at.as_deref(), path)?,
    };
    assert_eq!(node.is_directory(), matches!(how, Open::Dir), "it is of another kind");
    Ok(world.open(node))
}

/// The file or directory behind a descriptor.
pub(crate) fn node(fd: &Fd) -> Arc<Node> {
    world().node(fd)
}

/// Calls `act` with all files.
pub(crate) fn with_files<T>(act: impl FnOnce(&Files) -> T) -> T {
    act(&world().files)
}

/// The memory behind a descriptor, and one more use of its description.
pub(crate) fn map(fd: &Fd) -> (Arc<Memory>, Fd) {
    let world = world();
    world.open.borrow_mut()[fd.raw() as usize].uses += 1;
    (world.node(fd).memory(), Fd::new(fd.raw()))
}

/// Ends one use of a description.
pub(crate) fn close(fd: i32) {
    let world = world();
    if std::thread::panicking() {
        return world.left.borrow_mut().push(fd as usize);
    }
    world.end_use(fd as usize);
}

/// Ends all that a process had which died.
pub(crate) fn ended() {
    let world = world();
    let left = world.left.take();
    left.into_iter().for_each(|description| world.end_use(description));
}

impl World {
    fn node(&self, fd: &Fd) -> Arc<Node> {
        self.open.borrow()[fd.raw() as usize].node.clone()
    }

    /// A new description.
    fn open(&self, node: Arc<Node>) -> Fd {
        let mut open = self.open.borrow_mut();
        open.push(Description { node, uses: 1, held: Vec::new() });
        Fd::new(open.len() as i32 - 1)
    }

    fn end_use(&self, description: usize) {
        let mut open = self.open.borrow_mut();
        let ended = &mut open[description];
        ended.uses -= 1;
        let held = if ended.uses == 0 { std::mem::take(&mut ended.held) } else { Vec::new() };
        drop(open);
        held.into_iter().for_each(|byte| self.locks[byte].set(0, Ordering::Release));
    }
}

pub(crate) fn lock_byte(fd: &Fd, at: u64) -> bool {
    let world = world();
    let (byte, me) = (at as usize, fd.raw() as u64 + 1);
    let taken = world.locks[byte].compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed);
    if taken.is_ok() {
        world.open.borrow_mut()[fd.raw() as usize].held.push(byte);
    }
    taken.is_ok() || taken == Err(me)
}

pub(crate) fn unlock_byte(fd: &Fd, at: u64) {
    let world = world();
    // Whoever dies before this still holds it.
    world.locks[at as usize].store(0, Ordering::Release);
    world.open.borrow_mut()[fd.raw() as usize].held.retain(|byte| *byte != at as usize);
}

pub(crate) fn is_locked(fd: &Fd, start: u64, bytes: u64) -> bool {
    let world = world();
    let (start, me) = (start as usize, fd.raw() as u64 + 1);
    let locks = &world.locks[start..start + bytes as usize];
    locks.iter().any(|lock| ![0, me].contains(&lock.load(Ordering::Relaxed)))
}

/// Sleeps until one of the words, each with its address and a test for its value, is woken.
pub(crate) fn futex_wait(words: &[(usize, &dyn Fn() -> bool)]) {
    death::step();
    let world = world();
    let mut sleepers = world.sleepers.lock().expect("nobody dies under it");
    if sleepers.is_time_up || words.iter().any(|(_, is_as_expected)| !is_as_expected()) {
        return;
    }
    sleepers.words.extend(words.iter().map(|(address, _)| *address));
    drop(world.woken.wait(sleepers));
}

pub(crate) fn futex_wake(address: usize) {
    death::step();
    let world = world();
    let mut sleepers = world.sleepers.lock().expect("nobody dies under it");
    if sleepers.words.contains(&address) {
        sleepers.words.clear();
        world.woken.notify_all();
    }
}

/// Every time limit, now or later, has passed.
pub(crate) fn pass_time() {
    let world = world();
    let mut sleepers = world.sleepers.lock().expect("nobody dies under it");
    sleepers.is_time_up = true;
    world.woken.notify_all();
}

/// Whether [`pass_time`] was called.
pub(crate) fn is_time_up() -> bool {
    world().sleepers.lock().expect("nobody dies under it").is_time_up
}

/// What all fences take in turn; see `atomic`.
pub(crate) fn fence_turn() -> impl std::ops::Deref<Target = Condvar> {
    struct Turn(Arc<World>);
    impl std::ops::Deref for Turn {
        type Target = Condvar;
        fn deref(&self) -> &Condvar {
            &self.0.fences
        }
    }
    Turn(world())
}

/// The word on which a barrier and its other half meet.
pub(crate) fn barrier_word() -> impl std::ops::Deref<Target = AtomicU64> {
    struct Word(Arc<World>);
    impl std::ops::Deref for Word {
        type Target = AtomicU64;
        fn deref(&self) -> &AtomicU64 {
            &self.0.barrier
        }
    }
    Word(world())
}

pub(crate) fn clock_ns() -> u64 {
    world().ticks.as_ref().map_or(1, |ticks| ticks.fetch_add(1, Ordering::Relaxed) + 1)
}
