//! Tables of last-write-wins: each cell has the latest write, on every node alike.
//!
//! Three nodes, replication 3, QUORUM unless a test says otherwise.

mod batches;
mod blind;
mod collections;
mod deletes;
mod stamps;
mod ttl;

use anyhow::{Context as _, Result};
use starling_tests::{Client, Cluster};

/// Invalid: the statement is understood and refused.
const INVALID: i32 = 0x2200;

/// Three nodes with keyspace `app` and these tables, and a client of each node.
fn three_nodes(name: &str, tables: &[&str]) -> Result<(Cluster, [Client; 3])> {
    let cluster = Cluster::builder(name).nodes(3).start()?;
    cluster.define(&["CREATE KEYSPACE app WITH replication = \
                      {'class': 'SimpleStrategy', 'replication_factor': 3} \
                      AND conflict = 'lww'"])?;
    cluster.define(tables)?;
    let [a, b, c] = cluster.nodes() else { anyhow::bail!("three nodes") };
    let clients = [a.client()?, b.client()?, c.client()?];
    Ok((cluster, clients))
}

/// What a SELECT shows, row by row.
fn shown(client: &mut Client, select: &str) -> Result<Vec<String>> {
    client.rows(select)?.shown().with_context(|| select.to_owned())
}

/// What a SELECT shows through every node.
fn assert_shown(clients: &mut [Client; 3], select: &str, wanted: &[&str]) -> Result<()> {
    for client in clients {
        assert_eq!(shown(client, select)?, wanted, "{select}");
    }
    Ok(())
}
