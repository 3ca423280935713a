//! Changes of the schema from many clients at once, while seeds die: one history, nothing lost.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::{Client, Cluster, Consistency, Node, Reply, admin, log};
use uuid::Uuid;

const CLIENTS: usize = 8;
/// How long the cluster is whole, and how long a seed stays dead, while the clients go on.
const PHASE: Duration = Duration::from_secs(3);
/// Tables that all clients create at the same time.
const SHARED: usize = 20;

const KEYSPACE: &str =
    "CREATE KEYSPACE app WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}";

/// What one client knows of the tables that only it creates and drops.
#[derive(Debug, Default)]
struct Ledger {
    /// Acknowledged, and never asked to be dropped.
    created: BTreeSet<String>,
    /// Dropped, and acknowledged.
    dropped: BTreeSet<String>,
    /// Everything that this client tried to create.
    tried: BTreeSet<String>,
}

#[test]
fn eight_clients_change_one_schema_while_each_seed_dies_in_turn() -> Result<()> {
    let mut cluster = Cluster::builder("ddl").listed(log::PEER_LOSS).start()?;
    cluster.define(&[KEYSPACE])?;
    let nodes = cluster.addresses();
    let stop = AtomicBool::new(false);
    let ledgers = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (nodes, stop) = (&nodes, &stop);
                scope.spawn(move || change(client, nodes, stop))
            })
            .collect();
        let disturbed = kill_in_turn(&mut cluster);
        stop.store(true, Ordering::Relaxed);
        let ledgers: Vec<Ledger> =
            clients.into_iter().map(|it| it.join().expect("a client ends")).collect();
        disturbed.map(|()| ledgers)
    })?;
    cluster.wait_schema()?;
    let created: usize = ledgers.iter().map(|ledger| ledger.created.len()).sum();
    let dropped: usize = ledgers.iter().map(|ledger| ledger.dropped.len()).sum();
    let epochs = history(&nodes)?.len();
    eprintln!("{created} tables created, {dropped} dropped, {epochs} epochs in the history");
    ensure!(created > CLIENTS && dropped > CLIENTS, "the clients did little");
    assert_one_schema(&cluster, &ledgers)?;
    cluster.finish()
}

fn kill_in_turn(cluster: &mut Cluster) -> Result<()> {
    for seed in 0..3 {
        thread::sleep(PHASE);
        cluster.node(seed).kill()?;
        thread::sleep(PHASE);
        cluster.node(seed).start()?;
        cluster.wait_ready()?;
    }
    thread::sleep(PHASE);
    Ok(())
}

/// One client: creates a table of its own, joins the race for a shared one, drops an older one.
fn change(client: usize, nodes: &[IpAddr], stop: &AtomicBool) -> Ledger {
    let mut ledger = Ledger::default();
    let mut connection: Option<Client> = None;
    let mut step = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        let Some(connected) = connection.as_mut() else {
            connection = Client::connect(nodes[(client + step) % nodes.len()]).ok();
            step += 1;
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        let done = one_step(connected, client, step, &mut ledger);
        if done.is_err() {
            connection = None;
        }
        step += 1;
    }
    ledger
}

fn one_step(
    connection: &mut Client,
    client: usize,
    step: usize,
    ledger: &mut Ledger,
) -> Result<()> {
    let name = format!("own_{client}_{step}");
    ledger.tried.insert(name.clone());
    let create = format!("CREATE TABLE app.{name} (k int PRIMARY KEY)");
    if matches!(connection.query(&create)?, Reply::SchemaChange) {
        ledger.created.insert(name);
    }
    let shared =
        format!("CREATE TABLE IF NOT EXISTS app.shared_{} (k int PRIMARY KEY)", step % SHARED);
    connection.query(&shared)?;
    if step % 2 == 1
        && let Some(victim) = ledger.created.pop_first()
        && matches!(connection.query(&format!("DROP TABLE app.{victim}"))?, Reply::SchemaChange)
    {
        ledger.dropped.insert(victim);
    }
    Ok(())
}

/// The value of every epoch that a node remembers; two values of one epoch are a split.
fn history(nodes: &[IpAddr]) -> Result<BTreeMap<u64, String>> {
    let mut history = BTreeMap::<u64, String>::new();
    for node in nodes {
        let epochs = admin::epochs(*node)?;
        ensure!(epochs.len() > 10, "{node} remembers {} epochs", epochs.len());
        for (epoch, digest) in epochs {
            let known = history.entry(epoch).or_insert_with(|| digest.clone());
            ensure!(*known == digest, "epoch {epoch} has two values");
        }
    }
    Ok(history)
}

/// The tables of `app` as a node tells drivers, by name.
fn tables(node: &Node) -> Result<BTreeMap<String, Uuid>> {
    let query = "SELECT table_name, id FROM system_schema.tables WHERE keyspace_name = 'app'";
    let rows = node.client()?.rows_at(query, Consistency::One)?;
    let mut tables = BTreeMap::new();
    for row in 0..rows.count() {
        let is_new = tables.insert(rows.text(row, "table_name")?.to_owned(), rows.uuid(row, "id")?);
        ensure!(is_new.is_none(), "a table is told twice");
    }
    Ok(tables)
}

fn assert_one_schema(cluster: &Cluster, ledgers: &[Ledger]) -> Result<()> {
    let views = cluster.nodes().iter().map(tables).collect::<Result<Vec<_>>>()?;
    let tables = &views[0];
    ensure!(views.iter().all(|view| view == tables), "the nodes tell of different tables");
    let ids: BTreeSet<_> = tables.values().collect();
    ensure!(ids.len() == tables.len(), "two tables share an id");
    for ledger in ledgers {
        let lost: Vec<_> = ledger.created.iter().filter(|it| !tables.contains_key(*it)).collect();
        ensure!(lost.is_empty(), "acknowledged tables are lost: {lost:?}");
        let back: Vec<_> = ledger.dropped.iter().filter(|it| tables.contains_key(*it)).collect();
        ensure!(back.is_empty(), "dropped tables are back: {back:?}");
    }
    let own: BTreeSet<_> = ledgers.iter().flat_map(|ledger| &ledger.tried).collect();
    let strange = tables.keys().find(|it| !own.contains(it) && !it.starts_with("shared_"));
    ensure!(strange.is_none(), "nobody created {strange:?}");
    Ok(())
}

#[test]
fn without_a_majority_of_seeds_data_is_served_and_the_schema_stands_still() -> Result<()> {
    let mut cluster = Cluster::builder("minority").listed(log::PEER_LOSS).start()?;
    cluster.define(&[KEYSPACE, "CREATE TABLE app.t (k int PRIMARY KEY, v text)"])?;
    cluster.node(1).kill()?;
    cluster.node(2).kill()?;
    let mut client = cluster.node(0).client()?;
    for statement in [
        "CREATE TABLE app.u (k int PRIMARY KEY)",
        "CREATE KEYSPACE other WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "DROP TABLE app.t",
    ] {
        let refusal = client.refusal(statement)?;
        ensure!(refusal.message.contains("did not agree"), "{statement}: {refusal:?}");
        ensure!(refusal.message.contains("served all the same"), "{statement}: {refusal:?}");
    }
    client.run_at("INSERT INTO app.t (k, v) VALUES (1, 'x')", Consistency::One)?;
    let rows = client.rows_at("SELECT v FROM app.t WHERE k = 1", Consistency::One)?;
    assert_eq!(rows.texts("v")?, ["x"]);

    cluster.node(1).start()?;
    cluster.wait_ready()?;
    cluster.define(&["CREATE TABLE app.u (k int PRIMARY KEY)"])?;
    cluster.finish()
}

/// A race of eight for each name has one winner, and the others learn that they lost.
#[test]
fn a_table_is_created_once_however_many_ask_for_it() -> Result<()> {
    let cluster = Cluster::builder("race").start()?;
    cluster.define(&[KEYSPACE])?;
    let nodes = cluster.addresses();
    let mut clients = (0..CLIENTS)
        .map(|client| Client::connect(nodes[client % nodes.len()]))
        .collect::<Result<Vec<_>>>()?;
    for name in 0..10 {
        let create = format!("CREATE TABLE app.race_{name} (k int PRIMARY KEY)");
        let replies: Vec<Reply> = thread::scope(|scope| {
            let asked: Vec<_> =
                clients.iter_mut().map(|client| scope.spawn(|| client.query(&create))).collect();
            asked.into_iter().map(|it| it.join().expect("a client ends")).collect::<Result<_>>()
        })?;
        let won = replies.iter().filter(|reply| matches!(reply, Reply::SchemaChange)).count();
        let lost = replies.iter().filter(|reply| is_already_exists(reply)).count();
        assert_eq!((won, lost), (1, CLIENTS - 1), "{replies:?}");
    }
    cluster.wait_schema()?;
    cluster.finish()
}

fn is_already_exists(reply: &Reply) -> bool {
    matches!(reply, Reply::Refused(refusal) if refusal.code == 0x2400)
}
