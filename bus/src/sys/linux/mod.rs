//! Linux system calls, made directly: x86_64 and aarch64.

#[cfg(feature = "std")]
mod barrier;
mod calls;
mod files;
mod locks;
mod memory;
mod process;
#[cfg(test)]
mod refused;
mod signals;
mod streams;
mod time;

#[cfg(feature = "std")]
pub use barrier::*;
pub use files::*;
pub use locks::*;
pub use memory::*;
pub use process::*;
pub use signals::*;
pub use streams::*;
pub use time::*;
