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

pub(crate) fn keyspace(name: &str, strategy: Strategy) -> Keyspace {
    Keyspace {
        name: name.to_owned(),
        strategy,
        durable_writes: true,
        conflict: None,
        sloppy_quorum: None,
        tables: BTreeMap::new(),
    }
}

fn create_keyspace(if_not_exists: bool) -> Change {
    let strategy = Strategy::Simple { replication_factor: 3 };
    Change::CreateKeyspace { keyspace: keyspace("app", strategy), if_not_exists }
}

pub(crate) fn create_table(if_not_exists: bool) -> Change {
    let columns = vec![
        ("k".to_owned(), ColumnKind::Partition(0), CqlType::Int),
        ("v".to_owned(), ColumnKind::Regular, CqlType::Text),
    ];
    let spec = TableSpec {
        keyspace: "app".to_owned(),
        name: "t".to_owned(),
        conflict: None,
        sloppy_quorum: None,
        speculative_retry: SpeculativeRetry::DEFAULT,
        columns,
        comment: "a remark".to_owned(),
    };
    Change::CreateTable { spec, default_conflict: Conflict::Siblings, if_not_exists }
}

pub(crate) fn drop_table(if_exists: bool) -> Change {
    Change::DropTable { keyspace: "app".to_owned(), name: "t".to_owned(), if_exists }
}

/// Applies changes one after the other; each must make a new value.
pub(crate) fn after(mut value: ClusterMetadata, changes: &[Change]) -> ClusterMetadata {
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

pub(crate) fn formed() -> ClusterMetadata {
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

fn altered(value: &ClusterMetadata, alteration: Alteration) -> Result<Table, Declined> {
    let next = alter(alteration, false).apply(value, ChangeId(1))?;
    Ok(next.schema.keyspaces["app"].tables["t"].clone())
}

fn alter(alteration: Alteration, if_exists: bool) -> Change {
    Change::AlterTable { keyspace: "app".to_owned(), name: "t".to_owned(), alteration, if_exists }
}

fn add(names: &[&str], if_not_exists: bool) -> Alteration {
    let columns = names.iter().map(|name| ((*name).to_owned(), CqlType::Int)).collect();
    Alteration::Add { columns, if_not_exists }
}

fn dropping(names: &[&str], if_exists: bool) -> Alteration {
    Alteration::Drop { columns: names.iter().map(|name| (*name).to_owned()).collect(), if_exists }
}

fn rename(from: &str, to: &str, if_exists: bool) -> Alteration {
    Alteration::Rename { columns: vec![(from.to_owned(), to.to_owned())], if_exists }
}

fn with_table() -> ClusterMetadata {
    after(formed(), &[create_keyspace(false), create_table(false)])
}

fn columns(table: &Table) -> Vec<(&str, u32)> {
    table.columns.iter().map(|column| (column.name.as_str(), column.id.0)).collect()
}

#[test]
fn added_columns_stand_by_name_and_have_numbers_of_their_own() {
    let table = altered(&with_table(), add(&["z", "a", "w"], false)).unwrap();
    assert_eq!(columns(&table), [("k", 0), ("a", 3), ("v", 1), ("w", 4), ("z", 2)]);
    assert_eq!((table.next_column, table.dropped().count()), (5, 0));
}

#[test]
fn a_name_that_is_dropped_and_added_again_has_another_number() {
    let value = after(
        with_table(),
        &[
            alter(dropping(&["v"], false), false),
            alter(add(&["v"], false), false),
            alter(dropping(&["v"], false), false),
        ],
    );
    let table = altered(&value, add(&["v"], false)).unwrap();
    assert_eq!(columns(&table), [("k", 0), ("v", 3)]);
    assert_eq!(table.dropped().collect::<Vec<_>>(), [ColumnId(1), ColumnId(2)]);
    assert_eq!(table.column("v").unwrap().ty, CqlType::Int);
}

#[test]
fn columns_of_the_key_can_be_renamed_and_never_dropped_and_others_the_other_way_round() {
    let value = with_table();
    let renamed = altered(&value, rename("k", "key", false)).unwrap();
    assert_eq!(columns(&renamed), [("key", 0), ("v", 1)]);
    let refused = |alteration| refusal(&value, &alter(alteration, false));
    let dropped = ChangeError::KeyColumnDropped { column: "k".to_owned() };
    assert_eq!(refused(dropping(&["k"], false)), dropped);
    let regular = ChangeError::RegularColumnRenamed { column: "v".to_owned() };
    assert_eq!(refused(rename("v", "w", false)), regular);
    assert!(matches!(refused(rename("k", "v", false)), ChangeError::ColumnNameTaken { .. }));
}

#[test]
fn an_alteration_is_made_whole_or_not_at_all() {
    let value = with_table();
    for alteration in [add(&["a", "v"], false), add(&["a", "a"], false)] {
        let refused = refusal(&value, &alter(alteration, false));
        assert!(matches!(refused, ChangeError::ColumnExists { .. }), "{refused}");
    }
    let refused = refusal(&value, &alter(dropping(&["v", "v"], false), false));
    assert!(matches!(refused, ChangeError::NoColumn { .. }), "{refused}");
}

#[test]
fn what_an_alteration_does_not_find_is_an_error_unless_the_statement_says_otherwise() {
    let value = with_table();
    for alteration in [add(&["v"], true), dropping(&["x"], true), rename("x", "y", true)] {
        let same = alter(alteration, false).apply(&value, ChangeId(1));
        assert_eq!(same, Err(Declined::Nothing));
    }
    let added = altered(&value, add(&["v", "w"], true)).unwrap();
    assert_eq!(columns(&added), [("k", 0), ("v", 1), ("w", 2)]);
    for alteration in [dropping(&["x"], false), rename("x", "y", false)] {
        let refused = refusal(&value, &alter(alteration, false));
        assert!(matches!(refused, ChangeError::NoColumn { .. }), "{refused}");
    }
    let gone = after(value, &[drop_table(false)]);
    let altered = |if_exists| alter(add(&["a"], false), if_exists);
    assert!(matches!(refusal(&gone, &altered(false)), ChangeError::NoTable { .. }));
    assert_eq!(altered(true).apply(&gone, ChangeId(1)), Err(Declined::Nothing));
}

#[test]
fn a_comment_is_altered_where_the_statement_names_one() {
    let value = with_table();
    let comment = |comment: Option<&str>| Alteration::Options {
        comment: comment.map(str::to_owned),
        sloppy_quorum: None,
        speculative_retry: None,
    };
    assert_eq!(altered(&value, comment(Some("new"))).unwrap().comment, "new");
    let same = alter(comment(None), false).apply(&value, ChangeId(1));
    assert_eq!(same, Err(Declined::Nothing));
}

#[test]
fn columns_are_bounded_at_one_time_and_over_all_time() {
    let mut value = with_table();
    let table = |value: &mut ClusterMetadata| {
        let keyspace = value.schema.keyspaces.get_mut("app").unwrap();
        keyspace.tables.remove("t").unwrap()
    };
    let mut wide = table(&mut value);
    wide.next_column = COLUMN_IDS_MAX - 1;
    let put = |table: Table| {
        let mut value = with_table();
        value.schema.keyspaces.get_mut("app").unwrap().tables.insert("t".to_owned(), table);
        value
    };
    let last = altered(&put(wide), add(&["a"], false)).unwrap();
    let refused = refusal(&put(last), &alter(add(&["b"], false), false));
    assert!(matches!(refused, ChangeError::ColumnsUsedUp { .. }), "{refused}");
    let names: Vec<String> = (0..COLUMNS_MAX).map(|number| format!("c{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let full = altered(&with_table(), add(&names[2..], false)).unwrap();
    assert_eq!(full.columns.len(), COLUMNS_MAX);
    let refused = refusal(&put(full), &alter(add(&["b"], false), false));
    assert_eq!(refused, ChangeError::TooManyColumns { max: COLUMNS_MAX });
}

#[test]
fn truncate_ends_the_life_of_the_rows_and_keeps_all_else() {
    let value = with_table();
    let truncate = Change::Truncate { keyspace: "app".to_owned(), name: "t".to_owned() };
    let next = after(value.clone(), &[truncate.clone(), truncate.clone()]);
    let table = |value: &ClusterMetadata| value.schema.keyspaces["app"].tables["t"].clone();
    assert_eq!(table(&next), Table { epoch: 2, ..table(&value) });
    let [before, now] = [&value, &next].map(|value| Snapshot::new(value.clone()).unwrap());
    assert_eq!(before.schema_version, now.schema_version, "drivers see no difference");
    let id = table(&value).id;
    let lives: Vec<Life> = (0..4).map(|epoch| now.life(id, epoch)).collect();
    assert_eq!(lives, [Life::Over, Life::Over, Life::Living, Life::Unborn]);
    let gone = after(next, &[drop_table(false)]);
    assert!(matches!(refusal(&gone, &truncate), ChangeError::NoTable { .. }));
    let gone = Snapshot::new(gone).unwrap();
    assert_eq!(gone.life(id, 2), Life::Over);
    assert_eq!(gone.life(TableId(id.0 + 1), 0), Life::Unborn);
}

/// Both are asked for under the same metadata; the later one is applied to what the first left.
#[test]
fn alterations_from_two_nodes_follow_one_another() {
    let value = with_table();
    let both =
        after(value.clone(), &[alter(add(&["a"], false), false), alter(add(&["b"], false), false)]);
    let table = &both.schema.keyspaces["app"].tables["t"];
    assert_eq!(columns(table), [("k", 0), ("a", 2), ("b", 3), ("v", 1)]);
    let first = after(value, &[alter(add(&["a"], false), false)]);
    let second = refusal(&first, &alter(add(&["a"], false), false));
    assert!(matches!(second, ChangeError::ColumnExists { .. }));
}

#[test]
fn replication_cannot_be_changed_and_other_settings_can() {
    let value = after(formed(), &[create_keyspace(false)]);
    let alter = |replication_factor, durable_writes| Change::AlterKeyspace {
        name: "app".to_owned(),
        strategy: Some(Strategy::Simple { replication_factor }),
        durable_writes: Some(durable_writes),
        conflict: None,
        sloppy_quorum: None,
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
    let value = after(
        with_table(),
        &[alter(dropping(&["v"], false), false), alter(add(&["w"], false), false)],
    );
    let golden = golden(include_str!("../../golden/metadata-3.hex"));
    assert_eq!(value.encode(), golden, "a change of this form needs a new version byte");
    assert_eq!(ClusterMetadata::decode(&value.encode()), Ok(value));
}

#[test]
fn the_second_stored_form_is_read_still_and_nobody_stands_in() {
    let value = after(
        with_table(),
        &[alter(dropping(&["v"], false), false), alter(add(&["w"], false), false)],
    );
    let golden = golden(include_str!("../../golden/metadata-2.hex"));
    assert_eq!(ClusterMetadata::decode(&golden), Ok(strict(value)));
}

/// The value as it was before there were stand-ins.
fn strict(mut value: ClusterMetadata) -> ClusterMetadata {
    for keyspace in value.schema.keyspaces.values_mut() {
        keyspace.tables.values_mut().for_each(|table| table.sloppy_quorum = false);
    }
    value
}

#[test]
fn stand_ins_count_where_table_keyspace_or_conflict_mode_say_so() {
    let tables = [
        (None, Conflict::Siblings, None, true),
        (None, Conflict::Lww, None, false),
        (Some(true), Conflict::Lww, None, true),
        (Some(false), Conflict::Siblings, None, false),
        (Some(false), Conflict::Siblings, Some(true), true),
    ];
    for (of_keyspace, conflict, of_table, expected) in tables {
        let Change::CreateTable { spec, .. } = create_table(false) else { unreachable!() };
        let spec = TableSpec { conflict: Some(conflict), sloppy_quorum: of_table, ..spec };
        let create = Change::CreateTable { spec, default_conflict: conflict, if_not_exists: false };
        let strategy = Strategy::Simple { replication_factor: 3 };
        let keyspace = Keyspace { sloppy_quorum: of_keyspace, ..keyspace("app", strategy) };
        let keyspace = Change::CreateKeyspace { keyspace, if_not_exists: false };
        let value = after(formed(), &[keyspace, create]);
        assert_eq!(value.schema.keyspaces["app"].tables["t"].sloppy_quorum, expected);
    }
}

#[test]
fn whether_stand_ins_count_is_altered_where_the_statement_says() {
    let options = |sloppy_quorum| {
        let (comment, speculative_retry) = (None, None);
        alter(Alteration::Options { comment, sloppy_quorum, speculative_retry }, false)
    };
    let value = after(with_table(), &[options(Some(false))]);
    assert!(!value.schema.keyspaces["app"].tables["t"].sloppy_quorum);
    assert_eq!(options(None).apply(&value, ChangeId(9)), Err(Declined::Nothing));
}

#[test]
fn when_reads_ask_one_more_is_altered_where_the_statement_says() {
    let options = |speculative_retry| {
        let (comment, sloppy_quorum) = (None, None);
        alter(Alteration::Options { comment, sloppy_quorum, speculative_retry }, false)
    };
    let value = after(with_table(), &[options(Some(SpeculativeRetry::Never))]);
    let table = &value.schema.keyspaces["app"].tables["t"];
    assert_eq!(table.speculative_retry, SpeculativeRetry::Never);
    assert_eq!(options(None).apply(&value, ChangeId(9)), Err(Declined::Nothing));
}

#[test]
fn the_first_stored_form_is_read_still() {
    let golden = golden(include_str!("../../golden/metadata-1.hex"));
    let value = ClusterMetadata::decode(&golden).unwrap();
    assert_eq!(value, strict(with_table()));
    assert_eq!(value.schema.keyspaces["app"].tables["t"].next_column, 2);
}

#[test]
fn within_something_greater_the_value_keeps_its_version() {
    let value = with_table();
    let inside = postcard::to_stdvec(&(7_u8, &value)).unwrap();
    assert_eq!(postcard::from_bytes(&inside), Ok((7_u8, value)));
    let newer = postcard::to_stdvec(&(7_u8, [&[9][..], &inside[3..]].concat())).unwrap();
    assert!(postcard::from_bytes::<(u8, ClusterMetadata)>(&newer).is_err());
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
