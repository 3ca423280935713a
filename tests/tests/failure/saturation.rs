//! Nobody is taken for dead because the machine has too much to do.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::{Client, Cluster, log, wait};

use super::{DEFINITIONS, assert_all_live_on, hosts, wait_all_up};

/// How long the machine is busy; another time by `SATURATION_S`.
const BUSY: Duration = Duration::from_mins(1);

/// How many loops compete with the nodes for each core.
const LOOPS_A_CORE: usize = 2;

/// How many clients write and read without a pause.
const CLIENTS: usize = 16;

#[test]
fn nobody_is_taken_for_dead_while_all_cores_are_busy() -> Result<()> {
    let time = wait::duration_of("SATURATION_S", BUSY)?;
    let cluster = Cluster::builder("saturation").listed(log::PEER_LOSS).start()?;
    cluster.define(DEFINITIONS)?;
    let hosts = hosts(&cluster)?;
    wait_all_up(&cluster, &hosts)?;
    let (stop, requests) = (AtomicBool::new(false), AtomicU64::new(0));
    let nodes = cluster.addresses();
    let cores = thread::available_parallelism()?.get();
    let lived_on = thread::scope(|scope| {
        for _ in 0..cores * LOOPS_A_CORE {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        for client in 0..CLIENTS {
            let node = nodes[client % nodes.len()];
            let (stop, requests) = (&stop, &requests);
            scope.spawn(move || load(node, client, stop, requests));
        }
        let lived_on = assert_all_live_on(&cluster, &hosts, time);
        stop.store(true, Ordering::Relaxed);
        lived_on
    });
    let requests = requests.load(Ordering::Relaxed);
    eprintln!(
        "{time:?} with {} busy loops on {cores} cores and {requests} requests",
        cores * LOOPS_A_CORE
    );
    lived_on?;
    ensure!(requests > 0, "the cluster did nothing");
    cluster.finish()
}

fn load(node: IpAddr, client: usize, stop: &AtomicBool, requests: &AtomicU64) {
    let mut connection: Option<Client> = None;
    for n in 0_usize.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Some(connected) = &mut connection else {
            connection = Client::connect(node).ok();
            continue;
        };
        let key = n % 1_000;
        let statement = if n.is_multiple_of(2) {
            format!("UPDATE app.load SET v = 'client {client}' WHERE k = {key}")
        } else {
            format!("SELECT v FROM app.load WHERE k = {key}")
        };
        match connected.query(&statement) {
            Ok(_) => {
                requests.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => connection = None,
        }
    }
}
