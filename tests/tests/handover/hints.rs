//! A replica that was down gets what it has missed, once, and soon.

use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::{Consistency, admin, wait};

use super::{cluster, pending, side_by_side, values, wait_alive};

const ROWS: i32 = 1_000;
const REWRITES: i32 = 100;
const CLIENTS: usize = 16;

/// The promise is ten seconds; three times that on a busy machine.
const EQUAL_LIMIT: Duration = Duration::from_secs(30);

#[test]
fn rows_that_are_rewritten_a_hundred_times_cost_one_hint_each_and_are_equal_soon() -> Result<()> {
    let tables = [
        "CREATE TABLE app.latest (k int PRIMARY KEY, v text) WITH conflict = 'lww'",
        "CREATE TABLE app.flock (k int PRIMARY KEY, v text)",
    ];
    let mut cluster = cluster("hints", 3, &[], &tables)?;
    cluster.node(2).kill()?;
    wait_alive(&cluster, 2)?;
    side_by_side(cluster.nodes()[0].address(), CLIENTS, |client, number| {
        let rows = (0..ROWS).skip(number).step_by(CLIENTS);
        for key in rows {
            for turn in 0..REWRITES {
                let write = format!("INSERT INTO app.latest (k, v) VALUES ({key}, '{turn}')");
                client.run_at(&write, Consistency::Quorum)?;
            }
            for turn in 0..2 {
                let write = format!("INSERT INTO app.flock (k, v) VALUES ({key}, '{turn}')");
                client.run_at(&write, Consistency::Quorum)?;
            }
        }
        Ok(())
    })?;
    let kept = pending(&cluster)?;
    eprintln!("{} writes cost {kept} hints", ROWS * (REWRITES + 2));
    ensure!(kept == 2 * u64::from(ROWS.unsigned_abs()), "one hint for each row of both tables");
    // Keepers that restart have them still.
    cluster.node(0).kill()?;
    cluster.node(0).start()?;
    cluster.wait_ready()?;
    wait_alive(&cluster, 2)?;
    ensure!(pending(&cluster)? == kept, "hints survive a restart of their keeper");

    cluster.node(2).start()?;
    cluster.wait_ready()?;
    let began = wait::now();
    wait::until_ok("all hints to be delivered", EQUAL_LIMIT, || {
        let left = pending(&cluster)?;
        ensure!(left == 0, "{left} are left");
        Ok(())
    })?;
    eprintln!("equal {:?} after the node was ready", began.elapsed());
    let text = cluster.command(0, &["hints"])?;
    ensure!(text.contains("no node has missed rows"), "{text}");
    let told = cluster.command(0, &["repair", "--wait", "--json"])?;
    let round: serde_json::Value = serde_json::from_str(&told)?;
    ensure!(round["rows_compared"].as_u64() >= Some(kept), "{round}");
    ensure!(round["differences"] == 0, "anti-entropy finds nothing to do: {round}");
    let repairs: u64 = cluster
        .running()
        .map(|node| admin::counter(node.address(), "starling_read_repairs_awaited_total"))
        .sum::<Result<u64>>()?;
    ensure!(repairs == 0, "nothing was read meanwhile");

    // What the node has itself: the others are gone.
    cluster.node(0).kill()?;
    cluster.node(1).kill()?;
    wait_alive(&cluster, 1)?;
    let last = (REWRITES - 1).to_string();
    side_by_side(cluster.nodes()[2].address(), CLIENTS, |client, number| {
        for key in (0..ROWS).skip(number).step_by(CLIENTS) {
            let latest = values(client, "latest", key, Consistency::One)?;
            ensure!(latest == [last.as_str()], "latest {key}: {latest:?}");
            let mut flock = values(client, "flock", key, Consistency::One)?;
            flock.sort();
            ensure!(flock == ["0", "1"], "flock {key}: {flock:?}");
        }
        Ok(())
    })?;
    cluster.finish()
}

#[test]
fn past_the_window_owners_keep_no_hints_and_say_so() -> Result<()> {
    let table = "CREATE TABLE app.latest (k int PRIMARY KEY, v text) WITH conflict = 'lww'";
    let mut cluster = cluster("hint-window", 3, &["hints.window=0s"], &[table])?;
    cluster.node(2).kill()?;
    wait_alive(&cluster, 2)?;
    let node = cluster.nodes()[0].address();
    side_by_side(node, 1, |client, _| {
        client.run_at("INSERT INTO app.latest (k, v) VALUES (1, 'a')", Consistency::Quorum)
    })?;
    ensure!(pending(&cluster)? == 0);
    let past: u64 = cluster
        .running()
        .map(|node| admin::counter(node.address(), "starling_hints_past_window_total"))
        .sum::<Result<u64>>()?;
    ensure!(past > 0, "nothing is dropped silently");
    cluster.finish()
}
