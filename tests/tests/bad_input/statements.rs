//! Statements that cannot be done: exact code, and a phrase that says what is wrong.

use anyhow::{Result, ensure};
use starling_tests::{Consistency, Reply};

use super::{language, one_node};

pub(super) const SYNTAX: i32 = 0x2000;
pub(super) const UNAUTHORIZED: i32 = 0x2100;
pub(super) const INVALID: i32 = 0x2200;
pub(super) const CONFIG: i32 = 0x2300;
const EXISTS: i32 = 0x2400;

/// Statement, code, phrase.
const CASES: &[(&str, i32, &str)] = &[
    // Not the language.
    ("", SYNTAX, "expected"),
    ("SELEC * FROM app.notes", SYNTAX, "line 1:1: expected"),
    ("SELECT\n* FORM app.notes", SYNTAX, "line 2:3: expected"),
    ("SELECT * FROM", SYNTAX, "line 1:14: expected"),
    ("SELECT * FROM app.notes WHERE", SYNTAX, "expected"),
    ("SELECT * FROM app.notes WHERE note_id 1", SYNTAX, "found `1`"),
    ("SELECT * FROM app.notes WHERE note_id =", SYNTAX, "expected"),
    ("SELECT * FROM app.notes LIMIT many", SYNTAX, "many"),
    ("SELECT * FROM app.notes WHERE note_id = 1 USING CONSISTENCY SOMETIMES", SYNTAX, "SOMETIMES"),
    ("INSERT INTO app.notes (note_id, body VALUES (1, 'x')", SYNTAX, "VALUES"),
    ("INSERT INTO app.notes (note_id, body) VALUES (1, 'x'", SYNTAX, "expected"),
    ("INSERT INTO app.notes (note_id, body) VALUES (1, 'x)", SYNTAX, "line 1:"),
    ("INSERT INTO app.notes (note_id) VALUES (1) USING CONTEXT", SYNTAX, "expected"),
    ("UPDATE app.notes SET WHERE note_id = 1", SYNTAX, "line 1:"),
    ("UPDATE app.notes SET body = 'x'", SYNTAX, "WHERE"),
    ("DELETE app.notes WHERE note_id = 1", SYNTAX, "line 1:"),
    ("CREATE TABLE app.x (k int PRIMARY KEY", SYNTAX, "expected"),
    ("CREATE TABLE app.x ()", SYNTAX, "line 1:21: expected"),
    ("CREATE THING app.x", SYNTAX, "THING"),
    ("USE", SYNTAX, "expected"),
    ("SELECT * FROM app.notes; SELECT * FROM app.notes", SYNTAX, "line 1:26"),
    ("SELECT * FROM app.notes WHERE note_id = 0xZZ", SYNTAX, "line 1:"),
    ("SELECT \u{1} FROM app.notes", SYNTAX, "line 1:8"),
    // Things that are not there.
    ("SELECT * FROM app.nosuch", INVALID, "nosuch"),
    ("SELECT * FROM nosuch.notes", INVALID, "nosuch"),
    ("SELECT * FROM notes", INVALID, "keyspace"),
    ("SELECT nosuch FROM app.notes WHERE note_id = 1", INVALID, "nosuch"),
    ("SELECT nosuch(body) FROM app.notes WHERE note_id = 1", INVALID, "nosuch"),
    ("SELECT * FROM app.notes WHERE nosuch = 1", INVALID, "nosuch"),
    ("INSERT INTO app.notes (note_id, nosuch) VALUES (1, 2)", INVALID, "nosuch"),
    ("UPDATE app.notes SET nosuch = 1 WHERE note_id = 1", INVALID, "nosuch"),
    ("DELETE nosuch FROM app.notes WHERE note_id = 1", INVALID, "nosuch"),
    ("DROP TABLE app.nosuch", INVALID, "nosuch"),
    ("DROP KEYSPACE nosuch", INVALID, "nosuch"),
    ("USE nosuch", INVALID, "nosuch"),
    ("CREATE TABLE nosuch.x (k int PRIMARY KEY)", INVALID, "nosuch"),
    // Rows that are not named, or named wrongly.
    ("SELECT * FROM app.lines WHERE line_no = 1", INVALID, "line_no without the partition key"),
    ("INSERT INTO app.notes (body) VALUES ('x')", INVALID, "note_id"),
    ("INSERT INTO app.notes (note_id, note_id) VALUES (1, 2)", INVALID, "note_id"),
    ("INSERT INTO app.notes (note_id, body) VALUES (1)", INVALID, "value"),
    ("INSERT INTO app.notes (note_id) VALUES (null)", INVALID, "note_id"),
    ("UPDATE app.notes SET note_id = 2 WHERE note_id = 1", INVALID, "note_id"),
    ("UPDATE app.lines SET body = 'x' WHERE day_name = 'monday'", INVALID, "line_no"),
    ("DELETE FROM app.lines WHERE line_no = 1", INVALID, "day_name"),
    ("DELETE body FROM app.lines WHERE day_name = 'monday'", INVALID, "line_no"),
    ("SELECT * FROM app.notes WHERE note_id = ?", INVALID, "bind"),
    // Values of the wrong type.
    ("INSERT INTO app.notes (note_id) VALUES ('one')", INVALID, "note_id"),
    ("INSERT INTO app.notes (note_id) VALUES (99999999999)", INVALID, "note_id"),
    ("INSERT INTO app.notes (note_id, body) VALUES (1, 2)", INVALID, "body"),
    ("INSERT INTO app.notes (note_id, tags) VALUES (1, 'x')", INVALID, "tags"),
    ("SELECT * FROM app.notes WHERE note_id = 'one'", INVALID, "note_id"),
    ("SELECT * FROM app.notes WHERE note_id = 1 LIMIT 0", INVALID, "LIMIT"),
    ("INSERT INTO app.notes (note_id) VALUES (1) USING TTL -1", INVALID, "TTL"),
    ("INSERT INTO app.notes (note_id) VALUES (1) USING CONTEXT 'x'", SYNTAX, "expected a blob"),
    ("INSERT INTO app.notes (note_id) VALUES (1) USING TIMESTAMP 5", INVALID, "TIMESTAMP"),
    // Tables and keyspaces that cannot be.
    ("CREATE TABLE app.notes (k int PRIMARY KEY)", EXISTS, "notes"),
    (
        "CREATE KEYSPACE app WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        EXISTS,
        "app",
    ),
    ("CREATE TABLE app.x (k frob PRIMARY KEY)", INVALID, "frob"),
    ("CREATE TABLE app.x (a int, b int)", INVALID, "PRIMARY KEY"),
    ("CREATE TABLE app.x (twice int, twice text, PRIMARY KEY (twice))", INVALID, "twice"),
    ("CREATE TABLE app.x (k int, PRIMARY KEY (nosuch))", INVALID, "nosuch"),
    ("CREATE TABLE app.x (bag set<text> PRIMARY KEY)", INVALID, "bag"),
    ("CREATE TABLE app.x (k int PRIMARY KEY) WITH nosuch = 1", CONFIG, "nosuch"),
    ("CREATE TABLE app.x (k int PRIMARY KEY) WITH conflict = 'sometimes'", CONFIG, "sometimes"),
    ("CREATE TABLE app.x (k int PRIMARY KEY) WITH sloppy_quorum = 1", CONFIG, "sloppy_quorum"),
    ("CREATE KEYSPACE x WITH replication = {'class': 'NoSuch'}", CONFIG, "NoSuch"),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'SimpleStrategy'}",
        CONFIG,
        "replication_factor",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 'many'}",
        CONFIG,
        "many",
    ),
    (
        "CREATE KEYSPACE x WITH replication = {'class': 'NetworkTopologyStrategy', 'nosuch': 1}",
        CONFIG,
        "nosuch",
    ),
    (
        "ALTER KEYSPACE app WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}",
        INVALID,
        "replication",
    ),
    // What Cassandra has and Starling has not yet.
    ("INSERT INTO app.notes (note_id) VALUES (1) IF NOT EXISTS", INVALID, "IF"),
    ("UPDATE app.notes SET body = 'x' WHERE note_id = 1 IF body = 'y'", INVALID, "IF"),
    ("CREATE INDEX ON app.notes (body)", INVALID, "INDEX"),
    (
        "CREATE MATERIALIZED VIEW app.w AS SELECT * FROM app.notes PRIMARY KEY (body)",
        INVALID,
        "MATERIALIZED VIEW",
    ),
    ("CREATE TABLE app.x (k int PRIMARY KEY, c counter)", INVALID, "counter"),
    ("SELECT * FROM app.notes WHERE body = 'x' ALLOW FILTERING", INVALID, "FILTERING"),
    ("TRUNCATE app.nosuch", INVALID, "does not exist"),
    ("ALTER TABLE app.nosuch ADD c int", INVALID, "does not exist"),
    ("ALTER TABLE app.notes ADD body int", INVALID, "already exists"),
    ("ALTER TABLE app.notes DROP nosuch", INVALID, "not found"),
    ("ALTER TABLE app.notes RENAME body TO text", INVALID, "non PRIMARY KEY"),
    ("ALTER TABLE app.notes ALTER body TYPE blob", INVALID, "not supported yet"),
    ("ALTER TABLE app.notes WITH conflict = 'siblings'", CONFIG, "fixed"),
    // What belongs to the server.
    ("INSERT INTO system.local (key) VALUES ('mine')", UNAUTHORIZED, "system"),
    ("DROP TABLE system.local", UNAUTHORIZED, "system"),
    ("CREATE TABLE system.x (k int PRIMARY KEY)", UNAUTHORIZED, "system"),
];

/// Statement, level, code, phrase.
const LEVELS: &[(&str, Consistency, i32, &str)] = &[
    ("SELECT * FROM app.notes WHERE note_id = 1", Consistency::Any, INVALID, "ANY"),
    ("SELECT * FROM app.notes WHERE note_id = 1", Consistency::Serial, INVALID, "SERIAL"),
    (
        "INSERT INTO app.notes (note_id) VALUES (1)",
        Consistency::LocalSerial,
        INVALID,
        "LOCAL_SERIAL",
    ),
    (
        "SELECT * FROM app.notes WHERE note_id = 1 USING CONSISTENCY ANY",
        Consistency::One,
        INVALID,
        "ANY",
    ),
];

#[test]
fn each_bad_statement_earns_its_code_and_a_telling_message() -> Result<()> {
    let (cluster, mut client) = one_node("statements")?;
    cluster.define(language::TABLES)?;
    let cases = CASES.iter().chain(language::CASES);
    let at_one = cases.clone().map(|(text, code, phrase)| (text, Consistency::One, code, phrase));
    let at_level = LEVELS.iter().map(|(text, level, code, phrase)| (text, *level, code, phrase));
    let mut wrong = Vec::new();
    for (text, level, code, phrase) in at_one.chain(at_level) {
        match client.query_at(text, level)? {
            Reply::Refused(refusal)
                if refusal.code == *code && refusal.message.contains(phrase) => {}
            reply => wrong
                .push(format!("{text:?} at {level}\n  wanted {code:#06x} {phrase:?}\n  {reply:?}")),
        }
    }
    ensure!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
    ensure!(cases.count() >= 100, "the table shrinks");
    assert_eq!(client.rows("SELECT body FROM app.notes WHERE note_id = 1")?.count(), 0);
    cluster.finish()
}

#[test]
fn nesting_without_end_is_an_error_of_syntax() -> Result<()> {
    let (cluster, mut client) = one_node("nesting")?;
    for open in ["(", "[", "{", "-", "NOT "] {
        let text = format!("SELECT * FROM app.notes WHERE note_id = {}", open.repeat(100_000));
        let refusal = client.refusal(&text)?;
        ensure!(refusal.code == SYNTAX, "{open}: {refusal:?}");
        ensure!(refusal.message.len() < 1_000, "{open}: {} bytes of text", refusal.message.len());
    }
    cluster.finish()
}
