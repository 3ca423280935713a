//! What an idle node costs, and how soon it serves.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::cluster::READY_LIMIT;
use starling_tests::{Cluster, wait};

/// A node on an empty directory is ready within this, three times that on a busy machine.
const READY: Duration = Duration::from_secs(1);
/// An idle node keeps less than this in memory.
const RESIDENT_BYTES: u64 = 64 << 20;

#[test]
fn a_node_is_ready_a_second_after_exec_and_small_when_idle() -> Result<()> {
    let mut cluster = Cluster::builder("idle").nodes(1).seeds(0).build()?;
    let node = cluster.node(0);
    let start = wait::now();
    node.start()?;
    node.wait_ready(READY_LIMIT)?;
    let elapsed = start.elapsed();
    thread::sleep(Duration::from_secs(5));
    let resident = node.resident_bytes()?;
    eprintln!("ready after {elapsed:?}, {} KiB resident when idle", resident >> 10);
    ensure!(elapsed < 3 * READY, "ready after {elapsed:?}");
    ensure!(resident < RESIDENT_BYTES, "{resident} bytes resident");
    cluster.finish()
}

#[test]
fn a_node_that_was_used_is_ready_again_as_soon() -> Result<()> {
    let mut cluster = Cluster::builder("idle-again").nodes(1).seeds(0).start()?;
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE app.t (k int PRIMARY KEY, v text)",
    ])?;
    let mut client = cluster.node(0).client()?;
    for key in 0..1_000 {
        client.run(&format!("INSERT INTO app.t (k, v) VALUES ({key}, 'v{key}')"))?;
    }
    let node = cluster.node(0);
    node.kill()?;
    let start = wait::now();
    node.start()?;
    node.wait_ready(READY_LIMIT)?;
    let elapsed = start.elapsed();
    eprintln!("ready after {elapsed:?} with 1 000 rows in the log");
    ensure!(elapsed < 3 * READY, "ready after {elapsed:?}");
    cluster.finish()
}
