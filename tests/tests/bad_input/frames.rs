//! Bytes that are no frames, and frames that are no requests.

use anyhow::{Result, ensure};
use starling_tests::cql::{self, Ask, HEADER_BYTES, frame_bytes, header_bytes, opcode, query_body};
use starling_tests::{Client, Cluster, Consistency, Reply};

use super::{PROTOCOL, assert_alive, one_node};

/// The longest body that a node takes unless it is told otherwise.
const BODY_BYTES_MAX: u32 = 16 << 20;

/// One good request of each kind: opcode and body.
fn requests() -> Vec<(u8, Vec<u8>)> {
    let statement = "SELECT body FROM app.notes WHERE note_id = 1";
    let query = query_body(statement, &Ask::at(Consistency::One));
    let mut prepare = Vec::new();
    cql::put_long_string(&mut prepare, statement);
    let mut execute = b"\0\x10".to_vec();
    execute.extend([7; 16]);
    execute.extend(b"\0\x01\x01\0\x01\0\0\0\x04\0\0\0\x01"); // ONE, one value.
    let mut register = b"\0\x01".to_vec();
    cql::put_string(&mut register, "SCHEMA_CHANGE");
    let mut batch = b"\x00\0\x01\0".to_vec();
    cql::put_long_string(&mut batch, "INSERT INTO app.notes (note_id) VALUES (2)");
    batch.extend(b"\0\0\0\x01\0");
    vec![
        (opcode::QUERY, query),
        (opcode::PREPARE, prepare),
        (opcode::EXECUTE, execute),
        (opcode::REGISTER, register),
        (opcode::BATCH, batch),
    ]
}

fn connect(cluster: &Cluster) -> Result<Client> {
    cluster.nodes()[0].client()
}

/// A generator of bytes that need not be good, only equal in every run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn random_bytes_end_the_connection_and_nothing_else() -> Result<()> {
    let (cluster, _) = one_node("noise")?;
    let node = cluster.nodes()[0].address();
    for seed in 1..=200 {
        let length = usize::try_from(seed * 7)?;
        for mut client in [Client::dial(node)?, connect(&cluster)?] {
            // The server may hang up before it has read everything.
            let _ = client.send(&noise(seed, length)).and_then(|()| client.finish_sending());
            client.drain()?;
        }
    }
    assert_alive(&cluster)?;
    cluster.finish()
}

#[test]
fn random_bodies_of_every_opcode_are_answered_or_end_the_connection() -> Result<()> {
    let (cluster, _) = one_node("bodies")?;
    for opcode in 0..=u8::MAX {
        let mut client = connect(&cluster)?;
        for seed in 1..=8 {
            let body = noise(u64::from(opcode) + seed, usize::try_from(seed * 5)?);
            if client.send(&frame_bytes(4, 1, opcode, &body)).is_err() {
                break;
            }
        }
        let _ = client.finish_sending(); // It may have hung up already.
        client.drain()?;
    }
    assert_alive(&cluster)?;
    cluster.finish()
}

#[test]
fn a_frame_cut_at_any_byte_ends_the_connection_and_nothing_else() -> Result<()> {
    let (cluster, _) = one_node("cut")?;
    for (opcode, body) in requests() {
        let whole = frame_bytes(4, 1, opcode, &body);
        for length in 0..whole.len() {
            let mut client = connect(&cluster)?;
            client.send(&whole[..length])?;
            client.finish_sending()?;
            client.drain()?;
        }
    }
    assert_alive(&cluster)?;
    cluster.finish()
}

#[test]
fn a_body_cut_at_any_byte_is_a_protocol_error_and_the_connection_lives() -> Result<()> {
    let (cluster, mut client) = one_node("bodies-cut")?;
    for (opcode, body) in requests() {
        for length in 0..body.len() {
            let reply = client.exchange(opcode, &body[..length])?;
            let Reply::Refused(refusal) = reply else {
                anyhow::bail!("opcode {opcode:#x} cut to {length} bytes: {reply:?}")
            };
            ensure!(refusal.code == PROTOCOL, "opcode {opcode:#x}, {length} bytes: {refusal:?}");
        }
    }
    client.rows("SELECT body FROM app.notes WHERE note_id = 1")?;
    cluster.finish()
}

#[test]
fn lengths_and_counts_that_lie_are_protocol_errors() -> Result<()> {
    let (cluster, mut client) = one_node("lies")?;
    let lies: [(u8, &[u8]); 9] = [
        (opcode::QUERY, b"\x7f\xff\xff\xffSELECT"),
        (opcode::QUERY, b"\xff\xff\xff\xffSELECT"),
        (opcode::PREPARE, b"\x00\x00\xff\xffSELECT"),
        (opcode::EXECUTE, b"\xff\xff"),
        (opcode::EXECUTE, b"\0\x01\x01\0\x01\x01\xff\xff\0\0\0\x01x"),
        (opcode::EXECUTE, b"\0\x01\x01\0\x01\x01\0\x01\x7f\xff\xff\xffx"),
        (opcode::BATCH, b"\x00\xff\xff\0\0\0\0\x01x"),
        (opcode::REGISTER, b"\xff\xff\0\x01x"),
        (opcode::STARTUP, b"\xff\xff\0\x01x\0\x01y"),
    ];
    for (opcode, body) in lies {
        let reply = client.exchange(opcode, body)?;
        let Reply::Refused(refusal) = reply else { anyhow::bail!("{body:?}: {reply:?}") };
        ensure!(refusal.code == PROTOCOL, "{body:?}: {refusal:?}");
    }
    assert_alive(&cluster)?;
    cluster.finish()
}

/// It is told so at once, by its header; the next frame is known to begin, so the client goes on.
#[test]
fn a_body_over_the_limit_is_refused_and_thrown_away() -> Result<()> {
    let (cluster, mut client) = one_node("long")?;
    let length = BODY_BYTES_MAX + 1;
    client.send(&header_bytes(4, 1, opcode::QUERY, length))?;
    let refusal = client.refusal_or_end()?;
    ensure!(refusal.as_ref().is_some_and(|it| it.message.contains("too long")), "{refusal:?}");
    let part = vec![b'x'; 1 << 16];
    for _ in 0..length / 65_536 {
        client.send(&part)?;
    }
    client.send(b"x")?;
    client.rows("SELECT body FROM app.notes WHERE note_id = 1")?;
    cluster.finish()
}

#[test]
fn a_length_that_no_protocol_allows_ends_the_connection() -> Result<()> {
    let (cluster, _) = one_node("oversized")?;
    for length in [(256 << 20) + 1, i32::MAX as u32, u32::MAX] {
        let mut client = connect(&cluster)?;
        client.send(&header_bytes(4, 1, opcode::QUERY, length))?;
        let refusal = client.refusal_or_end()?;
        ensure!(refusal.is_some_and(|it| it.code == PROTOCOL), "{length} bytes: no refusal");
        ensure!(client.refusal_or_end()?.is_none(), "the connection ends");
    }
    assert_alive(&cluster)?;
    cluster.finish()
}

#[test]
fn a_stranger_may_not_declare_a_long_body() -> Result<()> {
    let (cluster, _) = one_node("stranger")?;
    let mut client = Client::dial(cluster.nodes()[0].address())?;
    client.send(&header_bytes(4, 1, opcode::STARTUP, 1 << 20))?;
    let refusal = client.refusal_or_end()?;
    ensure!(refusal.is_some_and(|it| it.code == PROTOCOL), "no refusal");
    ensure!(client.refusal_or_end()?.is_none(), "the connection ends");
    cluster.finish()
}

#[test]
fn unknown_versions_are_told_the_known_ones() -> Result<()> {
    let (cluster, _) = one_node("versions")?;
    for version in [0, 1, 2, 3, 5, 6, 0x41, 0x42, 0x7f] {
        let mut client = Client::dial(cluster.nodes()[0].address())?;
        client.send(&frame_bytes(version, 0x0101, opcode::OPTIONS, b""))?;
        let frame = client.receive()?;
        let stream = if matches!(version, 1 | 2) { 1 } else { 0x0101 }; // It was one byte once.
        assert_eq!((frame.version, frame.stream, frame.opcode), (0x84, stream, opcode::ERROR));
        let text = String::from_utf8_lossy(&frame.body[4..]).into_owned();
        ensure!(text.contains("Invalid or unsupported protocol version"), "{version}: {text}");
        ensure!(text.contains("4/v4"), "{version}: {text}");
        ensure!(client.refusal_or_end()?.is_none(), "the connection ends");
    }
    cluster.finish()
}

#[test]
fn a_statement_before_startup_is_a_protocol_error() -> Result<()> {
    let (cluster, _) = one_node("early")?;
    for (opcode, body) in requests() {
        let mut client = Client::dial(cluster.nodes()[0].address())?;
        let reply = client.exchange(opcode, &body)?;
        let Reply::Refused(refusal) = reply else { anyhow::bail!("{opcode:#x}: {reply:?}") };
        ensure!(refusal.code == PROTOCOL, "{opcode:#x}: {refusal:?}");
    }
    cluster.finish()
}

#[test]
fn an_unknown_prepared_statement_is_named_in_the_refusal() -> Result<()> {
    let (cluster, mut client) = one_node("unprepared")?;
    let (_, execute) = requests().swap_remove(2);
    let reply = client.exchange(opcode::EXECUTE, &execute)?;
    let Reply::Refused(refusal) = reply else { anyhow::bail!("{reply:?}") };
    assert_eq!(refusal.code, 0x2500);
    cluster.finish()
}

#[test]
fn requests_in_one_packet_are_all_answered() -> Result<()> {
    let (cluster, mut client) = one_node("pipeline")?;
    let (opcode, body) = requests().swap_remove(0);
    let packet: Vec<u8> =
        (0..1_000).flat_map(|stream| frame_bytes(4, stream, opcode, &body)).collect();
    ensure!(packet.len() > HEADER_BYTES * 1_000);
    client.send(&packet)?;
    let mut streams = Vec::new();
    for _ in 0..1_000 {
        let frame = client.receive()?;
        assert_eq!(frame.opcode, opcode::RESULT);
        streams.push(frame.stream);
    }
    streams.sort_unstable();
    assert_eq!(streams, (0..1_000).collect::<Vec<_>>());
    cluster.finish()
}
