//! INSERT, UPDATE and DELETE.

use std::collections::BTreeMap;

use proptest::prelude::*;
use repair::version::{Change, ColumnChange, Expiry, SiblingLimits, VersionVector};
use types::{Consistency, CqlType};

use crate::coord::RowChange;
use crate::plan::fixture::{
    Fixture, NOW_US, OneWrite, Sent, dot, hex, one_write, row, shown, specs, version,
};
use crate::plan::{BindContext, ChangesOp, ChangesRead, Plan, PlanError, Round};
use crate::replica::RowCopy;
use crate::store::keys::RowKey;

fn write(plan: Result<Plan, PlanError>) -> OneWrite {
    one_write(plan)
}

/// The columns of an INSERT by name, and its marker.
fn inserted(plan: &OneWrite) -> (BTreeMap<String, (Vec<u8>, Expiry)>, Expiry) {
    let Change::Insert { columns, marker } = &plan.write.change else { panic!("{plan:?}") };
    let name =
        |id| plan.table.columns.iter().find(|column| column.id.0 == id).unwrap().name.clone();
    let columns =
        columns.iter().map(|column| (name(column.id), (column.value.to_vec(), column.expiry)));
    (columns.collect(), *marker)
}

fn updated(plan: &OneWrite) -> BTreeMap<String, ColumnChange> {
    let Change::Update(changes) = &plan.write.change else { panic!("{plan:?}") };
    let name = |id: &u32| {
        plan.table.columns.iter().find(|column| column.id.0 == *id).unwrap().name.clone()
    };
    changes.iter().map(|(id, change)| (name(id), change.clone())).collect()
}

#[test]
fn an_insert_takes_values_of_every_type_from_text_and_request_alike() {
    let fixture = Fixture::new();
    let literals = "INSERT INTO things (id, int, bigint, text, blob, boolean, uuid, timestamp, tags) \
        VALUES ('x', -1, 2, 'it''s', 0x00ff, true, 550e8400-e29b-41d4-a716-446655440000, \
        '1970-01-01T00:00:01Z', {'b', 'a', 'b'})";
    let markers = "INSERT INTO things (id, int, bigint, text, blob, boolean, uuid, timestamp, tags) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let uuid = 0x550e_8400_e29b_41d4_a716_4466_5544_0000_u128.to_be_bytes();
    let sent: [&[u8]; 9] = [
        b"x",
        &(-1_i32).to_be_bytes(),
        &2_i64.to_be_bytes(),
        b"it's",
        &[0, 255],
        &[1],
        &uuid,
        &1_000_i64.to_be_bytes(),
        b"\0\0\0\x03\0\0\0\x01b\0\0\0\x01a\0\0\0\x01b",
    ];
    let from_text = write(fixture.plan(literals));
    let from_request = write(fixture.plan_with(markers, &sent.map(Sent::Bytes)));
    assert_eq!(from_text.write, from_request.write);
    assert_eq!(from_text.key, from_request.key);

    let (columns, marker) = inserted(&from_text);
    let mut wanted: BTreeMap<_, _> =
        ["int", "bigint", "text", "blob", "boolean", "uuid", "timestamp"]
            .into_iter()
            .zip(&sent[1..8])
            .map(|(name, value)| (name.to_owned(), (value.to_vec(), Expiry::Never)))
            .collect();
    let sorted = b"\0\0\0\x02\0\0\0\x01a\0\0\0\x01b".to_vec();
    wanted.insert("tags".to_owned(), (sorted, Expiry::Never));
    assert_eq!((columns, marker), (wanted, Expiry::Never));
}

proptest! {
    /// Whatever bytes a client binds: they are a value of the column's type, and then they are
    /// written in its canonical form, or the statement is refused.
    #[test]
    fn bytes_are_written_exactly_where_they_are_a_value(
        column in prop::sample::select(&["int", "bigint", "text", "blob", "boolean", "uuid", "timestamp", "tags"][..]),
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            prop::collection::vec("[a-c]{0,2}", 0..4).prop_map(|elements| set_of(&elements)),
        ],
    ) {
        let fixture = Fixture::new();
        let text = format!("INSERT INTO things (id, {column}) VALUES ('x', ?)");
        let plan = fixture.plan_with(&text, &[Sent::Bytes(&bytes)]);
        let kind = fixture.snapshot.table("app", "things").unwrap().column(column).unwrap().ty.clone();
        let Ok(value) = types::Value::decode(&kind, &bytes) else {
            let is_refused = matches!(plan, Err(PlanError::Value { .. }));
            prop_assert!(is_refused, "{:?}", plan);
            return Ok(());
        };
        let (columns, _) = inserted(&write(plan));
        let written = columns.get(column).map(|(bytes, _)| bytes.clone());
        let is_empty_set = value == types::Value::Set(Vec::new());
        prop_assert_eq!(written, (!is_empty_set).then(|| value.encode(&kind).unwrap()));
    }
}

/// A set of texts as a client sends it, in any order and with doubles.
fn set_of(elements: &[String]) -> Vec<u8> {
    let len = |len: usize| i32::try_from(len).unwrap().to_be_bytes().to_vec();
    let element = |text: &String| [len(text.len()), text.clone().into_bytes()].concat();
    elements.iter().fold(len(elements.len()), |set, text| [set, element(text)].concat())
}

#[test]
fn a_write_carries_what_the_replica_needs() {
    let mut fixture = Fixture::new();
    fixture.limits.siblings = SiblingLimits { warn: 3, max: 5 };
    let plan = write(fixture.plan("INSERT INTO t (k, v) VALUES (1, 'x')"));
    assert_eq!((plan.table.name.as_str(), plan.level), ("t", Consistency::Quorum));
    assert_eq!((plan.write.now, plan.write.write_time), (NOW_US, NOW_US + 1));
    assert_eq!(plan.write.limits, fixture.limits.siblings);
    assert!(plan.write.context.is_empty() && !plan.reads_first && plan.returning.is_none());
    assert_eq!(plan.key.partition_key(), [0, 0, 0, 1]);
    assert_eq!(plan.key.token(), ring::Token::of_key(&[0, 0, 0, 1]));
    assert_eq!(plan.key.life().table, plan.table.id.0);
}

#[test]
fn nulls_empty_sets_and_values_not_set_are_no_columns_of_an_insert() {
    let fixture = Fixture::new();
    let plan = write(fixture.plan("INSERT INTO t (k, v, w, tags) VALUES (1, '', null, {})"));
    let (columns, _) = inserted(&plan);
    assert_eq!(columns, BTreeMap::from([("v".to_owned(), (vec![], Expiry::Never))]));
    let sent = [Sent::Null, Sent::Unset, Sent::Bytes(&[0; 4])];
    let text = "INSERT INTO t (k, v, w, tags) VALUES (1, ?, ?, ?)";
    let (columns, _) = inserted(&write(fixture.plan_with(text, &sent)));
    assert_eq!(columns, BTreeMap::new());
}

#[test]
fn a_set_may_have_markers_for_elements() {
    let fixture = Fixture::new();
    let text = "INSERT INTO t (k, tags) VALUES (1, {'b', ?})";
    assert_eq!(
        specs(fixture.prepare(text).unwrap().markers()),
        [("value(tags)".to_owned(), CqlType::Text)]
    );
    let (columns, _) = inserted(&write(fixture.plan_with(text, &[Sent::Bytes(b"a")])));
    assert_eq!(columns["tags"].0, b"\0\0\0\x02\0\0\0\x01a\0\0\0\x01b");
    assert!(matches!(fixture.plan_with(text, &[Sent::Null]), Err(PlanError::Null { .. })));
}

#[test]
fn a_ttl_ends_columns_and_row_at_an_instant() {
    let fixture = Fixture::new();
    let insert = |ttl: &str| {
        let text = format!("INSERT INTO t (k, v) VALUES (1, 'x') USING TTL {ttl}");
        inserted(&write(fixture.plan(&text)))
    };
    let (columns, marker) = insert("10");
    let end = Expiry::At(NOW_US + 10_000_000);
    assert_eq!((columns["v"].1, marker), (end, end));
    assert_eq!(insert("0").1, Expiry::Never);
    assert_eq!(insert("630720000").1, Expiry::At(NOW_US + 630_720_000_000_000));
    let bound = "UPDATE t USING TTL ? SET v = 'x' WHERE k = 1";
    let update = |sent: Sent<'_>| updated(&write(fixture.plan_with(bound, &[sent])))["v"].clone();
    let set = |expiry| ColumnChange::Set { value: "x".into(), expiry };
    assert_eq!(update(Sent::Bytes(&10_i32.to_be_bytes())), set(end));
    assert_eq!(update(Sent::Unset), set(Expiry::Never));
}

#[test]
fn an_update_says_what_becomes_of_each_column() {
    let fixture = Fixture::new();
    let changes = |text: &str| updated(&write(fixture.plan(text)));
    let set =
        |value: &'static [u8]| ColumnChange::Set { value: value.into(), expiry: Expiry::Never };
    let found = changes("UPDATE t SET v = 'x', w = null, tags = {'b', 'a'} WHERE k = 1");
    assert_eq!(found["v"], set(b"x"));
    assert_eq!(found["w"], ColumnChange::Clear);
    assert_eq!(found["tags"], set(b"\0\0\0\x02\0\0\0\x01a\0\0\0\x01b"));
    let (elements, of) = (bytes::Bytes::from_static(b"\0\0\0\x01\0\0\0\x01a"), CqlType::Text);
    let added = changes("UPDATE t USING TTL 1 SET tags = tags + {'a'} WHERE k = 1");
    let expiry = Expiry::At(NOW_US + 1_000_000);
    let wanted = ColumnChange::SetAdd { elements: elements.clone(), of: of.clone(), expiry };
    assert_eq!(added["tags"], wanted);
    assert_eq!(
        changes("UPDATE t SET tags -= {'a'} WHERE k = 1")["tags"],
        ColumnChange::SetRemove { elements, of }
    );
    assert_eq!(changes("UPDATE t SET tags = {} WHERE k = 1")["tags"], ColumnChange::Clear);
}

#[test]
fn an_update_that_changes_nothing_writes_nothing() {
    let fixture = Fixture::new();
    for (text, sent) in [
        ("UPDATE t SET v = ? WHERE k = 1", &[Sent::Unset][..]),
        ("UPDATE t SET tags = tags + {} WHERE k = 1", &[]),
        ("UPDATE t SET tags = tags - ? WHERE k = 1", &[Sent::Null]),
    ] {
        assert!(matches!(fixture.plan_with(text, sent), Ok(Plan::Nothing)), "{text}");
        let returning = format!("{text} RETURNING *");
        assert!(matches!(fixture.plan_with(&returning, sent), Ok(Plan::ReadRow(_))), "{text}");
    }
    let text = "UPDATE t SET v = ?, w = 1 WHERE k = 1";
    let changes = updated(&write(fixture.plan_with(text, &[Sent::Unset])));
    assert_eq!(changes.keys().collect::<Vec<_>>(), ["w"], "what is not set is left alone");
}

#[test]
fn a_delete_reads_first_only_without_a_context() {
    let fixture = Fixture::new();
    let blind = write(fixture.plan("DELETE FROM t WHERE k = 1"));
    assert!(blind.reads_first && blind.write.change == Change::Remove);
    assert!(blind.write.context.is_empty());

    let context = sealed_context(&fixture, "SELECT context() FROM t WHERE k = 1", 3);
    let text = "DELETE FROM t USING CONTEXT ? WHERE k = 1";
    let seeing = write(fixture.plan_with(text, &[Sent::Bytes(&context)]));
    assert!(!seeing.reads_first && seeing.write.change == Change::Remove);
    assert_eq!(seeing.write.context, VersionVector::from_iter([dot(3)]));
}

#[test]
fn a_delete_of_columns_is_an_update_to_null() {
    let fixture = Fixture::new();
    let plan = write(fixture.plan("DELETE v, tags FROM t WHERE k = 1"));
    assert!(!plan.reads_first);
    let cleared = |name: &str| (name.to_owned(), ColumnChange::Clear);
    assert_eq!(updated(&plan), BTreeMap::from([cleared("v"), cleared("tags")]));
}

#[test]
fn a_delete_of_a_stretch_removes_each_row_with_what_was_read_of_it() {
    let mut fixture = Fixture::new();
    fixture.limits.delete_rows_max = 2;
    let Ok(Plan::Write(plan)) = fixture.plan("DELETE FROM lines WHERE p = 1") else {
        panic!("a write")
    };
    let key = |c: i32| {
        let insert = format!("INSERT INTO lines (p, c, d) VALUES (1, {c}, 'x')");
        write(fixture.plan(&insert)).key
    };
    let living = |counter| RowCopy::Siblings(row(counter, vec![version(counter, &[])]));
    let tombstone = RowCopy::Siblings(row(9, vec![]));
    let bytes = |key: &RowKey| key.as_bytes().clone();

    let mut op = plan.changes.clone();
    let first = round(&mut op).unwrap();
    assert!(first.range.contains(key(1).as_bytes()) && first.rows_max == 3);
    let page = vec![(bytes(&key(3)), living(1)), (bytes(&key(2)), tombstone)];
    op.on_rows(page, Some(bytes(&key(2)))).unwrap();
    let second = round(&mut op).unwrap();
    assert!(!second.range.contains(key(2).as_bytes()) && second.range.contains(key(1).as_bytes()));
    op.on_rows(vec![(bytes(&key(1)), living(2))], None).unwrap();
    assert!(round(&mut op).is_none());
    let writes = op.finish().writes;
    let [partition] = writes.as_slice() else { panic!("{writes:?}") };
    let removals = partition.changes.iter().map(|change| match change {
        RowChange::Versioned { key, write, reads_first: false, .. } => (key.clone(), write.clone()),
        other => panic!("{other:?}"),
    });
    let removals: Vec<_> = removals.collect();
    assert_eq!(removals.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), [key(3), key(1)]);
    assert_eq!(removals[1].1.context, VersionVector::from_iter([dot(2)]));
    assert!(removals.iter().all(|(_, write)| write.change == Change::Remove));

    let mut op = plan.changes;
    round(&mut op).unwrap();
    let three = (1..=3).map(|c| (bytes(&key(c)), living(1))).collect();
    assert_eq!(op.on_rows(three, None), Err(PlanError::TooManyRows { max: 2 }));
}

/// The rows that are to be read next.
fn round(op: &mut ChangesOp) -> Option<Round> {
    match op.next_read()? {
        ChangesRead::Rows { round, .. } => Some(round),
        other @ ChangesRead::Row { .. } => panic!("{other:?}"),
    }
}

#[test]
fn a_context_is_good_for_its_row_its_time_and_its_cluster() {
    let fixture = Fixture::new();
    let context = sealed_context(&fixture, "SELECT context() FROM t WHERE k = 1", 3);
    let write_at = |text: &str, now_us| {
        let request = BindContext { now_us, ..fixture.request() };
        fixture.plan_of(text, &[Sent::Bytes(&context)], &request).map(|_| ())
    };
    let insert = "INSERT INTO t (k, v) VALUES (1, 'x') USING CONTEXT ?";
    assert_eq!(write_at(insert, NOW_US), Ok(()));
    assert_eq!(write_at("SELECT v FROM t WHERE k = 1 USING CONTEXT ?", NOW_US), Ok(()));
    let age = fixture.limits.sealed_age_max_us;
    assert_eq!(write_at(insert, NOW_US + age), Ok(()));
    let expired = write_at(insert, NOW_US + age + 1).unwrap_err();
    assert_eq!(expired, PlanError::ExpiredContext);
    assert_eq!(expired.to_string(), "expired context: read the row again");
    for foreign in [
        "INSERT INTO t (k, v) VALUES (2, 'x') USING CONTEXT ?",
        "DELETE FROM things USING CONTEXT ? WHERE id = 'x'",
    ] {
        let refusal = write_at(foreign, NOW_US).unwrap_err();
        assert!(matches!(refusal, PlanError::BadContext { .. }), "{foreign}: {refusal:?}");
    }
    let mut abroad = Fixture::new();
    abroad.snapshot.value.secrets.current.key = [8; 32];
    let refusal = abroad.plan_with(insert, &[Sent::Bytes(&context)]).unwrap_err();
    assert!(matches!(refusal, PlanError::BadContext { .. }), "{refusal:?}");
}

/// The context that a SELECT shows for a row with this many writes in its history.
fn sealed_context(fixture: &Fixture, select: &str, counter: u64) -> Vec<u8> {
    let Ok(Plan::ReadRow(plan)) = fixture.plan(select) else { panic!("{select}") };
    let stored = RowCopy::Siblings(row(counter, vec![]));
    let result =
        shown(plan.answer.columns(), |out| plan.answer.write(out, &plan.key, &stored).unwrap());
    result.rows[0][0].clone().unwrap()
}

#[test]
fn the_context_of_a_row_never_seen_is_a_context() {
    let fixture = Fixture::new();
    let empty = sealed_context(&fixture, "SELECT context() FROM t WHERE k = 1", 0);
    let text = "INSERT INTO t (k, v) VALUES (1, 'x') USING CONTEXT ?";
    let plan = write(fixture.plan_with(text, &[Sent::Bytes(&empty)]));
    assert!(plan.write.context.is_empty());
    let delete = "DELETE FROM t USING CONTEXT ? WHERE k = 1";
    let plan = write(fixture.plan_with(delete, &[Sent::Bytes(&empty)]));
    assert!(!plan.reads_first, "it removes what its client saw: nothing");
}

#[test]
fn a_context_has_its_bytes_for_ever() {
    let fixture = Fixture::new();
    let context = sealed_context(&fixture, "SELECT context() FROM t WHERE k = 1", 3);
    assert_eq!(hex(&context), GOLDEN_CONTEXT);
}

/// Head, a vector of one actor (store 1, epoch 1) that wrote three times, MAC.
const GOLDEN_CONTEXT: &str = concat!(
    "010100060a24181e4000",
    "0100000000000000000000000000000001",
    "0103",
    "5d722398521e5069bc0b92ddcc7adb0d"
);

#[test]
fn markers_and_routing_are_told_to_the_client() {
    let fixture = Fixture::new();
    let text = "INSERT INTO pairs (v, b, a) VALUES (?, ?, :first) USING CONTEXT ? AND TTL ?";
    let prepared = fixture.prepare(text).unwrap();
    let wanted = [
        ("v", CqlType::Text),
        ("b", CqlType::Blob),
        ("first", CqlType::Text),
        ("[context]", CqlType::Blob),
        ("[ttl]", CqlType::Int),
    ];
    let wanted: Vec<_> = wanted.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect();
    assert_eq!(specs(prepared.markers()), wanted);
    assert_eq!(prepared.partition_key(), [2, 1], "in the order of the key");
    assert_eq!(prepared.table(), Some(("app", "pairs")));
    assert!(prepared.columns().is_empty());
    assert_eq!(prepared.epoch(), fixture.snapshot.epoch());
    let text = "UPDATE pairs SET v = ? WHERE a = 'x' AND b = ? RETURNING *";
    let prepared = fixture.prepare(text).unwrap();
    assert!(prepared.partition_key().is_empty(), "one of them is not bound");
    assert_eq!(prepared.columns().len(), 3);
}
