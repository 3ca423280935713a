//! Damaged files: noticed or harmless; the node serves again without help, with all that it had.
//!
//! What it cannot read any more comes from its peers, and until then it answers no read. A seed has lost
//! its vote, as it must, which an operator gives back before the next file is damaged.
//!
//! `CORRUPTIONS` asks for more than `make test` makes, as `make prove-power` does.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use starling_tests::damage::{self, Done, KINDS, Kind};
use starling_tests::ledger::Ledger;
use starling_tests::{Chance, Client, Cluster, Consistency, Node, Reply, Tear, admin, log, wait};

use super::writers::read_back_at;

/// How often `make test` damages a file.
const CORRUPTIONS: usize = 10;
/// After so many the next cluster begins, so that none grows large.
const CORRUPTIONS_A_CLUSTER: usize = 10;

/// Rows that are there from the begin, and so many more come with each damage.
const ROWS: u32 = 3_000;
const ROWS_MORE: u32 = 100;
/// Behind its number a row holds so much.
const PADDING: usize = 400;

const NODES: usize = 3;

/// How often the power is cut while a node salvages its store, and within how many milliseconds.
const CUTS: usize = 10;
const SALVAGE_MS: usize = 250;
/// No block holds more rows than this.
const BLOCK_ROWS: usize = 40;
const SALVAGES: &str = "starling_store_salvages_total";

/// A node stands still again, and replicas are equal, within this time.
const LIMIT: Duration = Duration::from_mins(1);

/// What a node says that finds damage.
const DAMAGE: &[&str] = &[
    "damaged",
    "salvag",
    "takes no more writes",
    "beginning anew",
    "cannot be opened",
    "cannot be read",
    "rocksdb",
    "took a new store id",
];

#[test]
fn a_damaged_file_is_noticed_or_harmless_and_mended_from_peers_without_help() -> Result<()> {
    let count = match std::env::var_os("CORRUPTIONS") {
        None => CORRUPTIONS,
        Some(count) => count.to_str().and_then(|it| it.parse().ok()).context("a count")?,
    };
    let mut chance = Chance::new("what is damaged");
    let mut ledger = Ledger::open("corruptions")?;
    while ledger.done() < count {
        let more = CORRUPTIONS_A_CLUSTER.min(count - ledger.done());
        let Found { noticed, harmless } = one_cluster(more, &mut chance)?;
        let figures = format!("damaged files, {noticed} noticed, {harmless} harmless, 0 lost");
        eprintln!("corruptions: {more} {figures}");
        ledger.note(more, &figures)?;
    }
    Ok(())
}

/// Nobody else has a copy here: what is not in the damaged block itself must come through every cut.
#[test]
fn a_salvage_that_power_cuts_interrupt_is_gone_on_with_and_loses_one_block() -> Result<()> {
    let mut chance = Chance::new("the moments of the cuts");
    let listed = [log::PEER_LOSS, DAMAGE].concat();
    let builder = Cluster::builder("salvage-cuts").nodes(NODES).set("store.memtable_bytes=1MiB");
    let mut cluster = builder.listed(&listed).on_power_disks().start()?;
    define(&cluster, 1)?;
    let mut rows = 0;
    write(&cluster, &mut rows, ROWS)?;
    let victim = NODES - 1;
    cluster.node(victim).stop()?;
    damage::flip_in_largest_table(&cluster.node(victim).data_dir())?;
    for _ in 0..CUTS {
        cluster.node(victim).start()?;
        thread::sleep(Duration::from_millis(chance.below(SALVAGE_MS) as u64));
        // The first one that comes as far finds the damage; it may well be cut off.
        let _ = read_all(&cluster.nodes()[victim], rows, Consistency::One);
        thread::sleep(Duration::from_millis(chance.below(SALVAGE_MS) as u64));
        cluster.node(victim).lose_power(*chance.of_these(&[Tear::Clean, Tear::Torn]))?;
        cluster.node(victim).restore_power()?;
    }
    cluster.node(victim).start()?;
    cluster.wait_ready()?;
    let node = &cluster.nodes()[victim];
    let view = wait::until_ok("all rows", LIMIT, || View::of(node, rows))?;
    let lost = 2 * rows as usize - view.rows.len();
    let salvages = admin::counter(node.address(), SALVAGES)?;
    eprintln!("{CUTS} power cuts, {salvages} salvages, {lost} rows were in the damaged block");
    ensure!(salvages > 0, "nobody has noticed");
    ensure!(lost <= BLOCK_ROWS, "{lost} rows are lost");
    cluster.finish()
}

/// What became of the damage.
#[derive(Default)]
struct Found {
    noticed: usize,
    harmless: usize,
}

fn one_cluster(count: usize, chance: &mut Chance) -> Result<Found> {
    let listed = [log::PEER_LOSS, DAMAGE].concat();
    let builder = Cluster::builder("corruption").nodes(NODES).set("repair.interval=1s");
    let mut cluster = builder.set("store.memtable_bytes=1MiB").listed(&listed).start()?;
    define(&cluster, NODES)?;
    let mut rows = 0;
    write(&cluster, &mut rows, ROWS)?;
    let mut found = Found::default();
    while found.noticed + found.harmless < count {
        write(&cluster, &mut rows, ROWS_MORE)?;
        let victim = chance.below(NODES);
        let before = View::of(&cluster.nodes()[victim], rows)?;
        let Some(done) = damage_and_start(&mut cluster, victim, chance)? else { continue };
        let is_noticed = judge(&mut cluster, victim, rows, &before);
        let is_noticed = is_noticed.with_context(|| done.to_string())?;
        eprintln!("    {}", if is_noticed { "noticed" } else { "harmless" });
        found.noticed += usize::from(is_noticed);
        found.harmless += usize::from(!is_noticed);
        if !is_noticed {
            // Else it is found by and by, perhaps while another seed has no vote.
            done.undo()?;
        }
        give_vote_back(&cluster)?;
    }
    cluster.finish()?;
    Ok(found)
}

fn define(cluster: &Cluster, replicas: usize) -> Result<()> {
    cluster.define(&[
        &format!(
            "CREATE KEYSPACE app WITH replication = \
             {{'class': 'SimpleStrategy', 'replication_factor': {replicas}}}"
        ),
        "CREATE TABLE app.siblings (k int PRIMARY KEY, v text)",
        "CREATE TABLE app.lww (k int PRIMARY KEY, v text) WITH conflict = 'lww'",
    ])
}

/// Damages a file while the node is down, killed or stopped, or now and then while it serves.
fn damage_and_start(
    cluster: &mut Cluster,
    victim: usize,
    chance: &mut Chance,
) -> Result<Option<Done>> {
    let kind = *chance.of_these(&KINDS);
    let victim = cluster.node(victim);
    let data = victim.data_dir();
    let is_serving = kind == Kind::Table && chance.below(2) == 0;
    match chance.below(2) {
        _ if is_serving => {}
        0 => victim.kill()?,
        _ => victim.stop()?,
    }
    let done = damage::damage(&data, kind, chance)?;
    if !is_serving {
        victim.start()?;
    }
    if let Some(done) = &done {
        eprintln!("{done}, {}", if is_serving { "while it serves" } else { "while it is down" });
    }
    Ok(done)
}

/// Waits until the victim serves again, compares what it has and what all have, and returns whether it
/// has noticed the damage: it has a new store id then.
fn judge(cluster: &mut Cluster, victim: usize, rows: u32, before: &View) -> Result<bool> {
    cluster.wait_ready()?;
    // It begins anew when the damage is read for the first time, so it may be away for a while.
    let node = &cluster.nodes()[victim];
    let after = wait::until_ok("the victim to stand still", LIMIT, || View::of(node, rows))?;
    let is_noticed = after.store != before.store;
    let lost = before.rows.difference(&after.rows).count();
    ensure!(is_noticed || lost == 0, "{lost} rows are gone, and nobody has noticed");
    cluster.wait_ready()?;
    for node in cluster.nodes() {
        let all = read_all(node, rows, Consistency::Quorum)?;
        ensure!(all.len() == 2 * rows as usize, "{} of {rows} rows twice at QUORUM", all.len());
    }
    wait::until_ok("equal replicas", LIMIT, || {
        let digests = cluster.nodes().iter().map(|node| admin::api(node.address(), "digests"));
        let digests = digests.collect::<Result<Vec<_>>>()?;
        ensure!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
        Ok(())
    })?;
    Ok(is_noticed)
}

/// Does what the log of a seed with a new store id asks its operator to do.
fn give_vote_back(cluster: &Cluster) -> Result<()> {
    let states = cluster.nodes().iter().map(|node| admin::status(node.address()));
    let states = states.collect::<Result<Vec<_>>>()?;
    let acceptors = &states[0].acceptors;
    let lost = acceptors.iter().find(|it| !states.iter().any(|state| state.store == **it));
    let new = states.iter().find(|state| !acceptors.contains(&state.store));
    if let (Some(lost), Some(new)) = (lost, new) {
        cluster.command(0, &["seed", "replace", lost, &new.store])?;
    }
    Ok(())
}

/// What a node has by itself, and as which store.
struct View {
    store: String,
    rows: BTreeSet<(&'static str, i32)>,
}

impl View {
    fn of(node: &Node, rows: u32) -> Result<Self> {
        let rows = read_all(node, rows, Consistency::One)?;
        ensure!(admin::is_ready(node.address()), "it begins anew");
        Ok(Self { store: admin::status(node.address())?.store, rows })
    }
}

const TABLES: [&str; 2] = ["siblings", "lww"];

/// Writes so many more rows to each table, at QUORUM.
fn write(cluster: &Cluster, rows: &mut u32, more: u32) -> Result<()> {
    let mut client = cluster.nodes()[0].client()?;
    for number in *rows..*rows + more {
        for table in TABLES {
            let value = value(number.cast_signed());
            let insert = format!("INSERT INTO app.{table} (k, v) VALUES ({number}, '{value}')");
            let taken = || match client.query(&insert)? {
                Reply::Void => Ok(()),
                reply => bail!("{reply:?}"),
            };
            // The victim may have been taken for alive a moment ago.
            wait::until_ok("a write at QUORUM", LIMIT, taken)?;
        }
    }
    *rows += more;
    Ok(())
}

/// All rows that a node reads, each of which must be as it was written.
fn read_all(node: &Node, rows: u32, level: Consistency) -> Result<BTreeSet<(&'static str, i32)>> {
    let mut client: Client = node.client()?;
    let mut found = BTreeSet::new();
    for table in TABLES {
        let select = format!("SELECT k, v FROM app.{table}");
        read_back_at(&mut client, &select, level, |page, row| {
            let number = page.int(row, "k")?;
            let text = page.cells[row][1].as_deref();
            assert_eq!(text, Some(value(number).as_bytes()), "row {number}: nobody wrote this");
            assert!(number.cast_unsigned() < rows, "row {number}: nobody wrote it");
            found.insert((table, number));
            Ok(())
        })?;
    }
    Ok(found)
}

fn value(number: i32) -> String {
    // The padding differs from row to row, so that a row in the place of another one is seen.
    format!("{number}-").repeat(PADDING / format!("{number}-").len())
}
