//! Becoming a member: finding the seeds, forming the cluster or joining it, staying registered.
//!
//! ```text
//! look around   dial every seed; whoever knows an epoch tells it
//! form          no seed knows one, all have answered, and this node is a seed: propose the first value
//! confirm       ask a peer which epochs it saw of this store, before the first dot is minted
//! register      propose this node's store and addresses where the metadata say otherwise
//! ```
//!
//! Law: a cluster is formed only when every configured seed has answered that it holds none; a late
//! seed delays formation and never splits it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::join_all;
use ring::StoreId;
use ring::register::SeedList;
use tokio::time::Instant;

use crate::clock::{Clock, Random};
use crate::cluster::Cluster;
use crate::commits::{Commits, Standing};
use crate::metadata::{Change, Founding, Member, Secret, Secrets, Snapshot};
use crate::peer::{Answer, Body, Class, Hello, Pool, Request, Target};
use crate::register::{Keeper, Proposals};

/// How long a seed has to answer.
const SEED_WAIT: Duration = Duration::from_secs(1);

/// How long one attempt to form or to register may take.
const PROPOSE_WAIT: Duration = Duration::from_secs(10);

/// The pause between two rounds before this node is a member.
const EAGER_PAUSE: Duration = Duration::from_millis(100);

/// The pause between two rounds of a member.
const CALM_PAUSE: Duration = Duration::from_secs(1);

/// How much later than the seed before it each further seed proposes the first value.
const TURN: Duration = Duration::from_secs(1);

/// How long a started node waits to hear of the other members before it serves all the same.
const LISTEN_MAX: Duration = Duration::from_secs(3);

/// How far a node has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// These seeds have not answered.
    Seeds {
        /// Their addresses as configured.
        silent: Vec<String>,
    },
    /// All seeds have answered, and the first value is being agreed on.
    Forming,
    /// The metadata do not name this node yet.
    Registering,
    /// No peer has said yet which epochs of this store it saw.
    Confirming,
    /// Registered; other members have not been heard of since the start.
    Listening {
        /// Who is silent so far.
        silent: usize,
    },
    /// Registered and confirmed.
    Member,
}

/// What a node needs to become a member.
#[derive(Debug)]
pub struct Membership {
    /// What is known of the cluster.
    pub cluster: Arc<Cluster>,
    /// Newer metadata.
    pub keeper: Arc<Keeper>,
    /// Changes of the metadata.
    pub proposals: Arc<Proposals>,
    /// Whose store this is.
    pub commits: Commits,
    /// The other nodes.
    pub pool: Arc<Pool>,
    /// Deadlines.
    pub clock: Arc<dyn Clock>,
    /// Identities, keys and jitter.
    pub random: Random,
    /// What this node proposes if it forms the cluster; its member is filled in at that moment.
    pub terms: FoundingTerms,
    /// How this node registers, but for its store.
    pub address: MemberAddress,
    /// How far it has come.
    pub phase: Arc<ArcSwap<Phase>>,
}

/// What is fixed when a cluster is formed.
#[derive(Debug, Clone)]
pub struct FoundingTerms {
    /// The name from the configuration.
    pub name: String,
    /// How many equal partitions the ring is cut into.
    pub partitions: u32,
    /// How many partitions in a row have different owners.
    pub claim_spread: u32,
    /// How many members must own partitions before the first keyspace.
    pub nodes_min: u32,
}

/// Where a node is found and where it stands.
#[derive(Debug, Clone)]
pub struct MemberAddress {
    /// For other nodes.
    pub internode: SocketAddr,
    /// For clients.
    pub cql: SocketAddr,
    /// Its data center.
    pub datacenter: String,
    /// Its rack.
    pub rack: String,
}

/// The seeds that answered, in the order of the list.
type Found = Vec<(String, Option<Arc<Hello>>)>;

impl Membership {
    /// Works until the task is dropped.
    pub async fn run(&self) {
        let started = self.clock.now();
        let mut all_answered_at = None;
        let mut told = None;
        loop {
            let mut phase = self.advance(&mut all_answered_at).await;
            let is_new = self.clock.now().saturating_duration_since(started) < LISTEN_MAX;
            if let (Phase::Member, true, silent @ 1..) = (&phase, is_new, self.silent_members()) {
                phase = Phase::Listening { silent };
            }
            let is_member = phase == Phase::Member;
            if **self.phase.load() != phase {
                tracing::info!(?phase, "membership");
                self.phase.store(Arc::new(phase));
            }
            self.tell(&mut told);
            let pause = if is_member { CALM_PAUSE } else { EAGER_PAUSE };
            tokio::time::sleep(pause / 2 + self.random.up_to(pause)).await;
        }
    }

    async fn advance(&self, all_answered_at: &mut Option<Instant>) -> Phase {
        if self.cluster.snapshot().is_none() {
            let found = self.look_around().await;
            if self.cluster.snapshot().is_none() {
                return self.form(found, all_answered_at).await;
            }
        }
        if !self.confirm().await {
            return Phase::Confirming;
        }
        if self.register().await { Phase::Member } else { Phase::Registering }
    }

    /// Logs what an operator should know of this member, when it is another thing than last time.
    fn tell(&self, told: &mut Option<String>) {
        let Some(snapshot) = self.cluster.snapshot() else { return };
        let remark = remark(&snapshot, &self.commits.standing(), self.proposals.seeds());
        if remark != *told {
            if let Some(remark) = &remark {
                tracing::info!("{remark}");
            }
            *told = remark;
        }
    }

    /// How many members other than this node have not been heard of.
    fn silent_members(&self) -> usize {
        let Some(snapshot) = self.cluster.snapshot() else { return 0 };
        let alive = self.cluster.alive();
        snapshot.value.members.iter().filter(|member| !alive.contains(&member.host)).count()
    }

    /// Dials every seed, and learns what those that know an epoch tell.
    async fn look_around(&self) -> Found {
        let dials = self.proposals.seeds().as_slice().iter().map(|seed| self.dial(seed));
        let found: Found = join_all(dials).await;
        let knowing = found.iter().filter_map(|(_, hello)| hello.as_ref()).max_by_key(|h| h.epoch);
        if let Some(hello) = knowing.filter(|hello| hello.epoch > 0) {
            let deadline = self.clock.now() + SEED_WAIT;
            self.keeper.catch_up(hello.internode, hello.epoch, deadline).await;
        }
        found
    }

    async fn dial(&self, seed: &str) -> (String, Option<Arc<Hello>>) {
        let Some(address) = resolve(seed).await else { return (seed.to_owned(), None) };
        let deadline = self.clock.now() + SEED_WAIT;
        let target = Target { address, host: None };
        let epoch = self.cluster.epoch();
        let call =
            self.pool.call(target, Class::Control, epoch, Request::Ping, Body::new(), deadline);
        (seed.to_owned(), call.await.ok().map(|reply| reply.from))
    }

    /// Proposes the first value when all seeds have answered and it is this seed's turn.
    async fn form(&self, found: Found, all_answered_at: &mut Option<Instant>) -> Phase {
        let silent: Vec<String> = found
            .iter()
            .filter(|(_, hello)| hello.is_none())
            .map(|(seed, _)| seed.clone())
            .collect();
        if !silent.is_empty() {
            return Phase::Seeds { silent };
        }
        let stores: BTreeMap<StoreId, SocketAddr> = found
            .iter()
            .filter_map(|(_, hello)| hello.as_ref())
            .map(|hello| (hello.store, hello.internode))
            .collect();
        let mine = self.commits.standing().store;
        let Some(turn) = stores.keys().position(|store| *store == mine) else {
            return Phase::Forming;
        };
        let turn = TURN * u32::try_from(turn).expect("there are at most five seeds");
        let since = *all_answered_at.get_or_insert_with(|| self.clock.now());
        if self.clock.now().saturating_duration_since(since) < turn {
            return Phase::Forming;
        }
        let founding = self.founding();
        let deadline = self.clock.now() + PROPOSE_WAIT;
        match self.proposals.form(&stores, &founding, deadline).await {
            Ok(()) => Phase::Registering,
            Err(error) => {
                tracing::warn!(%error, "could not form the cluster yet");
                Phase::Forming
            }
        }
    }

    fn founding(&self) -> Founding {
        let FoundingTerms { name, partitions, claim_spread, nodes_min } = self.terms.clone();
        let mut key = [0; 32];
        key[..16].copy_from_slice(&self.random.next_u128().to_be_bytes());
        key[16..].copy_from_slice(&self.random.next_u128().to_be_bytes());
        Founding {
            cluster_id: uuid::Builder::from_random_bytes(self.random.next_u128().to_be_bytes())
                .into_uuid(),
            name,
            partitions,
            claim_spread,
            nodes_min,
            member: self.member(),
            secrets: Secrets { current: Secret { id: 0, key }, previous: None },
        }
    }

    fn member(&self) -> Member {
        let MemberAddress { internode, cql, datacenter, rack } = self.address.clone();
        let store = self.commits.standing().store;
        Member { host: self.cluster.me(), store, internode, cql, datacenter, rack }
    }

    /// Makes sure that no peer has seen an epoch of this store that it has not dealt out.
    async fn confirm(&self) -> bool {
        let standing = self.commits.standing();
        if standing.is_confirmed {
            return true;
        }
        let Some(snapshot) = self.cluster.snapshot() else { return false };
        let me = self.cluster.me();
        let peers: Vec<_> =
            snapshot.value.members.iter().filter(|member| member.host != me).collect();
        let mut seen = if peers.is_empty() { Some(None) } else { None };
        for peer in peers {
            let target = Target { address: peer.internode, host: Some(peer.host) };
            let request = Request::HighestEpoch { store: standing.store };
            let (epoch, deadline) = (snapshot.epoch(), self.clock.now() + SEED_WAIT);
            let call =
                self.pool.call(target, Class::Control, epoch, request, Body::new(), deadline);
            if let Ok(reply) = call.await
                && let Answer::HighestEpoch { epoch } = reply.answer
            {
                seen = Some((epoch > 0).then_some(epoch));
                break;
            }
        }
        let Some(seen) = seen else { return false };
        let fresh = StoreId(self.random.next_u128());
        match self.commits.handle().confirm(standing.store, seen, fresh).await {
            Ok(standing) => standing.is_confirmed,
            Err(error) => {
                tracing::error!(%error, "could not confirm the identity of the store");
                false
            }
        }
    }

    /// Makes sure that the metadata name this node as it is now.
    async fn register(&self) -> bool {
        let member = self.member();
        let Some(snapshot) = self.cluster.snapshot() else { return false };
        if snapshot.member(member.host) == Some(&member) {
            return true;
        }
        let deadline = self.clock.now() + PROPOSE_WAIT;
        match self.proposals.propose(Change::Join(member), deadline).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, "could not register this node yet");
                false
            }
        }
    }
}

/// What an operator should know of a member that serves; none where all is as it should be.
pub fn remark(snapshot: &Snapshot, standing: &Standing, seeds: &SeedList) -> Option<String> {
    let me = snapshot.member(standing.host)?;
    let mut remarks = Vec::new();
    if !snapshot.value.owns_partitions(standing.host) {
        remarks.push(
            "this node came after the first keyspace: it coordinates and owns no partitions"
                .to_owned(),
        );
    }
    let address = me.internode.to_string();
    let is_seed = seeds.as_slice().contains(&address);
    let store = standing.store;
    if is_seed && !snapshot.value.acceptors.now().contains(store) {
        remarks.push(format!(
            "this seed takes no part in agreement: its store {store} is new; \
             `starling seed replace OLD {store}` puts it in the place of the one it lost"
        ));
    }
    (!remarks.is_empty()).then(|| remarks.join("; "))
}

async fn resolve(seed: &str) -> Option<SocketAddr> {
    if let Ok(address) = seed.parse() {
        return Some(address);
    }
    match tokio::net::lookup_host(seed).await {
        Ok(mut addresses) => addresses.next(),
        Err(error) => {
            tracing::debug!(seed, %error, "could not resolve a seed");
            None
        }
    }
}
