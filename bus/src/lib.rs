//! hookring's shared-memory ring: many writers, one reader, no holes.
//!
//! A ring file holds independent single-producer single-consumer lanes. A producer owns a lane
//! through a kernel lock that lives exactly as long as its mapping, writes records into it and
//! publishes each with one release store. One reader merges the lanes by time stamp. What does not
//! fit goes to a spool directory beside the ring. `docs/ring-format.md` has the byte layout.
//!
//! Without the `std` feature this crate is what a hook process needs: `no_std`, no allocation, plain
//! system calls. With it come the reader ([`drain`]) and the creation of rings ([`create`]).
//!
//! The bus never looks into a payload.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(not(all(target_endian = "little", target_pointer_width = "64")))]
compile_error!("hookring's ring is laid out for 64-bit little-endian machines");

pub mod atomic;
pub mod control;
pub mod crc;
#[cfg(feature = "std")]
pub mod create;
pub mod doorbell;
#[cfg(feature = "std")]
pub mod drain;
pub mod ident;
pub mod lane;
pub mod layout;
#[cfg(loom)]
#[cfg_attr(not(test), allow(dead_code, unused_imports))]
mod model;
pub mod names;
pub mod oneshot;
#[cfg(feature = "std")]
pub mod owned;
pub mod place;
#[cfg(not(loom))]
mod prefetch;
pub mod record;
#[cfg_attr(loom, path = "model/region.rs")]
pub mod region;
pub mod spool;
pub mod sys;
