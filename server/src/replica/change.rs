//! What a client's write does on one copy.
//!
//! Callers: the coordinator makes changes, [`Replica::write`](super::Replica::write) carries them
//! out. Pure.

use bytes::Bytes;
use repair::cells::{self, Kind, kind_of};
use repair::version::{self, ColumnChange, Write};

use crate::store::keys::RowKey;

/// What a client's write does to one row of a partition, or to a stretch of it.
#[expect(clippy::large_enum_variant, reason = "few of them live, and each for one statement")]
#[derive(Debug, Clone)]
pub enum Change {
    /// A change of a row of a siblings table: it gets a dot.
    Versioned {
        /// The row.
        key: RowKey,
        /// What it does.
        write: Write,
    },
    /// Cells and tombstones of a last-write-wins table, merged without a read.
    Cells {
        /// The key of the row, or the partition's prefix for range tombstones.
        key: Bytes,
        /// An encoded [`cells::Row`] or [`cells::Ranges`].
        operand: Bytes,
    },
}

impl Change {
    /// The key under which it is stored.
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Versioned { key, .. } => key.as_bytes(),
            Self::Cells { key, .. } => key,
        }
    }

    /// Whether the operand of blind changes can be read: a store takes in nothing else.
    pub(super) fn is_readable(&self) -> bool {
        match self {
            Self::Versioned { .. } => true,
            Self::Cells { operand, .. } => {
                cells::Row::decode(operand).is_ok() || cells::Ranges::decode(operand).is_ok()
            }
        }
    }

    pub(super) fn is_removal(&self) -> bool {
        match self {
            Self::Versioned { write, .. } => matches!(write.change, version::Change::Remove),
            Self::Cells { operand, .. } => removes_only(operand),
        }
    }

    /// About how many bytes the change adds to its row.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Versioned { key, write } => key.as_bytes().len() + change_size(&write.change),
            Self::Cells { key, operand } => key.len() + operand.len(),
        }
    }
}

/// Whether cells or tombstones take away only.
pub(super) fn removes_only(operand: &Bytes) -> bool {
    match kind_of(operand) {
        Some(Kind::Ranges) => true,
        _ => cells::Row::decode(operand).is_ok_and(|row| row.is_removal()),
    }
}

fn change_size(change: &version::Change) -> usize {
    match change {
        version::Change::Insert { columns, .. } => columns.as_bytes().len(),
        version::Change::Update(columns) => columns.values().map(column_size).sum(),
        version::Change::Remove => 0,
    }
}

fn column_size(change: &ColumnChange) -> usize {
    match change {
        ColumnChange::Set { value: bytes, .. }
        | ColumnChange::SetAdd { elements: bytes, .. }
        | ColumnChange::SetRemove { elements: bytes, .. }
        | ColumnChange::ListAdd { elements: bytes, .. }
        | ColumnChange::ListRemove { elements: bytes, .. } => bytes.len(),
        ColumnChange::ListPut { places, .. } => {
            places.values().flatten().map(|element| element.len() + 4).sum()
        }
        ColumnChange::MapPut { removed, entries, .. } => removed.len() + entries.len(),
        ColumnChange::Clear => 0,
    }
}
