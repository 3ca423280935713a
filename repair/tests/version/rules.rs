//! Rules by which a store could name its writes, each of which loses some.
//!
//! Their failures are what the safe rule is measured by: a network of replicas that does not
//! catch them proves nothing.

use starling_repair::version::{
    Actor, ActorRule, CounterOverflow, Dot, EpochSource, Seen, VersionVector,
};

/// One actor for ever; each row counts by itself.
pub(crate) struct CounterPerRow;

impl ActorRule for CounterPerRow {
    fn mint(&self, seen: Seen<'_>, _: &mut dyn EpochSource) -> Result<Dot, CounterOverflow> {
        seen.next_dot(first_actor(seen))
    }

    fn needs_fresh_epoch(&self, _: Seen<'_>) -> bool {
        false
    }
}

/// One actor for ever; all rows of the store count together, so that no dot is minted twice.
pub(crate) struct CounterPerStore;

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
pub(crate) struct FreshWhereNotFound;

impl ActorRule for FreshWhereNotFound {
    fn mint(&self, seen: Seen<'_>, epochs: &mut dyn EpochSource) -> Result<Dot, CounterOverflow> {
        let Some(local) = seen.local else {
            return seen.next_dot(seen.fresh_actor(epochs));
        };
        let is_behind = newest(seen, seen.incoming) > newest(seen, local);
        let own = seen.newest_own().map_or(first_actor(seen), |own| own.actor);
        seen.next_dot(if is_behind { seen.fresh_actor(epochs) } else { own })
    }

    fn needs_fresh_epoch(&self, _: Seen<'_>) -> bool {
        false
    }
}

/// The same, and a fresh epoch where another copy knows a later epoch or counter.
pub(crate) struct FreshWhereForgotten;

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
