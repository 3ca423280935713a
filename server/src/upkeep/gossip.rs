//! Heartbeats: who is alive, and who knows a newer epoch.
//!
//! `chitchat` spreads heartbeats and one key, the epoch, over the internode connections, and judges
//! silence by phi accrual. Its verdict is only a suspicion: a node counts as down when a direct
//! question went unanswered too, so that a late heartbeat on a busy machine takes nobody out.
//! Runs on a thread of its own, so that work on rows does not delay heartbeats.
//!
//! Source: Hayashibara et al., *The phi accrual failure detector* (2004); van Renesse et al.,
//! *Efficient reconciliation and flow control for anti-entropy protocols* (2008).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chitchat::transport::{Socket, Transport};
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, ChitchatMessage, Deserializable,
    FailureDetectorConfig, NodeState, Serializable, spawn_chitchat,
};
use futures::future::join_all;
use ring::HostId;
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::peer::{Answer, Body, Class, Pool, Request, Target};

/// The key under which a node tells its epoch.
const EPOCH_KEY: &str = "epoch";

/// How long a node that fell silent has to answer a direct question.
const PROBE_WAIT: Duration = Duration::from_millis(500);

/// How many heartbeats may wait to be read.
pub const INBOX_MAX: usize = 1_024;

/// A heartbeat with the address of the node that sent it.
pub type Heartbeat = (SocketAddr, Bytes);

/// What the gossip of a node needs to know of it.
#[derive(Debug, Clone)]
pub struct GossipOptions {
    /// Nodes of another name are not listened to.
    pub cluster_name: String,
    /// This node.
    pub host: HostId,
    /// Raised with each start.
    pub generation: u64,
    /// Where other nodes reach it.
    pub address: SocketAddr,
    /// Where to begin.
    pub seeds: Vec<String>,
    /// How often to speak.
    pub interval: Duration,
    /// How improbable a silence must be.
    pub phi: f64,
}

/// A peer that told a higher epoch than this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Where to ask for it.
    pub address: SocketAddr,
    /// The epoch that it told.
    pub epoch: u64,
}

/// Gossips until the task is dropped.
///
/// # Errors
/// Ends only if chitchat does, which its transport here gives no reason for.
pub async fn run(
    options: GossipOptions,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    cluster: Arc<Cluster>,
    inbox: mpsc::Receiver<Heartbeat>,
    ahead: watch::Sender<Option<Ahead>>,
) -> anyhow::Result<()> {
    let transport = Internode::new(Arc::clone(&pool), inbox);
    let handle = spawn_chitchat(chitchat_config(&options), Vec::new(), &transport).await?;
    let mut live = handle.chitchat().lock().await.live_nodes_watcher();
    let mut epoch = cluster.watch_epoch();
    let mut watcher = Watcher { pool, clock, cluster, silent: BTreeMap::new(), ahead };
    let mut probe = tokio::time::interval(PROBE_WAIT);
    let known = *epoch.borrow_and_update();
    tell_epoch(&handle, known).await;
    loop {
        tokio::select! {
            biased;
            changed = epoch.changed() => {
                changed?;
                let known = *epoch.borrow_and_update();
                tell_epoch(&handle, known).await;
            }
            changed = live.changed() => {
                changed?;
                let nodes = live.borrow_and_update().clone();
                watcher.hear(&nodes);
            }
            _ = probe.tick() => watcher.probe_silent().await,
        }
    }
}

fn chitchat_config(options: &GossipOptions) -> ChitchatConfig {
    let host = options.host.to_string();
    ChitchatConfig {
        chitchat_id: ChitchatId::new(host, options.generation, options.address),
        cluster_id: options.cluster_name.clone(),
        gossip_interval: options.interval,
        listen_addr: options.address,
        seed_nodes: options.seeds.clone(),
        failure_detector_config: FailureDetectorConfig {
            phi_threshold: options.phi,
            initial_interval: options.interval,
            dead_node_grace_period: Duration::from_hours(1),
            ..FailureDetectorConfig::default()
        },
        marked_for_deletion_grace_period: Duration::from_hours(1),
        catchup_callback: None,
        extra_liveness_predicate: None,
    }
}

async fn tell_epoch(handle: &ChitchatHandle, epoch: u64) {
    handle.with_chitchat(|chitchat| chitchat.self_node_state().set(EPOCH_KEY, epoch)).await;
}

/// Turns what chitchat says into who is alive.
struct Watcher {
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    cluster: Arc<Cluster>,
    /// Nodes that count as alive although chitchat has not heard of them lately.
    silent: BTreeMap<HostId, SocketAddr>,
    ahead: watch::Sender<Option<Ahead>>,
}

impl Watcher {
    fn hear(&mut self, nodes: &BTreeMap<ChitchatId, NodeState>) {
        let mut heard = BTreeSet::new();
        for (node, state) in nodes {
            let Ok(host) = node.node_id.parse::<HostId>() else { continue };
            heard.insert(host);
            self.note_epoch(node.gossip_advertise_addr, state);
        }
        self.silent.retain(|host, _| !heard.contains(host));
        for host in self.cluster.alive().iter() {
            if !heard.contains(host)
                && let Some(address) = self.address_of(*host)
            {
                self.silent.insert(*host, address);
                heard.insert(*host);
            }
        }
        self.cluster.set_alive(heard);
    }

    fn note_epoch(&self, address: SocketAddr, state: &NodeState) {
        let told = state.get(EPOCH_KEY).and_then(|epoch| epoch.parse().ok());
        if let Some(epoch) = told
            && epoch > self.cluster.epoch()
        {
            self.ahead.send_replace(Some(Ahead { address, epoch }));
        }
    }

    fn address_of(&self, host: HostId) -> Option<SocketAddr> {
        if host == self.cluster.me() {
            return None;
        }
        self.cluster.snapshot()?.member(host).map(|member| member.internode)
    }

    async fn probe_silent(&mut self) {
        let probes = self.silent.iter().map(|(host, address)| {
            let (host, address, pool) = (*host, *address, Arc::clone(&self.pool));
            let deadline = self.clock.now() + PROBE_WAIT;
            async move {
                let target = Target { address, host: Some(host) };
                let asked =
                    pool.call(target, Class::Control, 0, Request::Ping, Body::new(), deadline);
                let answered = asked.await.is_ok_and(|reply| reply.answer == Answer::Pong);
                (host, answered)
            }
        });
        let mut alive = BTreeSet::clone(&self.cluster.alive());
        for (host, answered) in join_all(probes).await {
            if !answered {
                tracing::info!(%host, "node is down: silent, and no answer to a direct question");
                self.silent.remove(&host);
                alive.remove(&host);
            }
        }
        self.cluster.set_alive(alive);
    }
}

/// chitchat's messages over the internode connections.
struct Internode {
    pool: Arc<Pool>,
    inbox: std::sync::Mutex<Option<mpsc::Receiver<Heartbeat>>>,
}

impl Internode {
    fn new(pool: Arc<Pool>, inbox: mpsc::Receiver<Heartbeat>) -> Self {
        Self { pool, inbox: std::sync::Mutex::new(Some(inbox)) }
    }
}

#[async_trait]
impl Transport for Internode {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let inbox = self.inbox.lock().expect("nothing panics while it holds this lock").take();
        let inbox = inbox.ok_or_else(|| anyhow::anyhow!("gossip is opened once"))?;
        Ok(Box::new(InternodeSocket { pool: Arc::clone(&self.pool), inbox }))
    }
}

struct InternodeSocket {
    pool: Arc<Pool>,
    inbox: mpsc::Receiver<Heartbeat>,
}

#[async_trait]
impl Socket for InternodeSocket {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let body = Body::from_iter([Bytes::from(message.serialize_to_vec())]);
        self.pool.cast(to, Class::Gossip, Request::Gossip, body, PROBE_WAIT);
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            match self.inbox.recv().await {
                Some((from, bytes)) => {
                    if let Ok(message) = ChitchatMessage::deserialize(&mut &bytes[..]) {
                        return Ok((from, message));
                    }
                    tracing::warn!(%from, "dropped a heartbeat that cannot be read");
                }
                None => std::future::pending().await,
            }
        }
    }
}
