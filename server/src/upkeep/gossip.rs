//! Heartbeats: who is alive, and who knows newer metadata.
//!
//! `chitchat` spreads heartbeats and three keys, the version of a node's metadata, that of its schema
//! and whether it serves clients, over the internode connections, and judges silence by phi accrual.
//! Its verdict is only a suspicion, which `liveness` judges by what nodes answer:
//!
//! ```text
//! silent --no answer to this node--> asked through two others --no answer, again--> down
//! ```
//!
//! So a late heartbeat on a busy machine, or one broken link, takes nobody out; and a node that was
//! stopped itself meanwhile asks again. Runs on a thread of its own, so that work on rows does not
//! delay heartbeats.
//!
//! Source: Hayashibara et al., *The phi accrual failure detector* (2004); Das et al., *SWIM* (2002)
//! for the questions through others; van Renesse et al., *Efficient reconciliation and flow control
//! for anti-entropy protocols* (2008).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use chitchat::transport::{Socket, Transport};
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, ChitchatMessage, Deserializable,
    FailureDetectorConfig, NodeState, Serializable, spawn_chitchat,
};
use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use ring::HostId;
use ring::register::{ChangeId, Generation, Version};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::clock::Clock;
use crate::cluster::{Cluster, Told};
use crate::peer::{Answer, Body, CallError, Class, Pool, Request, Target};
use crate::upkeep::liveness::{Liveness, Outcome, Verdict};
use crate::upkeep::membership::Phase;

/// The key under which a node tells the version of its metadata.
const VERSION_KEY: &str = "version";

/// The key under which a node tells the version of its schema.
const SCHEMA_KEY: &str = "schema";

/// The key under which a node tells whether it serves clients.
const CLIENTS_KEY: &str = "clients";

/// The value under it of a node that does.
const SERVED: &str = "served";

/// How long a node that fell silent has to answer a direct question.
const PROBE_WAIT: Duration = Duration::from_millis(500);

/// How long others have to say whether it answers them.
const INDIRECT_WAIT: Duration = Duration::from_millis(700);

/// How many others are asked.
const HELPERS: usize = 2;

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

/// A peer that told of newer metadata than this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Where to ask for them.
    pub address: SocketAddr,
    /// Their version.
    pub version: Version,
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
    phase: Arc<ArcSwap<Phase>>,
    inbox: mpsc::Receiver<Heartbeat>,
    ahead: watch::Sender<Option<Ahead>>,
) -> anyhow::Result<()> {
    let transport = Internode::new(Arc::clone(&pool), inbox);
    let handle = spawn_chitchat(chitchat_config(&options), Vec::new(), &transport).await?;
    let mut live = handle.chitchat().lock().await.live_nodes_watcher();
    let mut epoch = cluster.watch_epoch();
    let mut watcher =
        Watcher { pool, clock, cluster, liveness: Liveness::default(), turn: 0, ahead };
    let mut asked = FuturesUnordered::new();
    let mut probe = tokio::time::interval(PROBE_WAIT);
    probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
    epoch.mark_changed();
    loop {
        tokio::select! {
            biased;
            changed = epoch.changed() => {
                changed?;
                tell(&handle, &watcher.cluster, &phase.load()).await;
            }
            changed = live.changed() => {
                changed?;
                let nodes = live.borrow_and_update().clone();
                watcher.hear(&nodes);
                asked.extend(watcher.ask());
            }
            Some(answered) = asked.next(), if !asked.is_empty() => watcher.on_asked(answered),
            _ = probe.tick() => {
                // The phase changes without a word.
                tell(&handle, &watcher.cluster, &phase.load()).await;
                // What they told may not have been fetched yet.
                let nodes = live.borrow().clone();
                watcher.hear(&nodes);
                asked.extend(watcher.ask());
            }
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

/// Tells others of the metadata that this node serves from, and whether clients may come.
async fn tell(handle: &ChitchatHandle, cluster: &Cluster, phase: &Phase) {
    let Some(snapshot) = cluster.snapshot() else { return };
    let told = Told::of(&snapshot);
    let clients = if phase.serving(cluster).is_some() { SERVED } else { "refused" };
    handle
        .with_chitchat(|chitchat| {
            for (key, value) in write_told(&told) {
                chitchat.self_node_state().set(key, value);
            }
            chitchat.self_node_state().set(CLIENTS_KEY, clients);
        })
        .await;
}

fn write_told(told: &Told) -> [(&'static str, String); 2] {
    let Version { generation: Generation { number, reform }, epoch } = told.version;
    let version = format!("{number}.{reform}.{epoch}");
    [(VERSION_KEY, version), (SCHEMA_KEY, told.schema_version.to_string())]
}

fn read_told<'a>(value_of: impl Fn(&str) -> Option<&'a str>) -> Option<Told> {
    let mut parts = value_of(VERSION_KEY)?.splitn(3, '.');
    let number = parts.next()?.parse().ok()?;
    let reform = ChangeId(u128::from_str_radix(parts.next()?, 16).ok()?);
    let epoch = parts.next()?.parse().ok()?;
    let version = Version { generation: Generation { number, reform }, epoch };
    Some(Told { version, schema_version: value_of(SCHEMA_KEY)?.parse().ok()? })
}

/// What became of a question to a node.
struct Answered {
    host: HostId,
    outcome: Outcome,
    took: Duration,
}

/// Turns what chitchat says into who is alive.
struct Watcher {
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    cluster: Arc<Cluster>,
    liveness: Liveness,
    /// So that other helpers are asked each time.
    turn: usize,
    ahead: watch::Sender<Option<Ahead>>,
}

impl Watcher {
    fn hear(&mut self, nodes: &BTreeMap<ChitchatId, NodeState>) {
        let mut heard = BTreeMap::new();
        let mut news = BTreeMap::new();
        // Of a silent node the last word stands until it is down.
        let mut serving = self.cluster.serving();
        // Of two starts of one node the later one comes last.
        for (node, state) in nodes {
            let Ok(host) = node.node_id.parse::<HostId>() else { continue };
            heard.insert(host, node.generation_id);
            if state.get(CLIENTS_KEY) == Some(SERVED) {
                serving.insert(host);
            } else {
                serving.remove(&host);
            }
            if let Some(told) = read_told(|key| state.get(key)) {
                news.insert(host, told);
                self.note_version(node.gossip_advertise_addr, told.version);
            }
        }
        self.cluster.note_told(&news);
        heard.remove(&self.cluster.me());
        let snapshot = self.cluster.snapshot();
        let is_member = |host| snapshot.as_ref().is_some_and(|it| it.member(host).is_some());
        self.liveness.hear(&heard, is_member, self.clock.now());
        serving.remove(&self.cluster.me());
        self.cluster.set_alive(self.liveness.alive());
        self.cluster.set_serving(serving);
    }

    fn note_version(&self, address: SocketAddr, version: Version) {
        if Some(version) > self.cluster.version() {
            self.ahead.send_replace(Some(Ahead { address, version }));
        }
    }

    fn address_of(&self, host: HostId) -> Option<SocketAddr> {
        if host == self.cluster.me() {
            return None;
        }
        self.cluster.snapshot()?.member(host).map(|member| member.internode)
    }

    /// Questions to all who are to be asked now.
    fn ask(&mut self) -> Vec<BoxFuture<'static, Answered>> {
        let open = self.liveness.ask(self.clock.now());
        let asked = open.into_iter().filter_map(|host| {
            let target = Target { address: self.address_of(host)?, host: Some(host) };
            let helpers = self.helpers(host);
            let (pool, clock) = (Arc::clone(&self.pool), Arc::clone(&self.clock));
            let begun = clock.now();
            let asked: BoxFuture<'static, Answered> = Box::pin(async move {
                let outcome = ask(&pool, clock.as_ref(), host, target, helpers).await;
                let took = clock.now().saturating_duration_since(begun);
                Answered { host, outcome, took }
            });
            Some(asked)
        });
        asked.collect()
    }

    fn on_asked(&mut self, Answered { host, outcome, took }: Answered) {
        match self.liveness.on_asked(host, outcome, took, self.clock.now()) {
            None => return,
            Some(Verdict::Up) => {}
            Some(Verdict::Down { hold }) => {
                self.cluster.note_death();
                tracing::info!(%host, "node is down: silent, and it answers nobody who was asked");
                if !hold.is_zero() {
                    tracing::info!(%host, ?hold, "it comes and goes: it has to wait");
                }
            }
        }
        self.cluster.set_alive(self.liveness.alive());
    }

    /// Other nodes that are alive and not silent, different ones each time.
    fn helpers(&mut self, host: HostId) -> Vec<Target> {
        let alive = self.cluster.alive();
        let able = alive.iter().filter(|it| **it != host && self.liveness.is_heard(**it));
        let able = able.filter_map(|other| {
            Some(Target { address: self.address_of(*other)?, host: Some(*other) })
        });
        let mut able: Vec<_> = able.collect();
        if !able.is_empty() {
            self.turn += 1;
            let turn = self.turn % able.len();
            able.rotate_left(turn);
        }
        able.truncate(HELPERS);
        able
    }
}

/// Whether a node answers this one, or another one that asks it.
async fn ask(
    pool: &Pool,
    clock: &dyn Clock,
    host: HostId,
    target: Target,
    helpers: Vec<Target>,
) -> Outcome {
    // On the connection of the heartbeats, which this thread serves.
    let call = |target, request, wait| {
        pool.call(target, Class::Gossip, 0, request, Body::new(), clock.now() + wait)
    };
    let is_gone = match call(target, Request::Ping, PROBE_WAIT).await {
        Ok(reply) if reply.answer == Answer::Pong => return Outcome::Answers,
        Err(CallError::NotSent { nobody_listens, .. }) => nobody_listens,
        _ => false,
    };
    let others = helpers.into_iter().map(|it| call(it, Request::Probe { host }, INDIRECT_WAIT));
    let answers = join_all(others).await;
    if answers.iter().flatten().any(|reply| reply.answer == Answer::Pong) {
        return Outcome::Answers;
    }
    if is_gone { Outcome::Gone } else { Outcome::Silent }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_tells_comes_back() {
        let generation = Generation { number: 3, reform: ChangeId(0xab) };
        let version = Version { generation, epoch: 42 };
        let told = Told { version, schema_version: uuid::Uuid::from_u128(7) };
        let written = write_told(&told).map(|(_, value)| value);
        let [version, schema] = [written[0].as_str(), written[1].as_str()];
        let read = |version, schema| {
            read_told(|key| Some(if key == VERSION_KEY { version } else { schema }))
        };
        assert_eq!(read(version, schema), Some(told));
        for broken in ["", "3", "3.ab", "3.ab.", "3.xy.42", "-3.ab.42", "3.ab.42.1"] {
            assert_eq!(read(broken, schema), None, "{broken}");
        }
        assert_eq!(read(version, "no uuid"), None);
        assert_eq!(read_told(|_| None), None);
    }
}
