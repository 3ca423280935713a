//! What is done for a write after its client was answered: the last acknowledgements are waited for,
//! and whoever has the write keeps hints for those who have missed it.
//!
//! Law: foreground never waits for this, and there is a bound on how many writes are waited for. What is
//! given up here, and what a crash takes, is made good by anti-entropy.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ring::HostId;
use smallvec::SmallVec;
use tokio::time::{Instant, timeout_at};

use super::place::Place;
use super::{CoordCounters, Coordinator};
use crate::coord::blind::{BlindOp, BlindStep};
use crate::coord::sends::KeepHint;
use crate::coord::write::{WriteOp, WriteStep};
use crate::peer::{Body, Request, RowList};

/// How many writes are waited for after their answer.
pub const MENDINGS_MAX: usize = 16_384;

/// An operation that goes on after its client was answered.
pub(super) trait Mending: Send + 'static {
    /// A node has the write; or it refused, or cannot be reached. The hints to keep when all is over.
    fn on_ended(&mut self, host: HostId, has_it: bool) -> Option<SmallVec<[KeepHint; 2]>>;

    /// The deadline has come.
    fn on_deadline(&mut self) -> SmallVec<[KeepHint; 2]>;
}

/// A write that is to be mended.
pub(super) struct Unfinished<M, F> {
    pub(super) place: Place,
    pub(super) op: M,
    /// Those that have no answer yet: each tells who has the write, or has not.
    pub(super) sends: FuturesUnordered<F>,
    /// The keys of its rows.
    pub(super) keys: Vec<Bytes>,
    pub(super) deadline: Instant,
}

impl Coordinator {
    /// Waits for the nodes that have not answered yet, and has hints kept then.
    #[expect(clippy::disallowed_methods, reason = "what goes on after its answer is a task")]
    pub(super) fn mend<M, F, O>(&self, mut write: Unfinished<M, F>)
    where
        M: Mending,
        F: Future<Output = (HostId, O)> + Send + 'static,
        O: Into<bool> + Send,
    {
        let Ok(permit) = Arc::clone(&self.mending).try_acquire_owned() else {
            return CoordCounters::count(&self.counters.hints_forgone);
        };
        let coordinator = self.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let hints = loop {
                match timeout_at(write.deadline, write.sends.next()).await {
                    Ok(Some((host, has_it))) => {
                        if let Some(hints) = write.op.on_ended(host, has_it.into()) {
                            break hints;
                        }
                    }
                    Ok(None) | Err(_) => break write.op.on_deadline(),
                }
            };
            coordinator.keep_hints(&write.place, &hints, &write.keys).await;
        });
    }

    /// Has hints kept of a write that is over.
    #[expect(clippy::disallowed_methods, reason = "what goes on after its answer is a task")]
    pub(super) fn mend_now(&self, place: &Place, hints: SmallVec<[KeepHint; 2]>, keys: Vec<Bytes>) {
        if hints.is_empty() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.mending).try_acquire_owned() else {
            return CoordCounters::count(&self.counters.hints_forgone);
        };
        let (coordinator, place) = (self.clone(), place.clone());
        tokio::spawn(async move {
            let _permit = permit;
            coordinator.keep_hints(&place, &hints, &keys).await;
        });
    }

    async fn keep_hints(&self, place: &Place, hints: &[KeepHint], keys: &[Bytes]) {
        let Some(KeepHint { keeper, .. }) = hints.first() else { return };
        // One node keeps all hints of a write.
        let missed: Vec<HostId> = hints.iter().map(|hint| hint.missed).collect();
        let is_kept = if *keeper == self.cluster.me() {
            self.replica.keep_hints(keys.to_vec(), &self.hinted(&missed)).await.is_ok()
        } else {
            let mut list = RowList::default();
            for key in keys {
                list.push(key, &[]);
            }
            let body = Body::from_iter([list.into_body()]);
            let deadline = self.clock.now() + self.patience.write;
            self.call(place, *keeper, Request::Hint { missed }, body, deadline).await.is_ok()
        };
        if !is_kept {
            CoordCounters::count(&self.counters.hints_forgone);
        }
    }
}

impl Mending for WriteOp {
    fn on_ended(&mut self, host: HostId, has_it: bool) -> Option<SmallVec<[KeepHint; 2]>> {
        let steps = if has_it { self.on_acknowledged(host) } else { self.on_failed(host) };
        hints_of(steps)
    }

    fn on_deadline(&mut self) -> SmallVec<[KeepHint; 2]> {
        hints_of(WriteOp::on_deadline(self)).unwrap_or_default()
    }
}

fn hints_of(steps: impl IntoIterator<Item = WriteStep>) -> Option<SmallVec<[KeepHint; 2]>> {
    steps.into_iter().find_map(|step| match step {
        WriteStep::Mend(hints) => Some(hints),
        _ => None,
    })
}

impl Mending for BlindOp {
    fn on_ended(&mut self, host: HostId, has_it: bool) -> Option<SmallVec<[KeepHint; 2]>> {
        let steps = if has_it { self.on_acknowledged(host) } else { self.on_lost(host) };
        steps.into_iter().find_map(mend_of)
    }

    fn on_deadline(&mut self) -> SmallVec<[KeepHint; 2]> {
        BlindOp::on_deadline(self).into_iter().find_map(mend_of).unwrap_or_default()
    }
}

fn mend_of(step: BlindStep) -> Option<SmallVec<[KeepHint; 2]>> {
    match step {
        BlindStep::Mend(hints) => Some(hints),
        _ => None,
    }
}
