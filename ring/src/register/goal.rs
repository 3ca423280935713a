//! What a proposal is for: whom it must ask, what it makes of their answers, what it may propose.
//!
//! ```text
//!            prepare, answered by              accept, chosen by
//! change     a majority of the known           a majority of the value's acceptors
//! read       acceptors                         -"-
//! form       every seed                        -"-
//! reform     every new acceptor                -"-
//! ```
//!
//! **Acceptors that are not known to be chosen.** An accepted value may name acceptors that no
//! chosen value known to the proposer has. Then a majority of those *and* of those before them must
//! answer the prepare and accept (§2.3). And acceptors are replaced only when they are known to be
//! chosen themselves: so the set before any other was once chosen, every quorum of a newer set has
//! met one of the set before, and a proposer that lags behind cannot miss a newer set: its own
//! majority has seen it, or has seen the one next to its own, and so on.
//!
//! **Formation.** All seeds must have promised the ballot. A later formation asks at least a
//! majority of the same stores, and those refuse the earlier ballot from then on, or hold its value
//! and say so: then that value is completed instead. Two lists of stores that share no majority
//! cannot both be promised by one store. So two clusters could form only if every store that took
//! part in the first had been lost.
//!
//! **Reform.** All new acceptors must have promised a ballot of the new generation; from then on
//! they refuse the old one. The newest of the cached value and what they had accepted is the base.

use super::electorate::Electorate;
use super::flaw::{Flaw, is_planted};
use super::{
    Acceptors, BadChange, Call, ChangeId, Generation, ProposeError, RegisterValue, SeedList,
    Stores, Version,
};
use crate::StoreId;

/// What a proposal is for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Goal {
    /// To learn the value as of now: the identity change.
    Read,
    /// To make one change.
    Change(ChangeId),
    /// To make the first value.
    Form { seeds: SeedList, stores: Stores },
    /// To begin a generation by force.
    Reform { generation: Generation, stores: Stores },
}

/// What a proposer makes of the newest value that enough stores reported.
pub(super) enum Plan<V> {
    /// Have it chosen as it is.
    Keep(V),
    /// Have it changed.
    Change { base: Option<V>, acceptors: Option<Acceptors> },
    /// Give up.
    Fail(ProposeError),
}

impl Goal {
    /// The generation to bid in.
    pub(super) fn generation<V: RegisterValue>(&self, known: Option<&V>) -> Generation {
        match self {
            Self::Reform { generation, .. } => *generation,
            _ => known.map_or(Generation::FIRST, |known| known.version().generation),
        }
    }

    /// Those who must answer the prepare, given the newest value reported so far.
    pub(super) fn readers<V: RegisterValue>(
        &self,
        known: Option<&V>,
        found: Option<&V>,
    ) -> Electorate {
        let readers = match (self, known) {
            (Self::Form { stores, .. }, _) if is_planted(Flaw::FormsWithoutAll) => {
                Electorate::majority(stores)
            }
            (Self::Form { stores, .. } | Self::Reform { stores, .. }, _) => {
                Electorate::every(stores)
            }
            (Self::Change(_) | Self::Read, known) => {
                let known = known.expect("only formation starts without a chosen value");
                Electorate::majority(known.acceptors().now())
            }
        };
        match found.map(RegisterValue::acceptors) {
            Some(found) if self.is_settled(known, found) => readers,
            Some(_) if is_planted(Flaw::NewerAcceptorsIgnored) => readers,
            Some(found) => with_voters(readers, found),
            None => readers,
        }
    }

    /// Those who must accept `value`.
    pub(super) fn voters<V: RegisterValue>(&self, known: Option<&V>, value: &V) -> Electorate {
        let acceptors = value.acceptors();
        let now = Electorate::majority(acceptors.now());
        match acceptors.before() {
            Some(_) if is_planted(Flaw::NewMajorityAlone) => now,
            Some(before) if !self.is_settled(known, acceptors) => now.and_majority(before),
            _ => now,
        }
    }

    /// How `store` is asked, as one of `readers`.
    pub(super) fn call<V: RegisterValue>(
        &self,
        store: StoreId,
        readers: &Electorate,
        known: Option<&V>,
    ) -> Call {
        let version = known.map(RegisterValue::version);
        match (self, version) {
            (Self::Form { seeds, stores }, _) if stores.contains(store) => {
                Call::Form { seeds: seeds.clone(), stores: stores.clone() }
            }
            (Self::Reform { stores, .. }, Some(known)) if stores.contains(store) => {
                Call::Reform { known, stores: stores.clone() }
            }
            _ => {
                let stores = readers.set_of(store).expect("only members are asked").clone();
                Call::Change { known: version, stores }
            }
        }
    }

    /// What to do, now that `found` is the newest value that the readers reported.
    pub(super) fn plan<V: RegisterValue>(&self, known: Option<&V>, found: Option<V>) -> Plan<V> {
        match self {
            Self::Form { stores, .. } => match found {
                Some(found) => Plan::Keep(found),
                None => {
                    Plan::Change { base: None, acceptors: Some(Acceptors::formed(stores.clone())) }
                }
            },
            Self::Reform { generation, stores } => plan_reform(*generation, stores, known, found),
            Self::Read | Self::Change(_) => {
                let known = known.map(RegisterValue::version);
                match found.filter(|found| Some(found.version()) >= known) {
                    Some(found) => self.plan_change(found),
                    None => Plan::Fail(ProposeError::StateLost),
                }
            }
        }
    }

    fn plan_change<V: RegisterValue>(&self, found: V) -> Plan<V> {
        match self {
            Self::Change(change) if is_planted(Flaw::AppliesTwice) || !found.remembers(*change) => {
                Plan::Change { base: Some(found), acceptors: None }
            }
            _ => Plan::Keep(found),
        }
    }

    /// Whether `next` is what a change of `base` may make.
    pub(super) fn check<V: RegisterValue>(
        &self,
        base: Option<&V>,
        next: &V,
    ) -> Result<(), BadChange> {
        let expected = epoch_after(base);
        if next.epoch() != expected {
            return Err(BadChange::Epoch { expected, found: next.epoch() });
        }
        let found = next.acceptors();
        let are_sound = match self {
            Self::Form { stores, .. } => *found == Acceptors::formed(stores.clone()),
            Self::Reform { generation, stores } => {
                *found == reformed(*generation, stores, expected)
            }
            Self::Read | Self::Change(_) => base.is_some_and(|base| {
                let base = base.acceptors();
                found == base || found.replace_one_of(base, next.version())
            }),
        };
        if !are_sound {
            return Err(BadChange::Acceptors { found: found.clone() });
        }
        match self {
            Self::Change(change) if !next.remembers(*change) => {
                Err(BadChange::Forgotten { change: *change })
            }
            _ => Ok(()),
        }
    }

    /// Whether `next` may follow `base` at once: acceptors are replaced only when they are known
    /// to be chosen.
    pub(super) fn may_follow<V: RegisterValue>(
        &self,
        known: Option<&V>,
        base: Option<&V>,
        next: &V,
    ) -> bool {
        match (self, base.map(RegisterValue::acceptors)) {
            (Self::Change(_), Some(base)) => {
                next.acceptors() == base
                    || self.is_settled(known, base)
                    || is_planted(Flaw::ReplacesUnsettled)
            }
            _ => true,
        }
    }

    /// Whether a chosen value known to the proposer has these acceptors.
    fn is_settled<V: RegisterValue>(&self, known: Option<&V>, acceptors: &Acceptors) -> bool {
        // What a reform finds of older generations, it is about to replace.
        let is_overruled = match self {
            Self::Reform { generation, .. } => acceptors.since().generation < *generation,
            _ => false,
        };
        is_overruled || known.is_some_and(|known| known.acceptors() == acceptors)
    }
}

fn with_voters(readers: Electorate, found: &Acceptors) -> Electorate {
    let readers = readers.and_majority(found.now());
    match found.before() {
        Some(before) => readers.and_majority(before),
        None => readers,
    }
}

fn plan_reform<V: RegisterValue>(
    generation: Generation,
    stores: &Stores,
    known: Option<&V>,
    found: Option<V>,
) -> Plan<V> {
    let held = found.as_ref().map(|found| found.version().generation);
    let older = known.map(|known| known.version().generation);
    match held {
        Some(held) if Some(held) > older && held.reform != generation.reform => {
            return Plan::Fail(ProposeError::AlreadyReformed { generation: held });
        }
        _ => {}
    }
    match found {
        Some(found) if held == Some(generation) => Plan::Keep(found),
        found => {
            let base = found.into_iter().chain(known.cloned()).max_by_key(RegisterValue::version);
            let acceptors = Some(reformed(generation, stores, epoch_after(base.as_ref())));
            Plan::Change { base, acceptors }
        }
    }
}

fn reformed(generation: Generation, stores: &Stores, epoch: u64) -> Acceptors {
    Acceptors::reformed(stores.clone(), Version { generation, epoch })
}

fn epoch_after<V: RegisterValue>(base: Option<&V>) -> u64 {
    base.map_or(0, RegisterValue::epoch).saturating_add(1)
}
