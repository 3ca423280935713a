//! Purging: the last traces of removed rows leave the disk when no late copy can bring them back.
//!
//! ```text
//! for each table and partition of which this node is the first replica
//!   what is removed here ──> do all replicas hold it, byte by byte? ── no ──> wait
//!   does any member keep a hint or a copy for others there?         ── yes ─> wait
//!   noted for the first time ── the age later, and all of this again ──> purged on every replica
//! ```
//!
//! Every member must answer: one that is away blocks purging, for it may hold what a tombstone still
//! has to cover. Rows under a range tombstone first get its deletion themselves, by an ordinary write
//! to all replicas, so that they stay deleted when it goes. The rule is [`repair::tombstone`], the rows
//! are those of `replica::purge`.
//!
//! Source: ScyllaDB's purge after repair and Riak's compare and delete, with what both lack: the second
//! confirmation, hints, and members that do not answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::future::join_all;
use repair::cells;
use repair::merkle::{DIGEST_LEN, Digest};
use repair::tombstone::{Confirmed, Verdict};
use ring::{HostId, PartitionId};

use crate::clock::{Clock, Random};
use crate::cluster::Cluster;
use crate::config::Planted;
use crate::metadata::{Snapshot, Table};
use crate::peer::{Answer, Body, Class, Pool, Reply, Request, RowList, Target};
use crate::replica::{Notes, Removed, Replica};
use crate::store::engine::EngineError;
use crate::store::keys::TableLife;

/// How long others have to look through a partition.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Purges for ever.
pub struct PurgeWorker {
    /// Who is alive and who holds what.
    pub cluster: Arc<Cluster>,
    /// The way to them.
    pub pool: Arc<Pool>,
    /// This node's copies.
    pub replica: Arc<Replica>,
    /// The age of confirmations.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub random: Random,
    /// How far apart two confirmations are at least.
    pub age: Duration,
    /// What was done.
    pub counters: Arc<PurgeCounters>,
    /// A bug that tests look for.
    pub planted: Planted,
}

/// What purging has done, for metrics.
#[derive(Debug, Default)]
pub struct PurgeCounters {
    /// Rounds that have ended.
    pub rounds: AtomicU64,
    /// Removed rows that wait for their second confirmation, as of the last round.
    pub waiting: AtomicU64,
    /// Partitions that could not be confirmed in the last round: some member did not answer, or keeps
    /// something for others.
    pub blocked: AtomicU64,
}

/// A partition of a table whose first replica this node is.
struct Duty<'a> {
    snapshot: &'a Snapshot,
    life: TableLife,
    partition: PartitionId,
    /// The other replicas.
    others: Vec<HostId>,
}

/// Why a partition is left for the next round.
enum Blocked {
    /// Somebody did not answer, holds something for others, or refused.
    By(HostId),
    /// This copy cannot be read or changed.
    Here(String),
}

impl From<EngineError> for Blocked {
    fn from(error: EngineError) -> Self {
        Self::Here(error.to_string())
    }
}

impl PurgeWorker {
    /// Works until the task is dropped.
    pub async fn run(&self) {
        loop {
            tokio::time::sleep(self.pause()).await;
            let Some(snapshot) = self.cluster.snapshot() else { continue };
            if !self.replica.is_fenced() {
                self.round(&snapshot).await;
            }
        }
    }

    /// A tenth of the age, an hour at most, and jitter so that nodes do not keep in step.
    fn pause(&self) -> Duration {
        let pause = (self.age / 10).clamp(Duration::from_millis(100), Duration::from_hours(1));
        pause / 2 + self.random.up_to(pause)
    }

    async fn round(&self, snapshot: &Arc<Snapshot>) {
        let (mut waiting, mut blocked) = (0, 0);
        for duty in self.duties(snapshot) {
            match self.carry_out(&duty).await {
                Ok(count) => waiting += count,
                Err(Blocked::By(host)) => {
                    tracing::debug!(partition = %duty.partition, %host, "purging waits for a member");
                    blocked += 1;
                }
                Err(Blocked::Here(error)) => {
                    tracing::warn!(partition = %duty.partition, error, "a partition was not purged");
                    blocked += 1;
                }
            }
        }
        self.counters.waiting.store(waiting as u64, Ordering::Relaxed);
        self.counters.blocked.store(blocked, Ordering::Relaxed);
        self.counters.rounds.fetch_add(1, Ordering::Relaxed);
    }

    fn duties<'a>(&self, snapshot: &'a Snapshot) -> Vec<Duty<'a>> {
        let me = self.cluster.me();
        let mut duties = Vec::new();
        for entry in snapshot.keyspaces.values() {
            for partition in snapshot.ring.partitions().iter() {
                let Some((first, others)) = entry.placement.replicas(partition).split_first()
                else {
                    continue;
                };
                let life = |table: &Table| TableLife { table: table.id.0, epoch: table.epoch };
                let duty = |table| Duty {
                    snapshot,
                    life: life(table),
                    partition,
                    others: others.to_vec(),
                };
                if *first == me {
                    duties.extend(entry.tables.values().map(|table| duty(table)));
                }
            }
        }
        duties
    }

    /// Purges what may go of a partition; answers how many rows wait for a second confirmation.
    async fn carry_out(&self, duty: &Duty<'_>) -> Result<usize, Blocked> {
        let tokens = duty.snapshot.ring.partitions().tokens_of(duty.partition);
        let now = self.clock.wall_us();
        let Removed { rows, covered } = self.replica.removed(duty.life, &tokens, now).await?;
        let noted = self.replica.confirmed(duty.life, &tokens)?;
        if rows.is_empty() && covered.is_empty() && noted.is_empty() {
            return Ok(0);
        }
        if self.planted.is(Planted::PurgeEarly) {
            return self.purge(duty, &rows).await.map(|()| 0);
        }
        self.nobody_keeps_anything(duty).await?;
        self.fold(duty, &covered).await?;
        let held = self.held_by_all(duty, &rows).await?;
        let age = i64::try_from(self.age.as_micros()).unwrap_or(i64::MAX);
        let (mut notes, mut ripe, mut waiting) = (Notes::default(), Vec::new(), 0);
        let mut stale: BTreeSet<&Bytes> = noted.keys().collect();
        for (key, digest) in rows.iter().filter(|(_, digest)| held.contains(digest)) {
            let known = noted.get(key).copied().flatten();
            match Confirmed::verdict(known, *digest, now, age) {
                Verdict::Purge => {
                    ripe.push((key.clone(), *digest));
                    continue;
                }
                Verdict::Note => {
                    notes.noted.push((key.clone(), Confirmed { digest: *digest, since: now }));
                }
                Verdict::Wait => {}
            }
            stale.remove(key);
            waiting += 1;
        }
        self.purge(duty, &ripe).await?;
        notes.forgotten = stale.into_iter().cloned().collect();
        if !(notes.noted.is_empty() && notes.forgotten.is_empty()) {
            let noted = self.replica.note_confirmed(notes).await;
            noted.map_err(|error| Blocked::Here(error.to_string()))?;
        }
        Ok(waiting)
    }

    /// Asks every member for hints of the partition, and so for copies that it holds for others.
    async fn nobody_keeps_anything(&self, duty: &Duty<'_>) -> Result<(), Blocked> {
        let tokens = duty.snapshot.ring.partitions().tokens_of(duty.partition);
        let me = self.cluster.me();
        if self.replica.has_hints(duty.life, &tokens)? {
            return Err(Blocked::By(me));
        }
        let TableLife { table, epoch } = duty.life;
        let (partition, table_epoch) = (duty.partition.number(), epoch);
        let members = duty.snapshot.value.members.iter().map(|member| member.host);
        let asked = members.filter(|host| *host != me).map(async |host| {
            let request = Request::HasHints { table, table_epoch, partition };
            match self.ask(duty, host, request, Bytes::new()).await {
                Some(Reply { answer: Answer::Hints(false), .. }) => Ok(()),
                _ => Err(Blocked::By(host)),
            }
        });
        join_all(asked).await.into_iter().collect()
    }

    /// Which of the rows all other replicas hold too.
    async fn held_by_all(
        &self,
        duty: &Duty<'_>,
        rows: &[(Bytes, Digest)],
    ) -> Result<BTreeSet<Digest>, Blocked> {
        let mut held: BTreeSet<Digest> = rows.iter().map(|(_, digest)| *digest).collect();
        if held.is_empty() {
            return Ok(held);
        }
        let TableLife { table, epoch: table_epoch } = duty.life;
        let partition = duty.partition.number();
        let body = digests_body(&held);
        let asked = duty.others.iter().map(async |host| {
            let request = Request::Holding { table, table_epoch, partition };
            match self.ask(duty, *host, request, body.clone()).await {
                Some(Reply { answer: Answer::Holding, body, .. }) => {
                    read_digests(body).ok_or(Blocked::By(*host))
                }
                _ => Err(Blocked::By(*host)),
            }
        });
        for theirs in join_all(asked).await {
            let theirs = theirs?;
            held.retain(|digest| theirs.contains(digest));
        }
        Ok(held)
    }

    /// Gives rows the deletion of the range tombstone that covers them, on all replicas.
    async fn fold(&self, duty: &Duty<'_>, covered: &[(Bytes, i64)]) -> Result<(), Blocked> {
        if covered.is_empty() {
            return Ok(());
        }
        let operand = |(key, deletion): &(Bytes, i64)| {
            let mut row = cells::Row::default();
            row.delete(*deletion);
            (key.clone(), Bytes::from(row.encode()))
        };
        let rows: Vec<_> = covered.iter().map(operand).collect();
        let mut list = RowList::default();
        for (key, row) in &rows {
            list.push(key, row);
        }
        let body = list.into_body();
        let made_us = self.clock.wall_us();
        let applied = self.replica.apply(rows, &[]).await;
        applied.map_err(|failure| Blocked::Here(format!("{failure:?}")))?;
        let sends = duty.others.iter().map(async |host| {
            let request = Request::Apply { made_us, missed: Vec::new(), as_stand_in: false };
            let reply = self.ask(duty, *host, request, body.clone()).await;
            let is_applied = reply.is_some_and(|reply| reply.answer == Answer::Applied);
            is_applied.then_some(()).ok_or(Blocked::By(*host))
        });
        join_all(sends).await.into_iter().collect()
    }

    /// Takes rows away everywhere. A replica that this does not reach sends its own again, and all
    /// begins anew.
    async fn purge(&self, duty: &Duty<'_>, rows: &[(Bytes, Digest)]) -> Result<(), Blocked> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut list = RowList::default();
        for (key, digest) in rows {
            list.push(key, digest.as_bytes());
        }
        let (body, made_us) = (list.into_body(), self.clock.wall_us());
        let sends = duty.others.iter().map(async |host| {
            self.ask(duty, *host, Request::Purge { made_us }, body.clone()).await
        });
        join_all(sends).await;
        let purged = self.replica.purge(rows.to_vec()).await;
        purged.map(drop).map_err(|error| Blocked::Here(error.to_string()))
    }

    async fn ask(
        &self,
        duty: &Duty<'_>,
        host: HostId,
        request: Request,
        body: Bytes,
    ) -> Option<Reply> {
        let member = duty.snapshot.member(host)?;
        if !self.cluster.alive().contains(&host) {
            return None;
        }
        let target = Target { address: member.internode, host: Some(host) };
        let (epoch, deadline) = (duty.snapshot.epoch(), self.clock.now() + ANSWER_MAX);
        let body = Body::from_iter([body]);
        self.pool.call(target, Class::Upkeep, epoch, request, body, deadline).await.ok()
    }
}

/// Digests as they are sent, one after the other.
pub fn digests_body<'a>(digests: impl IntoIterator<Item = &'a Digest>) -> Bytes {
    let mut body = BytesMut::new();
    for digest in digests {
        body.put_slice(digest.as_bytes());
    }
    body.freeze()
}

/// The digests that were sent; none where the body is no whole number of them.
pub fn read_digests(mut body: Bytes) -> Option<BTreeSet<Digest>> {
    let mut digests = BTreeSet::new();
    while body.has_remaining() {
        let mut bytes = [0; DIGEST_LEN];
        body.try_copy_to_slice(&mut bytes).ok()?;
        digests.insert(Digest::from_bytes(bytes));
    }
    Some(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_were_sent() {
        let digests = BTreeSet::from([Digest::of_row(b"a", b""), Digest::of_row(b"b", b"")]);
        let body = digests_body(&digests);
        assert_eq!(read_digests(body.clone()), Some(digests));
        assert_eq!(read_digests(body.slice(1..)), None);
        assert_eq!(read_digests(Bytes::new()), Some(BTreeSet::new()));
    }
}
