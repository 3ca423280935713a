//! Becoming a member: finding the seeds, forming the cluster or joining it, staying registered.
//!
//! ```text
//! look around   dial every seed; whoever knows an epoch tells it
//! form          no seed knows one, all have answered, and this node is a seed: propose the first value
//! confirm       ask all peers which epochs they saw of this store, before the first dot is minted
//! register      propose this node's store and addresses where the metadata say otherwise
//! listen        after a start, or when the last member came: hear of every member and of no newer
//!               metadata, but not for long
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
use tokio::time::{Instant, timeout};

use crate::clock::{Clock, Random};
use crate::cluster::{Cluster, Told};
use crate::commits::{Commits, Standing};
use crate::metadata::{Change, Founding, Member, Secret, Secrets, Snapshot};
use crate::peer::{Answer, Body, Class, Pool, Reply, Request, Target};
use crate::register::{Keeper, Proposals};

/// How long a seed has to answer.
const SEED_WAIT: Duration = Duration::from_secs(1);

/// How long one attempt to form or to register may take.
const PROPOSE_WAIT: Duration = Duration::from_secs(10);

/// The pause between two rounds before this node is a member.
const EAGER_PAUSE: Duration = Duration::from_millis(100);

/// The pause between two rounds of a member, and of a node whom something stands in the way.
const CALM_PAUSE: Duration = Duration::from_secs(1);

/// How much later than the seed before it each further seed proposes the first value.
const TURN: Duration = Duration::from_secs(1);

/// How long a node waits to hear of the other members, after its start or after there were enough of
/// them, before it counts as ready all the same.
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
    Forming {
        /// Why it was not, as far as this node knows.
        obstacle: Option<String>,
    },
    /// The metadata do not name this node as it is yet.
    Registering {
        /// Why not, as far as this node knows.
        obstacle: Option<String>,
    },
    /// No peer has said yet which epochs of this store it saw.
    Confirming,
    /// Registered; other members are still to come, have not been heard of since, or told of newer
    /// metadata.
    Listening {
        /// How many of them.
        silent: usize,
    },
    /// Registered and confirmed.
    Member,
}

impl Phase {
    /// The metadata that a node which has come so far serves clients by; none while it serves nobody.
    ///
    /// A member of a formed cluster that was restarted serves before its peers confirm it: reads
    /// need no confirmation, and a write that does is refused by itself.
    pub fn serving(&self, cluster: &Cluster) -> Option<Arc<Snapshot>> {
        let is_in = matches!(self, Self::Member | Self::Confirming | Self::Listening { .. });
        cluster.snapshot().filter(|snapshot| is_in && snapshot.value.is_formed())
    }

    /// What an operator has to see to before the node comes any further.
    fn obstacle(&self) -> Option<&str> {
        match self {
            Self::Forming { obstacle } | Self::Registering { obstacle } => obstacle.as_deref(),
            Self::Seeds { .. } | Self::Confirming | Self::Listening { .. } | Self::Member => None,
        }
    }
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
type Found = Vec<(String, Option<Reply>)>;

impl Membership {
    /// Works until the task is dropped.
    pub async fn run(&self) {
        let mut listens_since = self.clock.now();
        let mut all_answered_at = None;
        let mut has_looked = false;
        let mut told = None;
        loop {
            let mut phase = self.advance(&mut all_answered_at).await;
            let (now, lacking) = (self.clock.now(), self.lacking_members());
            if lacking > 0 {
                // Of those who are still to come this node cannot have heard.
                listens_since = now;
            }
            let is_new = now.saturating_duration_since(listens_since) < LISTEN_MAX;
            let silent = self.silent_members().max(lacking);
            if phase == Phase::Member && is_new && silent > 0 {
                phase = Phase::Listening { silent };
            }
            let is_calm = phase == Phase::Member || phase.obstacle().is_some();
            self.enter(phase);
            if is_calm && !has_looked {
                // Whoever began with metadata has not found out yet whether it is a seed.
                self.look_around().await;
                has_looked = true;
            }
            self.tell(&mut told);
            let pause = if is_calm { CALM_PAUSE } else { EAGER_PAUSE };
            tokio::time::sleep(pause / 2 + self.random.up_to(pause)).await;
        }
    }

    fn enter(&self, phase: Phase) {
        if **self.phase.load() == phase {
            return;
        }
        if let Some(obstacle) = phase.obstacle() {
            tracing::warn!("no member of the cluster yet: {obstacle}");
        } else {
            tracing::info!(?phase, "membership");
        }
        self.phase.store(Arc::new(phase));
    }

    async fn advance(&self, all_answered_at: &mut Option<Instant>) -> Phase {
        if self.cluster.snapshot().is_none() {
            let found = self.look_around().await;
            if self.cluster.snapshot().is_none() {
                return self.form(&found, all_answered_at).await;
            }
        }
        if self.confirm().await { self.register().await } else { Phase::Confirming }
    }

    /// Logs what an operator should know of this member, when it is another thing than last time.
    fn tell(&self, told: &mut Option<String>) {
        let Some(snapshot) = self.cluster.snapshot() else { return };
        let remark = remark(&snapshot, &self.commits.standing(), self.cluster.is_seed());
        if remark != *told {
            if let Some(remark) = &remark {
                tracing::info!("{remark}");
            }
            *told = remark;
        }
    }

    /// How many members the cluster has to get before it serves.
    fn lacking_members(&self) -> usize {
        let Some(snapshot) = self.cluster.snapshot() else { return 0 };
        (snapshot.value.nodes_min as usize).saturating_sub(snapshot.value.owner_count())
    }

    /// How many other members have not been heard of, or told of newer metadata.
    fn silent_members(&self) -> usize {
        let Some(snapshot) = self.cluster.snapshot() else { return 0 };
        let (alive, told) = (self.cluster.alive(), self.cluster.told());
        let (known, me) = (self.cluster.version(), self.cluster.me());
        let is_silent = |member: &&Member| {
            let is_ahead = |told: &Told| Some(told.version) > known;
            member.host != me
                && (!alive.contains(&member.host) || told.get(&member.host).is_some_and(is_ahead))
        };
        snapshot.value.members.iter().filter(is_silent).count()
    }

    /// Dials every seed, and learns what those that know an epoch tell.
    async fn look_around(&self) -> Found {
        let dials = self.proposals.seeds().as_slice().iter().map(|seed| self.dial(seed));
        let found: Found = join_all(dials).await;
        let replies = found.iter().filter_map(|(_, reply)| reply.as_ref());
        if let Some(newest) = replies.max_by_key(|reply| reply.epoch) {
            let deadline = self.clock.now() + SEED_WAIT;
            self.keeper.catch_up(newest.from.internode, newest.epoch, deadline).await;
        }
        found
    }

    async fn dial(&self, seed: &str) -> (String, Option<Reply>) {
        let Some(address) = resolve(seed).await else { return (seed.to_owned(), None) };
        let reply = self.ask(Target { address, host: None }, Request::Ping).await;
        if reply.as_ref().is_some_and(|reply| reply.from.host == self.cluster.me()) {
            self.cluster.note_is_seed();
        }
        (seed.to_owned(), reply)
    }

    async fn ask(&self, target: Target, request: Request) -> Option<Reply> {
        let (epoch, deadline) = (self.cluster.epoch(), self.clock.now() + SEED_WAIT);
        let call = self.pool.call(target, Class::Control, epoch, request, Body::new(), deadline);
        call.await.ok()
    }

    /// Proposes the first value when all seeds have answered and it is this seed's turn.
    async fn form(&self, found: &Found, all_answered_at: &mut Option<Instant>) -> Phase {
        let silent = found.iter().filter(|(_, reply)| reply.is_none());
        let silent: Vec<String> = silent.map(|(seed, _)| seed.clone()).collect();
        if !silent.is_empty() {
            *all_answered_at = None;
            return Phase::Seeds { silent };
        }
        let seeds = found.iter().filter_map(|(_, reply)| Some(&reply.as_ref()?.from));
        let stores: BTreeMap<StoreId, SocketAddr> =
            seeds.map(|seed| (seed.store, seed.internode)).collect();
        if stores.len() != found.len() {
            let obstacle = "two addresses of seeds lead to one node".to_owned();
            return Phase::Forming { obstacle: Some(obstacle) };
        }
        let mine = self.commits.standing().store;
        let Some(turn) = stores.keys().position(|store| *store == mine) else {
            return Phase::Forming { obstacle: None };
        };
        let turn = TURN * u32::try_from(turn).expect("there are at most five seeds");
        let since = *all_answered_at.get_or_insert_with(|| self.clock.now());
        if self.clock.now().saturating_duration_since(since) < turn {
            return Phase::Forming { obstacle: None };
        }
        let founding = self.founding();
        let deadline = self.clock.now() + PROPOSE_WAIT;
        match self.proposals.form(&stores, &founding, deadline).await {
            Ok(()) => Phase::Registering { obstacle: None },
            Err(error) => Phase::Forming { obstacle: Some(error.to_string()) },
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

    /// Makes sure that no peer has seen an epoch of this store that it has not dealt out. One that
    /// answers is enough; all are asked, for another may have seen more.
    async fn confirm(&self) -> bool {
        let standing = self.commits.standing();
        if standing.is_confirmed {
            return true;
        }
        let Some(snapshot) = self.cluster.snapshot() else { return false };
        let me = self.cluster.me();
        let members = snapshot.value.members.iter();
        let asked: Vec<_> = members
            .filter(|member| member.host != me)
            .map(|peer| self.highest_epoch(peer, standing.store))
            .collect();
        let is_alone = asked.is_empty();
        let answers: Vec<u64> = join_all(asked).await.into_iter().flatten().collect();
        if answers.is_empty() && !is_alone {
            return false;
        }
        let seen = answers.into_iter().max().filter(|epoch| *epoch > 0);
        let fresh = StoreId(self.random.next_u128());
        match self.commits.handle().confirm(standing.store, seen, fresh).await {
            Ok(standing) => standing.is_confirmed,
            Err(error) => {
                tracing::error!(%error, "could not confirm the identity of the store");
                false
            }
        }
    }

    async fn highest_epoch(&self, peer: &Member, store: StoreId) -> Option<u64> {
        for address in self.cluster.addresses_of(peer) {
            let target = Target { address, host: Some(peer.host) };
            let reply = self.ask(target, Request::HighestEpoch { store }).await;
            if let Some(Answer::HighestEpoch { epoch }) = reply.map(|reply| reply.answer) {
                return Some(epoch);
            }
        }
        None
    }

    /// Makes sure that the metadata name this node as it is now.
    async fn register(&self) -> Phase {
        let member = self.member();
        let Some(snapshot) = self.cluster.snapshot() else {
            return Phase::Registering { obstacle: None };
        };
        if let Some(known) = snapshot.member(member.host) {
            if *known == member {
                return Phase::Member;
            }
            let moved = moved_under_data(&snapshot, known, &member);
            let obstacle = moved.or(self.twin(known).await);
            if obstacle.is_some() {
                return Phase::Registering { obstacle };
            }
        }
        let deadline = self.clock.now() + PROPOSE_WAIT;
        match self.proposals.propose(Change::Join(member), deadline).await {
            Ok(_) => Phase::Member,
            Err(error) => Phase::Registering { obstacle: Some(error.to_string()) },
        }
    }

    /// Another node that runs with this one's identity, at the address where it registered.
    async fn twin(&self, known: &Member) -> Option<String> {
        let (me, here) = (self.cluster.me(), self.address.internode);
        if known.internode == here {
            return None;
        }
        let target = Target { address: known.internode, host: Some(me) };
        let reply = self.ask(target, Request::Ping).await?;
        (reply.from.internode != here).then(|| {
            let address = known.internode;
            format!(
                "the node at {address} has the identity of this one: one data directory is a copy"
            )
        })
    }
}

/// Racks and data centers say who holds which row: while there are rows they stay as they are.
fn moved_under_data(snapshot: &Snapshot, known: &Member, member: &Member) -> Option<String> {
    let place = |member: &Member| format!("{} / {}", member.datacenter, member.rack);
    let (was, is) = (place(known), place(member));
    (was != is && !snapshot.keyspaces.is_empty()).then(|| {
        format!(
            "this node is registered in {was} and configured as {is}: its rows would have to move"
        )
    })
}

/// What an operator should know of a member that serves; none where all is as it should be.
pub fn remark(snapshot: &Snapshot, standing: &Standing, is_seed: bool) -> Option<String> {
    snapshot.member(standing.host)?;
    let mut remarks = Vec::new();
    if !snapshot.value.owns_partitions(standing.host) {
        remarks.push(
            "this node came after the first keyspace: it coordinates and owns no partitions"
                .to_owned(),
        );
    }
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
    match timeout(SEED_WAIT, tokio::net::lookup_host(seed)).await {
        Ok(Ok(mut addresses)) => addresses.next(),
        Ok(Err(error)) => {
            tracing::debug!(seed, %error, "could not resolve a seed");
            None
        }
        Err(_) => {
            tracing::debug!(seed, "resolving a seed takes too long");
            None
        }
    }
}
