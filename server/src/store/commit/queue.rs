//! The queue in front of the committer, and the loop that empties it.
//!
//! The loop takes everything that waits, up to the bounds of a group: what arrives during one
//! fsync shares the next. It runs on a thread of its own over a real disk
//! ([`CommitLoop::spawn`]), or as a task over a simulated one ([`CommitLoop::run_paced`]).

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ring::StoreId;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    CommitCounters, CommitError, CommitFailure, Committer, Job, Mutation, Promise, count, refusal,
};
use crate::store::Opened;
use crate::store::engine::EngineError;
use crate::store::identity::Standing;
use crate::store::marks::Marks;

/// How much may wait, and how much is committed at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueLimits {
    /// Mutations that may wait; one more is refused.
    pub queue_max: usize,
    /// Bytes that may wait; see [`Mutation::size`].
    pub queue_bytes_max: usize,
    /// Mutations in one group.
    pub group_max: usize,
    /// Bytes in one group, but for its last mutation.
    pub group_bytes_max: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            queue_max: 8192,
            queue_bytes_max: 64 << 20,
            group_max: 1024,
            group_bytes_max: 4 << 20,
        }
    }
}

/// The answer to a mutation, when it is there. The mutation is run even if nobody waits.
#[derive(Debug)]
pub struct Pending<A>(oneshot::Receiver<Result<A, CommitError>>);

impl<A> Pending<A> {
    pub(super) fn new(answer: oneshot::Receiver<Result<A, CommitError>>) -> Self {
        Self(answer)
    }

    /// The answer of a group that has run.
    pub(super) fn given(mut self) -> Result<A, CommitError> {
        self.0.try_recv().unwrap_or(Err(CommitError::Lost))
    }

    /// Waits on a thread that may block.
    pub fn wait(self) -> Result<A, CommitError> {
        self.0.blocking_recv().unwrap_or(Err(CommitError::Lost))
    }
}

impl<A> Future for Pending<A> {
    type Output = Result<A, CommitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| answer.unwrap_or(Err(CommitError::Lost)))
    }
}

/// What stands in the queue.
enum Request<M: Mutation> {
    Run(Job<M>),
    Control(Control),
}

enum Control {
    Confirm { store: StoreId, seen: Option<u64>, fresh: StoreId, reply: Reply },
    Renew { fresh: StoreId, reply: Reply },
    Stop,
}

type Reply = oneshot::Sender<Result<Standing, CommitError>>;

/// Where mutations are handed in. Clones share one queue; when all are gone the loop ends.
pub struct CommitHandle<M: Mutation> {
    requests: mpsc::Sender<Request<M>>,
    queued_bytes: Arc<AtomicUsize>,
    queue_bytes_max: usize,
    counters: Arc<CommitCounters>,
    marks: Arc<Marks>,
    standing: watch::Receiver<Standing>,
}

impl<M: Mutation> Clone for CommitHandle<M> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            queued_bytes: Arc::clone(&self.queued_bytes),
            queue_bytes_max: self.queue_bytes_max,
            counters: Arc::clone(&self.counters),
            marks: Arc::clone(&self.marks),
            standing: self.standing.clone(),
        }
    }
}

impl<M: Mutation> CommitHandle<M> {
    /// Hands in a mutation; it is in the queue when this returns, without waiting.
    ///
    /// # Errors
    /// [`CommitError::Overloaded`] and [`CommitError::Stopped`]: nothing was done.
    pub fn submit(&self, mutation: M) -> Result<Pending<M::Answer>, CommitError> {
        use mpsc::error::TrySendError;
        let place = self.requests.try_reserve().map_err(|error| match error {
            TrySendError::Full(()) => self.overloaded(),
            TrySendError::Closed(()) => CommitError::Stopped,
        })?;
        let size = mutation.size();
        let sum = |queued: usize| queued.checked_add(size);
        let room = |queued| sum(queued).filter(|sum| *sum <= self.queue_bytes_max);
        if self.queued_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            drop(place);
            return Err(self.overloaded());
        }
        let (job, answer) = Job::new(mutation);
        place.send(Request::Run(job));
        Ok(answer)
    }

    /// Takes in what a peer has seen of `store`: its highest epoch, if it saw any. A kept store
    /// mints nothing before; a cluster of one node confirms itself with none.
    ///
    /// Where the peer knows more than this store has dealt out, `fresh` becomes the store id.
    pub async fn confirm(
        &self,
        store: StoreId,
        seen: Option<u64>,
        fresh: StoreId,
    ) -> Result<Standing, CommitError> {
        self.control(|reply| Control::Confirm { store, seen, fresh, reply }).await
    }

    /// Gives up the store id for `fresh`: for a node that no peer can answer, or whose rows are
    /// known to be damaged.
    pub async fn renew(&self, fresh: StoreId) -> Result<Standing, CommitError> {
        self.control(|reply| Control::Renew { fresh, reply }).await
    }

    /// Ends the loop once it has done what was handed in before; later mutations are refused.
    pub async fn stop(&self) {
        // A loop that has ended already needs no telling.
        let _ = self.requests.send(Request::Control(Control::Stop)).await;
    }

    /// Whose store it is, now.
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Tells of every change of [`CommitHandle::standing`].
    pub fn watch_standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// What the loop has done.
    pub fn counters(&self) -> &CommitCounters {
        &self.counters
    }

    /// When which slices of the tables were last written.
    pub fn marks(&self) -> &Arc<Marks> {
        &self.marks
    }

    /// How many mutations wait.
    pub fn queued(&self) -> usize {
        self.requests.max_capacity() - self.requests.capacity()
    }

    async fn control(&self, ask: impl FnOnce(Reply) -> Control) -> Result<Standing, CommitError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Control(ask(reply));
        self.requests.send(request).await.map_err(|_| CommitError::Stopped)?;
        answer.await.unwrap_or(Err(CommitError::Lost))
    }

    fn overloaded(&self) -> CommitError {
        count(&self.counters.overloads, 1);
        let queued_bytes = self.queued_bytes.load(Ordering::Relaxed);
        CommitError::Overloaded { queued: self.queued(), queued_bytes }
    }
}

/// The other end of the queue.
pub struct CommitLoop<M: Mutation> {
    committer: Committer,
    requests: mpsc::Receiver<Request<M>>,
    queued_bytes: Arc<AtomicUsize>,
    limits: QueueLimits,
    standing: watch::Sender<Standing>,
}

/// A commit loop on a store that was just opened, and the handle to it.
pub fn queue<M: Mutation>(
    opened: Opened,
    limits: QueueLimits,
    promise: Promise,
) -> Result<(CommitHandle<M>, CommitLoop<M>), EngineError> {
    let committer = Committer::new(opened, promise)?;
    let (sender, requests) = mpsc::channel(limits.queue_max);
    let (tell, standing) = watch::channel(committer.standing());
    let queued_bytes = Arc::<AtomicUsize>::default();
    let handle = CommitHandle {
        requests: sender,
        queued_bytes: Arc::clone(&queued_bytes),
        queue_bytes_max: limits.queue_bytes_max,
        counters: Arc::clone(committer.counters()),
        marks: Arc::clone(committer.marks()),
        standing,
    };
    let commit_loop = CommitLoop { committer, requests, queued_bytes, limits, standing: tell };
    Ok((handle, commit_loop))
}

/// Whether the loop goes on after a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    GoOn,
    Stop,
}

impl<M: Mutation> CommitLoop<M> {
    /// Runs until it is told to stop, or all handles are gone, on a thread of its own.
    ///
    /// `on_failure` is called on that thread if the loop ends for another reason; the process
    /// must then stop, for what was not acknowledged may be lost.
    pub fn spawn(
        self,
        on_failure: impl FnOnce(CommitFailure) + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("commit".to_owned()).spawn(move || {
            match catch_unwind(AssertUnwindSafe(move || self.run_blocking())) {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => on_failure(failure),
                Err(_) => on_failure(CommitFailure::Panicked),
            }
        })
    }

    /// Runs until it is told to stop, or all handles are gone, on this thread.
    pub fn run_blocking(mut self) -> Result<(), CommitFailure> {
        while let Some(first) = self.requests.blocking_recv() {
            if self.turn(first)? == Turn::Stop {
                break;
            }
        }
        self.finish()
    }

    /// Runs until it is told to stop, or all handles are gone, as a task. Commits block it.
    pub async fn run(self) -> Result<(), CommitFailure> {
        self.run_paced(|| Duration::ZERO).await
    }

    /// The same over a disk that takes as long for each group as `pace` says: what arrives
    /// meanwhile joins the group, and a crash meanwhile loses it.
    pub async fn run_paced(
        mut self,
        mut pace: impl FnMut() -> Duration + Send,
    ) -> Result<(), CommitFailure> {
        while let Some(first) = self.requests.recv().await {
            let wait = pace();
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            if self.turn(first)? == Turn::Stop {
                break;
            }
        }
        self.finish()
    }

    /// Commits one group of what waits, if anything does; returns whether anything did.
    pub fn step(&mut self) -> Result<bool, CommitFailure> {
        match self.requests.try_recv() {
            Ok(first) => self.turn(first).map(|_| true),
            Err(_) => Ok(false),
        }
    }

    /// Runs `first` and what waits behind it as one group, up to the next thing that is none.
    fn turn(&mut self, first: Request<M>) -> Result<Turn, CommitFailure> {
        let (group, control) = self.gather(first);
        let done = self.committer.run_group(group).and_then(|()| self.obey(control));
        done.map_err(|failure| {
            self.refuse_the_rest();
            CommitFailure::Log(failure)
        })
    }

    fn gather(&mut self, first: Request<M>) -> (Vec<Job<M>>, Option<Control>) {
        let (mut group, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        let control = loop {
            match next {
                Some(Request::Run(job)) => {
                    bytes += job.mutation.size();
                    group.push(job);
                }
                Some(Request::Control(control)) => break Some(control),
                None => break None,
            }
            if group.len() >= self.limits.group_max || bytes >= self.limits.group_bytes_max {
                break None;
            }
            next = self.requests.try_recv().ok();
        };
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        (group, control)
    }

    fn obey(&mut self, control: Option<Control>) -> Result<Turn, EngineError> {
        let (done, reply) = match control {
            None => return Ok(Turn::GoOn),
            Some(Control::Stop) => return Ok(Turn::Stop),
            Some(Control::Confirm { store, seen, fresh, reply }) => {
                (self.committer.confirm(store, seen, fresh), reply)
            }
            Some(Control::Renew { fresh, reply }) => (self.committer.renew(fresh), reply),
        };
        self.standing.send_replace(self.committer.standing());
        // Whoever does not wait for the answer needs none.
        let _ = reply.send(done.as_ref().copied().map_err(refusal));
        match done {
            Ok(_) | Err(EngineError::NoSpace { .. }) => Ok(Turn::GoOn),
            Err(failure) => Err(failure),
        }
    }

    fn finish(mut self) -> Result<(), CommitFailure> {
        self.refuse_the_rest();
        Ok(self.committer.finish()?)
    }

    fn refuse_the_rest(&mut self) {
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Run(job) => job.refuse(CommitError::Stopped),
                Request::Control(Control::Stop) => {}
                Request::Control(Control::Confirm { reply, .. } | Control::Renew { reply, .. }) => {
                    // Whoever does not wait for the answer needs none.
                    let _ = reply.send(Err(CommitError::Stopped));
                }
            }
        }
    }
}
