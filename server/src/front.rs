//! What drivers talk to: connections, requests, answers.
//!
//! ```text
//! listen -> session (decode, many requests at once, answers coalesced)
//!             -> statement (text -> prepared) -> execute (plan -> coord -> rows) -> errors
//!             <- events (what changed, for who has registered)
//! ```
//!
//! Law: a request is answered once, under its stream; what a client sends never makes the node
//! panic or take memory that a header merely claims.

mod counters;
mod errors;
mod events;
mod execute;
mod listen;
mod session;
mod statement;
mod truncate;
mod write;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use counters::FrontCounters;

use crate::clock::{Clock, HybridClock, Random};
use crate::cluster::Cluster;
use crate::config::Config;
use crate::coord::Coordinator;
use crate::metadata::Snapshot;
use crate::plan::{Limits, LocalNode};
use crate::register::Proposals;
use crate::upkeep::membership::Phase;
use statement::StatementCache;

/// The parts of a node that clients' requests need.
#[derive(Debug)]
pub struct FrontParts {
    /// The configuration.
    pub config: Config,
    /// The newest metadata.
    pub cluster: Arc<Cluster>,
    /// Reads and writes of rows.
    pub coordinator: Arc<Coordinator>,
    /// Changes of the schema.
    pub proposals: Arc<Proposals>,
    /// Deadlines and the time of day.
    pub clock: Arc<dyn Clock>,
    /// Write times.
    pub write_clock: Arc<HybridClock>,
    /// Which of two writes of one microsecond wins.
    pub random: Random,
    /// Whether this node is a member yet.
    pub phase: Arc<ArcSwap<Phase>>,
    /// What the system tables say of this node.
    pub local: LocalNode,
}

/// Serves clients.
#[derive(Debug)]
pub struct Front {
    parts: FrontParts,
    limits: Limits,
    statements: StatementCache,
    counters: Arc<FrontCounters>,
    /// One permit a connection.
    places: Arc<Semaphore>,
    draining: CancellationToken,
}

impl Front {
    /// A front without connections.
    pub fn new(parts: FrontParts) -> Self {
        let places = Arc::new(Semaphore::new(parts.config.cql.connections_max as usize));
        Self {
            limits: Limits::of(&parts.config),
            statements: StatementCache::new(parts.config.cql.prepared_max),
            counters: Arc::default(),
            places,
            draining: CancellationToken::new(),
            parts,
        }
    }

    /// What was asked and answered.
    pub fn counters(&self) -> &Arc<FrontCounters> {
        &self.counters
    }

    /// Takes no more requests, and waits for those in flight, but not longer than `most`.
    pub async fn drain(&self, most: Duration) {
        self.draining.cancel();
        let all = self.parts.config.cql.connections_max;
        let empty = self.places.acquire_many(all);
        if tokio::time::timeout(most, empty).await.is_err() {
            tracing::warn!("clients were still waiting for answers when the node stopped");
        }
    }

    /// The metadata to serve by; none while this node does not serve.
    fn serving(&self) -> Option<Arc<Snapshot>> {
        self.parts.phase.load().serving(&self.parts.cluster)
    }
}
