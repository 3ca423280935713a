//! Rows of this copy that cannot be read, mended with what another copy holds.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use repair::cells::{self, Expiry, Ranges, WriteStamp, merge_encoded};
use repair::version::{Change, Columns, SafeRule, Siblings, VersionVector};
use ring::Token;
use starling_server::replica::{Apply, ApplyFailure, Incoming, Mend, Missed};
use starling_server::store::engine::Family;
use starling_server::store::keys::{PartitionPrefix, TableLife};

use super::store::{Refused, Store, key, write};

fn insert() -> Change {
    Change::Insert { columns: Columns::default(), marker: Expiry::Never }
}

fn mended(store: &Store) -> u64 {
    store.counters.mended_rows.load(Ordering::Relaxed)
}

#[test]
fn a_siblings_row_that_cannot_be_read_takes_what_comes_and_a_fresh_epoch() {
    let (mut mine, mut theirs) = (Store::new(1), Store::new(2));
    let lost =
        mine.stamp(key(1), write(&VersionVector::default(), insert()), SafeRule).unwrap().row;
    theirs.apply(key(1), lost.clone(), SafeRule).unwrap();
    let row = theirs.stamp(key(1), write(lost.vector(), insert()), SafeRule).unwrap().row;
    let mut bytes = lost.encode();
    bytes[4] ^= 0x10;
    mine.plant(&key(1), Some(bytes.into()));
    mine.apply(key(1), row.clone(), SafeRule).unwrap();
    let found = mine.row(&key(1)).unwrap();
    assert_eq!(found.versions(), row.versions());
    let own = |row: &Siblings| row.vector().actors().filter(|it| it.store == mine.id()).count();
    assert_eq!((own(&row), own(&found)), (1, 2), "what the lost bytes had is not known");
    assert_eq!(mended(&mine), 1);
    mine.apply(key(1), row, SafeRule).unwrap();
    assert_eq!((mine.row(&key(1)), mended(&mine)), (Some(found), 1), "it is as good as any now");
}

#[test]
fn a_disk_that_fails_is_no_damage() {
    let (mut mine, mut theirs) = (Store::new(1), Store::new(2));
    let row =
        theirs.stamp(key(1), write(&VersionVector::default(), insert()), SafeRule).unwrap().row;
    mine.disk.set_reads_fail(true);
    let refused = mine.apply(key(1), row, SafeRule);
    assert_eq!(refused, Err(Refused::Copy(ApplyFailure::Damaged)));
    mine.disk.set_reads_fail(false);
    assert_eq!((mine.row(&key(1)), mended(&mine)), (None, 0));
}

fn cell(column: u32, timestamp: i64) -> cells::Row {
    let mut row = cells::Row::default();
    let stamp = WriteStamp { timestamp, operation: 1 };
    row.set(column, stamp, Expiry::Never, Some(Bytes::from_static(b"x")));
    row
}

fn mend(store: &mut Store, key: &Bytes, operand: Vec<u8>) {
    let rows = vec![Incoming::read(key.clone(), operand.into()).expect("it was just encoded")];
    let counters = Arc::clone(&store.counters);
    let apply = Apply { rows, missed: Missed::new(), rule: SafeRule, counters };
    store.committer.run(Mend(apply)).expect("the store is sound").expect("it is there");
}

fn stored(store: &Store, key: &Bytes) -> Bytes {
    store.engine.get(Family::Rows, key).expect("the store is sound").expect("it is there")
}

#[test]
fn poisoned_cells_keep_what_can_be_read_of_them() {
    let mut store = Store::new(1);
    let (readable, incoming) = (cell(1, 5), cell(2, 3));
    let poisoned = merge_encoded(Some(&readable.encode()), [&b"\x11 no operand"[..]]);
    store.plant(&key(1), Some(poisoned.into()));
    mend(&mut store, key(1).as_bytes(), incoming.encode());
    let mut both = readable;
    both.merge(&incoming);
    assert_eq!(stored(&store, key(1).as_bytes()), both.encode());
    assert_eq!(mended(&store), 1);
    mend(&mut store, key(1).as_bytes(), cell(3, 4).encode());
    both.merge(&cell(3, 4));
    assert_eq!(stored(&store, key(1).as_bytes()), both.encode());
    assert_eq!(mended(&store), 1, "sound cells are merged without more ado");
}

#[test]
fn damaged_cells_and_range_tombstones_are_mended() {
    let mut store = Store::new(1);
    let mut damaged = cell(1, 5).encode();
    damaged[7] ^= 1;
    store.plant(&key(1), Some(damaged.into()));
    mend(&mut store, key(1).as_bytes(), cell(2, 3).encode());
    assert_eq!(stored(&store, key(1).as_bytes()), cell(2, 3).encode());
    let life = TableLife { table: 2, epoch: 1 };
    let prefix = PartitionPrefix::new(life, Token::new(1), b"p");
    let mut ranges = Ranges::default();
    ranges.cover(Bytes::new(), None, 7);
    let mut damaged = ranges.encode();
    damaged[3] ^= 1;
    store.plant(&prefix.row(&[]), Some(damaged.into()));
    mend(&mut store, prefix.as_bytes(), ranges.encode());
    assert_eq!(stored(&store, prefix.as_bytes()), ranges.encode());
    assert_eq!(mended(&store), 2);
}
