//! What the last exchanges of each partition with each peer came to.
//!
//! In memory: after a start nothing was exchanged yet. Bound: 16 bytes for each partition of each
//! living table and peer.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::HostId;
use serde::Serialize;

use super::share::Share;
use crate::store::keys::TableLife;

/// The exchanges of all tables and peers.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<BTreeMap<(TableLife, HostId), Entries>>);

#[derive(Debug)]
struct Entries {
    /// When each partition was last exchanged completely, in microseconds of the wall clock.
    complete_us: BTreeMap<u16, i64>,
    differences: u64,
    failure: Option<String>,
}

/// The exchanges of one table with one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exchanges {
    /// Keyspace and table.
    pub table: String,
    /// The host id of the peer.
    pub peer: String,
    /// How many partitions both hold.
    pub partitions: usize,
    /// How many of them were exchanged completely since the start.
    pub complete: usize,
    /// How long ago the one was that waits longest, in seconds; none before all were.
    pub oldest_s: Option<u64>,
    /// When each partition was last exchanged completely, in milliseconds since the Unix epoch.
    pub complete_ms: BTreeMap<u16, i64>,
    /// Rows that were found to differ, since the start.
    pub differences: u64,
    /// Why the last exchange was not complete; none where it was.
    pub failure: Option<String>,
}

impl Ledger {
    /// Notes what an exchange came to.
    pub(super) fn note(
        &self,
        share: &Share,
        now_us: i64,
        differences: u64,
        failure: Option<String>,
    ) {
        let mut entries = self.entries();
        let entry = entries.entry((share.life, share.peer)).or_insert_with(|| Entries {
            complete_us: BTreeMap::new(),
            differences: 0,
            failure: None,
        });
        if failure.is_none() {
            entry.complete_us.extend(share.partitions.iter().map(|number| (*number, now_us)));
        }
        entry.differences += differences;
        entry.failure = failure;
    }

    /// What the exchanges of these shares came to.
    pub(super) fn show(&self, shares: &[Share], now_us: i64) -> Vec<Exchanges> {
        let entries = self.entries();
        let show = |share: &Share| {
            let entry = entries.get(&(share.life, share.peer));
            let all = entry.map(|entry| &entry.complete_us);
            let complete_us: BTreeMap<u16, i64> = share
                .partitions
                .iter()
                .filter_map(|number| Some((*number, *all?.get(number)?)))
                .collect();
            let is_whole = complete_us.len() == share.partitions.len();
            let oldest = complete_us.values().min().filter(|_| is_whole);
            Exchanges {
                table: share.table.clone(),
                peer: share.peer.to_string(),
                partitions: share.partitions.len(),
                complete: complete_us.len(),
                oldest_s: oldest.map(|at| (now_us - at).max(0).unsigned_abs() / 1_000_000),
                complete_ms: complete_us
                    .into_iter()
                    .map(|(number, us)| (number, us / 1_000))
                    .collect(),
                differences: entry.map_or(0, |entry| entry.differences),
                failure: entry.and_then(|entry| entry.failure.clone()),
            }
        };
        shares.iter().map(show).collect()
    }

    /// Forgets tables that are gone.
    pub(super) fn retain(&self, is_kept: impl Fn(TableLife) -> bool) {
        self.entries().retain(|(life, _), _| is_kept(*life));
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<(TableLife, HostId), Entries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_exchange_is_known_when_every_partition_had_one() {
        let host = HostId(uuid::Uuid::from_u128(2));
        let life = TableLife { table: 1, epoch: 0 };
        let all = Share { life, table: "k.t".to_owned(), peer: host, partitions: vec![1, 2] };
        let ledger = Ledger::default();
        ledger.note(&all.of(vec![1]), 1_000_000, 3, None);
        ledger.note(&all.of(vec![2]), 2_000_000, 0, Some("silent".to_owned()));
        let shown = &ledger.show(std::slice::from_ref(&all), 9_000_000)[0];
        assert_eq!((shown.partitions, shown.complete, shown.oldest_s), (2, 1, None));
        assert_eq!((shown.differences, shown.failure.as_deref()), (3, Some("silent")));
        ledger.note(&all.of(vec![2]), 4_000_000, 0, None);
        let shown = &ledger.show(std::slice::from_ref(&all), 9_000_000)[0];
        assert_eq!((shown.complete, shown.oldest_s, &shown.failure), (2, Some(8), &None));
        ledger.retain(|_| false);
        assert_eq!(ledger.show(&[all], 9_000_000)[0].complete, 0);
    }
}
