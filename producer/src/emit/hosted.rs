//! The entry of the ordinary form: a `main` under the standard library, where the static one cannot
//! be built.

use crate::process::{BUFFER_BYTES, Known, Process, Strings};
use hookring_bus::{crc, sys};
use std::ffi::{CString, OsString, c_char};
use std::os::unix::ffi::OsStringExt;

/// The process's `main`.
pub(crate) fn main() {
    let variables = std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    });
    let (args, variables) = (c_strings(std::env::args_os()), c_strings(variables));
    // SAFETY: leaked, and ended by null.
    let args = unsafe { Strings::new(args) };
    // SAFETY: leaked, and ended by null.
    let variables = unsafe { Strings::new(variables) };
    let mut random = [0; 16];
    if !sys::random(&mut random) {
        random[..8].copy_from_slice(&sys::realtime_ns().to_le_bytes());
        random[8..12].copy_from_slice(&sys::process_id().to_le_bytes());
    }
    let mut buffer = vec![0; BUFFER_BYTES];
    let known = Known { uid: sys::effective_uid(), random, has_crc: crc::detect() };
    crate::run(&mut Process::new(args, variables, known, &mut buffer));
    std::process::exit(0);
}

/// Pointers to C strings, ended by null, for the rest of the process.
fn c_strings(strings: impl Iterator<Item = OsString>) -> *const *const c_char {
    let strings = strings.filter_map(|string| CString::new(string.into_vec()).ok());
    let mut pointers: Vec<*const c_char> =
        strings.map(|string| string.into_raw().cast_const()).collect();
    pointers.push(std::ptr::null());
    pointers.leak().as_ptr()
}
