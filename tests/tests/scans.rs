//! Scans merge what the replicas hold: with one of three stale and another one dead, a client gets
//! exactly the rows that a model of the table has, however the answer is cut into pages.
//!
//! ```text
//! round: S is down while rows come and go at QUORUM, then S is back (stale) and D is killed:
//!        whatever was written lives on one of the two replicas that answer
//! ```

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use ring::Token;
use starling_tests::cluster::settle;
use starling_tests::cql::Ask;
use starling_tests::{Chance, Client, Cluster, Consistency, Rows, admin, log};

const PARTITIONS: usize = 12;
const ROWS: usize = 12;
const ROUNDS: usize = 4;
/// How many statements change the table while a replica is away.
const CHANGES: usize = 150;
/// How many questions of each kind are asked of each node in each round.
const QUESTIONS: usize = 12;

/// A table and what should be in it.
struct Table {
    name: &'static str,
    is_siblings: bool,
    rows: BTreeMap<(i32, i32), String>,
    written: usize,
}

type Row = (i32, i32, String);

impl Table {
    fn new(name: &'static str, is_siblings: bool) -> Self {
        Self { name, is_siblings, rows: BTreeMap::new(), written: 0 }
    }

    fn definition(&self) -> String {
        let conflict = if self.is_siblings { "siblings" } else { "lww" };
        let name = self.name;
        format!(
            "CREATE TABLE {name} (p int, c int, v text, PRIMARY KEY (p, c)) \
             WITH conflict = '{conflict}'"
        )
    }

    fn insert(&mut self, client: &mut Client, p: i32, c: i32) -> Result<()> {
        if self.is_siblings && self.rows.contains_key(&(p, c)) {
            // One that has not been seen would become a sibling.
            self.delete_row(client, p, c)?;
        }
        self.written += 1;
        let v = format!("v{}", self.written);
        client.run(&format!("INSERT INTO {} (p, c, v) VALUES ({p}, {c}, '{v}')", self.name))?;
        self.rows.insert((p, c), v);
        Ok(())
    }

    fn delete_row(&mut self, client: &mut Client, p: i32, c: i32) -> Result<()> {
        client.run(&format!("DELETE FROM {} WHERE p = {p} AND c = {c}", self.name))?;
        self.rows.remove(&(p, c));
        Ok(())
    }

    fn delete_stretch(&mut self, client: &mut Client, p: i32, from: i32, to: i32) -> Result<()> {
        let name = self.name;
        client.run(&format!("DELETE FROM {name} WHERE p = {p} AND c >= {from} AND c < {to}"))?;
        self.rows.retain(|(row_p, c), _| *row_p != p || *c < from || *c >= to);
        Ok(())
    }

    fn delete_partition(&mut self, client: &mut Client, p: i32) -> Result<()> {
        client.run(&format!("DELETE FROM {} WHERE p = {p}", self.name))?;
        self.rows.retain(|(row_p, _), _| *row_p != p);
        Ok(())
    }

    fn change(&mut self, client: &mut Client, chance: &mut Chance) -> Result<()> {
        let (p, c) = (number(chance, PARTITIONS), number(chance, ROWS));
        match chance.below(20) {
            0 => self.delete_partition(client, p),
            1 | 2 => self.delete_stretch(client, p, c, c + 1 + number(chance, ROWS)),
            3..=9 => self.delete_row(client, p, c),
            _ => self.insert(client, p, c),
        }
    }

    /// The rows in the order of a scan: by token, then by clustering key.
    fn scanned(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.rows.iter().map(|((p, c), v)| (*p, *c, v.clone())).collect();
        rows.sort_by_key(|(p, c, _)| (token(*p), *p, *c));
        rows
    }

    /// Asks questions of every kind and compares the answers with the model.
    fn verify(&self, client: &mut Client, chance: &mut Chance) -> Result<()> {
        let all = self.scanned();
        let select = format!("SELECT p, c, v FROM {}", self.name);
        compare(client, &select, None, &all)?;
        for page in [1, 2, all.len().max(1), all.len() + 1] {
            compare(client, &select, Some(page), &all)?;
        }
        for _ in 0..QUESTIONS {
            let page = Some(1 + chance.below(all.len() + 1));
            let limit = 1 + chance.below(all.len() + 2);
            let limited = &all[..limit.min(all.len())];
            compare(client, &format!("{select} LIMIT {limit}"), page, limited)?;
            self.verify_tokens(client, chance, &all, page)?;
            self.verify_partition(client, chance, &all, page)?;
        }
        Ok(())
    }

    fn verify_tokens(
        &self,
        client: &mut Client,
        chance: &mut Chance,
        all: &[Row],
        page: Option<usize>,
    ) -> Result<()> {
        let mut ends = [(); 2].map(|()| token(number(chance, PARTITIONS)));
        ends.sort_unstable();
        let [after, to] = ends;
        let is_in = |row: &&Row| token(row.0) > after && token(row.0) <= to;
        let wanted: Vec<Row> = all.iter().filter(is_in).cloned().collect();
        let name = self.name;
        let select =
            format!("SELECT p, c, v FROM {name} WHERE token(p) > {after} AND token(p) <= {to}");
        compare(client, &select, page, &wanted)
    }

    fn verify_partition(
        &self,
        client: &mut Client,
        chance: &mut Chance,
        all: &[Row],
        page: Option<usize>,
    ) -> Result<()> {
        let (p, from) = (number(chance, PARTITIONS), number(chance, ROWS));
        let is_in = |row: &&Row| row.0 == p && row.1 >= from;
        let mut wanted: Vec<Row> = all.iter().filter(is_in).cloned().collect();
        let select = format!("SELECT p, c, v FROM {} WHERE p = {p} AND c >= {from}", self.name);
        compare(client, &select, page, &wanted)?;
        wanted.reverse();
        compare(client, &format!("{select} ORDER BY c DESC"), page, &wanted)?;
        wanted.truncate(2);
        compare(client, &format!("{select} ORDER BY c DESC LIMIT 2"), page, &wanted)
    }
}

/// Asks and compares what comes with what should.
fn compare(client: &mut Client, select: &str, page: Option<usize>, wanted: &[Row]) -> Result<()> {
    let found = pages(client, select, page)?;
    ensure!(found == wanted, "{select} in pages of {page:?}:\nfound  {found:?}\nwanted {wanted:?}");
    Ok(())
}

fn token(p: i32) -> i64 {
    Token::of_key(&p.to_be_bytes()).value()
}

fn number(chance: &mut Chance, bound: usize) -> i32 {
    i32::try_from(chance.below(bound)).expect("tests choose among few")
}

/// All pages of a SELECT at QUORUM, none of them longer than was asked for.
fn pages(client: &mut Client, select: &str, page: Option<usize>) -> Result<Vec<Row>> {
    let page_rows = page.map(i32::try_from).transpose()?;
    let (mut found, mut state) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let level = Consistency::Quorum;
        let rows =
            client.rows_asked(select, &Ask { level, page_rows, paging_state: state.as_deref() })?;
        ensure!(page.is_none_or(|most| rows.count() <= most), "a page of {} rows", rows.count());
        for row in 0..rows.count() {
            found.push(read(&rows, row)?);
        }
        state = rows.paging_state;
        if state.is_none() {
            return Ok(found);
        }
    }
}

fn read(rows: &Rows, row: usize) -> Result<Row> {
    Ok((rows.int(row, "p")?, rows.int(row, "c")?, rows.text(row, "v")?.to_owned()))
}

/// Waits until all running nodes know how many of them there are.
fn wait_alive(cluster: &Cluster) -> Result<()> {
    let running = u64::try_from(cluster.running().count())?;
    for node in cluster.running() {
        settle(&format!("{} to see {running} nodes alive", node.address()), || {
            let alive = admin::counter(node.address(), "starling_nodes_alive")?;
            ensure!(alive == running, "{alive} nodes alive");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn scans_with_a_stale_and_a_dead_replica_are_what_the_model_says() -> Result<()> {
    let mut chance = Chance::new("the scans");
    let mut cluster = Cluster::builder("scans").listed(log::PEER_LOSS).start()?;
    let mut tables = [Table::new("app.versions", true), Table::new("app.cells", false)];
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 3}",
        &tables[0].definition(),
        &tables[1].definition(),
    ])?;
    let mut client = cluster.nodes()[0].client()?;
    for table in &mut tables {
        for row in 0..PARTITIONS * ROWS / 2 {
            let (p, c) = (i32::try_from(row % PARTITIONS)?, i32::try_from(row / PARTITIONS * 2)?);
            table.insert(&mut client, p, c)?;
        }
    }
    for round in 0..ROUNDS {
        let stale = chance.below(3);
        let dead = (stale + 1 + chance.below(2)) % 3;
        eprintln!("round {round}: node {stale} is stale, node {dead} is dead");
        cluster.node(stale).kill()?;
        wait_alive(&cluster)?;
        let writing = 3 - stale - dead;
        let mut client = cluster.nodes()[writing].client()?;
        for table in &mut tables {
            (0..CHANGES).try_for_each(|_| table.change(&mut client, &mut chance))?;
        }
        cluster.node(stale).start()?;
        cluster.wait_ready()?;
        wait_alive(&cluster)?;
        cluster.node(dead).kill()?;
        wait_alive(&cluster)?;
        for table in &tables {
            eprintln!("{} has {} rows", table.name, table.rows.len());
            for node in [stale, writing] {
                let mut client = cluster.nodes()[node].client()?;
                table.verify(&mut client, &mut chance)?;
            }
        }
        cluster.node(dead).start()?;
        cluster.wait_ready()?;
        wait_alive(&cluster)?;
    }
    cluster.finish()
}
