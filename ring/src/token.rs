//! Where a partition key lies: Cassandra's Murmur3 token.
//!
//! Drivers compute the same token and send a statement straight to a replica, so it must agree
//! with Cassandra's bit for bit. That is `MurmurHash3_x64_128` with seed 0 of the serialized key,
//! of which the first 64 bits count, with three deviations from the published hash:
//!
//! - the bytes of the last, incomplete block of 16 are taken as signed;
//! - `i64::MIN` becomes `i64::MAX`, so that no key of any length but zero lies at the minimum;
//! - the empty key lies at `i64::MIN`.
//!
//! ```text
//! PRIMARY KEY (a, c)       the bytes of a
//! PRIMARY KEY ((a, b), c)  len(a) a 00 len(b) b 00     each len a big-endian u16
//! ```
//!
//! Source: Austin Appleby's `MurmurHash3`; Apache Cassandra, `Murmur3Partitioner` and
//! `CompositeType`. Callers: whoever routes a statement or evaluates `token()`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place on the ring: the hash of a partition key. The ring closes from `MAX` to `MIN`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(i64);

impl Token {
    /// The first token; among keys only the empty one lies here.
    pub const MIN: Self = Self(i64::MIN);
    /// The last token.
    pub const MAX: Self = Self(i64::MAX);

    /// The token with this number, as `token()` shows it.
    pub const fn new(value: i64) -> Self {
        Self(value)
    }

    /// The token of a serialized partition key (see [`partition_key`]).
    pub fn of_key(key: &[u8]) -> Self {
        if key.is_empty() {
            return Self::MIN;
        }
        match murmur3(key).cast_signed() {
            i64::MIN => Self::MAX,
            hash => Self(hash),
        }
    }

    /// The token's number, as `token()` shows it.
    pub const fn value(self) -> i64 {
        self.0
    }

    /// Clockwise distance from `self` to `other`, in tokens; 0 when they are equal.
    pub const fn distance_to(self, other: Self) -> u64 {
        other.0.wrapping_sub(self.0).cast_unsigned()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The greatest length of a serialized partition key and of each of its components.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// Why bytes are no partition key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key or a component of it is longer than [`KEY_BYTES_MAX`].
    #[error("key length of {bytes} is longer than maximum of {KEY_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A serialized key does not consist of as many components as its table has key columns.
    #[error("a partition key of {bytes} bytes does not hold {columns} columns")]
    Malformed {
        /// Its length.
        bytes: usize,
        /// How many columns were looked for.
        columns: usize,
    },
}

/// The serialized partition key of a row: what is hashed, and what drivers call the routing key.
///
/// One column is its raw bytes. Of several each becomes its length (a big-endian `u16`), its
/// bytes and a zero byte.
///
/// # Errors
/// [`KeyError::TooLong`] when a column or the whole is longer than [`KEY_BYTES_MAX`].
pub fn partition_key<C: AsRef<[u8]>>(columns: &[C]) -> Result<Vec<u8>, KeyError> {
    if let [column] = columns {
        return checked(column.as_ref().to_vec());
    }
    let mut key = Vec::new();
    for column in columns {
        let column = column.as_ref();
        let len =
            u16::try_from(column.len()).map_err(|_| KeyError::TooLong { bytes: column.len() })?;
        key.extend_from_slice(&len.to_be_bytes());
        key.extend_from_slice(column);
        key.push(0);
    }
    checked(key)
}

fn checked(key: Vec<u8>) -> Result<Vec<u8>, KeyError> {
    if key.len() > KEY_BYTES_MAX {
        return Err(KeyError::TooLong { bytes: key.len() });
    }
    Ok(key)
}

/// The bytes of each column of a serialized partition key of `columns` columns: the inverse of
/// [`partition_key`].
///
/// # Errors
/// [`KeyError::Malformed`] when `key` is not exactly that many components.
pub fn partition_key_components(key: &[u8], columns: usize) -> Result<Vec<&[u8]>, KeyError> {
    if columns == 1 {
        return Ok(vec![key]);
    }
    let malformed = KeyError::Malformed { bytes: key.len(), columns };
    let mut components = Vec::new();
    let mut rest = key;
    while !rest.is_empty() {
        let (component, after) = first_component(rest).ok_or_else(|| malformed.clone())?;
        components.push(component);
        rest = after;
    }
    if components.len() == columns { Ok(components) } else { Err(malformed) }
}

/// The first component of a composite key and what follows it.
fn first_component(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = key.split_first_chunk()?;
    let (component, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    let (end, rest) = rest.split_first()?;
    (*end == 0).then_some((component, rest))
}

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// The first 64 bits of Cassandra's variant of `MurmurHash3_x64_128`, seed 0.
fn murmur3(key: &[u8]) -> u64 {
    let (blocks, tail) = key.as_chunks::<16>();
    let (mut h1, mut h2) = (0_u64, 0_u64);
    for block in blocks {
        let (k1, k2) = halves(u128::from_le_bytes(*block));
        h1 = (h1 ^ scramble1(k1)).rotate_left(27).wrapping_add(h2);
        h1 = h1.wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 = (h2 ^ scramble2(k2)).rotate_left(31).wrapping_add(h1);
        h2 = h2.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (k1, k2) = tail.split_at(tail.len().min(8));
    h2 ^= scramble2(signed_tail(k2));
    h1 ^= scramble1(signed_tail(k1));

    h1 ^= key.len() as u64;
    h2 ^= key.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finish(h1).wrapping_add(finish(h2))
}

/// The low and the high 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "each half is 64 bits")]
const fn halves(block: u128) -> (u64, u64) {
    (block as u64, (block >> 64) as u64)
}

const fn scramble1(k: u64) -> u64 {
    k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

const fn scramble2(k: u64) -> u64 {
    k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

/// At most 8 bytes, little end first, each widened as a signed number: Cassandra's deviation.
fn signed_tail(bytes: &[u8]) -> u64 {
    bytes.iter().zip(0..8).fold(0, |k, (&byte, place)| {
        let widened = i64::from(byte.cast_signed()).cast_unsigned();
        k ^ (widened << (place * 8))
    })
}

const fn finish(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

#[cfg(test)]
mod tests {
    use cassandra_protocol::token::Murmur3Token;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Keys and tokens that the tests of several drivers have in common.
    #[test]
    fn published_vectors_hold() {
        let vectors: [(&[u8], i64); 26] = [
            // DataStax drivers for Python and Ruby.
            (b"123", -7_468_325_962_851_647_638),
            (&[0x00, 0xff, 0x10, 0xfa, 0x99].repeat(10), 5_837_342_703_291_459_765),
            (&[0xfe; 8], -8_927_430_733_708_461_935),
            (&[0x10; 8], 1_446_172_840_243_228_796),
            (b"9223372036854775807", 7_162_290_910_810_015_547),
            // DataStax driver for C#.
            (&from_1_to_16(0), -5_563_837_382_979_743_776),
            (&from_1_to_16(1), -1_513_403_162_740_402_161),
            (&from_1_to_16(2), -495_360_443_712_684_655),
            (&from_1_to_16(3), 1_734_091_135_765_407_943),
            (&from_1_to_16(4), -3_199_412_112_042_527_988),
            (&from_1_to_16(5), -6_316_563_938_475_080_831),
            (&from_1_to_16(6), 8_228_893_370_679_682_632),
            (&[0x00; 16], 5_457_549_051_747_178_710),
            (&[0xff; 16], -2_824_192_546_314_762_522),
            (&[0xfe; 16], -833_317_529_301_936_754),
            (&[0xfe; 17], -1_672_437_813_826_982_685),
            (&[0xfe; 4], 4_566_408_979_886_474_012),
            (&[0x00; 4], -3_485_513_579_396_041_028),
            (&[0, 1, 127, 127], 6_573_459_401_642_635_627),
            (&[0, 255, 255, 255], 123_573_637_386_978_882),
            (&[255, 1, 2, 3], -2_839_127_690_952_877_842),
            (&[226, 231], -8_582_699_461_035_929_883),
            (&[226, 231, 226, 231, 226, 231, 1], 2_222_373_981_930_033_306),
            // The `scylla` crate.
            (b"test", -6_017_608_668_500_074_083),
            (b"primary_key", -1_632_642_444_691_073_360),
            ("kremówki".as_bytes(), 4_354_931_215_268_080_151),
        ];
        for (key, token) in vectors {
            assert_eq!(Token::of_key(key), Token::new(token), "key {key:?}");
        }
    }

    /// Sixteen numbers in a row, the first of them `1 + offset`.
    fn from_1_to_16(offset: u8) -> [u8; 16] {
        std::array::from_fn(|place| u8::try_from(place).unwrap() + 1 + offset)
    }

    #[test]
    fn the_empty_key_lies_at_the_minimum() {
        assert_eq!(Token::of_key(b""), Token::MIN);
    }

    #[test]
    fn distance_runs_clockwise_and_closes() {
        assert_eq!(Token::new(-1).distance_to(Token::new(2)), 3);
        assert_eq!(Token::MAX.distance_to(Token::MIN), 1);
        assert_eq!(Token::MIN.distance_to(Token::MAX), u64::MAX);
        assert_eq!(Token::new(7).distance_to(Token::new(7)), 0);
    }

    #[test]
    fn a_composite_key_frames_each_column() {
        assert_eq!(partition_key(&[b"ab"]), Ok(b"ab".to_vec()));
        assert_eq!(
            partition_key(&[&b"ab"[..], b"", b"c"]),
            Ok(b"\0\x02ab\0\0\0\0\0\x01c\0".to_vec())
        );
        // The routing key of (int 1, int 1, int 200301) in the tests of another driver.
        let columns = [1_i32, 1, 200_301].map(i32::to_be_bytes);
        let key = partition_key(&columns).unwrap();
        assert_eq!(Token::of_key(&key), Token::new(470_466_698_873_626_083));
    }

    #[test]
    fn keys_beyond_the_maximum_are_refused() {
        let longest = vec![7; KEY_BYTES_MAX];
        let longer = vec![7; KEY_BYTES_MAX + 1];
        let bytes = KEY_BYTES_MAX + 1;
        assert_eq!(partition_key(&[&longest]), Ok(longest.clone()));
        assert_eq!(partition_key(&[&longer]), Err(KeyError::TooLong { bytes }));
        assert_eq!(partition_key(&[&longer, &vec![]]), Err(KeyError::TooLong { bytes }));
        let bytes = KEY_BYTES_MAX + 6;
        assert_eq!(partition_key(&[&longest, &vec![]]), Err(KeyError::TooLong { bytes }));
    }

    #[test]
    fn damaged_composites_are_refused() {
        let key = partition_key(&[&b"ab"[..], b"c"]).unwrap();
        for end in 0..key.len() {
            partition_key_components(&key[..end], 2).unwrap_err();
        }
        for columns in [0, 3, usize::MAX] {
            partition_key_components(&key, columns).unwrap_err();
        }
        let mut flipped = key.clone();
        flipped[4] = 1;
        partition_key_components(&flipped, 2).unwrap_err();
        partition_key_components(b"\xff\xff", 2).unwrap_err();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn tokens_agree_with_a_second_implementation(key in vec(any::<u8>(), 1..80)) {
            prop_assert_eq!(Token::of_key(&key).value(), Murmur3Token::generate(&key).value);
        }

        #[test]
        fn high_bytes_in_the_tail_are_signed(key in vec(0x80..=0xff_u8, 1..40)) {
            prop_assert_eq!(Token::of_key(&key).value(), Murmur3Token::generate(&key).value);
        }

        #[test]
        fn components_are_read_back(columns in vec(vec(any::<u8>(), 0..20), 1..6)) {
            let key = partition_key(&columns).unwrap();
            let back = partition_key_components(&key, columns.len()).unwrap();
            prop_assert_eq!(back, columns.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_components_or_refused(
            key in vec(any::<u8>(), 0..20), columns in 0..4_usize,
        ) {
            if let Ok(components) = partition_key_components(&key, columns) {
                prop_assert_eq!(components.len(), columns);
            }
        }
    }
}
