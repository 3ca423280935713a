//! One bad link makes no healthy node dead, for anybody; a node that nobody can reach is dead
//! although it speaks.

use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::proxy::Condition;
use starling_tests::{Cluster, Consistency, admin, log, wait};
use uuid::Uuid;

use super::{DEFINITIONS, assert_all_live_on, hosts, wait_all_up, wait_seen};

/// Longer than any verdict takes.
const LONG: Duration = Duration::from_secs(12);

fn four_nodes(name: &str) -> Result<(Cluster, Vec<Uuid>)> {
    let builder = Cluster::builder(name).nodes(4).behind_proxies();
    let builder = builder.listed(log::PEER_LOSS).listed(log::LATE_GREETING);
    let cluster = builder.start()?;
    let hosts = hosts(&cluster)?;
    wait_all_up(&cluster, &hosts)?;
    Ok((cluster, hosts))
}

#[test]
fn a_slow_link_makes_nobody_dead() -> Result<()> {
    let (cluster, hosts) = four_nodes("slow-link")?;
    let slow = Condition::slow(Duration::from_millis(700)).with_jitter(Duration::from_millis(100));
    cluster.links().set_between(0, 1, &slow);
    assert_all_live_on(&cluster, &hosts, LONG)?;
    cluster.finish()
}

#[test]
fn a_cut_link_makes_nobody_dead_one_way_or_both() -> Result<()> {
    let (cluster, hosts) = four_nodes("cut-link")?;
    cluster.links().set(0, 1, &Condition::cut());
    assert_all_live_on(&cluster, &hosts, LONG)?;
    cluster.links().set(1, 0, &Condition::cut());
    assert_all_live_on(&cluster, &hosts, LONG)?;
    cluster.links().heal();
    assert_all_live_on(&cluster, &hosts, LONG / 2)?;
    cluster.finish()
}

#[test]
fn a_link_that_accepts_and_never_answers_is_noticed_and_makes_nobody_dead() -> Result<()> {
    let (cluster, hosts) = four_nodes("half-open")?;
    let dialler = cluster.nodes()[0].address();
    let before = admin::counter(dialler, admin::SILENT)?;
    cluster.links().set(0, 1, &Condition::half_open());
    assert_all_live_on(&cluster, &hosts, LONG)?;
    let after = admin::counter(dialler, admin::SILENT)?;
    ensure!(after > before, "no connection was given up");
    cluster.finish()
}

/// Its heartbeats arrive, and nothing that is sent to it.
#[test]
fn a_node_that_speaks_and_hears_nobody_is_dead_until_it_hears() -> Result<()> {
    let (cluster, hosts) = four_nodes("deaf")?;
    (0..3).for_each(|other| cluster.links().set(other, 3, &Condition::cut()));
    wait_seen(&cluster.nodes()[..3], hosts[3], "down")?;
    cluster.links().heal();
    wait_all_up(&cluster, &hosts)?;
    cluster.finish()
}

#[test]
fn a_node_that_is_cut_off_is_dead_and_back_when_the_network_heals() -> Result<()> {
    let (cluster, hosts) = four_nodes("cut-off")?;
    cluster.links().part(&[&[0, 1, 2]]);
    wait_seen(&cluster.nodes()[..3], hosts[3], "down")?;
    for other in &hosts[..3] {
        wait_seen(&cluster.nodes()[3..], *other, "down")?;
    }
    cluster.links().heal();
    let healed_at = wait::now();
    wait_all_up(&cluster, &hosts)?;
    eprintln!("all are up {:?} after the network has healed", healed_at.elapsed());
    cluster.finish()
}

#[test]
fn corrupted_bytes_are_counted_and_never_become_rows() -> Result<()> {
    const ROWS: i32 = 300;
    let (cluster, hosts) = four_nodes("corruption")?;
    cluster.define(DEFINITIONS)?;
    for other in 1..4 {
        cluster.links().set_between(0, other, &Condition::corrupting(10_000));
    }
    let mut client = cluster.nodes()[0].client()?;
    let value = |key: i32| format!("{key}-").repeat(100);
    let mut acknowledged = Vec::new();
    for key in 0..ROWS {
        let insert = format!("INSERT INTO app.t (k, v) VALUES ({key}, '{}')", value(key));
        if client.query_at(&insert, Consistency::Quorum)? == starling_tests::Reply::Void {
            acknowledged.push(key);
        }
    }
    cluster.links().heal();
    let count = |node: &starling_tests::Node| admin::counter(node.address(), admin::CORRUPT);
    let counted: u64 = cluster.nodes().iter().map(count).sum::<Result<_>>()?;
    let flips = cluster.links().flips();
    eprintln!(
        "{flips} bits flipped, {counted} connections ended for it; {} of {ROWS} writes \
        acknowledged",
        acknowledged.len()
    );
    ensure!(flips > 0 && counted > 0, "nothing was corrupted, or nobody noticed");
    wait_all_up(&cluster, &hosts)?;
    for node in cluster.nodes() {
        let mut client = node.client()?;
        for key in 0..ROWS {
            let select = format!("SELECT v FROM app.t WHERE k = {key}");
            let found = client.rows_at(&select, Consistency::Quorum)?.texts("v")?;
            ensure!(found.iter().all(|found| *found == value(key)), "row {key} holds {found:?}");
            ensure!(!found.is_empty() || !acknowledged.contains(&key), "row {key} is lost");
        }
    }
    cluster.finish()
}
