//! Carrying out a client's write at the replica that stamps it.
//!
//! The replica drops the versions that the writer has seen, adds the new one under a fresh dot,
//! and the row that results is what it stores and sends to the others. What the writer has not
//! seen stays: it becomes a sibling.
//!
//! INSERT and DELETE need nothing but the writer's context. UPDATE starts from versions that the
//! context names, so the replica must have seen all that the context has; where it has not, it
//! fetches the row from its peers, applies it, and stamps again.
//!
//! Every write that changes the row mints a dot, also one that leaves no version: a removal, and an
//! UPDATE that clears the last column of a row without marker. The dot is what later contexts name
//! the write by: a copy that missed it does not include them, and so neither answers a reader who
//! knows of it nor gives its writes a base. A removal that changes nothing mints nothing.
//!
//! Callers: the commit loop. Pure.

use types::ValueError;

use super::update::update;
use super::{
    ActorRule, Change, Columns, CounterOverflow, Dot, EpochSource, Expiry, Minter, Siblings,
    Version, VersionVector, Write,
};

/// A row after a client's write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// The row to store and to send, unless nothing changed.
    pub row: Siblings,
    /// Whether the row is another than before. Only a removal can leave it as it was.
    pub changed: bool,
    /// The dot that was minted; none where nothing changed.
    pub dot: Option<Dot>,
    /// How many versions the write replaced or removed.
    pub replaced: usize,
    /// Whether another version reads just as the new one does: most likely the same write, sent
    /// twice by its client.
    pub has_equal_sibling: bool,
    /// Whether so many versions are left that the client should be warned.
    pub is_crowded: bool,
}

/// Why a write was not carried out. Nothing was written, and no dot is known to anybody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StampError {
    /// The local copy has not seen all that the writer has: fetch the row, then stamp again.
    #[error("the context names writes that this replica has not seen")]
    MissingHistory,
    /// The versions that the context covers differ in columns that the statement does not set.
    #[error("the versions of the row differ in columns {columns:?}: set them, or write all of it")]
    BasesDiffer {
        /// The ids of those columns, ascending.
        columns: Vec<u32>,
    },
    /// The row has as many versions as it may.
    #[error("row has {siblings} siblings: read context(), then write USING CONTEXT")]
    TooManySiblings {
        /// How many it has.
        siblings: usize,
    },
    /// A column that should hold a collection does not, or the elements are none, or too many.
    #[error("column {column}: {source}")]
    Set {
        /// The column's id.
        column: u32,
        /// What is wrong.
        source: ValueError,
    },
    /// A list has no such place.
    #[error("column {column}: List index {index} out of bound, list has size {len}")]
    ListIndex {
        /// The column's id.
        column: u32,
        /// The place, counted from 0.
        index: i32,
        /// How many elements the list has.
        len: usize,
    },
    /// The store has used up its dots for this row.
    #[error(transparent)]
    Counter(#[from] CounterOverflow),
}

/// Carries out `write` on the local copy of its row; `None` when there is none.
///
/// A read error is never "none". Takes at most one epoch, and none when it fails before minting.
///
/// # Errors
/// [`StampError`]; the local copy then stays as it is.
pub fn stamp<E: EpochSource, R: ActorRule>(
    local: Option<&Siblings>,
    write: &Write,
    minter: &mut Minter<E, R>,
) -> Result<Stamped, StampError> {
    stamp_after(local, write, &[], minter)
}

/// Carries out a later write of a batch: beside its context it has seen the `own` writes that the
/// batch has made of this row before.
///
/// No context could say so: one that covers a dot covers all that its actor stamped before, and
/// some of that may be what the client has not seen.
///
/// # Errors
/// [`StampError`]; the local copy then stays as it is.
pub fn stamp_after<E: EpochSource, R: ActorRule>(
    local: Option<&Siblings>,
    write: &Write,
    own: &[Dot],
    minter: &mut Minter<E, R>,
) -> Result<Stamped, StampError> {
    let unwritten = Siblings::default();
    let before = local.unwrap_or(&unwritten);
    let known = local.map(Siblings::vector);
    match &write.change {
        Change::Insert { columns, marker } => {
            put(before, known, (write, own), (Some(*marker), columns.clone()), minter)
        }
        Change::Update(changes) => {
            if !before.vector().includes(&write.context) {
                return Err(StampError::MissingHistory);
            }
            let made = update(before, changes, write, own)?;
            put(before, known, (write, own), made, minter)
        }
        Change::Remove => remove(before, known, (write, own), minter),
    }
}

/// Puts a new version in the place of those that the context covers.
fn put<E: EpochSource, R: ActorRule>(
    before: &Siblings,
    known: Option<&VersionVector>,
    (write, own): (&Write, &[Dot]),
    (marker, columns): (Option<Expiry>, Columns),
    minter: &mut Minter<E, R>,
) -> Result<Stamped, StampError> {
    let mut row = before.clone();
    let replaced = row.replace(&write.context, own);
    let siblings = before.versions().len();
    let left = row.versions().len() + 1;
    if left > write.limits.max && left > siblings {
        return Err(StampError::TooManySiblings { siblings });
    }
    let dot = minter.mint(known, &write.context)?;
    let version = Version { dot, write_time: write.write_time, marker, columns };
    let is_living = version.is_living(write.now);
    let reads_as_it = |other: &Version| other.columns.reads_as(&version.columns, write.now);
    let has_equal_sibling = is_living && row.living(write.now).any(reads_as_it);
    if is_living {
        row.add(version);
    } else {
        row.record(dot);
        row.remove_at(write.write_time);
    }
    let is_crowded = row.versions().len() >= write.limits.warn;
    Ok(Stamped { row, changed: true, dot: Some(dot), replaced, has_equal_sibling, is_crowded })
}

/// Removes the versions that the context covers, here and, by the vector, wherever it is merged.
fn remove<E: EpochSource, R: ActorRule>(
    before: &Siblings,
    known: Option<&VersionVector>,
    (write, own): (&Write, &[Dot]),
    minter: &mut Minter<E, R>,
) -> Result<Stamped, StampError> {
    let mut row = before.clone();
    let replaced = row.replace(&write.context, own);
    let changed = replaced > 0 || row.vector() != before.vector();
    let dot = changed.then(|| minter.mint(known, &write.context)).transpose()?;
    if let Some(dot) = dot {
        row.record(dot);
        row.remove_at(write.write_time);
    }
    let is_crowded = row.versions().len() >= write.limits.warn;
    Ok(Stamped { row, changed, dot, replaced, has_equal_sibling: false, is_crowded })
}

#[cfg(test)]
mod tests;
