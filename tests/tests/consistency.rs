//! Levels mean what Cassandra's mean while nodes die and come back.
//!
//! Three nodes, replication 3: QUORUM needs two of them.

use anyhow::{Result, ensure};
use starling_tests::cluster::settle;
use starling_tests::{Client, Cluster, Consistency, Reply, log};

/// Unavailable: refused before any node was asked to write.
const UNAVAILABLE: i32 = 0x1000;

fn three_nodes(name: &str) -> Result<Cluster> {
    let cluster = Cluster::builder(name).listed(log::PEER_LOSS).start()?;
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 3}",
        "CREATE TABLE app.t (k int PRIMARY KEY, v text)",
    ])?;
    Ok(cluster)
}

fn write(client: &mut Client, key: i32, level: Consistency) -> Result<()> {
    client.run_at(&format!("INSERT INTO app.t (k, v) VALUES ({key}, 'v{key}')"), level)
}

fn read(client: &mut Client, key: i32, level: Consistency) -> Result<Vec<String>> {
    client.rows_at(&format!("SELECT v FROM app.t WHERE k = {key}"), level)?.texts("v")
}

/// Waits until every running node counts exactly this many of the three replicas as alive.
fn wait_alive(cluster: &Cluster, alive: i32) -> Result<()> {
    for node in cluster.running() {
        settle(&format!("{} to see {alive} nodes alive", node.address()), || {
            match node.client()?.query_at("SELECT v FROM app.t WHERE k = 0", Consistency::All)? {
                Reply::Rows(_) => ensure!(alive == 3, "all three are alive"),
                Reply::Refused(refusal) => {
                    ensure!(refusal.code == UNAVAILABLE, "{refusal:?}");
                    ensure!(refusal.counts == Some((3, alive)), "{refusal:?}");
                }
                reply => anyhow::bail!("{reply:?}"),
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn assert_unavailable(
    client: &mut Client,
    level: Consistency,
    required: i32,
    alive: i32,
) -> Result<()> {
    for statement in [
        "SELECT v FROM app.t WHERE k = 1",
        "INSERT INTO app.t (k, v) VALUES (-1, 'never')",
        "UPDATE app.t SET v = 'never' WHERE k = -1",
        "DELETE FROM app.t WHERE k = -1",
    ] {
        let refusal = client.refusal_at(statement, level)?;
        ensure!(refusal.code == UNAVAILABLE, "{statement} at {level}: {refusal:?}");
        assert_eq!(refusal.counts, Some((required, alive)), "{statement} at {level}");
    }
    Ok(())
}

#[test]
fn with_one_of_three_dead_quorum_works_and_all_is_unavailable() -> Result<()> {
    let mut cluster = three_nodes("one-dead")?;
    cluster.node(2).kill()?;
    wait_alive(&cluster, 2)?;
    let mut key = 0;
    for node in 0..2 {
        let mut client = cluster.node(node).client()?;
        for level in [Consistency::One, Consistency::Quorum, Consistency::Two] {
            for _ in 0..50 {
                key += 1;
                write(&mut client, key, level)?;
                assert_eq!(read(&mut client, key, level)?, [format!("v{key}")]);
            }
        }
        assert_unavailable(&mut client, Consistency::All, 3, 2)?;
        assert_unavailable(&mut client, Consistency::Three, 3, 2)?;
        assert_eq!(read(&mut client, -1, Consistency::Quorum)?, [""; 0], "nothing was written");
    }
    cluster.finish()
}

#[test]
fn with_two_of_three_dead_quorum_is_unavailable_and_one_works() -> Result<()> {
    let mut cluster = three_nodes("two-dead")?;
    let mut client = cluster.node(0).client()?;
    write(&mut client, 1, Consistency::All)?;
    cluster.node(1).kill()?;
    cluster.node(2).kill()?;
    wait_alive(&cluster, 1)?;
    assert_unavailable(&mut client, Consistency::Quorum, 2, 1)?;
    assert_eq!(read(&mut client, 1, Consistency::One)?, ["v1"]);
    write(&mut client, 2, Consistency::One)?;
    assert_eq!(read(&mut client, 2, Consistency::One)?, ["v2"]);
    cluster.finish()
}

/// What two replicas acknowledged is found by any two, whichever of the three is away.
#[test]
fn quorum_reads_see_quorum_writes_through_every_coordinator_whoever_is_away() -> Result<()> {
    const ROWS: i32 = 200;
    let mut cluster = three_nodes("overlap")?;
    cluster.node(2).kill()?;
    wait_alive(&cluster, 2)?;
    let mut client = cluster.node(0).client()?;
    (0..ROWS).try_for_each(|key| write(&mut client, key, Consistency::Quorum))?;
    cluster.node(2).start()?;
    cluster.wait_ready()?;
    wait_alive(&cluster, 3)?;
    for away in 0..3 {
        cluster.node(away).kill()?;
        wait_alive(&cluster, 2)?;
        for node in (0..3).filter(|node| *node != away) {
            let mut client = cluster.node(node).client()?;
            for key in 0..ROWS {
                let values = read(&mut client, key, Consistency::Quorum)?;
                assert_eq!(values, [format!("v{key}")], "node {node}, without {away}");
            }
        }
        cluster.node(away).start()?;
        cluster.wait_ready()?;
        wait_alive(&cluster, 3)?;
    }
    cluster.finish()
}

#[test]
fn the_level_of_a_statement_overrides_that_of_the_request() -> Result<()> {
    let mut cluster = three_nodes("override")?;
    cluster.node(2).kill()?;
    wait_alive(&cluster, 2)?;
    let mut client = cluster.node(0).client()?;
    let insert = "INSERT INTO app.t (k, v) VALUES (1, 'v1') USING CONSISTENCY";
    client.run_at(&format!("{insert} ONE"), Consistency::All)?;
    let refusal = client.refusal_at(&format!("{insert} ALL"), Consistency::One)?;
    assert_eq!((refusal.code, refusal.counts), (UNAVAILABLE, Some((3, 2))));
    let select = "SELECT v FROM app.t WHERE k = 1 USING CONSISTENCY";
    let rows = client.rows_at(&format!("{select} QUORUM"), Consistency::All)?;
    assert_eq!(rows.texts("v")?, ["v1"]);
    cluster.finish()
}
