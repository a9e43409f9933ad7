//! Linux system calls, made directly: x86_64 and aarch64.

mod calls;
mod files;
mod locks;
mod memory;
mod process;
mod signals;
mod time;

pub use files::*;
pub use locks::*;
pub use memory::*;
pub use process::*;
pub use signals::*;
pub use time::*;
