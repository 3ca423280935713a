//! What is delivered to whom, and what is forgotten.

use std::collections::BTreeSet;

use ring::Token;

use super::batch::Batch;
use super::*;
use crate::metadata::tests::{after, create_table, formed, keyspace};
use crate::metadata::{Change, Snapshot};
use crate::store::engine::{Batch as Changes, Durability, Engine};
use crate::store::keys::{RowKey, TableLife};
use crate::store::memory::MemoryDisk;

/// A table with two replicas of each row, in a cluster of three.
fn snapshot() -> Snapshot {
    let keyspace = keyspace("app", ring::Strategy::Simple { replication_factor: 2 });
    let create = Change::CreateKeyspace { keyspace, if_not_exists: false };
    Snapshot::new(after(formed(), &[create, create_table(false)])).unwrap()
}

fn row(snapshot: &Snapshot, token: i64) -> RowKey {
    let table = snapshot.table("app", "t").unwrap();
    let life = TableLife { table: table.id.0, epoch: table.epoch };
    RowKey::new(life, Token::new(token), &token.to_be_bytes(), b"")
}

fn owners(snapshot: &Snapshot, row: &RowKey) -> Vec<HostId> {
    let partition = snapshot.ring.partition_of(row.token());
    snapshot.keyspaces["app"].placement.replicas(partition).to_vec()
}

/// Who owns no part of the row.
fn outsider(snapshot: &Snapshot, row: &RowKey) -> HostId {
    let owners = owners(snapshot, row);
    let mut members = snapshot.value.members.iter().map(|member| member.host);
    members.find(|host| !owners.contains(host)).unwrap()
}

/// A store with these rows, and the hints of `host` for them and for one that is gone.
fn hinted(
    snapshot: &Snapshot,
    host: HostId,
    rows: &[RowKey],
) -> (impl Engine + use<>, Vec<(Bytes, Bytes)>) {
    let engine = MemoryDisk::new().open();
    let mut changes = Changes::default();
    let gone = row(snapshot, i64::MAX);
    for row in rows {
        changes.put(Family::Rows, row.as_bytes().clone(), &b"the row"[..]);
    }
    for (row, sequence) in rows.iter().chain([&gone]).zip(1..) {
        let hint = Hint { host, row: row.as_ref(), sequence };
        changes.put(Family::Hints, hint.key(), hint.value().to_vec());
    }
    engine.commit(&changes, Durability::Synced).unwrap();
    let hints = engine.rows(Family::Hints, &KeyRange::all(), Order::Forward, 99).unwrap();
    (engine, hints)
}

fn sent_to(batch: &Batch) -> BTreeSet<HostId> {
    batch.sends().map(|(to, _)| to).collect()
}

#[test]
fn an_owner_tells_the_one_that_has_missed_the_row_and_keeps_its_own() {
    let snapshot = snapshot();
    let row = row(&snapshot, 7);
    let [me, other] = owners(&snapshot, &row)[..] else { panic!("two replicas") };
    let (engine, hints) = hinted(&snapshot, other, &[row]);
    let batch = Batch::read(&engine, &snapshot, me, other, &hints).unwrap();
    assert_eq!(sent_to(&batch), BTreeSet::from([other]));
    let delivered = batch.delivered_to(&[other]);
    assert_eq!(delivered.len(), 2, "the row that is gone needs no delivery");
    assert!(delivered.iter().all(|delivered| delivered.held.is_none()));
    assert_eq!(batch.delivered_to(&[]).len(), 1);
}

#[test]
fn a_stand_in_tells_all_owners_and_forgets_the_row_only_when_all_have_it() {
    let snapshot = snapshot();
    let row = row(&snapshot, 7);
    let (me, both) = (outsider(&snapshot, &row), owners(&snapshot, &row));
    let (engine, hints) = hinted(&snapshot, both[0], &[row]);
    let batch = Batch::read(&engine, &snapshot, me, both[0], &hints).unwrap();
    assert_eq!(sent_to(&batch), both.iter().copied().collect());
    let is_held = |delivered: &Delivered| delivered.held.is_some();
    assert!(!batch.delivered_to(&both[..1]).iter().any(is_held));
    let delivered = batch.delivered_to(&both);
    assert_eq!(delivered.iter().filter(|it| is_held(it)).count(), 1);
    let bytes = batch::held_bytes(&engine, &snapshot, me, &hints).unwrap();
    assert_eq!(bytes, (hints[0].0.len() - 16 + b"the row".len()) as u64);
}

#[test]
fn a_row_whose_host_owns_it_no_more_goes_to_the_present_owners() {
    let snapshot = snapshot();
    let row = row(&snapshot, 7);
    let gone = HostId(uuid::Uuid::from_u128(99));
    let [me, other] = owners(&snapshot, &row)[..] else { panic!("two replicas") };
    let (engine, hints) = hinted(&snapshot, gone, &[row]);
    let batch = Batch::read(&engine, &snapshot, me, gone, &hints).unwrap();
    assert_eq!(sent_to(&batch), BTreeSet::from([other]));
}

#[test]
fn hints_of_a_table_that_is_gone_are_forgotten_without_delivery() {
    let snapshot = snapshot();
    let row = row(&snapshot, 7);
    let [me, other] = owners(&snapshot, &row)[..] else { panic!("two replicas") };
    let (engine, hints) = hinted(&snapshot, other, &[row]);
    let drop = crate::metadata::tests::drop_table(false);
    let dropped = drop.apply(&snapshot.value, ring::register::ChangeId(9)).unwrap();
    let dropped = Snapshot::new(dropped).unwrap();
    let batch = Batch::read(&engine, &dropped, me, other, &hints).unwrap();
    assert_eq!(sent_to(&batch), BTreeSet::new());
    assert_eq!(batch.delivered_to(&[]).len(), 2);
}
