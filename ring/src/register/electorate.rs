//! Whose answers decide: one or more sets of stores, of each of which enough must agree.
//!
//! The proof of the paper (appendices A and B) needs only that the stores which answered a prepare
//! meet the stores which accepted any earlier ballot; how the sets are made is
//! [`Goal`](super::goal::Goal)'s matter.

use std::collections::BTreeSet;

use super::Stores;
use crate::StoreId;

/// The sets that must agree, and how many of each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Electorate(Vec<(Stores, usize)>);

impl Electorate {
    /// Every one of `stores` must agree.
    pub(super) fn every(stores: &Stores) -> Self {
        Self(vec![(stores.clone(), stores.as_slice().len())])
    }

    /// A majority of `stores` must agree.
    pub(super) fn majority(stores: &Stores) -> Self {
        Self(Vec::new()).and_majority(stores)
    }

    /// A majority of `stores` must agree as well.
    pub(super) fn and_majority(mut self, stores: &Stores) -> Self {
        self.0.push((stores.clone(), stores.majority()));
        self
    }

    /// All stores that have a voice.
    pub(super) fn members(&self) -> BTreeSet<StoreId> {
        self.0.iter().flat_map(|(stores, _)| stores.as_slice()).copied().collect()
    }

    /// A set that gives `store` its voice.
    pub(super) fn set_of(&self, store: StoreId) -> Option<&Stores> {
        self.0.iter().map(|(stores, _)| stores).find(|stores| stores.contains(store))
    }

    /// Whether the stores that said yes decide.
    pub(super) fn is_met(&self, said_yes: &BTreeSet<StoreId>) -> bool {
        self.all_have(|store| said_yes.contains(&store))
    }

    /// Whether no further answer can make the electorate agree.
    pub(super) fn is_lost(&self, said_no: &BTreeSet<StoreId>) -> bool {
        !self.all_have(|store| !said_no.contains(&store))
    }

    fn all_have(&self, counts: impl Fn(StoreId) -> bool) -> bool {
        self.0.iter().all(|(stores, needed)| {
            stores.as_slice().iter().filter(|store| counts(**store)).count() >= *needed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[u128]) -> BTreeSet<StoreId> {
        ids.iter().copied().map(StoreId).collect()
    }

    fn stores(ids: &[u128]) -> Stores {
        Stores::new(set(ids)).unwrap()
    }

    #[test]
    fn joint_majorities_need_both_sets() {
        let both = Electorate::majority(&stores(&[1, 2, 3])).and_majority(&stores(&[1, 2, 4]));
        assert!(both.is_met(&set(&[1, 2])));
        assert!(both.is_met(&set(&[1, 3, 4])));
        assert!(!both.is_met(&set(&[1, 4])));
        assert!(both.is_lost(&set(&[1, 2])));
        assert!(!both.is_lost(&set(&[3, 4])));
        assert_eq!(both.members(), set(&[1, 2, 3, 4]));
    }

    #[test]
    fn one_silent_store_holds_up_every() {
        let every = Electorate::every(&stores(&[1, 2, 3]));
        assert!(!every.is_met(&set(&[1, 2])) && !every.is_lost(&set(&[])));
        assert!(every.is_met(&set(&[1, 2, 3])) && every.is_lost(&set(&[2])));
    }
}
