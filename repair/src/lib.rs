//! How copies agree: version vectors, siblings, merge.
//!
//! Everything here is pure: no async, no clock, no randomness, no I/O.

pub mod version;
