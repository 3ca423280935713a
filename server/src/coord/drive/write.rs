//! Writing: the steps of [`WriteOp`], carried out at a replica that stamps.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use repair::version::{Stamped, VersionVector};
use ring::HostId;
use tokio::time::{Instant, timeout_at};
use types::Consistency;

use super::mend::Unfinished;
use super::place::{PLACINGS_MAX, Place, nobody};
use super::{CoordCounters, Coordinator};
use crate::coord::error::WriteError;
use crate::coord::request::{PartitionWrite, RowChange, RowRead};
use crate::coord::sends::SendTo;
use crate::coord::write::{Carried, WriteOp, WriteStep, WriteSteps, Written};
use crate::metadata::Table;
use crate::peer::{Answer, Body, Request, RowList};
use crate::replica::{ApplyFailure, Change, StampFailure};
use crate::store::keys::RowKey;

impl Coordinator {
    /// Carries out a write of one partition, atomically on each replica, and answers what became of
    /// each versioned change, in order.
    ///
    /// Cells alone go to all replicas at once. Where versions are among the changes one replica
    /// stamps them first: this node if it is one whose store may mint dots, else another live one.
    ///
    /// # Errors
    /// [`WriteError`]; [`WriteError::may_have_applied`] tells whether the write may live on.
    pub async fn write(&self, write: PartitionWrite) -> Result<Carried, WriteError> {
        let carried = self.write_anywhere(write).await?;
        if carried.footing.stand_ins > 0 {
            CoordCounters::count(&self.counters.sloppy_writes);
        }
        Ok(carried)
    }

    async fn write_anywhere(&self, write: PartitionWrite) -> Result<Carried, WriteError> {
        let deadline = self.clock.now() + self.patience.write;
        if write.is_blind() {
            let footing = self.write_cells(&write, deadline).await?;
            return Ok(Carried { written: Vec::new(), footing });
        }
        for _ in 0..PLACINGS_MAX {
            let place = self.place(write.tables(), write.token, write.level)?;
            let mut refusal = nobody(write.level, place.tally().required()).into();
            if place.may_stamp(self.cluster.me()) {
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

    pub(super) async fn write_here(
        &self,
        place: &Place,
        write: &PartitionWrite,
        deadline: Instant,
    ) -> Result<Carried, WriteError> {
        let reads_first = write.changes.iter().any(RowChange::reads_first);
        let (mut op, mut steps) = WriteOp::place(self.cluster.me(), &place.holders, reads_first);
        let mut changes: Vec<Change> = write.changes.iter().map(change).collect();
        let mut stamped = Vec::new();
        let mut body: Option<Bytes> = None;
        let mut sends = FuturesUnordered::new();
        let mut is_mended = false;
        loop {
            let (mut next, mut answer) = (WriteSteps::new(), None);
            for step in steps {
                match step {
                    WriteStep::Read => {
                        let are_read = self.read_contexts(write, &mut changes, deadline).await;
                        next.extend(op.on_read(are_read));
                    }
                    WriteStep::Learn => {
                        next.extend(match self.learn(write, &changes, deadline).await {
                            Ok(are_learnt) => op.on_learnt(are_learnt),
                            Err(failure) => op.on_stamp_failed(&failure),
                        });
                    }
                    WriteStep::Stamp { missed } => {
                        match self.stamp(place, &changes, &missed, deadline).await {
                            Ok(rows) => {
                                stamped = rows;
                                next.extend(op.on_stamped());
                            }
                            Err(Some(failure)) => next.extend(op.on_stamp_failed(&failure)),
                            Err(None) => next.extend(op.on_deadline()),
                        }
                    }
                    WriteStep::Send(send) => {
                        let body = body.get_or_insert_with(|| sent_rows(&changes, &stamped));
                        sends.push(self.send_rows(place, &send, body.clone(), deadline));
                    }
                    WriteStep::Answer(outcome) => answer = Some(outcome),
                    WriteStep::Mend(hints) => {
                        is_mended = true;
                        self.mend_now(place, hints, keys_of(&changes));
                    }
                }
            }
            if let Some(outcome) = answer {
                if !is_mended && !sends.is_empty() {
                    let (place, keys) = (place.clone(), keys_of(&changes));
                    self.mend(Unfinished { place, op, sends, keys, deadline });
                }
                let written = || stamped.into_iter().map(Written::from).collect();
                return outcome.map(|footing| Carried { written: written(), footing });
            }
            steps = if next.is_empty() {
                match timeout_at(deadline, sends.next()).await {
                    Ok(Some((from, true))) => op.on_acknowledged(from),
                    Ok(Some((from, false))) => op.on_failed(from),
                    Ok(None) | Err(_) => op.on_deadline(),
                }
            } else {
                next
            };
        }
    }

    /// Stamps the changes here; no failure where they were not stamped in time. A stamp that has
    /// begun is not taken back then: its rows go to the other replicas when they are there.
    #[expect(clippy::disallowed_methods, reason = "what goes on after its answer is a task")]
    async fn stamp(
        &self,
        place: &Place,
        changes: &[Change],
        missed: &[HostId],
        deadline: Instant,
    ) -> Result<Vec<Stamped>, Option<StampFailure>> {
        if self.clock.now() >= deadline {
            return Err(None);
        }
        let (replica, stamping) = (Arc::clone(&self.replica), changes.to_vec());
        let missed = self.hinted(missed);
        let mut stamping = Box::pin(async move { replica.write(stamping, &missed).await });
        match timeout_at(deadline, &mut stamping).await {
            Ok(Ok(stamped)) => Ok(stamped),
            Ok(Err(failure)) => Err(Some(failure)),
            Err(_) => {
                let (coordinator, place, changes) = (self.clone(), place.clone(), changes.to_vec());
                tokio::spawn(async move {
                    if let Ok(stamped) = stamping.await {
                        coordinator.send_late(&place, &changes, &stamped);
                    }
                });
                Err(None)
            }
        }
    }

    /// Sends rows whose client was answered before they were stamped; whoever misses them is hinted.
    fn send_late(&self, place: &Place, changes: &[Change], stamped: &[Stamped]) {
        let (deadline, body) =
            (self.clock.now() + self.patience.write, sent_rows(changes, stamped));
        let (mut op, _) = WriteOp::place(self.cluster.me(), &place.holders, false);
        let sends = FuturesUnordered::new();
        for step in op.on_stamped() {
            if let WriteStep::Send(send) = step {
                sends.push(self.send_rows(place, &send, body.clone(), deadline));
            }
        }
        let (place, keys) = (place.clone(), keys_of(changes));
        self.mend(Unfinished { place, op, sends, keys, deadline });
    }

    /// Reads what each DELETE without context removes: all that a read at the write's level finds.
    /// Answers whether each was read.
    async fn read_contexts(
        &self,
        write: &PartitionWrite,
        changes: &mut [Change],
        deadline: Instant,
    ) -> bool {
        let reads = write.changes.iter().map(async |change| match change {
            RowChange::Versioned { table, key, reads_first: true, .. } => {
                let read = row_read(table, key, write.level, None);
                let row = self.read_row_by(&read, deadline).await.ok()?;
                Some(row.row.as_siblings().map(|row| row.vector().clone()))
            }
            _ => Some(None),
        });
        for (change, seen) in changes.iter_mut().zip(join_all(reads).await) {
            match (change, seen) {
                (_, None) => return false,
                (Change::Versioned { write, .. }, Some(Some(seen))) => write.context = seen,
                _ => {}
            }
        }
        true
    }

    /// Fetches what the contexts name from the other replicas and merges it here; answers whether
    /// it did. Where the merge needs an epoch that is not to be had, the write fails for that.
    async fn learn(
        &self,
        write: &PartitionWrite,
        changes: &[Change],
        deadline: Instant,
    ) -> Result<bool, StampFailure> {
        let reads =
            write.changes.iter().zip(changes).map(async |(asked, change)| match (asked, change) {
                (RowChange::Versioned { table, key, .. }, Change::Versioned { write, .. })
                    if write.context != VersionVector::default() =>
                {
                    let context = Some(write.context.clone());
                    let read = row_read(table, key, Consistency::One, context);
                    let row = self.read_row_by(&read, deadline).await.ok()?;
                    Some(Some((key.as_bytes().clone(), Bytes::from(row.row.encode()))))
                }
                _ => Some(None),
            });
        let learnt: Option<Vec<_>> = join_all(reads).await.into_iter().collect();
        let Some(learnt) = learnt else { return Ok(false) };
        match self.replica.apply(learnt.into_iter().flatten().collect(), &[]).await {
            Err(ApplyFailure::Epoch(error)) => Err(StampFailure::Epoch(error)),
            applied => Ok(applied.is_ok()),
        }
    }

    fn send_rows(
        &self,
        place: &Place,
        send: &SendTo,
        body: Bytes,
        deadline: Instant,
    ) -> impl Future<Output = (HostId, bool)> + Send + use<> {
        // The request is in the peer's queue when this returns; dropping the future leaves it there.
        let SendTo { to, as_stand_in, missed } = send;
        let (to, as_stand_in, missed) = (*to, *as_stand_in, missed.to_vec());
        let request = Request::Apply { made_us: self.clock.wall_us(), missed, as_stand_in };
        let reply = self.call(place, to, request, Body::from_iter([body]), deadline);
        async move { (to, reply.await.is_ok_and(|reply| reply.answer == Answer::Applied)) }
    }
}

fn row_read(
    table: &Arc<Table>,
    key: &RowKey,
    level: Consistency,
    at_least: Option<VersionVector>,
) -> RowRead {
    RowRead { table: Arc::clone(table), key: key.clone(), level, at_least }
}

fn keys_of(changes: &[Change]) -> Vec<Bytes> {
    changes.iter().map(Change::key).cloned().collect()
}

fn change(change: &RowChange) -> Change {
    match change {
        RowChange::Versioned { key, write, .. } => {
            Change::Versioned { key: key.clone(), write: write.clone() }
        }
        RowChange::Cells { key, operand, .. } => {
            Change::Cells { key: key.clone(), operand: operand.clone() }
        }
    }
}

/// The rows as the other replicas get them: of a row that was stamped more than once the last state,
/// which has all of it.
fn sent_rows(changes: &[Change], stamped: &[Stamped]) -> Bytes {
    let mut stamped = stamped.iter();
    let mut versioned: BTreeMap<&Bytes, &Stamped> = BTreeMap::new();
    let mut rows = RowList::default();
    for change in changes {
        match change {
            Change::Versioned { key, .. } => {
                versioned.extend(stamped.next().map(|row| (key.as_bytes(), row)));
            }
            Change::Cells { key, operand } => rows.push(key, operand),
        }
    }
    for (key, stamped) in versioned {
        rows.push(key, &stamped.row.encode());
    }
    rows.into_body()
}

/// Keys and what is merged into them, as they are sent.
pub(super) fn row_list(rows: &[(Bytes, Bytes)]) -> Bytes {
    let mut list = RowList::default();
    for (key, row) in rows {
        list.push(key, row);
    }
    list.into_body()
}
