//! Sixty-four clients that write without pause, note what they were promised, and come back to
//! read all of it: half of them to a siblings table, half to a last-write-wins one.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::cells::CellHistory;
use starling_tests::cql::Ask;
use starling_tests::{Client, Cluster, Consistency, History, Node, Reply, Rows, wait};

use super::cells::{self, CellWriter};

/// How many clients write at once.
pub(crate) const WRITERS: usize = 64;
/// A client that cannot go on waits this long before it tries another node.
const BACKOFF: Duration = Duration::from_millis(20);
/// Rows of one page when everything is read back.
const PAGE_ROWS: i32 = 1_000;
/// No disturbance takes longer than this to see new writes after it.
const PROGRESS_LIMIT: Duration = Duration::from_secs(30);

/// The keyspace, a table with one partition for each writer, and the one of `cells`.
pub(crate) fn define(cluster: &Cluster, replicas: usize) -> Result<()> {
    cluster.define(&[
        &format!(
            "CREATE KEYSPACE app WITH replication = \
             {{'class': 'SimpleStrategy', 'replication_factor': {replicas}}}"
        ),
        "CREATE TABLE app.t (writer int, n int, PRIMARY KEY (writer, n))",
        cells::TABLE,
    ])
}

/// What clients were promised of both tables.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    rows: History,
    cells: CellHistory,
}

impl Promises {
    /// How many writes were acknowledged, to both tables.
    pub(crate) fn acknowledged_count(&self) -> usize {
        self.rows.acknowledged_count() + self.cells.acknowledged_count()
    }

    fn absorb(&mut self, other: Self) {
        self.rows.absorb(other.rows);
        self.cells.absorb(other.cells);
    }
}

/// What a disturbance sees of the writers.
pub(crate) struct Writers<'a> {
    acknowledged: &'a AtomicUsize,
}

impl Writers<'_> {
    /// Waits until many more writes were acknowledged than now, so that each kill hits a full load.
    pub(crate) fn wait_progress(&self) -> Result<()> {
        self.wait_acknowledged(10 * WRITERS)
    }

    /// Waits until so many more writes were acknowledged.
    pub(crate) fn wait_acknowledged(&self, more: usize) -> Result<()> {
        let goal = self.acknowledged.load(Ordering::Relaxed) + more;
        wait::until("more acknowledged writes", PROGRESS_LIMIT, || {
            Ok((self.acknowledged.load(Ordering::Relaxed) >= goal).then_some(()))
        })
    }
}

/// Lets the writers write while `disturb` runs, and returns what they were promised.
pub(crate) fn write_while(
    cluster: &mut Cluster,
    disturb: impl FnOnce(&mut Cluster, &Writers<'_>) -> Result<()>,
) -> Result<Promises> {
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
        let mut promises = Promises::default();
        for writer in writers {
            promises.absorb(writer.join().expect("a writer does not panic"));
        }
        disturbed.map(|()| promises)
    })
}

/// One writer: one statement after the other, over whichever node takes the connection.
fn write(
    writer: usize,
    nodes: &[IpAddr],
    stop: &AtomicBool,
    acknowledged: &AtomicUsize,
) -> Promises {
    let mut promises = Promises::default();
    let mut cells = CellWriter::new(writer);
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
        let answer = if writer.is_multiple_of(2) {
            write_row(connected, writer, n, &mut promises.rows)
        } else {
            cells.write(connected, n, &mut promises.cells)
        };
        match answer {
            Ok(Reply::Void) => {
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) => thread::sleep(BACKOFF), // Refused: unknown at worst.
            Err(_) => client = None,
        }
        n += 1;
    }
    promises
}

/// Every row of a siblings table is written once.
fn write_row(client: &mut Client, writer: usize, n: i32, history: &mut History) -> Result<Reply> {
    let element = format!("{writer}/{n}");
    history.try_write(&element);
    let answer = client.query(&format!("INSERT INTO app.t (writer, n) VALUES ({writer}, {n})"))?;
    if answer == Reply::Void {
        history.acknowledge(&element);
    }
    Ok(answer)
}

/// Reads everything back through every node, and compares it with what was promised.
pub(crate) fn verify(cluster: &Cluster, promises: &Promises) -> Result<()> {
    let Promises { rows, cells } = promises;
    let (acknowledged, unknown) = (rows.acknowledged_count(), rows.unknown_count());
    eprintln!("siblings: {acknowledged} writes acknowledged, {unknown} unknown");
    let (acknowledged, unknown) = (cells.acknowledged_count(), cells.unknown_count());
    eprintln!("last write wins: {acknowledged} writes acknowledged, {unknown} unknown");
    for node in cluster.nodes() {
        let wrong = wrong(node, promises)?;
        let first = wrong.iter().take(10).collect::<Vec<_>>();
        ensure!(wrong.is_empty(), "{} wrong through {}: {first:#?}", wrong.len(), node.address());
    }
    Ok(())
}

/// Where what a node reads of everything differs from what was promised.
pub(crate) fn wrong(node: &Node, Promises { rows, cells }: &Promises) -> Result<Vec<String>> {
    let mut client = node.client()?;
    let mut found = Vec::new();
    for writer in (0..WRITERS).step_by(2) {
        let select = format!("SELECT n FROM app.t WHERE writer = {writer}");
        read_back(&mut client, &select, |rows, row| {
            found.push(format!("{writer}/{}", rows.int(row, "n")?));
            Ok(())
        })?;
    }
    let verdict = rows.check(found.iter().map(String::as_str));
    let named = [("lost", verdict.lost), ("twin", verdict.twins), ("phantom", verdict.phantoms)];
    let named = named.into_iter().flat_map(|(what, elements)| {
        elements.into_iter().map(move |element| format!("{what}: {element}"))
    });
    Ok(named.chain(cells.check(&cells::found(&mut client)?)).collect())
}

/// Reads all pages of a SELECT at QUORUM, row by row.
pub(crate) fn read_back(
    client: &mut Client,
    select: &str,
    take: impl FnMut(&Rows, usize) -> Result<()>,
) -> Result<()> {
    read_back_at(client, select, Consistency::Quorum, take)
}

/// Reads all pages of a SELECT, row by row.
pub(crate) fn read_back_at(
    client: &mut Client,
    select: &str,
    level: Consistency,
    mut take: impl FnMut(&Rows, usize) -> Result<()>,
) -> Result<()> {
    let mut state: Option<Vec<u8>> = None;
    loop {
        let ask = Ask { level, page_rows: Some(PAGE_ROWS), paging_state: state.as_deref() };
        let rows = client.rows_asked(select, &ask)?;
        (0..rows.count()).try_for_each(|row| take(&rows, row))?;
        state = rows.paging_state;
        if state.is_none() {
            return Ok(());
        }
    }
}
