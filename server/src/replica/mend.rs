//! Rows of this copy that cannot be read, mended with what another copy holds.
//!
//! Law: what came is merged into what can still be read, never put over it; a mended row of a siblings
//! table gets an entry of a fresh epoch, for nobody knows which own dots the lost bytes had. A failing
//! disk is no damage: nothing is mended while it fails.
//!
//! Callers: [`Apply`] for rows that it reads anyway, and exchanges, which read cells for this.

use bytes::Bytes;
use repair::cells::{self, Kind, kind_of};
use repair::is_sound;
use repair::version::{ActorRule, SafeRule, Siblings};

use super::apply::failure;
use super::{Apply, ApplyFailure, FetchFailure, Incoming, Missed, Replica, ReplicaCounters};
use crate::store::commit::{Mutation, View};
use crate::store::engine::{EngineError, Family};
use crate::store::keys::RowKey;

/// What this copy holds of a row that another copy is merged into.
pub(super) struct Local {
    /// What can be read of it.
    pub(super) row: Option<Siblings>,
    /// Whether there is more that cannot.
    pub(super) is_damaged: bool,
}

/// The local copy under the batch being built.
///
/// # Errors
/// [`FetchFailure`] where the disk fails.
pub(super) fn local_row(
    view: &View<'_>,
    key: &RowKey,
    counters: &ReplicaCounters,
) -> Result<Local, FetchFailure> {
    match view.get(Family::Rows, key.as_ref()) {
        Ok(stored) => match stored.as_ref().map(Siblings::decode).transpose() {
            Ok(row) => Ok(Local { row, is_damaged: false }),
            Err(error) => Ok(damaged_row(key, counters, &error)),
        },
        Err(error @ EngineError::Corrupt { .. }) => Ok(damaged_row(key, counters, &error)),
        Err(error) => Err(counters.damaged(key.as_ref(), &error)),
    }
}

fn damaged_row(key: &RowKey, counters: &ReplicaCounters, why: &dyn std::fmt::Display) -> Local {
    note(counters, key.as_ref(), why);
    Local { row: None, is_damaged: true }
}

fn note(counters: &ReplicaCounters, key: &[u8], why: &dyn std::fmt::Display) {
    ReplicaCounters::count(&counters.mended_rows, 1);
    tracing::warn!(key_len = key.len(), %why, "a stored row could not be read: mended");
}

/// Rows of another copy, merged like those of [`Apply`], but that cells are read first, so that they
/// are mended where they have to be.
#[derive(Debug)]
pub struct Mend<R = SafeRule>(pub Apply<R>);

impl<R: ActorRule + Send + 'static> Mutation for Mend<R> {
    type Answer = Result<(), ApplyFailure>;

    fn size(&self) -> usize {
        self.0.size()
    }

    fn may_use_reserve(&self) -> bool {
        self.0.may_use_reserve()
    }

    fn run(self, view: &mut View<'_>) -> Self::Answer {
        let Self(Apply { rows, missed, rule, counters }) = self;
        let (mut sound, mut mended) = (Vec::with_capacity(rows.len()), Vec::new());
        for incoming in rows {
            if let Incoming::Cells { key, operand } = &incoming
                && let Some(value) = mended_cells(view, key, operand, &counters)?
            {
                mended.push((key.clone(), value));
            } else {
                sound.push(incoming);
            }
        }
        Apply { rows: sound, missed, rule, counters }.run(view)?;
        for (key, value) in mended {
            view.put(Family::Rows, key, value);
        }
        Ok(())
    }
}

/// The value to put under a key whose cells cannot be read; none where they can be.
fn mended_cells(
    view: &View<'_>,
    key: &Bytes,
    operand: &Bytes,
    counters: &ReplicaCounters,
) -> Result<Option<Bytes>, FetchFailure> {
    match view.get(Family::Rows, key) {
        Ok(stored) => {
            let damaged = stored.filter(|value| !is_sound(value));
            Ok(damaged.map(|value| {
                note(counters, key, &"something that was merged into it cannot be read");
                salvaged(&value, operand)
            }))
        }
        Err(error @ EngineError::Corrupt { .. }) => {
            note(counters, key, &error);
            Ok(Some(operand.clone()))
        }
        Err(error) => Err(counters.damaged(key, &error)),
    }
}

/// What can be read of `value`, with `operand` merged in: of the kind that the operand is of, for two
/// kinds never lie under one key.
fn salvaged(value: &[u8], operand: &Bytes) -> Bytes {
    let readable = cells::salvage(value);
    let readable = match kind_of(operand) {
        Some(Kind::Ranges) => readable.ranges.map(|ranges| ranges.encode()),
        _ => readable.row.map(|row| row.encode()),
    };
    cells::merge_encoded(readable.as_deref(), [operand.as_ref()]).into()
}

impl Replica {
    /// Merges rows of another copy as [`Replica::apply`] does, and mends those of this copy that
    /// cannot be read: for exchanges, which are about rows that differ.
    ///
    /// # Errors
    /// [`ApplyFailure`].
    pub async fn mend(&self, rows: Vec<(Bytes, Bytes)>) -> Result<(), ApplyFailure> {
        let rows = rows.into_iter().map(|(key, value)| Incoming::read(key, value));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let counters = std::sync::Arc::clone(&self.counters);
        let mend = Mend(Apply { rows, missed: Missed::new(), rule: SafeRule, counters });
        self.commits.submit(mend).await.unwrap_or_else(|error| Err(failure(&error)))
    }
}
