//! Tables that are altered and truncated while they are in use.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use starling_tests::cluster::settle;
use starling_tests::{Client, Cluster, Consistency, Reply, log};

const UNAVAILABLE: i32 = 0x1000;
const INVALID: i32 = 0x2200;

fn three_nodes(name: &str) -> Result<Cluster> {
    let cluster = Cluster::builder(name).listed(log::PEER_LOSS).start()?;
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 3}",
        "CREATE TABLE app.t (k int PRIMARY KEY, v text)",
    ])?;
    Ok(cluster)
}

fn clients(cluster: &Cluster) -> Result<Vec<Client>> {
    cluster.addresses().into_iter().map(Client::connect).collect()
}

#[test]
fn what_a_dropped_column_held_is_never_shown_again() -> Result<()> {
    let cluster = three_nodes("dropped")?;
    let mut clients = clients(&cluster)?;
    clients[0].run("INSERT INTO app.t (k, v) VALUES (1, 'old')")?;
    clients[1].run("ALTER TABLE app.t ADD w int")?;
    clients[2].run("UPDATE app.t SET w = 5 WHERE k = 1")?;
    clients[0].run("ALTER TABLE app.t DROP v")?;
    let refusal = clients[1].refusal("SELECT v FROM app.t WHERE k = 1")?;
    ensure!(refusal.code == INVALID && refusal.message.contains('v'), "{refusal:?}");
    clients[2].run("ALTER TABLE app.t ADD v int")?;
    for client in &mut clients {
        let rows = client.rows("SELECT k, v, w FROM app.t WHERE k = 1")?;
        assert_eq!(
            rows.shown()?,
            ["1 | null | 5", "1 | null | null"],
            "two siblings, newest first"
        );
    }
    let context = clients[0].rows("SELECT context() FROM app.t WHERE k = 1")?;
    let context = starling_tests::cql::blob_literal(context.bytes(0, "context()")?);
    // The two differ in the column that was dropped, and in w, which is set: neither is in the way.
    let update = format!("UPDATE app.t USING CONTEXT {context} SET w = 6, v = 7 WHERE k = 1");
    clients[1].run(&update)?;
    clients[0].run("ALTER TABLE app.t RENAME k TO id")?;
    for client in &mut clients {
        assert_eq!(client.rows("SELECT * FROM app.t WHERE id = 1")?.shown()?, ["1 | 7 | 6"]);
    }
    cluster.finish()
}

#[test]
fn a_dropped_column_neither_shows_its_cells_nor_keeps_rows_alive() -> Result<()> {
    let cluster = three_nodes("dropped-cells")?;
    let mut clients = clients(&cluster)?;
    clients[0]
        .run("CREATE TABLE app.c (k int PRIMARY KEY, v text, w int) WITH conflict = 'lww'")?;
    clients[0].run("INSERT INTO app.c (k, v, w) VALUES (1, 'old', 1)")?;
    clients[1].run("UPDATE app.c SET v = 'old' WHERE k = 2")?;
    clients[2].run("ALTER TABLE app.c DROP v")?;
    for client in &mut clients {
        assert_eq!(client.rows("SELECT * FROM app.c")?.shown()?, ["1 | 1"]);
    }
    clients[0].run("ALTER TABLE app.c ADD v text")?;
    for client in &mut clients {
        assert_eq!(client.rows("SELECT k, v, w FROM app.c")?.shown()?, ["1 | null | 1"]);
        assert_eq!(client.rows("SELECT k FROM app.c WHERE k = 2")?.count(), 0);
    }
    clients[1].run("UPDATE app.c SET v = 'new' WHERE k = 2")?;
    assert_eq!(clients[2].rows("SELECT v FROM app.c WHERE k = 2")?.texts("v")?, ["new"]);
    cluster.finish()
}

/// Each client adds a column of its own, and all of them the same one: one of them wins.
#[test]
fn alterations_from_all_nodes_at_once_are_all_made() -> Result<()> {
    let cluster = three_nodes("alter-race")?;
    let nodes = cluster.addresses();
    let replies: Vec<(Reply, Reply)> = thread::scope(|scope| {
        let racing: Vec<_> = (0..9)
            .map(|number| {
                let node = nodes[number % nodes.len()];
                scope.spawn(move || {
                    let mut client = Client::connect(node)?;
                    let own = client.query(&format!("ALTER TABLE app.t ADD own_{number} int"))?;
                    anyhow::Ok((own, client.query("ALTER TABLE app.t ADD shared int")?))
                })
            })
            .collect();
        racing.into_iter().map(|it| it.join().expect("a client ends")).collect::<Result<_>>()
    })?;
    let is_done = |reply: &Reply| matches!(reply, Reply::SchemaChange);
    ensure!(replies.iter().all(|(own, _)| is_done(own)), "{replies:?}");
    let lost = |reply: &Reply| {
        matches!(reply, Reply::Refused(refusal)
            if refusal.code == INVALID && refusal.message.contains("already exists"))
    };
    let won = replies.iter().filter(|(_, shared)| is_done(shared)).count();
    ensure!(won == 1, "{replies:?}");
    ensure!(replies.iter().filter(|(_, shared)| lost(shared)).count() == 8, "{replies:?}");
    cluster.wait_schema()?;
    for mut client in clients(&cluster)? {
        client.run("INSERT INTO app.t (k, own_0, own_8, shared) VALUES (2, 0, 8, 9)")?;
    }
    cluster.finish()
}

#[test]
fn after_truncate_no_node_shows_an_older_row_and_newer_ones_stay() -> Result<()> {
    let cluster = three_nodes("truncate")?;
    let mut clients = clients(&cluster)?;
    for key in 0..50 {
        clients[0].run(&format!("INSERT INTO app.t (k, v) VALUES ({key}, 'old')"))?;
    }
    let context = clients[0].rows("SELECT context() FROM app.t WHERE k = 1")?;
    let context = starling_tests::cql::blob_literal(context.bytes(0, "context()")?);
    ensure!(clients[1].query("TRUNCATE app.t")? == Reply::Void, "Cassandra answers nothing");
    for client in &mut clients {
        for key in 0..50 {
            let select = format!("SELECT v FROM app.t WHERE k = {key}");
            ensure!(client.rows_at(&select, Consistency::One)?.count() == 0, "row {key} is there");
        }
    }
    let stale = format!("INSERT INTO app.t (k, v) VALUES (1, 'x') USING CONTEXT {context}");
    ensure!(clients[2].refusal(&stale)?.code == INVALID, "the row of that context is gone");
    clients[2].run("INSERT INTO app.t (k, v) VALUES (1, 'new')")?;
    for client in &mut clients {
        assert_eq!(client.rows("SELECT v FROM app.t WHERE k = 1")?.texts("v")?, ["new"]);
    }
    cluster.finish()
}

#[test]
fn truncate_is_refused_while_a_node_is_down_and_changes_nothing() -> Result<()> {
    let mut cluster = three_nodes("truncate-down")?;
    let mut client = cluster.node(0).client()?;
    client.run("INSERT INTO app.t (k, v) VALUES (1, 'kept')")?;
    cluster.node(2).kill()?;
    settle("the dead node to be noticed", || {
        let refusal = client.refusal_at("SELECT v FROM app.t WHERE k = 1", Consistency::All)?;
        ensure!(refusal.code == UNAVAILABLE, "{refusal:?}");
        Ok(())
    })?;
    let refusal = client.refusal("TRUNCATE app.t")?;
    assert_eq!((refusal.code, refusal.counts), (UNAVAILABLE, Some((3, 2))), "{refusal:?}");
    assert_eq!(client.rows("SELECT v FROM app.t WHERE k = 1")?.texts("v")?, ["kept"]);
    cluster.node(2).start()?;
    cluster.wait_ready()?;
    settle("the node to be alive again", || client.run("TRUNCATE app.t"))?;
    assert_eq!(client.rows("SELECT v FROM app.t WHERE k = 1")?.count(), 0);
    cluster.finish()
}

/// A node that sleeps through the change wakes up behind, and is asked at once.
#[test]
#[expect(clippy::disallowed_methods, reason = "one client waits while the others go on")]
fn truncate_waits_for_a_node_that_sleeps() -> Result<()> {
    let mut cluster = three_nodes("truncate-sleeper")?;
    let mut sleeper = cluster.node(2).client()?;
    let mut awake = cluster.node(0).client()?;
    awake.run_at("INSERT INTO app.t (k, v) VALUES (1, 'old')", Consistency::All)?;
    cluster.node(2).pause()?;
    let truncating = thread::spawn(move || {
        awake.run("TRUNCATE app.t")?;
        anyhow::Ok(awake)
    });
    thread::sleep(Duration::from_secs(1));
    let has_waited = !truncating.is_finished();
    cluster.node(2).resume()?;
    // It may have been planned for the rows of before; then it was carried out anew.
    sleeper.run("INSERT INTO app.t (k, v) VALUES (2, 'raced')")?;
    let mut awake = truncating.join().expect("TRUNCATE ends")?;
    ensure!(has_waited, "TRUNCATE answered although a node did not know of it");
    for client in [&mut awake, &mut sleeper] {
        let old = client.rows_at("SELECT v FROM app.t WHERE k = 1", Consistency::One)?;
        ensure!(old.count() == 0, "a row of before is shown");
    }
    sleeper.run("INSERT INTO app.t (k, v) VALUES (3, 'after')")?;
    assert_eq!(awake.rows("SELECT v FROM app.t WHERE k = 3")?.texts("v")?, ["after"]);
    cluster.finish()
}

/// One acknowledged write of a row of its own.
struct Written {
    key: i32,
    began: Instant,
    acknowledged: Instant,
}

/// Writers on all nodes while the table is truncated again and again: what was acknowledged before
/// the last TRUNCATE began is gone, and what began after its answer is there.
#[test]
fn writes_that_race_truncates_are_gone_or_there() -> Result<()> {
    let cluster = three_nodes("truncate-race")?;
    let nodes = cluster.addresses();
    let stop = AtomicBool::new(false);
    let (began, ended, written) = thread::scope(|scope| {
        let writers: Vec<_> = (0..6_i32)
            .map(|writer| {
                let node = nodes[usize::try_from(writer).expect("small") % nodes.len()];
                let stop = &stop;
                scope.spawn(move || write_until(node, writer, stop))
            })
            .collect();
        let truncated = truncate_often(nodes[0]);
        thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        let written = writers
            .into_iter()
            .map(|it| it.join().expect("a writer ends"))
            .collect::<Result<Vec<_>>>();
        let (began, ended) = truncated?;
        anyhow::Ok((began, ended, written?.into_iter().flatten().collect::<Vec<_>>()))
    })?;
    let mut client = Client::connect(nodes[1])?;
    let mut counts = BTreeMap::<&str, usize>::new();
    for Written { key, began: write_began, acknowledged } in written {
        let rows = client.rows(&format!("SELECT v FROM app.t WHERE k = {key}"))?;
        let is_there = rows.count() > 0;
        let place = if acknowledged < began {
            ensure!(!is_there, "{key} was acknowledged before TRUNCATE began, and is there");
            "before"
        } else if write_began > ended {
            ensure!(is_there, "{key} was written after TRUNCATE, and is lost");
            "after"
        } else {
            "meanwhile"
        };
        *counts.entry(place).or_default() += 1;
    }
    eprintln!("writes by the last TRUNCATE: {counts:?}");
    ensure!(counts.contains_key("before") && counts.contains_key("after"), "{counts:?}");
    cluster.finish()
}

/// When the last of several truncates began and ended.
#[expect(clippy::disallowed_methods, reason = "the test orders what it saw by real time")]
fn truncate_often(node: std::net::IpAddr) -> Result<(Instant, Instant)> {
    let mut client = Client::connect(node)?;
    let mut last = None;
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(150));
        let began = Instant::now();
        client.run("TRUNCATE app.t")?;
        last = Some((began, Instant::now()));
    }
    Ok(last.expect("there were some"))
}

#[expect(clippy::disallowed_methods, reason = "the test orders what it saw by real time")]
fn write_until(node: std::net::IpAddr, writer: i32, stop: &AtomicBool) -> Result<Vec<Written>> {
    let mut client = Client::connect(node)?;
    let mut written = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = writer * 1_000_000 + number;
        let began = Instant::now();
        let insert = format!("INSERT INTO app.t (k, v) VALUES ({key}, 'x')");
        // Nothing is down: no truncate may make a write fail.
        client.run(&insert)?;
        written.push(Written { key, began, acknowledged: Instant::now() });
    }
    Ok(written)
}
