//! A replica stamps a write, and nobody hears of it.
//!
//! Four nodes, replication 3. The coordinator is no replica of the rows, so it forwards; the
//! answers of all nodes are swallowed on their way. The client learns that the outcome is
//! unknown, and nothing may be done twice behind its back.

use anyhow::{Context as _, Result, ensure};
use ring::{HostId, Placement, Strategy, Token};
use starling_tests::cluster::settle;
use starling_tests::proxy::Condition;
use starling_tests::{Cluster, Consistency, Reply, admin, log};

use super::{Seen, seen};

const WRITE_TIMEOUT: i32 = 0x1100;
/// How often an answer is lost.
const ROUNDS: usize = 5;
/// The node that coordinates.
const COORDINATOR: usize = 3;

fn four_nodes(name: &str) -> Result<Cluster> {
    let builder = Cluster::builder(name).nodes(4).behind_proxies().listed(log::PEER_LOSS);
    let cluster = builder.start()?;
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 3}",
        "CREATE TABLE app.t (k int PRIMARY KEY, v text)",
    ])?;
    Ok(cluster)
}

/// Keys of which the coordinator is no replica.
fn foreign_keys(cluster: &Cluster) -> Result<Vec<i32>> {
    let coordinator = cluster.nodes()[COORDINATOR].address();
    let ring = admin::ring(coordinator)?;
    let placement = Placement::new(&ring, Strategy::Simple { replication_factor: 3 });
    let me = HostId(admin::status(coordinator)?.host);
    let is_foreign = |key: &i32| {
        let partition = ring.partition_of(Token::of_key(&key.to_be_bytes()));
        !placement.replicas(partition).contains(&me)
    };
    let keys: Vec<_> = (0..1_000).filter(is_foreign).take(ROUNDS).collect();
    ensure!(keys.len() == ROUNDS, "a fourth of all keys is foreign");
    Ok(keys)
}

/// Writes a row through the coordinator while no node is heard; `meanwhile` runs before the
/// coordinator gives up.
fn write_unheard(
    cluster: &Cluster,
    key: i32,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let mut client = cluster.nodes()[COORDINATOR].client()?;
    cluster.links().set_all(&Condition::mute());
    let reply = std::thread::scope(|scope| {
        let insert = format!("INSERT INTO app.t (k, v) VALUES ({key}, 'unheard')");
        let writer = scope.spawn(move || client.query(&insert));
        let done = meanwhile();
        let reply = writer.join().expect("a writer does not panic");
        done.and(reply)
    });
    cluster.links().heal();
    match reply? {
        Reply::Refused(refusal) => assert_eq!(refusal.code, WRITE_TIMEOUT, "{refusal:?}"),
        reply => anyhow::bail!("an answer that nobody can have given: {reply:?}"),
    }
    Ok(())
}

/// Makes sure that every node sees every other alive and has a connection to it: a handshake that
/// nobody hears would keep the write from its replica, and so would a replica that feels alone.
fn meet(cluster: &Cluster, key: i32) -> Result<()> {
    let select = format!("SELECT v FROM app.t WHERE k = {key}");
    for node in cluster.nodes() {
        settle("the nodes to meet", || node.client()?.rows_at(&select, Consistency::All))?;
    }
    Ok(())
}

/// What all replicas together hold.
fn look(cluster: &Cluster, key: i32) -> Result<Seen> {
    let select = format!("SELECT context(), sibling_count(), v FROM app.t WHERE k = {key}");
    settle("all replicas to answer", || {
        let mut client = cluster.nodes()[COORDINATOR].client()?;
        seen(&client.rows_at(&select, Consistency::All)?)
    })
}

#[test]
fn a_write_whose_acknowledgement_is_lost_leaves_no_twin() -> Result<()> {
    let cluster = four_nodes("unheard")?;
    let mut lived = 0;
    for key in foreign_keys(&cluster)? {
        meet(&cluster, key)?;
        write_unheard(&cluster, key, || Ok(()))?;
        lived += look(&cluster, key)?.values.len(); // A second one would be a twin.
    }
    assert_eq!(lived, ROUNDS, "each write was carried out once");
    cluster.finish()
}

#[test]
fn a_row_deleted_while_its_write_is_unheard_of_stays_deleted() -> Result<()> {
    let cluster = four_nodes("unheard-delete")?;
    for key in foreign_keys(&cluster)? {
        meet(&cluster, key)?;
        write_unheard(&cluster, key, || delete_at_a_replica(&cluster, key))?;
        assert!(look(&cluster, key)?.values.is_empty(), "row {key} is back");
    }
    cluster.finish()
}

/// Finds a replica that has the row already, and deletes the row there with its context.
fn delete_at_a_replica(cluster: &Cluster, key: i32) -> Result<()> {
    let select = format!("SELECT context(), sibling_count(), v FROM app.t WHERE k = {key}");
    let (mut client, context) = settle("a replica to have the row", || {
        for node in &cluster.nodes()[..COORDINATOR] {
            let mut client = node.client()?;
            let seen = seen(&client.rows_at(&select, Consistency::One)?)?;
            if !seen.values.is_empty() {
                return Ok((client, seen.context));
            }
        }
        None.context("no replica has it")
    })?;
    let delete = format!("DELETE FROM app.t USING CONTEXT {context} WHERE k = {key}");
    client.run_at(&delete, Consistency::One)
}
