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

mod alter;
mod change;
mod schema;
mod snapshot;
mod speculative;
mod stored;
mod value;

pub use alter::Alteration;
pub use change::{Change, ChangeError, Declined, Founding};
pub use schema::{
    COLUMN_IDS_MAX, COLUMNS_MAX, Column, ColumnId, ColumnKind, Conflict, Keyspace, Schema, Table,
    TableId, TableSpec,
};
pub use snapshot::{KeyspaceEntry, Life, Snapshot};
pub use speculative::{NoSpeculativeRetry, Percentile, SpeculativeRetry};
pub use stored::DecodeError;
pub(crate) use stored::FirstForm;
pub use value::{ClusterMetadata, Member, Secret, Secrets};

#[cfg(test)]
pub(crate) mod tests;
