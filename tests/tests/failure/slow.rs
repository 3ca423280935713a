//! A replica behind a slow link is asked seldom, and does not hold up reads.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::proxy::Condition;
use starling_tests::{Client, Cluster, Consistency, admin, log, wait};

use super::{DEFINITIONS, hosts, wait_all_up};

/// What each answer of the slow replica takes longer.
const DELAY: Duration = Duration::from_millis(300);

/// How often a row is read, before and after the link has become slow.
const READS: usize = 500;

/// How long reads take, sorted.
fn read(client: &mut Client) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    for n in 0..READS {
        let select = format!("SELECT v FROM app.t WHERE k = {}", n % 50);
        let begun_at = wait::now();
        let rows = client.rows_at(&select, Consistency::Quorum)?;
        took.push(begun_at.elapsed());
        ensure!(rows.texts("v")?.len() == 1, "row {n}");
    }
    took.sort_unstable();
    Ok(took)
}

fn reads_served(node: IpAddr) -> Result<u64> {
    admin::counter(node, admin::STORE_READS)
}

#[test]
fn a_replica_behind_a_slow_link_is_asked_seldom_and_holds_up_no_read() -> Result<()> {
    let builder = Cluster::builder("slow-replica").behind_proxies();
    let builder = builder.listed(log::PEER_LOSS).listed(log::LATE_GREETING);
    let cluster = builder.start()?;
    cluster.define(DEFINITIONS)?;
    wait_all_up(&cluster, &hosts(&cluster)?)?;
    let [coordinator, slow] = [0, 2].map(|index| cluster.nodes()[index].address());
    let mut client = Client::connect(coordinator)?;
    for key in 0..50 {
        let insert = format!("INSERT INTO app.t (k, v) VALUES ({key}, 'v')");
        client.run_at(&insert, Consistency::All)?;
    }
    let before = reads_served(slow)?;
    let usual = read(&mut client)?;
    let shared = reads_served(slow)? - before;
    ensure!(shared > READS as u64 / 5, "equal replicas share the reads: {shared} of {READS}");

    cluster.links().set(2, 0, &Condition::slow(DELAY));
    let before = reads_served(slow)?;
    let slowed = read(&mut client)?;
    let asked = reads_served(slow)? - before;
    let [p50, p99] = [50, 99].map(|part| (usual[READS * part / 100], slowed[READS * part / 100]));
    let spares = admin::counter(coordinator, admin::SPARES)?;
    let won = admin::counter(coordinator, admin::SPARES_WON)?;
    eprintln!(
        "p50 {:?} -> {:?}, p99 {:?} -> {:?}; the slow replica got {shared} -> {asked} of \
        {READS} reads; {spares} spare requests, {won} of use",
        p50.0, p50.1, p99.0, p99.1
    );
    ensure!(p50.1 < DELAY / 4, "half of the reads wait for the slow replica: {:?}", p50.1);
    ensure!(asked < READS as u64 / 10, "the slow replica was asked {asked} of {READS} times");
    ensure!(won > 0, "no read was helped by a spare request");
    cluster.finish()
}
