//! Rules by which a store could name its writes, each of which loses some.
//!
//! Their failures are what the safe rule is measured by: a network of replicas that does not
//! catch them proves nothing.

use super::version::{Actor, ActorRule, CounterOverflow, Dot, EpochSource, Seen, VersionVector};

/// A rule that any place may stamp by.
pub(crate) type Rule = &'static (dyn ActorRule + Sync);

/// A rule, and seeds at which it loses a write, or overlooks one.
pub(crate) struct Caught {
    pub(crate) rule: Rule,
    /// Where a place loses its row without noticing.
    pub(crate) where_a_row_is_lost: u64,
    /// Where nothing fails, but stand-ins that drop their rows keep their store ids.
    pub(crate) where_ids_are_kept: u64,
    /// Where a place loses its row without noticing, and rows are removed.
    pub(crate) where_rows_are_removed: u64,
    /// Where, by the same faults, a copy claims to have seen a write, and shows what it replaced.
    pub(crate) where_writes_are_overlooked: u64,
}

/// Every rule but the safe one.
pub(crate) static CAUGHT: [Caught; 4] = [
    Caught {
        rule: &CounterPerRow,
        where_a_row_is_lost: 1,
        where_ids_are_kept: 1_095,
        where_rows_are_removed: 29,
        where_writes_are_overlooked: 424,
    },
    Caught {
        rule: &CounterPerStore,
        where_a_row_is_lost: 17,
        where_ids_are_kept: 13_394,
        where_rows_are_removed: 29,
        where_writes_are_overlooked: 424,
    },
    Caught {
        rule: &FreshWhereNotFound,
        where_a_row_is_lost: 108,
        where_ids_are_kept: 3_162,
        where_rows_are_removed: 104,
        where_writes_are_overlooked: 514,
    },
    Caught {
        rule: &FreshWhereForgotten,
        where_a_row_is_lost: 849,
        where_ids_are_kept: 3_162,
        where_rows_are_removed: 104,
        where_writes_are_overlooked: 514,
    },
];

/// One actor for ever; each row counts by itself.
struct CounterPerRow;

impl ActorRule for CounterPerRow {
    fn mint(&self, seen: Seen<'_>, _: &mut dyn EpochSource) -> Result<Dot, CounterOverflow> {
        seen.next_dot(first_actor(seen))
    }

    fn needs_fresh_epoch(&self, _: Seen<'_>) -> bool {
        false
    }
}

/// One actor for ever; all rows of the store count together, so that no dot is minted twice.
struct CounterPerStore;

impl ActorRule for CounterPerStore {
    fn mint(&self, seen: Seen<'_>, epochs: &mut dyn EpochSource) -> Result<Dot, CounterOverflow> {
        let actor = first_actor(seen);
        Ok(seen.next_dot(actor)?.max(Dot::after(actor, epochs.next_epoch())?))
    }

    fn needs_fresh_epoch(&self, _: Seen<'_>) -> bool {
        false
    }
}

/// A fresh epoch where there is no row, or where the context knows a later epoch or counter.
struct FreshWhereNotFound;

impl ActorRule for FreshWhereNotFound {
    fn mint(&self, seen: Seen<'_>, epochs: &mut dyn EpochSource) -> Result<Dot, CounterOverflow> {
        let is_fresh =
            seen.local.is_none_or(|local| newest(seen, seen.incoming) > newest(seen, local));
        let own = seen.newest_own().map_or(first_actor(seen), |own| own.actor);
        seen.next_dot(if is_fresh { seen.fresh_actor(epochs) } else { own })
    }

    fn needs_fresh_epoch(&self, _: Seen<'_>) -> bool {
        false
    }
}

/// The same, and a fresh epoch where another copy knows a later epoch or counter.
struct FreshWhereForgotten;

impl ActorRule for FreshWhereForgotten {
    fn mint(&self, seen: Seen<'_>, epochs: &mut dyn EpochSource) -> Result<Dot, CounterOverflow> {
        FreshWhereNotFound.mint(seen, epochs)
    }

    fn needs_fresh_epoch(&self, seen: Seen<'_>) -> bool {
        newest(seen, seen.incoming) > seen.local.and_then(|local| newest(seen, local))
    }
}

/// The actor of a store that never starts an epoch.
fn first_actor(seen: Seen<'_>) -> Actor {
    Actor { store: seen.store, epoch: 0 }
}

/// The store's entry of the highest epoch in `vector`.
fn newest(seen: Seen<'_>, vector: &VersionVector) -> Option<Dot> {
    vector.dots_of(seen.store).next_back()
}
