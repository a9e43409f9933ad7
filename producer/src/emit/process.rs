//! What a process is given at its start: arguments, environment, and memory for its input.

use core::ffi::{CStr, c_char};
use hookring_bus::record::MAX_META_BYTES;

/// Arguments or environment: pointers to C strings, the last one null.
#[derive(Copy, Clone)]
pub(crate) struct Strings {
    next: *const *const c_char,
}

impl Strings {
    /// # Safety
    /// `first` must point to pointers to C strings that live as long as the process, ended by null.
    pub(crate) unsafe fn new(first: *const *const c_char) -> Strings {
        Strings { next: first }
    }
}

impl Strings {
    /// What follows `prefix` in the next string, if it begins so. Reads no further where it does not:
    /// an environment may be large, and few of it is ours.
    fn after(&mut self, prefix: &[u8]) -> Option<Option<&'static [u8]>> {
        let mut string = self.advance()?;
        for byte in prefix {
            // SAFETY: the zero that ends the string was not reached yet, since no prefix holds one.
            if unsafe { string.read() } as u8 != *byte {
                return Some(None);
            }
            // SAFETY: as above.
            string = unsafe { string.add(1) };
        }
        // SAFETY: the rest of a C string that lives as long as the process (`new`).
        Some(Some(unsafe { CStr::from_ptr(string) }.to_bytes()))
    }

    fn advance(&mut self) -> Option<*const c_char> {
        // SAFETY: within the array, whose end was not reached yet (`new`).
        let string = unsafe { self.next.read() };
        if string.is_null() {
            return None;
        }
        // SAFETY: the null at the end was not read yet, so there is one more.
        self.next = unsafe { self.next.add(1) };
        Some(string)
    }
}

impl Iterator for Strings {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        // SAFETY: a C string that lives as long as the process (`new`).
        Some(unsafe { CStr::from_ptr(self.advance()?) }.to_bytes())
    }
}

/// Memory that a process has from the start: a payload of the common sizes, and metadata.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024 + MAX_META_BYTES;

/// What the kernel tells a process.
#[derive(Copy, Clone)]
pub(crate) struct Known {
    pub(crate) uid: u32,
    /// 16 bytes that no other process has.
    pub(crate) random: [u8; 16],
    /// Whether this machine has an instruction for CRC-32C; `false`: it may have.
    pub(crate) has_crc: bool,
}

/// This process.
pub(crate) struct Process<'a> {
    /// Arguments behind the program's name.
    pub(crate) args: Strings,
    pub(crate) environment: Strings,
    /// The value of `HOOKRING_DIR`.
    pub(crate) hookring_dir: Option<&'a [u8]>,
    pub(crate) known: Known,
    /// [`BUFFER_BYTES`], zeroed, for payload and metadata.
    pub(crate) buffer: &'a mut [u8],
}

impl<'a> Process<'a> {
    pub(crate) fn new(
        mut args: Strings,
        environment: Strings,
        known: Known,
        buffer: &'a mut [u8],
    ) -> Process<'a> {
        args.next();
        let hookring_dir = variable(environment, b"HOOKRING_DIR");
        Process { args, environment, hookring_dir, known, buffer }
    }

    /// The value of an environment variable.
    pub(crate) fn variable(&self, name: &[u8]) -> Option<&'static [u8]> {
        variable(self.environment, name)
    }
}

fn variable(environment: Strings, name: &[u8]) -> Option<&'static [u8]> {
    let mut entries = environment;
    loop {
        match entries.after(name) {
            Some(Some([b'=', value @ ..])) => return Some(value),
            Some(_) => {}
            None => return None,
        }
    }
}
