//! BATCH on both kinds of tables, by hand and through unmodified drivers.
//!
//! Three nodes, replication 3, QUORUM.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Statement;
use scylla::statement::batch::{Batch as DriverBatch, BatchType};
use starling_tests::cql::{Batch, BatchStatement};
use starling_tests::place::CQL_PORT;
use starling_tests::python::{self, Python};
use starling_tests::{Client, Cluster, Consistency, Reply};

const INVALID: i32 = 0x2200;
const UNPREPARED: i32 = 0x2500;

/// The kinds of tables.
const KINDS: [&str; 2] = ["siblings", "lww"];

fn three_nodes(name: &str) -> Result<Cluster> {
    let cluster = Cluster::builder(name).nodes(3).start()?;
    cluster.define(&["CREATE KEYSPACE app WITH replication = \
                      {'class': 'SimpleStrategy', 'replication_factor': 3}"])?;
    for kind in KINDS {
        cluster.define(&[&format!(
            "CREATE TABLE app.{kind} (p int, c int, v text, PRIMARY KEY (p, c)) \
             WITH conflict = '{kind}'"
        )])?;
    }
    Ok(cluster)
}

fn int(number: i32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn prepared(client: &mut Client, statement: &str) -> Result<Vec<u8>> {
    match client.prepare(statement)? {
        Reply::Prepared(id) => Ok(id),
        other => anyhow::bail!("{statement}: {other:?}"),
    }
}

fn partition(client: &mut Client, kind: &str, p: i32) -> Result<Vec<String>> {
    client.rows(&format!("SELECT c, v FROM app.{kind} WHERE p = {p}"))?.shown()
}

#[test]
fn prepared_statements_and_texts_go_together() -> Result<()> {
    let cluster = three_nodes("batch")?;
    let mut client = cluster.nodes()[0].client()?;
    for kind in KINDS {
        let insert = format!("INSERT INTO app.{kind} (p, c, v) VALUES (?, ?, ?)");
        let id = prepared(&mut client, &insert)?;
        let delete = format!("DELETE FROM app.{kind} WHERE p = 1 AND c = ?");
        client.run(&format!("INSERT INTO app.{kind} (p, c, v) VALUES (1, 9, 'old')"))?;
        let batch = Batch {
            kind: 0,
            statements: vec![
                (BatchStatement::Prepared(&id), vec![Some(int(1)), Some(int(1)), Some(text("a"))]),
                (BatchStatement::Text(&insert), vec![Some(int(1)), Some(int(2)), None]),
                (BatchStatement::Text(&delete), vec![Some(int(9))]),
            ],
            level: Consistency::Quorum,
            timestamp: None,
        };
        let reply = client.batch(&batch)?;
        ensure!(reply == Reply::Void, "{kind}: {reply:?}");
        assert_eq!(partition(&mut client, kind, 1)?, ["1 | a", "2 | null"], "{kind}");

        let unknown = Batch {
            statements: vec![(BatchStatement::Prepared(&[7; 16]), vec![])],
            ..batch.clone()
        };
        let Reply::Refused(refusal) = client.batch(&unknown)? else { anyhow::bail!("done") };
        assert_eq!(refusal.code, UNPREPARED);

        let spanning = |batch_kind| Batch {
            kind: batch_kind,
            statements: (10..20)
                .map(|p| {
                    (
                        BatchStatement::Prepared(&id[..]),
                        vec![Some(int(p)), Some(int(1)), Some(text("x"))],
                    )
                })
                .collect(),
            ..batch.clone()
        };
        let Reply::Refused(refusal) = client.batch(&spanning(0))? else { anyhow::bail!("done") };
        ensure!(refusal.code == INVALID && refusal.message.contains("use UNLOGGED"), "{refusal:?}");
        ensure!(partition(&mut client, kind, 10)?.is_empty(), "nothing was written");
        let reply = client.batch(&spanning(1))?;
        ensure!(reply == Reply::Void, "{kind}: {reply:?}");
        for p in 10..20 {
            assert_eq!(partition(&mut client, kind, p)?, ["1 | x"], "{kind} {p}");
        }
    }
    cluster.finish()
}

#[test]
fn a_batch_in_text_is_prepared_and_executed() -> Result<()> {
    let cluster = three_nodes("batch-text")?;
    let mut client = cluster.nodes()[1].client()?;
    for kind in KINDS {
        let text = format!(
            "BEGIN BATCH INSERT INTO app.{kind} (p, c, v) VALUES (1, 1, 'a'); \
             UPDATE app.{kind} SET v = 'b' WHERE p = 1 AND c = 2; APPLY BATCH"
        );
        prepared(&mut client, &text)?;
        client.run(&text)?;
        assert_eq!(partition(&mut client, kind, 1)?, ["1 | a", "2 | b"], "{kind}");
        client.run(&format!("DELETE FROM app.{kind} WHERE p = 1 AND c > 1"))?;
        assert_eq!(partition(&mut client, kind, 1)?, ["1 | a"], "{kind}");
        client.run(&format!("DELETE FROM app.{kind} WHERE p = 1"))?;
        ensure!(partition(&mut client, kind, 1)?.is_empty(), "{kind}");
    }
    let long = "x".repeat(600);
    let inserts: Vec<_> = (0..12)
        .map(|p| format!("INSERT INTO app.lww (p, c, v) VALUES ({p}, 1, '{long}');"))
        .collect();
    client.run(&format!("BEGIN UNLOGGED BATCH {} APPLY BATCH", inserts.concat()))?;
    let warnings = client.warnings();
    ensure!(warnings.len() == 2, "{warnings:?}");
    ensure!(warnings[0].starts_with("Batch") && warnings[0].contains("exceeding"), "{warnings:?}");
    cluster.finish()
}

#[tokio::test]
async fn the_rust_driver_sends_batches() -> Result<()> {
    let cluster = three_nodes("batch-rust")?;
    let contact = format!("{}:{CQL_PORT}", cluster.addresses()[0]);
    let session = SessionBuilder::new().known_node(contact).build().await?;
    for kind in KINDS {
        let insert = format!("INSERT INTO app.{kind} (p, c, v) VALUES (?, ?, ?)");
        let prepared = session.prepare(insert.as_str()).await?;
        let mut batch = DriverBatch::new(BatchType::Unlogged);
        batch.append_statement(prepared);
        batch.append_statement(Statement::new(insert.clone()));
        batch.append_statement(Statement::new(format!(
            "UPDATE app.{kind} SET v = 'three' WHERE p = 3 AND c = 3"
        )));
        session.batch(&batch, ((1, 1, "one"), (2, 2, "two"), ())).await?;
        let mut logged = DriverBatch::new(BatchType::Logged);
        logged.append_statement(Statement::new(insert.clone()));
        logged.append_statement(Statement::new(insert));
        session.batch(&logged, ((4, 1, "a"), (4, 2, "b"))).await?;
        let mut client = cluster.nodes()[2].client()?;
        for (p, wanted) in [
            (1, vec!["1 | one"]),
            (2, vec!["2 | two"]),
            (3, vec!["3 | three"]),
            (4, vec!["1 | a", "2 | b"]),
        ] {
            assert_eq!(partition(&mut client, kind, p)?, wanted, "{kind}");
        }
    }
    cluster.finish()
}

#[test]
fn the_python_driver_sends_batches() -> Result<()> {
    let driver = Python::with(python::DRIVER)?;
    let cluster = three_nodes("batch-python")?;
    let nodes: Vec<_> = cluster.addresses().iter().map(ToString::to_string).collect();
    let arguments = [nodes.join(","), "datacenter1".to_owned()];
    let found = driver.run("batches.py", &arguments, Duration::from_mins(1))?;
    let warnings = found["warnings"].as_array().context("warnings")?;
    ensure!(warnings.len() == 2, "one of the size, one of the partitions: {warnings:?}");
    cluster.finish()
}
