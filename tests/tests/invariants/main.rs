//! What always holds, as far as it can be seen from outside (ARCHITECTURE.md names the invariants).
//! That it holds when processes are killed is tested in `crash`.

mod daemon;
mod hook;
mod limits;
mod memory;
mod places;
mod privacy;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod start;
mod umask;
