//! Why an operation was not promised to the client.

use repair::version::StampError;
use ring::{Tally, Unavailable};
use serde::{Deserialize, Serialize};
use types::Consistency;

/// Why a write was not promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Too few replicas are alive. Nothing was written.
    #[error("{alive} of {required} replicas are alive for consistency {level}")]
    Unavailable {
        /// The level that was asked for.
        level: Consistency,
        /// How many replicas it needs.
        required: u32,
        /// How many are alive.
        alive: u32,
    },
    /// Too few replicas acknowledged in time. The write may live on.
    #[error("{received} of {required} replicas acknowledged in time for consistency {level}")]
    Timeout {
        /// The level that was asked for.
        level: Consistency,
        /// How many acknowledged.
        received: u32,
        /// How many it needs.
        required: u32,
    },
    /// The statement cannot be carried out on the row as it is. Nothing was written.
    #[error(transparent)]
    Invalid(#[from] RowError),
    /// The stamping node, or every replica, has too much to do. Nothing was written.
    #[error("overloaded: too many writes are waiting")]
    Overloaded,
    /// The disk of the stamping node, or of every replica, is nearly full. Nothing was written.
    #[error("disk nearly full on a node that the write needs")]
    NoSpace,
    /// The stamping node's store may deal out no epoch now: no peer has said yet which ones it saw,
    /// or its lease is used up. Nothing was written, and another replica may stamp the write.
    #[error("no live replica may take the write now: each has just started, or waits for a lease")]
    NotReady,
    /// The stamping node cannot read its copy of the row. Nothing was written.
    #[error("the row is damaged on a node that the write needs")]
    Damaged,
    /// The stamping node's store failed. The write may live on.
    #[error("the store of a node that the write needs failed")]
    Store,
    /// The table was truncated, dropped or replaced since the statement was planned. Whatever was
    /// written is gone with it: the statement is to be planned again.
    #[error("the table has changed since the statement was planned")]
    Outdated,
}

/// Why a row refuses a statement. What the row itself says, without the replica's part in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The versions that the context covers differ in columns that the statement does not set.
    #[error("the versions of the row differ in columns that the statement does not set")]
    BasesDiffer {
        /// The ids of those columns.
        columns: Vec<u32>,
    },
    /// The row has as many versions as it may.
    #[error("row has {siblings} siblings: read context(), then write USING CONTEXT")]
    TooManySiblings {
        /// How many it has.
        siblings: usize,
    },
    /// A collection cannot take the elements.
    #[error("the collection of column {column} cannot take the elements")]
    Set {
        /// The column's id.
        column: u32,
    },
    /// A list has no such place.
    #[error("List index {index} out of bound, list has size {len}")]
    ListIndex {
        /// The column's id.
        column: u32,
        /// The place, counted from 0.
        index: i32,
        /// How many elements the list has.
        len: usize,
    },
    /// The context claims more writes than can be counted.
    #[error("the context leaves no number for another write")]
    Counter,
}

impl RowError {
    /// What the client is told of a refusal; none where the replica only has to learn more.
    pub fn of(error: &StampError) -> Option<Self> {
        Some(match error {
            StampError::MissingHistory => return None,
            StampError::BasesDiffer { columns } => Self::BasesDiffer { columns: columns.clone() },
            StampError::TooManySiblings { siblings } => {
                Self::TooManySiblings { siblings: *siblings }
            }
            StampError::Set { column, .. } => Self::Set { column: *column },
            StampError::ListIndex { column, index, len } => {
                Self::ListIndex { column: *column, index: *index, len: *len }
            }
            _ => Self::Counter,
        })
    }
}

impl From<Unavailable> for WriteError {
    fn from(error: Unavailable) -> Self {
        let Unavailable { level, required, alive } = error;
        Self::Unavailable { level, required, alive }
    }
}

impl From<Unavailable> for ReadError {
    fn from(error: Unavailable) -> Self {
        let Unavailable { level, required, alive } = error;
        Self::Unavailable { level, required, alive }
    }
}

impl ReadError {
    /// Too few of those that `tally` counts have answered.
    pub(super) fn timeout(tally: &Tally) -> Self {
        let (level, received, required) = (tally.level(), tally.received(), tally.required());
        Self::Timeout { level, received, required }
    }

    /// Of those that `answered` counts enough have answered, and too few have the merged row on disk,
    /// as `repaired` counts: so a later read might miss it.
    pub(super) fn unrepaired(answered: &Tally, repaired: &Tally) -> Self {
        let (level, required) = (answered.level(), answered.required());
        Self::Timeout { level, received: repaired.received(), required }
    }

    /// Of those that `tally` counts enough have answered, and none has seen all of the context.
    pub(super) fn behind(tally: &Tally) -> Self {
        let (level, received, required) = (tally.level(), tally.received(), tally.required());
        Self::Behind { level, received, required }
    }
}

impl WriteError {
    /// Too few of those that `tally` counts have acknowledged.
    pub(super) fn timeout(tally: &Tally) -> Self {
        let (level, received, required) = (tally.level(), tally.received(), tally.required());
        Self::Timeout { level, received, required }
    }

    /// Whether some replica may hold the write already: the one thing a caller must know.
    pub fn may_have_applied(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Store)
    }
}

/// Where nobody can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PlaceError {
    /// Too few replicas are alive.
    Unavailable(Unavailable),
    /// The table was truncated, dropped or replaced since the statement was planned.
    Outdated,
}

impl From<PlaceError> for WriteError {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Unavailable(unavailable) => unavailable.into(),
            PlaceError::Outdated => Self::Outdated,
        }
    }
}

impl From<PlaceError> for ReadError {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Unavailable(unavailable) => unavailable.into(),
            PlaceError::Outdated => Self::Outdated,
        }
    }
}

/// Why a read has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Too few replicas are alive.
    #[error("{alive} of {required} replicas are alive for consistency {level}")]
    Unavailable {
        /// The level that was asked for.
        level: Consistency,
        /// How many replicas it needs.
        required: u32,
        /// How many are alive.
        alive: u32,
    },
    /// Too few replicas answered in time.
    #[error("{received} of {required} replicas answered in time for consistency {level}")]
    Timeout {
        /// The level that was asked for.
        level: Consistency,
        /// How many answered.
        received: u32,
        /// How many it needs.
        required: u32,
    },
    /// No node that can be asked has seen all that the client's context names.
    #[error("no live replica has seen all that the context names")]
    Behind {
        /// The level that was asked for.
        level: Consistency,
        /// How many answered.
        received: u32,
        /// How many it needs.
        required: u32,
    },
    /// The table was truncated, dropped or replaced since the statement was planned, which is to be
    /// planned again.
    #[error("the table has changed since the statement was planned")]
    Outdated,
}
