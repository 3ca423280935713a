//! One replica more for a read whose replicas are slow, and how long each of them takes.
//!
//! ```text
//! asked ── patience of the table ──> one more is asked (paid for) ── deadline ──> ReadTimeout
//!              └ nothing to pay with: after a tenth of the read's time
//! ```
//!
//! Callers: reads of a row and of stretches.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use ring::HostId;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Coordinator;
use super::place::Place;
use crate::clock::Clock;
use crate::coord::latency::{Kind, Latencies};
use crate::metadata::SpeculativeRetry;
use crate::peer::{Answer, CallError, Reply, Request};

/// A read that is not answered after this part of its time asks one replica more, whatever that
/// costs.
const SLOW_PART: u32 = 10;

/// When one read asks one replica more, and whether that was worth it.
pub(super) struct Spare {
    latencies: Arc<Latencies>,
    is_free: bool,
    at: Instant,
    at_last: Instant,
    deadline: Instant,
    asked: Option<HostId>,
}

impl Coordinator {
    /// When a read that asks its first replicas now asks one more.
    pub(super) fn spare(
        &self,
        retry: SpeculativeRetry,
        place: &Place,
        kind: Kind,
        deadline: Instant,
    ) -> Spare {
        let (now, usual) = (self.clock.now(), self.patience.read / SLOW_PART);
        let me = self.cluster.me();
        let others = place.alive.iter().position(|host| *host != me);
        let others = &place.alive[others.unwrap_or(place.alive.len())..];
        let patience = self.latencies.patience(retry, others, kind, usual, now.into_std());
        self.latencies.earn();
        let at = patience.map_or(deadline, |patience| (now + patience).min(deadline));
        Spare {
            latencies: Arc::clone(&self.latencies),
            is_free: !matches!(retry, SpeculativeRetry::Percentile(_)),
            at,
            at_last: (now + usual).min(deadline),
            deadline,
            asked: None,
        }
    }

    /// Takes the time of what others are asked to read.
    pub(super) fn timed(
        &self,
        host: HostId,
        kind: Kind,
        call: BoxFuture<'static, Result<Reply, CallError>>,
    ) -> Timed {
        let begun = self.clock.now();
        self.latencies.note_asked(host, begun.into_std());
        let (latencies, clock) = (Arc::clone(&self.latencies), Arc::clone(&self.clock));
        let timing = Timing { latencies, clock, host, kind, begun, given_up: self.patience.read };
        Timed { call: Some(call), timing }
    }
}

impl Spare {
    /// Until when those that were asked are waited for.
    pub(super) fn until(&self) -> Instant {
        self.at
    }

    /// Until when what is not needed is waited for at most.
    pub(super) fn at_last(&self) -> Instant {
        self.at_last
    }

    /// That time has come: whether one replica more is to be asked; none at the deadline.
    pub(super) fn on_slow(&mut self) -> Option<bool> {
        if self.at >= self.deadline {
            return None;
        }
        let may_ask = self.is_free || self.at >= self.at_last || self.latencies.spend();
        self.at = if may_ask { self.deadline } else { self.at_last };
        Some(may_ask)
    }

    /// This one was asked then.
    pub(super) fn note_asked(&mut self, host: Option<HostId>) {
        if host.is_some() {
            self.latencies.spares.fetch_add(1, Ordering::Relaxed);
            self.asked = host;
        }
    }

    /// This one has answered, and the read was not over.
    pub(super) fn note_answered(&self, by: HostId) {
        if self.asked == Some(by) {
            self.latencies.spares_won.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a peer is asked for; none where its time says nothing of the next read.
pub(super) fn kind_of(request: &Request) -> Option<Kind> {
    match request {
        Request::ReadRow { .. } => Some(Kind::Row),
        Request::ReadRange { .. } => Some(Kind::Stretch),
        _ => None,
    }
}

/// A call whose time is taken, also where nobody waits for its answer any more: else who loses
/// against a spare request would be taken for as fast as the winner.
pub(super) struct Timed {
    call: Option<BoxFuture<'static, Result<Reply, CallError>>>,
    timing: Timing,
}

#[derive(Clone)]
struct Timing {
    latencies: Arc<Latencies>,
    clock: Arc<dyn Clock>,
    host: HostId,
    kind: Kind,
    begun: Instant,
    /// What one that fails is taken to need.
    given_up: Duration,
}

impl Timing {
    fn note(&self, outcome: &Result<Reply, CallError>) {
        let now = self.clock.now();
        let took = now.saturating_duration_since(self.begun);
        let took = match outcome {
            // A refusal says nothing of an answer.
            Ok(reply) if matches!(reply.answer, Answer::Refused(_)) => {
                return self.latencies.note_refused(self.host, now.into_std());
            }
            Ok(_) => took,
            Err(_) => took.max(self.given_up),
        };
        self.latencies.note(self.host, self.kind, took, now.into_std());
    }
}

impl Future for Timed {
    type Output = Result<Reply, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = self.call.as_mut().expect("a future is not polled after its end");
        let outcome = ready!(call.poll_unpin(cx));
        self.call = None;
        self.timing.note(&outcome);
        Poll::Ready(outcome)
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let (Some(call), Ok(runtime)) = (self.call.take(), Handle::try_current()) else { return };
        let timing = self.timing.clone();
        // It ends at the deadline of the read.
        runtime.spawn(async move { timing.note(&call.await) });
    }
}
