//! System calls through the C library, for systems other than Linux on x86_64 and aarch64.
//!
//! Meant for macOS first. There it compiles and has not been run; its tests run on Linux, with
//! `--cfg hookring_portable`, where it does without what macOS lacks: unnamed files, futexes, locks
//! that a mapping keeps, memory that a fork wipes.

#[cfg(feature = "std")]
mod barrier;
mod calls;
mod files;
mod locks;
mod memory;
mod process;
mod signals;
mod time;

#[cfg(feature = "std")]
pub use barrier::*;
pub use files::*;
pub use locks::*;
pub use memory::*;
pub use process::*;
pub use signals::*;
pub use time::*;

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
compile_error!("hookring needs locks that belong to open file descriptions: Linux or macOS");
