//! What one copy of a row of a last-write-wins table knows, and how copies join.
//!
//! A [`Row`] holds, per column and per element of a collection, the newest [`Cell`], and what was
//! deleted since. [`Ranges`] holds which stretches of a partition were deleted, and when. Both
//! merges are joins: copies may merge in any order, any number of times, and agree byte for byte.
//! So a state is an operand: what a client writes, what replicas send each other and what lies in
//! the store have one form, and [`merge_encoded`] joins any of them without a read.
//!
//! ```text
//! UPDATE t SET a = 1  ─> Row { a: 1 @5 } ┐
//! DELETE FROM t …     ─> Row { gone @4 } ┼─ merge, in any order ─> Row { gone @4, a: 1 @5 }
//! UPDATE t SET a = 0  ─> Row { a: 0 @3 } ┘
//! ```
//!
//! Cells are ordered by [`WriteStamp`]: the timestamp, then the operation, which is drawn once for
//! each statement; so the cells of one statement win or lose together. Under one stamp null beats
//! a value, then the greater value counts. A tombstone covers everything up to its timestamp.
//! Merges never look at a clock: an expired cell stays, and counts as a tombstone for readers.
//!
//! Source: Cassandra's cells, with the operation between timestamp and value.
//! Callers: the planner builds rows, the store's merge operator and reads join them. Pure.

mod codec;
mod merge;
mod ranges;
mod row;
mod stamp;

#[cfg(test)]
mod samples;

pub use codec::DecodeError;
pub use merge::{Kind, Merged, Salvaged, kind_of, merge_counted, merge_encoded, poison, salvage};
pub use ranges::Ranges;
pub use row::{Cell, Row};
pub use stamp::{LIST_PATH_LEN, ListEnd, WriteStamp, list_path};

pub use crate::version::Expiry;
