//! The bugs of a replica that tests plant; without one all of this does what is right.

use bytes::Bytes;
use repair::version::{
    Actor, ActorRule, CounterOverflow, Dot, EpochSource, SafeRule, Seen, Siblings, Version,
};

use crate::config::Planted;

/// One of so many messages is acknowledged and not carried out, where that is planted.
const UNMADE_EVERY: u32 = 1_000;

/// Which bug there is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bugs(Planted);

impl Bugs {
    pub(super) fn new(planted: Planted) -> Self {
        Self(planted)
    }

    /// How this copy stamps and merges.
    pub(super) fn rule(self) -> Rule {
        match self.0 {
            Planted::ReuseDot => Rule::Reusing,
            Planted::CollapseEqual => Rule::Collapsing(SafeRule),
            _ => Rule::Safe(SafeRule),
        }
    }

    /// Whether what was delivered is forgotten even if something else is there by now.
    pub(super) fn forgets_uncompared(self) -> bool {
        self.0.is(Planted::DeleteHintUncompared)
    }

    /// Whether rows that have come are to be acknowledged and forgotten.
    pub(super) fn leaves_unmade(self, rows: &[(Bytes, Bytes)]) -> bool {
        let digest = |(_, row): &(Bytes, Bytes)| crc32fast::hash(row);
        self.0.is(Planted::AcknowledgeUnmade)
            && rows.first().map(digest).is_some_and(|it| it.is_multiple_of(UNMADE_EVERY))
    }
}

/// The rule of a replica: the safe one, unless a bug is planted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    Safe(SafeRule),
    /// Counts under one actor for ever, from 1 where the copy has no entry of it.
    Reusing,
    /// Keeps one of the versions that read the same.
    Collapsing(SafeRule),
}

impl ActorRule for Rule {
    fn mint(&self, seen: Seen<'_>, epochs: &mut dyn EpochSource) -> Result<Dot, CounterOverflow> {
        match self {
            Self::Safe(rule) | Self::Collapsing(rule) => rule.mint(seen, epochs),
            Self::Reusing => seen.next_dot(Actor { store: seen.store, epoch: 1 }),
        }
    }

    fn needs_fresh_epoch(&self, seen: Seen<'_>) -> bool {
        match self {
            Self::Safe(rule) | Self::Collapsing(rule) => rule.needs_fresh_epoch(seen),
            Self::Reusing => false,
        }
    }

    fn kept(&self, merged: Siblings) -> Siblings {
        match self {
            Self::Collapsing(_) => collapse(&merged),
            Self::Safe(_) | Self::Reusing => merged,
        }
    }
}

/// The row with one of each set of versions that read the same, and the history of all.
fn collapse(row: &Siblings) -> Siblings {
    let mut kept: Vec<_> = Vec::new();
    for version in row.versions() {
        if !kept.iter().any(|it: &Version| it.columns == version.columns) {
            kept.push(version.clone());
        }
    }
    let parts = Siblings::from_parts(row.vector().clone(), kept, row.removed_at());
    parts.expect("some versions of a row, in their order, are those of a row")
}
