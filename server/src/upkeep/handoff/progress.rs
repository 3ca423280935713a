//! How hand-over gets on, for operators.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::HostId;
use tokio::time::Instant;

/// How hand-over gets on, by the host that gets the rows.
#[derive(Debug, Default)]
pub struct HandOffProgress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    targets: BTreeMap<HostId, TargetProgress>,
    delivered: u64,
    delivered_bytes: u64,
}

/// How hand-over to one host gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetProgress {
    /// When the delivery began that goes on, or was the last one.
    pub since: Instant,
    /// How many hints were delivered since then.
    pub delivered: u64,
    /// How many bytes of rows went with them.
    pub bytes: u64,
    /// Whether the host did not take the last ones.
    pub is_stuck: bool,
}

impl HandOffProgress {
    /// By host.
    pub fn targets(&self) -> BTreeMap<HostId, TargetProgress> {
        self.state().targets.clone()
    }

    /// How many hints were delivered since the node started, and the bytes of their rows.
    pub fn delivered(&self) -> (u64, u64) {
        let state = self.state();
        (state.delivered, state.delivered_bytes)
    }

    /// A delivery begins, or goes on where the last one was stuck.
    pub(super) fn begin(&self, host: HostId, now: Instant) {
        let fresh = TargetProgress { since: now, delivered: 0, bytes: 0, is_stuck: false };
        let mut state = self.state();
        let target = state.targets.entry(host).or_insert(fresh);
        if target.is_stuck {
            *target = fresh;
        }
    }

    pub(super) fn note(&self, host: HostId, hints: usize, bytes: usize, is_stuck: bool) {
        let mut state = self.state();
        let Some(target) = state.targets.get_mut(&host) else { return };
        target.is_stuck = is_stuck;
        if !is_stuck {
            target.delivered += hints as u64;
            target.bytes += bytes as u64;
            state.delivered += hints as u64;
            state.delivered_bytes += bytes as u64;
        }
    }

    /// Forgets the hosts that have everything.
    pub(super) fn retain(&self, targets: &[HostId]) {
        self.state().targets.retain(|host, _| targets.contains(host));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TargetProgress {
    /// How long `pending` hints will take at the pace so far; none before there is one.
    pub fn time_left(&self, pending: u64, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.since);
        let delivered = u32::try_from(self.delivered).ok().filter(|count| *count > 0)?;
        let pending = u32::try_from(pending).ok()?;
        (elapsed / delivered).checked_mul(pending)
    }
}
