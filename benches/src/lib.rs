//! What the benches share.

pub mod args;
#[cfg(feature = "figures")]
pub mod figures;
pub mod machine;
pub mod payloads;
