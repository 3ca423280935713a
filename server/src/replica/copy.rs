//! One row as a copy holds it, or several copies merged.
//!
//! The merge is a join whatever the table's conflict mode is: replicas may be merged in any order,
//! any number of times. Callers: reads, here and in the coordinator. Pure.

use bytes::Bytes;
use repair::version::Siblings;
use repair::{cells, version};

use crate::metadata::Conflict;

/// What one copy, or several merged ones, know of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowCopy {
    /// A row of a siblings table.
    Siblings(Siblings),
    /// A row of a last-write-wins table.
    Cells(cells::Row),
}

/// A digest of a whole row, as reads compare them: the first 16 bytes of its BLAKE3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowDigest(pub [u8; 16]);

/// Why bytes are no row of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// They are no row of a siblings table.
    #[error(transparent)]
    Siblings(#[from] version::DecodeError),
    /// They are no row of a last-write-wins table.
    #[error(transparent)]
    Cells(#[from] cells::DecodeError),
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
    /// [`CopyError`] where the bytes are no row of a table of that conflict mode.
    pub fn decode(conflict: Conflict, bytes: &Bytes) -> Result<Self, CopyError> {
        Ok(match conflict {
            Conflict::Siblings => Self::Siblings(Siblings::decode(bytes)?),
            Conflict::Lww => Self::Cells(cells::Row::decode(bytes)?),
        })
    }

    /// The row as it is stored and sent.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Siblings(row) => row.encode(),
            Self::Cells(row) => row.encode(),
        }
    }

    /// A digest of the row as it is stored and sent: equal rows have equal ones.
    pub fn digest(&self) -> RowDigest {
        let hash = blake3::hash(&self.encode());
        let (digest, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        RowDigest(*digest)
    }

    /// Takes in what another copy of the row knows.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Siblings(row), Self::Siblings(other)) => drop(row.merge(other)),
            (Self::Cells(row), Self::Cells(other)) => row.merge(other),
            // A table keeps its mode for life, and its copies are decoded by it.
            (Self::Siblings(_), Self::Cells(_)) | (Self::Cells(_), Self::Siblings(_)) => {}
        }
    }

    /// Whether nothing is known of the row, not even that it was deleted.
    pub fn is_unwritten(&self) -> bool {
        match self {
            Self::Siblings(row) => row.is_unwritten(),
            Self::Cells(row) => row.is_unwritten(),
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

    /// The row of a last-write-wins table; none in a table of another mode.
    pub fn as_cells(&self) -> Option<&cells::Row> {
        match self {
            Self::Siblings(_) => None,
            Self::Cells(row) => Some(row),
        }
    }

    /// The row of a last-write-wins table itself; none in a table of another mode.
    pub fn into_cells(self) -> Option<cells::Row> {
        match self {
            Self::Siblings(_) => None,
            Self::Cells(row) => Some(row),
        }
    }
}
