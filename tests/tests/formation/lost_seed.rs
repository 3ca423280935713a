//! A seed that lost its disk: it knows nothing, so it must not vote.

use anyhow::{Result, ensure};
use starling_tests::admin::{readiness, status};
use starling_tests::{Cluster, log};

/// The keyspace and the table that must survive.
const DEFINITIONS: &[&str] = &[
    "CREATE KEYSPACE app WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
    "CREATE TABLE app.t (k int PRIMARY KEY, v text)",
];

#[test]
fn an_emptied_seed_takes_no_part_until_it_is_replaced() -> Result<()> {
    let listed = [log::PEER_LOSS, &["agreement", "seed replace"]].concat();
    let mut cluster = Cluster::builder("emptied").nodes(3).listed(&listed).start()?;
    cluster.define(DEFINITIONS)?;
    cluster.node(1).client()?.run("INSERT INTO app.t (k, v) VALUES (1, 'kept')")?;
    let before = status(cluster.addresses()[0])?;
    let old = before.store.clone();

    cluster.node(0).kill()?;
    cluster.node(0).empty()?;
    cluster.node(0).start()?;
    cluster.wait_ready()?;
    cluster.wait_schema()?;
    let blank = status(cluster.addresses()[0])?;
    assert_eq!(blank.cluster, before.cluster, "no second cluster");
    ensure!(blank.store != old, "a new life of the directory has a new name");
    ensure!(!blank.acceptors.contains(&blank.store), "it takes no part: {blank:?}");
    let (_, ready) = readiness(cluster.addresses()[0])?;
    ensure!(ready.contains("takes no part in agreement"), "/ready says {ready}");
    assert_served(&mut cluster)?;

    // One of two seeds that remember is dead: the blank one must not make up the majority.
    cluster.node(2).kill()?;
    let refusal = cluster.node(1).client()?.refusal("CREATE TABLE app.u (k int PRIMARY KEY)")?;
    ensure!(refusal.message.contains("did not agree"), "{refusal:?}");
    cluster.node(2).start()?;
    cluster.wait_ready()?;

    cluster.command(1, &["seed", "replace", &old, &blank.store])?;
    cluster.node(2).kill()?;
    cluster.define(&["CREATE TABLE app.u (k int PRIMARY KEY)"])?;
    cluster.node(2).start()?;
    cluster.wait_ready()?;
    cluster.wait_schema()?;
    assert_served(&mut cluster)?;
    for node in cluster.addresses() {
        let status = status(node)?;
        assert_eq!(status.cluster, before.cluster);
        ensure!(status.acceptors.contains(&blank.store), "{status:?}");
        ensure!(!status.acceptors.contains(&old), "{status:?}");
    }
    ensure!(cluster.node(0).log()?.contains("seed replace"), "the log does not say what to do");
    cluster.finish()
}

/// The last resort: one of three seeds is left, and goes on by itself.
#[test]
fn after_a_forced_reform_one_seed_agrees_and_those_who_come_back_follow() -> Result<()> {
    let listed = [log::PEER_LOSS, &["forces a new generation"]].concat();
    let mut cluster = Cluster::builder("reform").nodes(3).listed(&listed).start()?;
    cluster.define(DEFINITIONS)?;
    let before = status(cluster.addresses()[0])?;
    cluster.node(1).kill()?;
    cluster.node(2).kill()?;
    let refusal = cluster.node(0).client()?.refusal("CREATE TABLE app.u (k int PRIMARY KEY)")?;
    ensure!(refusal.message.contains("did not agree"), "{refusal:?}");

    cluster.command(0, &["seed", "reform", "--force", &before.store])?;
    cluster.define(&["CREATE TABLE app.u (k int PRIMARY KEY)"])?;
    let repeated = cluster.command(0, &["seed", "reform", "--force", &"0".repeat(32)]);
    ensure!(repeated.is_err(), "no member has such a store");

    cluster.node(1).start()?;
    cluster.node(2).start()?;
    cluster.wait_ready()?;
    cluster.wait_schema()?;
    cluster.node(2).client()?.run("CREATE TABLE app.v (k int PRIMARY KEY)")?;
    cluster.wait_schema()?;
    for node in cluster.addresses() {
        let after = status(node)?;
        assert_eq!(after.cluster, before.cluster);
        assert_eq!(after.acceptors, std::slice::from_ref(&before.store));
    }
    cluster.finish()
}

/// Every node knows the table and finds the row.
fn assert_served(cluster: &mut Cluster) -> Result<()> {
    for node in cluster.nodes() {
        let rows = node.client()?.rows("SELECT v FROM app.t WHERE k = 1")?;
        assert_eq!(rows.texts("v")?, ["kept"], "through {}", node.address());
    }
    Ok(())
}
