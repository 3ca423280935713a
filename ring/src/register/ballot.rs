//! The orders of the register: of generations, of ballots, and of chosen values.
//!
//! The generation leads in both other orders, so that whatever belongs to an older generation is
//! refused by every store that has heard of a newer one. Callers: all of `register`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ChangeId;
use crate::StoreId;

/// Which life of the register: 0 from formation, one more with each forced reform.
///
/// Two reforms that start from the same generation differ by their change and are ordered by it,
/// so that nodes that meet the results of both agree which one is the newer.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Generation {
    /// How many reforms led here, counting those that were outbid.
    pub number: u64,
    /// The reform that began this generation; zero in the first.
    pub reform: ChangeId,
}

impl Generation {
    /// The generation that formation begins.
    pub const FIRST: Self = Self { number: 0, reform: ChangeId(0) };

    /// The generation that `reform` begins above this one.
    pub(super) fn next(self, reform: ChangeId) -> Self {
        Self { number: self.number.saturating_add(1), reform }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.reform)
    }
}

/// The number of one attempt at a change (§2.1: a counter, and the proposer as tie-breaker).
///
/// A ballot is never used twice. The paper has proposers remember their counter for that; here a
/// number drawn anew for each proposal takes its place, so that proposers keep nothing on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Ballot {
    /// The generation that this attempt belongs to.
    pub generation: Generation,
    /// Higher than any counter that the proposer has met.
    pub counter: u64,
    /// The store of the proposing node.
    pub proposer: StoreId,
    /// Random, drawn once for each proposal.
    pub nonce: u64,
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} in generation {}", self.counter, self.proposer, self.generation)
    }
}

/// The place of a value among the chosen ones: the greater is the newer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Version {
    /// The generation it was chosen in.
    pub generation: Generation,
    /// Its epoch. Epochs go on through a reform.
    pub epoch: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} of generation {}", self.epoch, self.generation.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot(number: u64, counter: u64, proposer: u128, nonce: u64) -> Ballot {
        let generation = Generation { number, reform: ChangeId(0) };
        Ballot { generation, counter, proposer: StoreId(proposer), nonce }
    }

    #[test]
    fn generation_then_counter_then_proposer_then_nonce_order_ballots() {
        let rising =
            [ballot(0, 9, 9, 9), ballot(1, 1, 9, 9), ballot(1, 2, 1, 9), ballot(1, 2, 2, 1)];
        assert!(rising.is_sorted());
        assert!(ballot(1, 2, 2, 1) < ballot(1, 2, 2, 2));
    }

    #[test]
    fn two_reforms_of_one_generation_are_ordered_and_both_above_it() {
        let (a, b) = (Generation::FIRST.next(ChangeId(1)), Generation::FIRST.next(ChangeId(2)));
        assert!(Generation::FIRST < a && a < b && b < a.next(ChangeId(0)));
    }
}
