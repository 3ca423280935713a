//! The one loop that runs the steps of coordinated operations: here alone they send and wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use repair::version::{Siblings, VersionVector, Write};
use ring::{HostId, Tally, Token, Unavailable};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use types::Consistency;

use super::error::{ReadError, WriteError};
use super::gather::{Gather, Hosts};
use super::page::{MergedPage, merge_pages};
use super::read::{ReadOp, ReadStep};
use super::write::{WriteOp, WriteStep, WriteSteps, Written};
use crate::clock::{Clock, Random};
use crate::cluster::Cluster;
use crate::metadata::{Snapshot, Table};
use crate::peer::{Answer, Body, CallError, Class, Pool, Refusal, Reply, Request, RowList, Target};
use crate::register::Keeper;
use crate::replica::{ApplyFailure, Replica, ReplicaPage, StampFailure};
use crate::store::engine::{KeyRange, Order};
use crate::store::keys::RowKey;

/// A read that is not answered after this part of its time asks one replica more.
const SLOW_PART: u32 = 10;

/// A forwarded write is answered this part of its time early: so the sender still hears who has
/// acknowledged it.
const ANSWER_EARLY_PART: u32 = 20;

/// How often an operation is placed anew because the replica that was asked knew a newer epoch.
const PLACINGS_MAX: usize = 3;

/// A write of one row.
#[derive(Debug, Clone)]
pub struct RowWrite {
    /// The table.
    pub table: Arc<Table>,
    /// The row.
    pub key: RowKey,
    /// What it does.
    pub write: Write,
    /// Whether the statement is a DELETE without context, which reads the row first.
    pub reads_first: bool,
    /// How many replicas the client waits for.
    pub level: Consistency,
}

/// A read of one row.
#[derive(Debug, Clone)]
pub struct RowRead {
    /// The table.
    pub table: Arc<Table>,
    /// The row.
    pub key: RowKey,
    /// How many replicas the client waits for.
    pub level: Consistency,
    /// What the answer must have seen.
    pub at_least: Option<VersionVector>,
}

/// A read of a stretch of one partition.
#[derive(Debug, Clone)]
pub struct RangeRead {
    /// The table.
    pub table: Arc<Table>,
    /// Where the partition lies on the ring.
    pub token: Token,
    /// The keys to read, all of this partition.
    pub range: KeyRange,
    /// How many rows to ask each replica for.
    pub rows_max: u32,
    /// Whether to read from the last row to the first.
    pub order: Order,
    /// How many replicas the client waits for.
    pub level: Consistency,
}

/// How long operations may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A read.
    pub read: Duration,
    /// A write.
    pub write: Duration,
}

/// Carries out clients' operations on rows.
#[derive(Debug, Clone)]
pub struct Coordinator {
    /// Who is alive and who owns what.
    pub cluster: Arc<Cluster>,
    /// The other nodes.
    pub pool: Arc<Pool>,
    /// This node's copies.
    pub replica: Arc<Replica>,
    /// Newer metadata, where an answer shows that there is some.
    pub keeper: Arc<Keeper>,
    /// Deadlines.
    pub clock: Arc<dyn Clock>,
    /// Choices between equal replicas.
    pub random: Random,
    /// How long operations may take.
    pub patience: Patience,
}

/// The replicas of a row in one epoch.
#[derive(Clone)]
struct Place {
    snapshot: Arc<Snapshot>,
    replicas: Hosts,
    /// Those that are alive, this node first, its data center next.
    alive: Hosts,
    /// Counts for the level of the operation.
    tally: Tally,
}

/// A forwarded write, as it is sent.
#[derive(Serialize, Deserialize)]
struct Forwarded {
    context: VersionVector,
    change: repair::version::Change,
    now: i64,
    write_time: i64,
    reads_first: bool,
}

/// What became of a forwarded write, as it is sent.
#[derive(Serialize, Deserialize)]
struct Outcome {
    row: Bytes,
    replaced: usize,
    has_equal_sibling: bool,
    is_crowded: bool,
}

impl Coordinator {
    /// Carries out a write: here if this node is a replica whose store may mint dots, else at one
    /// live replica.
    ///
    /// # Errors
    /// [`WriteError`]; [`WriteError::may_have_applied`] tells whether the write may live on.
    pub async fn write(&self, write: RowWrite) -> Result<Written, WriteError> {
        let deadline = self.clock.now() + self.patience.write;
        for _ in 0..PLACINGS_MAX {
            let place = self.place(&write.table, write.key.token(), write.level)?;
            let mut refusal = nobody(write.level, place.tally.required()).into();
            if place.replicas.contains(&self.cluster.me()) {
                match self.write_here(&place, &write, deadline).await {
                    Err(WriteError::NotReady) => refusal = WriteError::NotReady,
                    outcome => return outcome,
                }
            }
            if let Some(outcome) = self.forward(&place, &write, refusal, deadline).await {
                return outcome;
            }
        }
        Err(nobody(write.level, 1).into())
    }

    /// Carries out a write that another node forwarded, this one being a replica.
    ///
    /// # Errors
    /// [`Refusal`] where nothing was done, so that the sender may ask another replica.
    pub async fn write_forwarded(
        &self,
        table: Arc<Table>,
        key: RowKey,
        body: &[u8],
        level: Consistency,
        wait: Duration,
        limits: repair::version::SiblingLimits,
    ) -> Result<Bytes, Refusal> {
        let forwarded: Forwarded = postcard::from_bytes(body).map_err(|_| Refusal::Damaged)?;
        let Forwarded { context, change, now, write_time, reads_first } = forwarded;
        let write = Write { context, change, now, write_time, limits };
        let write = RowWrite { table, key, write, reads_first, level };
        let deadline = self.clock.now() + wait - wait / ANSWER_EARLY_PART;
        let outcome = match self.place(&write.table, write.key.token(), level) {
            Ok(place) if !place.replicas.contains(&self.cluster.me()) => {
                return Err(Refusal::NotReplica { epoch: place.snapshot.epoch() });
            }
            Ok(place) => match self.write_here(&place, &write, deadline).await {
                // The write has made its one hop: it is the sender who asks another replica.
                Err(WriteError::NotReady) => return Err(Refusal::NotReady),
                outcome => outcome,
            },
            Err(unavailable) => Err(unavailable.into()),
        };
        let outcome = outcome.map(|written| Outcome {
            row: written.row.encode().into(),
            replaced: written.replaced,
            has_equal_sibling: written.has_equal_sibling,
            is_crowded: written.is_crowded,
        });
        Ok(postcard::to_stdvec(&outcome).expect("an outcome in memory can be written").into())
    }

    /// Reads one row from as many replicas as the level asks for, and merges what they have.
    ///
    /// The row of a key that was never written is empty.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_row(&self, read: RowRead) -> Result<Siblings, ReadError> {
        let deadline = self.clock.now() + self.patience.read;
        self.read_row_by(read, deadline).await
    }

    async fn read_row_by(&self, read: RowRead, deadline: Instant) -> Result<Siblings, ReadError> {
        let place = self.place(&read.table, read.key.token(), read.level)?;
        let (mut op, mut steps) = ReadOp::ask(&place.alive, place.tally.clone(), read.at_least);
        let mut until = self.slow_at().min(deadline);
        let mut asked = FuturesUnordered::new();
        loop {
            for step in steps {
                match step {
                    ReadStep::Ask { of } => {
                        asked.push(self.ask_row(&place, of, &read.key, deadline));
                    }
                    ReadStep::Answer(outcome) => return outcome,
                }
            }
            steps = match timeout_at(until, asked.next()).await {
                Ok(Some((from, Ok(row)))) => op.on_row(from, row.as_ref()),
                Ok(Some((from, Err(())))) => op.on_failed(from),
                Err(_) if until < deadline => {
                    until = deadline;
                    op.on_slow()
                }
                Ok(None) | Err(_) => op.on_deadline(),
            };
        }
    }

    /// Reads one round of a partition: at least one row unless the range holds none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_range(&self, read: &RangeRead) -> Result<MergedPage, ReadError> {
        let place = self.place(&read.table, read.token, read.level)?;
        let deadline = self.clock.now() + self.patience.read;
        let mut until = self.slow_at();
        let (mut gather, first) = Gather::begin(&place.alive, place.tally.clone());
        let ask = |of| self.ask_page(&place, of, read, deadline);
        let mut asked: FuturesUnordered<_> = first.into_iter().map(ask).collect();
        let mut pages = Vec::new();
        while !gather.is_met() {
            let another = match timeout_at(until, asked.next()).await {
                Ok(Some((from, Ok(page)))) => {
                    gather.on_answer(from);
                    pages.push(page);
                    None
                }
                Ok(Some((from, Err(())))) => gather.on_failed(from),
                Err(_) if until < deadline => {
                    until = deadline;
                    gather.on_slow()
                }
                Ok(None) | Err(_) => return Err(gather.timeout()),
            };
            asked.extend(another.map(ask));
        }
        Ok(merge_pages(pages, read.order))
    }

    /// When those that were asked now are slow.
    fn slow_at(&self) -> Instant {
        self.clock.now() + self.patience.read / SLOW_PART
    }

    fn place(&self, table: &Table, token: Token, level: Consistency) -> Result<Place, Unavailable> {
        let snapshot = self.cluster.snapshot().expect("no statement is planned without metadata");
        let alive = self.cluster.alive();
        let me = self.cluster.me();
        let datacenter = |host| snapshot.member(host).map_or("", |member| &member.datacenter);
        // A table that was dropped since the statement was planned has no replicas any more.
        let living = snapshot.table_by_id(table.id).filter(|living| living.epoch == table.epoch);
        let Some(keyspace) = living.and_then(|table| snapshot.keyspaces.get(&table.keyspace))
        else {
            return Err(nobody(level, 1));
        };
        let placement = &keyspace.placement;
        let partition = snapshot.ring.partition_of(token);
        let located = placement.located(partition);
        let tally = Tally::new(level, placement.strategy(), datacenter(me), located);
        tally.check_alive(|host| alive.contains(&host))?;
        let replicas: Hosts = placement.replicas(partition).into();
        let mut near: Hosts =
            replicas.iter().copied().filter(|host| alive.contains(host)).collect();
        let turn = self.random.below(near.len());
        near.rotate_left(turn);
        near.sort_by_key(|host| (*host != me, datacenter(*host) != datacenter(me)));
        Ok(Place { snapshot: Arc::clone(&snapshot), replicas, alive: near, tally })
    }

    async fn write_here(
        &self,
        place: &Place,
        write: &RowWrite,
        deadline: Instant,
    ) -> Result<Written, WriteError> {
        let (mut op, mut steps) = WriteOp::place(
            self.cluster.me(),
            &place.replicas,
            place.tally.clone(),
            write.reads_first,
        );
        let mut client_write = write.write.clone();
        let mut written = None;
        let mut encoded: Option<Bytes> = None;
        let mut sends = FuturesUnordered::new();
        loop {
            let mut next = WriteSteps::new();
            for step in steps {
                match step {
                    WriteStep::Read => {
                        let seen = self.read_context(write, deadline).await;
                        let is_read = seen.is_some();
                        client_write.context = seen.unwrap_or_default();
                        next.extend(op.on_read(is_read));
                    }
                    WriteStep::Learn => {
                        next.extend(
                            match self.learn(write, &client_write.context, deadline).await {
                                Ok(is_learnt) => op.on_learnt(is_learnt),
                                Err(failure) => op.on_stamp_failed(&failure),
                            },
                        );
                    }
                    WriteStep::Stamp => {
                        match self.stamp(place, write, &client_write, deadline).await {
                            Ok(stamped) => {
                                written = Some(stamped);
                                next.extend(op.on_stamped());
                            }
                            Err(Some(failure)) => next.extend(op.on_stamp_failed(&failure)),
                            Err(None) => next.extend(op.on_deadline()),
                        }
                    }
                    WriteStep::Send { to } => {
                        let stamped: &Written =
                            written.as_ref().expect("only a stamped row is sent");
                        let row = encoded.get_or_insert_with(|| stamped.row.encode().into());
                        sends.push(self.send_row(place, to, &write.key, row.clone(), deadline));
                    }
                    WriteStep::Answer(outcome) => {
                        return outcome.map(|()| written.expect("only a stamped write succeeds"));
                    }
                }
            }
            steps = if next.is_empty() {
                match timeout_at(deadline, sends.next()).await {
                    Ok(Some((from, true))) => op.on_acknowledged(from),
                    Ok(Some((_, false))) => op.on_failed(),
                    Ok(None) | Err(_) => op.on_deadline(),
                }
            } else {
                next
            };
        }
    }

    /// Stamps the write here; no failure where it was not stamped in time. A stamp that has begun
    /// is not taken back then: its row goes to the other replicas when it is there.
    #[expect(clippy::disallowed_methods, reason = "what goes on after its answer is a task")]
    async fn stamp(
        &self,
        place: &Place,
        write: &RowWrite,
        client_write: &Write,
        deadline: Instant,
    ) -> Result<Written, Option<StampFailure>> {
        if self.clock.now() >= deadline {
            return Err(None);
        }
        let replica = Arc::clone(&self.replica);
        let (key, client_write) = (write.key.clone(), client_write.clone());
        let mut stamping = Box::pin(async move { replica.stamp(key, client_write).await });
        match timeout_at(deadline, &mut stamping).await {
            Ok(Ok(stamped)) => Ok(Written {
                row: stamped.row,
                replaced: stamped.replaced,
                has_equal_sibling: stamped.has_equal_sibling,
                is_crowded: stamped.is_crowded,
            }),
            Ok(Err(failure)) => Err(Some(failure)),
            Err(_) => {
                let (coordinator, place, key) = (self.clone(), place.clone(), write.key.clone());
                tokio::spawn(async move {
                    if let Ok(stamped) = stamping.await {
                        coordinator.send_late(&place, &key, &stamped.row);
                    }
                });
                Err(None)
            }
        }
    }

    /// Sends a row whose client has been answered; nobody counts who acknowledges it.
    fn send_late(&self, place: &Place, key: &RowKey, row: &Siblings) {
        let row = Bytes::from(row.encode());
        let deadline = self.clock.now() + self.patience.write;
        for to in place.replicas.iter().filter(|host| **host != self.cluster.me()) {
            drop(self.send_row(place, *to, key, row.clone(), deadline));
        }
    }

    /// What a DELETE without context removes: all that a read at its level finds.
    async fn read_context(&self, write: &RowWrite, deadline: Instant) -> Option<VersionVector> {
        let (table, key) = (Arc::clone(&write.table), write.key.clone());
        let read = RowRead { table, key, level: write.level, at_least: None };
        self.read_row_by(read, deadline).await.ok().map(|row| row.vector().clone())
    }

    /// Fetches what the context names from the other replicas and merges it here; answers whether
    /// it did. Where the merge needs an epoch that is not to be had, the write fails for that.
    async fn learn(
        &self,
        write: &RowWrite,
        context: &VersionVector,
        deadline: Instant,
    ) -> Result<bool, StampFailure> {
        let (table, key) = (Arc::clone(&write.table), write.key.clone());
        let at_least = Some(context.clone());
        let read = RowRead { table, key, level: Consistency::One, at_least };
        let Ok(row) = self.read_row_by(read, deadline).await else { return Ok(false) };
        match self.replica.apply(write.key.clone(), row.encode().into()).await {
            Err(ApplyFailure::Epoch(error)) => Err(StampFailure::Epoch(error)),
            applied => Ok(applied.is_ok()),
        }
    }

    fn send_row(
        &self,
        place: &Place,
        to: HostId,
        key: &RowKey,
        row: Bytes,
        deadline: Instant,
    ) -> impl Future<Output = (HostId, bool)> + Send + use<> {
        // The request is in the peer's queue when this returns; dropping the future leaves it there.
        let key = key.as_bytes().clone();
        let request = Request::Apply { key_len: len(&key), made_us: self.clock.wall_us() };
        let body = Body::from_iter([key, row]);
        let reply = self.call(place, to, request, body, deadline);
        async move { (to, reply.await.is_ok_and(|reply| reply.answer == Answer::Applied)) }
    }

    /// Asks one replica for the row; a failure needs no words, for another one is asked then.
    async fn ask_row(
        &self,
        place: &Place,
        of: HostId,
        key: &RowKey,
        deadline: Instant,
    ) -> (HostId, Result<Option<Siblings>, ()>) {
        if of == self.cluster.me() {
            return (of, self.replica.fetch(key).map_err(|_| ()));
        }
        let body = Body::from_iter([key.as_bytes().clone()]);
        let row = match self.call(place, of, Request::ReadRow, body, deadline).await {
            Ok(Reply { answer: Answer::Row, body, .. }) if body.is_empty() => Ok(None),
            Ok(Reply { answer: Answer::Row, body, .. }) => {
                Siblings::decode(&body).map(Some).map_err(|_| ())
            }
            _ => Err(()),
        };
        (of, row)
    }

    async fn ask_page(
        &self,
        place: &Place,
        of: HostId,
        read: &RangeRead,
        deadline: Instant,
    ) -> (HostId, Result<ReplicaPage, ()>) {
        if of == self.cluster.me() {
            let page = self.replica.fetch_range(&read.range, read.order, read.rows_max);
            return (of, page.map_err(|_| ()));
        }
        let start = read.range.start().clone();
        let request = Request::ReadRange {
            start_len: len(&start),
            rows_max: read.rows_max,
            is_reverse: read.order == Order::Reverse,
        };
        let end = read.range.end().cloned().expect("a range within a partition ends");
        let body = Body::from_iter([start, end]);
        let page = match self.call(place, of, request, body, deadline).await {
            Ok(Reply { answer: Answer::Rows { more }, body, .. }) => {
                RowList::read(body).ok_or(()).and_then(|rows| decode_page(rows, more))
            }
            _ => Err(()),
        };
        (of, page)
    }

    /// Lets another live replica coordinate; none where the write must be placed anew. The client
    /// gets `refusal` where all of them refuse.
    async fn forward(
        &self,
        place: &Place,
        write: &RowWrite,
        mut refusal: WriteError,
        deadline: Instant,
    ) -> Option<Result<Written, WriteError>> {
        let body = forwarded_body(write);
        for to in place.alive.iter().filter(|host| **host != self.cluster.me()) {
            let key_len = len(write.key.as_bytes());
            let request = Request::Write { key_len, level: write.level };
            let reply = match self.call(place, *to, request, body.clone(), deadline).await {
                Ok(reply) => reply,
                Err(CallError::NotSent { .. }) => continue,
                Err(CallError::Lost) => return Some(Err(WriteError::timeout(&place.tally))),
            };
            match reply.answer {
                Answer::Written => return Some(read_outcome(&reply.body, &place.tally)),
                Answer::Refused(Refusal::NotReplica { epoch })
                    if epoch > place.snapshot.epoch() =>
                {
                    self.keeper.catch_up(reply.from.internode, epoch, deadline).await;
                    return None;
                }
                Answer::Refused(Refusal::NotReady) => refusal = WriteError::NotReady,
                Answer::Refused(_) => {}
                _ => return Some(Err(WriteError::timeout(&place.tally))),
            }
        }
        Some(Err(refusal))
    }

    fn call(
        &self,
        place: &Place,
        to: HostId,
        request: Request,
        body: Body,
        deadline: Instant,
    ) -> impl Future<Output = Result<Reply, CallError>> + Send + use<> {
        let member = place.snapshot.member(to).expect("replicas are members of their epoch");
        let target = Target { address: member.internode, host: Some(to) };
        self.pool.call(target, Class::Rows, place.snapshot.epoch(), request, body, deadline)
    }
}

/// No replica can be had: nothing was done.
fn nobody(level: Consistency, required: u32) -> Unavailable {
    Unavailable { level, required, alive: 0 }
}

fn forwarded_body(write: &RowWrite) -> Body {
    let forwarded = Forwarded {
        context: write.write.context.clone(),
        change: write.write.change.clone(),
        now: write.write.now,
        write_time: write.write.write_time,
        reads_first: write.reads_first,
    };
    let forwarded = postcard::to_stdvec(&forwarded).expect("a write in memory can be written");
    Body::from_iter([write.key.as_bytes().clone(), forwarded.into()])
}

fn read_outcome(body: &[u8], tally: &Tally) -> Result<Written, WriteError> {
    let outcome: Result<Outcome, WriteError> =
        postcard::from_bytes(body).map_err(|_| WriteError::timeout(tally))?;
    let outcome = outcome?;
    let row = Siblings::decode(&outcome.row).map_err(|_| WriteError::timeout(tally))?;
    Ok(Written {
        row,
        replaced: outcome.replaced,
        has_equal_sibling: outcome.has_equal_sibling,
        is_crowded: outcome.is_crowded,
    })
}

fn decode_page(rows: Vec<(Bytes, Bytes)>, has_more: bool) -> Result<ReplicaPage, ()> {
    let decode = |(key, row)| Siblings::decode(&row).map(|row| (key, row)).map_err(|_| ());
    let rows = rows.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    // A page without rows must be the last one, or the next round would begin where it did.
    if has_more && rows.is_empty() { Err(()) } else { Ok(ReplicaPage { rows, has_more }) }
}

fn len(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len()).expect("keys are far below 4 GiB")
}

#[cfg(test)]
mod tests;
