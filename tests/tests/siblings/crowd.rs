//! Sixty-four clients and one row.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use anyhow::{Result, ensure};
use starling_tests::{Client, Cluster, admin};

use super::{insert, look, three_nodes};

const CLIENTS: usize = 64;

#[test]
fn writes_of_64_clients_at_once_are_64_siblings_in_fewer_syncs() -> Result<()> {
    let (cluster, [_, _, mut reader]) = three_nodes("crowd")?;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        clients.push(cluster.nodes()[client % 3].client()?);
    }
    let before = counters(&cluster)?;
    write_at_once(clients)?;
    let after = counters(&cluster)?;

    let expected: BTreeSet<_> = (0..CLIENTS).map(|client| format!("client {client}")).collect();
    assert_eq!(look(&mut reader, 1)?.values, expected);
    let (mutations, syncs) = (after.0 - before.0, after.1 - before.1);
    eprintln!("{CLIENTS} writes, replication 3: {mutations} mutations in {syncs} fsyncs");
    ensure!(mutations >= u64::try_from(CLIENTS)?, "{mutations} mutations");
    ensure!(syncs < mutations, "{mutations} mutations took {syncs} fsyncs");
    cluster.finish()
}

fn write_at_once(clients: Vec<Client>) -> Result<()> {
    let start = Barrier::new(clients.len());
    thread::scope(|scope| {
        let writers: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, mut client)| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    insert(&mut client, 1, &format!("client {number}"))
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("a writer does not panic"))
    })
}

/// Mutations and fsyncs of all nodes together.
fn counters(cluster: &Cluster) -> Result<(u64, u64)> {
    let mut sums = (0, 0);
    for node in cluster.addresses() {
        sums.0 += admin::counter(node, admin::MUTATIONS)?;
        sums.1 += admin::counter(node, admin::LOG_SYNCS)?;
    }
    Ok(sums)
}
