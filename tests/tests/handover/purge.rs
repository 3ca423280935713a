//! Removed rows leave the disk when no late copy can bring them back, and not before.

use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::cluster::settle;
use starling_tests::{Cluster, Consistency, admin, wait};

use super::{cluster, wait_alive};

const ROWS: i32 = 50;

const TABLES: [&str; 3] = [
    "CREATE TABLE app.flock (k int PRIMARY KEY, v text)",
    "CREATE TABLE app.latest (k int PRIMARY KEY, v text) WITH conflict = 'lww'",
    "CREATE TABLE app.days (k int, day int, v text, PRIMARY KEY (k, day)) WITH conflict = 'lww'",
];

/// As short as tests can wait for.
const SETTINGS: [&str; 2] = ["gc.age=4s", "repair.interval=1s"];

fn fill_and_remove(cluster: &Cluster) -> Result<()> {
    let mut client = cluster.nodes()[0].client()?;
    for key in 0..ROWS {
        for table in ["flock", "latest"] {
            let insert = format!("INSERT INTO app.{table} (k, v) VALUES ({key}, 'v')");
            client.run_at(&insert, Consistency::Quorum)?;
            let delete = format!("DELETE FROM app.{table} WHERE k = {key}");
            client.run_at(&delete, Consistency::Quorum)?;
        }
    }
    for day in 0..ROWS {
        let insert = format!("INSERT INTO app.days (k, day, v) VALUES (1, {day}, 'v')");
        client.run_at(&insert, Consistency::Quorum)?;
    }
    client.run_at("DELETE FROM app.days WHERE k = 1 AND day < 40", Consistency::Quorum)?;
    let expiring = "INSERT INTO app.latest (k, v) VALUES (1000, 'x') USING TTL 1";
    client.run_at(expiring, Consistency::Quorum)
}

/// What was purged on each node.
fn purged(cluster: &Cluster) -> Result<Vec<u64>> {
    let nodes = cluster.running().map(starling_tests::Node::address);
    nodes.map(|node| admin::counter(node, "starling_purged_rows_total")).collect()
}

#[test]
fn removed_rows_leave_every_replica_and_what_lives_stays() -> Result<()> {
    let cluster = cluster("purge", 3, &SETTINGS, &TABLES)?;
    fill_and_remove(&cluster)?;
    // Both tables of one row each, the one that is over, 40 rows under a range tombstone, and that.
    let expected = 2 * u64::from(ROWS.unsigned_abs()) + 1 + 40 + 1;
    settle("every replica to purge all", || {
        let purged = purged(&cluster)?;
        ensure!(purged.iter().all(|count| *count >= expected), "{purged:?} of {expected}");
        Ok(())
    })?;
    let mut client = cluster.nodes()[1].client()?;
    for table in ["flock", "latest"] {
        let select = format!("SELECT v FROM app.{table}");
        ensure!(client.rows_at(&select, Consistency::All)?.count() == 0, "{table}");
    }
    let days = client.rows_at("SELECT v FROM app.days WHERE k = 1", Consistency::All)?;
    ensure!(days.count() == 10, "{} days", days.count());
    // A row that was purged can be written again.
    client.run_at("INSERT INTO app.flock (k, v) VALUES (1, 'again')", Consistency::Quorum)?;
    let again = client.rows_at("SELECT v FROM app.flock WHERE k = 1", Consistency::All)?;
    ensure!(again.texts("v")? == ["again"]);
    cluster.finish()
}

#[test]
fn nothing_is_purged_while_a_member_is_away_and_nothing_rises_when_it_is_back() -> Result<()> {
    let mut cluster = cluster("purge-blocked", 3, &SETTINGS, &TABLES)?;
    let mut client = cluster.node(0).client()?;
    for key in 0..ROWS {
        for table in ["flock", "latest"] {
            let insert = format!("INSERT INTO app.{table} (k, v) VALUES ({key}, 'old')");
            client.run_at(&insert, Consistency::All)?;
        }
    }
    cluster.node(2).kill()?;
    wait_alive(&cluster, 2)?;
    fill_and_remove(&cluster)?;
    let rounds = |cluster: &Cluster| -> Result<u64> {
        admin::counter(cluster.nodes()[0].address(), "starling_purge_rounds_total")
    };
    let before = rounds(&cluster)?;
    wait::until_ok("more rounds than the age lasts", Duration::from_mins(1), || {
        ensure!(rounds(&cluster)? > before + 20);
        Ok(())
    })?;
    ensure!(purged(&cluster)? == [0, 0], "{:?}", purged(&cluster)?);
    cluster.node(2).start()?;
    cluster.wait_ready()?;
    wait_alive(&cluster, 3)?;
    settle("every replica to purge all", || {
        let purged = purged(&cluster)?;
        ensure!(
            purged.iter().all(|count| *count >= 2 * u64::from(ROWS.unsigned_abs())),
            "{purged:?}"
        );
        Ok(())
    })?;
    for node in 0..3 {
        let mut client = cluster.node(node).client()?;
        for table in ["flock", "latest"] {
            let select = format!("SELECT v FROM app.{table}");
            let risen = client.rows_at(&select, Consistency::One)?.count();
            ensure!(risen == 0, "{risen} rows of {table} have risen on node {node}");
        }
    }
    cluster.finish()
}
