//! What this node knows of its cluster now: the newest chosen metadata, and who is alive.
//!
//! Readers take an `Arc` and never wait. Law: the epoch only rises, and what is installed here is
//! on disk already; liveness orders and excludes replicas, it never changes who owns what.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, ArcSwapOption};
use ring::register::RegisterValue;
use ring::{HostId, StoreId};
use tokio::sync::watch;

use crate::metadata::Snapshot;

/// The shared view of the cluster.
#[derive(Debug)]
pub struct Cluster {
    me: HostId,
    snapshot: ArcSwapOption<Snapshot>,
    alive: ArcSwap<BTreeSet<HostId>>,
    epoch: watch::Sender<u64>,
    liveness: watch::Sender<u64>,
    met: Mutex<BTreeMap<StoreId, SocketAddr>>,
}

/// How many stores keep the address at which they were last met.
const MET_MAX: usize = 4_096;

impl Cluster {
    /// A node that knows nothing yet, and nobody but itself.
    pub fn new(me: HostId) -> Self {
        Self {
            me,
            snapshot: ArcSwapOption::empty(),
            alive: ArcSwap::from_pointee(BTreeSet::from([me])),
            epoch: watch::Sender::new(0),
            liveness: watch::Sender::new(0),
            met: Mutex::default(),
        }
    }

    /// This node.
    pub fn me(&self) -> HostId {
        self.me
    }

    /// The newest metadata; none before the cluster is formed or joined.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
    }

    /// The epoch of the newest metadata; 0 before there is any.
    pub fn epoch(&self) -> u64 {
        *self.epoch.borrow()
    }

    /// Makes a chosen value, which is on disk already, the one that requests read.
    ///
    /// Returns whether it was newer than what was known.
    pub fn install(&self, snapshot: Snapshot) -> bool {
        let snapshot = Arc::new(snapshot);
        self.epoch.send_if_modified(|epoch| {
            let known = self.snapshot.load();
            let is_newer =
                known.as_ref().is_none_or(|known| known.value.version() < snapshot.value.version());
            if is_newer {
                *epoch = snapshot.epoch();
                self.snapshot.store(Some(Arc::clone(&snapshot)));
            }
            is_newer
        })
    }

    /// Wakes whenever the epoch rises.
    pub fn watch_epoch(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// Remembers where a store was met: while a cluster is formed, its acceptors are not members yet.
    pub fn note_met(&self, store: StoreId, address: SocketAddr) {
        let mut met = self.met.lock().expect("nothing panics while it holds this lock");
        if met.len() < MET_MAX || met.contains_key(&store) {
            met.insert(store, address);
        }
    }

    /// Where a store was met last.
    pub fn met_at(&self, store: StoreId) -> Option<SocketAddr> {
        self.met.lock().expect("nothing panics while it holds this lock").get(&store).copied()
    }

    /// The nodes that answer, this one included.
    pub fn alive(&self) -> Arc<BTreeSet<HostId>> {
        self.alive.load_full()
    }

    /// Says who answers.
    pub fn set_alive(&self, mut alive: BTreeSet<HostId>) {
        alive.insert(self.me);
        if *self.alive.load_full() != alive {
            self.alive.store(Arc::new(alive));
            self.liveness.send_modify(|changes| *changes += 1);
        }
    }

    /// Wakes whenever a node comes or goes.
    pub fn watch_liveness(&self) -> watch::Receiver<u64> {
        self.liveness.subscribe()
    }
}
