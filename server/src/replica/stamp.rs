//! A client's write of one partition: rows stamped by this copy, cells merged as they are.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use repair::version::{
    ActorRule, Dot, EpochSource, Minter, SafeRule, Siblings, StampError, Stamped, Write,
    stamp_after,
};
use ring::HostId;

use super::hints::{Missed, put_hints};
use super::{Change, FetchFailure, Replica, ReplicaCounters};
use crate::store::commit::{CommitError, Mutation, View};
use crate::store::engine::Family;
use crate::store::identity::EpochError;
use crate::store::keys::RowKey;

/// Why the store did not stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StampFailure {
    /// The row refuses the statement, or the replica must learn more first.
    Row(StampError),
    /// This store may mint no dot now; nothing was written.
    Epoch(EpochError),
    /// Too many writes are waiting; nothing was written.
    Overloaded,
    /// The disk is nearly full; nothing was written.
    NoSpace,
    /// A stored row, or what should be merged into one, cannot be read; nothing was written.
    Damaged,
    /// The store failed; whether the write is logged is unknown.
    Store,
}

/// A client's write of rows of one partition, carried out by the commit loop: all or none of it.
#[derive(Debug)]
pub struct Stamp<R = SafeRule> {
    /// What it does, in this order: a later change of a row has seen the earlier ones.
    pub changes: Vec<Change>,
    /// Who has missed it already.
    pub missed: Missed,
    /// Under which actor; tests plant unsafe rules here.
    pub rule: R,
    /// Where damage is counted.
    pub counters: Arc<ReplicaCounters>,
}

impl<R: ActorRule + Send + 'static> Mutation for Stamp<R> {
    /// What became of the versioned changes, in order.
    type Answer = Result<Vec<Stamped>, StampFailure>;

    fn size(&self) -> usize {
        self.changes.iter().map(Change::size).sum()
    }

    fn may_use_reserve(&self) -> bool {
        self.changes.iter().all(Change::is_removal)
    }

    fn run(self, view: &mut View<'_>) -> Self::Answer {
        let Self { changes, missed, rule, counters } = self;
        let keys: Vec<_> = hinted_keys(&changes, &missed);
        let mut stamping = Stamping { rows: BTreeMap::new(), stamped: Vec::new() };
        let mut operands = Vec::new();
        for change in changes {
            match change {
                Change::Cells { key, operand } => operands.push((key, operand)),
                Change::Versioned { key, write } => {
                    stamping.stamp(view, key, &write, &rule, &counters)?;
                }
            }
        }
        // Nothing fails from here on.
        for (key, row) in stamping.rows {
            if let (Some(row), true) = (row.row, row.changed) {
                put_row(view, &key, &row, &counters);
            }
        }
        for (key, operand) in operands {
            view.merge(Family::Rows, key, operand);
        }
        put_hints(view, keys.iter().map(AsRef::as_ref), &missed);
        Ok(stamping.stamped)
    }
}

/// The keys of the rows that are to be hinted; none where nobody has missed them.
fn hinted_keys(changes: &[Change], missed: &[HostId]) -> Vec<Bytes> {
    if missed.is_empty() {
        return Vec::new();
    }
    changes.iter().map(Change::key).cloned().collect()
}

/// The versioned changes of a write, so far.
struct Stamping {
    /// The rows that it changes; ordered, so that a batch is the same each time.
    rows: BTreeMap<RowKey, StampedRow>,
    stamped: Vec<Stamped>,
}

/// A row and the dots that the write has minted for it.
struct StampedRow {
    row: Option<Siblings>,
    own: Vec<Dot>,
    changed: bool,
}

impl Stamping {
    fn stamp<R: ActorRule>(
        &mut self,
        view: &mut View<'_>,
        key: RowKey,
        write: &Write,
        rule: &R,
        counters: &ReplicaCounters,
    ) -> Result<(), StampFailure> {
        if !view.is_confirmed() {
            return Err(StampFailure::Epoch(EpochError::Unconfirmed));
        }
        let known = match self.rows.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let row = read_row(view, place.key(), counters)?;
                place.insert(StampedRow { row, own: Vec::new(), changed: false })
            }
        };
        let store = view.store();
        let mut minter = Minter { store, epochs: Epochs::of(view), rule };
        let stamped = stamp_after(known.row.as_ref(), write, &known.own, &mut minter);
        if let Some(error) = minter.epochs.failure {
            return Err(StampFailure::Epoch(error));
        }
        let stamped = stamped.map_err(StampFailure::Row)?;
        if stamped.changed {
            known.row = Some(stamped.row.clone());
            known.own.extend(stamped.dot);
            known.changed = true;
        }
        self.stamped.push(stamped);
        Ok(())
    }
}

impl Replica {
    /// Carries out a client's write of rows of one partition on this copy, all of it or none; the
    /// answer comes after its fsync, with what became of the versioned changes, in order. Hints of
    /// those who have `missed` it already are kept in the same batch.
    ///
    /// # Errors
    /// [`StampFailure`].
    pub async fn write(
        &self,
        changes: Vec<Change>,
        missed: &[HostId],
    ) -> Result<Vec<Stamped>, StampFailure> {
        if !changes.iter().all(Change::is_readable) {
            return Err(StampFailure::Damaged);
        }
        let (missed, counters) = (missed.into(), Arc::clone(&self.counters));
        let mints = changes.iter().any(|change| matches!(change, Change::Versioned { .. }));
        if mints && self.is_fenced() {
            return Err(StampFailure::Epoch(EpochError::Fenced));
        }
        let stamp = Stamp { changes, missed, rule: self.bugs.rule(), counters };
        self.commits.submit(stamp).await.unwrap_or_else(|error| Err(failure(&error)))
    }
}

impl From<FetchFailure> for StampFailure {
    fn from(FetchFailure: FetchFailure) -> Self {
        Self::Damaged
    }
}

fn failure(error: &CommitError) -> StampFailure {
    match error {
        CommitError::Overloaded { .. } | CommitError::Stopped => StampFailure::Overloaded,
        CommitError::NoSpace { .. } => StampFailure::NoSpace,
        _ => StampFailure::Store,
    }
}

/// The local copy under the batch being built; none where there is no row.
///
/// # Errors
/// [`FetchFailure`] where there is one that cannot be read.
pub(super) fn read_row(
    view: &View<'_>,
    key: &RowKey,
    counters: &ReplicaCounters,
) -> Result<Option<Siblings>, FetchFailure> {
    let stored = view.get(Family::Rows, key.as_ref());
    let stored = stored.map_err(|error| counters.damaged(key.as_ref(), &error))?;
    let decoded = stored.as_ref().map(Siblings::decode).transpose();
    decoded.map_err(|error| counters.damaged(key.as_ref(), &error))
}

/// Puts a row, and remembers which epochs of other stores were seen with it.
pub(super) fn put_row(
    view: &mut View<'_>,
    key: &RowKey,
    row: &Siblings,
    counters: &ReplicaCounters,
) {
    for dot in row.vector().dots() {
        view.note_epoch(dot.actor.store, dot.actor.epoch);
    }
    if row.vector().is_long() {
        ReplicaCounters::count(&counters.long_vectors, 1);
    }
    view.put(Family::Rows, key.as_bytes().clone(), row.encode());
}

/// The epochs of the store, with the first failure to get one.
pub(super) struct Epochs<'a, 'v> {
    view: &'a mut View<'v>,
    pub(super) failure: Option<EpochError>,
}

impl<'a, 'v> Epochs<'a, 'v> {
    pub(super) fn of(view: &'a mut View<'v>) -> Self {
        Self { view, failure: None }
    }
}

impl EpochSource for Epochs<'_, '_> {
    /// After a failure the number means nothing: the caller looks for it and drops the outcome.
    fn next_epoch(&mut self) -> u64 {
        match self.view.next_epoch() {
            Ok(epoch) => epoch,
            Err(error) => {
                self.failure = Some(error);
                0
            }
        }
    }
}
