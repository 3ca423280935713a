//! BATCH: which statements go together, and in which order they win.

use std::sync::Arc;

use bytes::Bytes;
use repair::cells::Row;
use repair::version::Change;
use types::Consistency;

use crate::coord::RowChange;
use crate::plan::fixture::{Fixture, NOW_US, Sent, changes_of, specs, values};
use crate::plan::{BindContext, Plan, PlanError, bind_batch};

fn batch(statements: &[&str]) -> String {
    format!("BEGIN UNLOGGED BATCH {}; APPLY BATCH", statements.join("; "))
}

/// The changes of each partition: the names of their tables.
fn tables(plan: Result<Plan, PlanError>) -> Vec<Vec<String>> {
    let name = |change: &RowChange| change.table().name.clone();
    let writes = changes_of(plan).writes;
    writes.iter().map(|write| write.changes.iter().map(name).collect()).collect()
}

#[test]
fn statements_of_one_partition_are_one_write_in_their_order() {
    let fixture = Fixture::new().make_lww("lines");
    let text = batch(&[
        "INSERT INTO t (k, v) VALUES (1, 'a')",
        "INSERT INTO t (k, v) VALUES (2, 'b')",
        "INSERT INTO lines (p, c, d) VALUES (1, 2, 'x')",
        "UPDATE t SET w = 1 WHERE k = 1",
        "DELETE FROM lines WHERE p = 1 AND c = 7",
    ]);
    assert_eq!(tables(fixture.plan(&text)), [vec!["t", "lines", "t", "lines"], vec!["t"]]);
    let logged = "BEGIN BATCH DELETE FROM t WHERE k = 1; UPDATE t SET v = 'x' WHERE k = 1; \
                  APPLY BATCH";
    let writes = changes_of(fixture.plan(logged)).writes;
    let steps: Vec<_> = writes[0]
        .changes
        .iter()
        .map(|change| match change {
            RowChange::Versioned { write, reads_first, .. } => {
                (*reads_first, write.change == Change::Remove)
            }
            other @ RowChange::Cells { .. } => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(steps, [(true, true), (false, false)]);
    assert!(matches!(fixture.plan("BEGIN BATCH APPLY BATCH"), Ok(Plan::Nothing)));
}

#[test]
fn keyspaces_of_one_key_are_two_partitions() {
    let mut fixture = Fixture::new();
    fixture.define(
        "CREATE KEYSPACE other WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
    );
    fixture.define("CREATE TABLE other.t (k int PRIMARY KEY)");
    let text = batch(&["INSERT INTO t (k) VALUES (1)", "INSERT INTO other.t (k) VALUES (1)"]);
    assert_eq!(tables(fixture.plan(&text)).len(), 2);
}

/// The cells of the only row that a plan writes.
fn cells(plan: Result<Plan, PlanError>) -> Row {
    let writes = changes_of(plan).writes;
    match &writes[0].changes[..] {
        [RowChange::Cells { operand, .. }] => Row::decode(operand).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_later_statement_of_a_batch_wins_whatever_was_drawn() {
    let fixture = Fixture::new().make_lww("t");
    let text = batch(&[
        "UPDATE t SET v = 'z', w = 1 WHERE k = 1",
        "UPDATE t SET v = 'a' WHERE k = 1",
        "UPDATE t SET w = null WHERE k = 1",
    ]);
    let column = |name| fixture.snapshot.table("app", "t").unwrap().column(name).unwrap().id.0;
    for operation in [0, 0x1234, u64::MAX] {
        let request = BindContext { operation, ..fixture.request() };
        let row = cells(fixture.plan_of(&text, &[], &request));
        let shown = row.cell(column("v"), NOW_US).unwrap();
        assert_eq!(shown.value, Some(Bytes::from_static(b"a")), "{operation:x}");
        assert_eq!(shown.stamp.operation & !0xFFFF, operation & !0xFFFF);
        assert!(row.cell(column("w"), NOW_US).is_none());
    }
}

#[test]
fn a_batch_s_timestamp_is_that_of_all_its_statements() {
    let fixture = Fixture::new().make_lww("t");
    let text = "BEGIN BATCH USING TIMESTAMP ? UPDATE t SET v = ? WHERE k = 1; APPLY BATCH";
    assert_eq!(
        specs(fixture.prepare(text).unwrap().markers())
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>(),
        ["[timestamp]", "v"]
    );
    let seven = 7_i64.to_be_bytes();
    let row = cells(fixture.plan_with(text, &[Sent::Bytes(&seven), Sent::Bytes(b"x")]));
    let column = fixture.snapshot.table("app", "t").unwrap().column("v").unwrap().id.0;
    assert_eq!(row.cell(column, 0).unwrap().stamp.timestamp, 7);
    let twice = "BEGIN BATCH USING TIMESTAMP 5 INSERT INTO t (k) VALUES (1) USING TIMESTAMP 6; \
                 APPLY BATCH";
    assert_eq!(fixture.plan(twice).unwrap_err(), PlanError::BatchTimestamp);
    let own = "BEGIN BATCH UPDATE t USING TIMESTAMP 6 SET v = 'x' WHERE k = 1; APPLY BATCH";
    let client = BindContext { client_timestamp_us: Some(9), ..fixture.request() };
    let row = cells(fixture.plan_of(own, &[], &client));
    assert_eq!(row.cell(column, 0).unwrap().stamp.timestamp, 6);
}

/// A BATCH request of these statements, each with its values.
fn request(
    fixture: &Fixture,
    kind: wire::BatchKind,
    statements: &[(&str, &[Sent<'_>])],
) -> Result<Plan, PlanError> {
    let prepare = |(text, sent): &(&str, &[Sent<'_>])| {
        (Arc::new(fixture.prepare(text).unwrap()), values(sent))
    };
    let statements: Vec<_> = statements.iter().map(prepare).collect();
    bind_batch(kind, &statements, &fixture.request())
}

#[test]
fn functions_give_each_statement_of_a_batch_request_a_value_of_its_own() {
    let mut fixture = Fixture::new();
    fixture.define("CREATE TABLE app.ids (p int, id uuid, PRIMARY KEY (p, id))");
    let insert = "INSERT INTO ids (p, id) VALUES (1, uuid())";
    let plan = request(&fixture, wire::BatchKind::Logged, &[(insert, &[]), (insert, &[])]);
    let changes = changes_of(plan).writes.remove(0).changes;
    let keys: Vec<_> = changes.iter().map(RowChange::key).collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_batch_request_gives_each_statement_its_own_values() {
    let fixture = Fixture::new();
    let insert = "INSERT INTO t (k, v) VALUES (?, 'x')";
    let (one, two) = (1_i32.to_be_bytes(), 2_i32.to_be_bytes());
    let (one, two) = ([Sent::Bytes(&one)], [Sent::Bytes(&two)]);
    let plan = request(&fixture, wire::BatchKind::Unlogged, &[(insert, &one), (insert, &two)]);
    let changes = changes_of(plan);
    assert_eq!(changes.writes.len(), 2);
    assert!(changes.writes.iter().all(|write| write.level == Consistency::Quorum));
    let spans = request(&fixture, wire::BatchKind::Logged, &[(insert, &one), (insert, &two)]);
    assert_eq!(spans.unwrap_err(), PlanError::LoggedBatch { partitions: 2 });
    let same = request(&fixture, wire::BatchKind::Logged, &[(insert, &one), (insert, &one)]);
    assert_eq!(changes_of(same).writes.len(), 1);
    let short = request(&fixture, wire::BatchKind::Unlogged, &[(insert, &[])]);
    assert!(matches!(short, Err(PlanError::ValueCount { .. })), "{short:?}");
    for (text, what) in [
        ("SELECT v FROM t WHERE k = 1", "SELECT"),
        ("BEGIN BATCH APPLY BATCH", "BATCH"),
        ("USE app", "USE"),
        ("DROP TABLE t", "a change of the schema"),
    ] {
        let refusal = request(&fixture, wire::BatchKind::Logged, &[(text, &[])]).unwrap_err();
        assert_eq!(refusal, PlanError::InBatch { what }, "{text}");
    }
}

#[test]
fn a_batch_is_bounded_in_statements_and_bytes() {
    let mut fixture = Fixture::new();
    fixture.limits.batch_statements_max = 3;
    fixture.limits.batch_bytes_max = 1_000;
    let of = |count: usize, len: usize| {
        let insert = format!("INSERT INTO t (k, v) VALUES (1, '{}')", "x".repeat(len));
        fixture.plan(&batch(&vec![insert.as_str(); count]))
    };
    assert!(of(3, 1).is_ok());
    assert_eq!(of(4, 1).unwrap_err(), PlanError::BatchTooLong { count: 4, max: 3 });
    let refusal = of(3, 400).unwrap_err();
    assert!(matches!(refusal, PlanError::BatchTooLarge { max: 1_000, .. }), "{refusal:?}");
    assert!(of(1, 2_000).is_err());
    let alone = format!("INSERT INTO t (k, v) VALUES (1, '{}')", "x".repeat(2_000));
    assert!(fixture.plan(&alone).is_ok(), "a statement alone is no batch");
}

#[test]
fn a_large_batch_over_partitions_is_warned_of() {
    let fixture = Fixture::new();
    let of = |keys: std::ops::Range<i32>, len: usize| {
        let value = "x".repeat(len);
        let inserts: Vec<_> =
            keys.map(|k| format!("INSERT INTO t (k, v) VALUES ({k}, '{value}')")).collect();
        let inserts: Vec<_> = inserts.iter().map(String::as_str).collect();
        changes_of(fixture.plan(&batch(&inserts))).warnings
    };
    assert!(of(0..1, 6_000).is_empty(), "one partition");
    assert!(of(0..2, 10).is_empty(), "small");
    let warnings = of(0..2, 3_000);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("Batch for [app.t] is of size"), "{warnings:?}");
    assert!(warnings[0].contains("exceeding specified threshold of 5120 by"), "{warnings:?}");
    let warnings = of(0..11, 1);
    assert!(warnings[0].starts_with("Unlogged batch covering 11 partitions"), "{warnings:?}");
}
