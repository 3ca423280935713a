use std::num::NonZeroU32;
use std::sync::Arc;

use driver::{Answer, Column, Coordinator, Row};
use sql::Statement;
use types::{CqlType, Value};

use super::observe::Written;
use super::rewrite::KeyPlace;
use super::*;

/// `k.t (k int, c text, v int, PRIMARY KEY (k, c))`.
fn table() -> SiblingsTable {
    let column = |name: &str, kind| KeyColumn { name: name.to_owned(), kind };
    SiblingsTable {
        name: TableName { keyspace: "k".to_owned(), table: "t".to_owned() },
        key: vec![column("k", CqlType::Int), column("c", CqlType::Text)],
    }
}

fn reading(text: &str) -> Option<Reading> {
    let Ok(Statement::Select(select)) = sql::parse(text) else { panic!("{text}") };
    Reading::of(&select, &table())
}

fn writing(text: &str) -> Option<Writing> {
    Writing::of(&sql::parse(text).unwrap(), &table())
}

fn row_name(k: i32, c: &str) -> RowName {
    let key = vec![Bytes::copy_from_slice(&k.to_be_bytes()), Bytes::copy_from_slice(c.as_bytes())];
    RowName { table: table().name, key }
}

fn seen(context: &'static [u8], versions: u32) -> Seen {
    Seen { context: Bytes::from_static(context), versions }
}

/// An answer with these columns and rows.
fn answer(columns: &[(&str, CqlType)], rows: &[&[Option<Value>]]) -> Answer {
    let columns: Arc<[Column]> = columns
        .iter()
        .map(|(name, kind)| Column { name: (*name).to_owned(), kind: Some(kind.clone()) })
        .collect();
    let row = |values: &&[Option<Value>]| {
        let bytes = values.iter().zip(columns.iter()).map(|(value, column)| {
            let encoded = value.as_ref()?.encode(column.kind.as_ref().unwrap()).unwrap();
            Some(encoded.into())
        });
        Row::new(Arc::clone(&columns), bytes.collect())
    };
    let rows = rows.iter().map(row).collect();
    let address = "127.0.0.1:9042".parse().unwrap();
    let coordinator = Coordinator { host: uuid::Uuid::nil(), address };
    Answer { columns, rows, is_rows: true, warnings: Vec::new(), coordinator }
}

/// The answer to `SELECT v, k, c, context(), sibling_count()`: k, c, context and count of each row.
fn selected(rows: &[(i32, &str, &'static [u8], i32)]) -> Answer {
    let columns = [
        ("v", CqlType::Int),
        ("k", CqlType::Int),
        ("c", CqlType::Text),
        ("context()", CqlType::Blob),
        ("sibling_count()", CqlType::Int),
    ];
    let rows: Vec<Vec<Option<Value>>> = rows
        .iter()
        .map(|(k, c, context, count)| {
            vec![
                Some(Value::Int(0)),
                Some(Value::Int(*k)),
                Some(Value::Text((*c).to_owned())),
                Some(Value::Blob(Bytes::from_static(context))),
                Some(Value::Int(*count)),
            ]
        })
        .collect();
    answer(&columns, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The answer to `RETURNING context(), sibling_count()`.
fn returned(context: &'static [u8], count: i32) -> Answer {
    let columns = [("context()", CqlType::Blob), ("sibling_count()", CqlType::Int)];
    let row = [Some(Value::Blob(Bytes::from_static(context))), Some(Value::Int(count))];
    answer(&columns, &vec![&row[..]; usize::try_from(count).unwrap().max(1)])
}

#[test]
fn a_plain_select_also_asks_for_names_and_contexts() {
    for (text, sent) in [
        (
            "SELECT v FROM k.t WHERE k = 1",
            "SELECT v, k, c, context(), sibling_count() FROM k.t WHERE k = 1",
        ),
        ("SELECT * FROM t LIMIT 2", "SELECT *, context(), sibling_count() FROM t LIMIT 2"),
        ("SELECT c, v FROM t", "SELECT c, v, k, context(), sibling_count() FROM t"),
        ("SELECT v AS c, * FROM t", "SELECT v AS c, *, c, context(), sibling_count() FROM t"),
        (
            "SELECT k AS n, c AS k FROM t",
            "SELECT k AS n, c AS k, k, c, context(), sibling_count() FROM t",
        ),
        (
            "SELECT ttl(v), k, c FROM t USING CONSISTENCY ONE",
            "SELECT ttl(v), k, c, context(), sibling_count() FROM t USING CONSISTENCY ONE",
        ),
    ] {
        assert_eq!(reading(text).unwrap().text, sent);
    }
}

#[test]
fn a_select_whose_rows_are_no_rows_of_the_table_is_left_alone() {
    for text in [
        "SELECT DISTINCT k FROM t",
        "SELECT count(*) FROM t",
        "SELECT k, max(v) FROM t GROUP BY k",
        "SELECT CAST(sum(v) AS text) FROM t",
        "SELECT k FROM t GROUP BY k",
    ] {
        assert_eq!(reading(text), None, "{text}");
    }
}

#[test]
fn columns_of_the_key_are_found_where_the_answer_has_them() {
    let reading = reading("SELECT c, v FROM t").unwrap();
    assert_eq!(reading.key, [KeyPlace::FromEnd(3), KeyPlace::Selected("c".to_owned())]);
    assert_eq!(reading.appended, 3);
}

#[test]
fn contexts_of_rows_that_were_shown_are_remembered() {
    let mut contexts = Contexts::new(9);
    let page = selected(&[(1, "a", b"one", 1), (1, "b", b"two", 2), (1, "b", b"two", 2)]);
    let shown = reading("SELECT v FROM t").unwrap().observe(&page, &mut contexts);
    let places: Vec<usize> = shown.iter().map(|read| read.place).collect();
    assert_eq!(places, [0, 1, 2]);
    let number = |number| NonZeroU32::new(number).unwrap();
    let marks: Vec<_> = shown.iter().map(|read| read.sibling).collect();
    assert_eq!(marks, [None, Some((number(1), number(2))), Some((number(2), number(2)))]);
    assert_eq!(contexts.recall(&row_name(1, "a")), Recall::Known(seen(b"one", 1)));
    assert_eq!(contexts.recall(&row_name(1, "b")), Recall::Known(seen(b"two", 2)));
    assert_eq!(contexts.recall(&row_name(2, "a")), Recall::Unknown);
}

#[test]
fn a_context_that_covers_more_than_was_shown_is_not_remembered() {
    let mut contexts = Contexts::new(9);
    let page = selected(&[(1, "a", b"three", 3), (1, "a", b"three", 3)]);
    let shown = reading("SELECT v FROM t LIMIT 2").unwrap().observe(&page, &mut contexts);
    assert_eq!(shown.len(), 2);
    assert_eq!(contexts.recall(&row_name(1, "a")), Recall::Unknown);
}

#[test]
fn a_row_without_versions_is_remembered_and_not_shown() {
    let mut contexts = Contexts::new(9);
    let page = selected(&[(1, "a", b"gone", 0)]);
    assert_eq!(reading("SELECT v FROM t").unwrap().observe(&page, &mut contexts), []);
    assert_eq!(contexts.recall(&row_name(1, "a")), Recall::Known(seen(b"gone", 0)));

    let never = selected(&[(2, "a", b"", 0)]);
    assert_eq!(reading("SELECT v FROM t").unwrap().observe(&never, &mut contexts), []);
    assert_eq!(contexts.recall(&row_name(2, "a")), Recall::Unknown);
}

#[test]
fn a_row_without_versions_is_shown_to_who_asks_for_its_context() {
    let page = selected(&[(1, "a", b"gone", 0)]);
    let shown = reading("SELECT context() FROM t").unwrap().observe(&page, &mut Contexts::new(9));
    assert_eq!(shown, [Read { place: 0, sibling: None }]);
}

#[test]
fn a_write_of_one_row_carries_its_context_and_asks_what_is_left() {
    let context = Bytes::from_static(&[0xAB, 0x01]);
    for (text, sent) in [
        (
            "INSERT INTO t (v, c, k) VALUES (7, 'a', 1)",
            "INSERT INTO t (v, c, k) VALUES (7, 'a', 1) USING CONTEXT 0xab01 \
             RETURNING context(), sibling_count()",
        ),
        (
            "UPDATE t USING TTL 9 SET v = 8 WHERE c = 'a' AND k = 1 RETURNING v",
            "UPDATE t USING TTL 9 AND CONTEXT 0xab01 SET v = 8 WHERE c = 'a' AND k = 1 \
             RETURNING v, context(), sibling_count()",
        ),
        (
            "DELETE FROM t WHERE k = 1 AND c = $$a$$",
            "DELETE FROM t USING CONTEXT 0xab01 WHERE k = 1 AND c = 'a' \
             RETURNING context(), sibling_count()",
        ),
    ] {
        let writing = writing(text).unwrap();
        assert_eq!(writing.row, row_name(1, "a"));
        assert_eq!(writing.text(Some(&context)), sent);
        assert!(writing.takes_context);
    }
}

#[test]
fn a_context_that_the_statement_names_stays_the_only_one() {
    let text = "DELETE FROM t USING CONTEXT 0x01 WHERE k = 1 AND c = 'a'";
    let writing = writing(text).unwrap();
    assert!(!writing.takes_context);
    assert_eq!(
        writing.text(None),
        "DELETE FROM t USING CONTEXT 0x01 WHERE k = 1 AND c = 'a' \
         RETURNING context(), sibling_count()"
    );
}

#[test]
fn a_write_that_names_no_single_row_by_constants_is_left_alone() {
    for text in [
        "DELETE FROM t WHERE k = 1",
        "DELETE FROM t WHERE k = 1 AND c > 'a'",
        "DELETE FROM t WHERE k = 1 AND c IN ('a')",
        "DELETE FROM t WHERE k = 1 AND c = 'a' AND c = 'b'",
        "UPDATE t SET v = 1 WHERE k = 1 AND c = ?",
        "UPDATE t SET v = 1 WHERE k = 1 AND c = 'a' IF EXISTS",
        "INSERT INTO t (k, v) VALUES (1, 2)",
        "INSERT INTO t (k, c) VALUES (1)",
        "INSERT INTO t (k, c) VALUES ('x', 'a')",
        "INSERT INTO t (k, c) VALUES (1, null)",
        "INSERT INTO t (k, c) VALUES (1, 'a') IF NOT EXISTS",
        "DROP TABLE t",
    ] {
        assert_eq!(writing(text), None, "{text}");
    }
}

#[test]
fn a_write_over_what_was_read_resolves() {
    let mut contexts = Contexts::new(9);
    let insert = writing("INSERT INTO t (k, c) VALUES (1, 'a')").unwrap();
    let before = seen(b"old", 2);
    let written = insert.observe(&returned(b"new", 1), Some(&before), &mut contexts);
    assert_eq!(written, Written::Resolved(2));
    assert_eq!(written.to_string(), "resolved 2 siblings");
    assert_eq!(contexts.recall(&insert.row), Recall::Known(seen(b"new", 1)));
}

#[test]
fn a_write_beside_others_is_said_and_their_context_is_not_kept() {
    let mut contexts = Contexts::new(9);
    let insert = writing("INSERT INTO t (k, c) VALUES (1, 'a')").unwrap();
    contexts.remember(insert.row.clone(), seen(b"old", 1));
    let written = insert.observe(&returned(b"both", 2), None, &mut contexts);
    assert_eq!(written, Written::Siblings { count: 2, are_shown: false });
    assert!(written.to_string().starts_with("row now has 2 siblings"));
    assert_eq!(contexts.recall(&insert.row), Recall::Unknown);
}

#[test]
fn siblings_that_a_write_shows_can_be_resolved_by_the_next() {
    let mut contexts = Contexts::new(9);
    let insert = writing("INSERT INTO t (k, c) VALUES (1, 'a') RETURNING v").unwrap();
    let written = insert.observe(&returned(b"both", 2), None, &mut contexts);
    assert_eq!(written, Written::Siblings { count: 2, are_shown: true });
    assert_eq!(contexts.recall(&insert.row), Recall::Known(seen(b"both", 2)));
}

#[test]
fn a_removal_leaves_a_context_or_the_versions_that_it_did_not_know() {
    let mut contexts = Contexts::new(9);
    let delete = writing("DELETE FROM t WHERE k = 1 AND c = 'a'").unwrap();
    assert_eq!(delete.observe(&returned(b"gone", 0), None, &mut contexts), Written::Plain);
    assert_eq!(contexts.recall(&delete.row), Recall::Known(seen(b"gone", 0)));
    let left = delete.observe(&returned(b"left", 1), Some(&seen(b"gone", 0)), &mut contexts);
    assert_eq!(left, Written::Left(1));
    assert_eq!(contexts.recall(&delete.row), Recall::Unknown);
}

#[test]
fn what_fell_out_of_memory_is_known_to_be_forgotten() {
    let mut contexts = Contexts::new(2);
    for (k, context) in [(1, &b"1"[..]), (2, b"2"), (3, b"3")] {
        contexts.remember(row_name(k, "a"), seen(context, 1));
    }
    assert_eq!(contexts.recall(&row_name(1, "a")), Recall::Forgotten);
    assert_eq!(contexts.recall(&row_name(2, "a")), Recall::Known(seen(b"2", 1)));
    contexts.remember(row_name(1, "a"), seen(b"again", 1));
    assert_eq!(contexts.recall(&row_name(1, "a")), Recall::Known(seen(b"again", 1)));
    assert_eq!(contexts.recall(&row_name(3, "a")), Recall::Forgotten);
    contexts.forget(&row_name(3, "a"));
    assert_eq!(contexts.recall(&row_name(3, "a")), Recall::Unknown);
}

#[test]
fn a_statement_of_a_batch_takes_the_context_of_its_row() {
    let text = "BEGIN UNLOGGED BATCH INSERT INTO k.t (k, c, v) VALUES (1, 'a', 2); \
                UPDATE k.t USING TTL 5 SET v = 1 WHERE k = 1 AND c = 'b'; \
                DELETE FROM k.t WHERE k = 1; \
                DELETE FROM k.t USING CONTEXT 0x01 WHERE k = 1 AND c = 'd'; APPLY BATCH;";
    let Ok(Statement::Batch(mut batch)) = sql::parse(text) else { panic!("{text}") };
    let mut rows = Vec::new();
    for statement in &mut batch.statements {
        assert_eq!(table_in_batch(statement).name.text, "t");
        if let Some(writing) = Writing::in_batch(statement, &table())
            && writing.takes_context
        {
            add_context(statement, &Bytes::from_static(&[0xab]));
            rows.push(writing.row);
        }
    }
    assert_eq!(rows, [row_name(1, "a"), row_name(1, "b")], "a stretch has no context");
    let sent = Statement::Batch(batch).to_string();
    assert_eq!(sent.matches("CONTEXT 0xab").count(), 2, "{sent}");
    assert_eq!(sent.matches("CONTEXT 0x01").count(), 1, "{sent}");
    assert!(!sent.contains("RETURNING"), "{sent}");
    assert!(matches!(sql::parse(&sent), Ok(Statement::Batch(_))), "{sent}");
}
