//! Replicas that differ find it out and join what differs, at a cost that follows the difference.
//!
//! `ANTI_ENTROPY_ROWS=1000000` tells how many rows there are; `make prove` wants a million.

use std::net::IpAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use starling_tests::cluster::settle;
use starling_tests::cql::{Batch, BatchStatement, blob_literal};
use starling_tests::{Client, Cluster, Consistency, Reply, admin, place, wait};

/// Rows of one partition, written together.
const PARTITION_ROWS: usize = 10;
/// Clients that write at once.
const WRITERS: usize = 16;
/// The bytes of one value; a stored row with its key takes less than three times as many.
const VALUE_BYTES: usize = 100;
const ROW_BYTES_MAX: u64 = 3 * VALUE_BYTES as u64;
/// The buckets of a table, and the digest of a row in one of them.
const BUCKETS: u64 = 1 << 14;
const DIGEST_BYTES: u64 = 16;
/// No round takes longer, of a million rows either.
const ROUND_LIMIT: Duration = Duration::from_mins(8);

/// Nobody compares anything unless told to.
const NEVER: &str = "repair.interval=1day";
const FORGETS: &str = "testing.forgets=true";

#[expect(clippy::disallowed_methods, reason = "how large a proof is wanted is told from outside")]
fn row_count() -> usize {
    std::env::var("ANTI_ENTROPY_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(100_000)
}

fn int(number: usize) -> Vec<u8> {
    i32::try_from(number).expect("there are fewer rows").to_be_bytes().to_vec()
}

fn define(cluster: &Cluster) -> Result<()> {
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 3}",
        "CREATE TABLE app.t (p int, n int, v text, PRIMARY KEY (p, n))",
    ])
}

/// Writes so many rows by way of one node, which stamps them all.
fn load(node: IpAddr, rows: usize) -> Result<()> {
    let partitions = rows / PARTITION_ROWS;
    thread::scope(|scope| {
        let write = |writer| move || write(node, (writer..partitions).step_by(WRITERS));
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(write(writer))).collect();
        writers.into_iter().try_for_each(|it| it.join().expect("a writer does not panic"))
    })
}

fn write(node: IpAddr, partitions: impl Iterator<Item = usize>) -> Result<()> {
    let mut client = Client::connect(node)?;
    let Reply::Prepared(id) = client.prepare("INSERT INTO app.t (p, n, v) VALUES (?, ?, ?)")?
    else {
        anyhow::bail!("it is not prepared");
    };
    for partition in partitions {
        let values = |row| {
            let text = format!("{partition}/{row} {}", "x".repeat(VALUE_BYTES));
            let text = text.as_bytes()[..VALUE_BYTES].to_vec();
            vec![Some(int(partition)), Some(int(row)), Some(text)]
        };
        let rows = (0..PARTITION_ROWS).map(|row| (BatchStatement::Prepared(&id), values(row)));
        let batch = Batch {
            kind: 1,
            statements: rows.collect(),
            level: Consistency::Quorum,
            timestamp: None,
        };
        let reply = client.batch(&batch)?;
        ensure!(reply == Reply::Void, "partition {partition}: {reply:?}");
    }
    Ok(())
}

/// Removes one row of so many partitions from one node's disk, past all that notices writes.
fn forget(node: IpAddr, rows: usize, partitions: usize) -> Result<()> {
    let step = partitions / rows;
    let hex = |partition| {
        let literal = blob_literal(&int(partition));
        literal.trim_start_matches("0x").to_owned()
    };
    let keys: Vec<String> = (0..rows).map(|row| hex(row * step)).collect();
    let asked = json!({ "keyspace": "app", "table": "t", "keys": keys, "rows_each": 1 });
    let answer = admin::change(node, "testing/forget", &asked)?;
    ensure!(answer["rows"] == rows, "{answer}");
    Ok(())
}

/// What `starling repair --wait`, which must succeed, says in words.
fn repair_told(node: IpAddr, more: &[&str]) -> Result<String> {
    let mut command = Command::new(place::binary()?);
    command.args(["repair", "--wait", "--host"]).arg(node.to_string()).args(more);
    let outcome = wait::run(&mut command, ROUND_LIMIT)?;
    ensure!(outcome.status.success(), "{command:?}: {outcome:?}");
    Ok(outcome.stdout)
}

/// The same as JSON.
fn repair(node: IpAddr, more: &[&str]) -> Result<Value> {
    let told = repair_told(node, &[&["--json"], more].concat())?;
    serde_json::from_str(&told).with_context(|| told.clone())
}

fn number(round: &Value, field: &str) -> Result<u64> {
    round[field].as_u64().with_context(|| format!("no {field} in {round}"))
}

/// Bytes that went between the node and each peer, both ways.
fn traffic(round: &Value) -> Result<Vec<u64>> {
    let peers = round["peers"].as_object().context("no peers")?.values();
    peers.map(|it| Ok(number(it, "bytes_sent")? + number(it, "bytes_received")?)).collect()
}

/// Waits until all nodes have the same digests of the same rows.
fn wait_equal(cluster: &Cluster) -> Result<()> {
    let nodes = cluster.addresses();
    wait::until_ok("equal digests", Duration::from_mins(2), || {
        let digests: Vec<_> =
            nodes.iter().map(|node| admin::api(*node, "digests")).collect::<Result<_>>()?;
        ensure!(digests.iter().all(|it| *it == digests[0]), "they differ");
        Ok(())
    })
}

#[test]
fn one_round_mends_exactly_what_is_missing_and_the_next_finds_nothing() -> Result<()> {
    let rows = row_count();
    let builder = Cluster::builder("anti-entropy").set(NEVER).set(FORGETS);
    let cluster = builder.listed(&["testing.forgets"]).start()?;
    define(&cluster)?;
    let [asked, _, victim] = cluster.addresses()[..] else { anyhow::bail!("three nodes") };
    let start = wait::now();
    load(asked, rows)?;
    wait_equal(&cluster)?;
    eprintln!("{rows} rows on each of 3 nodes, written in {:?}", start.elapsed());
    for missing in [10_usize, 100, 1_000, 10_000] {
        let count = missing as u64;
        forget(victim, missing, rows / PARTITION_ROWS)?;
        if missing == 100 {
            let preview = repair(asked, &["--preview", "--table", "app.t"])?;
            let shown =
                ["differences", "mended_here", "mended_there"].map(|it| preview[it].as_u64());
            ensure!(shown == [Some(count), Some(0), Some(0)], "{preview}");
        }
        let round = repair(asked, &[])?;
        let found = ["differences", "mended_there", "mended_here"].map(|it| round[it].as_u64());
        ensure!(found == [Some(count), Some(count), Some(0)], "of {missing}: {round}");
        ensure!(number(&round, "rows_compared")? == 2 * rows as u64, "{round}");
        let bytes: u64 = traffic(&round)?.iter().sum();
        let took = number(&round, "took_ms")?;
        eprintln!("{missing:>6} rows missing: {bytes:>9} bytes, {took} ms, {round}");
        // A hundred rows in a million cost no more than this; of more, each costs in the end the
        // digests of its bucket as well.
        let digests =
            if missing > 100 { 2 * DIGEST_BYTES * (rows as u64 / BUCKETS + 1) } else { 0 };
        let bytes_max = count * (ROW_BYTES_MAX + digests) + (1 << 20);
        ensure!(bytes <= bytes_max, "{missing} rows cost {bytes} bytes");
    }
    let again = repair(asked, &[])?;
    ensure!(number(&again, "differences")? == 0, "{again}");
    let bytes = traffic(&again)?;
    eprintln!("none missing: {bytes:?} bytes with each peer, {} ms", number(&again, "took_ms")?);
    ensure!(bytes.iter().all(|bytes| *bytes < 64 << 10), "{bytes:?}");
    wait_equal(&cluster)?;
    eprintln!("{}", repair_told(asked, &[])?);
    cluster.finish()
}

#[test]
fn rows_that_vanish_come_back_by_themselves_when_the_disk_is_read_again() -> Result<()> {
    let builder = Cluster::builder("scrub").set("repair.interval=1s").set(FORGETS);
    let cluster = builder.set("repair.scrub_interval=4s").listed(&["testing.forgets"]).start()?;
    define(&cluster)?;
    let nodes = cluster.addresses();
    load(nodes[0], 2_000)?;
    wait_equal(&cluster)?;
    for node in &nodes {
        forget(*node, 40, 200)?;
        settle("the rows that vanished", || {
            let mut client = Client::connect(*node)?;
            let rows = client.rows_at("SELECT count(*) FROM app.t", Consistency::One)?;
            let found = rows.integer_at(0, 0)?;
            ensure!(found == 2_000, "{found} rows");
            Ok(())
        })?;
    }
    let told = admin::api(nodes[0], "repair")?;
    let exchanges = told["exchanges"].as_array().context("no exchanges")?;
    ensure!(exchanges.len() == 2, "{told}");
    cluster.finish()
}

#[test]
fn a_node_that_lost_its_rows_is_filled_behind_its_fence() -> Result<()> {
    let builder = Cluster::builder("fence").seeds(1).set(NEVER);
    let mut cluster = builder.listed(starling_tests::log::PEER_LOSS).start()?;
    define(&cluster)?;
    for node in cluster.addresses() {
        ensure!(admin::api(node, "status")?["fenced"] == false, "a new cluster is free at once");
    }
    load(cluster.addresses()[0], 5_000)?;
    wait_equal(&cluster)?;
    cluster.node(2).stop()?;
    // All that it holds, but not its name: it owns the partitions still.
    std::fs::remove_dir_all(cluster.nodes()[2].data_dir().join("rows"))?;
    cluster.node(2).start()?;
    cluster.wait_ready()?;
    let filled = cluster.addresses()[2];
    ensure!(admin::api(filled, "status")?["fenced"] == false, "it is ready when it has all");
    // Once when the cluster was new, once now.
    ensure!(fences_lowered(&cluster)? == 2, "it was behind a fence");
    wait_equal(&cluster)?;
    let mut client = Client::connect(filled)?;
    let rows = client.rows_at("SELECT count(*) FROM app.t", Consistency::One)?;
    ensure!(rows.integer_at(0, 0)? == 5_000, "{rows:?}");
    // A restart changes nothing.
    cluster.node(2).stop()?;
    cluster.node(2).start()?;
    cluster.wait_ready()?;
    ensure!(fences_lowered(&cluster)? == 2, "a restart is no new store");
    cluster.finish()
}

fn fences_lowered(cluster: &Cluster) -> Result<usize> {
    Ok(cluster.nodes()[2].log()?.matches("has all that it should").count())
}
