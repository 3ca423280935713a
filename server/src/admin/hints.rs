//! Which nodes have missed rows, and how hand-over to them gets on.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use repair::hint::Hint;
use ring::HostId;
use serde::Serialize;

use super::status::AdminState;
use crate::clock::{Clock, SystemClock};
use crate::store::engine::{EngineError, Family, KeyRange, Order};

/// The hints that this node keeps.
#[derive(Debug, Serialize)]
pub struct Hints {
    /// By the node that has missed the rows.
    pub targets: Vec<HintTarget>,
    /// The bytes of rows that this node holds in the place of others, about.
    pub held_bytes: u64,
    /// How many hints were delivered since this node started.
    pub delivered: u64,
    /// The bytes of the rows that went with them.
    pub delivered_bytes: u64,
}

/// The hints for one node.
#[derive(Debug, Serialize)]
pub struct HintTarget {
    /// Its name for ever.
    pub host_id: String,
    /// Where other nodes reach it; empty where it is no member any more.
    pub address: String,
    /// `up` or `down`, as this node sees it.
    pub state: &'static str,
    /// How many rows it has missed.
    pub pending: u64,
    /// How many were delivered in the delivery that goes on.
    pub delivered: u64,
    /// Whether it did not take the last ones.
    pub stuck: bool,
    /// How long the rest will take at the pace so far.
    pub seconds_left: Option<f64>,
}

impl AdminState {
    /// The hints that this node keeps. Cost: a scan over all of them.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn hints(&self) -> Result<Hints, EngineError> {
        let snapshot = self.cluster.snapshot();
        let (alive, progress) = (self.cluster.alive(), self.handoff.targets());
        let now = SystemClock.now();
        let target = |(host, pending): (HostId, u64)| {
            let member = snapshot.as_ref().and_then(|snapshot| snapshot.member(host));
            let progress = progress.get(&host);
            let left = progress.and_then(|progress| progress.time_left(pending, now));
            HintTarget {
                host_id: host.to_string(),
                address: member.map(|member| member.internode.to_string()).unwrap_or_default(),
                state: if alive.contains(&host) { "up" } else { "down" },
                pending,
                delivered: progress.map_or(0, |progress| progress.delivered),
                stuck: progress.is_some_and(|progress| progress.is_stuck),
                seconds_left: left.map(|left| left.as_secs_f64()),
            }
        };
        let (delivered, delivered_bytes) = self.handoff.delivered();
        Ok(Hints {
            targets: self.pending()?.into_iter().map(target).collect(),
            held_bytes: self.replica.held().bytes(),
            delivered,
            delivered_bytes,
        })
    }

    fn pending(&self) -> Result<BTreeMap<HostId, u64>, EngineError> {
        let mut pending: BTreeMap<HostId, u64> = BTreeMap::new();
        self.engine.scan(Family::Hints, &KeyRange::all(), Order::Forward, &mut |key, value| {
            if let Ok(hint) = Hint::read(key, value) {
                *pending.entry(hint.host).or_default() += 1;
            }
            ControlFlow::Continue(())
        })?;
        Ok(pending)
    }
}
