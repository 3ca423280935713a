//! What operations have needed beyond their own replicas, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counted since the node started.
#[derive(Debug, Default)]
pub struct CoordCounters {
    /// Writes that were acknowledged with the help of stand-ins.
    pub sloppy_writes: AtomicU64,
    /// Reads that were answered with the help of stand-ins.
    pub sloppy_reads: AtomicU64,
    /// Replicas that were brought up to date before a read was answered.
    pub repairs_awaited: AtomicU64,
    /// Replicas that were brought up to date behind the answer's back.
    pub repairs_behind: AtomicU64,
    /// Writes of which no hint could be kept for a replica that has missed them: left to
    /// anti-entropy.
    pub hints_forgone: AtomicU64,
    /// Hints that were not kept because the replica is down for longer than the window.
    pub hints_past_window: AtomicU64,
}

impl CoordCounters {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
