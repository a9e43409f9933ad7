//! The bare system call: numbers, registers, and the error in what it returns.

use crate::sys::Errno;
use core::arch::asm;

#[cfg(target_arch = "x86_64")]
pub(super) mod number {
    pub(in crate::sys) const READ: usize = 0;
    pub(in crate::sys) const WRITE: usize = 1;
    pub(in crate::sys) const CLOSE: usize = 3;
    pub(in crate::sys) const FSTAT: usize = 5;
    #[cfg(feature = "std")]
    pub(in crate::sys) const LSEEK: usize = 8;
    pub(in crate::sys) const MMAP: usize = 9;
    pub(in crate::sys) const MUNMAP: usize = 11;
    pub(in crate::sys) const RT_SIGACTION: usize = 13;
    pub(in crate::sys) const RT_SIGPROCMASK: usize = 14;
    #[cfg(feature = "std")]
    pub(in crate::sys) const RT_SIGPENDING: usize = 127;
    #[cfg(feature = "std")]
    pub(in crate::sys) const RT_SIGTIMEDWAIT: usize = 128;
    pub(in crate::sys) const IOCTL: usize = 16;
    pub(in crate::sys) const PREAD: usize = 17;
    pub(in crate::sys) const PWRITE: usize = 18;
    pub(in crate::sys) const MREMAP: usize = 25;
    pub(in crate::sys) const MADVISE: usize = 28;
    pub(in crate::sys) const GETPID: usize = 39;
    pub(in crate::sys) const FCNTL: usize = 72;
    pub(in crate::sys) const FTRUNCATE: usize = 77;
    #[cfg(feature = "std")]
    pub(in crate::sys) const FSYNC: usize = 74;
    pub(in crate::sys) const FCHMOD: usize = 91;
    pub(in crate::sys) const UMASK: usize = 95;
    pub(in crate::sys) const GETCWD: usize = 79;
    #[cfg(test)]
    pub(in crate::sys) const PRCTL: usize = 157;
    pub(in crate::sys) const GETRLIMIT: usize = 97;
    pub(in crate::sys) const FUTEX: usize = 202;
    pub(in crate::sys) const CLOCK_GETTIME: usize = 228;
    pub(in crate::sys) const EXIT_GROUP: usize = 231;
    pub(in crate::sys) const OPENAT: usize = 257;
    pub(in crate::sys) const MKDIRAT: usize = 258;
    pub(in crate::sys) const NEWFSTATAT: usize = 262;
    pub(in crate::sys) const UNLINKAT: usize = 263;
    pub(in crate::sys) const RENAMEAT: usize = 264;
    pub(in crate::sys) const LINKAT: usize = 265;
    pub(in crate::sys) const PPOLL: usize = 271;
    pub(in crate::sys) const FALLOCATE: usize = 285;
    pub(in crate::sys) const PWRITEV: usize = 296;
    #[cfg(feature = "std")]
    pub(in crate::sys) const MEMBARRIER: usize = 324;
    pub(in crate::sys) const PREADV2: usize = 327;
    pub(in crate::sys) const PWRITEV2: usize = 328;
    pub(in crate::sys) const VMSPLICE: usize = 278;
    pub(in crate::sys) const SIGALTSTACK: usize = 131;
    pub(in crate::sys) const GETRANDOM: usize = 318;
    pub(in crate::sys) const GETEUID: usize = 107;
    pub(in crate::sys) const GETDENTS64: usize = 217;
    pub(in crate::sys) const FCHMODAT: usize = 268;
    #[cfg(feature = "std")]
    pub(in crate::sys) const FUTEX_WAITV: usize = 449;
}

#[cfg(target_arch = "aarch64")]
pub(super) mod number {
    pub(in crate::sys) const GETCWD: usize = 17;
    #[cfg(test)]
    pub(in crate::sys) const PRCTL: usize = 167;
    pub(in crate::sys) const FCNTL: usize = 25;
    pub(in crate::sys) const IOCTL: usize = 29;
    pub(in crate::sys) const MKDIRAT: usize = 34;
    pub(in crate::sys) const UNLINKAT: usize = 35;
    pub(in crate::sys) const LINKAT: usize = 37;
    pub(in crate::sys) const RENAMEAT: usize = 38;
    pub(in crate::sys) const FTRUNCATE: usize = 46;
    pub(in crate::sys) const FALLOCATE: usize = 47;
    pub(in crate::sys) const FCHMOD: usize = 52;
    #[cfg(feature = "std")]
    pub(in crate::sys) const FSYNC: usize = 82;
    pub(in crate::sys) const OPENAT: usize = 56;
    pub(in crate::sys) const CLOSE: usize = 57;
    pub(in crate::sys) const GETDENTS64: usize = 61;
    #[cfg(feature = "std")]
    pub(in crate::sys) const LSEEK: usize = 62;
    pub(in crate::sys) const READ: usize = 63;
    pub(in crate::sys) const WRITE: usize = 64;
    pub(in crate::sys) const PREAD: usize = 67;
    pub(in crate::sys) const PWRITE: usize = 68;
    pub(in crate::sys) const PWRITEV: usize = 70;
    pub(in crate::sys) const SIGALTSTACK: usize = 132;
    #[cfg(feature = "std")]
    pub(in crate::sys) const MEMBARRIER: usize = 283;
    pub(in crate::sys) const PREADV2: usize = 286;
    pub(in crate::sys) const PWRITEV2: usize = 287;
    pub(in crate::sys) const VMSPLICE: usize = 75;
    pub(in crate::sys) const PPOLL: usize = 73;
    pub(in crate::sys) const NEWFSTATAT: usize = 79;
    pub(in crate::sys) const FSTAT: usize = 80;
    pub(in crate::sys) const EXIT_GROUP: usize = 94;
    pub(in crate::sys) const FUTEX: usize = 98;
    pub(in crate::sys) const CLOCK_GETTIME: usize = 113;
    pub(in crate::sys) const RT_SIGACTION: usize = 134;
    pub(in crate::sys) const RT_SIGPROCMASK: usize = 135;
    #[cfg(feature = "std")]
    pub(in crate::sys) const RT_SIGPENDING: usize = 136;
    #[cfg(feature = "std")]
    pub(in crate::sys) const RT_SIGTIMEDWAIT: usize = 137;
    pub(in crate::sys) const GETRLIMIT: usize = 163;
    pub(in crate::sys) const UMASK: usize = 166;
    pub(in crate::sys) const GETPID: usize = 172;
    pub(in crate::sys) const GETEUID: usize = 175;
    pub(in crate::sys) const MUNMAP: usize = 215;
    pub(in crate::sys) const MREMAP: usize = 216;
    pub(in crate::sys) const MMAP: usize = 222;
    pub(in crate::sys) const MADVISE: usize = 233;
    pub(in crate::sys) const GETRANDOM: usize = 278;
    pub(in crate::sys) const FCHMODAT: usize = 53;
    #[cfg(feature = "std")]
    pub(in crate::sys) const FUTEX_WAITV: usize = 449;
}

/// Makes a system call with six arguments.
///
/// # Safety
/// The arguments must be what the call with this number asks for.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn raw(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel changes rax, rcx and r11 only, besides what the caller vouched for.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result,
             in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
             in("r10") a[3], in("r8") a[4], in("r9") a[5],
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// Makes a system call with six arguments.
///
/// # Safety
/// The arguments must be what the call with this number asks for.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(super) unsafe fn raw(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel changes x0 only, besides what the caller vouched for.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a[0] => result,
             in("x1") a[1], in("x2") a[2], in("x3") a[3],
             in("x4") a[4], in("x5") a[5], options(nostack));
    }
    result
}

pub(super) fn check(result: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result as usize) }
}

#[inline(always)]
pub(super) fn first_six<const N: usize>(given: [usize; N]) -> [usize; 6] {
    core::array::from_fn(|i| if i < N { given[i] } else { 0 })
}

/// Makes the named system call. Whoever uses it imports this module as `calls`, too.
macro_rules! call {
    ($number:ident $(, $arg:expr)*) => {{
        let args = calls::first_six([$($arg as usize),*]);
        // SAFETY: each call below hands over pointers to live memory of the length it states, or
        // numbers; its wrapper's types see to that.
        calls::check(unsafe { calls::raw(calls::number::$number, args) })
    }};
}
pub(super) use call;
