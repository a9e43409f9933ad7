//! Making a ring: without a name, in full, then linked into place, so that nobody ever maps half a
//! file, and a maker that dies leaves none.

use crate::crc;
use crate::layout::{FEATURE_BARRIER, FEATURE_CRC32C, Geometry};
use crate::place::RING;
use crate::sys::{self, Errno, Fd, Open};
use std::ffi::CString;
use std::sync::OnceLock;

/// Lanes of a ring unless its daemon says otherwise.
pub const DEFAULT_LANES: u32 = 32;
/// Bytes of a lane unless its daemon says otherwise.
pub const DEFAULT_LANE_BYTES: u64 = 256 * 1024;

/// What the name of a ring that is being made begins with, beside its UUID, where it needs one.
pub const NEW_PREFIX: &str = "ring.new-";
/// What [`old_name`] begins with.
pub const OLD_PREFIX: &str = "ring.old-";

/// The shape of a new ring for this machine and boot, with a random UUID.
///
/// # Panics
/// If the sizes are not allowed ([`Geometry::is_valid`]).
pub fn geometry(lanes: u32, lane_bytes: u64) -> Geometry {
    let features = features();
    let geometry = Geometry { lanes, lane_bytes, bus: random_uuid(), boot: boot_id(), features };
    assert!(geometry.is_valid(), "a ring of {lanes} lanes of {lane_bytes} bytes is not allowed");
    geometry
}

/// What this machine has of what a ring's header names.
pub fn features() -> u32 {
    let has = [(crc::detect(), FEATURE_CRC32C), (sys::has_barrier(), FEATURE_BARRIER)];
    has.into_iter().map(|(has, bit)| if has { bit } else { 0 }).sum()
}

/// Creates the ring in a place. An error of `EXIST` means that somebody else was faster; theirs is as
/// good. Its whole size is reserved: on a full disk this fails, and nothing later does.
pub fn ring(place: &Fd, geometry: &Geometry) -> Result<(), Errno> {
    if let Ok(file) = sys::open(Some(place), c".", Open::Unnamed) {
        fill(&file, geometry)?;
        match sys::link_unnamed(&file, place, RING) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => return Err(Errno::EXIST),
            Err(_) => {}
        }
    }
    named(place, geometry)
}

/// Where a file system has no unnamed files: a temporary name, then its own. The reader removes what a
/// maker that died leaves.
fn named(place: &Fd, geometry: &Geometry) -> Result<(), Errno> {
    let temporary = temporary_name(&geometry.bus);
    let file = sys::open(Some(place), &temporary, Open::CreateNew)?;
    let made = fill(&file, geometry).and_then(|()| sys::link(place, &temporary, RING));
    let _ = sys::unlink(place, &temporary);
    made
}

fn fill(file: &Fd, geometry: &Geometry) -> Result<(), Errno> {
    sys::allocate(file, geometry.file_bytes())?;
    let header = geometry.encode();
    let written = sys::pwrite(file, &header, 0)?;
    if written == header.len() { Ok(()) } else { Err(Errno::NOSPC) }
}

fn temporary_name(bus: &[u8; 16]) -> CString {
    CString::new(format!("{NEW_PREFIX}{}", hex(bus))).unwrap_or_default()
}

/// The name that a replaced ring keeps, beside its UUID, until it is empty.
pub fn old_name(bus: &[u8; 16]) -> CString {
    CString::new(format!("{OLD_PREFIX}{}", hex(bus))).unwrap_or_default()
}

/// What [`bad_name`] begins with.
pub const BAD_PREFIX: &str = "ring.bad-";

/// The name of a ring file whose header is damaged, beside a UUID of its own, until what can be found
/// in it was taken.
pub fn bad_name(bus: &[u8; 16]) -> CString {
    CString::new(format!("{BAD_PREFIX}{}", hex(bus))).unwrap_or_default()
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The UUID of so many lower-case hex digits; `None`: it is something else.
pub fn from_hex(digits: &str) -> Option<[u8; 16]> {
    let uuid = u128::from_str_radix(digits, 16).ok()?.to_be_bytes();
    (hex(&uuid) == digits).then_some(uuid)
}

/// A random UUID (RFC 9562, version 4).
pub fn random_uuid() -> [u8; 16] {
    let mut uuid = random_seed();
    uuid[6] = (uuid[6] & 0x0f) | 0x40;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    uuid
}

/// 16 bytes that no other process has: random where the kernel has randomness, else from the clock,
/// the process and the address space.
pub fn random_seed() -> [u8; 16] {
    let mut seed = [0; 16];
    if !sys::random(&mut seed) {
        let place = (&raw const seed) as u64;
        seed[..8].copy_from_slice(&(sys::boottime_ns() ^ place.rotate_left(32)).to_le_bytes());
        seed[8..].copy_from_slice(
            &(u64::from(sys::process_id()) << 32 | sys::realtime_ns() >> 32).to_le_bytes(),
        );
    }
    seed
}

/// The machine's boot id, read once; zeros where the system has none.
pub fn boot_id() -> [u8; 16] {
    static BOOT_ID: OnceLock<[u8; 16]> = OnceLock::new();
    *BOOT_ID.get_or_init(read_boot_id)
}

fn read_boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    id
}
