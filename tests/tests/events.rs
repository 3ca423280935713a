//! Clients that have registered hear what changes, through whichever node it was changed.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use starling_tests::cluster::settle;
use starling_tests::place::CQL_PORT;
use starling_tests::python::{self, Python};
use starling_tests::{Client, Cluster, Consistency, log, wait};

/// No event of something that is done already takes longer, on the busiest machine.
const EVENT_LIMIT: Duration = Duration::from_secs(30);

/// A connection to each running node that has registered for these kinds.
fn listeners(cluster: &Cluster, kinds: &[&str]) -> Result<Vec<Client>> {
    let listener = |node: &starling_tests::Node| {
        let mut client = node.client()?;
        client.register(kinds)?;
        Ok(client)
    };
    cluster.running().map(listener).collect()
}

fn expect(client: &mut Client, event: &str) -> Result<()> {
    let next = client.next_event(EVENT_LIMIT)?;
    ensure!(next == event, "wanted {event}, got {next}");
    Ok(())
}

/// The next event about a node has to be this one.
fn expect_of(client: &mut Client, node: IpAddr, change: &str) -> Result<()> {
    loop {
        let event = client.next_event(EVENT_LIMIT)?;
        if event.ends_with(&format!(" {node}:{CQL_PORT}")) {
            ensure!(event == format!("{change} {node}:{CQL_PORT}"), "wanted {change}, got {event}");
            return Ok(());
        }
        // Others may have found each other only now.
        ensure!(event.starts_with("STATUS_CHANGE UP "), "{event}");
    }
}

fn create_keyspace(name: &str) -> String {
    format!(
        "CREATE KEYSPACE {name} WITH replication = \
         {{'class': 'SimpleStrategy', 'replication_factor': 3}}"
    )
}

/// Who hears of a table can use it on the same node at once.
#[test]
fn a_change_of_the_schema_is_told_on_every_node_and_only_when_it_holds_there() -> Result<()> {
    let cluster = Cluster::builder("events-schema").start()?;
    let mut listeners = listeners(&cluster, &["SCHEMA_CHANGE"])?;
    let mut client = cluster.nodes()[0].client()?;
    client.run(&create_keyspace("app"))?;
    for listener in &mut listeners {
        expect(listener, "SCHEMA_CHANGE CREATED KEYSPACE app")?;
    }
    for round in 0..20 {
        client.run(&format!("CREATE TABLE app.t{round} (k int PRIMARY KEY, v text)"))?;
        for listener in &mut listeners {
            expect(listener, &format!("SCHEMA_CHANGE CREATED TABLE app t{round}"))?;
            listener.run(&format!("INSERT INTO app.t{round} (k, v) VALUES (1, 'x')"))?;
        }
    }
    client.run("DROP TABLE app.t0")?;
    for listener in &mut listeners {
        expect(listener, "SCHEMA_CHANGE DROPPED TABLE app t0")?;
        let refusal = listener.refusal("SELECT v FROM app.t0 WHERE k = 1")?;
        ensure!(refusal.message.contains("t0"), "{refusal:?}");
    }
    cluster.finish()
}

#[test]
fn a_node_is_told_as_new_and_whenever_it_goes_down_or_serves_again() -> Result<()> {
    let builder = Cluster::builder("events-nodes").seeds(1).set("cluster.nodes_min=2");
    let mut cluster = builder.listed(log::PEER_LOSS).build()?;
    (0..2).try_for_each(|node| cluster.node(node).start())?;
    cluster.wait_ready()?;
    let mut listeners = listeners(&cluster, &["TOPOLOGY_CHANGE", "STATUS_CHANGE"])?;
    let third = cluster.nodes()[2].address();
    cluster.node(2).start()?;
    for listener in &mut listeners {
        expect_of(listener, third, "TOPOLOGY_CHANGE NEW_NODE")?;
        expect_of(listener, third, "STATUS_CHANGE UP")?;
    }
    for _ in 0..3 {
        let killed_at = wait::now();
        cluster.node(2).kill()?;
        for listener in &mut listeners {
            expect_of(listener, third, "STATUS_CHANGE DOWN")?;
        }
        eprintln!("told down after {:?}", killed_at.elapsed());
        cluster.node(2).start()?;
        for listener in &mut listeners {
            expect_of(listener, third, "STATUS_CHANGE UP")?;
            // No waiting: whoever is told that a node is up may go there.
            let mut client = Client::connect(third)?;
            client.rows_at("SELECT key FROM system.local", Consistency::One)?;
        }
    }
    cluster.finish()
}

/// What the test below does while a driver listens.
fn disturb(cluster: &mut Cluster) -> Result<()> {
    let mut client = cluster.nodes()[1].client()?;
    client.run(&create_keyspace("app"))?;
    client.run("CREATE TABLE app.gone (k int PRIMARY KEY)")?;
    client.run("CREATE TABLE app.stays (k int PRIMARY KEY, v text)")?;
    client.run("DROP TABLE app.gone")?;
    cluster.node(2).kill()?;
    let victim = cluster.nodes()[2].address();
    settle("the node to be down", || {
        let mut client = cluster.nodes()[0].client()?;
        let refusal = client.refusal_at("SELECT v FROM app.stays WHERE k = 1", Consistency::All)?;
        ensure!(refusal.counts == Some((3, 2)), "{victim}: {refusal:?}");
        Ok(())
    })?;
    cluster.node(2).start()?;
    cluster.wait_ready()
}

#[test]
fn the_python_driver_learns_of_changes_without_asking() -> Result<()> {
    let driver = Python::with(python::DRIVER)?;
    let mut cluster = Cluster::builder("events-python").listed(log::PEER_LOSS).start()?;
    let [first, _, victim] = cluster.addresses()[..] else { anyhow::bail!("three nodes") };
    let arguments = [first.to_string(), victim.to_string()];
    let seen = std::thread::scope(|scope| {
        let listening = scope.spawn(|| driver.run("events.py", &arguments, Duration::from_mins(3)));
        let disturbed = settle("the driver to listen", || {
            let mut client = cluster.nodes()[1].client()?;
            client.run("USE listening")
        })
        .and_then(|()| disturb(&mut cluster));
        let seen = listening.join().expect("the thread that waits does not panic");
        disturbed.and(seen)
    })?;
    eprintln!("{seen}");
    cluster.finish()
}

async fn connect(cluster: &Cluster) -> Result<Session> {
    let contact = format!("{}:{CQL_PORT}", cluster.addresses()[0]);
    // It reads anew, this often, the keyspaces that events have named; no others.
    let refresh = Duration::from_secs(1);
    let builder = SessionBuilder::new().known_node(contact);
    Ok(builder.cluster_metadata_refresh_interval(refresh).build().await?)
}

async fn tables(session: &Session, wanted: &[&str]) -> Result<()> {
    let start = wait::now();
    loop {
        let state = session.get_cluster_state();
        let keyspace = state.get_keyspace("app");
        let mut known: Vec<_> =
            keyspace.into_iter().flat_map(|it| it.tables.keys().map(String::as_str)).collect();
        known.sort_unstable();
        if known == wanted {
            return Ok(());
        }
        ensure!(start.elapsed() < EVENT_LIMIT, "the driver knows {known:?}, not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_scylla_driver_learns_of_changes_without_asking() -> Result<()> {
    let cluster = Cluster::builder("events-scylla").start()?;
    let session = connect(&cluster).await?;
    let mut client = cluster.nodes()[1].client()?;
    client.run(&create_keyspace("app"))?;
    client.run("CREATE TABLE app.one (k int PRIMARY KEY)")?;
    tables(&session, &["one"]).await?;
    client.run("CREATE TABLE app.two (k int PRIMARY KEY)")?;
    tables(&session, &["one", "two"]).await?;
    client.run("DROP TABLE app.one")?;
    tables(&session, &["two"]).await?;
    client.run("DROP KEYSPACE app")?;
    tables(&session, &[]).await?;
    drop(session);
    cluster.finish()
}
