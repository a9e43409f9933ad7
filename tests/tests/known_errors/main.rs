//! Everything that is known to go wrong, and what hookring says it does then: nothing is lost in
//! silence, the daemon lives, and no hook notices.

mod descriptors;
mod disks;
mod input;
mod journal;
mod removed;
mod ring;
mod spool;
