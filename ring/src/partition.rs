//! The ring cut into equal partitions.
//!
//! A partition is the unit of ownership, transfer and snapshot. Their number is fixed when the
//! cluster is made, so a token's partition never changes; only owners do.
//!
//! ```text
//!  MIN             0            MAX
//!   |   0   |   1   |   2   |   3   |     4 partitions; each ends at, and includes, the token
//!           ^       ^       ^       ^     under ^, which drivers see as its owner's
//! ```
//!
//! Partition `i` of `n` holds the tokens whose distance from `MIN` times `n`, divided by 2⁶⁴,
//! rounds down to `i`: so sizes differ by at most one token, for any `n`, and a look-up is one
//! multiplication. Source: the fixed equal partitions of Dynamo §6.2 (strategy 3).

use std::fmt;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;

use crate::Token;

/// One of the ring's partitions, counted clockwise from 0 at [`Token::MIN`].
///
/// It is made by [`Partitions`] and belongs to rings with that many partitions; anything that
/// arrives from outside as a number comes in through [`Partitions::numbered`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionId(u16);

impl PartitionId {
    /// Its number, less than the number of partitions.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its number as a place in a table of partitions.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Into how many partitions the ring is cut: 1 to 65 535.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Partitions(NonZeroU16);

impl Partitions {
    /// A ring of that many partitions, if so many are allowed.
    pub fn new(count: usize) -> Option<Self> {
        u16::try_from(count).ok().and_then(NonZeroU16::new).map(Self)
    }

    /// How many there are.
    pub const fn count(self) -> usize {
        self.0.get() as usize
    }

    /// Every partition, clockwise from [`Token::MIN`].
    pub fn iter(self) -> impl ExactSizeIterator<Item = PartitionId> + Clone {
        (0..self.0.get()).map(PartitionId)
    }

    /// The partition of that number, if there is one.
    pub fn numbered(self, number: u16) -> Option<PartitionId> {
        (number < self.0.get()).then_some(PartitionId(number))
    }

    /// The partition that holds `token`.
    #[expect(clippy::cast_possible_truncation, reason = "a quotient below the count, a u16")]
    pub fn partition_of(self, token: Token) -> PartitionId {
        let distance = u128::from(Token::MIN.distance_to(token));
        PartitionId(((distance * u128::from(self.0.get())) >> 64) as u16)
    }

    /// The last token of `partition`, which is a token of its owner.
    pub fn end_of(self, partition: PartitionId) -> Token {
        self.before(u32::from(partition.0) + 1)
    }

    /// The tokens that `partition` holds. No partition runs over the end of the ring.
    pub fn tokens_of(self, partition: PartitionId) -> RangeInclusive<Token> {
        let first = match partition.0 {
            0 => Token::MIN,
            number => Token::new(self.before(u32::from(number)).value() + 1),
        };
        first..=self.end_of(partition)
    }

    /// The last token before partition `number`, which is 1 to the count.
    #[expect(clippy::cast_possible_truncation, reason = "number ≤ count, so it is below 2⁶⁴")]
    fn before(self, number: u32) -> Token {
        let start = (u128::from(number) << 64).div_ceil(u128::from(self.0.get()));
        Token::new(((start - 1) as u64 ^ (1 << 63)).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn four_partitions_end_at_the_quarters() {
        let four = Partitions::new(4).unwrap();
        let ends: Vec<i64> = four.iter().map(|partition| four.end_of(partition).value()).collect();
        assert_eq!(ends, [-(1 << 62) - 1, -1, (1 << 62) - 1, i64::MAX]);
    }

    #[test]
    fn a_key_at_a_boundary_belongs_to_the_partition_that_ends_there() {
        let two = Partitions::new(2).unwrap();
        assert_eq!(two.partition_of(Token::MIN).number(), 0);
        assert_eq!(two.partition_of(Token::new(-1)).number(), 0);
        assert_eq!(two.partition_of(Token::new(0)).number(), 1);
        assert_eq!(two.partition_of(Token::MAX).number(), 1);
    }

    #[test]
    fn a_ring_has_1_to_65535_partitions() {
        assert_eq!(Partitions::new(0), None);
        assert_eq!(Partitions::new(65_536), None);
        for count in [1, 65_535] {
            let partitions = Partitions::new(count).unwrap();
            assert_eq!(partitions.iter().len(), count);
            assert_eq!(partitions.end_of(partitions.iter().last().unwrap()), Token::MAX);
        }
        let one = Partitions::new(1).unwrap();
        assert_eq!(one.tokens_of(one.partition_of(Token::new(5))), Token::MIN..=Token::MAX);
        assert_eq!(one.numbered(0), Some(one.partition_of(Token::MIN)));
        assert_eq!(one.numbered(1), None);
    }

    proptest! {
        #[test]
        fn partitions_tile_the_ring_in_equal_parts(count in 1..=65_535_usize) {
            let partitions = Partitions::new(count).unwrap();
            let mut next = i128::from(i64::MIN);
            for partition in partitions.iter() {
                let (first, end) = partitions.tokens_of(partition).into_inner();
                prop_assert_eq!(i128::from(first.value()), next);
                prop_assert_eq!(end, partitions.end_of(partition));
                prop_assert_eq!(partitions.partition_of(first), partition);
                prop_assert_eq!(partitions.partition_of(end), partition);
                let size = i128::from(end.value()) - next + 1;
                let share = (1_i128 << 64) / i128::try_from(count).unwrap();
                prop_assert!(size == share || size == share + 1);
                next += size;
            }
            prop_assert_eq!(next, i128::from(i64::MAX) + 1);
        }

        #[test]
        fn a_token_lies_in_its_partition(count in 1..=65_535_usize, token: i64) {
            let partitions = Partitions::new(count).unwrap();
            let token = Token::new(token);
            prop_assert!(partitions.tokens_of(partitions.partition_of(token)).contains(&token));
        }
    }
}
