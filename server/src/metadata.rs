//! What all nodes agree on: members, partition owners, schema and the cluster's secret.
//!
//! One value in one register ([`ring::register`]), under one epoch:
//!
//! ```text
//! Change --apply--> ClusterMetadata (stored, sent) --Snapshot::new--> Snapshot (what requests read)
//! ```
//!
//! Law: a change is a pure function of the value before it, so every node that applies it gets the
//! same value. Requests read one [`Snapshot`] from start to end and never wait for the register.
//! Pure: no I/O, no clock; identities and secrets come in as arguments.

mod change;
mod schema;
mod snapshot;
mod value;

pub use change::{Change, ChangeError, Declined, Founding};
pub use schema::{
    Column, ColumnId, ColumnKind, Conflict, Keyspace, Schema, Table, TableId, TableSpec,
};
pub use snapshot::{KeyspaceEntry, Snapshot};
pub use value::{ClusterMetadata, DecodeError, Member, Secret, Secrets};

#[cfg(test)]
pub(crate) mod tests;
