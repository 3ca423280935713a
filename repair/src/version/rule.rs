//! Under which name a store stamps.
//!
//! A store that lost a row, in whole or in part, must not count on from what it has left: the
//! dots it would mint are known to others already, and the writes under them would vanish. It
//! cannot tell a row that it lost from one that it never had. So [`SafeRule`] starts a fresh
//! epoch whenever the local copy holds no entry of the store itself, and whenever somebody shows
//! an entry of the store that the local copy lacks or holds with a lower counter.
//!
//! [`ActorRule`] is a trait so that the tests can show what weaker rules lose.
//!
//! Callers: [`stamp`](super::stamp()) and [`apply`](super::apply()). Pure: epochs are handed in.

use ring::StoreId;

use super::{Actor, CounterOverflow, Dot, Siblings, VersionVector};

/// Gives out the epochs of one store, from a range that is on disk as taken.
pub trait EpochSource {
    /// An epoch that this store has never had before. [`stamp`](super::stamp()) and
    /// [`apply`](super::apply()) each take at most one a call.
    fn next_epoch(&mut self) -> u64;
}

/// What a store knows of a row when it stamps or merges it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The store.
    pub store: StoreId,
    /// What its copy has seen; `None` when it has none.
    pub local: Option<&'a VersionVector>,
    /// What the writer or the other copy has seen.
    pub incoming: &'a VersionVector,
}

impl Seen<'_> {
    /// The newest entry of the store itself in its own copy.
    pub fn newest_own(&self) -> Option<Dot> {
        self.local.and_then(|local| local.dots_of(self.store).next_back())
    }

    /// Whether an entry of the store itself has come in that its own copy does not include.
    pub fn is_local_behind(&self) -> bool {
        let is_known = |dot| self.local.is_some_and(|local| local.covers(dot));
        self.incoming.dots_of(self.store).any(|dot| !is_known(dot))
    }

    /// The store in an epoch that it has never had before.
    pub fn fresh_actor(&self, epochs: &mut dyn EpochSource) -> Actor {
        Actor { store: self.store, epoch: epochs.next_epoch() }
    }

    /// The dot of `actor` after all that both sides have seen.
    ///
    /// # Errors
    /// [`CounterOverflow`] when there is none.
    pub fn next_dot(&self, actor: Actor) -> Result<Dot, CounterOverflow> {
        let local = self.local.map_or(0, |local| local.counter(actor));
        Dot::after(actor, local.max(self.incoming.counter(actor)))
    }
}

/// How a store names the writes that it stamps.
pub trait ActorRule {
    /// The dot of the next write of a row.
    ///
    /// # Errors
    /// [`CounterOverflow`] when the actor has none left.
    fn mint(&self, seen: Seen<'_>, epochs: &mut dyn EpochSource) -> Result<Dot, CounterOverflow>;

    /// Whether the row needs an entry of a fresh epoch once what came in is merged.
    fn needs_fresh_epoch(&self, seen: Seen<'_>) -> bool;

    /// What is kept of a row that two copies were merged to: all of it, unless a test shows what is
    /// lost otherwise.
    fn kept(&self, merged: Siblings) -> Siblings {
        merged
    }
}

/// The rule that loses nothing. The only one for anything but tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct SafeRule;

impl ActorRule for SafeRule {
    fn mint(&self, seen: Seen<'_>, epochs: &mut dyn EpochSource) -> Result<Dot, CounterOverflow> {
        let actor = match seen.newest_own() {
            Some(own) if !seen.is_local_behind() => own.actor,
            _ => seen.fresh_actor(epochs),
        };
        seen.next_dot(actor)
    }

    fn needs_fresh_epoch(&self, seen: Seen<'_>) -> bool {
        seen.is_local_behind()
    }
}

impl<R: ActorRule + ?Sized> ActorRule for &R {
    fn mint(&self, seen: Seen<'_>, epochs: &mut dyn EpochSource) -> Result<Dot, CounterOverflow> {
        (**self).mint(seen, epochs)
    }

    fn needs_fresh_epoch(&self, seen: Seen<'_>) -> bool {
        (**self).needs_fresh_epoch(seen)
    }

    fn kept(&self, merged: Siblings) -> Siblings {
        (**self).kept(merged)
    }
}

/// One store as it stamps: its name, its epochs, and its rule.
#[derive(Debug)]
pub struct Minter<E, R = SafeRule> {
    /// The store.
    pub store: StoreId,
    /// Its epochs.
    pub epochs: E,
    /// Its rule.
    pub rule: R,
}

impl<E: EpochSource, R: ActorRule> Minter<E, R> {
    /// The dot of the next write.
    pub(super) fn mint(
        &mut self,
        local: Option<&VersionVector>,
        context: &VersionVector,
    ) -> Result<Dot, CounterOverflow> {
        let seen = Seen { store: self.store, local, incoming: context };
        self.rule.mint(seen, &mut self.epochs)
    }

    /// The entry that must be written together with what came in, if one must be.
    pub(super) fn renewal(
        &mut self,
        local: Option<&VersionVector>,
        incoming: &VersionVector,
        is_mended: bool,
    ) -> Option<Dot> {
        let seen = Seen { store: self.store, local, incoming };
        let is_needed = is_mended || self.rule.needs_fresh_epoch(seen);
        is_needed.then(|| Dot::first_of(seen.fresh_actor(&mut self.epochs)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Epochs, dot, store};
    use super::*;

    fn mint(local: Option<&[Dot]>, context: &[Dot]) -> Dot {
        let vector = |dots: &[Dot]| dots.iter().copied().collect::<VersionVector>();
        let mut minter = Minter { store: store(1), epochs: Epochs(100), rule: SafeRule };
        minter.mint(local.map(vector).as_ref(), &vector(context)).unwrap()
    }

    #[test]
    fn a_store_counts_on_in_its_highest_epoch() {
        assert_eq!(mint(Some(&[dot(1, 3, 9), dot(1, 7, 2)]), &[]), dot(1, 7, 3));
        assert_eq!(mint(Some(&[dot(1, 7, 2)]), &[dot(1, 7, 2), dot(2, 1, 1)]), dot(1, 7, 3));
    }

    #[test]
    fn a_copy_without_own_entry_takes_a_fresh_epoch_found_or_not() {
        assert_eq!(mint(None, &[]), dot(1, 101, 1));
        assert_eq!(mint(Some(&[dot(2, 5, 5)]), &[dot(2, 5, 5)]), dot(1, 101, 1));
    }

    #[test]
    fn a_context_that_knows_more_of_the_store_than_its_copy_asks_for_a_fresh_epoch() {
        assert_eq!(mint(None, &[dot(1, 7, 1)]), dot(1, 101, 1));
        assert_eq!(mint(Some(&[dot(1, 7, 2)]), &[dot(1, 7, 3)]), dot(1, 101, 1));
        assert_eq!(mint(Some(&[dot(1, 7, 2)]), &[dot(1, 8, 1)]), dot(1, 101, 1));
        assert_eq!(mint(Some(&[dot(1, 7, 2)]), &[dot(1, 3, 1)]), dot(1, 101, 1));
    }

    #[test]
    fn a_counter_at_its_end_is_an_error() {
        let full = Dot { counter: std::num::NonZeroU64::MAX, ..dot(1, 7, 1) };
        let seen = VersionVector::from_iter([full]);
        let mut minter = Minter { store: store(1), epochs: Epochs(100), rule: SafeRule };
        let overflow = Err(CounterOverflow { actor: full.actor });
        assert_eq!(minter.mint(Some(&seen), &VersionVector::default()), overflow);
    }
}
