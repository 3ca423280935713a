//! Rows of other copies, merged into this one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use repair::cells::{self, Kind, kind_of};
use repair::version::{ActorRule, Minter, SafeRule, Siblings, apply};
use ring::HostId;

use super::change::removes_only;
use super::hints::{Missed, put_hints};
use super::mend::{Local, local_row};
use super::stamp::{Epochs, put_row};
use super::{FetchFailure, Replica, ReplicaCounters};
use crate::store::commit::{CommitError, Mutation, View};
use crate::store::engine::Family;
use crate::store::identity::EpochError;
use crate::store::keys::RowKey;

/// Why rows were not merged. Unless the store failed, nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyFailure {
    /// A row that was sent cannot be read, or the disk fails.
    Damaged,
    /// A merged row needs an entry of a fresh epoch, and this store may deal out none now.
    Epoch(EpochError),
    /// Too many writes are waiting.
    Overloaded,
    /// The disk is nearly full.
    NoSpace,
    /// The store failed; whether the rows are logged is unknown.
    Store,
}

/// What another copy holds under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A row of a siblings table, to be merged after a read.
    Siblings {
        /// Its key.
        key: RowKey,
        /// The other copy.
        row: Siblings,
    },
    /// A row of a last-write-wins table or range tombstones, to be merged blindly.
    Cells {
        /// The key of the row, or the partition's prefix.
        key: Bytes,
        /// The value as it is stored.
        operand: Bytes,
    },
}

/// Rows of another copy, merged by the commit loop: all or none of them.
#[derive(Debug)]
pub struct Apply<R = SafeRule> {
    /// The rows.
    pub rows: Vec<Incoming>,
    /// Who has missed them.
    pub missed: Missed,
    /// The actor rule; tests plant unsafe ones here.
    pub rule: R,
    /// Where damage and duplicates are counted.
    pub counters: Arc<ReplicaCounters>,
}

impl<R: ActorRule + Send + 'static> Mutation for Apply<R> {
    type Answer = Result<(), ApplyFailure>;

    fn size(&self) -> usize {
        self.rows.iter().map(Incoming::size).sum()
    }

    fn may_use_reserve(&self) -> bool {
        self.rows.iter().all(Incoming::is_removal)
    }

    fn run(self, view: &mut View<'_>) -> Self::Answer {
        let Self { rows, missed, rule, counters } = self;
        let hinted = rows.iter().filter(|_| !missed.is_empty());
        let keys: Vec<Bytes> = hinted.map(|row| row.key().clone()).collect();
        let mut merged: BTreeMap<RowKey, Siblings> = BTreeMap::new();
        let mut operands = Vec::new();
        for incoming in rows {
            match incoming {
                Incoming::Cells { key, operand } => operands.push((key, operand)),
                Incoming::Siblings { key, row } => {
                    let local = match merged.get(&key) {
                        Some(row) => Local { row: Some(row.clone()), is_damaged: false },
                        None => local_row(view, &key, &counters)?,
                    };
                    if let Some(row) = merge(view, &local, &row, &rule, &counters)? {
                        merged.insert(key, row);
                    }
                }
            }
        }
        // Nothing fails from here on.
        for (key, row) in &merged {
            put_row(view, key, row, &counters);
        }
        for (key, operand) in operands {
            view.merge(Family::Rows, key, operand);
        }
        put_hints(view, keys.iter().map(AsRef::as_ref), &missed);
        Ok(())
    }
}

/// The local copy with the incoming one merged in, unless that changes nothing.
fn merge<R: ActorRule>(
    view: &mut View<'_>,
    local: &Local,
    incoming: &Siblings,
    rule: &R,
    counters: &ReplicaCounters,
) -> Result<Option<Siblings>, ApplyFailure> {
    let store = view.store();
    let mut minter = Minter { store, epochs: Epochs::of(view), rule };
    let applied = apply(local.row.as_ref(), incoming, local.is_damaged, &mut minter);
    if let Some(error) = minter.epochs.failure {
        return Err(ApplyFailure::Epoch(error));
    }
    if applied.duplicate_dots > 0 {
        ReplicaCounters::count(&counters.duplicate_dots, applied.duplicate_dots);
        tracing::error!(count = applied.duplicate_dots, "a dot came twice: both are kept");
    }
    Ok(applied.changed.then(|| rule.kept(applied.row)))
}

impl Incoming {
    /// Reads what another copy has sent under `key`: its first byte tells what it is.
    ///
    /// # Errors
    /// [`ApplyFailure::Damaged`] where it cannot be read: a copy spreads nothing of that sort.
    pub fn read(key: Bytes, value: Bytes) -> Result<Self, ApplyFailure> {
        let damaged = ApplyFailure::Damaged;
        match kind_of(&value) {
            Some(Kind::Siblings) => {
                let key = RowKey::read(key).map_err(|_| damaged.clone())?;
                let row = Siblings::decode(&value).map_err(|_| damaged)?;
                Ok(Self::Siblings { key, row })
            }
            Some(Kind::Row) if cells::Row::decode(&value).is_ok() => {
                Ok(Self::Cells { key, operand: value })
            }
            Some(Kind::Ranges) if cells::Ranges::decode(&value).is_ok() => {
                Ok(Self::Cells { key, operand: value })
            }
            _ => Err(damaged),
        }
    }

    /// The key under which it is stored.
    fn key(&self) -> &Bytes {
        match self {
            Self::Siblings { key, .. } => key.as_bytes(),
            Self::Cells { key, .. } => key,
        }
    }

    fn is_removal(&self) -> bool {
        match self {
            Self::Siblings { row, .. } => row.is_tombstone(),
            Self::Cells { operand, .. } => removes_only(operand),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Cells { key, operand } => key.len() + operand.len(),
            Self::Siblings { key, row } => {
                let versions = row.versions().iter();
                let columns: usize = versions.map(|version| version.columns.as_bytes().len()).sum();
                key.as_bytes().len() + columns
            }
        }
    }
}

impl Replica {
    /// Merges rows and range tombstones of another copy, as they are stored there, into this one;
    /// the answer comes after their fsync. All are merged, or none. Hints of those who have `missed`
    /// them are kept in the same batch.
    ///
    /// # Errors
    /// [`ApplyFailure`].
    pub async fn apply(
        &self,
        rows: Vec<(Bytes, Bytes)>,
        missed: &[HostId],
    ) -> Result<(), ApplyFailure> {
        if self.bugs.leaves_unmade(&rows) {
            return Ok(());
        }
        let rows = rows.into_iter().map(|(key, value)| Incoming::read(key, value));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let (missed, counters) = (missed.into(), Arc::clone(&self.counters));
        let apply = Apply { rows, missed, rule: self.bugs.rule(), counters };
        self.commits.submit(apply).await.unwrap_or_else(|error| Err(failure(&error)))
    }
}

impl From<FetchFailure> for ApplyFailure {
    fn from(FetchFailure: FetchFailure) -> Self {
        Self::Damaged
    }
}

pub(super) fn failure(error: &CommitError) -> ApplyFailure {
    match error {
        CommitError::Overloaded { .. } | CommitError::Stopped => ApplyFailure::Overloaded,
        CommitError::NoSpace { .. } => ApplyFailure::NoSpace,
        _ => ApplyFailure::Store,
    }
}
