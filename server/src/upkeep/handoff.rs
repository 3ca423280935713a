//! Hand-over: rows go to the replicas that have missed them, as soon as those answer again.
//!
//! ```text
//! hints of R, in the order of rows ── R is alive ──> each row as it is now ──> R acknowledges
//!     owner     R gets the row; the hint is forgotten
//!     stand-in  every present owner gets it; when all have it, row and hint are forgotten
//! ```
//!
//! Whether this node is an owner or only stood in is not written down: the metadata say it when the
//! hint is delivered, so a copy whose owner has moved on finds the new one. Law: a hint's value is read
//! before its row, and both are forgotten only as they were read (compare and delete); so a crash
//! or a write at any moment costs at most a second delivery. Paced by the receiver's acknowledgements
//! and by a byte rate. The rows are looked for at every start, without waiting for traffic.
//!
//! Source: Dynamo §4.6. The rule is [`repair::hint`], the rows are those of `replica::hints`.

mod batch;
mod progress;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use repair::hint::Hint;
use ring::HostId;
use tokio::time::{sleep, timeout};

use self::batch::Batch;
pub use self::progress::{HandOffProgress, TargetProgress};
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::metadata::Snapshot;
use crate::peer::{Answer, Body, Class, Pool, Request, Target};
use crate::replica::{Delivered, Replica};
use crate::store::engine::{EngineError, Family, KeyRange, Order};

/// How long after a round the next one comes where nobody has come back.
const PAUSE: Duration = Duration::from_secs(1);

/// How many rows are sent at a time.
const BATCH_ROWS: usize = 256;

/// How long a receiver has for them.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Delivers hints for ever.
pub struct HandOff {
    /// Who is alive, and who owns what.
    pub cluster: Arc<Cluster>,
    /// The way to them.
    pub pool: Arc<Pool>,
    /// The rows and their hints.
    pub replica: Arc<Replica>,
    /// Deadlines.
    pub clock: Arc<dyn Clock>,
    /// How many bytes of rows are sent to one node in a second.
    pub rate: u64,
    /// What was done.
    pub progress: Arc<HandOffProgress>,
}

/// What became of one batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The receivers have it.
    Done,
    /// One of them does not answer, or refuses: it is tried again later.
    Stuck,
}

impl HandOff {
    /// Works until the task is dropped.
    pub async fn run(&self) {
        let mut liveness = self.cluster.watch_liveness();
        let mut recounts = true;
        loop {
            liveness.mark_unchanged();
            // What a store behind its fence holds may be older than what others have seen go.
            if !self.replica.is_fenced()
                && let Some(snapshot) = self.cluster.snapshot()
                && let Err(error) = self.round(&snapshot, recounts).await
            {
                tracing::warn!(%error, "hints could not be delivered");
            }
            recounts = timeout(PAUSE, liveness.changed()).await.is_ok();
        }
    }

    /// Delivers what there is to all who are alive, side by side.
    async fn round(&self, snapshot: &Arc<Snapshot>, recounts: bool) -> Result<(), EngineError> {
        let targets = self.targets()?;
        self.progress.retain(&targets);
        if recounts || targets.is_empty() {
            self.replica.held().set(self.held_bytes(snapshot)?);
        }
        let alive = self.cluster.alive();
        // Those of one that is no member any more go to those who own its partitions now.
        let is_served = |host: &&HostId| alive.contains(host) || snapshot.member(**host).is_none();
        let deliveries = targets.iter().filter(is_served);
        let deliveries = deliveries.map(|host| self.deliver_to(snapshot, *host));
        join_all(deliveries).await.into_iter().collect()
    }

    /// The hosts of which there are hints.
    fn targets(&self) -> Result<Vec<HostId>, EngineError> {
        let engine = self.replica.engine();
        let mut targets = Vec::new();
        let mut rest = KeyRange::all();
        while let Some((key, value)) =
            engine.rows(Family::Hints, &rest, Order::Forward, 1)?.into_iter().next()
        {
            let Ok(hint) = Hint::read(&key, &value) else {
                tracing::error!(
                    len = key.len(),
                    "a hint cannot be read: anti-entropy makes it good"
                );
                rest = rest.after(&key);
                continue;
            };
            targets.push(hint.host);
            match KeyRange::prefix(Hint::prefix(hint.host).to_vec()).end() {
                Some(end) => rest = KeyRange::from(end.clone()),
                None => break,
            }
        }
        Ok(targets)
    }

    /// How many bytes of rows this node holds for others.
    fn held_bytes(&self, snapshot: &Snapshot) -> Result<u64, EngineError> {
        let (engine, me) = (self.replica.engine(), self.cluster.me());
        let (mut rest, mut bytes) = (KeyRange::all(), 0);
        loop {
            let hints = engine.rows(Family::Hints, &rest, Order::Forward, BATCH_ROWS)?;
            let Some((last, _)) = hints.last() else { return Ok(bytes) };
            rest = rest.after(last);
            bytes += batch::held_bytes(engine.as_ref(), snapshot, me, &hints)?;
        }
    }

    /// Delivers all hints of one host, batch by batch, until one is stuck.
    async fn deliver_to(&self, snapshot: &Arc<Snapshot>, host: HostId) -> Result<(), EngineError> {
        let mut rest = KeyRange::prefix(Hint::prefix(host).to_vec());
        let engine = self.replica.engine();
        self.progress.begin(host, self.clock.now());
        loop {
            let hints = engine.rows(Family::Hints, &rest, Order::Forward, BATCH_ROWS)?;
            let Some((last, _)) = hints.last() else { return Ok(()) };
            rest = rest.after(last);
            let begun = self.clock.now();
            let batch = Batch::read(engine.as_ref(), snapshot, self.cluster.me(), host, &hints)?;
            let bytes = batch.bytes();
            let outcome = self.deliver(snapshot, host, batch).await;
            self.progress.note(host, hints.len(), bytes, outcome == Outcome::Stuck);
            if outcome == Outcome::Stuck {
                return Ok(());
            }
            let wanted = Duration::from_micros(bytes as u64 * 1_000_000 / self.rate.max(1));
            sleep(wanted.saturating_sub(self.clock.now().saturating_duration_since(begun))).await;
        }
    }

    /// Sends the rows of a batch to all who are to have them, and forgets what all have.
    async fn deliver(&self, snapshot: &Snapshot, host: HostId, batch: Batch) -> Outcome {
        let made_us = self.clock.wall_us();
        let sends = batch
            .sends()
            .map(async |(to, body)| (to, self.send(snapshot, to, body, made_us).await));
        let mut reached = Vec::new();
        for (to, has_it) in join_all(sends).await {
            if has_it {
                reached.push(to);
            }
        }
        let is_stuck = !batch.receivers().all(|to| reached.contains(&to));
        let delivered: Vec<Delivered> = batch.delivered_to(&reached);
        if !delivered.is_empty()
            && let Err(error) = self.replica.forget(delivered).await
        {
            tracing::warn!(%error, "delivered hints are not forgotten yet");
            return Outcome::Stuck;
        }
        // Another owner of a row that was held for this host may be dead: the rest goes on.
        let host_is_stuck = !reached.contains(&host) && batch.receivers().any(|to| to == host);
        if host_is_stuck || (is_stuck && !self.cluster.alive().contains(&host)) {
            Outcome::Stuck
        } else {
            Outcome::Done
        }
    }

    async fn send(&self, snapshot: &Snapshot, to: HostId, body: Bytes, made_us: i64) -> bool {
        let Some(member) = snapshot.member(to).filter(|_| self.cluster.alive().contains(&to))
        else {
            return false;
        };
        let target = Target { address: member.internode, host: Some(to) };
        let request = Request::Apply { made_us, missed: Vec::new(), as_stand_in: false };
        let (body, deadline) = (Body::from_iter([body]), self.clock.now() + ANSWER_MAX);
        let epoch = snapshot.epoch();
        let reply = self.pool.call(target, Class::Rows, epoch, request, body, deadline).await;
        match reply {
            Ok(reply) if reply.answer == Answer::Applied => true,
            Ok(reply) => {
                tracing::debug!(%to, answer = ?reply.answer, "rows were not handed over");
                false
            }
            Err(error) => {
                tracing::debug!(%to, %error, "rows were not handed over");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
