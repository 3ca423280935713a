//! What other nodes ask, carried out.
//!
//! A request about rows of a newer epoch is carried out only after this node has fetched that epoch
//! from the sender: an unknown table is never treated as an empty one, and one who owns no part of a
//! row does not answer for it.

mod upkeep;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use repair::version::SiblingLimits;
use ring::{HostId, Token};
use tokio::sync::mpsc;

use super::life::living;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::coord::Coordinator;
use crate::metadata::Table;
use crate::peer::{
    Answer, Body, Class, Handler, Hello, Pool, Received, Refusal, Request, RowList, Target,
};
use crate::register::{Keeper, Proposals};
use crate::replica::{ApplyFailure, Replica, RowDigest};
use crate::store::engine::{Engine, KeyRange, Order};
use crate::store::keys::{RowKey, TableLife};
use crate::store::peer_epochs::peer_epoch;
use crate::upkeep::anti_entropy::{AntiEntropy, Asked};
use crate::upkeep::gossip::Heartbeat;

/// Carries out requests of other nodes.
pub(crate) struct PeerHandler {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) proposals: Arc<Proposals>,
    pub(crate) coordinator: Arc<Coordinator>,
    pub(crate) replica: Arc<Replica>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) anti_entropy: Arc<AntiEntropy>,
    pub(crate) heartbeats: mpsc::Sender<Heartbeat>,
    pub(crate) limits: SiblingLimits,
    /// A row that was made longer ago than this is refused.
    pub(crate) age_max: Duration,
}

impl Handler for PeerHandler {
    async fn handle(&self, from: Arc<Hello>, received: Received) -> Option<(Answer, Body)> {
        if received.request == Request::Gossip {
            // A full inbox drops heartbeats; the next ones say the same.
            let _ = self.heartbeats.try_send((from.internode, received.body));
            return None;
        }
        // A greeting is answered after that too: whoever made the change waits for it.
        let knows = received.request == Request::Register || self.catch_up(&from, &received).await;
        if !knows && is_about_rows(&received.request) {
            return Some((Answer::Refused(Refusal::NotReady), Body::new()));
        }
        Some(match self.carry_out(&from, received).await {
            Ok((answer, body)) => (answer, body),
            Err(refusal) => (Answer::Refused(refusal), Body::new()),
        })
    }

    fn epoch(&self) -> u64 {
        self.cluster.epoch()
    }
}

type Outcome = Result<(Answer, Body), Refusal>;

impl PeerHandler {
    /// Whether this node knows the epoch that the request was made under.
    async fn catch_up(&self, from: &Hello, received: &Received) -> bool {
        if received.epoch <= self.cluster.epoch() {
            return true;
        }
        let deadline = self.clock.now() + Duration::from_millis(received.wait_ms.into());
        self.keeper.catch_up(from.internode, received.epoch, deadline).await
    }

    async fn carry_out(&self, from: &Hello, received: Received) -> Outcome {
        let wait = Duration::from_millis(received.wait_ms.into());
        match received.request {
            Request::Ping | Request::Gossip => Ok((Answer::Pong, Body::new())),
            Request::Metadata => {
                let value = self.cluster.snapshot().map(|snapshot| snapshot.value.encode());
                Ok((Answer::Metadata, value.into_iter().collect()))
            }
            Request::Register => self.vote(received.body).await,
            Request::Propose => {
                let outcome = self.proposals.propose_forwarded(&received.body, wait).await;
                Ok((Answer::Proposed, Body::from_iter([outcome.ok_or(Refusal::Damaged)?])))
            }
            Request::HighestEpoch { store } => {
                let epoch = peer_epoch(self.engine.as_ref(), store);
                let epoch = epoch.map_err(|_| Refusal::StoreFailed)?.unwrap_or(0);
                Ok((Answer::HighestEpoch { epoch }, Body::new()))
            }
            Request::Write { level, as_stand_in } => {
                if as_stand_in {
                    self.admit(received.body.len())?;
                }
                let rows = RowList::read(received.body).ok_or(Refusal::Damaged)?;
                let placed = |(key, change)| {
                    self.row(key, as_stand_in).map(|(key, table)| (table, key, change))
                };
                let changes = rows.into_iter().map(placed).collect::<Result<Vec<_>, _>>()?;
                let lives = lives(changes.iter().map(|(_, key, _)| key));
                let written =
                    self.coordinator.write_forwarded(changes, level, wait, self.limits).await?;
                self.still_live(&lives)?;
                Ok((Answer::Written, Body::from_iter([written])))
            }
            Request::Apply { made_us, missed, as_stand_in } => {
                self.apply(received.body, made_us, &missed, as_stand_in).await
            }
            Request::Mend { made_us } => self.mend(received.body, made_us).await,
            Request::ReadRow { .. } | Request::ReadRange { .. }
                if self.anti_entropy.fence().is_up() =>
            {
                Err(Refusal::Fenced)
            }
            Request::ReadRow { digest: true, as_stand_in } => {
                let (key, table) = self.row(received.body, as_stand_in)?;
                let digest = self.replica.digest(table.conflict, &key);
                let RowDigest(digest) = digest.map_err(|_| Refusal::StoreFailed)?;
                Ok((Answer::Digest(digest), Body::new()))
            }
            Request::ReadRow { digest: false, as_stand_in } => {
                let (key, table) = self.row(received.body, as_stand_in)?;
                let row = self.replica.fetch(table.conflict, &key);
                let row = row.map_err(|_| Refusal::StoreFailed)?;
                Ok((Answer::Row, row.iter().map(|row| Bytes::from(row.encode())).collect()))
            }
            Request::ReadRange {
                table,
                table_epoch,
                first,
                last,
                start_len,
                rows_max,
                is_reverse,
                as_stand_in,
            } => {
                let (start, end) = received.split_body(start_len).ok_or(Refusal::Damaged)?;
                let order = if is_reverse { Order::Reverse } else { Order::Forward };
                let life = TableLife { table, epoch: table_epoch };
                let tokens = Token::new(first)..=Token::new(last);
                let asked = if end.is_empty() {
                    KeyRange::from(start)
                } else {
                    KeyRange::between(start, end)
                };
                let table = self.table(life, &tokens, as_stand_in)?;
                self.read_range(&table, life, &tokens, &asked, order, rows_max)
            }
            Request::Probe { host } => self.probe(host, wait).await,
            Request::Hint { missed } => self.keep_hints(received.body, &missed).await,
            Request::Exchange { table, table_epoch, is_fenced, made_us } => {
                let life = TableLife { table, epoch: table_epoch };
                let asked = Asked { from: from.host, life, is_fenced, made_us };
                let answer = self.anti_entropy.answer(asked, &received.body).await;
                let (is_fenced, reply) = answer?;
                Ok((Answer::Exchanged { is_fenced }, Body::from_iter([Bytes::from(reply)])))
            }
            Request::HasHints { table, table_epoch, partition } => {
                self.has_hints(TableLife { table, epoch: table_epoch }, partition)
            }
            Request::Holding { table, table_epoch, partition } => {
                let life = TableLife { table, epoch: table_epoch };
                self.holding(life, partition, received.body).await
            }
            Request::Purge { made_us } => self.purge(received.body, made_us).await,
        }
    }

    /// Asks a member on behalf of a node that it does not answer.
    async fn probe(&self, host: HostId, wait: Duration) -> Outcome {
        let snapshot = self.cluster.snapshot().ok_or(Refusal::NotReady)?;
        let member = snapshot.member(host).ok_or(Refusal::NotReady)?;
        let target = Target { address: member.internode, host: Some(host) };
        // What is left is for the way back.
        let deadline = self.clock.now() + wait / 4 * 3;
        let (class, body) = (Class::Control, Body::new());
        let asked = self.pool.call(target, class, 0, Request::Ping, body, deadline).await;
        let answers = asked.is_ok_and(|reply| reply.answer == Answer::Pong);
        Ok((if answers { Answer::Pong } else { Answer::Silent }, Body::new()))
    }

    async fn vote(&self, request: Bytes) -> Outcome {
        let answer = self.proposals.vote(request).await.ok_or(Refusal::StoreFailed)?;
        let answer = postcard::to_stdvec(&answer).expect("an answer in memory can be written");
        Ok((Answer::Register, Body::from_iter([Bytes::from(answer)])))
    }

    async fn apply(
        &self,
        body: Bytes,
        made_us: i64,
        missed: &[HostId],
        as_stand_in: bool,
    ) -> Outcome {
        self.refuse_old(made_us)?;
        let rows = RowList::read(body).ok_or(Refusal::Damaged)?;
        let keys =
            rows.iter().map(|(key, _)| self.row(key.clone(), as_stand_in).map(|(key, _)| key));
        let lives = lives(&keys.collect::<Result<Vec<_>, _>>()?);
        if as_stand_in {
            self.admit(rows.iter().map(|(key, row)| key.len() + row.len()).sum())?;
        }
        let missed = if as_stand_in { missed.into() } else { self.coordinator.hinted(missed) };
        self.replica.apply(rows, &missed).await.map_err(|failure| refusal(&failure))?;
        self.still_live(&lives)?;
        Ok((Answer::Applied, Body::new()))
    }

    /// Refuses rows that were read or made too long ago.
    fn refuse_old(&self, made_us: i64) -> Result<(), Refusal> {
        let age_us = self.clock.wall_us().saturating_sub(made_us);
        let is_old = i128::from(age_us) > self.age_max.as_micros().cast_signed();
        if is_old { Err(Refusal::Stale { age_us }) } else { Ok(()) }
    }

    /// Takes in rows of another node, if there is room for them.
    fn admit(&self, bytes: usize) -> Result<(), Refusal> {
        if self.replica.held().admit(bytes) { Ok(()) } else { Err(Refusal::NoStandIn) }
    }

    fn read_range(
        &self,
        table: &Table,
        life: TableLife,
        tokens: &RangeInclusive<Token>,
        asked: &KeyRange,
        order: Order,
        rows_max: u32,
    ) -> Outcome {
        // What this node has outside of these tokens may be of partitions that are not its own.
        let range = asked.within(&life.range_of_tokens(tokens));
        if range.is_empty() {
            return Err(Refusal::Damaged);
        }
        let page = self.replica.fetch_range(table.conflict, &range, order, rows_max);
        let page = page.map_err(|_| Refusal::StoreFailed)?;
        let mut rows = RowList::default();
        for (prefix, ranges) in &page.heads {
            rows.push(prefix, &ranges.encode());
        }
        for (key, row) in &page.rows {
            rows.push(key, &row.encode());
        }
        let heads = u32::try_from(page.heads.len()).map_err(|_| Refusal::StoreFailed)?;
        let answer = Answer::Rows { heads, more: page.has_more };
        Ok((answer, Body::from_iter([rows.into_body()])))
    }

    /// The row of a key, if the table's life that the key names is the living one and this node owns
    /// a part of the row, or stands in for one who does.
    fn row(&self, key: Bytes, as_stand_in: bool) -> Result<(RowKey, Arc<Table>), Refusal> {
        let key = RowKey::read(key).map_err(|_| Refusal::Damaged)?;
        let token = key.token();
        let table = self.table(key.life(), &(token..=token), as_stand_in)?;
        Ok((key, table))
    }

    /// The table, if this is its living life and this node owns a part of all these tokens, or stands
    /// in for those who do.
    fn table(
        &self,
        life: TableLife,
        tokens: &RangeInclusive<Token>,
        as_stand_in: bool,
    ) -> Result<Arc<Table>, Refusal> {
        let snapshot = self.cluster.snapshot().ok_or(Refusal::NotReady)?;
        let epoch = snapshot.epoch();
        let table = living(&snapshot, life)?;
        let keyspace = snapshot.keyspaces.get(&table.keyspace);
        let placement = &keyspace.ok_or(Refusal::NotReplica { epoch })?.placement;
        let ring = &snapshot.ring;
        let mine = |partition| placement.replicas(partition).contains(&self.cluster.me());
        let (first, last) = (ring.partition_of(*tokens.start()), ring.partition_of(*tokens.end()));
        let owns_all = if as_stand_in {
            true
        } else if first == last {
            mine(first)
        } else {
            ring.partitions().iter().filter(|it| (first..=last).contains(it)).all(mine)
        };
        if owns_all { Ok(Arc::clone(table)) } else { Err(Refusal::NotReplica { epoch }) }
    }

    /// Whether rows that were written belong to living lives of their tables still: else whoever
    /// asked must not count them.
    fn still_live(&self, lives: &[TableLife]) -> Result<(), Refusal> {
        let snapshot = self.cluster.snapshot().ok_or(Refusal::NotReady)?;
        lives.iter().try_for_each(|life| living(&snapshot, *life).map(|_| ()))
    }
}

/// The lives of tables that rows of one write belong to; of neighbours that have the same, one.
fn lives<'a>(keys: impl IntoIterator<Item = &'a RowKey>) -> Vec<TableLife> {
    let mut lives: Vec<TableLife> = keys.into_iter().map(RowKey::life).collect();
    lives.dedup();
    lives
}

fn is_about_rows(request: &Request) -> bool {
    matches!(
        request,
        Request::Write { .. }
            | Request::Apply { .. }
            | Request::ReadRow { .. }
            | Request::ReadRange { .. }
            | Request::Hint { .. }
            | Request::Exchange { .. }
            | Request::Mend { .. }
            | Request::HasHints { .. }
            | Request::Holding { .. }
            | Request::Purge { .. }
    )
}

fn refusal(failure: &ApplyFailure) -> Refusal {
    match failure {
        ApplyFailure::Damaged => Refusal::Damaged,
        ApplyFailure::Epoch(_) => Refusal::NotReady,
        ApplyFailure::Overloaded => Refusal::Overloaded,
        ApplyFailure::NoSpace => Refusal::NoSpace,
        ApplyFailure::Store => Refusal::StoreFailed,
    }
}
