//! What one copy of a row does when asked, by this node's coordinator or by another's.
//!
//! ```text
//! stamp   a client's write: read, mint, merge and commit inside the commit loop
//! apply   a row of another copy: merge and commit inside the commit loop
//! fetch   a row or a stretch of a partition, read inline from committed rows
//! ```
//!
//! Repair, handoff and bootstrap have no private door: they arrive at [`Replica::apply`] like any
//! write.

// The coordinator (server/src/coord/drive.rs) calls these, and whoever fills this module keeps to it:
//   Replica::new(engine: Arc<dyn Engine>, commits: crate::commits::Commits) -> Replica
//   async fn stamp(&self, key: RowKey, write: Write) -> Result<Stamped, StampFailure>
//   async fn apply(&self, key: RowKey, row: Bytes /* Siblings::encode() */) -> Result<(), ApplyFailure>
//   fn fetch(&self, key: &RowKey) -> Result<Option<Siblings>, FetchFailure>
//   fn fetch_range(&self, range: &KeyRange, order: Order, rows_max: u32) -> Result<ReplicaPage, FetchFailure>
//     (at least one row if there is any; bounded in bytes too: then has_more)
// Mutations are plain structs that implement store::commit::Mutation and go through
// commits::Commits::submit, which every other part shares.

use bytes::Bytes;
use repair::version::{Siblings, StampError};

/// Why the store did not stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StampFailure {
    /// The row refuses the statement, or the replica must learn more first.
    Row(StampError),
    /// Too many writes are waiting.
    Overloaded,
    /// The disk is nearly full.
    NoSpace,
    /// The store failed; whether the write is logged is unknown.
    Store,
}

/// What one replica has in a stretch of a partition, in the order of the read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaPage {
    /// Keys and rows.
    pub rows: Vec<(Bytes, Siblings)>,
    /// Whether there may be more behind the last.
    pub has_more: bool,
}
