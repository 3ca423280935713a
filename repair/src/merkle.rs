//! Digests of rows, of buckets of rows, and the tree over the buckets of a partition.
//!
//! Two replicas that hold the same rows have the same digests, and two that do not have not (but
//! for one chance in 2⁶⁴ among many rows). Law: a digest is of the bytes as they are stored, of
//! nothing else: no clock, no part of a row that is over or hidden.
//!
//! ```text
//! root                         of the tree over the leaves
//! ├── leaf = bucket            of the digests of its rows, in the order of their keys
//! │     ├── row                of its key and its stored value
//! │     └── row
//! └── leaf = empty bucket      zeros; a partition without buckets has one such leaf
//! ```
//!
//! Callers: replicas, which digest what they hold; [`exchange`](crate::exchange), which compares.
//! Pure.

use std::fmt;

use rs_merkle::{Hasher, PartialTree};
use serde::{Deserialize, Serialize};

/// How many bytes a digest has.
pub const DIGEST_LEN: usize = 16;

/// A digest of a row, a bucket or a partition. Zeros: of nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest([u8; DIGEST_LEN]);

impl Digest {
    /// Of no rows.
    pub const ZERO: Self = Self([0; DIGEST_LEN]);

    /// Of one row, from its key and its value as they are stored.
    pub fn of_row(key: &[u8], value: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(key.len() as u64).to_be_bytes());
        hasher.update(key);
        hasher.update(value);
        Self::of(&hasher)
    }

    /// The digest that has these bytes.
    pub const fn from_bytes(bytes: [u8; DIGEST_LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; DIGEST_LEN] {
        &self.0
    }

    fn of(hasher: &blake3::Hasher) -> Self {
        let whole = hasher.finalize();
        let (half, _) = whole.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        Self(*half)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The digest of a bucket, while its rows pass by.
#[derive(Clone, Debug, Default)]
pub struct BucketDigest {
    hasher: blake3::Hasher,
    rows: u64,
}

impl BucketDigest {
    /// The next row in the order of keys.
    pub fn push(&mut self, row: Digest) {
        self.hasher.update(&row.0);
        self.rows += 1;
    }

    /// How many rows have passed.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The digest of all that have passed; zeros of none.
    pub fn finish(&self) -> Digest {
        if self.rows == 0 { Digest::ZERO } else { Digest::of(&self.hasher) }
    }
}

/// The root of the tree over these buckets, in the order of their tokens.
///
/// Two trees can be compared only where they have equally many leaves: the digests of leaves and of
/// inner nodes are not told apart, and the last node of an odd layer moves up as it is.
pub fn root(leaves: &[Digest]) -> Digest {
    let leaves = if leaves.is_empty() { &[Digest::ZERO] } else { leaves };
    let tree = PartialTree::<Nodes>::from_leaves(leaves).ok();
    let root = tree.as_ref().and_then(PartialTree::root);
    *root.expect("a tree with leaves has a root")
}

/// How the nodes of a tree are made of those below them.
#[derive(Clone)]
struct Nodes;

impl Hasher for Nodes {
    type Hash = Digest;

    fn hash(data: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(data);
        Digest::of(&hasher)
    }

    fn concat_and_hash(left: &Digest, right: Option<&Digest>) -> Digest {
        let Some(right) = right else { return *left };
        let mut both = [0; 2 * DIGEST_LEN];
        both[..DIGEST_LEN].copy_from_slice(&left.0);
        both[DIGEST_LEN..].copy_from_slice(&right.0);
        Self::hash(&both)
    }
}

impl From<Digest> for Vec<u8> {
    fn from(digest: Digest) -> Self {
        digest.0.to_vec()
    }
}

impl TryFrom<Vec<u8>> for Digest {
    type Error = Vec<u8>;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Vec<u8>> {
        <[u8; DIGEST_LEN]>::try_from(bytes).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    fn hex(digest: Digest) -> String {
        digest.to_string()
    }

    #[test]
    fn digests_are_the_same_for_ever() {
        let row = Digest::of_row(b"key", b"value");
        assert_eq!(hex(row), "209d3f6cbae8c7a65ce7a92af7087581");
        let mut bucket = BucketDigest::default();
        bucket.push(row);
        assert_eq!(hex(bucket.finish()), "a3e70de458697852df7d6b2bba83acf7");
        assert_eq!(hex(root(&[row, Digest::ZERO, row])), "bdc9aad8b885641b474549abcd223157");
    }

    #[test]
    fn a_key_is_told_from_the_value_behind_it() {
        assert_ne!(Digest::of_row(b"ab", b"c"), Digest::of_row(b"a", b"bc"));
    }

    #[test]
    fn nothing_has_a_digest_of_zeros() {
        assert_eq!(BucketDigest::default().finish(), Digest::ZERO);
        assert_eq!(root(&[]), Digest::ZERO);
        assert_eq!(root(&[Digest::ZERO]), Digest::ZERO);
    }

    fn digests() -> impl Strategy<Value = Vec<Digest>> {
        vec(any::<u8>().prop_map(|byte| Digest([byte % 3; DIGEST_LEN])), 1..40)
    }

    proptest! {
        #[test]
        fn buckets_agree_exactly_where_their_rows_do(
            one in btree_map(any::<u8>(), any::<u8>(), 0..4),
            other in btree_map(any::<u8>(), any::<u8>(), 0..4),
        ) {
            let digest = |rows: &std::collections::BTreeMap<u8, u8>| {
                let mut bucket = BucketDigest::default();
                for (key, value) in rows {
                    bucket.push(Digest::of_row(&[*key], &[*value]));
                }
                (bucket.finish(), bucket.rows())
            };
            prop_assert_eq!(digest(&one) == digest(&other), one == other);
        }

        #[test]
        fn roots_of_equally_many_leaves_agree_exactly_where_the_leaves_do(
            leaves in digests(), at: prop::sample::Index, byte in 3..9_u8,
        ) {
            let mut other = leaves.clone();
            prop_assert_eq!(root(&leaves), root(&other));
            other[at.index(leaves.len())] = Digest([byte; DIGEST_LEN]);
            prop_assert_ne!(root(&leaves), root(&other));
        }
    }
}
