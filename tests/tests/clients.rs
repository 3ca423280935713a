//! Clients that nobody changed for us: the `scylla` crate and Python's `cassandra-driver`.
//!
//! Five nodes, replication 3. The drivers route by the tokens in our system tables; what they
//! make of them is compared with the ring that the nodes themselves use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ring::{HostId, Placement, Ring, Strategy};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::cluster::ClusterState;
use scylla::frame::types::Consistency;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::routing::Token;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use starling_tests::Cluster;
use starling_tests::admin;
use starling_tests::place::CQL_PORT;
use starling_tests::python::{self, Python};
use uuid::Uuid;

/// How many token-aware reads each driver does per kind of key.
const READS: i32 = 1_000;

fn five_nodes(name: &str) -> Result<Cluster> {
    let mut builder = Cluster::builder(name).nodes(5);
    for (node, rack) in ["r1", "r2", "r3", "r1", "r2"].iter().enumerate() {
        builder = builder.set_on(node, &format!("node.rack={rack}"));
    }
    builder.start()
}

async fn connect(cluster: &Cluster) -> Result<Session> {
    let contact = format!("{}:{CQL_PORT}", cluster.addresses()[0]);
    Ok(SessionBuilder::new().known_node(contact).build().await?)
}

async fn run(session: &Session, statement: &str) -> Result<()> {
    let done = session.query_unpaged(Statement::new(statement), ()).await;
    done.with_context(|| statement.to_owned())?;
    Ok(())
}

async fn prepare(session: &Session, text: &str, level: Consistency) -> Result<PreparedStatement> {
    let mut prepared = session.prepare(text).await.with_context(|| text.to_owned())?;
    prepared.set_consistency(level);
    Ok(prepared)
}

async fn create_keyspace(session: &Session, name: &str, replication: &str) -> Result<()> {
    run(session, &format!("CREATE KEYSPACE {name} WITH replication = {{{replication}}}")).await
}

type Thing = (
    i32,
    Option<i64>,
    Option<String>,
    Option<Vec<u8>>,
    Option<bool>,
    Option<Uuid>,
    Option<CqlTimestamp>,
    Option<BTreeSet<String>>,
);

fn things() -> [Thing; 3] {
    let tags = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    let uid = Uuid::from_u128(0x550e_8400_e29b_41d4_a716_4466_5544_0000);
    let at = CqlTimestamp(981_173_106_789);
    let full = (
        1,
        Some(i64::MIN),
        Some("it's a ☃".to_owned()),
        Some(vec![0, 255]),
        Some(true),
        Some(uid),
        Some(at),
        Some(tags),
    );
    let blank = (2, Some(0), Some(String::new()), Some(vec![]), Some(false), Some(uid), None, None);
    [full, blank, (3, None, None, None, None, None, None, None)]
}

#[tokio::test]
async fn the_scylla_driver_connects_creates_prepares_writes_and_reads() -> Result<()> {
    let cluster = five_nodes("scylla")?;
    let session = connect(&cluster).await?;
    create_keyspace(&session, "app", "'class': 'NetworkTopologyStrategy', 'replication_factor': 3")
        .await?;
    run(
        &session,
        "CREATE TABLE app.things (id int PRIMARY KEY, big bigint, name text, raw blob, \
         flag boolean, uid uuid, at timestamp, tags set<text>)",
    )
    .await?;
    let insert = "INSERT INTO app.things (id, big, name, raw, flag, uid, at, tags) \
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let insert = prepare(&session, insert, Consistency::Quorum).await?;
    let select = "SELECT id, big, name, raw, flag, uid, at, tags FROM app.things WHERE id = ?";
    let select = prepare(&session, select, Consistency::Quorum).await?;
    for thing in things() {
        session.execute_unpaged(&insert, thing.clone()).await?;
        let rows = session.execute_unpaged(&select, (thing.0,)).await?.into_rows_result()?;
        assert_eq!(rows.single_row::<Thing>()?, thing);
    }
    drop(session);
    cluster.finish()
}

#[tokio::test]
async fn the_scylla_driver_pages_through_a_partition() -> Result<()> {
    let cluster = five_nodes("pages")?;
    let session = connect(&cluster).await?;
    create_keyspace(&session, "app", "'class': 'SimpleStrategy', 'replication_factor': 3").await?;
    run(&session, "CREATE TABLE app.lines (day text, at int, body text, PRIMARY KEY (day, at))")
        .await?;
    let insert = "INSERT INTO app.lines (day, at, body) VALUES ('monday', ?, ?)";
    let insert = prepare(&session, insert, Consistency::Quorum).await?;
    for at in 0..1_000 {
        session.execute_unpaged(&insert, (at, format!("line {at}"))).await?;
    }
    let select = "SELECT at, body FROM app.lines WHERE day = ?";
    let mut select = prepare(&session, select, Consistency::Quorum).await?;
    select.set_page_size(100);
    let (mut seen, mut pages) = (Vec::new(), 0);
    let mut state = PagingState::start();
    loop {
        let (page, next) = session.execute_single_page(&select, ("monday",), state).await?;
        let rows = page.into_rows_result()?;
        ensure!(rows.rows_num() <= 100, "a page of {} rows", rows.rows_num());
        for row in rows.rows::<(i32, String)>()? {
            seen.push(row?);
        }
        pages += 1;
        match next {
            PagingStateResponse::HasMorePages { state: more } => state = more,
            PagingStateResponse::NoMorePages => break,
        }
    }
    assert_eq!(seen, (0..1_000).map(|at| (at, format!("line {at}"))).collect::<Vec<_>>());
    ensure!(pages >= 10, "{pages} pages");
    drop(session);
    cluster.finish()
}

/// A conflict is made and resolved with bind markers only: no driver needs changing.
#[tokio::test]
async fn the_scylla_driver_carries_contexts_as_blobs() -> Result<()> {
    let cluster = five_nodes("contexts")?;
    let session = connect(&cluster).await?;
    create_keyspace(&session, "app", "'class': 'SimpleStrategy', 'replication_factor': 3").await?;
    run(&session, "CREATE TABLE app.carts (id int PRIMARY KEY, items text)").await?;
    let insert = "INSERT INTO app.carts (id, items) VALUES (?, ?)";
    let insert = prepare(&session, insert, Consistency::Quorum).await?;
    let select = "SELECT context(), items FROM app.carts WHERE id = ?";
    let select = prepare(&session, select, Consistency::Quorum).await?;
    let resolve = "INSERT INTO app.carts (id, items) VALUES (?, ?) USING CONTEXT ?";
    let resolve = prepare(&session, resolve, Consistency::Quorum).await?;

    session.execute_unpaged(&insert, (1, "milk")).await?;
    session.execute_unpaged(&insert, (1, "bread")).await?;
    let carts = carts(&session, &select).await?;
    let items: BTreeSet<_> = carts.iter().map(|(_, items)| items.as_str()).collect();
    assert_eq!(items, BTreeSet::from(["bread", "milk"]));
    assert_eq!(carts[0].0, carts[1].0);

    session.execute_unpaged(&resolve, (1, "milk and bread", &carts[0].0)).await?;
    let items: Vec<_> =
        self::carts(&session, &select).await?.into_iter().map(|(_, items)| items).collect();
    assert_eq!(items, ["milk and bread"]);
    drop(session);
    cluster.finish()
}

async fn carts(session: &Session, select: &PreparedStatement) -> Result<Vec<(Vec<u8>, String)>> {
    let rows = session.execute_unpaged(select, (1,)).await?.into_rows_result()?;
    Ok(rows.rows::<(Vec<u8>, String)>()?.collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn reads_of_the_scylla_driver_go_to_replicas() -> Result<()> {
    let cluster = five_nodes("routing")?;
    let session = connect(&cluster).await?;
    create_keyspace(&session, "app", "'class': 'NetworkTopologyStrategy', 'replication_factor': 3")
        .await?;
    run(&session, "CREATE TABLE app.simple (id text PRIMARY KEY, v int)").await?;
    run(&session, "CREATE TABLE app.composite (a int, b text, v int, PRIMARY KEY ((a, b)))")
        .await?;
    session.refresh_metadata().await?;
    let replicas = Replicas::of(&cluster)?;

    let simple = "SELECT v FROM app.simple WHERE id = ?";
    let simple = prepare(&session, simple, Consistency::One).await?;
    let composite = "SELECT v FROM app.composite WHERE a = ? AND b = ?";
    let composite = prepare(&session, composite, Consistency::One).await?;
    let mut coordinators = BTreeMap::<Uuid, usize>::new();
    for n in 0..READS {
        let key = (format!("key {n}"),);
        let by_one = session.execute_unpaged(&simple, &key).await?;
        let id = simple.compute_partition_key(&key)?;
        let key = (n, format!("é{n}"));
        let by_two = session.execute_unpaged(&composite, &key).await?;
        let pair = composite.compute_partition_key(&key)?;
        for (key, answer) in [(id, by_one), (pair, by_two)] {
            let coordinator = answer.request_coordinator().node().host_id;
            replicas.assert_contain(ring::Token::of_key(&key), coordinator)?;
            *coordinators.entry(coordinator).or_default() += 1;
        }
    }
    eprintln!("coordinators of {} reads: {coordinators:?}", 2 * READS);
    assert_eq!(coordinators.len(), 5, "every node is a replica of something");
    drop(session);
    cluster.finish()
}

#[tokio::test]
async fn tokens_are_those_that_the_scylla_driver_computes() -> Result<()> {
    let cluster = five_nodes("tokens")?;
    let session = connect(&cluster).await?;
    create_keyspace(&session, "app", "'class': 'SimpleStrategy', 'replication_factor': 3").await?;
    run(&session, "CREATE TABLE app.composite (a int, b text, v int, PRIMARY KEY ((a, b)))")
        .await?;
    let insert = "INSERT INTO app.composite (a, b, v) VALUES (?, ?, 0)";
    let insert = prepare(&session, insert, Consistency::Quorum).await?;
    let select = "SELECT token(a, b) FROM app.composite WHERE a = ? AND b = ?";
    let select = prepare(&session, select, Consistency::Quorum).await?;
    for n in 0..100_usize {
        let key = (i32::try_from(n)?, "é".repeat(n));
        session.execute_unpaged(&insert, &key).await?;
        let rows = session.execute_unpaged(&select, &key).await?.into_rows_result()?;
        let (ours,) = rows.single_row::<(i64,)>()?;
        let theirs = select.calculate_token(&key)?.context("the key is bound")?;
        assert_eq!(ours, theirs.value(), "{key:?}");
    }
    drop(session);
    cluster.finish()
}

/// Two data centers, three racks in the first; replication by both strategies.
#[tokio::test]
async fn replica_lists_are_those_that_the_scylla_driver_computes() -> Result<()> {
    let places = [("dc1", "r1"), ("dc1", "r2"), ("dc1", "r3"), ("dc2", "r1"), ("dc2", "r1")];
    let mut builder = Cluster::builder("replicas").nodes(5);
    for (node, (datacenter, rack)) in places.into_iter().enumerate() {
        builder = builder.set_on(node, &format!("node.datacenter={datacenter}"));
        builder = builder.set_on(node, &format!("node.rack={rack}"));
    }
    let cluster = builder.start()?;
    let session = connect(&cluster).await?;
    let keyspaces = [
        ("s1", "'class': 'SimpleStrategy', 'replication_factor': 1", simple(1)),
        ("s3", "'class': 'SimpleStrategy', 'replication_factor': 3", simple(3)),
        ("n3", "'class': 'NetworkTopologyStrategy', 'dc1': 3", network([("dc1", 3)])),
        (
            "n2_2",
            "'class': 'NetworkTopologyStrategy', 'dc1': 2, 'dc2': 2",
            network([("dc1", 2), ("dc2", 2)]),
        ),
        (
            "n1_1",
            "'class': 'NetworkTopologyStrategy', 'dc1': 1, 'dc2': 1",
            network([("dc1", 1), ("dc2", 1)]),
        ),
    ];
    for (name, replication, _) in &keyspaces {
        create_keyspace(&session, name, replication).await?;
        run(&session, &format!("CREATE TABLE {name}.t (id int PRIMARY KEY)")).await?;
    }
    session.refresh_metadata().await?;
    let state = session.get_cluster_state();
    let rings = cluster.addresses().into_iter().map(admin::ring).collect::<Result<Vec<_>>>()?;
    assert_eq!(rings[0].partitions().count(), 256);
    for (name, _, strategy) in keyspaces {
        let placements = rings.iter().map(|ring| Placement::new(ring, strategy.clone()));
        let placements: Vec<_> = placements.collect();
        let lists = |placement: &Placement| {
            let partitions = rings[0].partitions().iter();
            partitions.map(|it| placement.replicas(it).to_vec()).collect::<Vec<_>>()
        };
        let first = lists(&placements[0]);
        assert!(placements.iter().all(|it| lists(it) == first), "{name}: nodes differ");
        assert_same_replicas(&rings[0], &placements[0], &state, name);
    }
    drop(session);
    cluster.finish()
}

fn simple(replication_factor: u8) -> Strategy {
    Strategy::Simple { replication_factor }
}

fn network<const N: usize>(factors: [(&str, u8); N]) -> Strategy {
    Strategy::NetworkTopology(factors.map(|(name, factor)| (name.to_owned(), factor)).into())
}

/// The first and the last token of every partition have the replicas that the driver computes.
fn assert_same_replicas(ring: &Ring, placement: &Placement, state: &ClusterState, keyspace: &str) {
    for partition in ring.partitions().iter() {
        let tokens = ring.partitions().tokens_of(partition);
        // The driver has no name for the least token, where only the empty key lies.
        let first = ring::Token::new(tokens.start().value().max(i64::MIN + 1));
        for token in [first, *tokens.end()] {
            let ours: Vec<_> = placement.replicas(partition).iter().map(|host| host.0).collect();
            let theirs = state.get_token_endpoints(keyspace, "t", Token::new(token.value()));
            let theirs: Vec<_> = theirs.iter().map(|(node, _)| node.host_id).collect();
            if matches!(placement.strategy(), Strategy::Simple { .. }) {
                assert_eq!(ours, theirs, "{keyspace}, {token:?}");
            }
            // Of several data centers the driver gives one list after the other.
            let sorted = |list: &[Uuid]| list.iter().copied().collect::<BTreeSet<_>>();
            assert_eq!(sorted(&ours), sorted(&theirs), "{keyspace}, {token:?}");
            assert_eq!(ours.len(), theirs.len(), "{keyspace}, {token:?}");
        }
    }
}

/// The replicas of every token where the one data center holds three, by our own ring.
struct Replicas {
    ring: Ring,
    placement: Placement,
}

impl Replicas {
    fn of(cluster: &Cluster) -> Result<Self> {
        let ring = admin::ring(cluster.addresses()[0])?;
        let placement = Placement::new(&ring, network([("datacenter1", 3)]));
        Ok(Self { ring, placement })
    }

    fn assert_contain(&self, token: ring::Token, coordinator: Uuid) -> Result<()> {
        let replicas = self.placement.replicas(self.ring.partition_of(token));
        let is_replica = replicas.contains(&HostId(coordinator));
        ensure!(is_replica, "{coordinator} is no replica of {token:?}: {replicas:?}");
        Ok(())
    }
}

#[test]
fn the_python_driver_does_all_of_it_too() -> Result<()> {
    let driver = Python::with(python::DRIVER)?;
    let cluster = five_nodes("python")?;
    let nodes: Vec<_> = cluster.addresses().iter().map(ToString::to_string).collect();
    let arguments = [nodes.join(","), "datacenter1".to_owned()];
    let found = driver.run("clients.py", &arguments, Duration::from_mins(3))?;

    let pages = found["pages"].as_array().context("pages")?;
    ensure!(pages.len() >= 10, "pages of {pages:?} rows");
    let replicas = Replicas::of(&cluster)?;
    let reads = found["reads"].as_array().context("reads")?;
    assert_eq!(reads.len(), 2 * usize::try_from(READS)?);
    let mut coordinators = BTreeMap::<Uuid, usize>::new();
    for read in reads {
        let token = ring::Token::new(read[1].as_str().context("a token")?.parse()?);
        let coordinator = read[2].as_str().context("a coordinator")?.parse()?;
        replicas.assert_contain(token, coordinator)?;
        *coordinators.entry(coordinator).or_default() += 1;
    }
    eprintln!("coordinators of {} reads: {coordinators:?}", reads.len());
    assert_eq!(coordinators.len(), 5, "every node is a replica of something");
    cluster.finish()
}
