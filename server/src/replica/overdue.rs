//! Replicas that have missed writes of which no hint was kept: anti-entropy takes them first.
//!
//! Callers: the coordinator, where a replica is down for longer than the window of hints; anti-entropy,
//! as soon as it is back. In memory: after a start every bucket is compared anyway.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::HostId;

/// Who has missed writes without a hint. Bound: the members that were ever seen down.
#[derive(Debug, Default)]
pub struct Overdue(Mutex<BTreeSet<HostId>>);

impl Overdue {
    /// A write that `host` has missed is not hinted.
    pub fn note(&self, host: HostId) {
        self.hosts().insert(host);
    }

    /// Whether one of these is overdue.
    pub fn is_any_of(&self, alive: &BTreeSet<HostId>) -> bool {
        !self.hosts().is_disjoint(alive)
    }

    /// Takes out those that are alive.
    pub fn take(&self, alive: &BTreeSet<HostId>) -> BTreeSet<HostId> {
        let mut hosts = self.hosts();
        let taken = hosts.intersection(alive).copied().collect();
        hosts.retain(|host| !alive.contains(host));
        taken
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeSet<HostId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
