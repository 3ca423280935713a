//! The laws of changes, and the bytes of the stored form.

use std::collections::BTreeMap;

use ring::register::{Acceptors, ChangeId, RegisterValue, Stores};
use ring::{HostId, StoreId, Strategy};
use types::CqlType;
use uuid::Uuid;

use super::*;

fn host(number: u128) -> HostId {
    HostId(Uuid::from_u128(number))
}

pub(crate) fn member(number: u8) -> Member {
    let address = |port| ([127, 0, 0, number], port).into();
    Member {
        host: host(number.into()),
        store: StoreId(u128::from(number) + 100),
        internode: address(7000),
        cql: address(9042),
        datacenter: "dc1".to_owned(),
        rack: format!("rack{number}"),
    }
}

/// A cluster of one member that needs so many, with eight partitions.
pub(crate) fn founded(nodes_min: u32) -> ClusterMetadata {
    let founding = Founding {
        cluster_id: Uuid::from_u128(7),
        name: "starling".to_owned(),
        partitions: 8,
        claim_spread: 3,
        nodes_min,
        member: member(1),
        secrets: Secrets { current: Secret { id: 0, key: [9; 32] }, previous: None },
    };
    let stores = Stores::new([101, 102, 103].map(StoreId)).unwrap();
    founding.value(Acceptors::formed(stores))
}

/// The bytes of a golden file: hexadecimal digits, however they are broken into lines.
pub(crate) fn golden(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn keyspace(name: &str, strategy: Strategy) -> Keyspace {
    Keyspace {
        name: name.to_owned(),
        strategy,
        durable_writes: true,
        conflict: None,
        tables: BTreeMap::new(),
    }
}

fn create_keyspace(if_not_exists: bool) -> Change {
    let strategy = Strategy::Simple { replication_factor: 3 };
    Change::CreateKeyspace { keyspace: keyspace("app", strategy), if_not_exists }
}

fn create_table(if_not_exists: bool) -> Change {
    let columns = vec![
        ("k".to_owned(), ColumnKind::Partition(0), CqlType::Int),
        ("v".to_owned(), ColumnKind::Regular, CqlType::Text),
    ];
    let spec = TableSpec {
        keyspace: "app".to_owned(),
        name: "t".to_owned(),
        conflict: None,
        columns,
        comment: "a remark".to_owned(),
    };
    Change::CreateTable { spec, default_conflict: Conflict::Siblings, if_not_exists }
}

fn drop_table(if_exists: bool) -> Change {
    Change::DropTable { keyspace: "app".to_owned(), name: "t".to_owned(), if_exists }
}

/// Applies changes one after the other; each must make a new value.
fn after(mut value: ClusterMetadata, changes: &[Change]) -> ClusterMetadata {
    for (number, change) in (1_000..).zip(changes) {
        value = change.apply(&value, ChangeId(number)).unwrap();
    }
    value
}

fn refusal(value: &ClusterMetadata, change: &Change) -> ChangeError {
    match change.apply(value, ChangeId(1)) {
        Err(Declined::Refused(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn formed() -> ClusterMetadata {
    after(founded(3), &[Change::Join(member(2)), Change::Join(member(3))])
}

#[test]
fn a_change_makes_the_next_epoch_and_is_remembered() {
    let before = founded(1);
    let next = Change::Join(member(2)).apply(&before, ChangeId(5)).unwrap();
    assert_eq!((before.epoch, next.epoch), (1, 2));
    assert!(next.remembers(ChangeId(5)) && !before.remembers(ChangeId(5)));
}

#[test]
fn partitions_are_shared_as_nodes_register_while_there_is_no_keyspace() {
    let value = formed();
    assert!(value.is_formed() && !founded(3).is_formed());
    for number in 1..=3 {
        let owned = value.owners.iter().filter(|owner| **owner == host(number)).count();
        assert!((2..=3).contains(&owned), "{number}: {owned}");
    }
}

#[test]
fn a_node_that_comes_after_the_first_keyspace_owns_nothing() {
    let before = after(formed(), &[create_keyspace(false)]);
    let value = after(before.clone(), &[Change::Join(member(4))]);
    assert_eq!(value.owners, before.owners);
    assert!(value.member(host(4)).is_some() && !value.owns_partitions(host(4)));
}

#[test]
fn a_member_that_registers_again_changes_its_record_and_nothing_else() {
    let value = formed();
    let same = Change::Join(member(2)).apply(&value, ChangeId(1));
    assert_eq!(same, Err(Declined::Nothing));
    let moved = Member { store: StoreId(999), ..member(2) };
    let next = after(value.clone(), &[Change::Join(moved.clone())]);
    assert_eq!((next.member(host(2)), &next.owners), (Some(&moved), &value.owners));
}

#[test]
fn no_keyspace_is_made_before_enough_nodes_own_partitions() {
    let not_formed = ChangeError::NotFormed { joined: 1, needed: 3 };
    assert_eq!(refusal(&founded(3), &create_keyspace(false)), not_formed);
}

#[test]
fn what_exists_is_an_error_unless_the_statement_says_otherwise() {
    let value = after(formed(), &[create_keyspace(false), create_table(false)]);
    let keyspace = ChangeError::KeyspaceExists { keyspace: "app".to_owned() };
    assert_eq!(refusal(&value, &create_keyspace(false)), keyspace);
    assert!(matches!(refusal(&value, &create_table(false)), ChangeError::TableExists { .. }));
    for change in [create_keyspace(true), create_table(true)] {
        assert_eq!(change.apply(&value, ChangeId(1)), Err(Declined::Nothing));
    }
}

#[test]
fn what_is_missing_is_an_error_unless_the_statement_says_otherwise() {
    let value = after(formed(), &[create_keyspace(false)]);
    assert!(matches!(refusal(&value, &drop_table(false)), ChangeError::NoTable { .. }));
    assert_eq!(drop_table(true).apply(&value, ChangeId(1)), Err(Declined::Nothing));
    let gone = |if_exists| Change::DropKeyspace { name: "gone".to_owned(), if_exists };
    assert!(matches!(refusal(&value, &gone(false)), ChangeError::NoKeyspace { .. }));
    assert_eq!(gone(true).apply(&value, ChangeId(1)), Err(Declined::Nothing));
    assert!(matches!(refusal(&formed(), &create_table(false)), ChangeError::NoKeyspace { .. }));
}

#[test]
fn a_table_that_is_made_anew_has_another_number() {
    let first = after(formed(), &[create_keyspace(false), create_table(false)]);
    let second = after(first.clone(), &[drop_table(false), create_table(false)]);
    let id = |value: &ClusterMetadata| value.schema.keyspaces["app"].tables["t"].id;
    assert_ne!(id(&first), id(&second));
}

#[test]
fn replication_cannot_be_changed_and_other_settings_can() {
    let value = after(formed(), &[create_keyspace(false)]);
    let alter = |replication_factor, durable_writes| Change::AlterKeyspace {
        name: "app".to_owned(),
        strategy: Some(Strategy::Simple { replication_factor }),
        durable_writes: Some(durable_writes),
        conflict: None,
    };
    assert!(matches!(refusal(&value, &alter(2, true)), ChangeError::ReplicationFixed { .. }));
    assert!(!after(value, &[alter(3, false)]).schema.keyspaces["app"].durable_writes);
}

#[test]
fn a_strategy_may_name_only_data_centers_that_somebody_is_in() {
    let strategy = Strategy::NetworkTopology([("dc9".to_owned(), 3)].into());
    let change =
        Change::CreateKeyspace { keyspace: keyspace("app", strategy), if_not_exists: false };
    assert!(matches!(refusal(&formed(), &change), ChangeError::NoDatacenter { .. }));
}

#[test]
fn a_seat_is_given_to_the_store_of_a_member_and_to_no_other() {
    let value = after(formed(), &[Change::Join(member(4))]);
    let replace = |old, new| Change::ReplaceAcceptor { old: StoreId(old), new: StoreId(new) };
    let next = after(value.clone(), &[replace(103, 104)]);
    assert_eq!(next.acceptors.now(), &Stores::new([101, 102, 104].map(StoreId)).unwrap());
    assert!(matches!(refusal(&value, &replace(103, 105)), ChangeError::NoMember { .. }));
    assert!(matches!(refusal(&value, &replace(104, 102)), ChangeError::Acceptors { .. }));
}

#[test]
fn equal_schemas_have_equal_versions_whatever_else_differs() {
    let value = after(formed(), &[create_keyspace(false), create_table(false)]);
    let version = |value| Snapshot::new(value).unwrap().schema_version;
    let joined = after(value.clone(), &[Change::Join(member(4))]);
    assert_eq!(version(value.clone()), version(joined));
    assert_ne!(version(value.clone()), version(after(value, &[drop_table(false)])));
}

#[test]
fn a_snapshot_finds_tables_by_name_and_by_number() {
    let value = after(formed(), &[create_keyspace(false), create_table(false)]);
    let snapshot = Snapshot::new(value).unwrap();
    let table = snapshot.table("app", "t").unwrap();
    assert_eq!(snapshot.table_by_id(table.id).unwrap(), table);
    assert_eq!(snapshot.table("app", "u"), None);
    assert_eq!(table.column("v").unwrap().ty, CqlType::Text);
}

#[test]
fn the_stored_form_keeps_its_bytes() {
    let value = after(formed(), &[create_keyspace(false), create_table(false)]);
    let golden = golden(include_str!("../../golden/metadata-1.hex"));
    assert_eq!(value.encode(), golden, "a change of this form needs a new version byte");
    assert_eq!(ClusterMetadata::decode(&value.encode()), Ok(value));
}

#[test]
fn bytes_that_are_no_metadata_are_refused() {
    let bytes = formed().encode();
    for len in 0..bytes.len() {
        assert!(ClusterMetadata::decode(&bytes[..len]).is_err(), "{len}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(ClusterMetadata::decode(&longer).is_err());
    let newer = [&[9], &bytes[1..]].concat();
    assert_eq!(ClusterMetadata::decode(&newer), Err(DecodeError::Newer { found: 9 }));
}
