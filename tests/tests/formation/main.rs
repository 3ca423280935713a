//! A cluster forms once, as one, whatever the order in which its nodes come.

mod first;
mod lost_seed;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::{Cluster, Consistency, Node, admin};
use uuid::Uuid;

/// Five nodes form one ring within this, three times that on a busy machine.
const FORMED: Duration = Duration::from_secs(10);

/// The owners of all tokens, as a node tells drivers.
type Tokens = BTreeMap<Uuid, BTreeSet<String>>;

fn tokens(node: &Node) -> Result<Tokens> {
    let mut client = node.client()?;
    let local = "SELECT host_id, tokens FROM system.local WHERE key = 'local'";
    let peers = "SELECT host_id, tokens FROM system.peers";
    let mut tokens = Tokens::new();
    for query in [local, peers] {
        let rows = client.rows_at(query, Consistency::One)?;
        for row in 0..rows.count() {
            let of_host = rows.text_set(row, "tokens")?.into_iter().collect();
            let is_new = tokens.insert(rows.uuid(row, "host_id")?, of_host).is_none();
            ensure!(is_new, "a host is told twice");
        }
    }
    Ok(tokens)
}

/// Every running node tells of the same hosts and tokens: all partitions, each with one owner,
/// shared out evenly, in one cluster.
fn assert_one_ring(cluster: &Cluster, hosts: usize, partitions: usize) -> Result<()> {
    let mut views = BTreeSet::new();
    let mut clusters = BTreeSet::new();
    for node in cluster.running() {
        views.insert(tokens(node)?);
        clusters.insert(admin::status(node.address())?.cluster);
    }
    ensure!(clusters.len() == 1, "clusters {clusters:?}");
    ensure!(views.len() == 1, "{} views of the ring", views.len());
    let view = views.first().expect("a node runs");
    ensure!(view.len() == hosts, "{} hosts", view.len());
    let all: BTreeSet<_> = view.values().flatten().collect();
    let counts: Vec<_> = view.values().map(BTreeSet::len).collect();
    ensure!(all.len() == partitions, "{} different tokens", all.len());
    ensure!(counts.iter().sum::<usize>() == partitions, "a token has two owners: {counts:?}");
    let spread = counts.iter().max().zip(counts.iter().min()).map(|(most, least)| most - least);
    ensure!(spread <= Some(1), "tokens are shared out unevenly: {counts:?}");
    Ok(())
}
