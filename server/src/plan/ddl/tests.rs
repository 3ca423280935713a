//! Definitions in, changes or refusals out.

use std::collections::BTreeMap;

use ring::Strategy;
use types::{CqlType, Order};
use wire::{ErrorCode, Schema, SchemaChange};

use crate::metadata::{Alteration, Change, ColumnKind, Conflict, SpeculativeRetry, TableSpec};
use crate::plan::fixture::Fixture;
use crate::plan::{Plan, PlanError, SchemaPlan};

fn change(fixture: &Fixture, text: &str) -> SchemaPlan {
    match fixture.plan(text) {
        Ok(Plan::Schema(plan)) => *plan,
        other => panic!("{text}: {other:?}"),
    }
}

fn spec(text: &str) -> TableSpec {
    match change(&Fixture::new(), text).change {
        Change::CreateTable { spec, .. } => spec,
        other => panic!("{other:?}"),
    }
}

fn strategy(replication: &str) -> Strategy {
    let text = format!("CREATE KEYSPACE x WITH replication = {{{replication}}}");
    match change(&Fixture::new(), &text).change {
        Change::CreateKeyspace { keyspace, .. } => keyspace.strategy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn columns_stand_in_the_order_of_the_key_and_then_by_name() {
    let found = spec(
        "CREATE TABLE x (z text, b int, a uuid, c timestamp, d boolean, y blob, \
         PRIMARY KEY ((b, a), d, c)) WITH CLUSTERING ORDER BY (d DESC, c ASC) AND comment = 'hi'",
    );
    let wanted = [
        ("b", ColumnKind::Partition(0), CqlType::Int),
        ("a", ColumnKind::Partition(1), CqlType::Uuid),
        ("d", ColumnKind::Clustering(0, Order::Descending), CqlType::Boolean),
        ("c", ColumnKind::Clustering(1, Order::Ascending), CqlType::Timestamp),
        ("y", ColumnKind::Regular, CqlType::Blob),
        ("z", ColumnKind::Regular, CqlType::Text),
    ];
    let wanted: Vec<_> =
        wanted.into_iter().map(|(name, kind, ty)| (name.to_owned(), kind, ty)).collect();
    assert_eq!(found.columns, wanted);
    assert_eq!((found.keyspace.as_str(), found.name.as_str()), ("app", "x"));
    assert_eq!((found.comment.as_str(), found.conflict), ("hi", None));
}

#[test]
fn a_key_is_named_in_all_of_its_forms() {
    let kinds = |text: &str| {
        let kinds = spec(text).columns.into_iter().map(|(name, kind, _)| (name, kind));
        kinds.filter(|(_, kind)| *kind != ColumnKind::Regular).map(|(name, _)| name).collect()
    };
    let named: [(&str, Vec<String>); 4] = [
        ("CREATE TABLE x (a int PRIMARY KEY, b int, c int)", vec!["a".into()]),
        ("CREATE TABLE x (a int, b int, c int, PRIMARY KEY (c))", vec!["c".into()]),
        ("CREATE TABLE x (a int, b int, c int, PRIMARY KEY (c, a))", vec!["c".into(), "a".into()]),
        (
            "CREATE TABLE x (a int, b int, c int, PRIMARY KEY ((b, c)))",
            vec!["b".into(), "c".into()],
        ),
    ];
    for (text, wanted) in named {
        let found: Vec<String> = kinds(text);
        assert_eq!(found, wanted, "{text}");
    }
}

#[test]
fn options_of_storage_are_taken_and_have_no_effect() {
    let tuned = spec(
        "CREATE TABLE x (k int PRIMARY KEY) WITH compression = {} AND compaction = \
         {'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 160} AND caching = \
         {'keys': 'ALL'} AND gc_grace_seconds = 5 AND bloom_filter_fp_chance = 0.1 AND \
         speculative_retry = '99p' AND default_time_to_live = 0 AND cdc = false AND \
         crc_check_chance = 1 AND read_repair = 'NONE' AND sloppy_quorum = false AND \
         conflict = 'siblings' AND extensions = {} AND memtable = 'default'",
    );
    let plain = spec("CREATE TABLE x (k int PRIMARY KEY)");
    assert_eq!(plain.speculative_retry, SpeculativeRetry::DEFAULT);
    assert_eq!(
        tuned,
        TableSpec { conflict: Some(Conflict::Siblings), sloppy_quorum: Some(false), ..plain }
    );
}

#[test]
fn statements_become_changes_and_events() {
    let fixture = Fixture::new();
    let keyspace = |keyspace: &str| Schema::Keyspace { keyspace: keyspace.to_owned() };
    let table = |table: &str| Schema::Table { keyspace: "app".to_owned(), table: table.to_owned() };
    let name = || "x".to_owned();
    let dropped = change(&fixture, "DROP KEYSPACE IF EXISTS x");
    assert_eq!(dropped.change, Change::DropKeyspace { name: name(), if_exists: true });
    assert_eq!(dropped.event, SchemaChange::Dropped(keyspace("x")));
    let dropped = change(&fixture, "DROP TABLE x");
    let wanted = Change::DropTable { keyspace: "app".to_owned(), name: name(), if_exists: false };
    assert_eq!((dropped.change, dropped.event), (wanted, SchemaChange::Dropped(table("x"))));
    let created = change(&fixture, "CREATE TABLE IF NOT EXISTS t (k int PRIMARY KEY)");
    assert_eq!(created.event, SchemaChange::Created(table("t")), "whether it exists is not said");
    assert!(matches!(created.change, Change::CreateTable { if_not_exists: true, .. }));
    let altered = change(&fixture, "ALTER KEYSPACE app WITH durable_writes = false");
    let wanted = Change::AlterKeyspace {
        name: "app".to_owned(),
        strategy: None,
        durable_writes: Some(false),
        conflict: None,
        sloppy_quorum: None,
    };
    assert_eq!((altered.change, altered.event), (wanted, SchemaChange::Updated(keyspace("app"))));
    let missing = fixture.plan("ALTER KEYSPACE IF EXISTS nosuch WITH durable_writes = false");
    assert!(matches!(missing, Ok(Plan::Nothing)));
    assert!(matches!(fixture.plan("USE system"), Ok(Plan::Use(keyspace)) if keyspace == "system"));
}

#[test]
fn replication_is_read_as_cassandra_reads_it() {
    let simple = Strategy::Simple { replication_factor: 3 };
    for text in [
        "'class': 'SimpleStrategy', 'replication_factor': 3",
        "'class': 'SimpleStrategy', 'replication_factor': '3'",
        "'class': 'org.apache.cassandra.locator.SimpleStrategy', 'replication_factor': '3'",
    ] {
        assert_eq!(strategy(text), simple, "{text}");
    }
    let network = |factors: &[(&str, u8)]| {
        let factors = factors.iter().map(|(name, factor)| ((*name).to_owned(), *factor));
        Strategy::NetworkTopology(factors.collect::<BTreeMap<_, _>>())
    };
    for (text, wanted) in [
        ("'class': 'NetworkTopologyStrategy', 'dc1': 2", network(&[("dc1", 2)])),
        (
            "'class': 'org.apache.cassandra.locator.NetworkTopologyStrategy', 'replication_factor': 2",
            network(&[("dc1", 2), ("dc2", 2)]),
        ),
        (
            "'class': 'NetworkTopologyStrategy', 'replication_factor': 2, 'dc2': '1'",
            network(&[("dc1", 2), ("dc2", 1)]),
        ),
        (
            "'class': 'NetworkTopologyStrategy', 'dc1': 1, 'dc2': 0",
            network(&[("dc1", 1), ("dc2", 0)]),
        ),
    ] {
        assert_eq!(strategy(text), wanted, "{text}");
    }
}

/// Code and phrase for each definition that is refused.
const CASES: &[(&str, ErrorCode, &str)] = &[
    ("CREATE TABLE x (a int, b int)", ErrorCode::Invalid, "No PRIMARY KEY specified for table 'x'"),
    (
        "CREATE TABLE x (a int, a text, PRIMARY KEY (a))",
        ErrorCode::Invalid,
        "Duplicate column 'a' declaration",
    ),
    (
        "CREATE TABLE x (a int, PRIMARY KEY (b))",
        ErrorCode::Invalid,
        "Unknown column 'b' referenced in PRIMARY KEY",
    ),
    (
        "CREATE TABLE x (a int, PRIMARY KEY (a, a))",
        ErrorCode::Invalid,
        "Duplicate column 'a' in PRIMARY KEY",
    ),
    (
        "CREATE TABLE x (a set<text> PRIMARY KEY)",
        ErrorCode::Invalid,
        "Invalid type set<text> for PRIMARY KEY column 'a'",
    ),
    ("CREATE TABLE x (a frob PRIMARY KEY)", ErrorCode::Invalid, "Unknown type frob"),
    (
        "CREATE TABLE x (a counter, k int PRIMARY KEY)",
        ErrorCode::Invalid,
        "type counter is not supported yet",
    ),
    (
        "CREATE TABLE x (a duration PRIMARY KEY)",
        ErrorCode::Invalid,
        "Invalid type duration for PRIMARY KEY column 'a'",
    ),
    (
        "CREATE TABLE x (a list<set<int>>, k int PRIMARY KEY)",
        ErrorCode::Invalid,
        "Non-frozen collections are not allowed inside collections: list<set<int>>",
    ),
    (
        "CREATE TABLE x (a int STATIC, k int PRIMARY KEY)",
        ErrorCode::Invalid,
        "a static column is not supported yet",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH COMPACT STORAGE",
        ErrorCode::Invalid,
        "COMPACT STORAGE is not supported yet",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH CLUSTERING ORDER BY (k ASC)",
        ErrorCode::Invalid,
        "CLUSTERING ORDER BY",
    ),
    (
        "CREATE TABLE x (k int, c int, d int, PRIMARY KEY (k, c, d)) WITH CLUSTERING ORDER BY (d ASC, c ASC)",
        ErrorCode::Invalid,
        "must exactly match",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH frob = 1",
        ErrorCode::Config,
        "Unknown property 'frob'",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH comment = 1",
        ErrorCode::Config,
        "'comment'. It should be a string",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH compression = 'x'",
        ErrorCode::Config,
        "'compression'. It should be a map",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH gc_grace_seconds = 'x'",
        ErrorCode::Config,
        "'gc_grace_seconds'. It should be an integer",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH bloom_filter_fp_chance = 'x'",
        ErrorCode::Config,
        "It should be a number",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH cdc = 'x'",
        ErrorCode::Config,
        "It should be true or false",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH cdc = true",
        ErrorCode::Invalid,
        "cdc = true is not supported yet",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH default_time_to_live = 5",
        ErrorCode::Invalid,
        "default_time_to_live is not supported yet",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH conflict = 'sometimes'",
        ErrorCode::Config,
        "not 'sometimes'",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH speculative_retry = 'MIN(99p,50ms)'",
        ErrorCode::Config,
        "a percentile like '99p', a time like '50ms', 'ALWAYS' or 'NEVER', not 'MIN(99p,50ms)'",
    ),
    (
        "CREATE TABLE x (k int PRIMARY KEY) WITH sloppy_quorum = 'often'",
        ErrorCode::Config,
        "It should be true or false",
    ),
    (
        "CREATE TABLE \"a-b\" (k int PRIMARY KEY)",
        ErrorCode::Invalid,
        "Table name must not be empty",
    ),
    (
        "CREATE TABLE a23456789012345678901234567890123456789012345678x (k int PRIMARY KEY)",
        ErrorCode::Invalid,
        "more than 48 characters",
    ),
    (
        "CREATE KEYSPACE \"a.b\" WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        ErrorCode::Invalid,
        "Keyspace name must not be empty",
    ),
    (
        "CREATE KEYSPACE x WITH durable_writes = true",
        ErrorCode::Invalid,
        "Missing mandatory option 'replication'",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'replication_factor': 1}",
        ErrorCode::Config,
        "Missing replication strategy class",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'NoSuch'}",
        ErrorCode::Config,
        "Unable to find replication strategy class 'NoSuch'",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'SimpleStrategy'}",
        ErrorCode::Config,
        "SimpleStrategy requires a replication_factor",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 'many'}",
        ErrorCode::Config,
        "found many",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'SimpleStrategy', 'replication_factor': -1}",
        ErrorCode::Config,
        "found -1",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 256}",
        ErrorCode::Config,
        "found 256",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 0}",
        ErrorCode::Config,
        "must be positive",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1, 'dc1': 1}",
        ErrorCode::Config,
        "Unrecognized strategy option {dc1} passed to SimpleStrategy",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'NetworkTopologyStrategy'}",
        ErrorCode::Config,
        "NetworkTopologyStrategy requires",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 0}",
        ErrorCode::Config,
        "must be positive",
    ),
    (
        "CREATE KEYSPACE x WITH replication = 'SimpleStrategy'",
        ErrorCode::Config,
        "'replication'. It should be a map",
    ),
    ("CREATE KEYSPACE x WITH frob = 1", ErrorCode::Config, "Unknown property 'frob'"),
    ("ALTER KEYSPACE app WITH sloppy_quorum = 1", ErrorCode::Config, "It should be true or false"),
    ("ALTER KEYSPACE app WITH durable_writes = 5", ErrorCode::Config, "It should be true or false"),
];

#[test]
fn each_refusal_has_its_code_and_a_telling_phrase() {
    let fixture = Fixture::new();
    let mut wrong = Vec::new();
    for (text, code, phrase) in CASES {
        match fixture.plan(text).map_err(wire::ErrorReply::from) {
            Err(reply) if reply.kind.code() == *code && reply.message.contains(phrase) => {}
            other => wrong.push(format!("{text}\n  wanted {code:?} {phrase:?}\n  {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_table_names_its_conflict_mode_or_inherits_the_keyspace_s_or_the_server_s() {
    let mut fixture = Fixture::new();
    let mut made = |name: &str, option: &str| {
        fixture.define(&format!("CREATE TABLE {name} (k int PRIMARY KEY){option}"));
        fixture.snapshot.table("app", name).unwrap().conflict
    };
    assert_eq!(made("a", ""), Conflict::Siblings);
    assert_eq!(made("b", " WITH conflict = 'lww'"), Conflict::Lww);
    fixture.limits.default_conflict = Conflict::Lww;
    let mut made = |name: &str, option: &str| {
        fixture.define(&format!("CREATE TABLE {name} (k int PRIMARY KEY){option}"));
        fixture.snapshot.table("app", name).unwrap().conflict
    };
    assert_eq!(made("c", ""), Conflict::Lww);
    assert_eq!(made("d", " WITH conflict = 'siblings'"), Conflict::Siblings);
    fixture.define("ALTER KEYSPACE app WITH conflict = 'siblings'");
    fixture.define("CREATE TABLE e (k int PRIMARY KEY)");
    assert_eq!(fixture.snapshot.table("app", "e").unwrap().conflict, Conflict::Siblings);
    fixture.define("ALTER KEYSPACE app WITH conflict = 'lww'");
    fixture.limits.default_conflict = Conflict::Siblings;
    fixture.define("CREATE TABLE f (k int PRIMARY KEY)");
    assert_eq!(fixture.snapshot.table("app", "f").unwrap().conflict, Conflict::Lww);
}

#[test]
fn a_table_has_at_most_so_many_columns() {
    let fixture = Fixture::new();
    let columns: Vec<_> = (0..5_000).map(|n| format!("c{n} int")).collect();
    let wide = format!("CREATE TABLE x ({}, PRIMARY KEY (c0))", columns.join(", "));
    let keys = format!("CREATE TABLE x (a int, PRIMARY KEY ({}))", vec!["a"; 70_000].join(", "));
    for text in [wide, keys] {
        let refusal = fixture.plan(&text).unwrap_err();
        let is_bounded =
            matches!(refusal, PlanError::Definition(super::DefinitionError::TooManyColumns { .. }));
        assert!(is_bounded, "{refusal:?}");
    }
}

fn alteration(text: &str) -> Alteration {
    match change(&Fixture::new(), text).change {
        Change::AlterTable { alteration, .. } => alteration,
        other => panic!("{other:?}"),
    }
}

#[test]
fn alterations_become_changes_and_events() {
    let altered =
        change(&Fixture::new(), "ALTER TABLE IF EXISTS t ADD IF NOT EXISTS (a int, B set<text>)");
    let columns = vec![
        ("a".to_owned(), CqlType::Int),
        ("b".to_owned(), CqlType::Set(Box::new(CqlType::Text))),
    ];
    let wanted = Change::AlterTable {
        keyspace: "app".to_owned(),
        name: "t".to_owned(),
        alteration: Alteration::Add { columns, if_not_exists: true },
        if_exists: true,
    };
    let table = Schema::Table { keyspace: "app".to_owned(), table: "t".to_owned() };
    assert_eq!((altered.change, altered.event), (wanted, SchemaChange::Updated(table)));
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let dropped = Alteration::Drop { columns: names(&["v", "w"]), if_exists: false };
    assert_eq!(alteration("ALTER TABLE t DROP (v, w)"), dropped);
    let renamed =
        Alteration::Rename { columns: vec![("k".to_owned(), "Key".to_owned())], if_exists: true };
    assert_eq!(alteration("ALTER TABLE t RENAME IF EXISTS k TO \"Key\""), renamed);
    let options = |comment: Option<&str>, sloppy_quorum| {
        let comment = comment.map(str::to_owned);
        Alteration::Options { comment, sloppy_quorum, speculative_retry: None }
    };
    let commented = alteration("ALTER TABLE t WITH comment = 'x' AND gc_grace_seconds = 5");
    assert_eq!(commented, options(Some("x"), None));
    assert_eq!(alteration("ALTER TABLE t WITH compression = {}"), options(None, None));
    let retried = alteration("ALTER TABLE t WITH speculative_retry = '50ms'");
    let speculative_retry = Some(SpeculativeRetry::After { ms: 50 });
    let wanted = Alteration::Options { comment: None, sloppy_quorum: None, speculative_retry };
    assert_eq!(retried, wanted);
    let strict = alteration("ALTER TABLE t WITH sloppy_quorum = false");
    assert_eq!(strict, options(None, Some(false)));
}

#[test]
fn truncate_names_its_table() {
    let fixture = Fixture::new();
    for text in ["TRUNCATE t", "TRUNCATE TABLE app.t"] {
        let Ok(Plan::Truncate(plan)) = fixture.plan(text) else { panic!("{text}") };
        assert_eq!((plan.keyspace.as_str(), plan.table.as_str()), ("app", "t"));
    }
}

#[test]
fn alterations_that_would_change_stored_rows_are_refused_by_name() {
    let fixture = Fixture::new();
    for (text, code, words) in [
        ("ALTER TABLE t ALTER v TYPE blob", ErrorCode::Invalid, "ALTER TABLE … ALTER … TYPE"),
        ("ALTER TABLE t DROP COMPACT STORAGE", ErrorCode::Invalid, "COMPACT STORAGE"),
        ("ALTER TABLE t DROP v USING TIMESTAMP 1", ErrorCode::Invalid, "USING TIMESTAMP"),
        ("ALTER TABLE t ADD a int STATIC", ErrorCode::Invalid, "static column"),
        ("ALTER TABLE t ADD a nosuch", ErrorCode::Invalid, "Unknown type nosuch"),
        ("ALTER TABLE t ADD \"\"\"\" int, a counter", ErrorCode::Invalid, "type counter"),
        ("ALTER TABLE t WITH conflict = 'siblings'", ErrorCode::Config, "fixed when a table is"),
        ("ALTER TABLE t WITH nosuch = 1", ErrorCode::Config, "Unknown property 'nosuch'"),
        ("ALTER TABLE t WITH default_time_to_live = 5", ErrorCode::Invalid, "default_time_to_live"),
        ("ALTER TABLE system.local ADD a int", ErrorCode::Unauthorized, "system"),
        ("TRUNCATE system.local", ErrorCode::Unauthorized, "system"),
    ] {
        let error = fixture.plan(text).map(|plan| format!("{plan:?}")).unwrap_err();
        assert!(error.to_string().contains(words), "{text}: {error}");
        assert_eq!(wire::ErrorReply::from(error).kind.code(), code, "{text}");
    }
}
