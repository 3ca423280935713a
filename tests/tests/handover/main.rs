//! What replicas miss while they are down, and how they get it: hints, stand-ins, read repair.

mod hints;
mod purge;
mod read_repair;
mod stand_ins;

use std::net::IpAddr;
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use starling_tests::cluster::settle;
use starling_tests::{Client, Cluster, Consistency, admin, log};

/// What the living say when others go and come back, and when clocks of a busy machine differ.
fn listed() -> Vec<&'static str> {
    [log::PEER_LOSS, &["the clocks of two nodes differ", "testing.forget_hints"]].concat()
}

/// A cluster with the keyspace `app` of three replicas.
fn cluster(name: &str, nodes: usize, settings: &[&str], tables: &[&str]) -> Result<Cluster> {
    let builder = Cluster::builder(name).nodes(nodes).listed(&listed());
    let cluster = settings.iter().fold(builder, |builder, it| builder.set(it)).start()?;
    let keyspace = "CREATE KEYSPACE app WITH replication = \
                    {'class': 'SimpleStrategy', 'replication_factor': 3}";
    cluster.define(&[&[keyspace], tables].concat())?;
    Ok(cluster)
}

/// Waits until every running node sees so many nodes alive.
fn wait_alive(cluster: &Cluster, alive: u64) -> Result<()> {
    for node in cluster.running() {
        settle(&format!("{} to see {alive} nodes alive", node.address()), || {
            let seen = admin::gauge(node.address(), "starling_nodes_alive")?;
            ensure!(seen == alive, "it sees {seen}");
            Ok(())
        })?;
    }
    Ok(())
}

/// How many hints all running nodes keep together.
fn pending(cluster: &Cluster) -> Result<u64> {
    cluster.running().map(|node| pending_at(node.address())).sum()
}

fn pending_at(node: IpAddr) -> Result<u64> {
    let hints = admin::api(node, "hints")?;
    let targets = hints["targets"].as_array().context("no targets")?;
    targets.iter().map(|target| target["pending"].as_u64().context("no count")).sum()
}

/// Lets several clients of one node work side by side; each gets its number.
fn side_by_side(
    node: IpAddr,
    clients: usize,
    work: impl Fn(&mut Client, usize) -> Result<()> + Sync,
) -> Result<()> {
    let work = &work;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|number| {
                scope.spawn(move || {
                    let mut client = Client::connect(node)?;
                    work(&mut client, number)
                })
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| anyhow!("a client panicked"))?)
    })
}

/// The values of a row at this level, through this node.
fn values(client: &mut Client, table: &str, key: i32, level: Consistency) -> Result<Vec<String>> {
    client.rows_at(&format!("SELECT v FROM app.{table} WHERE k = {key}"), level)?.texts("v")
}
