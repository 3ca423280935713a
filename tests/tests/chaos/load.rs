//! What writers do to three kinds of tables, and what they were promised.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use starling_tests::cql::blob_literal;
use starling_tests::promise::latest::LatestRow;
use starling_tests::promise::refusals::fate;
use starling_tests::promise::siblings::SiblingRow;
use starling_tests::promise::{Fate, Wrong};
use starling_tests::{Chance, Client, Reply, Rows, wait};

/// The keyspace and the tables.
pub(crate) const DEFINITIONS: &[&str] = &[
    "CREATE KEYSPACE app WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
    "CREATE TABLE app.strict (k int PRIMARY KEY, v text) WITH sloppy_quorum = false",
    "CREATE TABLE app.sloppy (k int PRIMARY KEY, v text) WITH sloppy_quorum = true",
    "CREATE TABLE app.latest (k int PRIMARY KEY, v text) WITH conflict = 'lww'",
];

const WRITERS: usize = 4;

/// How many rows each table has.
const ROWS: usize = 40;

/// How long a writer waits after it was refused.
const BACKOFF: Duration = Duration::from_millis(20);

/// A siblings table.
pub(crate) struct SiblingTable {
    pub(crate) name: &'static str,
    /// Whether every read at QUORUM sees what was acknowledged before it.
    is_strict: bool,
    pub(crate) rows: Vec<Mutex<SiblingRow>>,
}

/// The writers, and what they were promised.
pub(crate) struct Load {
    nodes: Vec<IpAddr>,
    pub(crate) siblings: [SiblingTable; 2],
    pub(crate) latest: Vec<Mutex<LatestRow>>,
    next_time: AtomicI64,
    chances: Vec<Chance>,
    tally: Mutex<Tally>,
}

/// How the writers fared.
struct Tally {
    acknowledged: usize,
    open: usize,
    refused: usize,
    last_success: Instant,
    longest_gap: Duration,
}

impl Load {
    pub(crate) fn new(nodes: Vec<IpAddr>, chance: &mut Chance) -> Self {
        let table = |name, is_strict| SiblingTable {
            name,
            is_strict,
            rows: (0..ROWS).map(|_| Mutex::default()).collect(),
        };
        let tally = Tally {
            acknowledged: 0,
            open: 0,
            refused: 0,
            last_success: wait::now(),
            longest_gap: Duration::ZERO,
        };
        Self {
            nodes,
            siblings: [table("strict", true), table("sloppy", false)],
            latest: (0..ROWS).map(|_| Mutex::default()).collect(),
            next_time: AtomicI64::new(wait::wall_us()),
            chances: (0..WRITERS).map(|_| chance.split()).collect(),
            tally: Mutex::new(tally),
        }
    }

    /// Lets the writers write while `disturb` runs, and returns what was wrong with their reads.
    pub(crate) fn run_while(&self, disturb: impl FnOnce() -> Result<()>) -> Result<Vec<String>> {
        let stop = AtomicBool::new(false);
        lock(&self.tally).last_success = wait::now();
        thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let stop = &stop;
                    scope.spawn(move || Writer::new(self, writer).run(stop))
                })
                .collect();
            let disturbed = disturb();
            stop.store(true, Ordering::Relaxed);
            let wrong = writers.into_iter().map(|it| it.join().expect("a writer does not panic"));
            let wrong: Vec<_> = wrong.flatten().collect();
            disturbed.map(|()| wrong)
        })
    }

    /// How the writers fared, in a sentence.
    pub(crate) fn summary(&self) -> String {
        let tally = lock(&self.tally);
        let Tally { acknowledged, open, refused, longest_gap, .. } = &*tally;
        format!(
            "{acknowledged} writes acknowledged, {open} unknown, {refused} refused; the largest \
             time without a successful QUORUM write was {longest_gap:?}"
        )
    }

    fn count(&self, fate: Fate) {
        let mut tally = lock(&self.tally);
        match fate {
            Fate::Acknowledged => {
                tally.acknowledged += 1;
                tally.longest_gap = tally.longest_gap.max(tally.last_success.elapsed());
                tally.last_success = wait::now();
            }
            Fate::Open => tally.open += 1,
            Fate::Refused => tally.refused += 1,
        }
    }
}

/// One client, over whichever node takes the connection.
struct Writer<'a> {
    load: &'a Load,
    number: usize,
    chance: Chance,
    written: usize,
    node: usize,
    client: Option<Client>,
    wrong: Vec<String>,
}

impl<'a> Writer<'a> {
    fn new(load: &'a Load, number: usize) -> Self {
        let chance = load.chances[number].clone();
        Self { load, number, chance, written: 0, node: number, client: None, wrong: Vec::new() }
    }

    fn run(mut self, stop: &AtomicBool) -> Vec<String> {
        while !stop.load(Ordering::Relaxed) {
            if self.client.is_none() {
                self.node += 1;
                let node = self.load.nodes[self.node % self.load.nodes.len()];
                self.client = Client::connect(node).ok();
            }
            let key = self.chance.below(ROWS);
            let done = match self.chance.below(3) {
                2 => self.write_latest(key),
                table => self.write_sibling(&self.load.siblings[table], key),
            };
            if done.is_none() {
                thread::sleep(BACKOFF);
            }
        }
        self.wrong
    }

    /// Reads a row and replaces what it has read, removes it, or writes beside it.
    fn write_sibling(&mut self, table: &SiblingTable, key: usize) -> Option<()> {
        let (row, name) = (&table.rows[key], format!("{}/{}", self.number, self.written));
        self.written += 1;
        let act = self.chance.below(10);
        let (seen, context) = if act == 0 {
            (BTreeSet::new(), String::new())
        } else {
            let (seen, context) = self.read_siblings(table, key)?;
            (seen, format!("USING CONTEXT {context}"))
        };
        let is_removal = act == 1;
        let table = table.name;
        let statement = if is_removal {
            format!("DELETE FROM app.{table} {context} WHERE k = {key}")
        } else {
            format!("INSERT INTO app.{table} (k, v) VALUES ({key}, '{name}') {context}")
        };
        lock(row).begin(&name, seen, is_removal);
        let fate = self.write(&statement);
        lock(row).end(&name, fate);
        (fate == Fate::Acknowledged).then_some(())
    }

    fn read_siblings(
        &mut self,
        table: &SiblingTable,
        key: usize,
    ) -> Option<(BTreeSet<String>, String)> {
        let owed = lock(&table.rows[key]).owed();
        let rows =
            self.read(&format!("SELECT context(), v FROM app.{} WHERE k = {key}", table.name))?;
        let (found, context) = match siblings(&rows) {
            Ok(read) => read,
            Err(error) => {
                self.wrong.push(format!("app.{} {key}: {error:#}", table.name));
                return None;
            }
        };
        if table.is_strict {
            let wrong = lock(&table.rows[key]).check(&owed, &found);
            self.note(table.name, key, wrong);
        }
        Some((found.into_iter().collect(), context))
    }

    fn write_latest(&mut self, key: usize) -> Option<()> {
        let row = &self.load.latest[key];
        if self.chance.below(3) == 0 {
            let owed = lock(row).owed();
            let rows = self.read(&format!("SELECT v FROM app.latest WHERE k = {key}"))?;
            let found = rows.texts("v").ok()?;
            let wrong = lock(row).check(owed, found.first().map(String::as_str));
            self.note("latest", key, wrong);
            return Some(());
        }
        let (time, value) = (
            self.load.next_time.fetch_add(1, Ordering::Relaxed),
            format!("{}/{}", self.number, self.written),
        );
        self.written += 1;
        lock(row).begin(time, Some(value.clone()));
        let fate = self.write(&format!(
            "INSERT INTO app.latest (k, v) VALUES ({key}, '{value}') USING TIMESTAMP {time}"
        ));
        lock(row).end(time, fate);
        (fate == Fate::Acknowledged).then_some(())
    }

    fn note(&mut self, table: &str, key: usize, wrong: impl IntoIterator<Item = Wrong>) {
        self.wrong.extend(wrong.into_iter().map(|wrong| format!("app.{table} {key}: {wrong}")));
    }

    fn write(&mut self, statement: &str) -> Fate {
        let reply = self.client.as_mut().map(|client| client.query(statement));
        let fate = match &reply {
            None => Fate::Refused,
            Some(Ok(reply)) => fate(reply),
            Some(Err(_)) => {
                self.client = None;
                Fate::Open
            }
        };
        self.load.count(fate);
        if fate != Fate::Acknowledged {
            // Another coordinator may fare better.
            self.client = None;
        }
        fate
    }

    fn read(&mut self, statement: &str) -> Option<Rows> {
        if let Ok(Reply::Rows(rows)) = self.client.as_mut()?.query(statement) {
            return Some(rows);
        }
        self.client = None;
        None
    }
}

/// The values of a row, and its context as CQL writes it.
pub(crate) fn siblings(rows: &Rows) -> Result<(Vec<String>, String)> {
    let context = rows.cells.first().and_then(|row| row.first()).cloned().flatten();
    let context = context.context("context() answers at least one row, and is not null")?;
    if rows.cells.iter().any(|row| row[0].as_ref() != Some(&context)) {
        bail!("one row has two contexts");
    }
    Ok((rows.texts("v")?, blob_literal(&context)))
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no writer panics")
}
