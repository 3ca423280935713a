//! A node that is stopped in good order first says what it has for others.

use anyhow::{Result, ensure};
use starling_tests::cql::{Ask, frame_bytes, opcode, query_body};
use starling_tests::{Cluster, Consistency, log};

use super::writers::define;

/// How many rows are written at once, each long enough for them to wait for one another.
const ROWS: i16 = 400;
const VALUE_BYTES: usize = 30_000;

/// The client is answered by one replica; the others get the row all the same.
#[test]
fn a_stopped_node_leaves_what_it_acknowledged_at_one_with_every_replica() -> Result<()> {
    let mut cluster = Cluster::builder("stop-one").listed(log::PEER_LOSS).start()?;
    define(&cluster, 3)?;
    cluster.define(&["CREATE TABLE app.long (k int PRIMARY KEY, v text)"])?;
    let mut client = cluster.nodes()[0].client()?;
    let value = "x".repeat(VALUE_BYTES);
    for k in 0..ROWS {
        let insert = format!("INSERT INTO app.long (k, v) VALUES ({k}, '{value}')");
        let body = query_body(&insert, &Ask::at(Consistency::One));
        client.send(&frame_bytes(4, k, opcode::QUERY, &body))?;
    }
    for _ in 0..ROWS {
        let frame = client.receive()?;
        ensure!(frame.opcode == opcode::RESULT, "{frame:?}");
    }
    cluster.node(0).stop()?;
    for node in 1..3 {
        let mut client = cluster.node(node).client()?;
        for k in 0..ROWS {
            let select = format!("SELECT k FROM app.long WHERE k = {k}");
            let rows = client.rows_at(&select, Consistency::One)?;
            ensure!(rows.count() == 1, "row {k} is not on node {node}");
        }
    }
    cluster.finish()
}
