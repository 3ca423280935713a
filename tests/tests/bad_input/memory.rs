//! A header claims memory; only bytes that arrive get it.

use std::process::Command;

use anyhow::{Result, ensure};
use starling_tests::cluster::settle;
use starling_tests::cql::{header_bytes, opcode};
use starling_tests::{Client, wait};

use super::{assert_alive, one_node};

const CONNECTIONS: usize = 1_000;
const DECLARED_BYTES: u32 = 16 << 20;
const MIB: u64 = 1 << 20;

/// The connections of this test need more files than a process may open by default.
fn allow_open_files() -> Result<()> {
    let process = std::process::id().to_string();
    let mut command = Command::new("prlimit");
    command.args(["--pid", &process, "--nofile=4096:"]);
    let outcome = wait::run(&mut command, std::time::Duration::from_secs(10))?;
    ensure!(outcome.status.success(), "{}", outcome.stderr);
    Ok(())
}

#[test]
fn a_thousand_declared_frames_cost_what_was_sent() -> Result<()> {
    let (cluster, client) = one_node("declared")?;
    drop(client);
    allow_open_files()?;
    let node = &cluster.nodes()[0];
    let before = node.resident_bytes()?;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = Client::connect(node.address())?;
        client.send(&header_bytes(4, 1, opcode::QUERY, DECLARED_BYTES))?;
        client.send(&[0; 10])?;
        clients.push(client);
    }
    std::thread::sleep(std::time::Duration::from_secs(1)); // Everything has arrived.
    let during = node.resident_bytes()?;
    assert_alive(&cluster)?;
    drop(clients);
    let growth = during.saturating_sub(before);
    eprintln!(
        "resident: {} KiB, with {CONNECTIONS} connections {} KiB",
        before >> 10,
        during >> 10
    );
    ensure!(growth < 64 * MIB, "{growth} bytes more");
    settle("the memory to come back", || {
        let after = node.resident_bytes()?;
        ensure!(after < before + 16 * MIB, "{before} bytes before, {after} after");
        eprintln!("resident after they are gone: {} KiB", after >> 10);
        Ok(())
    })?;
    cluster.finish()
}
