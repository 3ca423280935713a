//! Reads of many rows by real nodes: what they cost, and how a client walks through their pages.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use starling_tests::cql::{Ask, Batch, BatchStatement};
use starling_tests::place::CQL_PORT;
use starling_tests::{Client, Cluster, Consistency, Reply, admin, log};

/// Rows that scans of a replica's store have shown.
const ROWS_READ: &str = "starling_store_rows_read_total";
/// Bytes of keys and values that a store has committed.
const BYTES_WRITTEN: &str = "starling_commit_bytes_total";
/// How many rows are written at once.
const WRITERS: usize = 256;

fn one_node(name: &str) -> Result<Cluster> {
    let cluster = Cluster::builder(name).nodes(1).seeds(0).start()?;
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE app.lines (p int, c int, v int, PRIMARY KEY (p, c))",
    ])?;
    Ok(cluster)
}

async fn connect(cluster: &Cluster) -> Result<Session> {
    let contact = format!("{}:{CQL_PORT}", cluster.addresses()[0]);
    Ok(SessionBuilder::new().known_node(contact).build().await?)
}

/// Writes the rows with `c` from 0 up to `count` of partition 1.
async fn fill(session: &Session, count: i32) -> Result<()> {
    let insert = session.prepare("INSERT INTO app.lines (p, c, v) VALUES (1, ?, ?)").await?;
    let write = |c: i32| session.execute_unpaged(&insert, (c, c));
    let writes = stream::iter((0..count).map(write)).buffer_unordered(WRITERS);
    writes.try_for_each(|_| async { Ok(()) }).await?;
    Ok(())
}

/// How far a counter of the first node moves meanwhile.
fn moves<T>(cluster: &Cluster, counter: &str, act: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let node = cluster.addresses()[0];
    let before = admin::counter(node, counter)?;
    let done = act()?;
    Ok((done, admin::counter(node, counter)? - before))
}

/// The first page of a statement, or the one behind a state.
fn page(
    client: &mut Client,
    statement: &str,
    rows: i32,
    state: Option<&[u8]>,
) -> Result<(Vec<String>, Option<Vec<u8>>)> {
    let ask = Ask { level: Consistency::Quorum, page_rows: Some(rows), paging_state: state };
    let page = client.rows_asked(statement, &ask)?;
    Ok((page.shown()?, page.paging_state))
}

/// All pages of a statement, each asked of the next client in turn.
fn pages(clients: &mut [Client], statement: &str, rows: i32) -> Result<Vec<Vec<String>>> {
    let mut pages = Vec::new();
    let mut state: Option<Vec<u8>> = None;
    loop {
        let turn = pages.len() % clients.len();
        let (shown, next) = page(&mut clients[turn], statement, rows, state.as_deref())?;
        ensure!(shown.len() <= usize::try_from(rows)?, "a page of {} rows", shown.len());
        pages.push(shown);
        state = next;
        if state.is_none() {
            return Ok(pages);
        }
    }
}

#[tokio::test]
async fn a_partition_of_100_000_rows_costs_each_page_its_rows_and_one_more() -> Result<()> {
    const ROWS: i32 = 100_000;
    let cluster = one_node("pages")?;
    let session = connect(&cluster).await?;
    fill(&session, ROWS).await?;
    drop(session);
    let mut clients = [cluster.nodes()[0].client()?];
    for (order, first) in [("ASC", 0), ("DESC", ROWS - 1)] {
        let text = format!("SELECT c FROM app.lines WHERE p = 1 ORDER BY c {order}");
        let (pages, read) = moves(&cluster, ROWS_READ, || pages(&mut clients, &text, 100))?;
        assert_eq!(pages[0][0], first.to_string());
        assert_eq!(pages.len(), 1_000, "{order}");
        let found: BTreeSet<&String> = pages.iter().flatten().collect();
        assert_eq!((found.len(), pages.concat().len()), (100_000, 100_000), "{order}");
        // A store says that a scan has more by showing it one row behind those that are asked for.
        ensure!(read <= 102 * 1_000, "{read} rows read for 1 000 pages of 100, {order}");
    }
    let one = "SELECT c FROM app.lines WHERE p = 1 AND c > 77000";
    let ((shown, _), read) = moves(&cluster, ROWS_READ, || page(&mut clients[0], one, 10, None))?;
    assert_eq!((shown[0].as_str(), shown.len()), ("77001", 10));
    ensure!(read <= 12, "{read} rows read for a page of 10");
    let count = "SELECT count(*), max(v), avg(CAST(v AS bigint)) FROM app.lines";
    let (counted, read) = moves(&cluster, ROWS_READ, || clients[0].rows(count)?.shown())?;
    assert_eq!(counted, ["100000 | 99999 | 49999"]);
    ensure!(read <= 100_100, "{read} rows read to count 100 000");
    cluster.finish()
}

/// Fills partition 1 by batches, with `c` from 0 up to `batches * rows`.
fn fill_by_batches(client: &mut Client, table: &str, batches: i32, rows: i32) -> Result<()> {
    let insert = format!("INSERT INTO {table} (p, c, v) VALUES (1, ?, 0)");
    let Reply::Prepared(id) = client.prepare(&insert)? else { anyhow::bail!("{insert}") };
    for batch in 0..batches {
        let row = |c: i32| (BatchStatement::Prepared(&id), vec![Some(c.to_be_bytes().to_vec())]);
        let statements = (batch * rows..(batch + 1) * rows).map(row).collect();
        let level = Consistency::One;
        match client.batch(&Batch { kind: 1, statements, level, timestamp: None })? {
            Reply::Void => {}
            other => anyhow::bail!("batch {batch} of {table}: {other:?}"),
        }
    }
    Ok(())
}

#[test]
fn a_write_to_one_row_of_a_million_reads_and_writes_that_row_only() -> Result<()> {
    let cluster = one_node("million")?;
    cluster.define(&["CREATE TABLE app.cells (p int, c int, v int, PRIMARY KEY (p, c)) \
                      WITH conflict = 'lww'"])?;
    let mut client = cluster.nodes()[0].client()?;
    for (table, reads) in [("app.lines", 1), ("app.cells", 0)] {
        fill_by_batches(&mut client, table, 125, 8_000)?;
        let count = client.rows(&format!("SELECT count(*) FROM {table} WHERE p = 1"))?.shown()?;
        assert_eq!(count, ["1000000"]);
        let update = format!("UPDATE {table} SET v = 7 WHERE p = 1 AND c = 654321");
        let write = || moves(&cluster, ROWS_READ, || client.run(&update));
        let write = || moves(&cluster, admin::STORE_READS, write);
        let ((((), scanned), found), bytes) = moves(&cluster, BYTES_WRITTEN, write)?;
        assert_eq!((scanned, found), (0, reads), "rows scanned and looked up in {table}");
        ensure!((1..1_000).contains(&bytes), "{bytes} bytes written for one row of {table}");
    }
    cluster.finish()
}

fn three_nodes(name: &str) -> Result<Cluster> {
    let cluster = Cluster::builder(name).listed(log::PEER_LOSS).start()?;
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 3}",
        "CREATE TABLE app.lines (p int, c int, v int, PRIMARY KEY (p, c))",
    ])?;
    let mut client = cluster.nodes()[0].client()?;
    for n in 0..60 {
        let (p, c) = (n % 4, n / 4);
        client.run(&format!("INSERT INTO app.lines (p, c, v) VALUES ({p}, {c}, {n})"))?;
    }
    Ok(cluster)
}

const STATEMENTS: [&str; 4] = [
    "SELECT p, c FROM app.lines WHERE p = 1 ORDER BY c DESC",
    "SELECT p, c FROM app.lines WHERE p IN (0, 2, 3) AND c > 2 LIMIT 25",
    "SELECT p, c FROM app.lines",
    "SELECT p, c FROM app.lines PER PARTITION LIMIT 9",
];

#[test]
fn pages_may_be_asked_of_any_node_in_turn() -> Result<()> {
    let cluster = three_nodes("any-node")?;
    let clients = cluster.nodes().iter().map(starling_tests::cluster::Node::client);
    let mut clients = clients.collect::<Result<Vec<_>>>()?;
    for text in STATEMENTS {
        let whole = clients[0].rows_at(text, Consistency::Quorum)?.shown()?;
        ensure!(whole.len() > 12, "{text}: {whole:?}");
        for rows in [1, 7, 60] {
            let pages = pages(&mut clients, text, rows)?;
            assert_eq!(pages.concat(), whole, "{text} by {rows}");
        }
    }
    cluster.finish()
}

#[test]
fn a_paging_state_is_good_after_a_restart_and_for_nothing_but_its_statement() -> Result<()> {
    let mut cluster = three_nodes("restart")?;
    let mut first = Vec::new();
    for text in STATEMENTS {
        let mut client = cluster.nodes()[0].client()?;
        let whole = client.rows_at(text, Consistency::Quorum)?.shown()?;
        let (shown, state) = page(&mut client, text, 11, None)?;
        assert_eq!(shown, whole[..11]);
        first.push((text, whole, state.context("a second page")?));
    }
    cluster.kill_all()?;
    cluster.start_all()?;
    cluster.wait_ready()?;
    let mut client = cluster.nodes()[1].client()?;
    for (text, whole, state) in &first {
        let (rest, _) = page(&mut client, text, 100, Some(state))?;
        assert_eq!(rest, whole[11..], "{text}");
        let mut refuse = |text: &str, state: &[u8]| -> Result<()> {
            let ask =
                Ask { level: Consistency::Quorum, page_rows: Some(11), paging_state: Some(state) };
            match client.ask(text, &ask)? {
                Reply::Refused(refusal) => {
                    ensure!(refusal.code == 0x2200, "{text}: {refusal:?}");
                    ensure!(refusal.message.contains("paging state"), "{text}: {refusal:?}");
                    Ok(())
                }
                other => anyhow::bail!("{text}: {other:?}"),
            }
        };
        for at in 0..state.len() {
            let mut forged = state.clone();
            forged[at] ^= 0x10;
            refuse(text, &forged)?;
            refuse(text, &state[..at])?;
        }
        refuse(&format!("{text} ALLOW FILTERING"), state)?;
        refuse(&text.replace("p, c", "c, p"), state)?;
        refuse("SELECT v FROM app.lines WHERE p = 1 AND c = 1", state)?;
    }
    cluster.finish()
}
