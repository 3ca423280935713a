//! What this node knows of its cluster now: the newest chosen metadata, and who is alive.
//!
//! Readers take an `Arc` and never wait. Law: the version only rises (the epoch does so within a
//! generation), and what is installed here is on disk already; liveness orders and excludes
//! replicas, it never changes who owns what.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use ring::register::{RegisterValue, Version};
use ring::{HostId, StoreId};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::metadata::{Member, Snapshot};

/// What a node tells of its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Which of the chosen values it serves from.
    pub version: Version,
    /// The version of its schema, as drivers compare it.
    pub schema_version: Uuid,
}

impl Told {
    /// What a node that serves from these metadata tells.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self { version: snapshot.value.version(), schema_version: snapshot.schema_version }
    }
}

/// The shared view of the cluster.
#[derive(Debug)]
pub struct Cluster {
    me: HostId,
    snapshot: ArcSwapOption<Snapshot>,
    alive: ArcSwap<BTreeSet<HostId>>,
    serving: ArcSwap<BTreeSet<HostId>>,
    epoch: watch::Sender<u64>,
    liveness: watch::Sender<u64>,
    met: Mutex<BTreeMap<StoreId, SocketAddr>>,
    told: ArcSwap<BTreeMap<HostId, Told>>,
    is_seed: AtomicBool,
    /// Since when nodes that do not answer are known not to.
    silent: Mutex<BTreeMap<HostId, Instant>>,
    deaths: AtomicU64,
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
            serving: ArcSwap::default(),
            epoch: watch::Sender::new(0),
            liveness: watch::Sender::new(0),
            met: Mutex::default(),
            told: ArcSwap::default(),
            is_seed: AtomicBool::new(false),
            silent: Mutex::default(),
            deaths: AtomicU64::new(0),
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

    /// Which chosen value the newest metadata are; none before there is any.
    pub fn version(&self) -> Option<Version> {
        self.snapshot.load().as_ref().map(|snapshot| snapshot.value.version())
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

    /// Wakes whenever newer metadata are installed.
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

    /// Where a member may be found: where it registered, then where it was met last. It may have
    /// moved, and not be able to register that before it is found.
    pub fn addresses_of(&self, member: &Member) -> impl Iterator<Item = SocketAddr> + use<> {
        let met = self.met_at(member.store).filter(|met| *met != member.internode);
        [member.internode].into_iter().chain(met)
    }

    /// What other nodes told of their metadata last.
    pub fn told(&self) -> Arc<BTreeMap<HostId, Told>> {
        self.told.load_full()
    }

    /// Takes note of what nodes tell; of those who are not named, and against older news, the last
    /// word stands.
    pub fn note_told(&self, news: &BTreeMap<HostId, Told>) {
        self.told.rcu(|known| {
            let is_new = |(host, told): &(&HostId, &Told)| {
                known.get(host).is_none_or(|known| known.version < told.version)
            };
            let mut news = news.iter().filter(is_new).peekable();
            if news.peek().is_none() {
                return Arc::clone(known);
            }
            let mut told = BTreeMap::clone(known);
            told.extend(news);
            Arc::new(told)
        });
    }

    /// Whether this node answers at the address of a configured seed.
    pub fn is_seed(&self) -> bool {
        self.is_seed.load(Ordering::Relaxed)
    }

    /// This node has answered itself at the address of a configured seed.
    pub fn note_is_seed(&self) {
        self.is_seed.store(true, Ordering::Relaxed);
    }

    /// The nodes that answer, this one included.
    pub fn alive(&self) -> Arc<BTreeSet<HostId>> {
        self.alive.load_full()
    }

    /// For how long a node has not answered, as far as this node has watched: it begins to when it is
    /// first asked this. Nothing for one that answers.
    pub fn silent_for(&self, host: HostId, now: Instant) -> Duration {
        let mut silent = self.silent.lock().expect("nothing panics while it holds this lock");
        if self.alive.load().contains(&host) {
            silent.remove(&host);
            return Duration::ZERO;
        }
        now.saturating_duration_since(*silent.entry(host).or_insert(now))
    }

    /// Says who answers.
    pub fn set_alive(&self, mut alive: BTreeSet<HostId>) {
        alive.insert(self.me);
        let mut silent = self.silent.lock().expect("nothing panics while it holds this lock");
        silent.retain(|host, _| !alive.contains(host));
        drop(silent);
        if *self.alive.load_full() != alive {
            self.alive.store(Arc::new(alive));
            self.liveness.send_modify(|changes| *changes += 1);
        }
    }

    /// How often a node was taken for dead.
    pub fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::Relaxed)
    }

    /// A node is taken for dead.
    pub fn note_death(&self) {
        self.deaths.fetch_add(1, Ordering::Relaxed);
    }

    /// The other nodes that answer and have said since their start that they serve clients.
    pub fn serving(&self) -> BTreeSet<HostId> {
        self.serving.load().intersection(&self.alive.load()).copied().collect()
    }

    /// Says which other nodes say that they serve clients.
    pub fn set_serving(&self, serving: BTreeSet<HostId>) {
        if **self.serving.load() != serving {
            self.serving.store(Arc::new(serving));
            self.liveness.send_modify(|changes| *changes += 1);
        }
    }

    /// Wakes whenever a node comes or goes, or begins or ceases to serve clients.
    pub fn watch_liveness(&self) -> watch::Receiver<u64> {
        self.liveness.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(id: u128) -> HostId {
        HostId(Uuid::from_u128(id))
    }

    fn told(epoch: u64) -> Told {
        let generation = ring::register::Generation::FIRST;
        Told { version: Version { generation, epoch }, schema_version: Uuid::nil() }
    }

    #[test]
    fn a_member_is_looked_for_where_it_registered_and_then_where_it_was_met() {
        let cluster = Cluster::new(host(1));
        let [old, new]: [SocketAddr; 2] =
            ["10.0.0.1:7000", "10.0.0.2:7000"].map(|it| it.parse().unwrap());
        let member = Member {
            host: host(2),
            store: StoreId(2),
            internode: old,
            cql: old,
            datacenter: "d".to_owned(),
            rack: "r".to_owned(),
        };
        assert_eq!(cluster.addresses_of(&member).collect::<Vec<_>>(), [old]);
        cluster.note_met(StoreId(2), old);
        assert_eq!(cluster.addresses_of(&member).collect::<Vec<_>>(), [old]);
        cluster.note_met(StoreId(2), new);
        assert_eq!(cluster.addresses_of(&member).collect::<Vec<_>>(), [old, new]);
    }

    #[test]
    fn the_last_word_of_a_silent_node_stands() {
        let cluster = Cluster::new(host(1));
        cluster.note_told(&BTreeMap::from([(host(2), told(1)), (host(3), told(1))]));
        cluster.note_told(&BTreeMap::from([(host(3), told(2))]));
        let expected = BTreeMap::from([(host(2), told(1)), (host(3), told(2))]);
        assert_eq!(*cluster.told(), expected);
        cluster.note_told(&BTreeMap::from([(host(3), told(1))]));
        assert_eq!(*cluster.told(), expected, "old news come late");
    }

    #[test]
    fn whoever_does_not_answer_serves_nobody() {
        let cluster = Cluster::new(host(1));
        let mut changes = cluster.watch_liveness();
        cluster.set_alive(BTreeSet::from([host(2)]));
        cluster.set_serving(BTreeSet::from([host(2), host(3)]));
        changes.mark_unchanged();
        assert_eq!(cluster.serving(), BTreeSet::from([host(2)]));
        cluster.set_alive(BTreeSet::new());
        assert!(changes.has_changed().unwrap());
        assert_eq!(cluster.serving(), BTreeSet::new());
    }

    #[test]
    fn liveness_wakes_only_when_it_changes_and_always_has_this_node() {
        let cluster = Cluster::new(host(1));
        let mut changes = cluster.watch_liveness();
        cluster.set_alive(BTreeSet::from([host(2)]));
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        cluster.set_alive(BTreeSet::from([host(1), host(2)]));
        assert!(!changes.has_changed().unwrap());
        assert_eq!(*cluster.alive(), BTreeSet::from([host(1), host(2)]));
    }
}
