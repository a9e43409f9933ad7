//! The event bus for coding agents' hooks: the daemon and the command line.
//!
//! This crate is wiring. [`run`] is the daemon and [`pipeline`] what it does to
//! each event; [`cli`] is everything else that the `hookring` command
//! does; [`metrics`] are its figures; [`config`] and [`paths`] say what applies and where things are; [`demo`] shows it at work.

pub mod cli;
pub mod config;
pub mod demo;
mod http;
pub mod metrics;
pub mod paths;
pub mod pipeline;
pub mod run;
