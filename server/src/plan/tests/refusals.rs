//! What is wrong with a statement has a code and a phrase.

use types::Consistency;

use super::cases::CASES;
use crate::plan::fixture::{Fixture, Sent};
use crate::plan::{BindContext, PlanError};

#[test]
fn each_refusal_has_its_code_and_a_telling_phrase() {
    let fixture = Fixture::new();
    let mut wrong = Vec::new();
    for (text, code, phrase) in CASES {
        let refusal = fixture.plan(text).map_err(wire::ErrorReply::from);
        match refusal {
            Err(reply) if reply.kind.code() == *code && reply.message.contains(phrase) => {}
            other => wrong.push(format!("{text}\n  wanted {code:?} {phrase:?}\n  {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_table_without_keyspace_needs_the_sessions() {
    let fixture = Fixture::new();
    let statement = sql::parse("SELECT v FROM t WHERE k = 1").unwrap();
    let refusal = crate::plan::prepare(&statement, None, &fixture.snapshot).unwrap_err();
    assert_eq!(refusal, PlanError::NoKeyspace);
}

#[test]
fn levels_are_refused_as_cassandra_refuses_them() {
    let fixture = Fixture::new();
    let (read, write) = ("SELECT v FROM t WHERE k = 1", "INSERT INTO t (k) VALUES (1)");
    let stretch = ("SELECT v FROM lines WHERE p = 1", "DELETE FROM lines WHERE p = 1");
    let at = |text: &str, consistency| {
        let request = BindContext { consistency, ..fixture.request() };
        fixture.plan_of(text, &[], &request).map_err(|error| error.to_string())
    };
    for level in Consistency::every() {
        for text in [read, write, stretch.0, stretch.1] {
            let is_read = text.starts_with("SELECT");
            let is_bad = level.is_serial() || is_read && level == Consistency::Any;
            assert_eq!(at(text, level).is_ok(), !is_bad, "{text} at {level}");
            let overridden = match text {
                _ if text == read => "SELECT v FROM t WHERE k = 1 USING CONSISTENCY ONE",
                _ if text == write => "INSERT INTO t (k) VALUES (1) USING CONSISTENCY ONE",
                _ if text == stretch.0 => "SELECT v FROM lines USING CONSISTENCY ONE WHERE p = 1",
                _ => "DELETE FROM lines USING CONSISTENCY ONE WHERE p = 1",
            };
            assert!(at(overridden, level).is_ok(), "the statement's level wins");
        }
        for own in ["SELECT * FROM system.local", "USE app", "DROP TABLE t"] {
            assert!(at(own, level).is_ok(), "{own} has no level");
        }
    }
    let serial = at(write, Consistency::LocalSerial).unwrap_err();
    assert!(serial.contains("LOCAL_SERIAL"), "{serial}");
    assert!(at(read, Consistency::Any).unwrap_err().contains("only supported for writes"));
}

#[test]
fn values_must_be_as_many_as_the_markers() {
    let fixture = Fixture::new();
    let text = "INSERT INTO t (k, v) VALUES (?, :name)";
    let one = 1_i32.to_be_bytes();
    let (one, x) = (Sent::Bytes(&one), Sent::Bytes(b"x"));
    assert!(fixture.plan_with(text, &[one, x]).is_ok());
    for sent in [&[][..], &[one], &[one, x, x]] {
        let refusal = fixture.plan_with(text, sent).unwrap_err();
        assert_eq!(refusal, PlanError::ValueCount { markers: 2, values: sent.len() });
    }
}

#[test]
fn named_values_go_to_the_markers_of_their_names() {
    let fixture = Fixture::new();
    let text = "INSERT INTO t (k, v) VALUES (?, :name)";
    let (k, x) = (Sent::Named("k", &[0, 0, 0, 1]), Sent::Named("name", b"x"));
    let in_order = fixture.plan_with(text, &[k, x]).unwrap();
    let turned = fixture.plan_with(text, &[x, Sent::Named("other", b""), k]).unwrap();
    assert_eq!(format!("{in_order:?}"), format!("{turned:?}"));
    let refusal = fixture.plan_with(text, &[k]).unwrap_err();
    assert_eq!(refusal, PlanError::NoValue { name: "name".to_owned() });
}

#[test]
fn bytes_that_are_no_value_of_the_type_are_refused() {
    let fixture = Fixture::new();
    let wrong: &[(&str, &[u8])] = &[
        ("int", &[0; 3]),
        ("int", &[]),
        ("bigint", &[0; 4]),
        ("boolean", &[2]),
        ("boolean", &[]),
        ("text", &[0xff]),
        ("uuid", &[0; 15]),
        ("timestamp", &[0; 9]),
        ("tags", &[0, 0, 0, 1, 0, 0, 0, 2, b'a']),
        ("tags", &[0xff; 4]),
        ("tags", &[0, 0, 0, 1, 0, 0, 0, 1, 0xff]),
    ];
    for (column, bytes) in wrong {
        let text = format!("INSERT INTO things (id, {column}) VALUES ('x', ?)");
        let refusal = fixture.plan_with(&text, &[Sent::Bytes(bytes)]).unwrap_err();
        assert!(
            matches!(&refusal, PlanError::Value { name, .. } if name == column),
            "{column} {bytes:?}: {refusal:?}"
        );
    }
}

#[test]
fn keys_longer_than_cassandras_are_refused() {
    let fixture = Fixture::new();
    let long = vec![b'x'; 65_536];
    let single = "INSERT INTO things (id) VALUES (?)";
    assert!(fixture.plan_with(single, &[Sent::Bytes(&long[1..])]).is_ok());
    let refusal = fixture.plan_with(single, &[Sent::Bytes(&long)]).unwrap_err();
    assert_eq!(refusal, PlanError::KeyTooLong { len: 65_536 });
    let clustered = "INSERT INTO lines (p, c, d) VALUES (1, 1, ?)";
    assert!(fixture.plan_with(clustered, &[Sent::Bytes(&long[1..])]).is_ok());
    let refusal = fixture.plan_with(clustered, &[Sent::Bytes(&long)]).unwrap_err();
    assert_eq!(refusal, PlanError::KeyTooLong { len: 65_536 });
    let pair = "INSERT INTO pairs (a, b) VALUES (?, ?)";
    let half = Sent::Bytes(&long[..32_768]);
    let refusal = fixture.plan_with(pair, &[half, half]).unwrap_err();
    assert!(matches!(refusal, PlanError::KeyTooLong { len } if len > 65_535), "{refusal:?}");
}

#[test]
fn key_values_that_are_null_or_not_set_are_refused() {
    let fixture = Fixture::new();
    for text in [
        "INSERT INTO t (k, v) VALUES (?, 'x')",
        "UPDATE t SET v = 'x' WHERE k = ?",
        "DELETE FROM t WHERE k = ?",
        "SELECT v FROM t WHERE k = ?",
    ] {
        let null = fixture.plan_with(text, &[Sent::Null]).unwrap_err();
        assert_eq!(null, PlanError::Null { name: "k".to_owned() }, "{text}");
        let unset = fixture.plan_with(text, &[Sent::Unset]).unwrap_err();
        assert_eq!(unset, PlanError::Unset { name: "k".to_owned() }, "{text}");
    }
}

/// A statement that asks for a context must not become one without.
#[test]
fn a_context_that_is_null_or_not_set_is_refused() {
    let fixture = Fixture::new();
    let text = "DELETE FROM t USING CONTEXT ? WHERE k = 1";
    assert!(matches!(fixture.plan_with(text, &[Sent::Null]), Err(PlanError::Null { .. })));
    assert!(matches!(fixture.plan_with(text, &[Sent::Unset]), Err(PlanError::Unset { .. })));
}

#[test]
fn endless_lists_of_selections_are_refused() {
    let fixture = Fixture::new();
    for table in ["t", "system.local"] {
        let text = format!("SELECT {} FROM {table}", vec!["*"; 20_000].join(", "));
        let refusal = fixture.prepare(&text).unwrap_err();
        assert!(matches!(refusal, PlanError::TooManySelections { .. }), "{refusal:?}");
    }
}
