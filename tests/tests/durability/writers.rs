//! Sixty-four clients that write without pause, note what they were promised, and come back to
//! read all of it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::cql::Ask;
use starling_tests::{Client, Cluster, Consistency, History, Reply, wait};

/// How many clients write at once.
pub(crate) const WRITERS: usize = 64;
/// A client that cannot go on waits this long before it tries another node.
const BACKOFF: Duration = Duration::from_millis(20);
/// Rows of one page when everything is read back.
const PAGE_ROWS: i32 = 1_000;
/// No disturbance takes longer than this to see new writes after it.
const PROGRESS_LIMIT: Duration = Duration::from_secs(30);

/// The keyspace, and a table with one partition for each writer.
pub(crate) fn define(cluster: &Cluster, replicas: usize) -> Result<()> {
    cluster.define(&[
        &format!(
            "CREATE KEYSPACE app WITH replication = \
             {{'class': 'SimpleStrategy', 'replication_factor': {replicas}}}"
        ),
        "CREATE TABLE app.t (writer int, n int, PRIMARY KEY (writer, n))",
    ])
}

/// What a disturbance sees of the writers.
pub(crate) struct Writers<'a> {
    acknowledged: &'a AtomicUsize,
}

impl Writers<'_> {
    /// Waits until many more writes were acknowledged than now, so that each kill hits a full load.
    pub(crate) fn wait_progress(&self) -> Result<()> {
        let goal = self.acknowledged.load(Ordering::Relaxed) + 10 * WRITERS;
        wait::until("more acknowledged writes", PROGRESS_LIMIT, || {
            Ok((self.acknowledged.load(Ordering::Relaxed) >= goal).then_some(()))
        })
    }
}

/// Lets the writers write while `disturb` runs, and returns what they were promised.
pub(crate) fn write_while(
    cluster: &mut Cluster,
    disturb: impl FnOnce(&mut Cluster, &Writers<'_>) -> Result<()>,
) -> Result<History> {
    let nodes = cluster.addresses();
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (nodes, stop, acknowledged) = (&nodes, &stop, &acknowledged);
                scope.spawn(move || write(writer, nodes, stop, acknowledged))
            })
            .collect();
        let disturbed = disturb(cluster, &Writers { acknowledged: &acknowledged });
        stop.store(true, Ordering::Relaxed);
        let mut history = History::default();
        for writer in writers {
            history.absorb(writer.join().expect("a writer does not panic"));
        }
        disturbed.map(|()| history)
    })
}

/// One writer: every row once, over whichever node takes the connection.
fn write(
    writer: usize,
    nodes: &[IpAddr],
    stop: &AtomicBool,
    acknowledged: &AtomicUsize,
) -> History {
    let mut history = History::default();
    let mut client: Option<Client> = None;
    let mut attempts = writer; // So that writers begin at different nodes.
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some(connected) = client.as_mut() else {
            attempts += 1;
            client = Client::connect(nodes[attempts % nodes.len()]).ok();
            if client.is_none() {
                thread::sleep(BACKOFF);
            }
            continue;
        };
        let element = format!("{writer}/{n}");
        history.try_write(&element);
        let insert = format!("INSERT INTO app.t (writer, n) VALUES ({writer}, {n})");
        match connected.query(&insert) {
            Ok(Reply::Void) => {
                history.acknowledge(&element);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) => thread::sleep(BACKOFF), // Refused: unknown at worst.
            Err(_) => client = None,
        }
        n += 1;
    }
    history
}

/// Reads everything back through every node, and compares it with what was promised.
pub(crate) fn verify(cluster: &Cluster, history: &History) -> Result<()> {
    eprintln!(
        "{} writes acknowledged, {} unknown",
        history.acknowledged_count(),
        history.unknown_count()
    );
    for node in cluster.nodes() {
        let mut client = node.client()?;
        let mut found = Vec::new();
        for writer in 0..WRITERS {
            read_back(&mut client, writer, &mut found)?;
        }
        let verdict = history.check(found.iter().map(String::as_str));
        ensure!(verdict.is_clean(), "read through {}: {verdict:?}", node.address());
    }
    Ok(())
}

fn read_back(client: &mut Client, writer: usize, found: &mut Vec<String>) -> Result<()> {
    let select = format!("SELECT n FROM app.t WHERE writer = {writer}");
    let mut state: Option<Vec<u8>> = None;
    loop {
        let ask = Ask {
            level: Consistency::Quorum,
            page_rows: Some(PAGE_ROWS),
            paging_state: state.as_deref(),
        };
        let rows = client.rows_asked(&select, &ask)?;
        for row in 0..rows.count() {
            found.push(format!("{writer}/{}", rows.int(row, "n")?));
        }
        state = rows.paging_state;
        if state.is_none() {
            return Ok(());
        }
    }
}
