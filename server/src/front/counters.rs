//! What clients asked and what they were told, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of the native protocol's port.
#[derive(Debug, Default)]
pub struct FrontCounters {
    /// Connections that were accepted.
    pub(super) connections: AtomicU64,
    /// Connections that were closed at once because there are too many.
    pub(super) connections_refused: AtomicU64,
    /// Requests that were read.
    pub(super) requests: AtomicU64,
    /// Events that clients were told of.
    pub(super) events: AtomicU64,
    /// Requests that were answered with an error.
    pub(super) errors: AtomicU64,
    /// Rows that were written.
    pub(super) writes: AtomicU64,
    /// Rows that were asked for by their key.
    pub(super) row_reads: AtomicU64,
    /// Pages of partitions that were asked for.
    pub(super) page_reads: AtomicU64,
    /// Statements that were prepared.
    pub(super) prepares: AtomicU64,
    /// Changes of the schema that were asked for.
    pub(super) schema_changes: AtomicU64,
}

impl FrontCounters {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Name, meaning and value of each counter.
    pub fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
        [
            ("client_connections", "Connections accepted", &self.connections),
            (
                "client_connections_refused",
                "Connections closed at once: there are too many",
                &self.connections_refused,
            ),
            ("client_requests", "Requests read", &self.requests),
            ("client_events", "Events that clients were told of", &self.events),
            ("client_errors", "Requests answered with an error", &self.errors),
            ("client_writes", "Rows written", &self.writes),
            ("client_row_reads", "Rows asked for by their key", &self.row_reads),
            ("client_page_reads", "Pages of partitions asked for", &self.page_reads),
            ("client_prepares", "Statements prepared", &self.prepares),
            ("client_schema_changes", "Changes of the schema asked for", &self.schema_changes),
        ]
        .map(|(name, help, value)| (name, help, value.load(Ordering::Relaxed)))
        .to_vec()
    }
}
