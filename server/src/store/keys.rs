//! The keys of stored rows, and the ranges of them that hold a table, some tokens or a partition.
//!
//! Keys sort by table, then by the table's epoch, then clockwise around the ring, then by
//! partition and within it in clustering order: so a table, a slice of the ring and a partition
//! are each one contiguous scan.
//!
//! ```text
//! table u32 | epoch u32 | token u64, sign flipped | partition key | clustering columns
//! big endian  big endian  big endian                00 -> 00 FF,    in the order of their
//!                                                   ends in 00 01   types (types::key)
//! ```
//!
//! Callers: whoever reads or writes rows. Pure.

use std::ops::{Bound, RangeInclusive};

use bytes::Bytes;
use repair::bucket::Slice;
use ring::Token;
use types::key::{decode_bytes, encode_bytes};

use super::engine::KeyRange;

/// Table, epoch and token: what stands in front of the partition key.
const HEAD: usize = 4 + 4 + 8;
const SIGN: u64 = 1 << 63;

/// One life of a table: TRUNCATE and DROP end it, and the rows of an ended life are gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TableLife {
    /// The table.
    pub table: u32,
    /// The table's epoch.
    pub epoch: u32,
}

impl TableLife {
    /// The life that a key of a row names; none where it is too short to.
    pub fn of_key(key: &[u8]) -> Option<Self> {
        let (table, rest) = key.split_first_chunk()?;
        let epoch = rest.first_chunk()?;
        Some(Self { table: u32::from_be_bytes(*table), epoch: u32::from_be_bytes(*epoch) })
    }

    /// All rows of this life of the table.
    pub fn range(self) -> KeyRange {
        KeyRange::prefix(self.prefix(0))
    }

    /// All rows of all lives of `table`.
    pub fn range_of_table(table: u32) -> KeyRange {
        KeyRange::prefix(table.to_be_bytes().to_vec())
    }

    /// The rows whose tokens lie from the first to the last of `tokens`, both included.
    pub fn range_of_tokens(self, tokens: &RangeInclusive<Token>) -> KeyRange {
        let start = self.with_token(*tokens.start(), 0);
        // Where the last token ends: in the next token, the next epoch or the next table.
        let last = KeyRange::prefix(self.with_token(*tokens.end(), 0));
        match last.end() {
            Some(end) => KeyRange::between(start, end.clone()),
            None => KeyRange::from(start),
        }
    }

    fn prefix(self, more: usize) -> Vec<u8> {
        let mut key = Vec::with_capacity(8 + more);
        key.extend_from_slice(&self.table.to_be_bytes());
        key.extend_from_slice(&self.epoch.to_be_bytes());
        key
    }

    fn with_token(self, token: Token, more: usize) -> Vec<u8> {
        let mut key = self.prefix(8 + more);
        key.extend_from_slice(&(token.value().cast_unsigned() ^ SIGN).to_be_bytes());
        key
    }
}

/// What the keys of all rows of one partition begin with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionPrefix(Bytes);

impl PartitionPrefix {
    /// The prefix of the partition with this serialized key, whose token is `token`.
    pub fn new(life: TableLife, token: Token, partition_key: &[u8]) -> Self {
        // Room for the terminator and, in most cases, for a clustering column behind it.
        let mut key = life.with_token(token, partition_key.len() + 2 + 16);
        encode_bytes(partition_key, &mut key);
        Self(key.into())
    }

    /// The key of the row with these encoded clustering columns; none in a table without such.
    pub fn row(&self, clustering: &[u8]) -> RowKey {
        if clustering.is_empty() {
            return RowKey { bytes: self.0.clone(), clustering_at: self.0.len() };
        }
        let mut key = Vec::with_capacity(self.0.len() + clustering.len());
        key.extend_from_slice(&self.0);
        key.extend_from_slice(clustering);
        RowKey { bytes: key.into(), clustering_at: self.0.len() }
    }

    /// All rows of the partition.
    pub fn range(&self) -> KeyRange {
        KeyRange::prefix(self.0.clone())
    }

    /// The rows between two bounds, each the encoding of the first clustering columns: one that
    /// is included takes in every row which begins with it, one that is excluded none of them.
    pub fn range_of_clustering(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> KeyRange {
        let prefix = |clustering: &[u8]| KeyRange::prefix(self.row(clustering).bytes);
        let whole = self.range();
        let start = match from {
            Bound::Included(clustering) => Some(prefix(clustering).start().clone()),
            Bound::Excluded(clustering) => prefix(clustering).end().cloned(),
            Bound::Unbounded => Some(self.0.clone()),
        };
        let end = match to {
            Bound::Included(clustering) => prefix(clustering).end().cloned(),
            Bound::Excluded(clustering) => Some(prefix(clustering).start().clone()),
            Bound::Unbounded => whole.end().cloned(),
        };
        let start = start.expect("a partition's keys hold a byte below FF in their terminator");
        let end = end.expect("a partition's keys hold a byte below FF in their terminator");
        KeyRange::between(start, end)
    }

    /// The bytes themselves.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

/// Why bytes are no key of a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowKeyError {
    /// It ends before its partition key.
    #[error("a row key of {len} bytes is too short")]
    TooShort {
        /// How long it is.
        len: usize,
    },
    /// Its partition key cannot be read back.
    #[error("the partition key of a row key: {0}")]
    PartitionKey(#[from] types::key::KeyError),
}

/// The key of one stored row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RowKey {
    bytes: Bytes,
    clustering_at: usize,
}

impl RowKey {
    /// The key of the row with these encoded clustering columns in the partition with this
    /// serialized key, whose token is `token`.
    pub fn new(life: TableLife, token: Token, partition_key: &[u8], clustering: &[u8]) -> Self {
        PartitionPrefix::new(life, token, partition_key).row(clustering)
    }

    /// Reads a key as it is stored or was sent; the clustering columns are not looked at.
    pub fn read(bytes: impl Into<Bytes>) -> Result<Self, RowKeyError> {
        let bytes = bytes.into();
        let mut rest = bytes.get(HEAD..).ok_or(RowKeyError::TooShort { len: bytes.len() })?;
        decode_bytes(&mut rest)?;
        let clustering_at = bytes.len() - rest.len();
        Ok(Self { bytes, clustering_at })
    }

    /// The life of the table and the slice of the ring that a stored key names; none where it is too
    /// short to.
    pub fn slice_of(key: &[u8]) -> Option<(TableLife, Slice)> {
        let token = key.get(8..)?.first_chunk()?;
        Some((TableLife::of_key(key)?, Slice::of_place(u64::from_be_bytes(*token))))
    }

    /// The life of the table that the row belongs to.
    pub fn life(&self) -> TableLife {
        TableLife { table: self.head(0), epoch: self.head(4) }
    }

    /// Where the row lies on the ring.
    pub fn token(&self) -> Token {
        let flipped = u64::from(self.head(8)) << 32 | u64::from(self.head(12));
        Token::new((flipped ^ SIGN).cast_signed())
    }

    /// The serialized partition key.
    pub fn partition_key(&self) -> Vec<u8> {
        let mut escaped = &self.bytes[HEAD..self.clustering_at];
        decode_bytes(&mut escaped).expect("it was read or made when this value was")
    }

    /// What the keys of all rows of its partition begin with.
    pub fn partition(&self) -> PartitionPrefix {
        PartitionPrefix(self.bytes.slice(..self.clustering_at))
    }

    /// The encoded clustering columns.
    pub fn clustering(&self) -> &[u8] {
        &self.bytes[self.clustering_at..]
    }

    /// The key as it is stored.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn head(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.bytes[at..at + 4].try_into().expect("four bytes"))
    }
}

impl From<RowKey> for Bytes {
    fn from(key: RowKey) -> Self {
        key.bytes
    }
}

impl AsRef<[u8]> for RowKey {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIFE: TableLife = TableLife { table: 7, epoch: 2 };

    #[test]
    fn key_has_its_bytes_for_ever() {
        let key = RowKey::new(LIFE, Token::new(-2), b"a\0b", &[0x80, 0, 0, 5]);
        let golden = [
            0, 0, 0, 7, 0, 0, 0, 2, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, //
            b'a', 0, 0xff, b'b', 0, 1, //
            0x80, 0, 0, 5,
        ];
        assert_eq!(key.as_bytes().as_ref(), golden);
        let key = RowKey::new(LIFE, Token::MAX, b"", b"");
        let golden = [0, 0, 0, 7, 0, 0, 0, 2, 255, 255, 255, 255, 255, 255, 255, 255, 0, 1];
        assert_eq!(key.as_bytes().as_ref(), golden);
    }

    #[test]
    fn bytes_that_are_no_key_are_refused() {
        assert_eq!(RowKey::read(&[1; 15][..]), Err(RowKeyError::TooShort { len: 15 }));
        assert!(matches!(RowKey::read(&[1; 30][..]), Err(RowKeyError::PartitionKey(_))));
        assert!(matches!(RowKey::read(&[0; 30][..]), Err(RowKeyError::PartitionKey(_))));
    }

    #[test]
    fn clustering_bounds_take_whole_prefixes_in_or_leave_them_out() {
        let partition = PartitionPrefix::new(LIFE, Token::new(1), b"p");
        let inside = |range: &KeyRange, clustering: &[u8]| {
            range.contains(partition.row(clustering).as_bytes())
        };
        let range = partition.range_of_clustering(Bound::Included(b"b"), Bound::Included(b"d"));
        assert!(inside(&range, b"b") && inside(&range, b"b1") && inside(&range, b"d\xff"));
        assert!(!inside(&range, b"a\xff") && !inside(&range, b"e"));
        let range = partition.range_of_clustering(Bound::Excluded(b"b"), Bound::Excluded(b"d"));
        assert!(!inside(&range, b"b\xff") && inside(&range, b"c") && !inside(&range, b"d"));
        let range = partition.range_of_clustering(Bound::Unbounded, Bound::Unbounded);
        assert_eq!(range, partition.range());
        assert!(inside(&range, b"") && inside(&range, b"\xff\xff"));
    }

    #[test]
    fn last_token_of_the_last_table_has_a_range_without_end() {
        let last = TableLife { table: u32::MAX, epoch: u32::MAX };
        let range = last.range_of_tokens(&(Token::MAX..=Token::MAX));
        assert!(range.contains(RowKey::new(last, Token::MAX, b"k", b"c").as_bytes()));
        assert!(!range.contains(RowKey::new(last, Token::new(i64::MAX - 1), b"k", b"").as_bytes()));
    }

    fn parts() -> impl Strategy<Value = (u32, u32, i64, Vec<u8>, Vec<u8>)> {
        let number = prop_oneof![Just(0), Just(u32::MAX), 0..3_u32];
        let token = prop_oneof![Just(i64::MIN), Just(i64::MAX), -2..2_i64];
        let byte = || prop_oneof![Just(0_u8), Just(1), Just(255), any::<u8>()];
        let bytes = move || prop::collection::vec(byte(), 0..5);
        (number.clone(), number, token, bytes(), bytes())
    }

    fn key(
        (table, epoch, token, partition, clustering): &(u32, u32, i64, Vec<u8>, Vec<u8>),
    ) -> RowKey {
        let life = TableLife { table: *table, epoch: *epoch };
        RowKey::new(life, Token::new(*token), partition, clustering)
    }

    proptest! {
        #[test]
        fn key_is_read_back_as_the_parts_it_was_made_of(parts in parts()) {
            let made = key(&parts);
            let read = RowKey::read(made.as_bytes().clone()).unwrap();
            prop_assert_eq!(&read, &made);
            let life = read.life();
            let split = (life.table, life.epoch, read.token().value(), read.partition_key());
            prop_assert_eq!((split.0, split.1, split.2, split.3, read.clustering().to_vec()), parts);
            let slice = Slice::of(read.token());
            prop_assert_eq!(RowKey::slice_of(made.as_bytes()), Some((life, slice)));
        }

        #[test]
        fn keys_sort_as_their_parts_do(a in parts(), b in parts()) {
            prop_assert_eq!(key(&a).as_bytes().cmp(key(&b).as_bytes()), a.cmp(&b));
        }

        #[test]
        fn ranges_hold_exactly_what_their_names_say(a in parts(), b in parts(), last in parts()) {
            let (own, other) = (key(&a), key(&b));
            let life = own.life();
            let tokens = Token::new(a.2)..=Token::new(last.2);
            let cases = [
                (life.range(), (a.0, a.1) == (b.0, b.1)),
                (TableLife::range_of_table(a.0), a.0 == b.0),
                (own.partition().range(), (a.0, a.1, a.2, &a.3) == (b.0, b.1, b.2, &b.3)),
                (
                    life.range_of_tokens(&tokens),
                    (a.0, a.1) == (b.0, b.1) && tokens.contains(&other.token()),
                ),
            ];
            for (range, is_inside) in cases {
                prop_assert_eq!(range.contains(other.as_bytes()), is_inside);
            }
        }
    }
}
