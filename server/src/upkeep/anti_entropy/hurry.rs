//! Partitions that are to be exchanged with a host before all others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::{HostId, PartitionId};
use tokio::sync::Notify;

/// What others have asked to be exchanged first. Bound: the partitions of the ring for each host.
#[derive(Debug, Default)]
pub struct Hurry {
    wanted: Mutex<BTreeMap<HostId, BTreeSet<u16>>>,
    is_wanted: Notify,
}

impl Hurry {
    /// Exchange these partitions with that host first, whoever of the two begins otherwise, as soon as
    /// it is alive: it may have missed writes that no hint tells of.
    pub fn want(&self, host: HostId, partitions: impl IntoIterator<Item = PartitionId>) {
        let numbers = partitions.into_iter().map(PartitionId::number);
        self.wanted().entry(host).or_default().extend(numbers);
        self.is_wanted.notify_one();
    }

    /// How many partitions are waiting.
    pub fn waiting(&self) -> usize {
        self.wanted().values().map(BTreeSet::len).sum()
    }

    /// Takes out what is wanted of hosts that are alive.
    pub(super) fn take(&self, alive: &BTreeSet<HostId>) -> BTreeMap<HostId, BTreeSet<u16>> {
        let mut wanted = self.wanted();
        let (taken, left) =
            std::mem::take(&mut *wanted).into_iter().partition(|(host, _)| alive.contains(host));
        *wanted = left;
        taken
    }

    /// Puts back what came to nothing, for the next round.
    pub(super) fn put_back(&self, host: HostId, partitions: &[u16]) {
        self.wanted().entry(host).or_default().extend(partitions);
    }

    /// Waits until something is wanted.
    pub(super) async fn is_wanted(&self) {
        self.is_wanted.notified().await;
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeMap<HostId, BTreeSet<u16>>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
