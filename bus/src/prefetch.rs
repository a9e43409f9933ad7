//! Asking the processor for cache lines before they are read. Only a hint: nothing depends on it.

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// Asks for the lines of a range.
#[inline(always)]
pub(crate) fn ask_for(from: *const u8, bytes: usize) {
    for offset in (0..bytes).step_by(LINE_BYTES) {
        ask_for_line(from.wrapping_add(offset));
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn ask_for_line(line: *const u8) {
    // SAFETY: the instruction never faults, whatever the address, and changes nothing but caches.
    unsafe {
        core::arch::asm!("prefetcht0 [{}]", in(reg) line, options(nostack, preserves_flags));
    }
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
#[inline(always)]
fn ask_for_line(line: *const u8) {
    // SAFETY: the instruction never faults, whatever the address, and changes nothing but caches.
    unsafe {
        core::arch::asm!("prfm pldl1keep, [{}]", in(reg) line, options(nostack, preserves_flags));
    }
}

#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn ask_for_line(_line: *const u8) {}
