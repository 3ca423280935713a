//! The one merge of every engine: joins operands into a row's value, whatever their bytes.
//!
//! Law: total. A merge operator that fails poisons every read of its key, and one that panics
//! takes the process with it; so what cannot be read is kept in the value, counted, and refused by
//! whoever decodes it. The rules themselves are those of [`repair::cells`].
//!
//! Callers: both engines, and the batches in front of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use repair::cells::{self, Merged};

use super::engine::EngineStats;

/// The name under which RocksDB keeps the operator; the format is in the values themselves.
pub(super) const OPERATOR: &str = "starling.cells";

/// What merges have done, for metrics.
#[derive(Debug, Default)]
pub(super) struct MergeCounters {
    /// Operands that were joined when something was read, flushed or compacted.
    pub(super) operands: AtomicU64,
    /// Values among them that could not be read.
    pub(super) unreadable: AtomicU64,
}

impl MergeCounters {
    /// Joins `operands` into `base` and counts them.
    pub(super) fn merge<'a>(
        &self,
        base: Option<&'a [u8]>,
        operands: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<u8> {
        let operands: Vec<&[u8]> = operands.into_iter().collect();
        self.operands.fetch_add(operands.len() as u64, Ordering::Relaxed);
        let Merged { value, unreadable } = merge(base, &operands);
        self.note_unreadable(unreadable);
        value
    }

    pub(super) fn add_to(&self, stats: &mut EngineStats) {
        stats.operands_merged = self.operands.load(Ordering::Relaxed);
        stats.unreadable_operands = self.unreadable.load(Ordering::Relaxed);
    }

    pub(super) fn note_unreadable(&self, count: usize) {
        if count > 0 {
            self.unreadable.fetch_add(count as u64, Ordering::Relaxed);
            tracing::error!(count, "operands of a row cannot be read: kept in a poisoned value");
        }
    }
}

/// Joins `operands` into `base`.
pub(super) fn merge(base: Option<&[u8]>, operands: &[&[u8]]) -> Merged {
    let merged = AssertUnwindSafe(|| cells::merge_counted(base, operands.iter().copied()));
    catch_unwind(merged).unwrap_or_else(|_| Merged {
        value: cells::poison(base.into_iter().chain(operands.iter().copied())),
        unreadable: operands.len(),
    })
}
