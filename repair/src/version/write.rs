//! A client's write of one row, as a replica gets it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::CqlType;

use super::{Columns, Expiry, VersionVector};

/// A write of one row, with all that the replica needs to carry it out.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// What the writer has seen of the row. Empty when it has read nothing: then the write is
    /// concurrent with everything, and replaces nothing.
    pub context: VersionVector,
    /// What it does.
    pub change: Change,
    /// The time of day, in microseconds since the Unix epoch: what is over by then is not seen.
    pub now: i64,
    /// The time of the write by the hybrid logical clock, in microseconds since the Unix epoch.
    pub write_time: i64,
    /// How many versions it may leave.
    pub limits: SiblingLimits,
}

/// What a write does to the versions that its writer has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// Puts a version of these columns in their place.
    Insert {
        /// The columns that are not null.
        columns: Columns,
        /// How long the row lives without any column.
        marker: Expiry,
    },
    /// Puts a version in their place that has all their columns but for these.
    Update(BTreeMap<u32, ColumnChange>),
    /// Removes them. The write leaves its dot, and no version under it.
    ///
    /// A removal by somebody who has read nothing does nothing: the statement reads first.
    Remove,
}

/// What UPDATE does to one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ColumnChange {
    /// Gives it a value.
    Set {
        /// The serialized value, in the canonical form of its type.
        value: Bytes,
        /// When the column becomes null.
        expiry: Expiry,
    },
    /// Makes it null.
    Clear,
    /// Adds elements to a set.
    SetAdd {
        /// A serialized set of them.
        elements: Bytes,
        /// The type of an element.
        of: CqlType,
        /// When they are to go. A set goes as a whole, and never before any of its elements: the
        /// later of this and of the set's own expiry counts.
        expiry: Expiry,
    },
    /// Takes elements out of a set, whose expiry stays.
    SetRemove {
        /// A serialized set of them.
        elements: Bytes,
        /// The type of an element.
        of: CqlType,
    },
    /// Adds elements to a list.
    ListAdd {
        /// A serialized list of them.
        elements: Bytes,
        /// Before or after those that are there.
        end: ListEnd,
        /// The type of an element.
        of: CqlType,
        /// When they are to go; as with [`SetAdd`](Self::SetAdd), the list goes as a whole.
        expiry: Expiry,
    },
    /// Takes all elements out of a list that are equal to one of some others. Its expiry stays.
    ListRemove {
        /// A serialized list of them.
        elements: Bytes,
        /// The type of an element.
        of: CqlType,
    },
    /// Puts other elements into places of a list, or takes what is there out of it.
    ListPut {
        /// By place, counted from 0 in the list as it was; none takes out.
        places: BTreeMap<i32, Option<Bytes>>,
        /// The type of an element.
        of: CqlType,
        /// When the elements put are to go; as with [`SetAdd`](Self::SetAdd), the list goes as a
        /// whole.
        expiry: Expiry,
    },
    /// Takes entries out of a map, then puts some into it.
    MapPut {
        /// A serialized set of the keys to take out, be it empty.
        removed: Bytes,
        /// A serialized map of the entries to put, be it empty.
        entries: Bytes,
        /// The types of a key and of a value.
        of: (CqlType, CqlType),
        /// When the entries put are to go; as with [`SetAdd`](Self::SetAdd), the map goes as a
        /// whole.
        expiry: Expiry,
    },
}

/// Where elements join a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListEnd {
    /// Before its first element.
    Front,
    /// After its last element.
    Back,
}

impl ColumnChange {
    /// Whether the outcome depends on what the column was before.
    pub(super) fn needs_base(&self) -> bool {
        !matches!(self, Self::Set { .. } | Self::Clear)
    }

    /// Whether something comes into the column, whose expiry then counts.
    pub(super) fn adds(&self) -> bool {
        match self {
            Self::Set { .. } | Self::SetAdd { .. } | Self::ListAdd { .. } => true,
            Self::ListPut { places, .. } => places.values().any(Option::is_some),
            Self::MapPut { entries, .. } => entries[..] != [0; 4],
            Self::Clear | Self::SetRemove { .. } | Self::ListRemove { .. } => false,
        }
    }
}

/// How many versions of a row a client's write may leave, expired ones counted with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiblingLimits {
    /// From here on the client is warned.
    pub warn: usize,
    /// A write that leaves more than these, and more than there were, is refused.
    pub max: usize,
}

impl Default for SiblingLimits {
    fn default() -> Self {
        Self { warn: 25, max: 100 }
    }
}
