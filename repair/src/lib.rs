//! How copies agree: version vectors, siblings, cells, merge, hints.
//!
//! Everything here is pure: no async, no clock, no randomness, no I/O.

mod codec;

pub mod cells;
pub mod hint;
pub mod version;
