//! From nothing.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::admin::readiness;
use starling_tests::{Client, Cluster, Reply, log, wait};

use super::{FORMED, assert_one_ring};

const ROUNDS: usize = 20;
/// The default of `cluster.partitions`.
const PARTITIONS: usize = 256;
const IS_BOOTSTRAPPING: i32 = 0x1002;

/// Waits until five nodes are one ring, and returns how long that took.
fn wait_formed(cluster: &mut Cluster) -> Result<Duration> {
    let start = wait::now();
    cluster.wait_ready()?;
    wait::until_ok("one ring of five", 3 * FORMED, || assert_one_ring(cluster, 5, PARTITIONS))?;
    let elapsed = start.elapsed();
    ensure!(elapsed < 3 * FORMED, "one ring after {elapsed:?}");
    Ok(elapsed)
}

#[test]
fn five_nodes_started_at_once_form_one_ring_twenty_times() -> Result<()> {
    let mut longest = Duration::ZERO;
    for round in 0..ROUNDS {
        let mut cluster = Cluster::builder(&format!("form-{round}")).nodes(5).build()?;
        cluster.start_all()?;
        longest = longest.max(wait_formed(&mut cluster)?);
        cluster.finish()?;
    }
    eprintln!("{ROUNDS} rings of five, the slowest after {longest:?}");
    Ok(())
}

#[test]
fn nobody_forms_a_ring_before_the_last_seed_has_come() -> Result<()> {
    for late in 0..3 {
        let builder = Cluster::builder(&format!("late-{late}")).nodes(5);
        let mut cluster = builder.listed(log::PEER_LOSS).build()?;
        for node in (0..5).filter(|node| *node != late) {
            cluster.node(node).start()?;
        }
        assert_bootstrapping(&cluster, Duration::from_secs(4))?;
        cluster.node(late).start()?;
        let elapsed = wait_formed(&mut cluster)?;
        eprintln!("one ring {elapsed:?} after seed {late} came");
        cluster.finish()?;
    }
    Ok(())
}

/// No running node lets a client in, however long it waits.
fn assert_bootstrapping(cluster: &Cluster, how_long: Duration) -> Result<()> {
    let start = wait::now();
    let mut refused = 0;
    while start.elapsed() < how_long {
        for node in cluster.running() {
            // The port may not be open yet in the first moments.
            let Ok(mut client) = Client::dial(node.address()) else { continue };
            match client.startup()? {
                Reply::Refused(refusal) => assert_eq!(refusal.code, IS_BOOTSTRAPPING),
                reply => anyhow::bail!("{} let a client in: {reply:?}", node.address()),
            }
            refused += 1;
        }
        thread::sleep(Duration::from_millis(100));
    }
    ensure!(refused >= 4, "{refused} clients were refused");
    Ok(())
}

/// Two lists of seeds that overlap are two clusters in the making: neither may come to be.
#[test]
fn nodes_with_different_seed_lists_form_nothing() -> Result<()> {
    let listed = [log::PEER_LOSS, &["seed"]].concat();
    let mut cluster = Cluster::builder("lists").nodes(3).seeds(3).listed(&listed).build()?;
    let other = Cluster::builder("other-list").nodes(1).seeds(1).build()?;
    let stranger = format!("{}:{}", other.addresses()[0], starling_tests::place::INTERNODE_PORT);
    cluster.node(2).replace_seed(0, &stranger);
    cluster.start_all()?;
    assert_bootstrapping(&cluster, Duration::from_secs(5))?;
    other.finish()?;
    cluster.finish()
}

#[test]
fn a_restart_of_all_nodes_is_no_second_formation() -> Result<()> {
    let mut cluster = Cluster::builder("restart").nodes(3).listed(log::PEER_LOSS).start()?;
    assert_one_ring(&cluster, 3, PARTITIONS)?;
    let before = super::tokens(&cluster.nodes()[0])?;
    cluster.kill_all()?;
    cluster.start_all()?;
    cluster.wait_ready()?;
    assert_one_ring(&cluster, 3, PARTITIONS)?;
    assert_eq!(super::tokens(&cluster.nodes()[0])?, before);
    cluster.finish()
}

/// Without seeds a node is a cluster of its own.
#[test]
fn a_node_without_seeds_is_a_ring() -> Result<()> {
    let cluster = Cluster::builder("alone").nodes(1).seeds(0).start()?;
    assert_one_ring(&cluster, 1, PARTITIONS)?;
    cluster.finish()
}

/// Partitions do not move under data: who comes late coordinates, and says so.
#[test]
fn a_node_after_the_first_keyspace_owns_nothing_and_says_so() -> Result<()> {
    let builder = Cluster::builder("latecomer").nodes(4).set("cluster.nodes_min=3");
    let mut cluster = builder.build()?;
    for node in 0..3 {
        cluster.node(node).start()?;
    }
    cluster.wait_ready()?;
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 3}",
        "CREATE TABLE app.t (k int PRIMARY KEY, v text)",
    ])?;
    cluster.node(3).start()?;
    cluster.wait_ready()?;
    cluster.wait_schema()?;
    let mut client = cluster.node(3).client()?;
    client.run("INSERT INTO app.t (k, v) VALUES (1, 'x')")?;
    assert_eq!(client.rows("SELECT v FROM app.t WHERE k = 1")?.texts("v")?, ["x"]);
    assert_one_ring_of_owners(&cluster)?;
    let late = cluster.node(3);
    let (_, text) = readiness(late.address())?;
    ensure!(text.contains("owns no partitions"), "/ready says {text}");
    let status = cluster.command(3, &["status"])?;
    ensure!(status.contains("owns no partitions"), "starling status says {status}");
    ensure!(cluster.node(3).log()?.contains("owns no partitions"), "the log does not say so");
    cluster.finish()
}

/// The first three nodes tell of three hosts: drivers do not route to one that owns nothing.
fn assert_one_ring_of_owners(cluster: &Cluster) -> Result<()> {
    for node in &cluster.nodes()[..3] {
        assert_eq!(super::tokens(node)?.len(), 3);
    }
    Ok(())
}
