//! One copy of a row, in its store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use repair::version::{
    Change, Column, Columns, Expiry, SafeRule, Siblings, Stamped, VersionVector, Write,
};
use starling_server::commits::Commits;
use starling_server::metadata::Conflict;
use starling_server::replica::{
    self, ApplyFailure, FetchFailure, Held, Missed, Replica, Stamp, StampFailure,
};
use starling_server::store::commit::{CommitError, Job, Promise, QueueLimits, queue};
use starling_server::store::engine::{Family, KeyRange, Order};
use starling_server::store::identity::EpochError;
use starling_server::store::memory::{MemoryDisk, Room};
use starling_server::store::open_in_memory;
use starling_server::store::peer_epochs::peer_epoch;

use super::store::{Refused, Store, key, write};

fn insert(text: &str) -> Write {
    let column = Column { id: 1, value: text.as_bytes(), expiry: Expiry::Never };
    let columns = Columns::from_iter([column]);
    write(&VersionVector::default(), Change::Insert { columns, marker: Expiry::Never })
}

fn stamped(store: &mut Store, number: u64, write: Write) -> Stamped {
    store.stamp(key(number), write, SafeRule).expect("there is room")
}

/// The bytes of a row with one bit that is not as it was.
fn damaged(row: &Siblings) -> Bytes {
    let mut bytes = row.encode();
    bytes[3] ^= 1;
    bytes.into()
}

#[test]
fn writers_of_one_row_in_one_group_get_different_dots_and_one_fsync() {
    let mut store = Store::new(1);
    let before = store.engine.stats().log_syncs;
    let (jobs, answers): (Vec<_>, Vec<_>) = (0..64)
        .map(|number| {
            let (key, write) = (key(1), insert(&number.to_string()));
            let changes = vec![replica::Change::Versioned { key, write }];
            Job::new(Stamp {
                changes,
                missed: Missed::new(),
                rule: SafeRule,
                counters: Arc::clone(&store.counters),
            })
        })
        .unzip();
    store.committer.run_group(jobs).unwrap();
    let dots = answers.into_iter().map(|answer| {
        let stamped = answer.wait().unwrap().unwrap();
        stamped[0].dot.unwrap()
    });
    assert_eq!(dots.collect::<BTreeSet<_>>().len(), 64);
    assert_eq!(store.row(&key(1)).unwrap().versions().len(), 64);
    assert_eq!(store.engine.stats().log_syncs, before + 1);
}

#[test]
fn a_stamped_row_is_on_disk_when_it_is_answered() {
    let mut store = Store::new(1);
    let row = stamped(&mut store, 1, insert("x")).row;
    store.disk.crash(0);
    let mut drawn = 100;
    let reopened = open_in_memory(&store.disk, &mut || {
        drawn += 1;
        drawn
    })
    .unwrap();
    let bytes = reopened.engine.get(Family::Rows, key(1).as_bytes());
    assert_eq!(Siblings::decode(&bytes.unwrap().unwrap()), Ok(row));
}

#[test]
fn a_write_whose_sync_fails_is_not_answered_with_a_dot() {
    let mut store = Store::new(1);
    store.disk.set_syncs_fail(true);
    let failed = store.stamp(key(1), insert("x"), SafeRule);
    assert!(matches!(failed, Err(Refused::Loop(CommitError::Failed { .. }))), "{failed:?}");
}

#[test]
fn a_row_that_cannot_be_read_is_never_taken_for_one_that_is_not_there() {
    let mut store = Store::new(1);
    let row = stamped(&mut store, 1, insert("x")).row;
    store.plant(&key(1), Some(damaged(&row)));
    let refused = store.stamp(key(1), insert("y"), SafeRule);
    assert_eq!(refused, Err(Refused::Copy(StampFailure::Damaged)));
    assert_eq!(store.counters.damaged_rows.load(Ordering::Relaxed), 1);
    store.disk.set_reads_fail(true);
    let refused = store.stamp(key(2), insert("y"), SafeRule);
    assert_eq!(refused, Err(Refused::Copy(StampFailure::Damaged)));
    let refused = store.apply(key(2), row, SafeRule);
    assert_eq!(refused, Err(Refused::Copy(ApplyFailure::Damaged)));
}

#[test]
fn epochs_of_other_stores_are_on_disk_with_the_rows_that_show_them() {
    let (mut mine, mut theirs) = (Store::new(1), Store::new(2));
    let row = stamped(&mut theirs, 1, insert("x")).row;
    let epoch = row.vector().actors().next().unwrap().epoch;
    assert_eq!(peer_epoch(mine.engine.as_ref(), theirs.id()), Ok(None));
    mine.apply(key(1), row, SafeRule).unwrap();
    assert_eq!(peer_epoch(mine.engine.as_ref(), theirs.id()), Ok(Some(epoch)));
    assert_eq!(peer_epoch(mine.engine.as_ref(), mine.id()), Ok(None));
}

#[test]
fn a_row_that_brings_nothing_new_is_not_written() {
    let (mut mine, mut theirs) = (Store::new(1), Store::new(2));
    let row = stamped(&mut theirs, 1, insert("x")).row;
    mine.apply(key(1), row.clone(), SafeRule).unwrap();
    let before = mine.engine.stats().log_syncs;
    mine.apply(key(1), row.clone(), SafeRule).unwrap();
    let nothing = stamped(&mut mine, 1, write(&VersionVector::default(), Change::Remove));
    assert!(!nothing.changed);
    assert_eq!(mine.engine.stats().log_syncs, before);
    assert_eq!(mine.row(&key(1)), Some(row));
}

#[test]
fn a_dot_that_comes_with_another_content_is_counted() {
    let mut store = Store::new(1);
    let row = stamped(&mut store, 1, insert("x")).row;
    let mut version = row.versions()[0].clone();
    version.write_time += 1;
    let twin = Siblings::from_parts(row.vector().clone(), vec![version], 0).unwrap();
    store.apply(key(1), twin, SafeRule).unwrap();
    assert_eq!(store.row(&key(1)).unwrap().versions().len(), 2);
    assert_eq!(store.counters.duplicate_dots.load(Ordering::Relaxed), 1);
}

#[test]
fn rows_are_removed_when_only_the_reserve_of_the_disk_is_left() {
    let mut store = Store::new(1);
    let row = stamped(&mut store, 1, insert("x")).row;
    store.disk.set_room(Room::ReserveOnly);
    let refused = store.stamp(key(1), insert("y"), SafeRule);
    assert!(matches!(refused, Err(Refused::Loop(CommitError::NoSpace { .. }))), "{refused:?}");
    let removed = stamped(&mut store, 1, write(row.vector(), Change::Remove));
    assert!(removed.row.is_tombstone());
    assert_eq!(store.row(&key(1)), Some(removed.row));
}

#[test]
fn a_store_that_nobody_has_confirmed_mints_nothing() {
    let mut store = Store::new(1);
    let lost = stamped(&mut store, 1, insert("x")).row;
    let theirs = stamped(&mut Store::new(2), 2, insert("y")).row;
    store.plant(&key(1), None);
    let own = stamped(&mut store, 3, insert("own")).row;
    let mut store = store.restarted();
    store.apply(key(2), theirs.clone(), SafeRule).unwrap();
    let refused = store.apply(key(1), lost.clone(), SafeRule);
    let unconfirmed = EpochError::Unconfirmed;
    assert_eq!(refused, Err(Refused::Copy(ApplyFailure::Epoch(unconfirmed))));
    let removal = || write(theirs.vector(), Change::Remove);
    for write in [insert("z"), removal()] {
        let refused = store.stamp(key(2), write, SafeRule);
        assert_eq!(refused, Err(Refused::Copy(StampFailure::Epoch(unconfirmed))));
    }
    // Its own entry in a row may be older than dots that it does not remember.
    let refused = store.stamp(key(3), write(own.vector(), Change::Remove), SafeRule);
    assert_eq!(refused, Err(Refused::Copy(StampFailure::Epoch(unconfirmed))));
    assert_eq!((store.row(&key(1)), store.row(&key(2))), (None, Some(theirs.clone())));
    let id = store.id();
    store.committer.confirm(id, None, id).unwrap();
    store.apply(key(1), lost, SafeRule).unwrap();
    assert!(stamped(&mut store, 2, removal()).row.is_tombstone());
}

/// A replica whose commit loop does not run: what is read needs none.
pub(crate) fn reader(disk: &MemoryDisk) -> Replica {
    let mut drawn = 100;
    let opened = open_in_memory(disk, &mut || {
        drawn += 1;
        drawn
    });
    let opened = opened.expect("the disk opens");
    let engine = Arc::clone(&opened.engine);
    let (handle, _) =
        queue(opened, QueueLimits::default(), Promise::AfterSync).expect("the disk reads");
    Replica::new(engine, Commits::new(handle), Held::up_to(1 << 20))
}

#[test]
fn pages_hold_as_many_rows_as_were_asked_for_and_say_whether_there_are_more() {
    let mut store = Store::new(1);
    for number in 1..=5 {
        stamped(&mut store, number, insert("x"));
    }
    let replica = reader(&store.disk);
    let page = |order, rows_max| {
        let page =
            replica.fetch_range(Conflict::Siblings, &KeyRange::all(), order, rows_max).unwrap();
        let keys = page.rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        (keys, page.has_more)
    };
    let keys = |numbers: &[u64]| {
        numbers.iter().map(|number| key(*number).as_bytes().clone()).collect::<Vec<_>>()
    };
    assert_eq!(page(Order::Forward, 3), (keys(&[1, 2, 3]), true));
    assert_eq!(page(Order::Forward, 5), (keys(&[1, 2, 3, 4, 5]), false));
    assert_eq!(page(Order::Reverse, 2), (keys(&[5, 4]), true));
    assert_eq!(page(Order::Forward, 0), (keys(&[1]), true));
}

#[test]
fn large_rows_make_short_pages_of_one_row_at_least() {
    let mut store = Store::new(1);
    let large = "x".repeat(3 << 20);
    for number in 1..=3 {
        stamped(&mut store, number, insert(&large));
    }
    let replica = reader(&store.disk);
    let page =
        replica.fetch_range(Conflict::Siblings, &KeyRange::all(), Order::Forward, 100).unwrap();
    assert_eq!((page.rows.len(), page.has_more), (2, true));
}

#[test]
fn a_page_with_a_damaged_row_is_not_served() {
    let mut store = Store::new(1);
    let row = stamped(&mut store, 1, insert("x")).row;
    stamped(&mut store, 2, insert("y"));
    store.plant(&key(1), Some(damaged(&row)));
    let replica = reader(&store.disk);
    assert_eq!(replica.fetch(Conflict::Siblings, &key(1)), Err(FetchFailure));
    assert_eq!(replica.fetch(Conflict::Siblings, &key(3)), Ok(None));
    let page = replica.fetch_range(Conflict::Siblings, &KeyRange::all(), Order::Forward, 100);
    assert_eq!(page, Err(FetchFailure));
}
