//! One row as a copy holds it, or several copies merged.
//!
//! The merge is a join whatever the table's conflict mode is: replicas may be merged in any order,
//! any number of times. Callers: reads, here and in the coordinator. Pure.

use bytes::Bytes;
use repair::cells;
use repair::version::{DecodeError, Siblings};

use crate::metadata::Conflict;

/// What one copy, or several merged ones, know of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowCopy {
    /// A row of a siblings table.
    Siblings(Siblings),
    /// A row of a last-write-wins table.
    Cells(cells::Row),
}

impl RowCopy {
    /// A row of which nothing is known.
    pub fn new(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Siblings => Self::Siblings(Siblings::default()),
            Conflict::Lww => Self::Cells(cells::Row::default()),
        }
    }

    /// Reads a row as it is stored or was sent.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are no row of a table of that conflict mode.
    pub fn decode(_: Conflict, bytes: &Bytes) -> Result<Self, DecodeError> {
        Siblings::decode(bytes).map(Self::Siblings)
    }

    /// The row as it is stored and sent.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Siblings(row) => row.encode(),
            Self::Cells(row) => row.encode(),
        }
    }

    /// Takes in what another copy of the row knows.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Siblings(row), Self::Siblings(other)) => drop(row.merge(other)),
            (Self::Cells(row), Self::Cells(other)) => row.merge(other),
            // A table keeps its mode for life, so no two copies differ in it.
            (Self::Siblings(_), Self::Cells(_)) | (Self::Cells(_), Self::Siblings(_)) => {}
        }
    }

    /// The row of a siblings table; none in a table of another mode.
    pub fn as_siblings(&self) -> Option<&Siblings> {
        match self {
            Self::Siblings(row) => Some(row),
            Self::Cells(_) => None,
        }
    }

    /// The row of a siblings table itself; none in a table of another mode.
    pub fn into_siblings(self) -> Option<Siblings> {
        match self {
            Self::Siblings(row) => Some(row),
            Self::Cells(_) => None,
        }
    }
}
