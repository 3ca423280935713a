//! A node that dies is noticed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use starling_tests::{Cluster, Node, admin, log, wait};

/// SIGKILL is seen within this, three times that on a busy machine.
const SEEN: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;

/// What a node tells its operators of the liveness of another one.
fn state_of(node: &Node, other: &Node) -> Result<String> {
    let status = admin::api(node.address(), "status")?;
    let members = status["members"].as_array().context("members")?;
    let address = other.address().to_string();
    let is_other = |it: &&Value| {
        it["address"].as_str().is_some_and(|at| at.starts_with(&format!("{address}:")))
    };
    let member = members.iter().find(is_other).context("no such member")?;
    Ok(member["state"].as_str().context("state")?.to_owned())
}

fn wait_seen(cluster: &Cluster, victim: usize, state: &str) -> Result<()> {
    for watcher in (0..cluster.nodes().len()).filter(|node| *node != victim) {
        let (watcher, victim) = (&cluster.nodes()[watcher], &cluster.nodes()[victim]);
        let what = format!("{} to see {} {state}", watcher.address(), victim.address());
        wait::until(&what, 10 * SEEN, || Ok((state_of(watcher, victim)? == state).then_some(())))?;
    }
    Ok(())
}

#[test]
fn a_killed_node_is_seen_down_by_everyone_in_time() -> Result<()> {
    let mut cluster = Cluster::builder("sigkill").listed(log::PEER_LOSS).start()?;
    let mut longest = Duration::ZERO;
    for round in 0..ROUNDS {
        let victim = round % 3;
        (0..3).try_for_each(|node| wait_seen(&cluster, node, "up"))?;
        let killed_at = wait::now();
        cluster.node(victim).kill()?;
        wait_seen(&cluster, victim, "down")?;
        longest = longest.max(killed_at.elapsed());
        cluster.node(victim).start()?;
        cluster.wait_ready()?;
    }
    eprintln!("{ROUNDS} kills, the slowest seen by everyone after {longest:?}");
    ensure!(longest < 3 * SEEN, "seen after {longest:?}");
    cluster.finish()
}
