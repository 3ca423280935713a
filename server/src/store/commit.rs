//! The one road by which rows change: waiting mutations become one batch, one fsync, many answers.
//!
//! A mutation runs inside the loop. It reads rows through the batch being built, so there is no
//! lock per row: `n` writers of one row in one group see one another, get `n` different dots and
//! pay for one fsync. No answer leaves before that fsync, not even one that wrote nothing, for it
//! may have read what the group is about to write.
//!
//! ```text
//! submit ─> queue ─> group ─> run each: read through the batch, put into it ─> commit ─> answers
//!           bounded  bounded            View                                   one fsync
//! ```
//!
//! After a failed sync nobody can say what is on disk: the loop answers nothing more and ends with
//! a [`CommitFailure`], and the process must stop. [`Committer`] is the loop's synchronous heart
//! and runs without queue or thread in tests. No clock. Callers: `replica` submits, `node` starts
//! the loop.

mod queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use ring::StoreId;
use tokio::sync::oneshot;

pub use queue::{CommitHandle, CommitLoop, Pending, QueueLimits, queue};

use super::Opened;
use super::engine::{Batch, Change, Durability, Engine, EngineError, Family};
use super::identity::{EpochError, Identity, Renewal, Standing};
use super::marks::Marks;
use super::peer_epochs::PeerEpochs;

/// A change of rows that is made as a whole.
pub trait Mutation: Send + 'static {
    /// What the submitter learns once the change is durable.
    type Answer: Send + 'static;

    /// About how many bytes the change takes in the queue and in the log; always the same.
    fn size(&self) -> usize;

    /// Whether it may go on when only the disk's reserve is left: deletions and the register.
    fn may_use_reserve(&self) -> bool {
        false
    }

    /// Makes the change. It may not block.
    ///
    /// What was put stays put, whatever the answer: decide first, put last.
    fn run(self, view: &mut View<'_>) -> Self::Answer;
}

/// The rows as a mutation sees them: those on disk under the batch being built.
pub struct View<'a> {
    engine: &'a dyn Engine,
    batch: &'a mut Batch,
    identity: &'a mut Identity,
    peers: &'a mut PeerEpochs,
    counters: &'a CommitCounters,
    sequence: u64,
}

impl View<'_> {
    /// The value of `key`, with what this group has already put or deleted.
    pub fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        match self.batch.get(family, key) {
            None => self.engine.get(family, key),
            Some(Change::Put(value)) => Ok(Some(value.clone())),
            Some(Change::Delete) => Ok(None),
            Some(merge @ Change::Merge(_)) => {
                Ok(merge.applied_to(self.engine.get(family, key)?.as_deref()))
            }
        }
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, family: Family, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.batch.put(family, key, value);
    }

    /// Joins `operand` into the value of `key`, without reading it.
    pub fn merge(&mut self, family: Family, key: impl Into<Bytes>, operand: impl Into<Bytes>) {
        self.batch.merge(family, key, operand);
    }

    /// Takes `key` away, whatever it holds; see [`View::delete_if`] for what others may change.
    pub fn delete(&mut self, family: Family, key: impl Into<Bytes>) {
        self.batch.delete(family, key);
    }

    /// Takes `key` away if it still holds what was `seen`; returns whether it did.
    pub fn delete_if(
        &mut self,
        family: Family,
        key: impl Into<Bytes>,
        seen: &[u8],
    ) -> Result<bool, EngineError> {
        let key = key.into();
        let is_as_seen = self.get(family, &key)?.is_some_and(|value| value == seen);
        if is_as_seen {
            self.batch.delete(family, key);
        }
        Ok(is_as_seen)
    }

    /// The store under which dots are minted.
    pub fn store(&self) -> StoreId {
        self.identity.standing().store
    }

    /// Whether the store may mint dots: not after a start until a peer has confirmed it.
    pub fn is_confirmed(&self) -> bool {
        self.identity.standing().is_confirmed
    }

    /// An epoch of [`View::store`] that was never dealt out.
    pub fn next_epoch(&mut self) -> Result<u64, EpochError> {
        let epoch = self.identity.next_epoch();
        count(&self.counters.lease_waits, u64::from(epoch == Err(EpochError::LeaseUsedUp)));
        epoch
    }

    /// Remembers on disk that a dot of this store and epoch was seen.
    pub fn note_epoch(&mut self, store: StoreId, epoch: u64) {
        if store != self.store() {
            self.peers.note(store, epoch);
        }
    }

    /// The sequence number of this group's writes: greater than that of every group before it,
    /// and than what [`Engine::sequence`] said before the group was on disk.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// Why a mutation has no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Too much is waiting already; nothing was done.
    #[error("{queued} writes of {queued_bytes} bytes are waiting already")]
    Overloaded {
        /// How many mutations wait.
        queued: usize,
        /// How many bytes they have.
        queued_bytes: usize,
    },
    /// The disk is nearly full; nothing was done.
    #[error("the disk is full: {free_bytes} bytes are free, {kept_bytes} are kept back")]
    NoSpace {
        /// What the disk has left.
        free_bytes: u64,
        /// What is kept back from such writes.
        kept_bytes: u64,
    },
    /// The loop has ended; nothing was done.
    #[error("the store takes no more writes")]
    Stopped,
    /// The log failed under this mutation.
    #[error("the write may be lost: {source}")]
    Failed {
        /// How the log failed.
        source: EngineError,
    },
    /// The loop ended without a word.
    #[error("the write may be lost: the store has stopped")]
    Lost,
}

impl CommitError {
    /// Whether the change may be on disk all the same.
    pub fn may_have_applied(&self) -> bool {
        match self {
            Self::Overloaded { .. } | Self::NoSpace { .. } | Self::Stopped => false,
            Self::Failed { .. } | Self::Lost => true,
        }
    }
}

/// Why the loop ended, although nobody asked it to: the process must stop.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitFailure {
    /// The log cannot be trusted any more.
    #[error(transparent)]
    Log(#[from] EngineError),
    /// A mutation broke an invariant.
    #[error("a write panicked")]
    Panicked,
}

/// When answers leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Promise {
    /// After the fsync.
    #[default]
    AfterSync,
    /// Before it, which a crash turns into lost writes. Tests plant this bug to show that they
    /// would find it; a node that has it says so as an error.
    BeforeSync,
}

/// A loop with [`Promise::BeforeSync`] syncs only before so many groups, so that its bug shows.
const PLANTED_SYNC_EVERY: u64 = 8;

/// What the loop has done, for metrics.
#[derive(Debug, Default)]
pub struct CommitCounters {
    /// Groups that were run.
    pub groups: AtomicU64,
    /// Groups by size: the `i`-th counts those of 2ⁱ up to, but without, 2ⁱ⁺¹ mutations.
    pub group_sizes: [AtomicU64; 16],
    /// Mutations that were run.
    pub mutations: AtomicU64,
    /// Mutations that were refused because too many were waiting.
    pub overloads: AtomicU64,
    /// Mutations that were refused because the disk is nearly full.
    pub refusals_for_space: AtomicU64,
    /// Fsyncs of the log that were asked for; groups that wrote nothing need none.
    pub log_syncs: AtomicU64,
    /// Bytes of keys and values that were put into the log.
    pub bytes: AtomicU64,
    /// Leases of epochs that were renewed.
    pub lease_renewals: AtomicU64,
    /// Times that a mutation found the lease used up.
    pub lease_waits: AtomicU64,
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// A mutation and where its answer goes.
pub struct Job<M: Mutation> {
    mutation: M,
    reply: Reply<M>,
}

type Reply<M> = oneshot::Sender<Result<<M as Mutation>::Answer, CommitError>>;

impl<M: Mutation> Job<M> {
    /// A job, and where to wait for its answer.
    pub fn new(mutation: M) -> (Self, Pending<M::Answer>) {
        let (reply, answer) = oneshot::channel();
        (Self { mutation, reply }, Pending::new(answer))
    }

    fn refuse(self, error: CommitError) {
        // Whoever does not wait for the answer needs none.
        let _ = self.reply.send(Err(error));
    }
}

/// The loop without queue and thread: commits one group at a time.
pub struct Committer {
    engine: Arc<dyn Engine>,
    identity: Identity,
    peers: PeerEpochs,
    counters: Arc<CommitCounters>,
    marks: Arc<Marks>,
    promise: Promise,
    failure: Option<EngineError>,
}

impl Committer {
    /// A committer on a store that was just opened.
    pub fn new(opened: Opened, promise: Promise) -> Result<Self, EngineError> {
        let Opened { engine, identity } = opened;
        let peers = PeerEpochs::load(engine.as_ref())?;
        let (counters, marks) = (Arc::default(), Arc::default());
        Ok(Self { engine, identity, peers, counters, marks, promise, failure: None })
    }

    /// Whose store it is.
    pub fn standing(&self) -> Standing {
        self.identity.standing()
    }

    /// What was done so far.
    pub fn counters(&self) -> &Arc<CommitCounters> {
        &self.counters
    }

    /// When which slices were last written.
    pub fn marks(&self) -> &Arc<Marks> {
        &self.marks
    }

    /// Runs one mutation as a group of its own.
    pub fn run<M: Mutation>(&mut self, mutation: M) -> Result<M::Answer, CommitError> {
        let (job, answer) = Job::new(mutation);
        // The answer tells of a failure too.
        let _ = self.run_group([job]);
        answer.given()
    }

    /// Runs every job, commits what they put as one batch, and only then answers them all.
    ///
    /// # Errors
    /// The log failed: every job was told that it may be lost, and every later one is refused.
    pub fn run_group<M: Mutation>(
        &mut self,
        jobs: impl IntoIterator<Item = Job<M>>,
    ) -> Result<(), EngineError> {
        if let Some(failure) = &self.failure {
            jobs.into_iter().for_each(|job| job.refuse(CommitError::Stopped));
            return Err(failure.clone());
        }
        let shortage = self.engine.room().err();
        let mut batch = Batch::default();
        let mut answers = Vec::new();
        for job in jobs {
            match &shortage {
                Some(shortage) if !job.mutation.may_use_reserve() => {
                    count(&self.counters.refusals_for_space, 1);
                    job.refuse(refusal(shortage));
                }
                _ => {
                    let answer = job.mutation.run(&mut self.view(&mut batch));
                    answers.push((job.reply, answer));
                }
            }
        }
        let made = self.make_durable(&mut batch);
        self.count_group(answers.len(), &batch);
        for (reply, answer) in answers {
            // Whoever does not wait for the answer needs none.
            let _ = reply.send(made.as_ref().map_err(refusal).map(|()| answer));
        }
        match made {
            Ok(()) | Err(EngineError::NoSpace { .. }) => Ok(()),
            Err(failure) => {
                self.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }

    /// Takes in what a peer has seen of `store`; see [`Identity::confirm`].
    pub fn confirm(
        &mut self,
        store: StoreId,
        seen: Option<u64>,
        fresh: StoreId,
    ) -> Result<Standing, EngineError> {
        self.identity.confirm(self.engine.as_ref(), store, seen, fresh)?;
        Ok(self.standing())
    }

    /// Gives up the store id for `fresh`; see [`Identity::renew`].
    pub fn renew(&mut self, fresh: StoreId) -> Result<Standing, EngineError> {
        self.identity.renew(self.engine.as_ref(), Renewal::Asked, fresh)?;
        Ok(self.standing())
    }

    /// The last thing a loop does.
    fn finish(&self) -> Result<(), EngineError> {
        if self.failure.is_none() { self.engine.sync() } else { Ok(()) }
    }

    fn view<'a>(&'a mut self, batch: &'a mut Batch) -> View<'a> {
        View {
            sequence: self.engine.sequence().saturating_add(1),
            engine: self.engine.as_ref(),
            identity: &mut self.identity,
            peers: &mut self.peers,
            counters: &self.counters,
            batch,
        }
    }

    fn make_durable(&mut self, batch: &mut Batch) -> Result<(), EngineError> {
        let durability = match self.promise {
            Promise::AfterSync => Durability::Synced,
            Promise::BeforeSync => {
                // Of the groups before: their answers are long gone.
                if self.counters.groups.load(Ordering::Relaxed).is_multiple_of(PLANTED_SYNC_EVERY) {
                    self.engine.sync()?;
                }
                Durability::Unsynced
            }
        };
        self.peers.stage(batch);
        self.identity.stage(batch);
        if batch.is_empty() {
            return Ok(());
        }
        let committed = self.engine.commit(batch, durability);
        // Also where it failed: nobody knows then what of it is there.
        self.marks.raise(batch, self.engine.sequence());
        committed?;
        self.peers.committed();
        if self.identity.committed()? {
            count(&self.counters.lease_renewals, 1);
        }
        Ok(())
    }

    fn count_group(&self, size: usize, batch: &Batch) {
        let counters = &self.counters;
        if let Some(bucket) = size.checked_ilog2() {
            let last = counters.group_sizes.len() - 1;
            count(&counters.groups, 1);
            count(&counters.group_sizes[last.min(bucket as usize)], 1);
            count(&counters.mutations, size as u64);
        }
        count(&counters.log_syncs, u64::from(!batch.is_empty()));
        count(&counters.bytes, batch.bytes() as u64);
    }
}

/// What an error of the engine means to a mutation.
fn refusal(error: &EngineError) -> CommitError {
    match error {
        EngineError::NoSpace { free_bytes, kept_bytes } => {
            CommitError::NoSpace { free_bytes: *free_bytes, kept_bytes: *kept_bytes }
        }
        other => CommitError::Failed { source: other.clone() },
    }
}

#[cfg(test)]
mod tests;
