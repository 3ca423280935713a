//! Who is taken for dead, and who is not: real processes, and a network that does what it is told.

mod kills;
mod links;
mod pauses;
mod saturation;
mod slow;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use starling_tests::{Cluster, Node, admin, wait};
use uuid::Uuid;

/// SIGKILL is seen within this; three times that on a busy machine.
const SEEN: Duration = Duration::from_secs(3);

/// The keyspace and the tables that these tests write to.
const DEFINITIONS: &[&str] = &[
    "CREATE KEYSPACE app WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
    "CREATE TABLE app.t (k int PRIMARY KEY, v text)",
    "CREATE TABLE app.load (k int PRIMARY KEY, v text) WITH conflict = 'lww'",
];

/// The names of all nodes, in their order.
fn hosts(cluster: &Cluster) -> Result<Vec<Uuid>> {
    cluster.nodes().iter().map(|node| Ok(admin::status(node.address())?.host)).collect()
}

/// Waits until these nodes take `other` for this.
fn wait_seen<'a>(
    watchers: impl IntoIterator<Item = &'a Node>,
    other: Uuid,
    state: &str,
) -> Result<()> {
    for watcher in watchers {
        let address = watcher.address();
        let what = format!("{address} to see {other} {state}");
        wait::until(&what, 20 * SEEN, || {
            Ok((admin::states(address)?.get(&other).context("a member")? == state).then_some(()))
        })?;
    }
    Ok(())
}

/// Waits until every running node takes every node for alive.
fn wait_all_up(cluster: &Cluster, hosts: &[Uuid]) -> Result<()> {
    hosts.iter().try_for_each(|host| wait_seen(cluster.running(), *host, "up"))
}

/// How often each running node took another one for dead.
fn deaths(cluster: &Cluster) -> Result<BTreeMap<String, u64>> {
    let count = |node: &Node| {
        Ok((node.address().to_string(), admin::counter(node.address(), admin::DEATHS)?))
    };
    cluster.running().map(count).collect()
}

/// Lets time pass in which nobody may be taken for dead.
fn assert_all_live_on(cluster: &Cluster, hosts: &[Uuid], time: Duration) -> Result<()> {
    let before = deaths(cluster)?;
    let begun_at = wait::now();
    while begun_at.elapsed() < time {
        thread::sleep(Duration::from_millis(200));
        for node in cluster.running() {
            let states = admin::states(node.address())?;
            let dead: Vec<_> = hosts.iter().filter(|host| states[*host] != "up").collect();
            ensure!(dead.is_empty(), "{} takes {dead:?} for dead", node.address());
        }
    }
    let after = deaths(cluster)?;
    ensure!(before == after, "taken for dead in between: {before:?}, {after:?}");
    Ok(())
}
