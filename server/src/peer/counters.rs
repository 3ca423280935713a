//! What did not reach other nodes, and what was wrong with connections, counted.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::codec::CodecError;

/// Requests about rows that other nodes did not answer, and connections that ended badly.
///
/// Of the requests nobody waits for many any more: the client had its answer from other replicas.
#[derive(Debug, Default)]
pub struct PeerCounters {
    /// Requests that the peer never got: unreachable, too late, or too many waited.
    pub not_sent: AtomicU64,
    /// Requests whose connection broke before the answer that somebody waited for.
    pub lost: AtomicU64,
    /// Connections of all kinds that ended because their bytes were not those that were sent.
    pub corrupt: AtomicU64,
    /// Connections of all kinds that were given up: open, and nothing came back.
    pub silent: AtomicU64,
}

impl PeerCounters {
    /// The bytes of a connection were not those that were sent: it ends.
    pub(super) fn note_corrupt(&self, peer: SocketAddr, error: &CodecError) {
        Self::count(&self.corrupt);
        tracing::warn!(%peer, %error, "corrupted bytes: the connection ends");
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
