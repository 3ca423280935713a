//! What a value is: CQL types, the bytes and the order of values, consistency levels.
//!
//! A value travels and is stored as the native protocol's bytes of its [`CqlType`]. [`Value`] is its
//! decoded form, [`Value::parse`] and `Display` lead from and to CQL literals, [`key`] gives the
//! bytes that sort as the values do, [`collection`] changes serialized lists, sets and maps.
//!
//! Everything here is pure: no async, no clock, no randomness, no I/O.

mod calendar;
pub mod collection;
mod consistency;
mod cql_type;
mod date;
mod decimal;
mod duration;
pub mod key;
mod literal;
mod timestamp;
pub mod tuple;
mod value;

pub use consistency::{Consistency, UnknownConsistency};
pub use cql_type::{CqlType, TypeError};
pub use decimal::{Decimal, NUMBER_BYTES_MAX};
pub use duration::Duration;
pub use key::Order;
pub use literal::{LiteralError, Plain};
pub use num_bigint::BigInt;
pub use value::{Value, ValueError, validate};
