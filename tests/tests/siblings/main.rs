//! Concurrent writes of one row live side by side until somebody who has seen them resolves them.
//!
//! Three nodes, replication 3, QUORUM unless a test says otherwise.

mod conflicts;
mod contexts;
mod crowd;
mod deletes;
mod limits;
mod lost_answers;
mod pages;
mod returning;
mod updates;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use starling_tests::cql::blob_literal;
use starling_tests::{Client, Cluster, Rows};

/// Invalid: the statement is understood and refused.
const INVALID: i32 = 0x2200;

/// Three nodes with keyspace `app` and table `t`, and a client of each node.
fn three_nodes(name: &str) -> Result<(Cluster, [Client; 3])> {
    three_nodes_with(Cluster::builder(name))
}

fn three_nodes_with(builder: starling_tests::cluster::Builder) -> Result<(Cluster, [Client; 3])> {
    let cluster = builder.nodes(3).start()?;
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 3}",
        "CREATE TABLE app.t (k int PRIMARY KEY, v text)",
    ])?;
    let clients = clients(&cluster)?;
    Ok((cluster, clients))
}

fn clients(cluster: &Cluster) -> Result<[Client; 3]> {
    let [a, b, c] = cluster.nodes() else { anyhow::bail!("three nodes") };
    Ok([a.client()?, b.client()?, c.client()?])
}

/// What a SELECT of one row of `app.t` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// The context, as CQL writes it.
    context: String,
    /// The value of each living version.
    values: BTreeSet<String>,
}

/// Reads a row with its context, and checks what must hold of every answer.
fn look(client: &mut Client, key: i32) -> Result<Seen> {
    let rows =
        client.rows(&format!("SELECT context(), sibling_count(), v FROM app.t WHERE k = {key}"))?;
    seen(&rows)
}

/// Reads rows whose columns are context, number of siblings and value.
fn seen(rows: &Rows) -> Result<Seen> {
    let contexts = column(rows, 0)?;
    ensure!(!contexts.is_empty(), "a whole key and context() answer at least one row");
    ensure!(contexts.iter().all(|it| *it == contexts[0]), "one row, two contexts: {contexts:?}");
    let values: Vec<_> = rows.texts("v")?;
    for row in 0..rows.count() {
        let count = usize::try_from(rows.integer_at(row, 1)?)?;
        ensure!(count == values.len(), "sibling_count() {count}, versions {values:?}");
    }
    let context = contexts.into_iter().next().flatten().context("the context is null")?;
    Ok(Seen { context: blob_literal(&context), values: distinct(values)? })
}

/// The cells of one column by its place.
fn column(rows: &Rows, at: usize) -> Result<Vec<Option<Vec<u8>>>> {
    let cells = rows.cells.iter().map(|row| row.get(at).cloned().context("no such column"));
    cells.collect()
}

/// The values as a set; a value that lives twice is a twin.
fn distinct(values: Vec<String>) -> Result<BTreeSet<String>> {
    let count = values.len();
    let set: BTreeSet<_> = values.into_iter().collect();
    ensure!(set.len() == count, "a value lives twice: {set:?}");
    Ok(set)
}

fn insert(client: &mut Client, key: i32, value: &str) -> Result<()> {
    client.run(&format!("INSERT INTO app.t (k, v) VALUES ({key}, '{value}')"))
}

fn insert_after(client: &mut Client, key: i32, value: &str, context: &str) -> Result<()> {
    client
        .run(&format!("INSERT INTO app.t (k, v) VALUES ({key}, '{value}') USING CONTEXT {context}"))
}

fn set<const N: usize>(values: [&str; N]) -> BTreeSet<String> {
    values.into_iter().map(str::to_owned).collect()
}
