//! Replicas compare what they hold, for ever, and join what differs.
//!
//! The rule is [`repair::exchange`], what is compared are the digests of
//! [`replica::digests`](crate::replica::Digests). Law: only true replicas of a partition in the living
//! life of its table take part; rows are only merged, by [`Replica::apply`] like any write. Of two
//! nodes the one with the lower host id begins, so that no pair does it twice; whoever is hurried
//! begins at once.
//!
//! ```text
//! every interval   for each table and live peer: exchange the partitions that both hold
//! hurried          these partitions with that host, before all others
//! asked for        everything, read from disk on both sides: `starling repair`
//! behind a fence   fetch everything, give nothing
//! ```
//!
//! Foreground work never waits: scans rest as long as they work, and rows that move keep to a rate.

mod answer;
mod budget;
mod fenced;
mod hurry;
mod ledger;
mod round;
mod share;
mod talk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use repair::exchange::Mode;
use repair::merkle;

use self::budget::Budget;
use self::fenced::Fetched;
use self::ledger::Ledger;
use self::round::Rounds;
use self::share::{Share, held, shares};
use self::talk::Talked;
use crate::clock::{Clock, Random};
use crate::cluster::Cluster;
use crate::metadata::{Life, TableId};
use crate::peer::Pool;
use crate::register::Keeper;
use crate::replica::{Digests, Fence, Replica};

pub use answer::Asked;
pub use hurry::Hurry;
pub use ledger::Exchanges;
pub use round::{PeerRound, Round, RoundRefusal, RoundRequest};

/// How many partitions one exchange is about.
const PARTITIONS_TOGETHER: usize = 64;

/// The pause between two attempts of a node to get from behind its fence.
const FETCH_PAUSE: Duration = Duration::from_millis(250);

/// How exchanges go.
#[derive(Debug, Clone)]
pub struct AntiEntropyOptions {
    /// The time between two rounds.
    pub interval: Duration,
    /// How many exchanges this node begins at the same time.
    pub concurrency: usize,
    /// How many bytes of rows it moves in a second, both ways together.
    pub bytes_per_second: u64,
    /// What was made longer ago than this is refused.
    pub age_max: Duration,
}

/// The parts of a node that exchanges need.
pub struct AntiEntropyParts {
    /// Who is alive and who holds what.
    pub cluster: Arc<Cluster>,
    /// Newer metadata, where a peer knows some.
    pub keeper: Arc<Keeper>,
    /// The other nodes.
    pub pool: Arc<Pool>,
    /// This node's copies.
    pub replica: Arc<Replica>,
    /// What they hold.
    pub digests: Arc<Digests>,
    /// Whether they may lack what was acknowledged.
    pub fence: Arc<Fence>,
    /// Ages and deadlines.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub random: Random,
    /// How exchanges go.
    pub options: AntiEntropyOptions,
}

/// The exchanges of this node.
pub struct AntiEntropy {
    cluster: Arc<Cluster>,
    keeper: Arc<Keeper>,
    pool: Arc<Pool>,
    replica: Arc<Replica>,
    digests: Arc<Digests>,
    fence: Arc<Fence>,
    clock: Arc<dyn Clock>,
    random: Random,
    options: AntiEntropyOptions,
    budget: Budget,
    hurry: Hurry,
    ledger: Ledger,
    rounds: Rounds,
    counters: AntiEntropyCounters,
    /// Held by a round in the background, or by one that is asked for.
    lane: tokio::sync::Mutex<()>,
}

/// What exchanges have done, for metrics.
#[derive(Debug, Default)]
pub struct AntiEntropyCounters {
    /// Rounds in the background that have ended.
    pub rounds: AtomicU64,
    /// Exchanges that this node has begun.
    pub exchanges: AtomicU64,
    /// Those of them that were not complete.
    pub failures: AtomicU64,
    /// Rows that were found to differ.
    pub differences: AtomicU64,
    /// Rows that came.
    pub rows_received: AtomicU64,
    /// Rows that went.
    pub rows_sent: AtomicU64,
    /// Bytes of answers, rows included.
    pub bytes_received: AtomicU64,
    /// Bytes of questions, and of rows.
    pub bytes_sent: AtomicU64,
}

impl std::fmt::Debug for AntiEntropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AntiEntropy").field("options", &self.options).finish_non_exhaustive()
    }
}

impl AntiEntropy {
    /// No exchange yet.
    pub fn new(parts: AntiEntropyParts) -> Self {
        let AntiEntropyParts {
            cluster,
            keeper,
            pool,
            replica,
            digests,
            fence,
            clock,
            random,
            options,
        } = parts;
        let budget = Budget::new(Arc::clone(&clock), options.bytes_per_second);
        Self {
            cluster,
            keeper,
            pool,
            replica,
            digests,
            fence,
            clock,
            random,
            options,
            budget,
            hurry: Hurry::default(),
            ledger: Ledger::default(),
            rounds: Rounds::default(),
            counters: AntiEntropyCounters::default(),
            lane: tokio::sync::Mutex::default(),
        }
    }

    /// Where others ask for partitions to be exchanged first.
    pub fn hurry(&self) -> &Hurry {
        &self.hurry
    }

    /// Whether this node is behind its fence.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// What exchanges have done.
    pub fn counters(&self) -> &AntiEntropyCounters {
        &self.counters
    }

    /// How many rows of this node are known that cannot be read.
    pub fn unreadable(&self) -> u64 {
        self.digests.unreadable()
    }

    /// What the last exchanges with each peer came to, for each table.
    pub fn exchanges(&self) -> Vec<Exchanges> {
        let Some(snapshot) = self.cluster.snapshot() else { return Vec::new() };
        self.ledger.show(&shares(&snapshot, self.cluster.me()), self.clock.wall_us())
    }

    /// The root of each partition of each table that this node holds, by table and partition.
    pub async fn roots(&self) -> BTreeMap<String, BTreeMap<u16, String>> {
        let Some(snapshot) = self.cluster.snapshot() else { return BTreeMap::new() };
        let partitions = snapshot.ring.partitions();
        let mut roots = BTreeMap::new();
        for (life, table, held) in held(&snapshot, self.cluster.me()) {
            let of_table: &mut BTreeMap<_, _> = roots.entry(table).or_default();
            for partition in held {
                let (number, tokens) = (partition.number(), partitions.tokens_of(partition));
                let leaves = self.digests.leaves(life, number, &tokens, Duration::MAX).await;
                let leaves: Vec<_> = leaves.iter().map(|leaf| leaf.digest).collect();
                of_table.insert(number, merkle::root(&leaves).to_string());
            }
        }
        roots
    }

    /// Works until the task is dropped.
    pub async fn run(&self) {
        tokio::join!(self.run_background(), self.run_rounds());
    }

    async fn run_background(&self) {
        let mut fetched = Fetched::default();
        let mut liveness = self.cluster.watch_liveness();
        loop {
            if self.fence.is_up() {
                if !self.fetch(&mut fetched).await {
                    self.wait_to_fetch().await;
                }
                continue;
            }
            tokio::select! {
                biased;
                () = self.hurry.is_wanted() => {}
                Ok(()) = liveness.changed() => {
                    if !self.replica.overdue().is_any_of(&self.cluster.alive()) {
                        continue;
                    }
                }
                () = tokio::time::sleep(self.pause()) => {}
            }
            self.forget_ended();
            let _lane = self.lane.lock().await;
            self.round().await;
        }
    }

    /// Half of the interval to one and a half, so that nodes do not keep in step.
    fn pause(&self) -> Duration {
        self.options.interval / 2 + self.random.up_to(self.options.interval)
    }

    async fn wait_to_fetch(&self) {
        let mut epochs = self.cluster.watch_epoch();
        // What is new, or that nothing is, makes no difference.
        let _ = tokio::time::timeout(FETCH_PAUSE, epochs.changed()).await;
    }

    /// Exchanges what was hurried, then everything of which this node is the one to begin.
    async fn round(&self) {
        let Some(snapshot) = self.cluster.snapshot() else { return };
        let (me, alive) = (self.cluster.me(), self.cluster.alive());
        let shares = shares(&snapshot, me);
        for host in self.replica.overdue().take(&alive) {
            self.hurry.want(host, snapshot.ring.partitions().iter());
        }
        let hurried = self.hurry.take(&alive);
        for share in &shares {
            let Some(wanted) = hurried.get(&share.peer) else { continue };
            let numbers = share.partitions.iter().copied();
            let share = share.of(numbers.filter(|number| wanted.contains(number)).collect());
            for part in share.parts(PARTITIONS_TOGETHER) {
                if !self.exchange(&part).await {
                    self.hurry.put_back(part.peer, &part.partitions);
                }
            }
        }
        let begins = |share: &&Share| me < share.peer && alive.contains(&share.peer);
        let parts: Vec<_> =
            shares.iter().filter(begins).flat_map(|it| it.parts(PARTITIONS_TOGETHER)).collect();
        let exchanges = stream::iter(parts).map(async |part| self.exchange(&part).await);
        exchanges
            .buffer_unordered(self.options.concurrency.max(1))
            .for_each(|_| std::future::ready(()))
            .await;
        self.counters.rounds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// Answers whether the exchange is complete.
    async fn exchange(&self, share: &Share) -> bool {
        let talked = self.talk(share, Mode::Mend, Duration::MAX).await;
        self.note(share, &talked);
        talked.failure.is_none()
    }

    /// Remembers and tells what an exchange came to.
    fn note(&self, share: &Share, talked: &Talked) {
        let failure = talked.failure.as_ref();
        let (table, peer) = (&share.table, share.peer);
        match failure {
            Some(failure) if !failure.is_expected() => {
                tracing::warn!(%table, %peer, %failure, "an exchange is not complete");
            }
            Some(failure) => {
                tracing::debug!(%table, %peer, %failure, "an exchange is not complete");
            }
            None if talked.found.differences > 0 => {
                let found = talked.found;
                tracing::info!(%table, %peer, ?found, "rows of two replicas were joined");
            }
            None => {}
        }
        let failure = failure.map(ToString::to_string);
        self.ledger.note(share, self.clock.wall_us(), talked.found.differences, failure);
    }

    /// Forgets all that is known of tables that are gone.
    fn forget_ended(&self) {
        let Some(snapshot) = self.cluster.snapshot() else { return };
        let is_kept = |life: crate::store::keys::TableLife| {
            snapshot.life(TableId(life.table), life.epoch) != Life::Over
        };
        self.digests.retain(is_kept);
        self.ledger.retain(is_kept);
    }
}

#[cfg(test)]
mod tests;
