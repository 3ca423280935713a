//! What the coordinator is asked to do, with rows of one keyspace.
//!
//! Callers: the planner, which says it, and the coordinator. Pure.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use repair::version::{VersionVector, Write};
use ring::Token;
use types::Consistency;

use crate::metadata::Table;
use crate::store::engine::{KeyRange, Order};
use crate::store::keys::RowKey;

/// A write of rows that have one partition key, in tables of one keyspace: atomic on each replica.
#[derive(Debug, Clone)]
pub struct PartitionWrite {
    /// Where the partition lies on the ring.
    pub token: Token,
    /// What it does to which rows, in this order; at least one.
    pub changes: Vec<RowChange>,
    /// How many replicas the client waits for.
    pub level: Consistency,
}

/// What a write does to one row, or to a stretch of its partition.
#[expect(clippy::large_enum_variant, reason = "few of them live, and each for one statement")]
#[derive(Debug, Clone)]
pub enum RowChange {
    /// A change of a row of a siblings table, which a replica stamps.
    Versioned {
        /// The table.
        table: Arc<Table>,
        /// The row.
        key: RowKey,
        /// What it does.
        write: Write,
        /// Whether the statement is a DELETE without context, which reads the row first.
        reads_first: bool,
    },
    /// Cells and tombstones of a last-write-wins table, which replicas merge as they are.
    Cells {
        /// The table.
        table: Arc<Table>,
        /// The key of the row, or the partition's prefix for what lies between rows.
        key: Bytes,
        /// What is merged into what is stored there.
        operand: Bytes,
    },
}

/// A read of one row.
#[derive(Debug, Clone)]
pub struct RowRead {
    /// The table.
    pub table: Arc<Table>,
    /// The row.
    pub key: RowKey,
    /// How many replicas the client waits for.
    pub level: Consistency,
    /// What the answer must have seen.
    pub at_least: Option<VersionVector>,
}

/// A read of a stretch of keys: within one partition, or over a part of the ring.
#[derive(Debug, Clone)]
pub struct RangeRead {
    /// The table.
    pub table: Arc<Table>,
    /// The tokens of the stretch: one where it lies within one partition, more for a scan.
    pub tokens: RangeInclusive<Token>,
    /// The keys to read.
    pub range: KeyRange,
    /// How many rows are wanted: each replica is asked for so many.
    pub rows_max: u32,
    /// Whether to read from the last row to the first; a scan reads forwards.
    pub order: Order,
    /// How many replicas the client waits for.
    pub level: Consistency,
}

/// How long operations may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A read.
    pub read: Duration,
    /// A write.
    pub write: Duration,
}

impl PartitionWrite {
    /// The tables that it writes to, one for each change.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.changes.iter().map(|change| change.table().as_ref())
    }

    /// Whether it is of cells only, so that nothing is to be stamped.
    pub fn is_blind(&self) -> bool {
        self.changes.iter().all(|change| matches!(change, RowChange::Cells { .. }))
    }
}

impl RowChange {
    /// The table of the row.
    pub fn table(&self) -> &Arc<Table> {
        match self {
            Self::Versioned { table, .. } | Self::Cells { table, .. } => table,
        }
    }

    /// Whether it is a DELETE without context, which reads the row first.
    pub fn reads_first(&self) -> bool {
        matches!(self, Self::Versioned { reads_first: true, .. })
    }

    /// The key under which the change is stored.
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Versioned { key, .. } => key.as_bytes(),
            Self::Cells { key, .. } => key,
        }
    }
}
