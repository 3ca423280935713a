//! How the tokens of a partition are cut into buckets, the leaves of its tree.
//!
//! ```text
//! slices       |   |   |   |   |   |   |   |   |     2¹⁴ equal ones of the ring, whatever its partitions are
//! partitions   |         |         |         |
//! buckets      |   |   | |   |   | | |   |   |       the part of a slice that lies in one partition
//! ```
//!
//! Slices do not know of partitions, so that whoever notes which of them was written needs no
//! metadata. A partition of a ring of 256 has 64 buckets; one that is smaller than a slice has one or
//! two. Pure.

use std::ops::RangeInclusive;

use ring::Token;
use serde::{Deserialize, Serialize};

/// A slice is told by so many bits of a token's place on the ring.
const SLICE_BITS: u32 = 14;

/// A slice of the ring, counted clockwise from 0 at [`Token::MIN`]; below 2¹⁴.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Slice(u16);

impl Slice {
    /// How many there are.
    pub const COUNT: usize = 1 << SLICE_BITS;

    /// The slice that holds `token`.
    pub fn of(token: Token) -> Self {
        Self::of_place(Token::MIN.distance_to(token))
    }

    /// The slice that holds the token at this place, counted from [`Token::MIN`].
    pub fn of_place(place: u64) -> Self {
        Self(u16::try_from(place >> (u64::BITS - SLICE_BITS)).expect("fourteen bits are left"))
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The tokens that it holds.
    pub fn tokens(self) -> RangeInclusive<Token> {
        let first = u64::from(self.0) << (u64::BITS - SLICE_BITS);
        let last = first | (u64::MAX >> SLICE_BITS);
        token_at(first)..=token_at(last)
    }
}

fn token_at(place: u64) -> Token {
    Token::new((place ^ (1 << 63)).cast_signed())
}

/// A bucket of a table: the part of a slice that lies in one partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Bucket {
    /// The number of the partition.
    pub partition: u16,
    /// Which of the partition's buckets, counted from 0 in the order of their tokens.
    pub index: u16,
}

/// The slices of which the partition that holds these tokens has a part: one for each bucket.
pub fn slices_of(
    partition: &RangeInclusive<Token>,
) -> impl ExactSizeIterator<Item = Slice> + use<> {
    let (first, last) = (Slice::of(*partition.start()).0, Slice::of(*partition.end()).0);
    (first..=last).map(Slice)
}

/// The tokens of each bucket of the partition that holds these tokens.
pub fn buckets_of(
    partition: &RangeInclusive<Token>,
) -> impl ExactSizeIterator<Item = RangeInclusive<Token>> + use<> {
    let (first, last) = (*partition.start(), *partition.end());
    slices_of(partition).map(move |slice| {
        let tokens = slice.tokens();
        first.max(*tokens.start())..=last.min(*tokens.end())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::Partitions;

    use super::*;

    #[test]
    fn slices_are_equal_and_close_the_ring() {
        assert_eq!(Slice::of(Token::MIN), Slice(0));
        assert_eq!(Slice::of(Token::MAX), Slice((1 << 14) - 1));
        assert_eq!(*Slice(0).tokens().start(), Token::MIN);
        assert_eq!(*Slice((1 << 14) - 1).tokens().end(), Token::MAX);
        for slice in 1..1 << 14 {
            let (before, tokens) = (Slice(slice - 1).tokens(), Slice(slice).tokens());
            assert_eq!(before.end().value() + 1, tokens.start().value());
            assert_eq!(tokens.start().distance_to(*tokens.end()), (1 << 50) - 1);
            assert_eq!(Slice::of(*tokens.start()), Slice::of(*tokens.end()));
        }
    }

    #[test]
    fn partitions_of_the_usual_ring_have_64_buckets() {
        let partitions = Partitions::new(256).unwrap();
        for partition in partitions.iter() {
            assert_eq!(buckets_of(&partitions.tokens_of(partition)).len(), 64);
        }
    }

    proptest! {
        #[test]
        fn buckets_of_a_partition_hold_its_tokens_once_each(
            count in 1..65_536_usize, number: u16, token: i64,
        ) {
            let partitions = Partitions::new(count).unwrap();
            let number = u16::try_from(usize::from(number) % count).unwrap();
            let tokens = partitions.tokens_of(partitions.numbered(number).unwrap());
            let buckets: Vec<_> = buckets_of(&tokens).collect();
            prop_assert!(buckets.len() <= Slice::COUNT / count + 2);
            prop_assert_eq!(buckets[0].start(), tokens.start());
            prop_assert_eq!(buckets[buckets.len() - 1].end(), tokens.end());
            for pair in buckets.windows(2) {
                prop_assert_eq!(pair[0].end().value() + 1, pair[1].start().value());
            }
            let token = Token::new(token);
            let holding = buckets.iter().filter(|bucket| bucket.contains(&token)).count();
            prop_assert_eq!(holding, usize::from(tokens.contains(&token)));
        }
    }
}
