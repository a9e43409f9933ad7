//! Lanes, spool and reader together, in one process: order, oracle, damage, replacement.

mod barrier;
mod bus;
mod condemned;
mod damage;
mod look;
mod model;
mod order;
mod publishing;
mod recovery;
mod replacement;
mod salvage;
mod spool;
mod words;
