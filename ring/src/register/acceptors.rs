//! Who votes: sets of stores, as the value itself names them.
//!
//! ```text
//! formed            now {1,2,3}
//! replaced(3 -> 4)  now {1,2,4}   before {1,2,3}   both majorities choose the value that says so
//! replaced(1 -> 5)  now {2,4,5}   before {1,2,4}
//! ```
//!
//! `before` stays in the value until the next replacement. A proposer that knows a *chosen* value
//! with these very acceptors asks `now` alone; any other must ask `before` as well, since it cannot
//! tell whether the replacement was chosen. Source: arXiv:1802.07000 §2.3 (joint majorities).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Generation, Version};
use crate::StoreId;

/// A set of 1, 3 or 5 stores, sorted: an odd number, so that every majority counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<StoreId>", into = "Vec<StoreId>")]
pub struct Stores(Vec<StoreId>);

/// Stores that cannot be the acceptors of a register.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoresError {
    /// Neither 1, 3 nor 5 of them.
    #[error("a register has 1, 3 or 5 acceptors, not {count}")]
    Count {
        /// How many were given.
        count: usize,
    },
    /// One is named twice: two seed addresses lead to one node, for instance.
    #[error("store {store} is named twice among the acceptors")]
    Duplicate {
        /// The store.
        store: StoreId,
    },
}

impl Stores {
    /// The set of these stores, in any order.
    pub fn new(stores: impl IntoIterator<Item = StoreId>) -> Result<Self, StoresError> {
        let mut stores: Vec<StoreId> = stores.into_iter().collect();
        if !matches!(stores.len(), 1 | 3 | 5) {
            return Err(StoresError::Count { count: stores.len() });
        }
        stores.sort_unstable();
        match stores.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(StoresError::Duplicate { store: pair[0] }),
            None => Ok(Self(stores)),
        }
    }

    /// The stores, ascending.
    pub fn as_slice(&self) -> &[StoreId] {
        &self.0
    }

    /// Whether `store` is one of them.
    pub fn contains(&self, store: StoreId) -> bool {
        self.0.binary_search(&store).is_ok()
    }

    /// How many of them are a majority.
    pub fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    /// Whether every majority of these stores meets every majority of `others`, as far as stores
    /// common to both go.
    pub(super) fn share_majority_with(&self, others: &Self) -> bool {
        let common = self.0.iter().filter(|store| others.contains(**store)).count();
        common >= self.majority() && common >= others.majority()
    }
}

impl TryFrom<Vec<StoreId>> for Stores {
    type Error = StoresError;

    fn try_from(stores: Vec<StoreId>) -> Result<Self, StoresError> {
        Self::new(stores)
    }
}

impl From<Stores> for Vec<StoreId> {
    fn from(stores: Stores) -> Self {
        stores.0
    }
}

/// The acceptors of one value, and whom they followed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Acceptors {
    since: Version,
    now: Stores,
    before: Option<Stores>,
}

impl Acceptors {
    /// The acceptors of the first value: its seeds.
    pub fn formed(stores: Stores) -> Self {
        Self {
            since: Version { generation: Generation::FIRST, epoch: 1 },
            now: stores,
            before: None,
        }
    }

    /// The acceptors that a forced reform puts in the place of all former ones.
    pub(super) fn reformed(stores: Stores, since: Version) -> Self {
        Self { since, now: stores, before: None }
    }

    /// These acceptors with `new` in the place of `old`, for the value of `epoch`.
    ///
    /// # Errors
    /// `old` is no acceptor, or `new` is one already.
    pub fn replaced(&self, old: StoreId, new: StoreId, epoch: u64) -> Result<Self, ReplaceError> {
        if !self.now.contains(old) {
            return Err(ReplaceError::NoAcceptor { store: old });
        }
        if self.now.contains(new) {
            return Err(ReplaceError::AlreadyAcceptor { store: new });
        }
        let kept = self.now.0.iter().copied().filter(|store| *store != old);
        let now = Stores::new(kept.chain([new])).expect("one distinct store for another");
        let since = Version { generation: self.since.generation, epoch };
        Ok(Self { since, now, before: Some(self.now.clone()) })
    }

    /// The version of the value that installed them.
    pub fn since(&self) -> Version {
        self.since
    }

    /// Those who vote.
    pub fn now(&self) -> &Stores {
        &self.now
    }

    /// Those who voted before the last replacement; `None` after formation or reform.
    pub fn before(&self) -> Option<&Stores> {
        self.before.as_ref()
    }

    /// Whether `store` may be asked about a value with these acceptors.
    pub fn name(&self, store: StoreId) -> bool {
        self.now.contains(store) || self.before.as_ref().is_some_and(|them| them.contains(store))
    }

    /// Whether they are `base` with one store replaced by the value of `version`.
    pub(super) fn replace_one_of(&self, base: &Self, version: Version) -> bool {
        self.since == version
            && self.since > base.since
            && self.since.generation == base.since.generation
            && self.before.as_ref() == Some(&base.now)
    }
}

/// Why one acceptor cannot take the place of another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// The store to be replaced does not vote.
    #[error("store {store} is no acceptor of the register")]
    NoAcceptor {
        /// The store.
        store: StoreId,
    },
    /// The store to be put in votes already.
    #[error("store {store} is an acceptor of the register already")]
    AlreadyAcceptor {
        /// The store.
        store: StoreId,
    },
}

/// Received acceptors that no change makes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{differing} acceptors differ from those before them; a replacement changes one")]
pub struct AcceptorsError {
    /// How many of the present ones were none before.
    pub differing: usize,
}

/// [`Acceptors`] as they are read, before they are known to be sound.
#[derive(Deserialize)]
struct Unchecked {
    since: Version,
    now: Stores,
    before: Option<Stores>,
}

impl TryFrom<Unchecked> for Acceptors {
    type Error = AcceptorsError;

    fn try_from(read: Unchecked) -> Result<Self, AcceptorsError> {
        let Unchecked { since, now, before } = read;
        if let Some(before) = &before {
            let kept: BTreeSet<_> = before.0.iter().collect();
            let differing = now.0.iter().filter(|store| !kept.contains(store)).count();
            if differing != 1 || before.0.len() != now.0.len() {
                return Err(AcceptorsError { differing });
            }
        }
        Ok(Self { since, now, before })
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error, SeqDeserializer};

    use super::*;

    fn stores(ids: &[u128]) -> Stores {
        Stores::new(ids.iter().copied().map(StoreId)).unwrap()
    }

    #[test]
    fn a_register_has_1_3_or_5_distinct_acceptors() {
        for count in [0, 2, 4, 6] {
            let error = Stores::new((0..count).map(StoreId)).unwrap_err();
            assert_eq!(error, StoresError::Count { count: usize::try_from(count).unwrap() });
        }
        let error = Stores::new([1, 2, 1].map(StoreId)).unwrap_err();
        assert_eq!(error, StoresError::Duplicate { store: StoreId(1) });
        assert_eq!([1, 3, 5].map(|n| stores(&[1, 2, 3, 4, 5][..n]).majority()), [1, 2, 3]);
    }

    #[test]
    fn stores_are_checked_when_they_are_read() {
        let read = |ids: &[u128]| {
            let texts = ids.iter().map(|id| StoreId(*id).to_string());
            Stores::deserialize(SeqDeserializer::<_, Error>::new(texts))
        };
        assert_eq!(read(&[2, 3, 1]), Ok(stores(&[1, 2, 3])));
        for ids in [&[][..], &[1, 2], &[1, 2, 2]] {
            read(ids).unwrap_err();
        }
    }

    #[test]
    fn a_replacement_remembers_whom_it_followed() {
        let formed = Acceptors::formed(stores(&[3, 1, 2]));
        let replaced = formed.replaced(StoreId(3), StoreId(4), 7).unwrap();
        assert_eq!(replaced.now(), &stores(&[1, 2, 4]));
        assert_eq!(replaced.before(), Some(formed.now()));
        assert!(replaced.name(StoreId(3)) && replaced.name(StoreId(4)));
        assert!(!formed.name(StoreId(4)));
        assert!(replaced.replace_one_of(&formed, replaced.since()));
        assert!(!replaced.replace_one_of(&formed, formed.since()));
        assert!(!replaced.replace_one_of(&replaced, replaced.since()));
    }

    #[test]
    fn only_an_acceptor_is_replaced_and_only_by_a_newcomer() {
        let formed = Acceptors::formed(stores(&[1, 2, 3]));
        let (no, yes) = (StoreId(9), StoreId(2));
        assert_eq!(formed.replaced(no, no, 2), Err(ReplaceError::NoAcceptor { store: no }));
        assert_eq!(formed.replaced(yes, yes, 2), Err(ReplaceError::AlreadyAcceptor { store: yes }));
    }

    #[test]
    fn acceptors_that_no_change_makes_are_not_read() {
        let since = Version { generation: Generation::FIRST, epoch: 4 };
        let read = |now: &[u128], before: &[u128]| {
            let before = Some(stores(before));
            Acceptors::try_from(Unchecked { since, now: stores(now), before })
        };
        assert_eq!(read(&[1, 2, 3], &[1, 2, 3]), Err(AcceptorsError { differing: 0 }));
        assert_eq!(read(&[1, 4, 5], &[1, 2, 3]), Err(AcceptorsError { differing: 2 }));
        assert_eq!(read(&[1, 2, 4], &[1]), Err(AcceptorsError { differing: 2 }));
        assert!(read(&[1, 2, 4], &[1, 2, 3]).is_ok());
    }

    #[test]
    fn lists_share_a_majority_while_a_minority_was_lost() {
        assert!(stores(&[1, 2, 3]).share_majority_with(&stores(&[1, 2, 9])));
        assert!(!stores(&[1, 2, 3]).share_majority_with(&stores(&[1, 8, 9])));
        assert!(!stores(&[1]).share_majority_with(&stores(&[1, 2, 3])));
    }
}
