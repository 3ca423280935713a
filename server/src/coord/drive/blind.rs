//! Writing cells: the steps of [`BlindOp`], carried out.
//!
//! A write that too few replicas took because one of them knew newer metadata is placed anew and
//! sent again, until the deadline: whoever has it already merges the same cells once more.

use bytes::Bytes;
use futures::StreamExt;
use futures::future::Either;
use futures::stream::FuturesUnordered;
use ring::HostId;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

use super::Coordinator;
use super::mend::Unfinished;
use super::place::{News, PLACINGS_MAX, Place};
use super::write::row_list;
use crate::coord::blind::{BlindOp, BlindStep};
use crate::coord::error::WriteError;
use crate::coord::footing::Footing;
use crate::coord::request::{PartitionWrite, RowChange};
use crate::coord::sends::SendTo;
use crate::peer::{Answer, Body, Refusal, Reply, Request};
use crate::replica::ApplyFailure;

/// What became of the cells at one replica.
enum Sent {
    Acknowledged,
    /// It may have merged them.
    Lost,
    /// It has not merged them.
    Refused(WriteError, News),
}

impl From<Sent> for bool {
    fn from(sent: Sent) -> Self {
        matches!(sent, Sent::Acknowledged)
    }
}

impl Coordinator {
    pub(super) async fn write_cells(
        &self,
        write: &PartitionWrite,
        deadline: Instant,
    ) -> Result<Footing, WriteError> {
        let rows: Vec<_> = write.changes.iter().filter_map(cells).collect();
        let body = row_list(&rows);
        let mut placings = 1;
        loop {
            let place = self.place(write.tables(), write.token, write.level)?;
            let mut news = News::default();
            let outcome = self.send_cells(&place, &rows, &body, deadline, &mut news).await;
            let may_retry = outcome.is_err() && placings < PLACINGS_MAX;
            if !may_retry || !self.catch_up(news, deadline).await {
                return outcome;
            }
            placings += 1;
        }
    }

    async fn send_cells(
        &self,
        place: &Place,
        rows: &[(Bytes, Bytes)],
        body: &Bytes,
        deadline: Instant,
        news: &mut News,
    ) -> Result<Footing, WriteError> {
        let (mut op, mut steps) = BlindOp::place(self.cluster.me(), &place.holders);
        let (mut sends, mut is_mended) = (FuturesUnordered::new(), false);
        let keys = || rows.iter().map(|(key, _)| key.clone()).collect();
        loop {
            let mut answer = None;
            for step in steps {
                match step {
                    BlindStep::Send(send) => {
                        sends.push(self.send_to(place, send, rows, body, deadline));
                    }
                    BlindStep::Answer(outcome) => answer = Some(outcome),
                    BlindStep::Mend(hints) => {
                        is_mended = true;
                        self.mend_now(place, hints, keys());
                    }
                }
            }
            if let Some(outcome) = answer {
                if !is_mended {
                    let (place, keys) = (place.clone(), keys());
                    self.mend(Unfinished { place, op, sends, keys, deadline });
                }
                return outcome;
            }
            steps = match timeout_at(deadline, sends.next()).await {
                Ok(Some((from, Sent::Acknowledged))) => op.on_acknowledged(from),
                Ok(Some((from, Sent::Lost))) => op.on_lost(from),
                Ok(Some((from, Sent::Refused(why, told)))) => {
                    news.note(told);
                    op.on_refused(from, &why)
                }
                Ok(None) | Err(_) => op.on_deadline(),
            };
        }
    }

    /// Sends the cells to one replica: the request is in the peer's queue when this returns. To
    /// this node's own copy they go when the future is first polled; it is the first of the sends,
    /// and so it is polled before anybody else's answer is looked at.
    fn send_to(
        &self,
        place: &Place,
        send: SendTo,
        rows: &[(Bytes, Bytes)],
        body: &Bytes,
        deadline: Instant,
    ) -> impl Future<Output = (HostId, Sent)> + Send + use<> {
        let SendTo { to, as_stand_in, missed } = send;
        if to == self.cluster.me() {
            let (replica, rows) = (Arc::clone(&self.replica), rows.to_vec());
            let missed = self.hinted(&missed);
            return Either::Left(async move { (to, applied(&replica.apply(rows, &missed).await)) });
        }
        let missed = missed.into_vec();
        let request = Request::Apply { made_us: self.clock.wall_us(), missed, as_stand_in };
        let reply = self.call(place, to, request, Body::from_iter([body.clone()]), deadline);
        let epoch = place.snapshot.epoch();
        Either::Right(
            async move { (to, reply.await.map_or(Sent::Lost, |it| answered(&it, epoch))) },
        )
    }
}

fn cells(change: &RowChange) -> Option<(Bytes, Bytes)> {
    match change {
        RowChange::Cells { key, operand, .. } => Some((key.clone(), operand.clone())),
        RowChange::Versioned { .. } => None,
    }
}

fn applied(outcome: &Result<(), ApplyFailure>) -> Sent {
    let why = match outcome {
        Ok(()) => return Sent::Acknowledged,
        Err(ApplyFailure::Store) => return Sent::Lost,
        Err(ApplyFailure::Damaged) => WriteError::Damaged,
        Err(ApplyFailure::Epoch(_)) => WriteError::NotReady,
        Err(ApplyFailure::Overloaded) => WriteError::Overloaded,
        Err(ApplyFailure::NoSpace) => WriteError::NoSpace,
    };
    Sent::Refused(why, News::default())
}

/// What a reply says to a request of `epoch`.
fn answered(reply: &Reply, epoch: u64) -> Sent {
    let refusal = match &reply.answer {
        Answer::Applied => return Sent::Acknowledged,
        Answer::Refused(refusal) => refusal,
        _ => return Sent::Lost,
    };
    let why = match refusal {
        Refusal::NotReplica { .. } | Refusal::TableEnded { .. } => WriteError::Outdated,
        Refusal::Overloaded | Refusal::NoStandIn => WriteError::Overloaded,
        Refusal::NoSpace => WriteError::NoSpace,
        Refusal::NotReady => WriteError::NotReady,
        Refusal::Damaged => WriteError::Damaged,
        Refusal::UnknownTable { .. }
        | Refusal::Stale { .. }
        | Refusal::StoreFailed
        | Refusal::Fenced => {
            return Sent::Lost;
        }
    };
    Sent::Refused(why, News::of(reply, epoch))
}
