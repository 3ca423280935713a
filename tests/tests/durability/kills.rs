//! SIGKILL in the middle of sixty-four writers.

use anyhow::Result;
use starling_tests::{Chance, Cluster, log};

use super::writers::{define, verify, write_while};

/// How often a single node is killed.
const KILLS: usize = 20;
/// How often all nodes are killed at once.
const BLACKOUTS: usize = 5;

/// The hardest case for the store: nobody else has a copy.
#[test]
fn a_node_of_its_own_killed_20_times_keeps_every_acknowledged_write() -> Result<()> {
    let mut cluster = Cluster::builder("kill-one").nodes(1).seeds(0).start()?;
    define(&cluster, 1)?;
    let promises = write_while(&mut cluster, |cluster, writers| {
        for _ in 0..KILLS {
            writers.wait_progress()?;
            cluster.node(0).kill()?;
            cluster.node(0).start()?;
            cluster.wait_ready()?;
        }
        writers.wait_progress()
    })?;
    verify(&cluster, &promises)?;
    cluster.finish()
}

#[test]
fn nodes_of_three_killed_20_times_in_turn_keep_every_acknowledged_write() -> Result<()> {
    let mut cluster = Cluster::builder("kill-turns").listed(log::PEER_LOSS).start()?;
    define(&cluster, 3)?;
    let promises = write_while(&mut cluster, |cluster, writers| {
        for kill in 0..KILLS {
            writers.wait_progress()?;
            cluster.node(kill % 3).kill()?;
            writers.wait_progress()?;
            cluster.node(kill % 3).start()?;
            cluster.wait_ready()?;
        }
        writers.wait_progress()
    })?;
    verify(&cluster, &promises)?;
    cluster.finish()
}

#[test]
fn random_nodes_killed_20_times_under_a_mixed_load_lose_nothing() -> Result<()> {
    let mut chance = Chance::new("the nodes that are killed");
    let mut cluster = Cluster::builder("kill-random").listed(log::PEER_LOSS).start()?;
    define(&cluster, 3)?;
    let promises = write_while(&mut cluster, |cluster, writers| {
        for _ in 0..KILLS {
            let victim = chance.below(3);
            writers.wait_progress()?;
            cluster.node(victim).kill()?;
            if chance.below(2) == 0 {
                // Otherwise it is back before it was missed.
                writers.wait_progress()?;
            }
            cluster.node(victim).start()?;
            cluster.wait_ready()?;
        }
        writers.wait_progress()
    })?;
    verify(&cluster, &promises)?;
    cluster.finish()
}

#[test]
fn three_nodes_killed_at_once_keep_every_acknowledged_write() -> Result<()> {
    let mut cluster = Cluster::builder("kill-all").listed(log::PEER_LOSS).start()?;
    define(&cluster, 3)?;
    let promises = write_while(&mut cluster, |cluster, writers| {
        for _ in 0..BLACKOUTS {
            writers.wait_progress()?;
            cluster.kill_all()?;
            cluster.start_all()?;
            cluster.wait_ready()?;
        }
        writers.wait_progress()
    })?;
    verify(&cluster, &promises)?;
    cluster.finish()
}
