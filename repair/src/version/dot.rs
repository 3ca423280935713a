//! The name of one write.

use std::num::NonZeroU64;

use ring::StoreId;
use serde::{Deserialize, Serialize};

/// Who stamps: one life of one data directory, in one epoch of one row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Actor {
    /// The life of the data directory.
    pub store: StoreId,
    /// Grows with every fresh start of that store on any row; taken from a leased range.
    pub epoch: u64,
}

/// One write: the `counter`-th that `actor` stamped for its row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Dot {
    /// Who stamped it.
    pub actor: Actor,
    /// Which of the actor's writes. A dot for "no write" cannot be written down.
    pub counter: NonZeroU64,
}

impl Dot {
    /// The first dot of `actor`.
    pub fn first_of(actor: Actor) -> Self {
        Self { actor, counter: NonZeroU64::MIN }
    }

    /// The dot of `actor` that follows `counter` others.
    ///
    /// # Errors
    /// [`CounterOverflow`] when `counter` is the greatest there is.
    pub fn after(actor: Actor, counter: u64) -> Result<Self, CounterOverflow> {
        let counter = counter.checked_add(1).and_then(NonZeroU64::new);
        counter.map(|counter| Self { actor, counter }).ok_or(CounterOverflow { actor })
    }
}

/// An actor has used up its counter for a row. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the counter of {actor:?} has no next value")]
pub struct CounterOverflow {
    /// The actor that cannot stamp this row any more.
    pub actor: Actor,
}
