//! How this node introduces itself to others, and what it learns from their introductions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ring::HostId;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::commits::Commits;
use crate::peer::{Class, Hello, Introduce, PROTOCOL};

/// Who this node is, for handshakes.
#[derive(Debug)]
pub(crate) struct Introduction {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) commits: Commits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cluster_name: String,
    pub(crate) internode: SocketAddr,
    pub(crate) skew_warn: Duration,
    pub(crate) skews: Skews,
}

/// How far the clocks of other nodes were from this one's when they last introduced themselves, in
/// microseconds; positive where theirs is ahead. The time of travel is part of it.
#[derive(Debug, Clone, Default)]
pub struct Skews(Arc<Mutex<BTreeMap<HostId, i64>>>);

impl Skews {
    /// By host id.
    pub fn all(&self) -> BTreeMap<HostId, i64> {
        self.0.lock().expect("nothing panics while it holds this lock").clone()
    }

    fn note(&self, host: HostId, skew_us: i64) {
        self.0.lock().expect("nothing panics while it holds this lock").insert(host, skew_us);
    }
}

impl Introduce for Introduction {
    fn hello(&self, class: Class) -> Hello {
        let snapshot = self.cluster.snapshot();
        Hello {
            protocol: PROTOCOL,
            cluster_name: self.cluster_name.clone(),
            cluster_id: snapshot.as_ref().map(|snapshot| snapshot.value.cluster_id),
            host: self.cluster.me(),
            store: self.commits.standing().store,
            internode: self.internode,
            epoch: self.cluster.epoch(),
            wall_us: self.clock.wall_us(),
            class,
        }
    }

    fn met(&self, peer: &Hello) {
        if peer.host == self.cluster.me() {
            if peer.internode != self.internode {
                tracing::error!(
                    address = %peer.internode,
                    "another node has the identity of this one: its data directory is a copy"
                );
            }
            return;
        }
        self.cluster.note_met(peer.store, peer.internode);
        let skew_us = peer.wall_us.saturating_sub(self.clock.wall_us());
        self.skews.note(peer.host, skew_us);
        if u128::from(skew_us.unsigned_abs()) > self.skew_warn.as_micros() {
            tracing::warn!(peer = %peer.host, skew_us, "the clocks of two nodes differ");
        }
    }
}
