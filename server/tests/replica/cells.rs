//! Copies of last-write-wins tables: cells merged without a read, range tombstones beside the rows,
//! and batches that are one commit, also over tables of both kinds.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::executor::block_on;
use proptest::prelude::*;
use repair::cells::{self, Expiry, Ranges, WriteStamp, merge_encoded};
use repair::version::{self, Columns, SafeRule, SiblingLimits, StampError, VersionVector, Write};
use ring::Token;
use starling_server::metadata::Conflict::{Lww, Siblings};
use starling_server::replica::{
    Apply, ApplyFailure, Change, FetchFailure, Incoming, Missed, ReplicaPage, RowCopy, StampFailure,
};
use starling_server::store::commit::CommitError;
use starling_server::store::engine::{Family, KeyRange, Order};
use starling_server::store::keys::{PartitionPrefix, RowKey, TableLife};
use starling_server::store::memory::Room;

use super::copies::reader;
use super::store::{Refused, Store, key, write};

const LIFE: TableLife = TableLife { table: 2, epoch: 1 };

fn partition(number: u8) -> PartitionPrefix {
    PartitionPrefix::new(LIFE, Token::new(number.into()), &[number])
}

/// A row with one value, or null, in column 1.
fn row(timestamp: i64, value: Option<&'static str>) -> cells::Row {
    let mut row = cells::Row::default();
    let value = value.map(|value| Bytes::from_static(value.as_bytes()));
    row.set(1, WriteStamp { timestamp, operation: 1 }, Expiry::Never, value);
    row
}

fn cell(key: &RowKey, timestamp: i64, value: &'static str) -> Change {
    let operand = row(timestamp, Some(value)).encode().into();
    Change::Cells { key: key.as_bytes().clone(), operand }
}

fn covered(start: &'static [u8], end: Option<&'static [u8]>, timestamp: i64) -> Ranges {
    let mut ranges = Ranges::default();
    ranges.cover(Bytes::from_static(start), end.map(Bytes::from_static), timestamp);
    ranges
}

fn cover(partition: &PartitionPrefix, ranges: &Ranges) -> Change {
    Change::Cells { key: partition.as_bytes().clone(), operand: ranges.encode().into() }
}

fn insert(text: &'static str) -> Write {
    let column = version::Column { id: 1, value: text.as_bytes(), expiry: Expiry::Never };
    let columns = Columns::from_iter([column]);
    let change = version::Change::Insert { columns, marker: Expiry::Never };
    write(&VersionVector::default(), change)
}

fn versioned(number: u64, write: Write) -> Change {
    Change::Versioned { key: key(number), write }
}

fn stored(store: &Store, key: &RowKey) -> Option<Bytes> {
    store.engine.get(Family::Rows, key.as_bytes()).expect("the disk reads")
}

fn apply(store: &mut Store, rows: Vec<Incoming>) -> Result<(), Refused<ApplyFailure>> {
    let counters = std::sync::Arc::clone(&store.counters);
    Ok(store.committer.run(Apply { rows, missed: Missed::new(), rule: SafeRule, counters })??)
}

#[test]
fn a_thousand_blind_writes_read_nothing() {
    let mut store = Store::new(1);
    let rows = [partition(1).row(b"a"), partition(1).row(b"b")];
    let before = store.engine.stats();
    for timestamp in 0..1_000 {
        let changes = rows.iter().map(|row| cell(row, timestamp, "x")).collect();
        assert_eq!(store.stamp_all(changes, SafeRule), Ok(Vec::new()));
        let (key, operand) = (rows[0].as_bytes().clone(), row(timestamp, None).encode().into());
        apply(&mut store, vec![Incoming::Cells { key, operand }]).unwrap();
    }
    let after = store.engine.stats();
    assert_eq!((after.reads, after.rows_read), (before.reads, before.rows_read));
    assert_eq!(stored(&store, &rows[0]), Some(row(999, None).encode().into()));
    assert_eq!(stored(&store, &rows[1]), Some(row(999, Some("x")).encode().into()));
}

#[test]
fn a_store_that_may_mint_nothing_takes_cells() {
    let mut store = Store::new(1).restarted();
    let row = partition(1).row(b"a");
    store.stamp_all(vec![cell(&row, 1, "x")], SafeRule).unwrap();
    assert!(stored(&store, &row).is_some());
    let mixed = vec![cell(&partition(1).row(b"b"), 1, "x"), versioned(1, insert("x"))];
    let refused = store.stamp_all(mixed, SafeRule).unwrap_err();
    assert!(matches!(refused, Refused::Copy(StampFailure::Epoch(_))), "{refused:?}");
    assert_eq!(stored(&store, &partition(1).row(b"b")), None);
}

#[test]
fn a_batch_over_tables_of_both_kinds_is_one_commit_whole_or_not_at_all() {
    let rows = [partition(1).row(b"a"), partition(1).row(b"b")];
    let batch = || {
        vec![
            versioned(1, insert("first")),
            cell(&rows[0], 1, "x"),
            versioned(2, insert("second")),
            cover(&partition(1), &covered(b"c", None, 7)),
            cell(&rows[1], 1, "y"),
        ]
    };
    let length = {
        let mut store = Store::promising(1, starling_server::store::commit::Promise::BeforeSync);
        let before = store.disk.unsynced_bytes();
        let stamped = store.stamp_all(batch(), SafeRule).unwrap();
        assert_eq!(stamped.len(), 2);
        assert_eq!(stamped[1].row, store.row(&key(2)).unwrap());
        store.disk.unsynced_bytes() - before
    };
    for cut in (0..=length).step_by(7).chain([length - 1, length]) {
        let mut store = Store::promising(1, starling_server::store::commit::Promise::BeforeSync);
        let before = store.disk.unsynced_bytes();
        store.stamp_all(batch(), SafeRule).unwrap();
        store.disk.crash(before + cut);
        let store = store.restarted();
        let there = [
            store.row(&key(1)).is_some(),
            store.row(&key(2)).is_some(),
            stored(&store, &rows[0]).is_some(),
            stored(&store, &rows[1]).is_some(),
            stored(&store, &partition(1).row(b"")).is_some(),
        ];
        assert_eq!(there, [cut == length; 5], "cut at {cut} of {length}");
    }
    let mut store = Store::new(1);
    let before = store.engine.stats().log_syncs;
    store.stamp_all(batch(), SafeRule).unwrap();
    assert_eq!(store.engine.stats().log_syncs, before + 1);
}

#[test]
fn a_batch_of_which_one_statement_is_refused_writes_nothing() {
    let mut store = Store::new(1);
    let crowded = Write { limits: SiblingLimits { max: 1, warn: 1 }, ..insert("more") };
    store.stamp_all(vec![versioned(2, insert("there"))], SafeRule).unwrap();
    let row = partition(1).row(b"a");
    let before = (store.row(&key(2)), store.engine.stats().log_syncs);
    let batch = vec![versioned(1, insert("x")), cell(&row, 1, "x"), versioned(2, crowded)];
    let refused = store.stamp_all(batch, SafeRule);
    let crowd = StampError::TooManySiblings { siblings: 1 };
    assert_eq!(refused, Err(Refused::Copy(StampFailure::Row(crowd))));
    assert_eq!((store.row(&key(1)), stored(&store, &row)), (None, None));
    assert_eq!((store.row(&key(2)), store.engine.stats().log_syncs), before);
}

#[test]
fn a_later_statement_of_a_batch_has_seen_the_earlier_ones_and_nobody_elses() {
    let mut store = Store::new(1);
    store.stamp_all(vec![versioned(1, insert("of somebody else"))], SafeRule).unwrap();
    let batch = ["one", "two", "three"].map(|text| versioned(1, insert(text)));
    let stamped = store.stamp_all(batch.into(), SafeRule).unwrap();
    let replaced: Vec<_> = stamped.iter().map(|stamped| stamped.replaced).collect();
    assert_eq!(replaced, [0, 1, 1]);
    let texts = |row: &version::Siblings| {
        let texts = row.versions().iter().map(|version| version.columns.get(1, 0).unwrap().value);
        texts.map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let row = store.row(&key(1)).unwrap();
    assert_eq!(texts(&row), [&b"of somebody else"[..], b"three"]);
    assert_eq!(stamped[2].row, row);
    // Another batch, and it removes what it made itself only.
    let remove = write(&VersionVector::default(), version::Change::Remove);
    let batch = vec![versioned(1, insert("four")), versioned(1, remove)];
    store.stamp_all(batch, SafeRule).unwrap();
    assert_eq!(texts(&store.row(&key(1)).unwrap()), texts(&row));
}

#[test]
fn a_range_tombstone_covers_rows_that_came_before_and_come_after_it() {
    let rows = [partition(1).row(b"a"), partition(1).row(b"b"), partition(1).row(b"c")];
    let changes = [
        cell(&rows[0], 5, "old"),
        cell(&rows[0], 6, "new"),
        cell(&rows[1], 5, "old"),
        cover(&partition(1), &covered(b"a", Some(b"c"), 5)),
        cell(&rows[2], 5, "outside"),
    ];
    for shift in 0..changes.len() {
        let mut store = Store::new(1);
        let mut order = changes.to_vec();
        order.rotate_left(shift);
        for change in order {
            store.stamp_all(vec![change], SafeRule).unwrap();
        }
        let replica = reader(&store.disk);
        let fetch = |row| replica.fetch(Lww, row).unwrap().and_then(RowCopy::into_cells).unwrap();
        let [first, second, third] = [fetch(&rows[0]), fetch(&rows[1]), fetch(&rows[2])];
        assert_eq!(first.cell(1, 0).unwrap().stamp.timestamp, 6);
        assert!(!second.is_living(0) && second.deletion() == Some(5));
        assert_eq!((third.is_living(0), third.deletion()), (true, None));
        assert_eq!(replica.fetch(Lww, &partition(1).row(b"bb")).unwrap(), {
            let mut never_there = cells::Row::default();
            never_there.delete(5);
            Some(RowCopy::Cells(never_there))
        });
        assert_eq!(replica.fetch(Lww, &partition(2).row(b"b")), Ok(None));
    }
}

#[test]
fn a_row_without_clustering_is_one_read_another_one_two() {
    let mut store = Store::new(1);
    let (alone, within) = (partition(1).row(b""), partition(2).row(b"a"));
    let mut deleted = row(3, Some("x"));
    deleted.delete(2);
    let operand = deleted.encode().into();
    let change = Change::Cells { key: alone.as_bytes().clone(), operand };
    store.stamp_all(vec![change, cell(&within, 1, "y")], SafeRule).unwrap();
    let replica = reader(&store.disk);
    for (row, expected) in [(&alone, 1), (&within, 2)] {
        let before = replica.engine().stats().reads;
        assert!(replica.fetch(Lww, row).unwrap().is_some());
        assert_eq!(replica.engine().stats().reads - before, expected);
    }
}

#[test]
fn heads_are_no_rows_and_come_with_every_page_that_touches_their_partition() {
    let mut store = Store::new(1);
    let head = covered(b"b", None, 5);
    let keys = ["a", "b", "c"].map(|name| partition(1).row(name.as_bytes()));
    let mut changes: Vec<_> = keys.iter().map(|key| cell(key, 9, "x")).collect();
    changes.push(cover(&partition(1), &head));
    store.stamp_all(changes, SafeRule).unwrap();
    let replica = reader(&store.disk);
    let page = |range: &KeyRange, order, rows_max| {
        let page = replica.fetch_range(Lww, range, order, rows_max).unwrap();
        let heads: Vec<_> = page.heads.into_iter().collect();
        assert_eq!(heads, [(partition(1).as_bytes().clone(), head.clone())]);
        (page.rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), page.has_more)
    };
    let key = |at: usize| keys[at].as_bytes().clone();
    let whole = partition(1).range();
    assert_eq!(page(&whole, Order::Forward, 2), (vec![key(0), key(1)], true));
    assert_eq!(page(&whole, Order::Forward, 3), (vec![key(0), key(1), key(2)], false));
    assert_eq!(page(&whole.after(&key(0)), Order::Forward, 9), (vec![key(1), key(2)], false));
    assert_eq!(page(&whole.after(&key(2)), Order::Forward, 9), (vec![], false));
    assert_eq!(page(&whole, Order::Reverse, 2), (vec![key(2), key(1)], true));
    assert_eq!(page(&whole.before(&key(1)), Order::Reverse, 2), (vec![key(0)], false));
    let middle = whole.after(&key(0)).before(&key(2));
    assert_eq!(page(&middle, Order::Reverse, 2), (vec![key(1)], false));
}

#[test]
fn a_damaged_row_or_head_is_never_served_and_counted() {
    let mut store = Store::new(1);
    let rows = [partition(1).row(b"a"), partition(1).row(b"b")];
    store.stamp_all(rows.iter().map(|row| cell(row, 1, "x")).collect(), SafeRule).unwrap();
    let poisoned = merge_encoded(stored(&store, &rows[0]).as_deref(), [&b"?"[..]]);
    store.plant(&rows[0], Some(poisoned.into()));
    let replica = reader(&store.disk);
    assert_eq!(replica.fetch(Lww, &rows[0]), Err(FetchFailure));
    assert!(replica.fetch(Lww, &rows[1]).unwrap().is_some());
    let page = replica.fetch_range(Lww, &partition(1).range(), Order::Forward, 9);
    assert_eq!(page, Err(FetchFailure));
    assert_eq!(replica.counters().damaged_rows.load(Ordering::Relaxed), 2);
    // What was merged into a poisoned row since is kept, and so is the row's poison.
    let mut store = store.restarted();
    store.stamp_all(vec![cell(&rows[0], 2, "later")], SafeRule).unwrap();
    let kept = cells::salvage(&stored(&store, &rows[0]).unwrap());
    assert_eq!(kept.row, Some(row(2, Some("later"))));
    store.plant(&rows[0], None);
    store.plant(&partition(1).row(b""), Some(Bytes::from_static(b"?")));
    let replica = reader(&store.disk);
    assert_eq!(replica.fetch(Lww, &rows[1]), Err(FetchFailure));
    for order in [Order::Forward, Order::Reverse] {
        let page = replica.fetch_range(Lww, &partition(1).range(), order, 1);
        assert_eq!(page, Err(FetchFailure), "{order:?}");
    }
}

#[test]
fn what_cannot_be_read_is_taken_in_from_nobody() {
    let store = Store::new(1);
    let replica = reader(&store.disk);
    let key = partition(1).row(b"a").as_bytes().clone();
    let good = Bytes::from(row(1, Some("x")).encode());
    let mut spoilt = good.to_vec();
    spoilt[4] ^= 1;
    let poisoned = merge_encoded(Some(&good), [&b"?"[..]]);
    for bad in [Vec::new(), b"?".to_vec(), spoilt, poisoned] {
        let bad = Bytes::from(bad);
        let sent = vec![(key.clone(), good.clone()), (key.clone(), bad.clone())];
        assert_eq!(block_on(replica.apply(sent, &[])), Err(ApplyFailure::Damaged));
        let change = Change::Cells { key: key.clone(), operand: bad };
        assert_eq!(block_on(replica.write(vec![change], &[])), Err(StampFailure::Damaged));
    }
}

#[test]
fn cells_are_deleted_when_only_the_reserve_of_the_disk_is_left() {
    let mut store = Store::new(1);
    let row_key = partition(1).row(b"a");
    store.stamp_all(vec![cell(&row_key, 1, "x")], SafeRule).unwrap();
    store.disk.set_room(Room::ReserveOnly);
    let refused = store.stamp_all(vec![cell(&row_key, 2, "y")], SafeRule);
    assert!(matches!(refused, Err(Refused::Loop(CommitError::NoSpace { .. }))), "{refused:?}");
    let operand = row(2, None).encode().into();
    let null = Change::Cells { key: row_key.as_bytes().clone(), operand };
    let head = cover(&partition(1), &covered(b"", None, 1));
    store.stamp_all(vec![null, head], SafeRule).unwrap();
    assert_eq!(stored(&store, &row_key), Some(row(2, None).encode().into()));
}

/// A write of cells reaches every replica this way, that of its coordinator too.
#[test]
fn deletes_of_other_copies_are_taken_when_only_the_reserve_of_the_disk_is_left() {
    let mut store = Store::new(1);
    let row_key = partition(1).row(b"a");
    let cells = |row: cells::Row| Incoming::Cells {
        key: row_key.as_bytes().clone(),
        operand: row.encode().into(),
    };
    store.disk.set_room(Room::ReserveOnly);
    let refused = apply(&mut store, vec![cells(row(1, None)), cells(row(2, Some("y")))]);
    assert!(matches!(refused, Err(Refused::Loop(CommitError::NoSpace { .. }))), "{refused:?}");
    assert_eq!(stored(&store, &row_key), None);
    apply(&mut store, vec![cells(row(2, None))]).unwrap();
    assert_eq!(stored(&store, &row_key), Some(row(2, None).encode().into()));
}

/// What lies in one partition of the model: its head's deletion, and its rows.
type Model = BTreeMap<u8, (Option<i64>, Vec<u8>)>;

fn model() -> impl Strategy<Value = Model> {
    let rows = prop::collection::btree_set(1..6_u8, 0..5);
    let partition = (prop::option::of(1..9_i64), rows)
        .prop_map(|(head, rows)| (head, rows.into_iter().collect()));
    prop::collection::btree_map(0..5_u8, partition, 0..5)
}

/// A bound of a range: of the table, before or behind a row, or at a partition.
fn bound() -> impl Strategy<Value = Option<Bytes>> {
    prop_oneof![
        1 => Just(None),
        1 => (0..5_u8).prop_map(|number| Some(partition(number).as_bytes().clone())),
        4 => (0..5_u8, 1..6_u8, any::<bool>()).prop_map(|(number, row, is_behind)| {
            let mut key = partition(number).row(&[row]).as_bytes().to_vec();
            key.extend(is_behind.then_some(0));
            Some(key.into())
        }),
    ]
}

proptest! {
    #[test]
    fn pages_hold_the_rows_and_all_heads_that_concern_them(
        model in model(), start in bound(), end in bound(), is_reverse: bool, rows_max in 1..8_u32,
    ) {
        let mut store = Store::new(1);
        for (number, (head, rows)) in &model {
            let partition = partition(*number);
            let mut changes: Vec<_> =
                rows.iter().map(|row| cell(&partition.row(&[*row]), 1, "x")).collect();
            changes.extend(head.map(|head| cover(&partition, &covered(b"", None, head))));
            store.stamp_all(changes, SafeRule).unwrap();
        }
        let start = start.unwrap_or_else(|| LIFE.range().start().clone());
        let end = end.unwrap_or_else(|| LIFE.range().end().unwrap().clone());
        let range = KeyRange::between(start, end);
        let order = if is_reverse { Order::Reverse } else { Order::Forward };
        let mut rows: Vec<(u8, Bytes)> = Vec::new();
        for (number, (_, of_partition)) in &model {
            let key_of = |row: &u8| Bytes::from(partition(*number).row(&[*row]));
            let keys = of_partition.iter().map(key_of);
            rows.extend(keys.map(|key| (*number, key)).filter(|(_, key)| range.contains(key)));
        }
        if is_reverse {
            rows.reverse();
        }
        let has_more = rows.len() > rows_max as usize;
        rows.truncate(rows_max as usize);
        let ReplicaPage { heads, rows: found, has_more: more_found } =
            reader(&store.disk).fetch_range(Lww, &range, order, rows_max).unwrap();
        let keys = |rows: Vec<(u8, Bytes)>| rows.into_iter().map(|(_, key)| key).collect::<Vec<_>>();
        prop_assert_eq!(found.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), keys(rows.clone()));
        prop_assert_eq!(more_found, has_more);
        // Every place of the stretch up to the last row may hold a row at another replica.
        let heads: BTreeMap<Bytes, Ranges> = heads.into_iter().collect();
        for (number, (head, _)) in &model {
            let prefix = partition(*number).as_bytes().clone();
            let last = rows.last().map(|(_, key)| key).filter(|_| has_more);
            let is_looked_at = (1..6_u8).map(|row| partition(*number).row(&[row])).any(|key| {
                let is_reached = last.is_none_or(|last| match order {
                    Order::Forward => key.as_bytes() <= last,
                    Order::Reverse => key.as_bytes() >= last,
                });
                range.contains(key.as_bytes()) && is_reached
            });
            let expected = head.map(|head| covered(b"", None, head));
            if is_looked_at {
                prop_assert_eq!(heads.get(&prefix), expected.as_ref(), "partition {}", number);
            } else if let Some(found) = heads.get(&prefix) {
                prop_assert_eq!(Some(found), expected.as_ref());
            }
        }
    }
}

#[test]
fn pages_of_siblings_tables_have_no_heads() {
    let mut store = Store::new(1);
    store.stamp_all(vec![versioned(1, insert("x"))], SafeRule).unwrap();
    let replica = reader(&store.disk);
    let page = replica.fetch_range(Siblings, &KeyRange::all(), Order::Forward, 9).unwrap();
    assert_eq!((page.heads.len(), page.rows.len()), (0, 1));
    let misread = replica.fetch_range(Lww, &KeyRange::all(), Order::Forward, 9);
    assert_eq!(misread, Err(FetchFailure), "a row of the other kind is damage");
}
