//! A client's write, stamped by this copy.

use std::sync::Arc;

use repair::version::{
    ActorRule, Change, ColumnChange, EpochSource, Minter, SafeRule, Siblings, StampError, Stamped,
    Write, stamp,
};

use super::{FetchFailure, Replica, ReplicaCounters};
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
    /// The stored row cannot be read; nothing was written.
    Damaged,
    /// The store failed; whether the write is logged is unknown.
    Store,
}

/// A client's write of one row, carried out by the commit loop.
#[derive(Debug)]
pub struct Stamp<R = SafeRule> {
    /// The row.
    pub key: RowKey,
    /// What it does.
    pub write: Write,
    /// Under which actor; tests plant unsafe rules here.
    pub rule: R,
    /// Where damage is counted.
    pub counters: Arc<ReplicaCounters>,
}

impl<R: ActorRule + Send + 'static> Mutation for Stamp<R> {
    type Answer = Result<Stamped, StampFailure>;

    fn size(&self) -> usize {
        self.key.as_bytes().len() + change_size(&self.write.change)
    }

    fn may_use_reserve(&self) -> bool {
        matches!(self.write.change, Change::Remove)
    }

    fn run(self, view: &mut View<'_>) -> Self::Answer {
        if !view.is_confirmed() {
            return Err(StampFailure::Epoch(EpochError::Unconfirmed));
        }
        let local = read_row(view, &self.key, &self.counters)?;
        let store = view.store();
        let mut minter = Minter { store, epochs: Epochs::of(view), rule: self.rule };
        let stamped = stamp(local.as_ref(), &self.write, &mut minter);
        if let Some(error) = minter.epochs.failure {
            return Err(StampFailure::Epoch(error));
        }
        let stamped = stamped.map_err(StampFailure::Row)?;
        if stamped.changed {
            put_row(view, &self.key, &stamped.row, &self.counters);
        }
        Ok(stamped)
    }
}

impl Replica {
    /// Carries out a client's write on this copy; the answer comes after its fsync.
    ///
    /// # Errors
    /// [`StampFailure`].
    pub async fn stamp(&self, key: RowKey, write: Write) -> Result<Stamped, StampFailure> {
        let counters = Arc::clone(&self.counters);
        let stamp = Stamp { key, write, rule: SafeRule, counters };
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

/// About how many bytes a change adds to its row.
fn change_size(change: &Change) -> usize {
    match change {
        Change::Insert { columns, .. } => columns.as_bytes().len(),
        Change::Update(columns) => columns.values().map(column_size).sum(),
        Change::Remove => 0,
    }
}

fn column_size(change: &ColumnChange) -> usize {
    match change {
        ColumnChange::Set { value: bytes, .. }
        | ColumnChange::SetAdd { elements: bytes, .. }
        | ColumnChange::SetRemove { elements: bytes, .. }
        | ColumnChange::ListAdd { elements: bytes, .. }
        | ColumnChange::ListRemove { elements: bytes, .. } => bytes.len(),
        ColumnChange::ListPut { places, .. } => {
            places.values().flatten().map(|element| element.len() + 4).sum()
        }
        ColumnChange::MapPut { removed, entries, .. } => removed.len() + entries.len(),
        ColumnChange::Clear => 0,
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
