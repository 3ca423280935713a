//! What a statement asks of the cluster: text that was parsed, and a schema, become a plan.
//!
//! ```text
//! sql::Statement + Snapshot --prepare--> Prepared --bind (values, clocks, limits)--> Plan
//! ```
//!
//! A [`Prepared`] holds for one epoch of the metadata, and is bound as often as it is executed. A
//! [`Plan`] says which rows to read or write, at which level, and how the answer is shown; it does
//! none of it. Law: whatever is wrong with a statement that can be known before a replica is asked
//! is refused here, by a [`PlanError`] that names it and knows its code in the protocol.
//!
//! What clients carry around — contexts and paging states — is sealed and opened here (`seal`), and
//! nowhere else are its bytes looked at. The system tables are answered here too, out of the same
//! snapshot (`system`). Callers: `front`. Pure: no I/O, no clock, no randomness.

mod answer;
mod assign;
mod batch;
mod bind;
mod catalog;
mod cells;
mod changes;
mod ddl;
mod delete;
mod error;
mod functions;
mod insert;
mod key;
mod page;
mod prepared;
mod project;
mod remove;
mod seal;
mod select;
mod system;
mod total;
mod update;
mod using;
mod write;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use repair::version::VersionVector;
use types::Consistency;

pub use answer::{Answer, DamagedKey};
pub use batch::bind_batch;
pub use changes::{Changes, ChangesOp, ChangesRead};
pub use ddl::DefinitionError;
pub use error::PlanError;
pub use page::{Page, PageOp, Round};
pub use prepared::{BindContext, Limits, LocalNode, Prepared, prepare};
pub use remove::{Removal, RemoveOp};
pub use seal::SealError;
pub use system::{CQL_VERSION, RELEASE_VERSION};

use crate::metadata::{Change, Table};
use crate::store::engine::Order;
use crate::store::keys::RowKey;

/// What to do for one execution of a statement.
#[derive(Debug, Clone)]
pub enum Plan {
    /// Nothing at all; it is done.
    Nothing,
    /// The session's keyspace is this one from now on.
    Use(String),
    /// Ask the register for a change of the schema.
    Schema(Box<SchemaPlan>),
    /// Take all rows of a table away.
    Truncate(Box<TruncatePlan>),
    /// Write rows.
    Write(Box<WritePlan>),
    /// Read one row.
    ReadRow(Box<ReadRowPlan>),
    /// Read one page of some stretches of partitions.
    ReadPartition(Box<ReadPartitionPlan>),
    /// Answer with these rows; nobody has to be asked.
    Rows(LocalRows),
}

/// A change of the schema.
///
/// Whether what it creates exists already, or what it drops does not, is for the register to say:
/// this node may be behind.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaPlan {
    /// What to ask the register for.
    pub change: Change,
    /// What to answer when the register has made a new value of it; without one the answer is void.
    pub event: wire::SchemaChange,
}

/// The end of all rows of a table; whether there is such a table is for the register to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TruncatePlan {
    /// The keyspace of the table.
    pub keyspace: String,
    /// Its name.
    pub table: String,
}

/// What a statement or a batch writes, and the answer.
#[derive(Debug, Clone)]
pub struct WritePlan {
    /// Says what to read first, and then what to write.
    pub changes: ChangesOp,
    /// The row that is shown after the write, and how; none without RETURNING.
    pub returning: Option<(RowKey, Answer)>,
}

/// A read of one row: the parts of a [`RowRead`](crate::coord::RowRead), and the answer.
#[derive(Debug, Clone)]
pub struct ReadRowPlan {
    /// The table.
    pub table: Arc<Table>,
    /// The row.
    pub key: RowKey,
    /// How many replicas the client waits for.
    pub level: Consistency,
    /// What the answer must have seen.
    pub at_least: Option<VersionVector>,
    /// How the row is shown.
    pub answer: Answer,
}

/// A read of one page: the parts of [`RangeRead`](crate::coord::RangeRead)s, one for each round.
#[derive(Debug, Clone)]
pub struct ReadPartitionPlan {
    /// The table.
    pub table: Arc<Table>,
    /// Whether to read from the last row to the first.
    pub order: Order,
    /// How many replicas the client waits for.
    pub level: Consistency,
    /// Says what to read, gathers the rows, and shows them.
    pub page: PageOp,
}

/// Rows that are known without asking anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalRows {
    /// The columns of the result.
    pub columns: wire::Columns,
    /// The cells of each row, as many as there are columns.
    pub rows: Vec<Vec<Option<Bytes>>>,
}

impl LocalRows {
    /// Appends all rows to a result of [`Self::columns`].
    pub fn write(&self, out: &mut wire::RowsWriter<'_>) {
        for cell in self.rows.iter().flatten() {
            out.cell(cell.as_deref());
        }
    }
}

/// The id of a prepared statement: the same on every node and after every restart.
///
/// It follows from the text as it was sent and the session's keyspace, which decides what a name
/// without keyspace means.
pub fn prepared_id(keyspace: Option<&str>, text: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    if let Some(keyspace) = keyspace {
        // No name is as long as to reach the other form: a length, or all ones for "none".
        hasher.update(&(keyspace.len() as u64).to_be_bytes());
        hasher.update(keyspace.as_bytes());
    } else {
        hasher.update(&u64::MAX.to_be_bytes());
    }
    hasher.update(text.as_bytes());
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    id
}
