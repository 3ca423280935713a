//! Power cuts in the middle of sixty-four writers: what was not synced is gone, or torn.
//!
//! A node of its own shows what its own disk promises, for nobody else has a copy. `POWER_CUTS` asks
//! for more cuts in each of the two than `make test` makes, as `make prove-power` does.

use anyhow::{Context as _, Result, ensure};
use starling_tests::ledger::Ledger;
use starling_tests::{Chance, Cluster, Tear, log};

use super::writers::{Writers, define, verify, write_while, wrong};

/// How often the power of a node of its own is cut.
const CUTS_OF_ONE: usize = 13;
/// How often power is cut in a cluster of three.
const CUTS_OF_THREE: usize = 12;
/// After so many cuts everything is read back and the next cluster begins, so that none grows large.
const CUTS_A_CLUSTER: usize = 25;
/// A cut comes at most so many acknowledged writes after the one before.
const WRITES_MAX: usize = 2_000;

/// Makes the node acknowledge before it syncs. Only tests set it.
const PLANTED_BUG: &str = "testing.planted=acknowledge_before_sync";

#[test]
fn a_node_of_its_own_keeps_every_acknowledged_write_over_power_cuts() -> Result<()> {
    in_clusters("power-cuts-of-one", cuts(CUTS_OF_ONE)?, |cuts| {
        let mut chance = Chance::new("the moments of the cuts");
        let builder = Cluster::builder("power-one").nodes(1).seeds(0);
        let mut cluster = builder.on_power_disks().start()?;
        define(&cluster, 1)?;
        let promises = write_while(&mut cluster, |cluster, writers| {
            for _ in 0..cuts {
                wait_some(writers, &mut chance)?;
                cut(cluster, &[0], || tear(&mut chance))?;
            }
            writers.wait_progress()
        })?;
        verify(&cluster, &promises)?;
        cluster.finish()?;
        Ok(promises.acknowledged_count())
    })
}

/// Of one node, or of all three at once.
#[test]
fn three_nodes_keep_every_acknowledged_write_over_power_cuts() -> Result<()> {
    in_clusters("power-cuts-of-three", cuts(CUTS_OF_THREE)?, |cuts| {
        let mut chance = Chance::new("the moments and the victims of the cuts");
        let builder = Cluster::builder("power-three").listed(log::PEER_LOSS);
        let mut cluster = builder.on_power_disks().start()?;
        define(&cluster, 3)?;
        let promises = write_while(&mut cluster, |cluster, writers| {
            for _ in 0..cuts {
                wait_some(writers, &mut chance)?;
                let victims = match chance.below(6) {
                    victim @ 0..3 => vec![victim],
                    _ => vec![0, 1, 2],
                };
                cut(cluster, &victims, || tear(&mut chance))?;
            }
            writers.wait_progress()
        })?;
        verify(&cluster, &promises)?;
        cluster.finish()?;
        Ok(promises.acknowledged_count())
    })
}

/// What the two tests above look for can be seen: here it is.
#[test]
fn a_node_that_acknowledges_before_it_syncs_is_found_out_by_power_cuts() -> Result<()> {
    let mut chance = Chance::new("the moments of the cuts");
    let builder = Cluster::builder("power-bug").nodes(1).seeds(0).set(PLANTED_BUG);
    let mut cluster = builder.on_power_disks().listed(&["testing.planted"]).start()?;
    define(&cluster, 1)?;
    let promises = write_while(&mut cluster, |cluster, writers| {
        for _ in 0..3 {
            wait_some(writers, &mut chance)?;
            cut(cluster, &[0], || Tear::Clean)?;
        }
        Ok(())
    })?;
    let lost = wrong(&cluster.nodes()[0], &promises)?;
    eprintln!("{} losses, such as {:?}", lost.len(), lost.first());
    ensure!(!lost.is_empty(), "the planted bug was not seen");
    cluster.finish()
}

/// How many cuts are asked for.
fn cuts(default: usize) -> Result<usize> {
    match std::env::var_os("POWER_CUTS") {
        None => Ok(default),
        Some(count) => {
            count.to_str().and_then(|it| it.parse().ok()).context("POWER_CUTS is a count")
        }
    }
}

/// Makes so many cuts, in one cluster after the other; each returns how many writes it acknowledged.
fn in_clusters(name: &str, cuts: usize, mut run: impl FnMut(usize) -> Result<usize>) -> Result<()> {
    let mut ledger = Ledger::open(name)?;
    while ledger.done() < cuts {
        let more = CUTS_A_CLUSTER.min(cuts - ledger.done());
        let acknowledged = run(more)?;
        let figures = format!("cuts, {acknowledged} writes acknowledged, 0 lost");
        eprintln!("{name}: {more} {figures}");
        ledger.note(more, &figures)?;
    }
    Ok(())
}

fn wait_some(writers: &Writers<'_>, chance: &mut Chance) -> Result<()> {
    writers.wait_acknowledged(1 + chance.below(WRITES_MAX))
}

fn tear(chance: &mut Chance) -> Tear {
    *chance.of_these(&[Tear::Clean, Tear::Torn])
}

/// Cuts the power of these nodes, all before it comes back to one, and starts them again.
fn cut(cluster: &mut Cluster, victims: &[usize], mut tear: impl FnMut() -> Tear) -> Result<()> {
    for victim in victims {
        cluster.node(*victim).lose_power(tear())?;
    }
    for victim in victims {
        cluster.node(*victim).restore_power()?;
    }
    cluster.start_all()?;
    cluster.wait_ready()
}
