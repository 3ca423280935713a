//! What statements write into tables of last-write-wins: cells, tombstones, ranges.

use bytes::Bytes;
use proptest::prelude::*;
use repair::cells::{ListEnd, Ranges, Row, WriteStamp, list_path};
use repair::version::Expiry;

use crate::coord::RowChange;
use crate::plan::fixture::{Fixture, NOW_US, Sent, changes_of, one_write};
use crate::plan::{BindContext, ChangesRead, Plan, PlanError};
use crate::replica::RowCopy;

/// The stamp of a statement that says nothing of time.
const STAMP: WriteStamp = WriteStamp { timestamp: NOW_US + 1, operation: 0x0ABC_0000_0000_1234 };

fn at(timestamp: i64) -> WriteStamp {
    WriteStamp { timestamp, ..STAMP }
}

fn fixture() -> Fixture {
    Fixture::new().make_lww("t").make_lww("bags").make_lww("lines")
}

/// The only operand that a plan writes, and its key.
fn operand(plan: Result<Plan, PlanError>) -> (Bytes, Bytes) {
    let writes = changes_of(plan).writes;
    assert_eq!(writes.len(), 1);
    match writes[0].changes.as_slice() {
        [RowChange::Cells { key, operand, .. }] => (key.clone(), operand.clone()),
        other => panic!("{other:?}"),
    }
}

fn cells(plan: Result<Plan, PlanError>) -> Row {
    Row::decode(&operand(plan).1).unwrap()
}

fn id(fixture: &Fixture, table: &str, column: &str) -> u32 {
    fixture.snapshot.table("app", table).unwrap().column(column).unwrap().id.0
}

/// The key of a row of the same shape in a siblings table.
fn key(insert: &str) -> Bytes {
    one_write(Fixture::new().plan(insert)).key.as_bytes().clone()
}

#[test]
fn an_insert_is_a_marker_and_a_cell_for_each_column_that_it_names() {
    let fixture = fixture();
    let insert = "INSERT INTO t (k, v, w) VALUES (1, 'x', null)";
    let (at_key, operand) = operand(fixture.plan(insert));
    let mut wanted = Row::default();
    wanted.mark(STAMP, Expiry::Never);
    wanted.set(id(&fixture, "t", "v"), STAMP, Expiry::Never, Some("x".into()));
    wanted.set(id(&fixture, "t", "w"), STAMP, Expiry::Never, None);
    assert_eq!(Row::decode(&operand).unwrap(), wanted);
    assert_eq!(at_key, key(insert));

    let text = "INSERT INTO t (k, v, w) VALUES (1, ?, ?) USING TTL 10";
    let sent = [Sent::Unset, Sent::Bytes(&[0, 0, 0, 7])];
    let end = Expiry::At(NOW_US + 10_000_000);
    let mut wanted = Row::default();
    wanted.mark(STAMP, end);
    wanted.set(id(&fixture, "t", "w"), STAMP, end, Some(Bytes::from_static(&[0, 0, 0, 7])));
    assert_eq!(cells(fixture.plan_with(text, &sent)), wanted);
}

#[test]
fn an_update_is_cells_without_a_marker_and_null_has_no_expiry() {
    let fixture = fixture();
    let text = "UPDATE t USING TTL 10 SET v = 'x', w = null WHERE k = 1";
    let mut wanted = Row::default();
    wanted.set(id(&fixture, "t", "v"), STAMP, Expiry::At(NOW_US + 10_000_000), Some("x".into()));
    wanted.set(id(&fixture, "t", "w"), STAMP, Expiry::Never, None);
    assert_eq!(cells(fixture.plan(text)), wanted);
    let nothing = fixture.plan_with("UPDATE t SET v = ? WHERE k = 1", &[Sent::Unset]);
    assert!(matches!(nothing, Ok(Plan::Nothing)));
}

#[test]
fn a_delete_is_blind() {
    let fixture = fixture();
    let mut row = Row::default();
    row.delete(NOW_US + 1);
    assert_eq!(cells(fixture.plan("DELETE FROM t WHERE k = 1")), row);
    let columns = cells(fixture.plan("DELETE v, tags FROM t WHERE k = 1"));
    let mut wanted = Row::default();
    wanted.set(id(&fixture, "t", "v"), STAMP, Expiry::Never, None);
    wanted.reset(id(&fixture, "t", "tags"), STAMP);
    assert_eq!(columns, wanted);
    let row_of_lines = cells(fixture.plan("DELETE FROM lines WHERE p = 1 AND c = 2 AND d = 'x'"));
    assert_eq!(row_of_lines, row);
}

#[test]
fn the_statement_s_timestamp_wins_over_the_client_s_and_that_over_the_server_s() {
    let fixture = fixture();
    let client = BindContext { client_timestamp_us: Some(77), ..fixture.request() };
    let timestamp = |text: &str, request: &BindContext<'_>, sent: &[Sent<'_>]| {
        let row = cells(fixture.plan_of(text, sent, request));
        row.cell(id(&fixture, "t", "v"), 0).unwrap().stamp
    };
    let plain = "UPDATE t SET v = 'x' WHERE k = 1";
    let stamped = "UPDATE t USING TIMESTAMP ? SET v = 'x' WHERE k = 1";
    let five = 5_i64.to_be_bytes();
    assert_eq!(timestamp(plain, &fixture.request(), &[]), STAMP);
    assert_eq!(timestamp(plain, &client, &[]), at(77));
    assert_eq!(timestamp(stamped, &client, &[Sent::Bytes(&five)]), at(5));
    assert_eq!(timestamp(stamped, &client, &[Sent::Unset]), at(77));
    let null = fixture.plan_with(stamped, &[Sent::Null]);
    assert!(matches!(null, Err(PlanError::Null { .. })), "{null:?}");
}

#[test]
fn timestamps_from_the_far_future_are_refused_from_whomever_they_come() {
    let fixture = fixture();
    let last = NOW_US + fixture.limits.future_max_us;
    for (timestamp, is_good) in
        [(last, true), (last + 1, false), (i64::MAX, false), (i64::MIN, false), (-1, true)]
    {
        let of_client = BindContext { client_timestamp_us: Some(timestamp), ..fixture.request() };
        let bytes = timestamp.to_be_bytes();
        for table in ["INSERT INTO t (k) VALUES (1)", "DELETE FROM lines WHERE p = 1"] {
            let plan = fixture.plan_of(table, &[], &of_client);
            assert_eq!(plan.is_ok(), is_good, "{timestamp}: {plan:?}");
        }
        let text = "DELETE FROM t USING TIMESTAMP ? WHERE k = 1";
        let plan = fixture.plan_with(text, &[Sent::Bytes(&bytes)]);
        assert_eq!(plan.is_ok(), is_good, "{timestamp}: {plan:?}");
    }
    let siblings = Fixture::new();
    let of_client = BindContext { client_timestamp_us: Some(i64::MAX), ..siblings.request() };
    let plan = siblings.plan_of("INSERT INTO t (k) VALUES (1)", &[], &of_client);
    assert!(plan.is_ok(), "time decides nothing there: {plan:?}");
}

#[test]
fn versions_are_none_of_their_business() {
    let fixture = fixture();
    for text in [
        "INSERT INTO t (k) VALUES (1) USING CONTEXT 0x00",
        "UPDATE t USING CONTEXT 0x00 SET v = 'x' WHERE k = 1",
        "DELETE FROM t USING CONTEXT 0x00 WHERE k = 1",
        "INSERT INTO t (k) VALUES (1) RETURNING *",
        "DELETE FROM t WHERE k = 1 RETURNING context()",
    ] {
        let refusal = fixture.plan(text).unwrap_err();
        assert!(matches!(refusal, PlanError::NoSiblings { .. }), "{text}: {refusal:?}");
    }
}

#[test]
fn collections_are_overwritten_by_a_reset_and_their_elements() {
    let fixture = fixture();
    let column = |name| id(&fixture, "bags", name);
    let text = "UPDATE bags SET s = {'b', 'a'}, m = {'x': 1}, l = ['p', 'q'], f = {'a'} \
                WHERE k = 1";
    let mut wanted = Row::default();
    let never = Expiry::Never;
    for name in ["s", "m", "l"] {
        wanted.reset(column(name), STAMP);
    }
    for element in ["a", "b"] {
        wanted.set_element(column("s"), element.into(), STAMP, never, Some(Bytes::new()));
    }
    let one = Bytes::from_static(&[0, 0, 0, 1]);
    wanted.set_element(column("m"), "x".into(), STAMP, never, Some(one));
    for (index, element) in (0..).zip(["p", "q"]) {
        let path = list_path(STAMP, index, ListEnd::Back);
        wanted.set_element(column("l"), path, STAMP, never, Some(element.into()));
    }
    let frozen = Bytes::from_static(b"\0\0\0\x01\0\0\0\x01a");
    wanted.set(column("f"), STAMP, never, Some(frozen));
    assert_eq!(cells(fixture.plan(text)), wanted);

    let mut wanted = Row::default();
    for name in ["s", "m", "l"] {
        wanted.reset(column(name), STAMP);
    }
    let empty = cells(fixture.plan("UPDATE bags SET s = {}, m = {}, l = [] WHERE k = 1"));
    assert_eq!(empty, wanted);
    assert_eq!(cells(fixture.plan("DELETE s, m, l FROM bags WHERE k = 1")), wanted);
}

#[test]
fn elements_come_and_go_one_by_one() {
    let fixture = fixture();
    let column = |name| id(&fixture, "bags", name);
    let (never, end) = (Expiry::Never, Expiry::At(NOW_US + 1_000_000));
    let value = |n: u8| Some(Bytes::from(vec![0, 0, 0, n]));
    let put = |row: &mut Row, name, path: &'static str, expiry, value| {
        row.set_element(column(name), path.into(), STAMP, expiry, value);
    };
    let text = "UPDATE bags USING TTL 1 SET s = s + {'a'}, s = s - {'b'}, m = m + {'x': 1}, \
                m = m - {'y'}, m['z'] = 2, m['w'] = null WHERE k = 1";
    let mut wanted = Row::default();
    put(&mut wanted, "s", "a", end, Some(Bytes::new()));
    put(&mut wanted, "s", "b", never, None);
    put(&mut wanted, "m", "x", end, value(1));
    put(&mut wanted, "m", "y", never, None);
    put(&mut wanted, "m", "z", end, value(2));
    put(&mut wanted, "m", "w", never, None);
    assert_eq!(cells(fixture.plan(text)), wanted);

    let mut wanted = Row::default();
    put(&mut wanted, "s", "a", never, None);
    put(&mut wanted, "m", "x", never, None);
    assert_eq!(cells(fixture.plan("DELETE s['a'], m['x'] FROM bags WHERE k = 1")), wanted);

    let text = "UPDATE bags SET l = l + ['p', 'q'], l = ['a', 'b'] + l WHERE k = 1";
    let row = cells(fixture.plan(text));
    let shown: Vec<_> =
        row.elements(column("l"), 0).filter_map(|(_, cell)| cell.value.clone()).collect();
    assert_eq!(shown, ["a", "b", "p", "q"]);
}

/// A row of `bags` with this list.
fn stored(fixture: &Fixture, list: &[&'static str]) -> Row {
    let mut row = Row::default();
    for (index, element) in (0..).zip(list) {
        let path = list_path(at(9), index, ListEnd::Back);
        let element = Some(Bytes::from_static(element.as_bytes()));
        row.set_element(id(fixture, "bags", "l"), path, at(9), Expiry::Never, element);
    }
    row
}

/// The list that a statement leaves of another, after the row was read.
fn list_after(text: &str, before: &[&'static str]) -> Result<Vec<Bytes>, PlanError> {
    let fixture = fixture();
    let Ok(Plan::Write(plan)) = fixture.plan(text) else { panic!("{text}") };
    let mut changes = plan.changes;
    let before = stored(&fixture, before);
    let read = changes.next_read();
    assert!(matches!(read, Some(ChangesRead::Row { .. })), "{read:?}");
    changes.on_row(&RowCopy::Cells(before.clone()))?;
    assert!(changes.next_read().is_none());
    let [write] = &changes.finish().writes[..] else { panic!("{text}") };
    let [RowChange::Cells { operand, .. }] = &write.changes[..] else { panic!("{text}") };
    let mut row = Row::decode(operand).unwrap();
    row.merge(&before);
    let list = id(&fixture, "bags", "l");
    Ok(row.elements(list, NOW_US).filter_map(|(_, cell)| cell.value.clone()).collect())
}

#[test]
fn places_and_values_of_a_list_are_looked_up_first() {
    let list = ["a", "b", "c", "b"];
    let after = |text| list_after(text, &list).unwrap();
    assert_eq!(after("UPDATE bags SET l[1] = 'x' WHERE k = 1"), ["a", "x", "c", "b"]);
    assert_eq!(after("UPDATE bags SET l[0] = 'x', l[3] = null WHERE k = 1"), ["x", "b", "c"]);
    assert_eq!(after("DELETE l[2] FROM bags WHERE k = 1"), ["a", "b", "b"]);
    assert_eq!(after("UPDATE bags SET l = l - ['b', 'z'] WHERE k = 1"), ["a", "c"]);
    let added = "UPDATE bags SET l = l - ['b'], l = l + ['d'], v = 'x' WHERE k = 1";
    assert_eq!(after(added), ["a", "c", "d"]);
    for (place, text) in
        [(4, "UPDATE bags SET l[4] = 'x' WHERE k = 1"), (-1, "DELETE l[-1] FROM bags WHERE k = 1")]
    {
        let refusal = list_after(text, &list);
        assert_eq!(refusal, Err(PlanError::ListIndex { index: place, len: 4 }));
    }
}

type Comparison = fn(i32, i32) -> bool;

/// A relation on `c` of `lines`, and what it holds of.
fn relation() -> impl Strategy<Value = (String, Comparison, i32)> {
    let signs: &[(&str, Comparison)] = &[
        ("=", |value, end| value == end),
        ("<", |value, end| value < end),
        ("<=", |value, end| value <= end),
        (">", |value, end| value > end),
        (">=", |value, end| value >= end),
    ];
    (prop::sample::select(signs), -3..3_i32)
        .prop_map(|((sign, holds), end)| (format!("AND c {sign} {end}"), holds, end))
}

proptest! {
    #[test]
    fn a_range_tombstone_covers_the_rows_that_the_relations_name(
        relation in prop::option::of(relation()),
    ) {
        let fixture = fixture();
        let clause = relation.as_ref().map_or("", |(text, ..)| text);
        let text = format!("DELETE FROM lines USING TIMESTAMP 5 WHERE p = 1 {clause}");
        let (partition, operand) = operand(fixture.plan(&text));
        let ranges = Ranges::decode(&operand).unwrap();
        for c in -4..4 {
            let row = key(&format!("INSERT INTO lines (p, c, d) VALUES (1, {c}, 'x')"));
            let clustering = row.strip_prefix(&partition[..]).unwrap();
            let is_named = relation.as_ref().is_none_or(|(_, holds, end)| holds(c, *end));
            prop_assert_eq!(ranges.at(clustering), is_named.then_some(5), "{} {}", text, c);
        }
    }
}

#[test]
fn in_relations_write_each_row_with_one_stamp() {
    let fixture = fixture();
    let changes = changes_of(fixture.plan("UPDATE t SET v = 'x' WHERE k IN (1, 2, 3, 2)"));
    assert_eq!(changes.writes.len(), 3);
    let rows =
        changes_of(fixture.plan("DELETE FROM lines WHERE p = 1 AND c IN (1, 2) AND d = 'x'"));
    assert_eq!(rows.writes.len(), 1, "one partition, one commit");
    assert_eq!(rows.writes[0].changes.len(), 2);
    let stretches = changes_of(fixture.plan("DELETE FROM lines WHERE p = 1 AND c IN (1, 2)"));
    assert_eq!(stretches.writes[0].changes.len(), 1, "one record of ranges");
}
