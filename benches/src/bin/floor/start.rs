//! The whole program, from the kernel's first instruction to its exit: `read` into 64 KiB reserved
//! on the stack until it returns nothing more, then `exit_group(0)`.
//!
//! It is assembly because a 64 KiB array in Rust would touch each of its pages (stack probes); this
//! way the kernel touches only those that it fills. System call numbers: `asm/unistd_64.h` (x86-64)
//! and `asm-generic/unistd.h` (aarch64).

use core::arch::global_asm;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "sub rsp, 65536",
    "2:",
    "xor eax, eax", // read(0, rsp, 65536)
    "xor edi, edi",
    "mov rsi, rsp",
    "mov edx, 65536",
    "syscall",
    "test rax, rax",
    "jg 2b",
    "mov eax, 231", // exit_group(0)
    "xor edi, edi",
    "syscall",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "sub sp, sp, #16, lsl #12",
    "2:",
    "mov x8, #63", // read(0, sp, 65536)
    "mov x0, #0",
    "mov x1, sp",
    "mov x2, #65536",
    "svc #0",
    "cmp x0, #0",
    "b.gt 2b",
    "mov x8, #94", // exit_group(0)
    "mov x0, #0",
    "svc #0",
);

/// Demanded by the language; nothing in this program can panic.
#[panic_handler]
fn never(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
