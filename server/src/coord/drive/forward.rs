//! Writes that another replica coordinates: this node sends them, or is that replica.
//!
//! Law: a write is forwarded over one hop, and again only where the first target refused it or was
//! never sent it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use repair::version::{Change, SiblingLimits, Siblings, VersionVector, Write};
use ring::Tally;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use types::Consistency;

use super::Coordinator;
use super::place::{News, Place};
use crate::coord::error::{PlaceError, WriteError};
use crate::coord::footing::Footing;
use crate::coord::request::{PartitionWrite, RowChange};
use crate::coord::write::{Carried, Written};
use crate::metadata::Table;
use crate::peer::{Answer, Body, CallError, Refusal, Request, RowList};
use crate::store::keys::RowKey;

/// A forwarded write is answered this part of its time early: so the sender still hears who has
/// acknowledged it.
const ANSWER_EARLY_PART: u32 = 20;

/// What is done to one row of a forwarded write, as it is sent beside the row's key.
#[derive(Serialize, Deserialize)]
enum Forwarded {
    Versioned {
        context: VersionVector,
        change: Change,
        now: i64,
        write_time: i64,
        reads_first: bool,
    },
    Cells {
        operand: Bytes,
    },
}

/// What became of a versioned change of a forwarded write, as it is sent.
#[derive(Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) row: Bytes,
    pub(super) replaced: usize,
    pub(super) has_equal_sibling: bool,
    pub(super) is_crowded: bool,
}

impl Coordinator {
    /// Carries out a write of one partition that another node forwarded, this one being a replica
    /// of all its rows or the first who stands in for them. Answers what became of it, to be sent back.
    ///
    /// # Errors
    /// [`Refusal`] where nothing was done, so that the sender may ask another replica.
    pub async fn write_forwarded(
        &self,
        changes: Vec<(Arc<Table>, RowKey, Bytes)>,
        level: Consistency,
        wait: Duration,
        limits: SiblingLimits,
    ) -> Result<Bytes, Refusal> {
        let write = read_forwarded(changes, level, limits).ok_or(Refusal::Damaged)?;
        let deadline = self.clock.now() + wait - wait / ANSWER_EARLY_PART;
        let outcome = match self.place(write.tables(), write.token, level) {
            Ok(place) if !place.may_stamp(self.cluster.me()) => {
                return Err(Refusal::NotReplica { epoch: place.snapshot.epoch() });
            }
            Ok(place) => match self.write_here(&place, &write, deadline).await {
                // The write has made its one hop: it is the sender who asks another replica.
                Err(WriteError::NotReady) => return Err(Refusal::NotReady),
                outcome => outcome,
            },
            Err(PlaceError::Outdated) => {
                return Err(Refusal::TableEnded { epoch: self.cluster.epoch() });
            }
            Err(unavailable) => Err(unavailable.into()),
        };
        let outcome = outcome.map(|done| {
            let written: Vec<Outcome> = done.written.into_iter().map(Outcome::from).collect();
            (written, done.footing)
        });
        Ok(postcard::to_stdvec(&outcome).expect("an outcome in memory can be written").into())
    }

    /// Lets another live replica coordinate, or where all are dead the first who stands in; none where the write must be placed anew. The client
    /// gets `refusal` where all of them refuse.
    pub(super) async fn forward(
        &self,
        place: &Place,
        write: &PartitionWrite,
        mut refusal: WriteError,
        deadline: Instant,
    ) -> Option<Result<Carried, WriteError>> {
        let body = forwarded_body(write);
        let stand_in = place.first_stand_in();
        let as_stand_in = stand_in.is_some();
        let targets = place.alive.iter().copied().chain(stand_in);
        for to in targets.filter(|host| *host != self.cluster.me()) {
            let request = Request::Write { level: write.level, as_stand_in };
            let body = Body::from_iter([body.clone()]);
            let reply = match self.call(place, to, request, body, deadline).await {
                Ok(reply) => reply,
                Err(CallError::NotSent { .. }) => continue,
                Err(CallError::Lost) => return Some(Err(WriteError::timeout(place.tally()))),
            };
            match &reply.answer {
                Answer::Written => return Some(read_outcome(&reply.body, place.tally())),
                Answer::Refused(refused) => {
                    let news = News::of(&reply, place.snapshot.epoch());
                    if self.catch_up(news, deadline).await {
                        return None;
                    }
                    if *refused == Refusal::NotReady {
                        refusal = WriteError::NotReady;
                    }
                }
                _ => return Some(Err(WriteError::timeout(place.tally()))),
            }
        }
        Some(Err(refusal))
    }
}

impl From<Written> for Outcome {
    fn from(written: Written) -> Self {
        let Written { row, replaced, has_equal_sibling, is_crowded } = written;
        Self { row: row.encode().into(), replaced, has_equal_sibling, is_crowded }
    }
}

impl Outcome {
    fn read(self) -> Option<Written> {
        let Self { row, replaced, has_equal_sibling, is_crowded } = self;
        let row = Siblings::decode(&row).ok()?;
        Some(Written { row, replaced, has_equal_sibling, is_crowded })
    }
}

/// The write as it is sent: keys and what is done to each.
pub(super) fn forwarded_body(write: &PartitionWrite) -> Bytes {
    let mut rows = RowList::default();
    for change in &write.changes {
        let forwarded = match change {
            RowChange::Versioned { write, reads_first, .. } => Forwarded::Versioned {
                context: write.context.clone(),
                change: write.change.clone(),
                now: write.now,
                write_time: write.write_time,
                reads_first: *reads_first,
            },
            RowChange::Cells { operand, .. } => Forwarded::Cells { operand: operand.clone() },
        };
        let forwarded = postcard::to_stdvec(&forwarded).expect("a write in memory can be written");
        rows.push(change.key(), &forwarded);
    }
    rows.into_body()
}

/// The write that was sent; none where it cannot be read, or is not of one partition of a keyspace.
pub(super) fn read_forwarded(
    changes: Vec<(Arc<Table>, RowKey, Bytes)>,
    level: Consistency,
    limits: SiblingLimits,
) -> Option<PartitionWrite> {
    let (first_table, first_key, _) = changes.first()?;
    let (keyspace, token) = (first_table.keyspace.clone(), first_key.token());
    let read = |(table, key, body): (Arc<Table>, RowKey, Bytes)| {
        if table.keyspace != keyspace || key.token() != token {
            return None;
        }
        Some(match postcard::from_bytes(&body).ok()? {
            Forwarded::Versioned { context, change, now, write_time, reads_first } => {
                let write = Write { context, change, now, write_time, limits };
                RowChange::Versioned { table, key, write, reads_first }
            }
            Forwarded::Cells { operand } => RowChange::Cells { table, key: key.into(), operand },
        })
    };
    let changes = changes.into_iter().map(read).collect::<Option<Vec<_>>>()?;
    Some(PartitionWrite { token, changes, level })
}

fn read_outcome(body: &[u8], tally: &Tally) -> Result<Carried, WriteError> {
    let outcome: Result<(Vec<Outcome>, Footing), WriteError> =
        postcard::from_bytes(body).map_err(|_| WriteError::timeout(tally))?;
    let (written, footing) = outcome?;
    let written = written.into_iter().map(Outcome::read).collect::<Option<Vec<_>>>();
    written.map(|written| Carried { written, footing }).ok_or_else(|| WriteError::timeout(tally))
}
