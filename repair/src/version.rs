//! What one copy of a siblings row knows, and what a write or another copy changes in it.
//!
//! A row is a [`VersionVector`] (which writes this copy has seen) and its living versions, each
//! under the [`Dot`] of the write that made it. [`stamp`] carries out a client's write at one
//! replica, [`apply`] takes in the row of another copy. [`Siblings::merge`] is a join: copies may
//! merge in any order, any number of times, and agree.
//!
//! ```text
//! client --Write--> replica a: stamp(row, write) --row'--> replicas b, c: apply(row, row')
//! ```
//!
//! Source: Preguiça, Baquero, Almeida, Fonte, Gonçalves, *Dotted Version Vectors*,
//! arXiv:1011.5808, in the form that keeps a dot per version.
//! Callers: `server::replica`, and the coordinator's reads. Pure: time and epochs are arguments.

mod apply;
mod codec;
mod columns;
mod dot;
mod rule;
mod siblings;
mod stamp;
mod update;
mod vector;
mod write;

#[cfg(test)]
mod samples;

pub use apply::{Applied, apply};
pub use codec::DecodeError;
pub use columns::{Column, Columns, ColumnsIter, Expiry};
pub use dot::{Actor, CounterOverflow, Dot};
pub use rule::{ActorRule, EpochSource, Minter, SafeRule, Seen};
pub use siblings::{Merged, Siblings, Version};
pub use stamp::{StampError, Stamped, stamp, stamp_after};
pub use vector::VersionVector;
pub use write::{Change, ColumnChange, ListEnd, SiblingLimits, Write};
