//! What this node knows, in the form in which operators read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::cluster::Cluster;
use crate::commits::Commits;
use crate::coord::{CoordCounters, Latencies};
use crate::front::FrontCounters;
use crate::metadata::Snapshot;
use crate::node::Skews;
use crate::peer::PeerCounters;
use crate::register::Proposals;
use crate::replica::Replica;
use crate::store::engine::Engine;
use crate::upkeep::anti_entropy::AntiEntropy;
use crate::upkeep::handoff::HandOffProgress;
use crate::upkeep::membership::{Phase, remark};
use crate::upkeep::purge::PurgeCounters;

/// The parts of a node that operators look at.
#[derive(Clone)]
pub struct AdminState {
    /// The newest metadata, and who is alive.
    pub cluster: Arc<Cluster>,
    /// How far this node has come.
    pub phase: Arc<ArcSwap<Phase>>,
    /// Whose store it is, and what the commit loop has done.
    pub commits: Commits,
    /// Changes of the metadata.
    pub proposals: Arc<Proposals>,
    /// What should not happen, counted.
    pub replica: Arc<Replica>,
    /// What did not reach other nodes.
    pub peers: Arc<PeerCounters>,
    /// How fast they answer, and what that has led to.
    pub latencies: Arc<Latencies>,
    /// What is on disk.
    pub engine: Arc<dyn Engine>,
    /// How far the clocks of others are from this one's.
    pub skews: Skews,
    /// What operations have needed.
    pub coordination: Arc<CoordCounters>,
    /// How hand-over gets on.
    pub handoff: Arc<HandOffProgress>,
    /// What purging has done.
    pub purged: Arc<PurgeCounters>,
    /// How replicas are compared.
    pub anti_entropy: Arc<AntiEntropy>,
    /// Whether tests may remove rows behind the node's back.
    pub forgets: bool,
    /// The node's own counters of its clients.
    pub clients: Arc<FrontCounters>,
    /// The release and the commit that it was built from.
    pub version: &'static str,
}

/// The cluster as this node knows it.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Its name.
    pub cluster: String,
    /// Its id; none before it is formed.
    pub cluster_id: Option<String>,
    /// The epoch of the metadata.
    pub epoch: u64,
    /// Whether enough nodes own partitions.
    pub formed: bool,
    /// Whether this node serves clients.
    pub ready: bool,
    /// Why it does not, or what else an operator should know of it.
    pub reason: String,
    /// The release and the commit it was built from.
    pub version: String,
    /// This node.
    pub host_id: String,
    /// Its store.
    pub store_id: String,
    /// Whether the store may lack what was acknowledged: it is being filled from its peers, answers
    /// no reads and stamps no writes.
    pub fenced: bool,
    /// All registered nodes.
    pub members: Vec<MemberStatus>,
    /// The stores that agree on the metadata.
    pub acceptors: Vec<String>,
    /// How far the clocks of other nodes are from this one's, in milliseconds, by host id.
    pub clock_skew_ms: BTreeMap<String, f64>,
}

/// A registered node.
#[derive(Debug, Serialize)]
pub struct MemberStatus {
    /// Its name for ever.
    pub host_id: String,
    /// Its store.
    pub store_id: String,
    /// Where other nodes reach it.
    pub address: String,
    /// Where clients reach it.
    pub cql: String,
    /// Its data center.
    pub datacenter: String,
    /// Its rack.
    pub rack: String,
    /// `up` or `down`, as this node sees it.
    pub state: &'static str,
    /// How many partitions it owns.
    pub partitions: usize,
    /// `replica`, or `coordinator` where it owns nothing.
    pub role: &'static str,
}

/// A partition of the ring.
#[derive(Debug, Serialize)]
pub struct RingPartition {
    /// Its number.
    pub number: usize,
    /// Its last token.
    pub end: i64,
    /// The host id of its owner.
    pub owner: String,
}

impl AdminState {
    /// Why clients are not served; none where they are.
    pub fn unready_because(&self) -> Option<String> {
        let phase = self.phase.load();
        match (&**phase, self.cluster.snapshot()) {
            (Phase::Seeds { silent }, _) => {
                Some(format!("waiting for seeds that have not answered: {}", silent.join(", ")))
            }
            (Phase::Forming { obstacle }, _) => {
                Some(with_obstacle("the seeds are forming the cluster", obstacle.as_deref()))
            }
            (Phase::Registering { obstacle }, _) => {
                Some(with_obstacle("registering with the cluster", obstacle.as_deref()))
            }
            (_, None) => Some("no metadata yet".to_owned()),
            (_, Some(snapshot)) if !snapshot.value.is_formed() => {
                let (have, need) = (snapshot.value.owner_count(), snapshot.value.nodes_min);
                Some(format!("{have} of {need} nodes have registered"))
            }
            (Phase::Confirming, _) => {
                Some("no peer has confirmed yet that this store was not rolled back".to_owned())
            }
            (Phase::Listening { silent }, Some(_)) => {
                Some(format!("{silent} members are silent since the start, or know more"))
            }
            (Phase::Member, Some(_)) if self.anti_entropy.fence().is_up() => Some(
                "this store is new: it is being filled from its peers, behind a fence".to_owned(),
            ),
            (Phase::Member, Some(_)) => None,
        }
    }

    /// The cluster as this node knows it.
    pub fn status(&self) -> Status {
        let snapshot = self.cluster.snapshot();
        let standing = self.commits.standing();
        let unready = self.unready_because();
        let skews = self.skews.all().into_iter();
        Status {
            cluster: snapshot.as_ref().map_or(String::new(), |s| s.value.name.clone()),
            cluster_id: snapshot.as_ref().map(|s| s.value.cluster_id.to_string()),
            epoch: self.cluster.epoch(),
            formed: snapshot.as_ref().is_some_and(|s| s.value.is_formed()),
            ready: unready.is_none(),
            reason: unready.or_else(|| self.remark(snapshot.as_deref())).unwrap_or_default(),
            version: self.version.to_owned(),
            host_id: standing.host.to_string(),
            store_id: standing.store.to_string(),
            fenced: self.anti_entropy.fence().is_up(),
            members: snapshot.as_ref().map_or(Vec::new(), |s| self.members(s)),
            acceptors: snapshot.as_ref().map_or(Vec::new(), |s| acceptors(s)),
            clock_skew_ms: skews
                .map(|(host, skew_us)| (host.to_string(), skew_ms(skew_us)))
                .collect(),
        }
    }

    /// What an operator should know of a node that serves.
    pub fn remark(&self, snapshot: Option<&Snapshot>) -> Option<String> {
        remark(snapshot?, &self.commits.standing(), self.cluster.is_seed())
    }

    fn members(&self, snapshot: &Snapshot) -> Vec<MemberStatus> {
        let alive = self.cluster.alive();
        let members = snapshot.value.members.iter();
        members
            .map(|member| {
                let owners = snapshot.value.owners.iter();
                let partitions = owners.filter(|owner| **owner == member.host).count();
                MemberStatus {
                    host_id: member.host.to_string(),
                    store_id: member.store.to_string(),
                    address: member.internode.to_string(),
                    cql: member.cql.to_string(),
                    datacenter: member.datacenter.clone(),
                    rack: member.rack.clone(),
                    state: if alive.contains(&member.host) { "up" } else { "down" },
                    partitions,
                    role: if partitions > 0 { "replica" } else { "coordinator" },
                }
            })
            .collect()
    }

    /// The owner of each partition.
    pub fn ring(&self) -> Vec<RingPartition> {
        let Some(snapshot) = self.cluster.snapshot() else { return Vec::new() };
        let ring = &snapshot.ring;
        let partitions = ring.partitions().iter();
        partitions
            .map(|partition| RingPartition {
                number: partition.index(),
                end: ring.end_of(partition).value(),
                owner: ring.owner(partition).to_string(),
            })
            .collect()
    }
}

fn with_obstacle(what: &str, obstacle: Option<&str>) -> String {
    obstacle.map_or_else(|| what.to_owned(), |obstacle| format!("{what}: {obstacle}"))
}

#[expect(clippy::cast_precision_loss, reason = "clocks are not so far apart")]
fn skew_ms(skew_us: i64) -> f64 {
    skew_us as f64 / 1_000.0
}

fn acceptors(snapshot: &Snapshot) -> Vec<String> {
    snapshot.value.acceptors.now().as_slice().iter().map(ToString::to_string).collect()
}
