//! Proposing: one change after the other, until the register has chosen a value with it.
//!
//! A node's changes wait in one queue, so that they do not outbid each other. Most go to the lowest
//! live acceptor, which proposes for the whole cluster; a node proposes itself when that one is
//! silent. That saves rounds and is never needed for safety: a change keeps its name wherever it
//! is proposed, and the value remembers the names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use ring::register::{
    Answer as RegisterAnswer, ChangeId, Pace, ProposeError, Proposer, RegisterValue,
    Request as RegisterRequest, SeedList, Step, Stores, Terms,
};
use ring::{HostId, StoreId};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::acceptor::Vote;
use super::keeper::Keeper;
use crate::clock::{Clock, Random};
use crate::cluster::{Cluster, Told};
use crate::commits::Commits;
use crate::metadata::{Change, ChangeError, ClusterMetadata, Declined, Founding, Member};
use crate::peer::{Answer, Body, CallError, Class, Pool, Reply, Request, Target};

/// How many changes may wait on one node.
const QUEUE_MAX: usize = 256;

/// How long the lowest live acceptor has before a node proposes itself.
const FORWARD_WAIT: Duration = Duration::from_secs(3);

/// How long a change waits for live members to know it.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// How long after a vain try a member is told again.
const SPREAD_PAUSE: Duration = Duration::from_millis(50);

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proposed {
    /// The metadata contain it since this epoch, or an earlier one.
    Chosen {
        /// The epoch of the chosen value.
        epoch: u64,
    },
    /// Everything was as the change wants it.
    Nothing,
}

/// Why a change was not made, as far as this node knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ProposeFailure {
    /// The current metadata refuse it. Nothing was changed.
    #[error(transparent)]
    Refused(#[from] ChangeError),
    /// Too few of the nodes that agree on the metadata answered.
    #[error("{why}; rows are served all the same")]
    NoAgreement {
        /// Who was silent.
        why: String,
        /// Whether the change may be made yet.
        may_have_applied: bool,
    },
    /// This node is in no cluster yet.
    #[error("the cluster is not formed yet")]
    NotFormed,
    /// Too many changes are waiting on this node.
    #[error("too many changes of the schema or the members are waiting")]
    Overloaded,
}

impl ProposeFailure {
    /// The same, of a change that another node may have made, or may make yet.
    fn after_another_try(self, may_have_applied: bool) -> Self {
        match self {
            Self::NoAgreement { why, may_have_applied: here } => {
                Self::NoAgreement { why, may_have_applied: may_have_applied || here }
            }
            Self::Overloaded | Self::NotFormed if may_have_applied => {
                Self::NoAgreement { why: self.to_string(), may_have_applied }
            }
            other => other,
        }
    }
}

impl From<ProposeError> for ProposeFailure {
    fn from(error: ProposeError) -> Self {
        let may_have_applied = error.may_have_applied();
        Self::NoAgreement { why: error.to_string(), may_have_applied }
    }
}

/// A change on its way: its name stays with it wherever it is proposed.
#[derive(Debug, Serialize, Deserialize)]
struct Named {
    id: ChangeId,
    change: Change,
}

/// What became of a change that another node was to propose.
enum Forwarded {
    /// This node knows what that one answered from.
    Done(Result<Proposed, ProposeFailure>),
    /// This node has to propose it itself.
    Open {
        /// Whether the other node may make the change yet.
        may_have_applied: bool,
    },
}

/// What a proposal waits for.
enum Event {
    Answered(Box<RegisterAnswer<ClusterMetadata>>),
    /// Newer metadata reached this node in another way.
    News,
    Silence,
}

struct Waiting {
    named: Named,
    deadline: Instant,
    answer: oneshot::Sender<Result<Proposed, ProposeFailure>>,
}

/// Where changes are handed in, and the parts that proposing needs.
#[derive(Debug)]
pub struct Proposals {
    cluster: Arc<Cluster>,
    keeper: Arc<Keeper>,
    commits: Commits,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    random: Random,
    seeds: SeedList,
    /// In whose name this store votes, if not in its own: a bug that tests plant.
    voter: Option<StoreId>,
    counter: AtomicU64,
    queue: mpsc::Sender<Waiting>,
}

/// The changes that wait on this node, for the worker.
pub struct ProposalQueue(mpsc::Receiver<Waiting>);

impl Proposals {
    /// The way to the register, and the queue that [`Proposals::work`] empties.
    pub fn new(
        cluster: Arc<Cluster>,
        keeper: Arc<Keeper>,
        commits: Commits,
        pool: Arc<Pool>,
        clock: Arc<dyn Clock>,
        random: Random,
        seeds: SeedList,
    ) -> (Self, ProposalQueue) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let counter = AtomicU64::new(0);
        let voter = None;
        let this =
            Self { cluster, keeper, commits, pool, clock, random, seeds, voter, counter, queue };
        (this, ProposalQueue(waiting))
    }

    /// The same, with votes in the name of another store: a bug that tests plant.
    #[must_use]
    pub fn voting_as(mut self, voter: Option<StoreId>) -> Self {
        self.voter = voter;
        self
    }

    /// The seeds of this node's configuration.
    pub fn seeds(&self) -> &SeedList {
        &self.seeds
    }

    /// Makes a change of the metadata, and waits until it is chosen and installed here.
    ///
    /// # Errors
    /// [`ProposeFailure`].
    pub async fn propose(
        &self,
        change: Change,
        deadline: Instant,
    ) -> Result<Proposed, ProposeFailure> {
        let named = Named { id: ChangeId(self.random.next_u128()), change };
        match self.forward(&named, deadline).await {
            Forwarded::Done(outcome) => {
                if matches!(outcome, Ok(Proposed::Chosen { .. })) {
                    // The others know it; this node, too, is to know that they do.
                    self.settle(deadline).await;
                }
                outcome
            }
            Forwarded::Open { may_have_applied } => {
                let outcome = self.propose_here(named, deadline).await;
                outcome.map_err(|failure| failure.after_another_try(may_have_applied))
            }
        }
    }

    /// Proposes a change that another node forwarded; the answer is for [`Answer::Proposed`].
    pub async fn propose_forwarded(&self, body: &[u8], wait: Duration) -> Option<Bytes> {
        let named: Named = postcard::from_bytes(body).ok()?;
        let outcome = self.propose_here(named, self.clock.now() + wait).await;
        Some(postcard::to_stdvec(&outcome).expect("an outcome in memory can be written").into())
    }

    /// Empties the queue until it is closed: one proposal at a time.
    pub async fn work(&self, mut queue: ProposalQueue) {
        while let Some(Waiting { named, deadline, answer }) = queue.0.recv().await {
            if answer.is_closed() {
                // Nobody waits for it any more, and nothing was sent.
                continue;
            }
            let outcome = if self.clock.now() < deadline {
                self.run(named, deadline).await
            } else {
                let why = "other changes were made first, until it was too late".to_owned();
                Err(ProposeFailure::NoAgreement { why, may_have_applied: false })
            };
            // Whoever asked may have gone.
            let _ = answer.send(outcome);
        }
    }

    /// Forms a cluster with the stores that answered at the seeds' addresses, all of them.
    ///
    /// # Errors
    /// [`ProposeFailure::NoAgreement`], after which the caller looks around and tries again.
    pub async fn form(
        &self,
        stores: &BTreeMap<StoreId, SocketAddr>,
        founding: &Founding,
        deadline: Instant,
    ) -> Result<(), ProposeFailure> {
        let named = Stores::new(stores.keys().copied()).map_err(|error| {
            ProposeFailure::NoAgreement { why: error.to_string(), may_have_applied: false }
        })?;
        let (proposer, steps) = Proposer::form(self.seeds.clone(), named, self.terms());
        let make = |_: Option<ClusterMetadata>, acceptors| match acceptors {
            Some(acceptors) => Ok(founding.value(acceptors)),
            None => Err(Declined::Nothing),
        };
        self.drive(proposer, steps, stores, make, deadline).await.map(|_| ())
    }

    /// Begins a new generation by force, with `stores` as its acceptors, from the newest value that
    /// this node or one of them knows. Only where a majority of the acceptors is lost for ever.
    ///
    /// The same call from the same generation is the same reform, on whatever node it is repeated.
    ///
    /// # Errors
    /// [`ProposeFailure`].
    pub async fn reform(
        &self,
        stores: &[StoreId],
        deadline: Instant,
    ) -> Result<Proposed, ProposeFailure> {
        let known = self.cluster.snapshot().ok_or(ProposeFailure::NotFormed)?.value.clone();
        let is_member = |store| known.members.iter().any(|member| member.store == store);
        if let Some(store) = stores.iter().copied().find(|store| !is_member(*store)) {
            return Err(ChangeError::NoMember { store }.into());
        }
        let stores = Stores::new(stores.iter().copied())
            .map_err(|error| ChangeError::Acceptors { why: error.to_string() })?;
        let id = reform_id(&known, &stores);
        let (proposer, steps) = Proposer::reform(known, stores, id, self.terms());
        let make = |current: Option<ClusterMetadata>, acceptors| {
            let (Some(mut next), Some(acceptors)) = (current, acceptors) else {
                return Err(Declined::Nothing);
            };
            next.epoch += 1;
            next.acceptors = acceptors;
            Ok(next)
        };
        let outcome = self.drive(proposer, steps, &BTreeMap::new(), make, deadline).await?;
        self.settle(deadline).await;
        Ok(outcome)
    }

    async fn propose_here(
        &self,
        named: Named,
        deadline: Instant,
    ) -> Result<Proposed, ProposeFailure> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { named, deadline, answer };
        self.queue.try_send(waiting).map_err(|_| ProposeFailure::Overloaded)?;
        let outcome = answered.await.unwrap_or(Err(ProposeFailure::Overloaded))?;
        if matches!(outcome, Proposed::Chosen { .. }) {
            self.settle(deadline).await;
        }
        Ok(outcome)
    }

    /// Lets the lowest live acceptor propose, unless this node is it.
    async fn forward(&self, named: &Named, deadline: Instant) -> Forwarded {
        let Some(to) = self.lowest_acceptor() else {
            return Forwarded::Open { may_have_applied: false };
        };
        let body = postcard::to_stdvec(named).expect("a change in memory can be written");
        let deadline = deadline.min(self.clock.now() + FORWARD_WAIT);
        let target = Target { address: to.internode, host: Some(to.host) };
        let body = Body::from_iter([Bytes::from(body)]);
        let epoch = self.cluster.epoch();
        let call = self.pool.call(target, Class::Control, epoch, Request::Propose, body, deadline);
        let reply = match call.await {
            Ok(reply) => reply,
            Err(CallError::NotSent { .. }) => return Forwarded::Open { may_have_applied: false },
            Err(CallError::Lost) => return Forwarded::Open { may_have_applied: true },
        };
        // The client of a change may ask this node next, whatever the answer is.
        let is_here = self.keeper.catch_up(to.internode, reply.epoch, deadline).await;
        judge(&reply, is_here)
    }

    fn lowest_acceptor(&self) -> Option<Member> {
        let snapshot = self.cluster.snapshot()?;
        let alive = self.cluster.alive();
        let acceptors = snapshot.value.acceptors.now().as_slice();
        let is_live = |member: &&Member| alive.contains(&member.host);
        let member_of =
            |store: &StoreId| snapshot.value.members.iter().find(|member| member.store == *store);
        let lowest = acceptors.iter().filter_map(member_of).find(is_live)?;
        (lowest.host != self.cluster.me()).then(|| lowest.clone())
    }

    async fn run(&self, named: Named, deadline: Instant) -> Result<Proposed, ProposeFailure> {
        let snapshot = self.cluster.snapshot().ok_or(ProposeFailure::NotFormed)?;
        let Named { id, change } = named;
        let known = snapshot.value.clone();
        let (proposer, steps) = Proposer::change(known, id, self.terms());
        let make = |current: Option<ClusterMetadata>, _| match current {
            Some(current) => change.apply(&current, id),
            None => Err(Declined::Nothing),
        };
        self.drive(proposer, steps, &BTreeMap::new(), make, deadline).await
    }

    fn terms(&self) -> Terms {
        let standing = self.commits.standing();
        Terms {
            proposer: standing.store,
            seed: self.random.next_u64(),
            counter: self.counter.load(Ordering::Relaxed),
            pace: Pace::default(),
        }
    }

    /// Runs one proposal to its end. `addresses`: where to find stores that belong to no member.
    async fn drive(
        &self,
        mut proposer: Proposer<ClusterMetadata>,
        mut steps: Vec<Step<ClusterMetadata>>,
        addresses: &BTreeMap<StoreId, SocketAddr>,
        make: impl Fn(
            Option<ClusterMetadata>,
            Option<ring::register::Acceptors>,
        ) -> Result<ClusterMetadata, Declined>,
        deadline: Instant,
    ) -> Result<Proposed, ProposeFailure> {
        let mut calls = FuturesUnordered::new();
        let mut news = self.cluster.watch_epoch();
        let mut wake = (deadline, None);
        loop {
            let mut next = Vec::new();
            for step in steps {
                match step {
                    Step::Send { to, request } => {
                        calls.push(self.ask(to, addresses.get(&to).copied(), request, deadline));
                    }
                    Step::Change { current, acceptors } => {
                        next.extend(proposer.on_changed(make(current, acceptors)));
                    }
                    Step::Wake { after, ticket } => {
                        wake = (deadline.min(self.clock.now() + after), Some(ticket));
                    }
                    Step::Learned { value } => self.learn(value).await?,
                    Step::Chosen { value } => {
                        let epoch = value.epoch;
                        self.learn(value).await?;
                        return Ok(Proposed::Chosen { epoch });
                    }
                    Step::Rejected { reject: Declined::Nothing } => return Ok(Proposed::Nothing),
                    Step::Rejected { reject: Declined::Refused(error) } => return Err(error.into()),
                    Step::Failed { error } => return Err(error.into()),
                }
            }
            self.counter.fetch_max(proposer.counter(), Ordering::Relaxed);
            if !next.is_empty() {
                steps = next;
                continue;
            }
            steps = match next_event(&mut calls, &mut news, wake.0).await {
                Event::Answered(answer) => proposer.on_answer(*answer),
                Event::News => match self.cluster.snapshot() {
                    Some(snapshot) => proposer.learn(snapshot.value.clone()),
                    None => Vec::new(),
                },
                Event::Silence => match wake.1.take() {
                    Some(ticket) if self.clock.now() < deadline => proposer.on_wake(ticket),
                    _ => proposer.give_up(),
                },
            };
        }
    }

    /// Waits until every live member knows the newest epoch: it fetches it before it answers a
    /// greeting that names it. So whoever asked may go on at any node at once. Gossip reaches those
    /// whom the greeting does not. The next change is made meanwhile.
    async fn settle(&self, deadline: Instant) {
        let Some(snapshot) = self.cluster.snapshot() else { return };
        let (alive, me) = (self.cluster.alive(), self.cluster.me());
        let deadline = deadline.min(self.clock.now() + SETTLE_MAX);
        let others = snapshot.value.members.iter().filter(|member| member.host != me);
        let greetings = others.filter(|member| alive.contains(&member.host)).map(|member| {
            let target = Target { address: member.internode, host: Some(member.host) };
            let (epoch, body) = (snapshot.epoch(), Body::new());
            self.pool.call(target, Class::Control, epoch, Request::Ping, body, deadline)
        });
        // Who does not answer in time learns it later.
        let replies = join_all(greetings).await.into_iter().flatten();
        let knows = replies.filter(|reply| reply.epoch == snapshot.epoch());
        self.cluster
            .note_told(&knows.map(|reply| (reply.from.host, Told::of(&snapshot))).collect());
    }

    /// Waits until every member knows `epoch`.
    ///
    /// # Errors
    /// The members who do not by the deadline.
    pub async fn spread(&self, epoch: u64, deadline: Instant) -> Result<(), Vec<HostId>> {
        let Some(snapshot) = self.cluster.snapshot() else { return Ok(()) };
        let me = self.cluster.me();
        let others = snapshot.value.members.iter().filter(|member| member.host != me);
        let told = others.map(async |member| {
            while !self.knows(member, epoch, deadline).await {
                if self.clock.now() + SPREAD_PAUSE >= deadline {
                    return Some(member.host);
                }
                tokio::time::sleep(SPREAD_PAUSE).await;
            }
            None
        });
        let lacking: Vec<HostId> = join_all(told).await.into_iter().flatten().collect();
        if lacking.is_empty() { Ok(()) } else { Err(lacking) }
    }

    /// Tells a member of an epoch, and whether it knows it then.
    async fn knows(&self, member: &Member, epoch: u64, deadline: Instant) -> bool {
        let target = Target { address: member.internode, host: Some(member.host) };
        let deadline = deadline.min(self.clock.now() + SETTLE_MAX);
        let (class, body) = (Class::Control, Body::new());
        let call = self.pool.call(target, class, epoch, Request::Ping, body, deadline);
        call.await.is_ok_and(|reply| reply.epoch >= epoch)
    }

    async fn learn(&self, value: ClusterMetadata) -> Result<(), ProposeFailure> {
        self.keeper.learn(value).await.map_err(|error| ProposeFailure::NoAgreement {
            why: format!("the store of this node failed: {error}"),
            may_have_applied: true,
        })
    }

    /// Asks one acceptor; silence needs no words, the proposer counts it.
    async fn ask(
        &self,
        to: StoreId,
        address: Option<SocketAddr>,
        request: RegisterRequest<ClusterMetadata>,
        deadline: Instant,
    ) -> Option<RegisterAnswer<ClusterMetadata>> {
        let request = postcard::to_stdvec(&request).expect("a request in memory can be written");
        let request = Bytes::from(request);
        if to == self.commits.standing().store {
            return self.vote(request).await;
        }
        for target in self.targets_of(to, address) {
            let (epoch, body) = (self.cluster.epoch(), Body::from_iter([request.clone()]));
            let class = Class::Control;
            let call = self.pool.call(target, class, epoch, Request::Register, body, deadline);
            match call.await {
                Ok(reply) if reply.answer == Answer::Register => {
                    return postcard::from_bytes(&reply.body).ok();
                }
                // Nobody is there: it may have moved.
                Err(CallError::NotSent { .. }) => {}
                Ok(_) | Err(CallError::Lost) => return None,
            }
        }
        None
    }

    /// Where a store may be found, best first.
    fn targets_of(&self, store: StoreId, address: Option<SocketAddr>) -> Vec<Target> {
        if let Some(address) = address {
            return vec![Target { address, host: None }];
        }
        let snapshot = self.cluster.snapshot();
        let members = snapshot.iter().flat_map(|snapshot| &snapshot.value.members);
        if let Some(member) = members.into_iter().find(|member| member.store == store) {
            let (host, addresses) = (Some(member.host), self.cluster.addresses_of(member));
            return addresses.map(|address| Target { address, host }).collect();
        }
        let met = self.cluster.met_at(store).into_iter();
        met.map(|address| Target { address, host: None }).collect()
    }

    /// This store's own vote.
    pub async fn vote(&self, request: Bytes) -> Option<RegisterAnswer<ClusterMetadata>> {
        let vote = Vote { request, seeds: self.seeds.clone(), voter: self.voter };
        match self.commits.submit(vote).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::error!(%error, "this node takes no part in the agreement");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "could not vote");
                None
            }
        }
    }
}

/// What the other node's answer means, and whether this node knows the epoch it is from.
fn judge(reply: &Reply, is_here: bool) -> Forwarded {
    let outcome = match reply.answer {
        Answer::Proposed => postcard::from_bytes::<Result<_, _>>(&reply.body).ok(),
        _ => return Forwarded::Open { may_have_applied: false },
    };
    match outcome {
        Some(Err(ProposeFailure::NoAgreement { may_have_applied, .. })) => {
            Forwarded::Open { may_have_applied }
        }
        Some(Err(ProposeFailure::Overloaded | ProposeFailure::NotFormed)) => {
            Forwarded::Open { may_have_applied: false }
        }
        Some(Ok(_)) | None if !is_here => Forwarded::Open { may_have_applied: true },
        Some(outcome) => Forwarded::Done(outcome),
        None => Forwarded::Open { may_have_applied: true },
    }
}

/// One name for one reform: of this cluster, from this generation, to these stores.
fn reform_id(known: &ClusterMetadata, stores: &Stores) -> ChangeId {
    let generation = known.version().generation;
    let mut hasher = blake3::Hasher::new();
    hasher.update(known.cluster_id.as_bytes());
    hasher.update(&generation.number.to_be_bytes());
    hasher.update(&generation.reform.0.to_be_bytes());
    for store in stores.as_slice() {
        hasher.update(&store.0.to_be_bytes());
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    ChangeId(u128::from_be_bytes(half))
}

/// The first of an answer, newer metadata, and `until`.
async fn next_event<F>(
    calls: &mut FuturesUnordered<F>,
    news: &mut watch::Receiver<u64>,
    until: Instant,
) -> Event
where
    F: Future<Output = Option<RegisterAnswer<ClusterMetadata>>>,
{
    tokio::select! {
        biased;
        answer = next_answer(calls) => Event::Answered(Box::new(answer)),
        Ok(()) = news.changed() => Event::News,
        () = sleep_until(until) => Event::Silence,
    }
}

/// The next answer that is one; waits for ever where nobody is asked any more.
async fn next_answer<F>(calls: &mut FuturesUnordered<F>) -> RegisterAnswer<ClusterMetadata>
where
    F: Future<Output = Option<RegisterAnswer<ClusterMetadata>>>,
{
    loop {
        match calls.next().await {
            Some(Some(answer)) => return answer,
            Some(None) => {}
            None => std::future::pending().await,
        }
    }
}
