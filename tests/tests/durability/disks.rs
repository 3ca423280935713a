//! Disks that are full, and disks that fail to sync.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use starling_tests::cql::blob_literal;
use starling_tests::power::Mounted;
use starling_tests::{Client, Cluster, History, Reply, Tear, admin, wait};

use super::writers::{define, verify, write_while};

/// The disk that runs full.
const DISK_BYTES: u64 = 64 << 20;
/// What fills it besides the node, and is taken away when room is made.
const BALLAST_BYTES: usize = 24 << 20;
/// A row holds so many bytes, none of which a compressor saves.
const ROW_BYTES: usize = 8 << 10;

/// The code of the protocol for "overloaded", under which drivers try again later.
const OVERLOADED: i32 = 0x1001;
/// What people read.
const FULL: &str = "disk nearly full";

/// How many refused writes show that it is not by chance.
const REFUSALS: usize = 20;

const REFUSALS_FOR_SPACE: &str = "starling_commit_refusals_for_space_total";

/// The node stops at an error of the disk within this time.
const END_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_deletes_and_takes_writes_again_when_there_is_room()
-> Result<()> {
    let builder = Cluster::builder("disk-full").nodes(1).seeds(0).set("cluster.nodes_min=1");
    let builder = builder.set("store.reserve_bytes=16MiB").set("store.memtable_bytes=4MiB");
    let mut cluster = builder.set("store.cache_bytes=8MiB").build()?;
    let data = cluster.node(0).data_dir();
    let mounted = Mounted::tmpfs(&data, DISK_BYTES)?;
    let ballast = data.join("ballast");
    fs::write(&ballast, vec![0; BALLAST_BYTES])?;
    cluster.start_all()?;
    cluster.wait_ready()?;
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE app.siblings (k int PRIMARY KEY, v blob)",
        "CREATE TABLE app.lww (k int PRIMARY KEY, v blob) WITH conflict = 'lww'",
    ])?;
    let mut client = cluster.nodes()[0].client()?;
    let mut history = History::default();
    let mut next = 0;
    while write(&mut client, &mut next, &mut history)? {
        ensure!(next < i32::try_from(DISK_BYTES / ROW_BYTES as u64)?, "the disk does not fill up");
    }
    eprintln!("{} rows fill the disk", history.acknowledged_count());
    for _ in 0..REFUSALS {
        ensure!(!write(&mut client, &mut next, &mut history)?, "a write too many");
    }
    ensure!(admin::counter(cluster.nodes()[0].address(), REFUSALS_FOR_SPACE)? >= 20);
    check(&mut client, &history)?;
    for table in ["siblings", "lww"] {
        let statement = format!("DELETE FROM app.{table} WHERE k = 1000000");
        client.run(&statement)?;
        let rows = client.rows(&format!("SELECT k FROM app.{table} WHERE k = 1"))?;
        ensure!(rows.count() <= 1);
    }
    fs::remove_file(&ballast)?;
    for _ in 0..REFUSALS {
        wait::until("a write that is taken again", END_LIMIT, || {
            Ok(write(&mut client, &mut next, &mut history)?.then_some(()))
        })?;
    }
    check(&mut client, &history)?;
    cluster.node(0).stop()?;
    cluster.node(0).start()?;
    cluster.wait_ready()?;
    check(&mut cluster.nodes()[0].client()?, &history)?;
    cluster.node(0).stop()?;
    drop(mounted);
    cluster.finish()
}

/// The cache of the kernel still holds what was not synced then, so power is cut to see who trusted it.
#[test]
fn a_sync_that_fails_ends_the_node_at_once_and_nothing_unsynced_was_acknowledged() -> Result<()> {
    let builder = Cluster::builder("disk-sync").nodes(1).seeds(0);
    let mut cluster = builder.on_power_disks().listed(&["sync", "rocksdb", "No such"]).start()?;
    define(&cluster, 1)?;
    let promises = write_while(&mut cluster, |cluster, writers| {
        writers.wait_progress()?;
        cluster.node(0).disk()?.fail_syncs_after(100);
        let status = cluster.node(0).wait_end(END_LIMIT)?;
        ensure!(status.code() == Some(1), "the node ended with {status}");
        thread::sleep(Duration::from_millis(100)); // Whoever was answered has noted it.
        cluster.node(0).lose_power(Tear::Clean)?;
        cluster.node(0).restore_power()?;
        cluster.node(0).start()?;
        cluster.wait_ready()?;
        writers.wait_progress()
    })?;
    verify(&cluster, &promises)?;
    cluster.finish()
}

/// Writes the next row, to the tables in turn; returns whether it was taken.
fn write(client: &mut Client, next: &mut i32, history: &mut History) -> Result<bool> {
    let number = *next;
    *next += 1;
    let table = table_of(number);
    let element = number.to_string();
    history.try_write(&element);
    let value: Vec<u8> = (0..ROW_BYTES).map(|at| noise(number, at)).collect();
    let value = blob_literal(&value);
    let insert = format!("INSERT INTO app.{table} (k, v) VALUES ({number}, {value})");
    match client.query(&insert)? {
        Reply::Void => {
            history.acknowledge(&element);
            Ok(true)
        }
        Reply::Refused(refusal) => {
            ensure!(refusal.code == OVERLOADED && refusal.message.contains(FULL), "{refusal:?}");
            Ok(false)
        }
        reply => anyhow::bail!("{reply:?}"),
    }
}

fn table_of(number: i32) -> &'static str {
    if number % 2 == 0 { "siblings" } else { "lww" }
}

/// A byte that follows from the row and the place, and looks like chance.
fn noise(number: i32, at: usize) -> u8 {
    let mixed = (u64::from(number.cast_unsigned()) << 32 | at as u64)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(29)
        .wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed.to_be_bytes()[0]
}

/// Reads every row that was acknowledged, and wants no other.
fn check(client: &mut Client, history: &History) -> Result<()> {
    let mut found = Vec::new();
    for element in history.acknowledged() {
        let number: i32 = element.parse()?;
        let table = table_of(number);
        let rows = client.rows(&format!("SELECT v FROM app.{table} WHERE k = {number}"))?;
        let value = rows.cells.first().and_then(|row| row[0].as_ref());
        let value = value.with_context(|| format!("row {number} is lost"))?;
        ensure!(value.iter().enumerate().all(|(at, byte)| *byte == noise(number, at)));
        found.push(element.to_owned());
    }
    let verdict = history.check(found.iter().map(String::as_str));
    ensure!(verdict.is_clean(), "{verdict:?}");
    Ok(())
}
