//! Requests that are well formed and cannot be done: batches, values, paging states, events.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use starling_tests::cql::{Ask, opcode, put_long_string, put_string, query_body};
use starling_tests::{Client, Cluster, Consistency, Refusal, Reply};

use super::statements::INVALID;
use super::{PROTOCOL, assert_alive, one_node, one_node_of};

const UNPREPARED: i32 = 0x2500;

/// What a client sends and what it is told.
struct Case {
    what: &'static str,
    opcode: u8,
    body: Vec<u8>,
    code: i32,
    phrase: &'static str,
}

/// The entry of a statement in text in a BATCH, without values.
fn text(statement: &str) -> Vec<u8> {
    let mut entry = vec![0];
    put_long_string(&mut entry, statement);
    entry.extend(0_u16.to_be_bytes());
    entry
}

/// A BATCH of this kind at ONE.
fn batch(kind: u8, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![kind];
    let count = u16::try_from(entries.len()).expect("tests send short batches");
    body.extend(count.to_be_bytes());
    body.extend(entries.concat());
    body.extend(Consistency::One.code().to_be_bytes());
    body.push(0);
    body
}

/// A QUERY at ONE with these values, each with its length.
fn query_with(statement: &str, values: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    put_long_string(&mut body, statement);
    body.extend(Consistency::One.code().to_be_bytes());
    body.push(0x01);
    body.extend(u16::try_from(values.len()).expect("few values").to_be_bytes());
    for value in values {
        body.extend(i32::try_from(value.len()).expect("short values").to_be_bytes());
        body.extend(*value);
    }
    body
}

fn register(kinds: &[&str]) -> Vec<u8> {
    let mut body = u16::try_from(kinds.len()).expect("few kinds").to_be_bytes().to_vec();
    for kind in kinds {
        put_string(&mut body, kind);
    }
    body
}

fn insert(note_id: u32) -> Vec<u8> {
    text(&format!("INSERT INTO app.notes (note_id) VALUES ({note_id})"))
}

const LOGGED: u8 = 0;
const UNLOGGED: u8 = 1;
const COUNTER: u8 = 2;

fn batches() -> Vec<Case> {
    let of = |what, body, code, phrase| Case { what, opcode: opcode::BATCH, body, code, phrase };
    let mut unprepared = vec![1, 0, 16];
    unprepared.extend([7; 16]);
    unprepared.extend([0, 0]);
    let mut one_value_more = text("INSERT INTO app.notes (note_id) VALUES (1)");
    one_value_more.truncate(one_value_more.len() - 2);
    one_value_more.extend(b"\0\x01\0\0\0\x04\0\0\0\x01");
    let mut lying = batch(UNLOGGED, &[insert(1)]);
    lying[1..3].copy_from_slice(&[0, 2]);
    let mut named = batch(UNLOGGED, &[insert(1)]);
    *named.last_mut().expect("a batch has flags") = 0x40;
    let select = text("SELECT body FROM app.notes WHERE note_id = 1");
    let many: Vec<_> = (0..20_000).map(insert).collect();
    vec![
        of("a batch of an unknown kind", batch(3, &[insert(1)]), PROTOCOL, "batch"),
        of("an entry of an unknown kind", batch(LOGGED, &[vec![2]]), PROTOCOL, "batch"),
        of("a batch that counts one too many", lying, PROTOCOL, ""),
        of("a batch with named values", named, PROTOCOL, "names"),
        of("an unprepared id", batch(UNLOGGED, &[insert(1), unprepared]), UNPREPARED, ""),
        of("a SELECT", batch(UNLOGGED, &[insert(1), select]), INVALID, "SELECT"),
        of("USE", batch(UNLOGGED, &[text("USE app")]), INVALID, "BATCH"),
        of("a value without a marker", batch(UNLOGGED, &[one_value_more]), INVALID, "bind"),
        of(
            "no such table",
            batch(UNLOGGED, &[text("DELETE FROM app.x WHERE k = 1")]),
            INVALID,
            "x",
        ),
        of("two partitions, logged", batch(LOGGED, &[insert(1), insert(2)]), INVALID, "LOGGED"),
        of("counters", batch(COUNTER, &[insert(1)]), INVALID, "COUNTER"),
        of("too many statements", batch(UNLOGGED, &many), INVALID, "batch"),
    ]
}

fn values() -> Vec<Case> {
    let of = |what, statement, values: &[&[u8]], phrase| Case {
        what,
        opcode: opcode::QUERY,
        body: query_with(statement, values),
        code: INVALID,
        phrase,
    };
    let insert = "INSERT INTO app.notes (note_id, body) VALUES (?, ?)";
    let select = "SELECT body FROM app.notes WHERE note_id = ?";
    let limited = "SELECT body FROM app.notes WHERE note_id = 1 LIMIT ?";
    let tagged = "INSERT INTO app.notes (note_id, tags) VALUES (1, ?)";
    vec![
        of("a short int", select, &[&[0, 0, 1]], "note_id"),
        of("a long int", select, &[&[0, 0, 0, 0, 1]], "note_id"),
        of("too few values", insert, &[&[0, 0, 0, 1]], "bind"),
        of("too many values", select, &[&[0, 0, 0, 1], &[1]], "bind"),
        of("a text that is none", insert, &[&[0, 0, 0, 1], &[0xff]], "body"),
        of("a LIMIT of nothing", limited, &[&[0, 0, 0, 0]], "LIMIT"),
        of("a negative LIMIT", limited, &[&[0xff; 4]], "LIMIT"),
        of("a set that counts too many", tagged, &[b"\0\0\0\x02\0\0\0\x01x"], "tags"),
        of("a set that counts below zero", tagged, &[&[0xff; 4]], "tags"),
        of("a set with bytes behind it", tagged, &[b"\0\0\0\0x"], "tags"),
    ]
}

fn events() -> Vec<Case> {
    let of = |what, kinds: &[&str]| Case {
        what,
        opcode: opcode::REGISTER,
        body: register(kinds),
        code: PROTOCOL,
        phrase: "event",
    };
    vec![
        of("an unknown event", &["WEATHER_CHANGE"]),
        of("an unknown event behind a known one", &["SCHEMA_CHANGE", "WEATHER_CHANGE"]),
        of("an event without a name", &[""]),
        of("an event in small letters", &["schema_change"]),
    ]
}

#[test]
fn each_bad_request_earns_its_code_and_the_connection_lives() -> Result<()> {
    let (cluster, mut client) = one_node("requests")?;
    let mut wrong = Vec::new();
    for Case { what, opcode, body, code, phrase } in
        batches().into_iter().chain(values()).chain(events())
    {
        match client.exchange(opcode, &body)? {
            Reply::Refused(refusal) if refusal.code == code && refusal.message.contains(phrase) => {
            }
            reply => wrong.push(format!("{what}\n  wanted {code:#06x} {phrase:?}\n  {reply:?}")),
        }
    }
    ensure!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(client.rows("SELECT body FROM app.notes WHERE note_id = 1")?.count(), 0);
    cluster.finish()
}

const SCAN: &str = "SELECT line_no FROM app.lines WHERE day_name = 'monday'";

/// A client of a partition of nine rows, and the state after the first page of two.
fn page_state(cluster: Cluster) -> Result<(Cluster, Client, Vec<u8>)> {
    let mut client = cluster.nodes()[0].client()?;
    for line in 0..9 {
        let insert = "INSERT INTO app.lines (day_name, line_no) VALUES";
        client.run(&format!("{insert} ('monday', {line})"))?;
        client.run(&format!("{insert} ('tuesday', {line})"))?;
    }
    let ask = Ask { level: Consistency::One, page_rows: Some(2), paging_state: None };
    let rows = client.rows_asked(SCAN, &ask)?;
    let Some(state) = rows.paging_state else { bail!("one page: {rows:?}") };
    Ok((cluster, client, state))
}

fn refused(client: &mut Client, statement: &str, state: &[u8]) -> Result<Refusal> {
    let ask = Ask { level: Consistency::One, page_rows: Some(2), paging_state: Some(state) };
    match client.exchange(opcode::QUERY, &query_body(statement, &ask))? {
        Reply::Refused(refusal) => Ok(refusal),
        reply => bail!("{statement} with {} bytes of state: {reply:?}", state.len()),
    }
}

#[test]
fn a_paging_state_with_any_bit_turned_is_refused() -> Result<()> {
    let (cluster, mut client, state) = page_state(one_node("states-forged")?.0)?;
    for bit in 0..state.len() * 8 {
        let mut forged = state.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let refusal = refused(&mut client, SCAN, &forged)?;
        ensure!(refusal.code == INVALID, "bit {bit}: {refusal:?}");
        ensure!(refusal.message.contains("paging state"), "bit {bit}: {refusal:?}");
    }
    for len in 0..state.len() {
        let refusal = refused(&mut client, SCAN, &state[..len])?;
        ensure!(refusal.message.contains("paging state"), "{len} bytes: {refusal:?}");
    }
    assert_alive(&cluster)?;
    cluster.finish()
}

#[test]
fn a_paging_state_of_another_statement_or_cluster_is_refused() -> Result<()> {
    let (cluster, mut client, state) = page_state(one_node("states-foreign")?.0)?;
    for foreign in [
        "SELECT line_no FROM app.lines WHERE day_name = 'tuesday'",
        "SELECT line_no FROM app.lines WHERE day_name = 'monday' ORDER BY line_no DESC",
        "SELECT line_no FROM app.lines WHERE day_name = 'monday' AND line_no > 3",
        "SELECT note_id FROM app.notes",
    ] {
        let refusal = refused(&mut client, foreign, &state)?;
        ensure!(refusal.code == INVALID, "{foreign}: {refusal:?}");
        ensure!(refusal.message.contains("paging state"), "{foreign}: {refusal:?}");
    }
    let (other, mut stranger, _) = page_state(one_node("states-other")?.0)?;
    let refusal = refused(&mut stranger, SCAN, &state)?;
    ensure!(refusal.message.contains("paging state"), "another cluster: {refusal:?}");
    other.finish()?;
    cluster.finish()
}

#[test]
fn a_paging_state_that_has_expired_is_refused() -> Result<()> {
    let builder = Cluster::builder("states-expired").set("gc.age=4s");
    let (cluster, mut client, state) = page_state(one_node_of(builder)?.0)?;
    let ask = Ask { level: Consistency::One, page_rows: Some(2), paging_state: Some(&state) };
    ensure!(client.rows_asked(SCAN, &ask)?.count() == 2, "it is good at first");
    std::thread::sleep(Duration::from_secs(3)); // Half of the age, and more.
    let refusal = refused(&mut client, SCAN, &state)?;
    ensure!(refusal.code == INVALID, "{refusal:?}");
    ensure!(refusal.message.contains("expired"), "{refusal:?}");
    cluster.finish()
}
