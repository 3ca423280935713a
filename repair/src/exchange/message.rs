//! What the two sides of an exchange say to each other.
//!
//! Variants are only ever appended. Rows travel as they are stored.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bucket::Bucket;
use crate::merkle::Digest;

/// A part of some buckets, which need not be neighbours: keys behind `after`, up to `until`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stretch {
    /// The buckets, ascending.
    pub buckets: Vec<Bucket>,
    /// Only what comes behind this key; none: from the first.
    pub after: Option<Bytes>,
    /// Only what comes up to this key, itself included; none: to the last.
    pub until: Option<Bytes>,
}

/// What the peer is asked, about one life of a table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Question {
    /// Which of these partitions differ, and what are your leaves of those? Trust no digest of your
    /// own that is older than so many milliseconds.
    Roots {
        /// How old a digest may be.
        age_max_ms: u64,
        /// The number of each partition, and the root here.
        roots: Vec<(u16, Digest)>,
    },
    /// The digests of these buckets, as they are now.
    Buckets(Vec<Bucket>),
    /// The digests of the rows of a stretch, in the order of their keys, as many as a page holds.
    Page(Stretch),
    /// The rows of a stretch that have one of these digests.
    Pull {
        /// Where they lie.
        stretch: Stretch,
        /// Their digests.
        wanted: Vec<Digest>,
        /// Whether their keys are enough.
        keys_only: bool,
    },
}

/// What the peer answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The leaves of the partitions whose roots differ.
    Leaves(Vec<(u16, Vec<Digest>)>),
    /// The digests of the buckets, in the order in which they were asked for.
    Digests(Vec<Digest>),
    /// A page.
    Page {
        /// The digests of its rows, in the order of their keys.
        digests: Vec<Digest>,
        /// The last key of the page where there may be more behind it.
        until: Option<Bytes>,
    },
    /// Rows.
    Rows {
        /// Keys and stored values; no values where keys were asked for.
        rows: Vec<(Bytes, Bytes)>,
        /// The last key that was looked at where there may be more behind it.
        until: Option<Bytes>,
    },
}
