//! Starting a node, and stopping it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use repair::version::SiblingLimits;
use ring::register::SeedList;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::environment::{Committing, Environment, Threads};
use super::handler::PeerHandler;
use super::introduction::{Introduction, Skews};
use crate::admin::{self, AdminState};
use crate::clock::{Clock, HybridClock, LEASE_US, Random};
use crate::cluster::Cluster;
use crate::commits::{AnyMutation, Commits};
use crate::config::{Config, Planted};
use crate::coord::{Coordinator, MENDINGS_MAX, Patience};
use crate::front::{Front, FrontParts};
use crate::network::{Listening, Purpose};
use crate::peer::{Introduce, Listener, Pool, PoolOptions};
use crate::plan::LocalNode;
use crate::register::{Keeper, ProposalQueue, Proposals};
use crate::replica::{DigestOptions, Digests, Fence, Held, Replica};
use crate::store::commit::{CommitLoop, Promise, QueueLimits, queue};
use crate::store::engine::Engine;
use crate::store::rocks::RocksOptions;
use crate::store::{self, Opened, clock_bound};
use crate::upkeep;
use crate::upkeep::anti_entropy::{AntiEntropy, AntiEntropyOptions, AntiEntropyParts};
use crate::upkeep::dead_lives::DeadLives;
use crate::upkeep::gossip::{self, Ahead, GossipOptions, Heartbeat, INBOX_MAX};
use crate::upkeep::handoff::{HandOff, HandOffProgress};
use crate::upkeep::membership::{FoundingTerms, MemberAddress, Membership, Phase};
use crate::upkeep::purge::{PurgeCounters, PurgeWorker};

/// How long a stopping node waits for the requests that it has begun.
const DRAIN_MAX: Duration = Duration::from_secs(6);

/// How long it waits then, within that time, for other nodes to read what it has for them.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// How long its store may take then; together they stay below the ten seconds that supervisors give.
const STORE_STOP_MAX: Duration = Duration::from_secs(3);

/// How often a connection to another node looks whether anything comes back; after five seconds of
/// silence it is given up.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// How long a fetch of newer metadata may take.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// Why a node has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Its store is damaged, and the process must begin anew: the next start salvages what can be read.
    Damaged,
}

/// Serves a node until `stop` is done, then finishes what was begun and returns; or until its store is
/// found damaged, and then returns at once.
///
/// `version`: the release and the commit that it was built from.
///
/// # Errors
/// Where the configuration, the data directory or a port does not allow a start.
pub async fn run(
    config: Config,
    version: &'static str,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    let environment = Environment::system(config.listen.address);
    let Some(opened) = open(&config, environment.random.clone()).await? else {
        return Ok(begin_anew());
    };
    let damage = opened.engine.watch_damage();
    let ended = run_on(config, version, opened, environment, stop).await;
    // Damage may be met before anybody watches, and whatever fails afterwards follows from it.
    match ended {
        Err(_) if damage.borrow().is_some() => Ok(begin_anew()),
        ended => ended.map(|()| Ended::Stopped),
    }
}

fn begin_anew() -> Ended {
    tracing::warn!("beginning anew, to salvage what can be read of the store");
    Ended::Damaged
}

/// Serves a node from a store that is open, with the time, the randomness and the network of
/// `environment`: a process or a simulated host.
///
/// # Errors
/// As [`run`], and when the store is found damaged; over [`Threads::None`] also when the store fails,
/// where a process would end at once.
pub async fn run_on(
    config: Config,
    version: &'static str,
    opened: Opened,
    environment: Environment,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let listeners = Listeners::bind(&config, &environment).await?;
    let threads = environment.threads.clone();
    let (parts, queued, commit_loop) = Parts::new(config, version, opened, environment)?;
    let mut committing = Committing::start(commit_loop, threads)?;
    parts.keeper.load(parts.engine.as_ref()).context("cannot read the metadata on disk")?;
    let standing = parts.commits.standing();
    tracing::info!(
        host = %standing.host, store = %standing.store, origin = ?standing.origin,
        epoch = parts.cluster.epoch(), version, "started"
    );
    let front = parts.front();
    let mut tasks = parts.start(&front, queued, listeners)?;
    tokio::select! {
        biased;
        () = stop => {}
        failure = committing.failed() => return Err(failure.into()),
        reason = damaged(parts.engine.as_ref()) => bail!("the store is damaged: {reason}"),
    }
    tracing::info!("stopping");
    let deadline = parts.clock.now() + DRAIN_MAX;
    front.drain(DRAIN_MAX).await;
    parts.pool.flush(deadline.min(parts.clock.now() + FLUSH_MAX)).await;
    tasks.shutdown().await;
    let stop_store = async {
        parts.commits.handle().stop().await;
        committing.ended().await;
    };
    if tokio::time::timeout(STORE_STOP_MAX, stop_store).await.is_err() {
        tracing::warn!("the store did not stop in time");
    }
    Ok(())
}

/// Waits until the store is found damaged.
async fn damaged(engine: &dyn Engine) -> String {
    let mut damage = engine.watch_damage();
    let found = damage.wait_for(Option::is_some).await.map(|reason| reason.clone());
    match found {
        Ok(reason) => reason.unwrap_or_default(),
        Err(_) => std::future::pending().await, // Nobody can find any.
    }
}

/// Opens the store; none where it is damaged and must be opened anew.
async fn open(config: &Config, random: Random) -> anyhow::Result<Option<Opened>> {
    let path = config.node.data_dir.clone();
    let options = RocksOptions {
        cache_bytes: config.store.cache_bytes.as_len(),
        memtable_bytes: config.store.memtable_bytes.as_len(),
        reserve_bytes: config.store.reserve_bytes.bytes(),
        // Three quarters of the reserve are for deletes and the register, the rest for nobody.
        floor_bytes: config.store.reserve_bytes.bytes() / 4,
        ..RocksOptions::default()
    };
    let open = move || store::open(&path, &options, &mut || random.next_u128());
    let opened = match tokio::task::spawn_blocking(open).await? {
        Err(error) if error.is_damage() => {
            tracing::error!(%error, "the store cannot be opened");
            return Ok(None);
        }
        opened => opened,
    };
    let opened = opened.with_context(|| format!("cannot open {}", config.node.data_dir.display()));
    opened.map(Some)
}

/// The ports of a node.
struct Listeners {
    cql: Box<dyn Listening>,
    internode: Listener,
    /// None where there is nobody to ask.
    admin: Option<TcpListener>,
}

impl Listeners {
    async fn bind(config: &Config, environment: &Environment) -> anyhow::Result<Self> {
        let bound = |address: SocketAddr| move || format!("cannot listen on {address}");
        let internode = config.internode_bind();
        let frame_bytes_max = config.internode.frame_bytes_max.as_len();
        let network = environment.network.as_ref();
        let cql = network.listen(config.cql_bind(), Purpose::Clients).await;
        let peers = Listener::bind(network, internode, frame_bytes_max).await;
        let admin = match environment.threads {
            Threads::Own => {
                let port = TcpListener::bind(config.admin_bind()).await;
                Some(port.with_context(bound(config.admin_bind()))?)
            }
            Threads::None { .. } => None,
        };
        Ok(Self {
            cql: cql.with_context(bound(config.cql_bind()))?,
            internode: peers.with_context(bound(internode))?,
            admin,
        })
    }
}

/// The parts of a node.
struct Parts {
    config: Config,
    version: &'static str,
    clock: Arc<dyn Clock>,
    write_clock: Arc<HybridClock>,
    random: Random,
    threads: Threads,
    engine: Arc<dyn Engine>,
    commits: Commits,
    cluster: Arc<Cluster>,
    introduction: Arc<Introduction>,
    pool: Arc<Pool>,
    keeper: Arc<Keeper>,
    replica: Arc<Replica>,
    coordinator: Arc<Coordinator>,
    anti_entropy: Arc<AntiEntropy>,
    proposals: Arc<Proposals>,
    phase: Arc<ArcSwap<Phase>>,
    handoff: Arc<HandOffProgress>,
    purged: Arc<PurgeCounters>,
}

impl Parts {
    fn new(
        config: Config,
        version: &'static str,
        mut opened: Opened,
        environment: Environment,
    ) -> anyhow::Result<(Self, ProposalQueue, CommitLoop<AnyMutation>)> {
        let Environment { clock, random, network, threads } = environment;
        let engine = Arc::clone(&opened.engine);
        let start = clock_bound::boot(engine.as_ref(), clock.wall_us(), LEASE_US)?;
        let write_clock = HybridClock::new(Arc::clone(&clock), start.floor_us, start.bound_us);
        let write_clock = Arc::new(write_clock);
        let limits =
            QueueLimits { queue_max: config.store.queue_max as usize, ..QueueLimits::default() };
        let planted = config.testing.planted;
        planted.confess();
        if planted.is(Planted::ReuseStoreId) {
            opened.identity.reuse_retired();
        }
        let (handle, commit_loop) = queue(opened, limits, promise(planted))?;
        let commits = Commits::new(handle);
        let cluster = Arc::new(Cluster::new(commits.standing().host));
        let introduction = introduction(&config, &cluster, &commits, &clock);
        let pool_options = PoolOptions {
            connect_timeout: config.timeouts.connect,
            frame_bytes_max: config.internode.frame_bytes_max.as_len(),
            queue_max: config.internode.queue_max as usize,
            look_pause: LOOK_PAUSE,
            clock: Arc::clone(&clock),
            network,
        };
        let local: Arc<dyn Introduce> = introduction.clone();
        let pool = Arc::new(Pool::new(local, pool_options));
        let keeper = Arc::new(Keeper::new(
            Arc::clone(&cluster),
            commits.clone(),
            Arc::clone(&pool),
            Arc::clone(&clock),
        ));
        let held = Held::up_to(config.standin.bytes_max.bytes());
        let fence = Arc::new(Fence::load(engine.as_ref(), commits.clone())?);
        let replica =
            Replica::new(Arc::clone(&engine), commits.clone(), held).behind(Arc::clone(&fence));
        let replica = Arc::new(replica.plant(planted));
        let anti_entropy = Arc::new(AntiEntropy::new(AntiEntropyParts {
            cluster: Arc::clone(&cluster),
            keeper: Arc::clone(&keeper),
            pool: Arc::clone(&pool),
            replica: Arc::clone(&replica),
            digests: digests(&config, &engine, &commits, &clock),
            fence,
            clock: Arc::clone(&clock),
            random: random.clone(),
            options: exchanges(&config),
        }));
        let coordinator = Arc::new(Coordinator {
            cluster: Arc::clone(&cluster),
            pool: Arc::clone(&pool),
            replica: Arc::clone(&replica),
            keeper: Arc::clone(&keeper),
            clock: Arc::clone(&clock),
            random: random.clone(),
            patience: Patience { read: config.timeouts.read, write: config.timeouts.write },
            hint_window: config.hints.window,
            keeps_hints: keeps_hints(&config),
            counters: Arc::default(),
            mending: Arc::new(Semaphore::new(MENDINGS_MAX)),
            latencies: Arc::default(),
            planted,
        });
        let (proposals, queued) = Proposals::new(
            Arc::clone(&cluster),
            Arc::clone(&keeper),
            commits.clone(),
            Arc::clone(&pool),
            Arc::clone(&clock),
            random.clone(),
            seeds(&config)?,
        );
        let is_blank_voting = planted.is(Planted::LetBlankSeedVote);
        let voter = commits.standing().retired().filter(|_| is_blank_voting);
        let proposals = proposals.voting_as(voter);
        let parts = Self {
            clock,
            write_clock,
            random,
            threads,
            engine,
            commits,
            cluster,
            introduction,
            pool,
            keeper,
            replica,
            coordinator,
            anti_entropy,
            proposals: Arc::new(proposals),
            phase: Arc::new(ArcSwap::from_pointee(Phase::Seeds { silent: Vec::new() })),
            handoff: Arc::default(),
            purged: Arc::default(),
            version,
            config,
        };
        Ok((parts, queued, commit_loop))
    }

    fn front(&self) -> Arc<Front> {
        Arc::new(Front::new(FrontParts {
            config: self.config.clone(),
            cluster: Arc::clone(&self.cluster),
            coordinator: Arc::clone(&self.coordinator),
            proposals: Arc::clone(&self.proposals),
            clock: Arc::clone(&self.clock),
            write_clock: Arc::clone(&self.write_clock),
            random: self.random.clone(),
            phase: Arc::clone(&self.phase),
            local: self.local_node(),
        }))
    }

    /// What the system tables say of this node.
    fn local_node(&self) -> LocalNode {
        let generation_s = self.clock.wall_us() / 1_000_000;
        LocalNode {
            host: self.cluster.me(),
            cql: advertised(&self.config, self.config.cql.port),
            internode: advertised(&self.config, self.config.internode.port),
            listen: self.config.listen.address,
            datacenter: self.config.node.datacenter.clone(),
            rack: self.config.node.rack.clone(),
            generation: i32::try_from(generation_s).unwrap_or(i32::MAX),
            version: self.version.to_owned(),
        }
    }

    /// Starts everything that runs by itself.
    fn start(
        &self,
        front: &Arc<Front>,
        queued: ProposalQueue,
        listeners: Listeners,
    ) -> anyhow::Result<JoinSet<()>> {
        let mut tasks = JoinSet::new();
        let (heartbeats, inbox) = mpsc::channel(INBOX_MAX);
        let (ahead, told_ahead) = watch::channel(None);
        let local: Arc<dyn Introduce> = self.introduction.clone();
        let handler = self.handler(heartbeats);
        let counters = Arc::clone(self.pool.counters());
        tasks.spawn(async move { listeners.internode.serve(local, handler, counters).await });
        let proposals = Arc::clone(&self.proposals);
        tasks.spawn(async move { proposals.work(queued).await });
        let membership = self.membership();
        tasks.spawn(async move { membership.run().await });
        let write_clock = Arc::clone(&self.write_clock);
        tasks.spawn(upkeep::clock_bound::keep(write_clock, self.commits.clone()));
        let (cluster, engine) = (Arc::clone(&self.cluster), Arc::clone(&self.engine));
        let dead_lives = DeadLives { cluster, engine };
        tasks.spawn(async move { dead_lives.run().await });
        let handoff = self.handoff();
        tasks.spawn(async move { handoff.run().await });
        let purge = self.purge();
        tasks.spawn(async move { purge.run().await });
        let anti_entropy = Arc::clone(&self.anti_entropy);
        tasks.spawn(async move { anti_entropy.run().await });
        tasks.spawn(follow(Arc::clone(&self.keeper), Arc::clone(&self.clock), told_ahead));
        if let Some(port) = listeners.admin {
            let admin = self.admin(front);
            tasks.spawn(async move {
                if let Err(error) = admin::serve(port, admin).await {
                    tracing::error!(%error, "the admin port is closed");
                }
            });
        }
        let front = Arc::clone(front);
        tasks.spawn(async move { front.serve(listeners.cql).await });
        self.gossip(&mut tasks, inbox, ahead)?;
        Ok(tasks)
    }

    fn handler(&self, heartbeats: mpsc::Sender<Heartbeat>) -> Arc<PeerHandler> {
        Arc::new(PeerHandler {
            cluster: Arc::clone(&self.cluster),
            keeper: Arc::clone(&self.keeper),
            pool: Arc::clone(&self.pool),
            proposals: Arc::clone(&self.proposals),
            coordinator: Arc::clone(&self.coordinator),
            replica: Arc::clone(&self.replica),
            engine: Arc::clone(&self.engine),
            clock: Arc::clone(&self.clock),
            anti_entropy: Arc::clone(&self.anti_entropy),
            heartbeats,
            limits: SiblingLimits {
                warn: self.config.siblings.warn as usize,
                max: self.config.siblings.max as usize,
            },
            age_max: self.config.gc.age / 2,
        })
    }

    fn handoff(&self) -> HandOff {
        HandOff {
            cluster: Arc::clone(&self.cluster),
            pool: Arc::clone(&self.pool),
            replica: Arc::clone(&self.replica),
            clock: Arc::clone(&self.clock),
            rate: self.config.hints.rate.bytes(),
            progress: Arc::clone(&self.handoff),
        }
    }

    fn purge(&self) -> PurgeWorker {
        PurgeWorker {
            cluster: Arc::clone(&self.cluster),
            pool: Arc::clone(&self.pool),
            replica: Arc::clone(&self.replica),
            clock: Arc::clone(&self.clock),
            random: self.random.clone(),
            age: self.config.gc.age,
            counters: Arc::clone(&self.purged),
            planted: self.config.testing.planted,
        }
    }

    fn membership(&self) -> Membership {
        let cluster = &self.config.cluster;
        Membership {
            cluster: Arc::clone(&self.cluster),
            keeper: Arc::clone(&self.keeper),
            proposals: Arc::clone(&self.proposals),
            commits: self.commits.clone(),
            pool: Arc::clone(&self.pool),
            clock: Arc::clone(&self.clock),
            random: self.random.clone(),
            terms: FoundingTerms {
                name: cluster.name.clone(),
                partitions: cluster.partitions,
                claim_spread: cluster.claim_spread,
                nodes_min: cluster.nodes_needed(),
            },
            address: MemberAddress {
                internode: advertised(&self.config, self.config.internode.port),
                cql: advertised(&self.config, self.config.cql.port),
                datacenter: self.config.node.datacenter.clone(),
                rack: self.config.node.rack.clone(),
            },
            phase: Arc::clone(&self.phase),
        }
    }

    fn admin(&self, front: &Arc<Front>) -> AdminState {
        AdminState {
            cluster: Arc::clone(&self.cluster),
            phase: Arc::clone(&self.phase),
            commits: self.commits.clone(),
            proposals: Arc::clone(&self.proposals),
            replica: Arc::clone(&self.replica),
            peers: Arc::clone(self.pool.counters()),
            latencies: Arc::clone(&self.coordinator.latencies),
            engine: Arc::clone(&self.engine),
            skews: self.introduction.skews.clone(),
            coordination: Arc::clone(&self.coordinator.counters),
            handoff: Arc::clone(&self.handoff),
            purged: Arc::clone(&self.purged),
            anti_entropy: Arc::clone(&self.anti_entropy),
            forgets: self.config.testing.forgets,
            clients: Arc::clone(front.counters()),
            version: self.version,
        }
    }

    /// Starts the heartbeats. Their thread ends with the process: nothing of it is on disk.
    fn gossip(
        &self,
        tasks: &mut JoinSet<()>,
        inbox: mpsc::Receiver<Heartbeat>,
        ahead: watch::Sender<Option<Ahead>>,
    ) -> anyhow::Result<()> {
        // The members of the cached metadata are contact points as well as the seeds.
        let snapshot = self.cluster.snapshot();
        let members = snapshot.iter().flat_map(|snapshot| &snapshot.value.members);
        let members = members.map(|member| member.internode.to_string());
        let seeds = self.proposals.seeds().as_slice().iter().cloned().chain(members);
        let options = GossipOptions {
            cluster_name: self.config.cluster.name.clone(),
            host: self.cluster.me(),
            generation: self.clock.wall_us().cast_unsigned(),
            address: advertised(&self.config, self.config.internode.port),
            seeds: seeds.collect(),
            interval: self.config.gossip.interval,
            phi: self.config.gossip.phi,
        };
        let (pool, clock, cluster, phase) = (
            Arc::clone(&self.pool),
            Arc::clone(&self.clock),
            Arc::clone(&self.cluster),
            Arc::clone(&self.phase),
        );
        let gossiping = async move {
            let gossiping = gossip::run(options, pool, clock, cluster, phase, inbox, ahead);
            if let Err(error) = gossiping.await {
                tracing::error!(%error, "heartbeats have stopped");
            }
        };
        match self.threads {
            Threads::Own => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let thread = std::thread::Builder::new().name("gossip".to_owned());
                thread.spawn(move || runtime.block_on(gossiping))?;
            }
            Threads::None { .. } => drop(tasks.spawn(gossiping)),
        }
        Ok(())
    }
}

/// Fetches newer metadata whenever a heartbeat tells of some.
async fn follow(
    keeper: Arc<Keeper>,
    clock: Arc<dyn Clock>,
    mut told: watch::Receiver<Option<Ahead>>,
) {
    while told.changed().await.is_ok() {
        let ahead = *told.borrow_and_update();
        if let Some(Ahead { address, version }) = ahead {
            keeper.catch_up_with(address, version, clock.now() + CATCH_UP_MAX).await;
        }
    }
}

fn digests(
    config: &Config,
    engine: &Arc<dyn Engine>,
    commits: &Commits,
    clock: &Arc<dyn Clock>,
) -> Arc<Digests> {
    if config.testing.forgets {
        tracing::error!("testing.forgets: rows can be removed behind this node's back");
    }
    let options = DigestOptions {
        trusted_for: config.repair.scrub_interval,
        host: commits.standing().host,
        clears_marks: config.testing.planted.is(Planted::ClearMarkEarly),
    };
    let marks = Arc::clone(commits.handle().marks());
    Arc::new(Digests::new(Arc::clone(engine), marks, Arc::clone(clock), options))
}

fn introduction(
    config: &Config,
    cluster: &Arc<Cluster>,
    commits: &Commits,
    clock: &Arc<dyn Clock>,
) -> Arc<Introduction> {
    Arc::new(Introduction {
        cluster: Arc::clone(cluster),
        commits: commits.clone(),
        clock: Arc::clone(clock),
        cluster_name: config.cluster.name.clone(),
        internode: advertised(config, config.internode.port),
        skew_warn: config.clock.skew_warn,
        skews: Skews::default(),
    })
}

/// How this node compares its rows with others'.
fn exchanges(config: &Config) -> AntiEntropyOptions {
    AntiEntropyOptions {
        interval: config.repair.interval,
        concurrency: config.repair.concurrency as usize,
        bytes_per_second: config.repair.bytes_per_second.bytes(),
        age_max: config.gc.age / 2,
    }
}

fn keeps_hints(config: &Config) -> bool {
    if config.testing.forget_hints {
        tracing::error!("testing.forget_hints: replicas will miss acknowledged writes");
    }
    !config.testing.forget_hints
}

fn promise(planted: Planted) -> Promise {
    if planted.is(Planted::AcknowledgeBeforeSync) {
        Promise::BeforeSync
    } else {
        Promise::AfterSync
    }
}

fn advertised(config: &Config, port: u16) -> SocketAddr {
    SocketAddr::new(config.listen.advertised(), port)
}

/// The configured seeds; a node without any is the only seed of a cluster of its own.
fn seeds(config: &Config) -> anyhow::Result<SeedList> {
    let mut seeds = config.cluster.seeds.clone();
    if seeds.is_empty() {
        seeds.push(advertised(config, config.internode.port).to_string());
    }
    SeedList::new(seeds).context("cluster.seeds")
}
