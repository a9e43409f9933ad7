//! The floor: a program that reads its stdin to the end and exits. No hook can cost less.
//!
//! `cargo xtask build` makes it as it makes `hookring-emit`: static, without std and without the C
//! runtime, so that whatever the hook takes beyond this is the hook's own work. With the feature
//! `std`, which is on by default, it is an ordinary program that does the same.

#![cfg_attr(not(feature = "std"), no_std, no_main)]

#[cfg(not(feature = "std"))]
mod start;

#[cfg(feature = "std")]
fn main() {
    // An error ends the reading just as the end of stdin does; there is nobody to tell.
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
}
