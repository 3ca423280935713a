//! A client at work: it writes, reads, resolves and removes, and checks what it reads.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use server::clock::Random;
use tests::cql::blob_literal;
use tests::promise::refusals::{self, Asked};
use tests::promise::{Fate, echoes, siblings};
use tests::{Consistency, Reply, Rows};
use tokio::time::sleep;

use crate::client::Client;
use crate::fabric::{Fabric, HostNetwork};
use crate::host::{self, NODES};
use crate::ledger::{Ledger, RowId, Stage};
use crate::plan::Plan;
use crate::record::Record;
use crate::tables::{KEYSPACE, Table};

/// How many clients work at the same time.
pub(crate) const WRITERS: u8 = 4;

/// How many things each of them does, of one statement or two.
const ACTS: usize = 80;

/// How far from the present the times are that clients give their writes, at most.
const AHEAD_MAX: Duration = Duration::from_millis(400);

/// How many different contents there are in the table of equal content.
const ECHOES: usize = 2;

/// One of so many acts makes a table, where the seed is about that as well.
const DEFINING_EVERY: usize = 16;

/// How often the client that prepares and checks tries again, and how long it waits between.
const TRIES_MAX: usize = 100;
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// The address of a client.
pub(crate) fn address(client: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 1, client + 1).into()
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
    plan: Plan,
}

/// A row of a siblings table as it was read.
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
            plan: Plan::of(seed),
        }
    }

    /// The first client: makes the tables before the work, and checks all rows after it.
    pub(crate) async fn lead(mut self) -> turmoil::Result {
        let keyspace = format!(
            "CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = \
             {{'class': 'SimpleStrategy', 'replication_factor': 3}}"
        );
        let tables = Table::ALL.map(Table::definition);
        for statement in [keyspace].iter().chain(&tables) {
            self.insist(statement, Consistency::Quorum).await?;
        }
        self.ledger.stage.set(Stage::Working);
        self.work().await;
        self.ledger.reach(Stage::Checking).await;
        for table in Table::ALL {
            for key in 0..table.rows() {
                self.check_settled((table, key)).await?;
            }
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
        for _ in 0..ACTS {
            sleep(self.random.up_to(self.plan.think_max())).await;
            // An error is an answer that did not come: what is not known is not checked.
            let _ = self.act().await;
        }
        self.ledger.done.set(self.ledger.done.get() + 1);
    }

    async fn act(&mut self) -> Result<()> {
        if self.plan == Plan::Definitions && self.random.below(DEFINING_EVERY) == 0 {
            return self.define().await;
        }
        let draw = self.random.below(40);
        let table = match draw {
            0..16 => Table::Flock,
            16..28 => Table::Crowd,
            28..33 => Table::Latest,
            33..37 => Table::Drift,
            _ => Table::Echo,
        };
        let row = (table, self.random.below(table.rows()));
        match draw {
            0..6 | 16..20 => self.insert(row).await,
            6..11 | 20..24 => self.resolve(row).await,
            11..14 | 24..26 => self.remove(row).await,
            14..16 | 26..28 => self.read_siblings(row).await.map(|_| ()),
            28..31 | 33..36 => self.write_latest(row).await,
            31..33 | 36 => self.read_latest(row).await,
            39 => self.read_echoes(row).await,
            _ => self.echo(row).await,
        }
    }

    async fn insert(&mut self, row: RowId) -> Result<()> {
        let name = self.name();
        let statement = insert(row, &name, "");
        self.write_version(row, &name, BTreeSet::new(), false, &statement).await;
        Ok(())
    }

    /// Writes one version in the place of all that it has read.
    async fn resolve(&mut self, row: RowId) -> Result<()> {
        let seen = self.read_siblings(row).await?;
        let (name, context) = (self.name(), blob_literal(&seen.context));
        let statement = if self.random.below(2) == 0 {
            insert(row, &name, &format!(" USING CONTEXT {context}"))
        } else {
            let (table, key) = (row.0.name(), row.1);
            format!(
                "UPDATE {KEYSPACE}.{table} USING CONTEXT {context} SET v = '{name}' WHERE k = {key}"
            )
        };
        let covers = seen.names.into_iter().collect();
        self.write_version(row, &name, covers, false, &statement).await;
        Ok(())
    }

    /// Removes all that it has read.
    async fn remove(&mut self, row: RowId) -> Result<()> {
        let seen = self.read_siblings(row).await?;
        let (name, context) = (self.name(), blob_literal(&seen.context));
        let statement = delete(row, &format!("CONTEXT {context}"));
        let covers = seen.names.into_iter().collect();
        self.write_version(row, &name, covers, true, &statement).await;
        Ok(())
    }

    async fn write_version(
        &mut self,
        row: RowId,
        name: &str,
        covers: BTreeSet<String>,
        is_removal: bool,
        statement: &str,
    ) {
        self.ledger.sibling(row, |row| row.begin(name, covers, is_removal));
        let fate = self.write(row, statement).await;
        self.ledger.sibling(row, |row| row.end(name, fate));
    }

    async fn read_siblings(&mut self, row: RowId) -> Result<Seen> {
        let owed = self.ledger.sibling(row, |row| row.owed());
        let seen = seen(&self.read(row, "context(), v").await?)?;
        let is_held_to = self.ledger.is_held_to(row);
        let owed = if is_held_to { owed } else { siblings::Owed::default() };
        let wrong = self.ledger.sibling(row, |row| row.check(&owed, &seen.names));
        if is_held_to {
            self.ledger.sibling(row, |row| row.remember(&owed, &seen.names));
        }
        for wrong in &wrong {
            self.ledger.wrong(row, wrong);
        }
        Ok(seen)
    }

    async fn write_latest(&mut self, row: RowId) -> Result<()> {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        let time = i64::try_from((now + self.random.up_to(AHEAD_MAX)).as_micros())?;
        let is_removal = self.random.below(6) == 0;
        let name = self.name();
        let value = (!is_removal).then(|| name.clone());
        if !self.ledger.latest(row, |row| row.begin(time, value)) {
            return Ok(());
        }
        let using = format!("TIMESTAMP {time}");
        let statement = if is_removal {
            delete(row, &using)
        } else {
            insert(row, &name, &format!(" USING {using}"))
        };
        let fate = self.write(row, &statement).await;
        self.ledger.latest(row, |row| row.end(time, fate));
        Ok(())
    }

    async fn read_latest(&mut self, row: RowId) -> Result<()> {
        let owed = self.ledger.latest(row, |row| row.owed());
        let found = self.read(row, "v").await?.texts("v")?;
        let is_held_to = self.ledger.is_held_to(row);
        let owed = owed.filter(|_| is_held_to);
        let found = found.first().map(String::as_str);
        let wrong = self.ledger.latest(row, |row| row.check(owed, found));
        if is_held_to {
            self.ledger.latest(row, |row| row.remember(owed, found));
        }
        if let Some(wrong) = &wrong {
            self.ledger.wrong(row, wrong);
        }
        Ok(())
    }

    /// Writes what was written before, most likely, without having read it.
    async fn echo(&mut self, row: RowId) -> Result<()> {
        let content = format!("echo {}", self.random.below(ECHOES));
        let number = self.ledger.echo(row, |row| row.begin(&content));
        let fate = self.write(row, &insert(row, &content, "")).await;
        self.ledger.echo(row, |row| row.end(&content, number, fate));
        Ok(())
    }

    async fn read_echoes(&mut self, row: RowId) -> Result<()> {
        let found = self.read(row, "v").await?.texts("v")?;
        let wrong = self.ledger.echo(row, |row| row.check(&echoes::Owed::new(), &found));
        for wrong in &wrong {
            self.ledger.wrong(row, wrong);
        }
        Ok(())
    }

    /// Makes a table.
    async fn define(&mut self) -> Result<()> {
        let name = format!("made_{}", self.name().replace('-', "_"));
        self.ledger.definitions.borrow_mut().insert(name.clone(), Fate::Open);
        let statement = format!("CREATE TABLE {KEYSPACE}.{name} (k int PRIMARY KEY)");
        let fate = match self.ask(&statement, Consistency::Quorum).await? {
            Reply::SchemaChange => Fate::Acknowledged,
            reply => refusals::fate(&reply),
        };
        self.ledger.definitions.borrow_mut().insert(name, fate);
        Ok(())
    }

    /// Compares what all replicas hold with all that was promised.
    async fn check_settled(&mut self, row: RowId) -> Result<()> {
        let Reply::Rows(rows) = self.insist(&select(row, "v"), Consistency::All).await? else {
            bail!("a SELECT was answered without rows");
        };
        let found = rows.texts("v")?;
        let latest = found.first().map(String::as_str);
        let ledger = &self.ledger;
        let wrong = match row.0 {
            Table::Flock | Table::Crowd => ledger.sibling(row, |row| row.check_settled(&found)),
            Table::Echo => ledger.echo(row, |row| row.check_settled(&found)),
            Table::Latest | Table::Drift => {
                ledger.latest(row, |row| row.check_settled(latest)).into_iter().collect()
            }
        };
        for wrong in &wrong {
            ledger.wrong(row, wrong);
        }
        Ok(())
    }

    /// Carries out a write, and says what the client knows of it then.
    async fn write(&mut self, row: RowId, statement: &str) -> Fate {
        let level = row.0.write_level(&self.random);
        let Ok(reply) = self.ask(statement, level).await else { return Fate::Open };
        self.look_at_refusal(row, Asked::Write, level, &reply);
        let fate = refusals::fate(&reply);
        let acknowledged = u32::from(fate == Fate::Acknowledged);
        self.ledger.acknowledged.set(self.ledger.acknowledged.get() + acknowledged);
        fate
    }

    async fn read(&mut self, row: RowId, columns: &str) -> Result<Rows> {
        let (statement, level) = (select(row, columns), row.0.read_level(&self.random));
        let reply = self.ask(&statement, level).await?;
        self.look_at_refusal(row, Asked::Read, level, &reply);
        match reply {
            Reply::Rows(rows) => Ok(rows),
            reply => bail!("{statement}: {reply:?}"),
        }
    }

    fn look_at_refusal(&self, row: RowId, asked: Asked, level: Consistency, reply: &Reply) {
        if let Reply::Refused(refusal) = reply
            && let Some(objection) = refusals::objection(asked, level, refusal)
        {
            self.ledger.wrong(row, objection);
        }
    }

    /// Tries a statement again, at any node, until it is answered.
    async fn insist(&mut self, statement: &str, level: Consistency) -> Result<Reply> {
        let mut last = None;
        for _ in 0..TRIES_MAX {
            match self.ask(statement, level).await {
                Ok(Reply::Refused(refusal)) => last = Some(anyhow!("{refusal:?}")),
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
    async fn ask(&mut self, statement: &str, level: Consistency) -> Result<Reply> {
        let me = self.me;
        self.record.note(format_args!("client {me} asks {statement} at {level}"));
        self.ledger.statements.set(self.ledger.statements.get() + 1);
        let answer = self.try_ask(statement, level).await;
        match &answer {
            Ok(reply) => self.record.note(format_args!("client {me} hears {reply:?}")),
            Err(error) => self.record.note(format_args!("client {me} fails {error:#}")),
        }
        if !matches!(answer, Ok(Reply::Rows(_) | Reply::Void)) || self.random.below(10) == 0 {
            self.connected = None;
        }
        answer
    }

    async fn try_ask(&mut self, statement: &str, level: Consistency) -> Result<Reply> {
        if self.connected.is_none() {
            let node = u8::try_from(self.random.below(NODES.into()))?;
            self.connected = Some(Client::connect(&self.network, host::address(node)).await?);
        }
        self.connected.as_mut().expect("it was just connected").query(statement, level).await
    }

    fn name(&mut self) -> String {
        self.written += 1;
        format!("{}-{}", self.me, self.written)
    }
}

fn select((table, key): RowId, columns: &str) -> String {
    format!("SELECT {columns} FROM {KEYSPACE}.{} WHERE k = {key}", table.name())
}

fn insert((table, key): RowId, value: &str, using: &str) -> String {
    format!("INSERT INTO {KEYSPACE}.{} (k, v) VALUES ({key}, '{value}'){using}", table.name())
}

fn delete((table, key): RowId, using: &str) -> String {
    format!("DELETE FROM {KEYSPACE}.{} USING {using} WHERE k = {key}", table.name())
}

/// Of a row that nobody has written the context is empty, and there is no version.
fn seen(rows: &Rows) -> Result<Seen> {
    let context = rows.cells.first().and_then(|row| row[0].clone()).unwrap_or_default();
    Ok(Seen { context, names: rows.texts("v")? })
}
