//! Prepared statements of unmodified drivers while the tables under them change.
//!
//! `SELECT *` is what can go wrong: version 4 of the protocol has no way to say that a result has other
//! columns than when it was prepared, and a driver that leaves them out would misread every row.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;
use starling_tests::Cluster;
use starling_tests::place::CQL_PORT;
use starling_tests::python::{self, Python};

const KEYSPACE: &str =
    "CREATE KEYSPACE app WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}";

/// What happens to the table, and the columns that `SELECT *` has then.
const CHANGES: &[(&str, &[&str])] = &[
    ("CREATE TABLE app.p (k int PRIMARY KEY, b text, d int)", &["k", "b", "d"]),
    ("ALTER TABLE app.p ADD (a int, c text)", &["k", "a", "b", "c", "d"]),
    ("ALTER TABLE app.p DROP b", &["k", "a", "c", "d"]),
    ("ALTER TABLE app.p ADD b int", &["k", "a", "b", "c", "d"]),
    ("DROP TABLE app.p", &[]),
    ("CREATE TABLE app.p (k int PRIMARY KEY, d text)", &["k", "d"]),
];

async fn run(session: &Session, statement: &str) -> Result<()> {
    let done = session.query_unpaged(Statement::new(statement), ()).await;
    done.map(|_| ()).with_context(|| statement.to_owned())
}

/// The columns of the result, and how many rows it has.
async fn columns(session: &Session, all: &PreparedStatement) -> Result<(Vec<String>, usize)> {
    let rows = session.execute_unpaged(all, (1,)).await?.into_rows_result()?;
    let specs = rows.column_specs();
    Ok((specs.iter().map(|spec| spec.name().to_owned()).collect(), rows.rows_num()))
}

#[tokio::test]
async fn the_scylla_driver_reads_the_columns_that_there_are() -> Result<()> {
    let cluster = Cluster::builder("prepared").start()?;
    let contact = format!("{}:{CQL_PORT}", cluster.addresses()[0]);
    let session = SessionBuilder::new().known_node(contact).build().await?;
    run(&session, KEYSPACE).await?;
    run(&session, CHANGES[0].0).await?;
    let mut all = session.prepare("SELECT * FROM app.p WHERE k = ?").await?;
    all.set_consistency(Consistency::Quorum);
    // It asks for rows without their columns, and takes those of PREPARE where none come.
    all.set_use_cached_result_metadata(true);
    let named = session.prepare("SELECT b FROM app.p WHERE k = ?").await?;
    let insert = session.prepare("INSERT INTO app.p (k, d) VALUES (?, ?)").await?;
    session.execute_unpaged(&insert, (1, 7)).await?;
    for (number, (change, wanted)) in CHANGES.iter().enumerate() {
        if number > 0 {
            run(&session, change).await?;
        }
        if wanted.is_empty() {
            let gone = session.execute_unpaged(&all, (1,)).await;
            ensure!(gone.is_err(), "the table is dropped");
            continue;
        }
        let rows = usize::from(number < 4);
        let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
        // As often as there are nodes: each may have prepared it at another time.
        for _ in 0..3 {
            assert_eq!(columns(&session, &all).await?, (wanted.clone(), rows), "{change}");
        }
        let has_b = wanted.contains(&"b".to_owned());
        let found = session.execute_unpaged(&named, (1,)).await;
        ensure!(found.is_ok() == has_b, "{change}: {found:?}");
    }
    // Prepared for an int, and the column is a text now: prepared anew it takes one.
    let insert = session.prepare("INSERT INTO app.p (k, d) VALUES (?, ?)").await?;
    session.execute_unpaged(&insert, (1, "seven")).await?;
    let rows = session.execute_unpaged(&all, (1,)).await?.into_rows_result()?;
    assert_eq!(rows.single_row::<(i32, String)>()?, (1, "seven".to_owned()));
    drop(session);
    cluster.finish()
}

#[test]
fn the_python_driver_does_so_too() -> Result<()> {
    let driver = Python::with(python::DRIVER)?;
    let cluster = Cluster::builder("prepared-python").start()?;
    cluster.define(&[KEYSPACE])?;
    let nodes: Vec<_> = cluster.addresses().iter().map(ToString::to_string).collect();
    let mut arguments = vec![nodes.join(",")];
    arguments.extend(CHANGES.iter().map(|(change, _)| (*change).to_owned()));
    let found = driver.run("prepared.py", &arguments, Duration::from_mins(3))?;
    let found = found.as_array().context("a list")?;
    assert_eq!(found.len(), CHANGES.len());
    for (found, (change, wanted)) in found.iter().zip(CHANGES) {
        let found = found.as_array().context("columns")?;
        let names: Vec<_> = found.iter().filter_map(|name| name.as_str()).collect();
        assert_eq!(names, *wanted, "{change}");
    }
    cluster.finish()
}
