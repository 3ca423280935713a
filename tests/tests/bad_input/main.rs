//! Whatever a client sends: a clear error, a living server, and no memory that a header claims.

mod frames;
mod language;
mod memory;
mod protocol;
mod statements;

use anyhow::Result;
use starling_tests::cluster::Builder;
use starling_tests::{Client, Cluster};

/// A protocol error.
const PROTOCOL: i32 = 0x000A;

/// One node with tables whose names and columns are easy to find in a message.
fn one_node(name: &str) -> Result<(Cluster, Client)> {
    one_node_of(Cluster::builder(name))
}

/// The same of a node with settings of its own.
fn one_node_of(builder: Builder) -> Result<(Cluster, Client)> {
    let cluster = builder.nodes(1).seeds(0).start()?;
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE app.notes (note_id int PRIMARY KEY, body text, tags set<text>)",
        "CREATE TABLE app.lines \
         (day_name text, line_no int, body text, PRIMARY KEY (day_name, line_no))",
    ])?;
    let client = cluster.nodes()[0].client()?;
    Ok((cluster, client))
}

/// The node serves a new connection.
fn assert_alive(cluster: &Cluster) -> Result<()> {
    let mut client = cluster.nodes()[0].client()?;
    client.rows("SELECT body FROM app.notes WHERE note_id = 1")?;
    Ok(())
}
