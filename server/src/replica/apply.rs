//! A row of another copy, merged into this one.

use std::sync::Arc;

use bytes::Bytes;
use repair::version::{ActorRule, Minter, SafeRule, Siblings, apply};

use super::stamp::{Epochs, put_row, read_row};
use super::{FetchFailure, Replica, ReplicaCounters};
use crate::store::commit::{CommitError, Mutation, View};
use crate::store::identity::EpochError;
use crate::store::keys::RowKey;

/// Why a row was not merged. Unless the store failed, nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyFailure {
    /// The row that was sent or the one that is stored cannot be read.
    Damaged,
    /// The merged row needs an entry of a fresh epoch, and this store may deal out none now.
    Epoch(EpochError),
    /// Too many writes are waiting.
    Overloaded,
    /// The disk is nearly full.
    NoSpace,
    /// The store failed; whether the row is logged is unknown.
    Store,
}

/// A row of another copy, merged by the commit loop.
#[derive(Debug)]
pub struct Apply<R = SafeRule> {
    /// The row's key.
    pub key: RowKey,
    /// The other copy.
    pub incoming: Siblings,
    /// The actor rule; tests plant unsafe ones here.
    pub rule: R,
    /// Where damage and duplicates are counted.
    pub counters: Arc<ReplicaCounters>,
}

impl<R: ActorRule + Send + 'static> Mutation for Apply<R> {
    type Answer = Result<(), ApplyFailure>;

    fn size(&self) -> usize {
        let versions = self.incoming.versions().iter();
        let columns: usize = versions.map(|version| version.columns.as_bytes().len()).sum();
        self.key.as_bytes().len() + columns
    }

    fn run(self, view: &mut View<'_>) -> Self::Answer {
        let local = read_row(view, &self.key, &self.counters)?;
        let store = view.store();
        let mut minter = Minter { store, epochs: Epochs::of(view), rule: self.rule };
        let applied = apply(local.as_ref(), &self.incoming, false, &mut minter);
        if let Some(error) = minter.epochs.failure {
            return Err(ApplyFailure::Epoch(error));
        }
        if applied.duplicate_dots > 0 {
            ReplicaCounters::count(&self.counters.duplicate_dots, applied.duplicate_dots);
            tracing::error!(count = applied.duplicate_dots, "a dot came twice: both are kept");
        }
        if applied.changed {
            put_row(view, &self.key, &applied.row, &self.counters);
        }
        Ok(())
    }
}

impl Replica {
    /// Merges a row of another copy, as it is stored there, into this one; the answer comes after
    /// its fsync.
    ///
    /// # Errors
    /// [`ApplyFailure`].
    pub async fn apply(&self, key: RowKey, row: Bytes) -> Result<(), ApplyFailure> {
        let incoming = Siblings::decode(&row).map_err(|_| ApplyFailure::Damaged)?;
        let counters = Arc::clone(&self.counters);
        let apply = Apply { key, incoming, rule: SafeRule, counters };
        self.commits.submit(apply).await.unwrap_or_else(|error| Err(failure(&error)))
    }
}

impl From<FetchFailure> for ApplyFailure {
    fn from(FetchFailure: FetchFailure) -> Self {
        Self::Damaged
    }
}

fn failure(error: &CommitError) -> ApplyFailure {
    match error {
        CommitError::Overloaded { .. } | CommitError::Stopped => ApplyFailure::Overloaded,
        CommitError::NoSpace { .. } => ApplyFailure::NoSpace,
        _ => ApplyFailure::Store,
    }
}
