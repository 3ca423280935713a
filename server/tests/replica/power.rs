//! 64 writers and a power that fails 20 times: what was acknowledged is there afterwards, and a
//! loop that acknowledges before the fsync is found out.

use std::sync::Arc;

use repair::version::{Change, Columns, Expiry, SafeRule, VersionVector};
use starling_server::replica::{self, Missed, Stamp};
use starling_server::store::commit::{Job, Mutation, Pending, Promise};

use super::store::{Store, key, write};

const WRITERS: u64 = 64;
const CUTS: u64 = 20;

/// Lets the writers write a row each, in groups of `group` as they happen to meet; gives the rows
/// that were acknowledged.
fn one_round(store: &mut Store, round: u64, group: usize) -> Vec<u64> {
    let rows: Vec<u64> = (0..WRITERS).map(|writer| round * WRITERS + writer).collect();
    let mut acknowledged = Vec::new();
    for rows in rows.chunks(group) {
        let (jobs, answers): (Vec<_>, Vec<_>) = rows.iter().map(|row| job(store, *row)).unzip();
        store.committer.run_group(jobs).expect("the disk takes it");
        for (row, answer) in rows.iter().zip(answers) {
            if matches!(answer.wait(), Ok(Ok(_))) {
                acknowledged.push(*row);
            }
        }
    }
    acknowledged
}

fn job(store: &Store, row: u64) -> (Job<Stamp>, Pending<<Stamp as Mutation>::Answer>) {
    let insert = Change::Insert { columns: Columns::default(), marker: Expiry::Never };
    let write = write(&VersionVector::default(), insert);
    let counters = Arc::clone(&store.counters);
    let changes = vec![replica::Change::Versioned { key: key(row), write }];
    Job::new(Stamp { changes, missed: Missed::new(), rule: SafeRule, counters })
}

/// How many acknowledged rows are gone after all cuts, of how many.
fn lost(promise: Promise) -> (usize, usize) {
    let mut store = Store::promising(1, promise);
    let mut acknowledged = Vec::new();
    for round in 0..CUTS {
        let group = usize::try_from(1 + round * 7 % WRITERS).expect("a small number");
        acknowledged.extend(one_round(&mut store, round, group));
        // Sometimes a part of what was not synced survives, in the middle of a record too.
        let unsynced = store.disk.unsynced_bytes();
        store.disk.crash(unsynced * usize::try_from(round % 3).expect("a small number") / 4);
        store = store.restarted();
        let id = store.id();
        store.committer.confirm(id, None, id).expect("the disk takes it");
    }
    let gone = acknowledged.iter().filter(|row| store.row(&key(**row)).is_none()).count();
    (gone, acknowledged.len())
}

#[test]
fn no_acknowledged_write_is_lost_to_a_power_cut() {
    let (gone, acknowledged) = lost(Promise::AfterSync);
    assert_eq!(gone, 0, "of {acknowledged}");
    assert_eq!(acknowledged as u64, WRITERS * CUTS);
}

#[test]
fn an_acknowledgement_before_the_fsync_loses_writes() {
    let (gone, acknowledged) = lost(Promise::BeforeSync);
    eprintln!("{gone} of {acknowledged} acknowledged writes lost");
    assert!(gone > 0);
}
