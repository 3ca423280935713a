//! What an idle node costs, how soon it serves, and how it ends.

use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use starling_tests::cluster::READY_LIMIT;
use starling_tests::{Client, Cluster, place, wait};

/// A node on an empty directory is ready within this, three times that on a busy machine.
const READY: Duration = Duration::from_secs(1);
/// SIGTERM ends a node within this.
const STOPPED: Duration = Duration::from_secs(10);
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

#[test]
fn idle_clients_do_not_keep_a_node_from_stopping() -> Result<()> {
    let mut cluster = Cluster::builder("stop").nodes(1).seeds(0).start()?;
    let address = cluster.node(0).address();
    let mut served: Vec<Client> =
        (0..10).map(|_| Client::connect(address)).collect::<Result<_>>()?;
    for client in &mut served {
        client.run("SELECT key FROM system.local")?;
    }
    let _silent: Vec<Client> = (0..10).map(|_| Client::dial(address)).collect::<Result<_>>()?;
    let start = wait::now();
    cluster.node(0).stop()?;
    let elapsed = start.elapsed();
    eprintln!("stopped after {elapsed:?} with 20 idle clients");
    ensure!(elapsed < STOPPED, "stopped after {elapsed:?}");
    cluster.finish()
}

#[test]
fn a_second_process_on_a_data_directory_is_told_who_holds_it() -> Result<()> {
    let mut cluster = Cluster::builder("held").nodes(1).seeds(0).start()?;
    let node = cluster.node(0);
    let mut second = Command::new(place::binary()?);
    second.arg("serve").arg("--data-dir").arg(node.data_dir());
    second.arg("--listen").arg(node.address().to_string());
    let outcome = wait::run(&mut second, READY_LIMIT)?;
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    let holder = node.process_id()?.to_string();
    let last = outcome.stderr.lines().last().context("it says nothing")?;
    ensure!(last.contains(&holder), "it does not name process {holder}: {last}");
    ensure!(last.contains(&node.data_dir().display().to_string()), "where? {last}");
    cluster.node(0).wait_ready(READY_LIMIT)?;
    cluster.finish()
}
