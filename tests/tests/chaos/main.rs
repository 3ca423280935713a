//! Five real nodes, four writers, and a fault every five seconds; then all is healed, nothing that
//! was acknowledged is lost, and all replicas of every row are equal.
//!
//! `CHAOS_S` names another duration than a minute, `CHAOS_SEED` the seed of an earlier run: the
//! same faults and statements, though not at the same moments.

mod faults;
mod load;
mod settle;

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::{Chance, Cluster, log, wait};

use faults::Nemesis;
use load::Load;

/// How long the writers write.
const TIME: Duration = Duration::from_mins(1);

/// A fault begins so often.
const FAULT_EVERY: Duration = Duration::from_secs(5);

/// So long it lasts.
const FAULT_LASTS: Duration = Duration::from_secs(4);

const NODES: usize = 5;

#[test]
fn nothing_acknowledged_is_lost_and_all_replicas_are_equal_after_chaos() -> Result<()> {
    let time = wait::duration_of("CHAOS_S", TIME)?;
    let mut chance = Chance::asked_for("CHAOS_SEED", "the chaos")?;
    let listed = [log::PEER_LOSS, log::LATE_GREETING].concat();
    let builder = Cluster::builder("chaos").nodes(NODES).behind_proxies().listed(&listed);
    let mut cluster = builder.start()?;
    cluster.define(load::DEFINITIONS)?;
    let load = Load::new(cluster.addresses(), &mut chance);
    let mut nemesis = Nemesis::new(chance);
    let wrong = load.run_while(|| {
        let begun_at = wait::now();
        let mut rounds = 0;
        while begun_at.elapsed() < time {
            let fault_at = wait::now();
            nemesis.strike(&mut cluster)?;
            thread::sleep(FAULT_LASTS.saturating_sub(fault_at.elapsed()));
            nemesis.relent(&mut cluster)?;
            rounds += 1;
            thread::sleep(FAULT_EVERY.saturating_sub(fault_at.elapsed()));
        }
        ensure!(rounds > 0, "there were no faults");
        Ok(())
    })?;
    eprintln!("{}", load.summary());
    ensure!(wrong.is_empty(), "while there were faults: {wrong:#?}");
    nemesis.heal(&mut cluster)?;
    let healed_at = wait::now();
    settle::wait_equal(&cluster)?;
    eprintln!("all replicas are equal {:?} after the network has healed", healed_at.elapsed());
    settle::check(&cluster, &load)?;
    cluster.finish()
}
