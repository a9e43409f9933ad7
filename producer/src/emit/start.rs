//! The entry of the static form: no C runtime, whose start alone costs three times the hook's work.
//!
//! `_start` moves the stack down to just below the buffer: the first page of the payload and the few
//! frames that a hook needs then are one page, and each page saved saves its fault. Untouched pages
//! cost nothing. Where the stack may not become so large, both are in a mapping.

use crate::process::{BUFFER_BYTES, Known, Process, Strings};
use core::arch::{asm, global_asm};
use core::ffi::c_char;
use hookring_bus::{crc, sys};

/// How far below the kernel's part of the stack the buffer begins, at the least.
const BELOW_BYTES: usize = BUFFER_BYTES + PAGE_BYTES;
/// What the stack gets of the page in which the buffer begins; a typical hook needs no more.
const STACK_SHARE_BYTES: usize = 2560;
/// What the stack gets of a mapping below that page.
const MAPPED_STACK_BYTES: usize = 64 * 1024;
/// A limit from which on the stack has room for the buffer besides the arguments, which may take a
/// quarter of it, or 128 KiB.
const ROOMY_STACK_BYTES: u64 = 1024 * 1024;
const PAGE_BYTES: usize = 4096;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rbx, rsp",
    "mov rdi, rsp",
    "call {find_buffer}",
    "mov rdi, rbx",
    "mov rsi, rax",
    "mov rsp, rax",
    "call {entry}",
    "ud2",
    find_buffer = sym find_buffer,
    entry = sym entry,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x19, sp",
    "mov x0, sp",
    "bl {find_buffer}",
    "mov x1, x0",
    "mov x0, x19",
    "mov sp, x1",
    "bl {entry}",
    "brk #1",
    find_buffer = sym find_buffer,
    entry = sym entry,
);

const _: () = {
    assert!(STACK_SHARE_BYTES.is_multiple_of(16), "the stack's alignment, by both ABIs");
    assert!(BELOW_BYTES.is_multiple_of(PAGE_BYTES), "or the buffer's end is in the kernel's part");
};

/// Where the buffer begins, below which the stack goes on. `stack` is what the kernel has filled of it.
///
/// This runs on the stack as the kernel left it, so it must need next to nothing.
extern "C" fn find_buffer(stack: usize) -> usize {
    let below = stack - BELOW_BYTES;
    let page = below - below % PAGE_BYTES;
    let page = if sys::stack_limit_bytes() >= ROOMY_STACK_BYTES { page } else { map_page(page) };
    page + STACK_SHARE_BYTES
}

/// The buffer's first page in a mapping that holds it and a stack, or `otherwise`.
#[cold]
#[inline(never)]
fn map_page(otherwise: usize) -> usize {
    const BYTES: usize = MAPPED_STACK_BYTES + PAGE_BYTES + BUFFER_BYTES;
    sys::map_anonymous(BYTES).map_or(otherwise, |at| at as usize + MAPPED_STACK_BYTES)
}

unsafe extern "C" fn entry(stack: *const usize, buffer: *mut u8) -> ! {
    // SAFETY: the kernel puts the number of arguments on top of a new stack.
    let count = unsafe { stack.read() };
    // SAFETY: the arguments follow it.
    let first_arg = unsafe { stack.add(1) };
    // SAFETY: then a null, then the environment.
    let first_variable = unsafe { stack.add(count + 2) };
    // SAFETY: the kernel's array, ended by null; the strings live on the stack for good.
    let args = unsafe { Strings::new(first_arg.cast::<*const c_char>()) };
    // SAFETY: as for the arguments.
    let environment = unsafe { Strings::new(first_variable.cast::<*const c_char>()) };
    let mut auxiliary = first_variable;
    // SAFETY: still within the environment, whose end is a null.
    while unsafe { auxiliary.read() } != 0 {
        // SAFETY: the null was not reached yet.
        auxiliary = unsafe { auxiliary.add(1) };
    }
    // SAFETY: the auxiliary vector follows that null.
    let auxiliary = unsafe { auxiliary.add(1) };
    // SAFETY: it is what the kernel put there.
    let known = unsafe { read_auxiliary(auxiliary) };
    // SAFETY: this memory lies above our part of the stack, below the kernel's or in a mapping, so
    // nobody else uses it (`find_buffer`); the kernel made it zero.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer, BUFFER_BYTES) };
    crate::run(&mut Process::new(args, environment, known, buffer));
    sys::exit(0)
}

/// What the kernel hands to every new process (getauxval(3)).
///
/// # Safety
/// `entry` must be the auxiliary vector.
unsafe fn read_auxiliary(mut entry: *const usize) -> Known {
    const AT_NULL: usize = 0;
    const AT_EUID: usize = 12;
    const AT_HWCAP: usize = 16;
    const AT_RANDOM: usize = 25;
    const AT_HWCAP2: usize = 26;
    let (mut uid, mut random) = (u32::MAX, [0; 16]);
    let (mut hwcap, mut hwcap2) = (0, 0);
    loop {
        // SAFETY: the entry with AT_NULL, which ends the vector, was not reached yet.
        let kind = unsafe { entry.read() };
        // SAFETY: each entry has two words.
        let value = unsafe { entry.add(1) };
        // SAFETY: the second of them.
        let value = unsafe { value.read() };
        match kind {
            AT_NULL => {
                return Known { uid, random, has_crc: crc::is_promised(hwcap, hwcap2) };
            }
            AT_EUID => uid = value as u32,
            AT_HWCAP => hwcap = value,
            AT_HWCAP2 => hwcap2 = value,
            // SAFETY: the kernel points to 16 bytes on the stack.
            AT_RANDOM => random = unsafe { (value as *const [u8; 16]).read() },
            _ => {}
        }
        // SAFETY: not the last entry.
        entry = unsafe { entry.add(2) };
    }
}

/// Nothing that this program does panics; if it does, the agent must not notice.
#[panic_handler]
fn on_panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(0)
}

// What the compiler calls for copies and comparisons, and the C library would bring. Written in
// assembly where a loop would be recognised as a call to itself.

/// # Safety
/// As C's `memcpy`.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: the caller vouches for both ranges; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") bytes => _, inout("rdi") to => _, inout("rsi") from => _,
             options(nostack, preserves_flags));
    }
    to
}

/// # Safety
/// As C's `memset`.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, bytes: usize) -> *mut u8 {
    // SAFETY: the caller vouches for the range; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep stosb", inout("rcx") bytes => _, inout("rdi") to => _, in("al") byte as u8,
             options(nostack, preserves_flags));
    }
    to
}

/// # Safety
/// As C's `memcpy`.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    if bytes > 0 {
        // SAFETY: the caller vouches for both ranges.
        unsafe {
            asm!("2:", "ldrb {byte:w}, [{from}], #1", "strb {byte:w}, [{to}], #1",
                 "subs {left}, {left}, #1", "b.ne 2b",
                 byte = out(reg) _, from = inout(reg) from => _, to = inout(reg) to => _,
                 left = inout(reg) bytes => _, options(nostack));
        }
    }
    to
}

/// # Safety
/// As C's `memset`.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, bytes: usize) -> *mut u8 {
    if bytes > 0 {
        // SAFETY: the caller vouches for the range.
        unsafe {
            asm!("2:", "strb {byte:w}, [{to}], #1", "subs {left}, {left}, #1", "b.ne 2b",
                 byte = in(reg) byte, to = inout(reg) to => _, left = inout(reg) bytes => _,
                 options(nostack));
        }
    }
    to
}

/// # Safety
/// As C's `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= bytes {
        // SAFETY: a forward copy does not overwrite what it has not read.
        return unsafe { memcpy(to, from, bytes) };
    }
    let mut left = bytes;
    while left > 0 {
        left -= 1;
        // SAFETY: `left` is below the length that the caller vouches for.
        let source = unsafe { from.add(left) };
        // SAFETY: as above.
        let target = unsafe { to.add(left) };
        // SAFETY: in range; volatile, so that the loop is not turned into a call to itself.
        let byte = unsafe { source.read_volatile() };
        // SAFETY: in range.
        unsafe { target.write_volatile(byte) };
    }
    to
}

/// # Safety
/// As C's `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, bytes: usize) -> i32 {
    for i in 0..bytes {
        // SAFETY: `i` is below the length that the caller vouches for.
        let left = unsafe { a.add(i) };
        // SAFETY: as above.
        let right = unsafe { b.add(i) };
        // SAFETY: in range; volatile, so that the loop is not turned into a call to itself.
        let left = unsafe { left.read_volatile() };
        // SAFETY: in range.
        let right = unsafe { right.read_volatile() };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

/// # Safety
/// As BSD's `bcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, bytes: usize) -> i32 {
    // SAFETY: the caller vouches for both ranges.
    unsafe { memcmp(a, b, bytes) }
}

/// # Safety
/// As C's `strlen`.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let mut bytes = 0;
    loop {
        // SAFETY: the zero that ends the text was not reached yet.
        let at = unsafe { text.add(bytes) };
        // SAFETY: in range; volatile, so that the loop is not turned into a call to itself.
        if unsafe { at.read_volatile() } == 0 {
            return bytes;
        }
        bytes += 1;
    }
}
