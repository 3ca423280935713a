//! A node that is stopped for a while is dead for a while; and it takes nobody for dead that it did
//! not hear meanwhile.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use starling_tests::{Cluster, admin, log};

use super::{hosts, wait_all_up, wait_seen};

fn four_nodes(name: &str) -> Result<Cluster> {
    let builder = Cluster::builder(name).nodes(4);
    builder.listed(log::PEER_LOSS).listed(log::LATE_GREETING).start()
}

#[test]
fn a_paused_node_is_down_until_it_goes_on() -> Result<()> {
    let mut cluster = four_nodes("sigstop")?;
    let hosts = hosts(&cluster)?;
    for paused in [1, 3] {
        wait_all_up(&cluster, &hosts)?;
        cluster.node(paused).pause()?;
        let others = cluster.nodes().iter().enumerate().filter(|(index, _)| *index != paused);
        wait_seen(others.map(|(_, node)| node), hosts[paused], "down")?;
        cluster.node(paused).resume()?;
        wait_all_up(&cluster, &hosts)?;
    }
    cluster.finish()
}

#[test]
fn a_node_that_was_paused_takes_nobody_for_dead() -> Result<()> {
    let mut cluster = four_nodes("observer")?;
    let hosts = hosts(&cluster)?;
    wait_all_up(&cluster, &hosts)?;
    let observer = cluster.nodes()[0].address();
    let before = admin::counter(observer, admin::DEATHS)?;
    for pause_ms in [300, 700, 1_500, 3_000, 8_000] {
        cluster.node(0).pause()?;
        thread::sleep(Duration::from_millis(pause_ms));
        cluster.node(0).resume()?;
        // Longer than any verdict takes.
        thread::sleep(Duration::from_secs(6));
    }
    let after = admin::counter(observer, admin::DEATHS)?;
    assert_eq!(before, after, "the paused node took somebody for dead");
    wait_all_up(&cluster, &hosts)?;
    cluster.finish()
}
