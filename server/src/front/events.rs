//! What clients are told without asking: the schema changed, nodes came or went, rose or fell.
//!
//! A connection that has registered keeps the state of the cluster that its client knows. When the
//! node's own state moves on, the difference of the two is what the client is told:
//!
//! ```text
//! told  {snapshot of epoch 7, nodes up}  -difference->  events  -> out, between two answers
//! now   {snapshot of epoch 9, nodes up}  = told from now on
//! ```
//!
//! So nothing is queued: a client that does not read is told nothing meanwhile, then the net
//! difference, and costs no more than one old state. A node that skipped epochs tells of all of
//! them. Law: a client that has taken all events knows the schema and the nodes that this node plans
//! with, and is never told of a schema that it does not plan with yet.

mod difference;

use std::collections::BTreeSet;
use std::sync::Arc;

use ring::HostId;
use tokio::sync::watch;
use wire::{Event, EventKind};

use crate::cluster::Cluster;
use crate::metadata::Snapshot;

/// What one connection has registered for, and what its client was told last.
#[derive(Debug)]
pub(super) struct Subscription {
    cluster: Arc<Cluster>,
    kinds: BTreeSet<EventKind>,
    epochs: watch::Receiver<u64>,
    liveness: watch::Receiver<u64>,
    told: View,
}

/// The cluster as a client knows it.
#[derive(Debug, Clone)]
struct View {
    snapshot: Arc<Snapshot>,
    /// The other nodes that answer and serve clients.
    up: BTreeSet<HostId>,
}

impl Subscription {
    /// A client that has asked for nothing yet, and knows what the node knows now.
    pub(super) fn new(cluster: &Arc<Cluster>) -> Option<Self> {
        // Taken before the state, so that no change falls between the two.
        let (epochs, liveness) = (cluster.watch_epoch(), cluster.watch_liveness());
        let told = View::now(cluster)?;
        let cluster = Arc::clone(cluster);
        Some(Self { cluster, kinds: BTreeSet::new(), epochs, liveness, told })
    }

    /// Asks for events of these kinds as well, from now on.
    pub(super) fn add(&mut self, kinds: &BTreeSet<EventKind>) {
        self.kinds.extend(kinds);
    }

    /// Waits until there may be something to tell.
    pub(super) async fn changed(&mut self) {
        let changed = tokio::select! {
            biased;
            changed = self.epochs.changed() => changed,
            changed = self.liveness.changed() => changed,
        };
        changed.expect("the cluster is not dropped before its subscriptions");
    }

    /// What the client does not know yet.
    pub(super) fn take(&mut self) -> Vec<Event> {
        let Some(now) = View::now(&self.cluster) else { return Vec::new() };
        let mut events = difference::events(&self.told, &now, self.cluster.me());
        self.told = now;
        events.retain(|event| self.kinds.contains(&event.kind()));
        events
    }
}

impl View {
    fn now(cluster: &Cluster) -> Option<Self> {
        Some(Self { snapshot: cluster.snapshot()?, up: cluster.serving() })
    }
}

#[cfg(test)]
pub(super) mod tests;
