//! What a value is: CQL types, the bytes and the order of values, consistency levels.
//!
//! Everything here is pure: no async, no clock, no randomness, no I/O.

mod consistency;
mod cql_type;

pub use consistency::{Consistency, UnknownConsistency};
pub use cql_type::CqlType;
