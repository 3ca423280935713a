//! Which writes somebody has seen of one row.
//!
//! A [`VersionVector`] says for each actor how many of its writes were seen; it claims all of
//! them up to that one, whether or not their versions still live. Vectors are joined entry by
//! entry, and never shrink.
//!
//! Callers: [`Siblings`](super::Siblings), client contexts, the merge of replies. Pure.

use ring::StoreId;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Actor, DecodeError, Dot};

/// A vector of more actors than this is counted and warned of. Nothing is ever cut off.
const ACTORS_WARN: usize = 64;

/// The newest dot seen of each actor; with it all earlier ones of that actor.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "bytes::Bytes", into = "bytes::Bytes")]
pub struct VersionVector {
    /// Ascending by actor, one dot each.
    newest: SmallVec<[Dot; 3]>,
}

impl VersionVector {
    /// Whether no write was seen at all.
    pub fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }

    /// How many actors there are.
    pub fn len(&self) -> usize {
        self.newest.len()
    }

    /// Whether there are so many actors that an operator should know.
    pub fn is_long(&self) -> bool {
        self.len() > ACTORS_WARN
    }

    /// The newest dot of each actor, ascending by actor.
    pub fn dots(&self) -> impl ExactSizeIterator<Item = Dot> + '_ {
        self.newest.iter().copied()
    }

    /// The actors, ascending.
    pub fn actors(&self) -> impl ExactSizeIterator<Item = Actor> + '_ {
        self.newest.iter().map(|dot| dot.actor)
    }

    /// The newest dots of the actors of `store`, ascending by epoch.
    pub fn dots_of(&self, store: StoreId) -> impl DoubleEndedIterator<Item = Dot> + '_ {
        self.newest.iter().copied().filter(move |dot| dot.actor.store == store)
    }

    /// How many writes of `actor` were seen.
    pub fn counter(&self, actor: Actor) -> u64 {
        self.place(actor).map_or(0, |at| self.newest[at].counter.get())
    }

    /// Whether the write of `dot` was seen.
    pub fn covers(&self, dot: Dot) -> bool {
        dot.counter.get() <= self.counter(dot.actor)
    }

    /// Whether every write that `other` has seen was seen here too.
    pub fn includes(&self, other: &Self) -> bool {
        other.len() <= self.len() && other.dots().all(|dot| self.covers(dot))
    }

    /// Takes in all that `other` has seen; answers whether anything was new.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for dot in other.dots() {
            changed |= self.record(dot);
        }
        changed
    }

    /// Takes in `dot` and all earlier ones of its actor; answers whether any was new.
    pub fn record(&mut self, dot: Dot) -> bool {
        match self.place(dot.actor) {
            Ok(at) if self.newest[at].counter >= dot.counter => false,
            Ok(at) => {
                self.newest[at] = dot;
                true
            }
            Err(at) => {
                self.newest.insert(at, dot);
                true
            }
        }
    }

    /// The index of `actor` among [`Self::dots`], or where it would be.
    pub(super) fn place(&self, actor: Actor) -> Result<usize, usize> {
        self.newest.binary_search_by_key(&actor, |dot| dot.actor)
    }

    /// The dot at an index of [`Self::dots`].
    pub(super) fn at(&self, index: usize) -> Option<Dot> {
        self.newest.get(index).copied()
    }

    /// Adds a dot whose actor must come after all others.
    pub(super) fn push(&mut self, dot: Dot) -> Result<(), DecodeError> {
        if self.newest.last().is_some_and(|last| last.actor >= dot.actor) {
            return Err(DecodeError::ActorsOutOfOrder);
        }
        self.newest.push(dot);
        Ok(())
    }
}

impl FromIterator<Dot> for VersionVector {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut vector = Self::default();
        for dot in dots {
            vector.record(dot);
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{dot, vector};
    use super::*;

    #[test]
    fn a_vector_covers_all_earlier_dots_of_its_actors_and_no_others() {
        let seen = VersionVector::from_iter([dot(1, 1, 3)]);
        assert!(seen.covers(dot(1, 1, 1)) && seen.covers(dot(1, 1, 3)));
        assert!(!seen.covers(dot(1, 1, 4)) && !seen.covers(dot(1, 2, 1)));
        assert!(!seen.covers(dot(2, 1, 1)));
    }

    #[test]
    fn an_older_dot_changes_nothing() {
        let mut seen = VersionVector::from_iter([dot(1, 1, 3)]);
        assert!(!seen.record(dot(1, 1, 2)));
        assert_eq!(seen.counter(dot(1, 1, 1).actor), 3);
    }

    #[test]
    fn dots_of_a_store_end_with_its_highest_epoch() {
        let seen = VersionVector::from_iter([dot(1, 7, 1), dot(2, 9, 4), dot(1, 3, 5)]);
        assert_eq!(seen.dots_of(dot(1, 1, 1).actor.store).next_back(), Some(dot(1, 7, 1)));
    }

    #[test]
    fn more_than_64_actors_are_long() {
        let of = |actors| (1..=actors).map(|epoch| dot(1, epoch, 1)).collect::<VersionVector>();
        assert!(!of(64).is_long());
        assert!(of(65).is_long());
    }

    proptest! {
        #[test]
        fn join_is_a_join(a in vector(), b in vector(), c in vector()) {
            let joined = |one: &VersionVector, other: &VersionVector| {
                let mut joined = one.clone();
                joined.join(other);
                joined
            };
            prop_assert_eq!(joined(&a, &b), joined(&b, &a));
            prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
            prop_assert_eq!(joined(&a, &a), a);
        }

        #[test]
        fn includes_says_whether_a_join_would_change_nothing(a in vector(), b in vector()) {
            let mut joined = a.clone();
            prop_assert_eq!(a.includes(&b), !joined.join(&b));
            prop_assert_eq!(a.includes(&b), joined == a);
        }
    }
}
