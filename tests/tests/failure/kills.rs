//! A node that dies is noticed.

use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::{Cluster, log, wait};

use super::{SEEN, hosts, wait_all_up, wait_seen};

const ROUNDS: usize = 5;

#[test]
fn a_killed_node_is_seen_down_by_everyone_in_time() -> Result<()> {
    let mut cluster = Cluster::builder("sigkill").listed(log::PEER_LOSS).start()?;
    let hosts = hosts(&cluster)?;
    let mut longest = Duration::ZERO;
    for round in 0..ROUNDS {
        let victim = round % 3;
        wait_all_up(&cluster, &hosts)?;
        let killed_at = wait::now();
        cluster.node(victim).kill()?;
        wait_seen(cluster.running(), hosts[victim], "down")?;
        let took = killed_at.elapsed();
        eprintln!("SIGKILL seen by everyone after {took:?}");
        longest = longest.max(took);
        cluster.node(victim).start()?;
        cluster.wait_ready()?;
    }
    eprintln!("{ROUNDS} kills, the slowest seen by everyone after {longest:?}");
    ensure!(longest < 3 * SEEN, "seen after {longest:?}");
    cluster.finish()
}
