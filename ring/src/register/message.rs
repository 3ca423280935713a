//! What proposers and acceptors say to each other.
//!
//! Plain data; whoever stores or sends it puts a version byte before it. An answer names the store
//! that gave it and the ballot it is about, so that it may come late, twice, or to the wrong
//! proposer and do no harm. Source: arXiv:1802.07000 §2.2, the table of steps.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Ballot, Generation, Stores, Version};
use crate::StoreId;

/// What a proposer asks of one acceptor.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Request<V> {
    /// The first phase: promise a ballot, and say what was accepted.
    Prepare(Prepare),
    /// The second phase: accept a value.
    Accept(Accept<V>),
}

/// "Promise to accept nothing below this ballot, and tell what you have accepted."
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Prepare {
    /// The ballot to promise.
    pub ballot: Ballot,
    /// Why this store is asked.
    pub call: Call,
}

/// Why a store is asked for a promise. It must be among the stores that are named.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Call {
    /// To make the first value of all, together with every configured seed.
    Form {
        /// The seeds as the proposing node's config lists them.
        seeds: SeedList,
        /// The stores that answered at those addresses.
        stores: Stores,
    },
    /// To change or read the value.
    Change {
        /// The newest chosen value that the proposer knows; none while it forms a cluster.
        known: Option<Version>,
        /// The acceptors, by that value or by one accepted since, that this store is one of.
        stores: Stores,
    },
    /// To begin a new generation with these acceptors, by force.
    Reform {
        /// The newest chosen value that the proposer knows.
        known: Version,
        /// The acceptors-to-be, all of which must answer.
        stores: Stores,
    },
}

impl Call {
    /// The stores of which the asked one must be one.
    pub(super) fn stores(&self) -> &Stores {
        let (Self::Form { stores, .. } | Self::Change { stores, .. } | Self::Reform { stores, .. }) =
            self;
        stores
    }
}

/// "Accept this value under this ballot."
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Accept<V> {
    /// The ballot, promised before by enough stores.
    pub ballot: Ballot,
    /// The value, which names the stores that may accept it.
    pub value: V,
}

/// What an acceptor answers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Answer<V> {
    /// The store that answers.
    pub from: StoreId,
    /// The ballot of the request.
    pub ballot: Ballot,
    /// The answer itself.
    pub verdict: Verdict<V>,
}

/// Yes or no.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Verdict<V> {
    /// The ballot is promised.
    Promise {
        /// What this store accepted last.
        accepted: Option<Vote<V>>,
    },
    /// The value is accepted.
    Accepted,
    /// Neither.
    Refused(Refusal<V>),
}

/// A value and the ballot under which one store accepted it. It need not be chosen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Vote<V> {
    /// The ballot.
    pub ballot: Ballot,
    /// The value.
    pub value: V,
}

/// Why a store neither promises nor accepts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Refusal<V> {
    /// It promised a higher ballot.
    Promised {
        /// That ballot.
        ballot: Ballot,
    },
    /// It knows a chosen value newer than the proposer may ignore.
    Behind {
        /// That value.
        value: V,
    },
    /// The request does not name it: its directory is new, or the message went astray.
    NotNamed,
    /// Its config lists other seeds.
    OtherSeeds {
        /// Those it lists.
        seeds: SeedList,
    },
    /// It promised to form a cluster of other stores, most of which are not among these.
    OtherStores {
        /// Those it promised.
        stores: Stores,
    },
    /// It holds a value of another reform.
    Reformed {
        /// The generation of that value.
        generation: Generation,
    },
}

/// The most bytes that the address of a seed may have: a DNS name, a colon, a port.
pub const SEED_BYTES_MAX: usize = 259;

/// The addresses of the configured seeds, sorted: 1, 3 or 5, the same on every node.
///
/// Addresses compare by their text. They say where to look for the first acceptors; who votes is
/// always a matter of store ids.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct SeedList(Arc<[String]>);

/// Why a list of seeds cannot form a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeedListError {
    /// Neither 1, 3 nor 5 of them.
    #[error("a cluster has 1, 3 or 5 seeds, not {count}")]
    Count {
        /// How many were given.
        count: usize,
    },
    /// One is listed twice.
    #[error("seed {seed} is listed twice")]
    Duplicate {
        /// The address.
        seed: String,
    },
    /// One is too long to be an address.
    #[error("a seed address has at most {SEED_BYTES_MAX} bytes, not {bytes}")]
    Length {
        /// How many it has.
        bytes: usize,
    },
}

impl SeedList {
    /// The list of these addresses, in any order.
    pub fn new(seeds: impl IntoIterator<Item = String>) -> Result<Self, SeedListError> {
        let mut seeds: Vec<String> = seeds.into_iter().collect();
        if !matches!(seeds.len(), 1 | 3 | 5) {
            return Err(SeedListError::Count { count: seeds.len() });
        }
        if let Some(long) = seeds.iter().find(|seed| seed.len() > SEED_BYTES_MAX) {
            return Err(SeedListError::Length { bytes: long.len() });
        }
        seeds.sort_unstable();
        match seeds.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(SeedListError::Duplicate { seed: pair[0].clone() }),
            None => Ok(Self(seeds.into())),
        }
    }

    /// The addresses, ascending.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for SeedList {
    type Error = SeedListError;

    fn try_from(seeds: Vec<String>) -> Result<Self, SeedListError> {
        Self::new(seeds)
    }
}

impl From<SeedList> for Vec<String> {
    fn from(seeds: SeedList) -> Self {
        seeds.0.to_vec()
    }
}

impl<V> Request<V> {
    /// The ballot that the request is about.
    pub fn ballot(&self) -> Ballot {
        match self {
            Self::Prepare(prepare) => prepare.ballot,
            Self::Accept(accept) => accept.ballot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(seeds: &[&str]) -> Result<SeedList, SeedListError> {
        SeedList::new(seeds.iter().map(ToString::to_string))
    }

    #[test]
    fn the_order_of_seeds_does_not_matter() {
        assert_eq!(list(&["b:7000", "c:7000", "a:7000"]), list(&["a:7000", "b:7000", "c:7000"]));
    }

    #[test]
    fn seeds_are_1_3_or_5_distinct_addresses() {
        assert_eq!(list(&[]), Err(SeedListError::Count { count: 0 }));
        assert_eq!(list(&["a", "b"]), Err(SeedListError::Count { count: 2 }));
        assert_eq!(list(&["a", "b", "a"]), Err(SeedListError::Duplicate { seed: "a".into() }));
        let long = "a".repeat(SEED_BYTES_MAX + 1);
        assert_eq!(list(&[&long]), Err(SeedListError::Length { bytes: SEED_BYTES_MAX + 1 }));
        assert!(list(&[&long[1..]]).is_ok());
    }
}
