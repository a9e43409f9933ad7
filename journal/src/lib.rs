//! The journal: hook events as durable JSON lines, in files that are named by the number of their
//! first event, and everything that reads them.
//!
//! The way of an event: [`event`] is what is to be written, [`mod@line`] puts number, origin and
//! checksum in front, [`writer`] appends it to a [`segment`], [`tail`] hands it to
//! those who keep up, [`reader`] to those who do not, [`feed`] chooses between the two, and a
//! [`cursor`] remembers how far a sink came. [`recovery`], [`mod@repair`] and [`mod@export`] work on
//! what is there.

pub mod cursor;
pub mod event;
pub mod export;
pub mod feed;
pub mod fields;
mod inspect;
pub mod line;
pub mod model;
pub mod reader;
pub mod recovery;
pub mod repair;
mod scan;
#[cfg(feature = "schema")]
mod schema;
mod seed;
pub mod segment;
pub mod storage;
pub mod system;
pub mod tail;
#[cfg(test)]
mod testing;
pub mod text;
pub mod writer;

pub use cursor::{
    Cursor, CursorError, CursorState, InFlight, Losses, Lost, highest_cursor, stored_cursors,
};
pub use event::Event;
pub use export::{ExportError, Filter, export, sessions};
pub use feed::Feed;
pub use fields::Fields;
pub use inspect::{is_begun, is_in_use, last_seq};
pub use line::{LaneEnd, Line, Origin};
pub use reader::{Gap, ReadError, Reader, Skipped};
pub use recovery::Recovery;
pub use repair::{RepairError, RepairReport, Report, repair, verify};
pub use storage::LOCK_NAME;
pub use tail::{Batch, Chunk, Tail};
pub use writer::{
    CommitError, Journal, OpenError, Options, RetainError, Retained, Stats, SyncError, SyncPolicy,
};

/// The number of an event: the first event ever has 1, and numbers only rise. A number may be
/// missing (a damaged line, deleted segments, a restart after power loss); none is given twice.
pub type Seq = u64;

/// Stands for "the oldest event that still exists" wherever a number to start from is asked for.
pub const OLDEST: Seq = 0;

// What goes to another thread, and what several may share.
const _: () = {
    const fn is_send<T: Send>() {}
    const fn is_shared<T: Send + Sync>() {}
    is_send::<Journal>();
    is_send::<Reader>();
    is_send::<Feed>();
    is_send::<Cursor>();
    is_shared::<Tail>();
    is_shared::<Batch>();
};
