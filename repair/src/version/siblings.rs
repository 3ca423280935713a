//! One row: what this copy has seen, and which of it lives.
//!
//! A dot that the vector covers and that has no version here was replaced or removed, or is that of
//! a removal; a dot that it does not cover was never seen. [`Siblings::merge`] therefore keeps a
//! version that both copies hold, or that the other has not seen; it is a join.
//!
//! ```text
//! (a,4):3  (b,1):1        a stamped three writes of this row in its epoch 4, b one
//!   (a,4):3 = v3          only the third of a's lives; b's was replaced by a writer who read it
//! ```
//!
//! A dot names one write. Should two different versions ever bear the same dot, both are kept,
//! and it is reported: the merge then joins the sets of versions under that dot.
//!
//! Callers: [`stamp`](super::stamp()), [`apply`](super::apply()), the merge of replies. Pure.

use std::cmp::Reverse;

use smallvec::SmallVec;

use super::{Columns, DecodeError, Dot, Expiry, VersionVector};

/// What one write made of a row. Versions are ordered by dot, then by all that they hold.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version {
    /// The write.
    pub dot: Dot,
    /// When it was written, by the writer's hybrid logical clock, in microseconds since the Unix
    /// epoch.
    pub write_time: i64,
    /// How long the version lives without any column; `None` when its columns alone keep it
    /// alive. INSERT sets it, UPDATE takes it from its base.
    pub marker: Option<Expiry>,
    /// Its columns; those not there are null.
    pub columns: Columns,
}

impl Version {
    /// Whether the version is to be seen at `now`: its marker or one of its columns is not over.
    pub fn is_living(&self, now: i64) -> bool {
        self.marker.is_some_and(|marker| !marker.is_over(now))
            || self.columns.living(now).next().is_some()
    }
}

/// One row of a siblings table. The default is a row that nobody ever wrote.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Siblings {
    vector: VersionVector,
    /// Strictly ascending; the vector covers their dots.
    versions: Vec<Version>,
    removed_at: i64,
}

/// What a merge did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Merged {
    /// Whether the row is another than before.
    pub changed: bool,
    /// Versions that came under a dot that bears a different one here. Anything but 0 means that
    /// some store stamped a dot twice, and is worth an alarm.
    pub duplicate_dots: usize,
}

impl Siblings {
    /// A row of these parts.
    ///
    /// # Errors
    /// [`DecodeError`] unless the versions ascend, the vector covers them all, and the time is
    /// not negative.
    pub fn from_parts(
        vector: VersionVector,
        versions: Vec<Version>,
        removed_at: i64,
    ) -> Result<Self, DecodeError> {
        if removed_at < 0 {
            return Err(DecodeError::NegativeRemoval);
        }
        if !versions.is_sorted_by(|one, next| one < next) {
            return Err(DecodeError::VersionsOutOfOrder);
        }
        if !versions.iter().all(|version| vector.covers(version.dot)) {
            return Err(DecodeError::UncoveredDot);
        }
        Ok(Self { vector, versions, removed_at })
    }

    /// All writes that this copy has seen: the context of a reader of this row.
    pub fn vector(&self) -> &VersionVector {
        &self.vector
    }

    /// The versions that no write replaced, also expired ones, ascending by dot.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// When a write last removed versions without leaving one of its own, in microseconds since
    /// the Unix epoch; 0 when none did.
    pub fn removed_at(&self) -> i64 {
        self.removed_at
    }

    /// Whether the row was never written.
    pub fn is_unwritten(&self) -> bool {
        self.vector.is_empty()
    }

    /// Whether the row has a history but no versions.
    pub fn is_tombstone(&self) -> bool {
        !self.is_unwritten() && self.versions.is_empty()
    }

    /// The versions that are to be seen at `now`: newest first, those of one time by dot.
    pub fn living(&self, now: i64) -> impl ExactSizeIterator<Item = &Version> {
        let living = self.versions.iter().filter(|version| version.is_living(now));
        let mut newest_first: SmallVec<[&Version; 8]> = living.collect();
        newest_first.sort_by_key(|version| Reverse(version.write_time));
        newest_first.into_iter()
    }

    /// Takes in all that `other` has seen: a join.
    ///
    /// Cost: one look-up in the other's vector for each version.
    pub fn merge(&mut self, other: &Self) -> Merged {
        let before = self.versions.len();
        self.versions.retain(|version| other.keeps(version));
        let kept = self.versions.len();
        let new = |version: &&Version| {
            self.keeps(version) && self.versions.binary_search(version).is_err()
        };
        let new: SmallVec<[&Version; 8]> = other.versions.iter().filter(new).collect();
        let duplicate_dots = new.iter().filter(|version| self.holds(version.dot)).count();
        self.versions.extend(new.into_iter().cloned());
        if self.versions.len() > kept {
            self.versions.sort_unstable();
        }
        let changed = before != kept
            || self.versions.len() > kept
            || !self.vector.includes(&other.vector)
            || self.removed_at < other.removed_at;
        self.vector.join(&other.vector);
        self.removed_at = self.removed_at.max(other.removed_at);
        Merged { changed, duplicate_dots }
    }

    /// Drops the versions that `context` covers and takes it in, and those of the `own` dots;
    /// answers how many went.
    pub(super) fn replace(&mut self, context: &VersionVector, own: &[Dot]) -> usize {
        let before = self.versions.len();
        let is_seen = |dot| context.covers(dot) || own.contains(&dot);
        self.versions.retain(|version| !is_seen(version.dot));
        self.vector.join(context);
        before - self.versions.len()
    }

    /// Takes `dot` into the history, with no version under it.
    pub(super) fn record(&mut self, dot: Dot) {
        self.vector.record(dot);
    }

    /// Adds a version whose dot nobody has seen.
    pub(super) fn add(&mut self, version: Version) {
        assert!(!self.vector.covers(version.dot), "a dot is minted once");
        self.vector.record(version.dot);
        let at = self.versions.partition_point(|other| other < &version);
        self.versions.insert(at, version);
    }

    /// Notes that versions were removed at `time`.
    pub(super) fn remove_at(&mut self, time: i64) {
        self.removed_at = self.removed_at.max(time);
    }

    /// Whether a version of another copy survives a merge with this one.
    fn keeps(&self, version: &Version) -> bool {
        !self.vector.covers(version.dot) || self.holds(version.dot)
    }

    /// Whether some version here bears `dot`.
    fn holds(&self, dot: Dot) -> bool {
        self.versions.binary_search_by_key(&dot, |version| version.dot).is_ok()
    }
}

#[cfg(test)]
mod tests;
