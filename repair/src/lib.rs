//! How copies agree: version vectors, siblings, cells, merge.
//!
//! Everything here is pure: no async, no clock, no randomness, no I/O.

mod codec;

pub mod cells;
pub mod version;
