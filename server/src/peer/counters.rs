//! What did not reach other nodes, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests about rows that other nodes did not answer.
///
/// Many of them nobody waits for any more: the client had its answer from other replicas.
#[derive(Debug, Default)]
pub struct PeerCounters {
    /// Requests that the peer never got: unreachable, too late, or too many waited.
    pub not_sent: AtomicU64,
    /// Requests whose connection broke before the answer that somebody waited for.
    pub lost: AtomicU64,
}

impl PeerCounters {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
