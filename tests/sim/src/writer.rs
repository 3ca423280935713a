//! A client at work: it writes, reads, resolves and removes, and checks what it reads.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use server::clock::Random;
use tests::cql::blob_literal;
use tests::promise::{Fate, LatestRow, SiblingRow};
use tests::{Reply, Rows};
use tokio::time::sleep;

use crate::client::Client;
use crate::fabric::{Fabric, HostNetwork};
use crate::host::{self, NODES};
use crate::record::Record;

/// How many clients work at the same time.
pub(crate) const WRITERS: u8 = 4;

/// How many statements each of them executes.
const STATEMENTS: usize = 70;

/// How many rows they share in each table.
const ROWS: usize = 10;

/// How long a client thinks between two statements, at most.
const THINK_MAX: Duration = Duration::from_millis(150);

/// How often the clients that prepare and check try again, and how long they wait between.
const TRIES_MAX: usize = 100;
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Codes of refusals that say that nothing was done: unavailable, overloaded, bootstrapping, invalid.
const NOTHING_DONE: [i32; 4] = [0x1000, 0x1001, 0x1002, 0x2200];

/// The address of a client.
pub(crate) fn address(client: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 1, client + 1).into()
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The cluster forms, and the tables are made.
    Preparing,
    /// Clients work while things fail.
    Working,
    /// All is whole again, and what was promised is looked for.
    Checking,
}

/// What all clients share.
pub(crate) struct Ledger {
    pub(crate) stage: Cell<Stage>,
    /// How many clients are done with their work.
    pub(crate) done: Cell<u8>,
    pub(crate) acknowledged: Cell<u32>,
    pub(crate) statements: Cell<u32>,
    pub(crate) wrong: RefCell<Vec<String>>,
    siblings: RefCell<BTreeMap<usize, SiblingRow>>,
    latest: RefCell<BTreeMap<usize, LatestRow>>,
}

impl Ledger {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            stage: Cell::new(Stage::Preparing),
            done: Cell::default(),
            acknowledged: Cell::default(),
            statements: Cell::default(),
            wrong: RefCell::default(),
            siblings: RefCell::default(),
            latest: RefCell::default(),
        })
    }

    async fn reach(&self, stage: Stage) {
        while self.stage.get() < stage {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// One client.
pub(crate) struct Writer {
    me: u8,
    ledger: Rc<Ledger>,
    network: HostNetwork,
    record: Record,
    random: Random,
    connected: Option<Client>,
    written: u32,
}

/// A row of the siblings table as it was read.
struct Seen {
    context: Vec<u8>,
    names: Vec<String>,
}

impl Writer {
    pub(crate) fn new(
        me: u8,
        seed: u64,
        ledger: Rc<Ledger>,
        fabric: &Fabric,
        record: Record,
    ) -> Self {
        Self {
            me,
            ledger,
            network: fabric.of(address(me)),
            record,
            random: Random::seeded(seed ^ (u64::from(me) + 1) << 56),
            connected: None,
            written: 0,
        }
    }

    /// The first client: makes the tables before the work, and checks all rows after it.
    pub(crate) async fn lead(mut self) -> turmoil::Result {
        for statement in [
            "CREATE KEYSPACE IF NOT EXISTS app WITH replication = \
             {'class': 'SimpleStrategy', 'replication_factor': 3}",
            "CREATE TABLE IF NOT EXISTS app.flock (k int PRIMARY KEY, v text) \
             WITH conflict = 'siblings'",
            "CREATE TABLE IF NOT EXISTS app.latest (k int PRIMARY KEY, v text) \
             WITH conflict = 'lww'",
        ] {
            self.insist(statement).await?;
        }
        self.ledger.stage.set(Stage::Working);
        self.work().await;
        self.ledger.reach(Stage::Checking).await;
        for row in 0..ROWS {
            let promised = self.sibling(row, |row| row.promised());
            let Reply::Rows(rows) = self.insist(&select_siblings(row)).await? else {
                return Err("a SELECT was answered without rows".into());
            };
            self.check_siblings(row, &promised, &seen(&rows)?);
            let promised = self.latest(row, |row| row.promised());
            let Reply::Rows(rows) = self.insist(&select_latest(row)).await? else {
                return Err("a SELECT was answered without rows".into());
            };
            self.check_latest(row, promised, &rows)?;
        }
        Ok(())
    }

    /// Any other client.
    pub(crate) async fn follow(mut self) -> turmoil::Result {
        self.ledger.reach(Stage::Working).await;
        self.work().await;
        Ok(())
    }

    async fn work(&mut self) {
        for _ in 0..STATEMENTS {
            sleep(self.random.up_to(THINK_MAX)).await;
            // An error is an answer that did not come: what is not known is not checked.
            let _ = self.act().await;
        }
        self.ledger.done.set(self.ledger.done.get() + 1);
    }

    async fn act(&mut self) -> Result<()> {
        let row = self.random.below(ROWS);
        match self.random.below(20) {
            0..5 => self.insert(row).await,
            5..9 => self.resolve(row).await,
            9..11 => self.remove(row).await,
            11..13 => self.read_siblings(row).await.map(|_| ()),
            13..18 => self.write_latest(row).await,
            _ => self.read_latest(row).await,
        }
    }

    async fn insert(&mut self, row: usize) -> Result<()> {
        let name = self.name();
        self.sibling(row, |row| row.begin(&name, BTreeSet::new(), false));
        let statement = format!("INSERT INTO app.flock (k, v) VALUES ({row}, '{name}')");
        let fate = self.write(&statement).await;
        self.sibling(row, |row| row.end(&name, fate));
        Ok(())
    }

    /// Writes one version in the place of all that it has read.
    async fn resolve(&mut self, row: usize) -> Result<()> {
        let seen = self.read_siblings(row).await?;
        let (name, context) = (self.name(), blob_literal(&seen.context));
        self.sibling(row, |row| row.begin(&name, seen.names.into_iter().collect(), false));
        let statement = if self.random.below(2) == 0 {
            format!("INSERT INTO app.flock (k, v) VALUES ({row}, '{name}') USING CONTEXT {context}")
        } else {
            format!("UPDATE app.flock USING CONTEXT {context} SET v = '{name}' WHERE k = {row}")
        };
        let fate = self.write(&statement).await;
        self.sibling(row, |row| row.end(&name, fate));
        Ok(())
    }

    /// Removes all that it has read.
    async fn remove(&mut self, row: usize) -> Result<()> {
        let seen = self.read_siblings(row).await?;
        let (name, context) = (self.name(), blob_literal(&seen.context));
        self.sibling(row, |row| row.begin(&name, seen.names.into_iter().collect(), true));
        let statement = format!("DELETE FROM app.flock USING CONTEXT {context} WHERE k = {row}");
        let fate = self.write(&statement).await;
        self.sibling(row, |row| row.end(&name, fate));
        Ok(())
    }

    async fn read_siblings(&mut self, row: usize) -> Result<Seen> {
        let promised = self.sibling(row, |row| row.promised());
        let seen = seen(&self.rows(&select_siblings(row)).await?)?;
        self.check_siblings(row, &promised, &seen);
        Ok(seen)
    }

    fn check_siblings(&self, row: usize, promised: &BTreeSet<String>, seen: &Seen) {
        let wrong = self.sibling(row, |row| row.check(promised, &seen.names));
        for wrong in wrong {
            self.record_wrong(format!("flock {row}: {wrong}"));
        }
    }

    async fn write_latest(&mut self, row: usize) -> Result<()> {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        let ahead = self.random.up_to(Duration::from_millis(400));
        let time = i64::try_from((now + ahead).as_micros())?;
        let is_removal = self.random.below(6) == 0;
        let name = self.name();
        let value = (!is_removal).then(|| name.clone());
        if !self.latest(row, |row| row.begin(time, value)) {
            return Ok(());
        }
        let statement = if is_removal {
            format!("DELETE FROM app.latest USING TIMESTAMP {time} WHERE k = {row}")
        } else {
            format!("INSERT INTO app.latest (k, v) VALUES ({row}, '{name}') USING TIMESTAMP {time}")
        };
        let fate = self.write(&statement).await;
        self.latest(row, |row| row.end(time, fate));
        Ok(())
    }

    async fn read_latest(&mut self, row: usize) -> Result<()> {
        let promised = self.latest(row, |row| row.promised());
        let rows = self.rows(&select_latest(row)).await?;
        self.check_latest(row, promised, &rows)
    }

    fn check_latest(&self, row: usize, promised: Option<i64>, rows: &Rows) -> Result<()> {
        let found = rows.texts("v")?;
        let wrong = self.latest(row, |row| row.check(promised, found.first().map(String::as_str)));
        if let Some(wrong) = wrong {
            self.record_wrong(format!("latest {row}: {wrong}"));
        }
        Ok(())
    }

    fn record_wrong(&self, wrong: String) {
        self.record.note(format_args!("wrong {wrong}"));
        self.ledger.wrong.borrow_mut().push(wrong);
    }

    /// Carries out a write, and says what the client knows of it then.
    async fn write(&mut self, statement: &str) -> Fate {
        match self.ask(statement).await {
            Ok(Reply::Refused(refusal)) if NOTHING_DONE.contains(&refusal.code) => Fate::Refused,
            Ok(Reply::Refused(_)) | Err(_) => Fate::Open,
            Ok(_) => {
                self.ledger.acknowledged.set(self.ledger.acknowledged.get() + 1);
                Fate::Acknowledged
            }
        }
    }

    async fn rows(&mut self, statement: &str) -> Result<Rows> {
        match self.ask(statement).await? {
            Reply::Rows(rows) => Ok(rows),
            reply => bail!("{statement}: {reply:?}"),
        }
    }

    /// Tries a statement again, at any node, until it is answered.
    async fn insist(&mut self, statement: &str) -> Result<Reply> {
        let mut last = None;
        for _ in 0..TRIES_MAX {
            match self.ask(statement).await {
                Ok(Reply::Refused(refusal)) => last = Some(anyhow::anyhow!("{refusal:?}")),
                Ok(reply) => return Ok(reply),
                Err(error) => last = Some(error),
            }
            self.connected = None;
            sleep(TRY_AGAIN).await;
        }
        let last = last.context("it was tried")?;
        Err(last.context(format!("never answered: {statement}")))
    }

    /// Executes a statement at the node that this client is connected to; some other next time if
    /// that one does not answer, or refuses.
    async fn ask(&mut self, statement: &str) -> Result<Reply> {
        self.record.note(format_args!("client {} asks {statement}", self.me));
        self.ledger.statements.set(self.ledger.statements.get() + 1);
        let answer = self.try_ask(statement).await;
        match &answer {
            Ok(reply) => self.record.note(format_args!("client {} hears {reply:?}", self.me)),
            Err(error) => self.record.note(format_args!("client {} fails {error:#}", self.me)),
        }
        if !matches!(answer, Ok(Reply::Rows(_) | Reply::Void)) || self.random.below(10) == 0 {
            self.connected = None;
        }
        answer
    }

    async fn try_ask(&mut self, statement: &str) -> Result<Reply> {
        if self.connected.is_none() {
            let node = u8::try_from(self.random.below(NODES.into()))?;
            self.connected = Some(Client::connect(&self.network, host::address(node)).await?);
        }
        self.connected.as_mut().expect("it was just connected").query(statement).await
    }

    fn name(&mut self) -> String {
        self.written += 1;
        format!("{}-{}", self.me, self.written)
    }

    fn sibling<T>(&self, row: usize, act: impl FnOnce(&mut SiblingRow) -> T) -> T {
        act(self.ledger.siblings.borrow_mut().entry(row).or_default())
    }

    fn latest<T>(&self, row: usize, act: impl FnOnce(&mut LatestRow) -> T) -> T {
        act(self.ledger.latest.borrow_mut().entry(row).or_default())
    }
}

fn select_siblings(row: usize) -> String {
    format!("SELECT context(), v FROM app.flock WHERE k = {row}")
}

fn select_latest(row: usize) -> String {
    format!("SELECT v FROM app.latest WHERE k = {row}")
}

/// Of a row that nobody has written the context is empty, and there is no version.
fn seen(rows: &Rows) -> Result<Seen> {
    let context = rows.cells.first().and_then(|row| row[0].clone()).unwrap_or_default();
    Ok(Seen { context, names: rows.texts("v")? })
}
