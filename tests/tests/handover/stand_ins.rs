//! Sloppy quorums: live nodes stand in for dead replicas, the answer says so, and give back what they
//! held.

use anyhow::{Context as _, Result, ensure};
use ring::{HostId, Placement, Strategy, Token};
use starling_tests::cluster::settle;
use starling_tests::{Client, Cluster, Consistency, admin};

use super::{cluster, pending, values, wait_alive};

/// Unavailable: refused before any node was asked to write.
const UNAVAILABLE: i32 = 0x1000;

const NODES: usize = 5;

const TABLES: [&str; 2] = [
    "CREATE TABLE app.flock (k int PRIMARY KEY, v text)",
    "CREATE TABLE app.latest (k int PRIMARY KEY, v text) WITH conflict = 'lww'",
];

/// The nodes that own a row, best first.
fn replicas(cluster: &Cluster, key: i32) -> Result<Vec<usize>> {
    let ring = admin::ring(cluster.nodes()[0].address())?;
    let placement = Placement::new(&ring, Strategy::Simple { replication_factor: 3 });
    let partition = ring.partition_of(Token::of_key(&key.to_be_bytes()));
    let hosts: Vec<HostId> = cluster
        .nodes()
        .iter()
        .map(|node| Ok(HostId(admin::status(node.address())?.host)))
        .collect::<Result<_>>()?;
    let index = |host: &HostId| hosts.iter().position(|known| known == host).context("unknown");
    placement.replicas(partition).iter().map(index).collect()
}

fn insert(
    client: &mut Client,
    table: &str,
    key: i32,
    value: &str,
    level: Consistency,
) -> Result<()> {
    client.run_at(&format!("INSERT INTO app.{table} (k, v) VALUES ({key}, '{value}')"), level)
}

/// A client of a node that owns no part of a row.
fn outsider(cluster: &Cluster, replicas: &[usize]) -> Result<Client> {
    let outside = (0..NODES).find(|node| !replicas.contains(node)).context("all are replicas")?;
    cluster.nodes()[outside].client()
}

fn held(cluster: &Cluster) -> Result<u64> {
    let held = |address| {
        let hints = admin::api(address, "hints")?;
        hints["held_bytes"].as_u64().context("no held_bytes")
    };
    cluster.running().map(|node| held(node.address())).sum()
}

#[test]
fn with_two_of_three_replicas_dead_a_sloppy_quorum_writes_reads_warns_and_gives_back() -> Result<()>
{
    let mut cluster = cluster("stand-ins", NODES, &[], &TABLES)?;
    let owners = replicas(&cluster, 1)?;
    cluster.node(owners[1]).kill()?;
    cluster.node(owners[2]).kill()?;
    wait_alive(&cluster, 3)?;

    let mut client = cluster.node(owners[0]).client()?;
    insert(&mut client, "flock", 1, "sloppy", Consistency::Quorum)?;
    ensure!(client.warnings() == ["1 replica, 1 stand-in"], "{:?}", client.warnings());
    let mut outside = outsider(&cluster, &owners)?;
    let read = values(&mut outside, "flock", 1, Consistency::Quorum)?;
    ensure!(read == ["sloppy"], "{read:?}");
    ensure!(outside.warnings() == ["1 replica, 1 stand-in"], "{:?}", outside.warnings());
    insert(&mut client, "flock", 1, "one", Consistency::One)?;
    ensure!(client.warnings() == [""; 0], "the replica alone is enough: {:?}", client.warnings());

    let strict = "INSERT INTO app.latest (k, v) VALUES (1, 'x')";
    let refused = client.refusal_at(strict, Consistency::Quorum)?;
    ensure!((refused.code, refused.counts) == (UNAVAILABLE, Some((2, 1))), "{refused:?}");
    let all =
        client.refusal_at("INSERT INTO app.flock (k, v) VALUES (1, 'x')", Consistency::All)?;
    ensure!((all.code, all.counts) == (UNAVAILABLE, Some((3, 1))), "{all:?}");
    ensure!(held(&cluster)? > 0, "stand-ins hold rows");

    cluster.node(owners[1]).start()?;
    cluster.node(owners[2]).start()?;
    cluster.wait_ready()?;
    wait_alive(&cluster, NODES as u64)?;
    settle("stand-ins to give everything back", || {
        ensure!((pending(&cluster)?, held(&cluster)?) == (0, 0));
        Ok(())
    })?;
    // Each replica has it itself: the first one and the stand-ins are gone.
    for node in (0..NODES).filter(|node| !owners[1..].contains(node)) {
        cluster.node(node).kill()?;
    }
    wait_alive(&cluster, 2)?;
    for owner in &owners[1..] {
        let mut client = cluster.node(*owner).client()?;
        let mut read = values(&mut client, "flock", 1, Consistency::Two)?;
        read.sort();
        ensure!(read == ["one", "sloppy"], "{read:?}");
        ensure!(client.warnings() == [""; 0], "{:?}", client.warnings());
    }
    cluster.finish()
}

#[test]
fn with_all_replicas_dead_stand_ins_take_the_row_and_any_takes_it_on_every_table() -> Result<()> {
    let mut cluster = cluster("all-dead", NODES, &[], &TABLES)?;
    let owners = replicas(&cluster, 1)?;
    for owner in &owners {
        cluster.node(*owner).kill()?;
    }
    wait_alive(&cluster, 2)?;
    let mut client = outsider(&cluster, &owners)?;
    insert(&mut client, "flock", 1, "one", Consistency::One)?;
    ensure!(client.warnings() == ["0 replicas, 1 stand-in"], "{:?}", client.warnings());
    insert(&mut client, "flock", 1, "two", Consistency::Quorum)?;
    ensure!(client.warnings() == ["0 replicas, 2 stand-ins"], "{:?}", client.warnings());
    let mut read = values(&mut client, "flock", 1, Consistency::Quorum)?;
    read.sort();
    ensure!(read == ["one", "two"], "{read:?}");
    let strict = client.refusal_at("SELECT v FROM app.latest WHERE k = 1", Consistency::One)?;
    ensure!(strict.code == UNAVAILABLE, "{strict:?}");
    insert(&mut client, "latest", 1, "any", Consistency::Any)?;
    ensure!(client.warnings() == ["0 replicas, 1 stand-in"], "{:?}", client.warnings());

    for owner in &owners {
        cluster.node(*owner).start()?;
    }
    cluster.wait_ready()?;
    wait_alive(&cluster, NODES as u64)?;
    settle("stand-ins to give everything back", || {
        ensure!((pending(&cluster)?, held(&cluster)?) == (0, 0));
        Ok(())
    })?;
    let mut client = cluster.node(owners[0]).client()?;
    let mut read = values(&mut client, "flock", 1, Consistency::All)?;
    read.sort();
    ensure!(read == ["one", "two"], "{read:?}");
    ensure!(values(&mut client, "latest", 1, Consistency::All)? == ["any"]);
    cluster.finish()
}

#[test]
fn a_node_that_holds_enough_for_others_stands_in_no_more() -> Result<()> {
    let settings = ["standin.bytes_max=200B"];
    let mut cluster = cluster("held-enough", NODES, &settings, &TABLES)?;
    let owners = replicas(&cluster, 1)?;
    cluster.node(owners[1]).kill()?;
    cluster.node(owners[2]).kill()?;
    wait_alive(&cluster, 3)?;
    let mut client = cluster.node(owners[0]).client()?;
    insert(&mut client, "flock", 1, "small", Consistency::Quorum)?;
    let large = format!("INSERT INTO app.flock (k, v) VALUES (1, '{}')", "x".repeat(300));
    let refused = client.refusal_at(&large, Consistency::Quorum)?;
    ensure!(refused.counts == Some((1, 2)), "it is not counted: {refused:?}");
    let read = values(&mut client, "flock", 1, Consistency::One)?;
    ensure!(read.len() == 2, "the replica has it all the same: {read:?}");
    cluster.finish()
}
