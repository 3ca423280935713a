//! Writes that another replica coordinates: this node sends them, or is that replica.
//!
//! Law: a write is forwarded over one hop, and again only where the first target refused it or was
//! never sent it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use repair::version::{Siblings, VersionVector, Write};
use ring::Tally;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use types::Consistency;

use super::place::Place;
use super::write::RowWrite;
use super::{Coordinator, len};
use crate::coord::error::WriteError;
use crate::coord::write::Written;
use crate::metadata::Table;
use crate::peer::{Answer, Body, CallError, Refusal, Request};
use crate::store::keys::RowKey;

/// A forwarded write is answered this part of its time early: so the sender still hears who has
/// acknowledged it.
const ANSWER_EARLY_PART: u32 = 20;

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
pub(super) struct Outcome {
    pub(super) row: Bytes,
    pub(super) replaced: usize,
    pub(super) has_equal_sibling: bool,
    pub(super) is_crowded: bool,
}

impl Coordinator {
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

    /// Lets another live replica coordinate; none where the write must be placed anew. The client
    /// gets `refusal` where all of them refuse.
    pub(super) async fn forward(
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
}

pub(super) fn forwarded_body(write: &RowWrite) -> Body {
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
