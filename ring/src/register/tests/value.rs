//! The value that the searches agree on: its whole history, so that laws can be read off it.

use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use super::super::{Acceptors, ChangeId, Pace, RegisterValue, SeedList, Stores, Terms};
use crate::StoreId;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Value(Rc<Body>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Body {
    pub(super) epoch: u64,
    pub(super) acceptors: Acceptors,
    /// Every change ever made, in order.
    pub(super) changes: Vec<ChangeId>,
}

impl Value {
    pub(super) fn new(epoch: u64, acceptors: Acceptors, changes: Vec<ChangeId>) -> Self {
        Self(Rc::new(Body { epoch, acceptors, changes }))
    }
}

impl Deref for Value {
    type Target = Body;

    fn deref(&self) -> &Body {
        &self.0
    }
}

impl RegisterValue for Value {
    type Reject = Rejected;

    fn acceptors(&self) -> &Acceptors {
        &self.acceptors
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn remembers(&self, change: ChangeId) -> bool {
        self.changes.contains(&change)
    }
}

/// Why a change was refused.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Rejected {
    /// The value contains a change that excludes this one.
    Contains(ChangeId),
    /// The store to be replaced does not vote, or the other does.
    Acceptors,
}

/// What a client wants.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Task {
    Form(ChangeId),
    Add(ChangeId),
    AddUnless(ChangeId, ChangeId),
    Replace(ChangeId, StoreId, StoreId),
    Reform(ChangeId, Stores),
    Read,
}

impl Task {
    pub(super) fn change(&self) -> Option<ChangeId> {
        match self {
            Self::Add(change)
            | Self::AddUnless(change, _)
            | Self::Replace(change, ..)
            | Self::Reform(change, _) => Some(*change),
            Self::Form(_) | Self::Read => None,
        }
    }

    /// The change function of the task.
    pub(super) fn apply(
        &self,
        current: Option<&Value>,
        acceptors: Option<Acceptors>,
    ) -> Result<Value, Rejected> {
        let epoch = current.map_or(0, |value| value.epoch) + 1;
        let kept = || current.expect("a value to change").acceptors.clone();
        let (change, acceptors) = match self {
            Self::Form(change) | Self::Reform(change, _) => {
                (*change, acceptors.expect("acceptors to form with"))
            }
            Self::AddUnless(_, other) if current.is_some_and(|value| value.remembers(*other)) => {
                return Err(Rejected::Contains(*other));
            }
            Self::Add(change) | Self::AddUnless(change, _) => (*change, kept()),
            Self::Replace(change, old, new) => {
                let replaced = kept().replaced(*old, *new, epoch);
                (*change, replaced.map_err(|_| Rejected::Acceptors)?)
            }
            Self::Read => panic!("a read changes nothing"),
        };
        let mut changes = current.map_or(Vec::new(), |value| value.changes.clone());
        changes.push(change);
        Ok(Value::new(epoch, acceptors, changes))
    }
}

pub(super) fn id(number: u128) -> ChangeId {
    ChangeId(number)
}

pub(super) fn store(number: u128) -> StoreId {
    StoreId(number)
}

pub(super) fn stores(numbers: &[u128]) -> Stores {
    Stores::new(numbers.iter().copied().map(StoreId)).unwrap()
}

/// The seed list of a register with `count` seeds.
pub(super) fn seeds(count: usize) -> SeedList {
    SeedList::new((0..count).map(|seat| format!("{seat}"))).unwrap()
}

/// The first value of a register, made by `change`.
pub(super) fn first(change: ChangeId, stores: &Stores) -> Value {
    Value::new(1, Acceptors::formed(stores.clone()), vec![change])
}

pub(super) fn terms(proposer: u128, seed: u64, attempts_max: u32) -> Terms {
    let round = Duration::from_millis(100);
    let pace = Pace { round, attempts_max, ..Pace::default() };
    Terms { proposer: StoreId(proposer), seed, counter: 0, pace }
}
