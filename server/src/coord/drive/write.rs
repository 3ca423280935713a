//! Writing: the steps of [`WriteOp`], carried out.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use repair::version::{Siblings, VersionVector, Write};
use ring::HostId;
use tokio::time::{Instant, timeout_at};
use types::Consistency;

use super::place::{Place, nobody};
use super::{Coordinator, len};
use crate::coord::error::WriteError;
use crate::coord::request::{PartitionWrite, RowChange, RowRead};
use crate::coord::write::{WriteOp, WriteStep, WriteSteps, Written};
use crate::metadata::Table;
use crate::peer::{Answer, Body, Request};
use crate::replica::{ApplyFailure, Change, StampFailure};
use crate::store::keys::RowKey;

/// How often an operation is placed anew because the replica that was asked knew a newer epoch.
const PLACINGS_MAX: usize = 3;

/// A write of one row.
#[derive(Debug, Clone)]
pub(super) struct RowWrite {
    pub(super) table: Arc<Table>,
    pub(super) key: RowKey,
    pub(super) write: Write,
    pub(super) reads_first: bool,
    pub(super) level: Consistency,
}

impl Coordinator {
    /// Carries out a write of one partition: here if this node is a replica whose store may mint
    /// dots, else at one live replica. Answers what became of each versioned change, in order.
    ///
    /// # Errors
    /// [`WriteError`]; [`WriteError::may_have_applied`] tells whether the write may live on.
    pub async fn write(&self, write: PartitionWrite) -> Result<Vec<Written>, WriteError> {
        let mut written = Vec::with_capacity(write.changes.len());
        for change in write.changes {
            if let RowChange::Versioned { table, key, write: change, reads_first } = change {
                let level = write.level;
                let row = RowWrite { table, key, write: change, reads_first, level };
                written.push(self.write_row(row).await?);
            }
        }
        Ok(written)
    }

    pub(super) async fn write_row(&self, write: RowWrite) -> Result<Written, WriteError> {
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

    pub(super) async fn write_here(
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
        let mut stamping = Box::pin(async move {
            let change = Change::Versioned { key, write: client_write };
            let stamped = replica.write(vec![change]).await?;
            Ok(stamped.into_iter().next().expect("each versioned change is answered"))
        });
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
        let row = self.read_row_by(read, deadline).await.ok()?;
        row.as_siblings().map(|row| row.vector().clone())
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
        match self.replica.apply(vec![(write.key.as_bytes().clone(), row.encode().into())]).await {
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
}
