//! Nodes in one process, each with a store in memory, that exchange over real connections.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use repair::cells::{Expiry, Row, WriteStamp};
use repair::merkle::Digest;
use repair::version::{Change as RowChange, Columns, SiblingLimits, VersionVector, Write};
use ring::register::ChangeId;
use ring::{HostId, StoreId, Strategy, Token};

use super::*;
use crate::clock::SystemClock;
use crate::commits::Commits;
use crate::metadata::tests::{founded, keyspace, member};
use crate::metadata::{Change, ClusterMetadata, Conflict, Snapshot};
use crate::network::TcpNetwork;
use crate::peer::{
    Answer, Body, Class, Handler, Hello, Introduce, Listener, PROTOCOL, PoolOptions, Received,
    Refusal, Request, RowList,
};
use crate::replica::{Change as Stamping, DigestOptions, Held, Missed};
use crate::store::commit::{Promise, QueueLimits, queue};
use crate::store::engine::{Batch, Durability, Engine, Family, KeyRange, Order};
use crate::store::keys::{RowKey, TableLife};
use crate::store::memory::MemoryDisk;
use crate::store::open_in_memory;

const LIFE: TableLife = TableLife { table: 0, epoch: 0 };

struct Local(HostId, StoreId, SocketAddr);

impl Introduce for Local {
    fn hello(&self, class: Class) -> Hello {
        Hello {
            protocol: PROTOCOL,
            cluster_name: "flock".to_owned(),
            cluster_id: None,
            host: self.0,
            store: self.1,
            internode: self.2,
            epoch: 0,
            wall_us: 0,
            class,
        }
    }

    fn met(&self, _: &Hello) {}
}

/// What a node answers to others.
struct Door(Arc<AntiEntropy>);

impl Handler for Door {
    async fn handle(&self, from: Arc<Hello>, received: Received) -> Option<(Answer, Body)> {
        let outcome = match received.request {
            Request::Exchange { table, table_epoch, is_fenced, made_us } => {
                let life = TableLife { table, epoch: table_epoch };
                let asked = Asked { from: from.host, life, is_fenced, made_us };
                self.0.answer(asked, &received.body).await.map(|(is_fenced, reply)| {
                    (Answer::Exchanged { is_fenced }, Body::from_iter([Bytes::from(reply)]))
                })
            }
            Request::Mend { .. } => {
                let rows = RowList::read(received.body).unwrap();
                let merged = self.0.replica.mend(rows).await;
                merged.map(|()| (Answer::Applied, Body::new())).map_err(|_| Refusal::Damaged)
            }
            _ => Err(Refusal::Damaged),
        };
        Some(outcome.unwrap_or_else(|refusal| (Answer::Refused(refusal), Body::new())))
    }

    fn epoch(&self) -> u64 {
        0
    }
}

/// One node.
struct Node {
    all: Arc<AntiEntropy>,
    commits: Commits,
    engine: Arc<dyn Engine>,
    host: HostId,
}

/// A node that does not know yet who else there is.
struct Unborn {
    listener: Listener,
    commits: Commits,
    engine: Arc<dyn Engine>,
    address: SocketAddr,
}

#[expect(clippy::disallowed_methods, reason = "the commit loops of the test")]
async fn unborn(number: u128) -> Unborn {
    let mut drawn = number << 64;
    let opened = open_in_memory(&MemoryDisk::new(), &mut || {
        drawn += 1;
        drawn
    });
    let opened = opened.unwrap();
    let engine = Arc::clone(&opened.engine);
    let (handle, commit_loop) = queue(opened, QueueLimits::default(), Promise::AfterSync).unwrap();
    tokio::spawn(commit_loop.run());
    let listener =
        Listener::bind(&TcpNetwork::default(), ([127, 0, 0, 1], 0).into(), 16 << 20).await.unwrap();
    let address = listener.address().unwrap();
    Unborn { listener, commits: Commits::new(handle), engine, address }
}

/// The metadata of these nodes: a table `app.t` that all of them hold all of.
fn metadata(nodes: &[Unborn], conflict: Conflict) -> ClusterMetadata {
    let mut value = founded(1);
    let members = nodes.iter().map(|node| {
        let standing = node.commits.standing();
        let (host, store, internode) = (standing.host, standing.store, node.address);
        crate::metadata::Member { host, store, internode, ..member(1) }
    });
    let members: Vec<_> = members.collect();
    value.members = vec![members[0].clone()];
    value.owners = vec![members[0].host; value.owners.len()];
    let keyspace = keyspace("app", Strategy::Simple { replication_factor: 3 });
    let table = crate::metadata::tests::create_table(false);
    let Change::CreateTable { mut spec, default_conflict, if_not_exists } = table else {
        unreachable!("it creates a table")
    };
    spec.conflict = Some(conflict);
    let joins = members[1..].iter().cloned().map(Change::Join);
    let defined = [
        Change::CreateKeyspace { keyspace, if_not_exists },
        Change::CreateTable { spec, default_conflict, if_not_exists },
    ];
    joins.chain(defined).fold(value, |value, change| {
        change.apply(&value, ChangeId(u128::from(value.epoch) + 50)).unwrap()
    })
}

#[expect(clippy::disallowed_methods, reason = "the listeners of the test")]
fn born(unborn: Unborn, value: &ClusterMetadata) -> Node {
    let Unborn { listener, commits, engine, address } = unborn;
    let standing = commits.standing();
    let cluster = Arc::new(Cluster::new(standing.host));
    cluster.install(Snapshot::new(value.clone()).unwrap());
    cluster.set_alive(value.members.iter().map(|member| member.host).collect());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let pool_options = PoolOptions {
        connect_timeout: Duration::from_secs(20),
        frame_bytes_max: 16 << 20,
        queue_max: 1_000,
        look_pause: Duration::from_millis(500),
        clock: Arc::clone(&clock),
        network: Arc::new(TcpNetwork::default()),
    };
    let local = Arc::new(Local(standing.host, standing.store, address));
    let pool = Arc::new(Pool::new(Arc::clone(&local) as Arc<dyn Introduce>, pool_options));
    let keeper = Arc::new(Keeper::new(
        Arc::clone(&cluster),
        commits.clone(),
        Arc::clone(&pool),
        Arc::clone(&clock),
    ));
    let fence = Arc::new(Fence::load(engine.as_ref(), commits.clone()).unwrap());
    let replica = Replica::new(Arc::clone(&engine), commits.clone(), Held::up_to(1 << 20));
    let replica = replica.behind(Arc::clone(&fence));
    let digests = Arc::new(Digests::new(
        Arc::clone(&engine),
        Arc::clone(commits.handle().marks()),
        Arc::clone(&clock),
        DigestOptions {
            trusted_for: Duration::from_hours(1),
            host: standing.host,
            clears_marks: false,
        },
    ));
    let all = Arc::new(AntiEntropy::new(AntiEntropyParts {
        cluster,
        keeper,
        pool,
        replica: Arc::new(replica),
        digests,
        fence,
        clock,
        random: Random::seeded(1),
        options: AntiEntropyOptions {
            interval: Duration::from_hours(1),
            concurrency: 2,
            bytes_per_second: 1 << 30,
            age_max: Duration::from_mins(1),
        },
    }));
    tokio::spawn(listener.serve(local, Arc::new(Door(Arc::clone(&all))), Arc::default()));
    Node { all, commits, engine, host: standing.host }
}

/// So many nodes, each behind its fence, by host id.
async fn fenced(count: u128, conflict: Conflict) -> Vec<Node> {
    let mut nodes = Vec::new();
    for number in 1..=count {
        nodes.push(unborn(number).await);
    }
    nodes.sort_by_key(|node| node.commits.standing().host);
    let value = metadata(&nodes, conflict);
    nodes.into_iter().map(|node| born(node, &value)).collect()
}

/// The same before their fences.
async fn cluster(count: u128, conflict: Conflict) -> Vec<Node> {
    let nodes = fenced(count, conflict).await;
    for node in &nodes {
        node.free().await;
    }
    nodes
}

fn key(number: u64) -> RowKey {
    let key = number.to_be_bytes();
    RowKey::new(LIFE, Token::of_key(&key), &key, &[])
}

fn cells(timestamp: i64, value: &'static str) -> Bytes {
    let mut row = Row::default();
    let stamp = WriteStamp { timestamp, operation: 1 };
    row.set(1, stamp, Expiry::Never, Some(Bytes::from_static(value.as_bytes())));
    row.encode().into()
}

impl Node {
    async fn free(&self) {
        self.all.fence.lower(self.commits.standing().store).await.unwrap();
    }

    /// Merges these cells under these keys.
    async fn write(&self, numbers: impl IntoIterator<Item = u64>, timestamp: i64) {
        let row = |number| (key(number).into(), cells(timestamp, "value"));
        self.all
            .replica
            .apply(numbers.into_iter().map(row).collect(), &Missed::new())
            .await
            .unwrap();
    }

    /// Puts bytes under keys, or takes rows away, past the commit loop and its marks.
    fn behind_its_back(&self, numbers: impl IntoIterator<Item = u64>, value: Option<&Bytes>) {
        let mut batch = Batch::default();
        for number in numbers {
            match value {
                Some(value) => batch.put(Family::Rows, key(number), value.clone()),
                None => batch.delete(Family::Rows, key(number)),
            }
        }
        self.engine.commit(&batch, Durability::Synced).unwrap();
    }

    fn rows(&self) -> Vec<(Bytes, Bytes)> {
        self.engine.rows(Family::Rows, &KeyRange::all(), Order::Forward, usize::MAX).unwrap()
    }

    fn share(&self, peer: &Self) -> Share {
        let snapshot = self.all.cluster.snapshot().unwrap();
        shares(&snapshot, self.host).into_iter().find(|share| share.peer == peer.host).unwrap()
    }

    async fn talk(&self, peer: &Self, mode: Mode) -> Talked {
        self.all.talk(&self.share(peer), mode, Duration::MAX).await
    }

    /// Asks for a round and waits for its end.
    async fn asked_round(&self, preview: bool) -> Round {
        let id = self.all.ask_round(RoundRequest { table: None, preview }).unwrap();
        let wait = async {
            loop {
                let round = self.all.last_round().unwrap();
                if round.id == id && round.is_done {
                    return round;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            biased;
            () = self.all.run_rounds() => panic!("it works for ever"),
            round = wait => round,
        }
    }
}

#[tokio::test]
async fn two_replicas_hold_the_same_after_an_exchange_and_have_nothing_to_say_then() {
    let nodes = cluster(2, Conflict::Lww).await;
    nodes[0].write(0..300, 1).await;
    nodes[1].write(0..300, 1).await;
    nodes[0].write([3, 400], 2).await;
    nodes[1].write([5, 500, 501], 2).await;
    let talked = nodes[0].talk(&nodes[1], Mode::Mend).await;
    assert_eq!(talked.failure, None);
    let found = talked.found;
    assert_eq!((found.differences, found.pulled, found.pushed), (5, 4, 2));
    assert_eq!(nodes[0].rows(), nodes[1].rows());
    assert_eq!(nodes[0].rows().len(), 303);
    assert_eq!(nodes[0].all.roots().await, nodes[1].all.roots().await);
    let again = nodes[1].talk(&nodes[0], Mode::Mend).await;
    assert_eq!((again.failure, again.found), (None, repair::exchange::Found::default()));
    assert!(again.sent + again.received < 1_000, "{} {}", again.sent, again.received);
}

#[tokio::test]
async fn rows_that_vanish_without_a_write_are_found_by_a_round_that_reads_the_disk() {
    let nodes = cluster(3, Conflict::Lww).await;
    for node in &nodes {
        node.write(0..2_000, 1).await;
    }
    for peer in &nodes[1..] {
        assert_eq!(nodes[0].talk(peer, Mode::Mend).await.found.differences, 0);
    }
    nodes[1].behind_its_back((0..2_000).step_by(20), None);
    let trusted = nodes[0].talk(&nodes[1], Mode::Mend).await;
    assert_eq!((trusted.failure, trusted.found.differences), (None, 0), "digests are trusted");
    let preview = nodes[0].asked_round(true).await;
    assert_eq!((preview.differences, preview.mended_there), (100, 0), "{preview:?}");
    let round = nodes[0].asked_round(false).await;
    assert_eq!((round.differences, round.mended_here, round.mended_there), (100, 0, 100));
    assert_eq!((round.partitions, round.partitions_done), (16, 16));
    assert_eq!((round.rows_compared, &round.failures), (4_000, &Vec::new()));
    assert_eq!(nodes[0].rows(), nodes[1].rows());
    let again = nodes[2].asked_round(false).await;
    assert_eq!((again.differences, again.mended_here, again.mended_there), (0, 0, 0));
    let sent: Vec<_> = again.peers.values().map(|it| it.bytes_sent + it.bytes_received).collect();
    assert!(sent.iter().all(|bytes| *bytes < 64 << 10), "{sent:?}");
}

#[tokio::test]
async fn entries_of_fresh_epochs_reach_all_replicas_within_one_round() {
    let nodes = cluster(3, Conflict::Siblings).await;
    let change = RowChange::Insert { columns: Columns::default(), marker: Expiry::Never };
    let context = VersionVector::default();
    let limits = SiblingLimits::default();
    let write = Write { context, change, now: 0, write_time: 0, limits };
    for number in 0..60 {
        let stamp = Stamping::Versioned { key: key(number), write: write.clone() };
        nodes[1].all.replica.write(vec![stamp], &Missed::new()).await.unwrap();
    }
    let round = nodes[0].asked_round(false).await;
    assert_eq!(round.differences, 120, "each of the two others lacked or had them all: {round:?}");
    assert!(nodes[0].rows() == nodes[1].rows() && nodes[1].rows() == nodes[2].rows());
    // Whoever has stamped them gets them back, and finds that it lost what it had stamped.
    nodes[1].behind_its_back(0..60, None);
    let round = nodes[0].asked_round(false).await;
    assert!(round.mended_there >= 60 && round.mended_here >= 60, "{round:?}");
    assert!(nodes[0].rows() == nodes[1].rows() && nodes[1].rows() == nodes[2].rows());
    assert_eq!(nodes[2].asked_round(false).await.differences, 0);
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_counted_and_mended() {
    for conflict in [Conflict::Lww, Conflict::Siblings] {
        let nodes = cluster(2, conflict).await;
        if conflict == Conflict::Lww {
            nodes[0].write(0..50, 1).await;
        } else {
            let change = RowChange::Insert { columns: Columns::default(), marker: Expiry::Never };
            let (context, limits) = (VersionVector::default(), SiblingLimits::default());
            let write = Write { context, change, now: 0, write_time: 0, limits };
            for number in 0..50 {
                let stamp = Stamping::Versioned { key: key(number), write: write.clone() };
                nodes[0].all.replica.write(vec![stamp], &Missed::new()).await.unwrap();
            }
        }
        nodes[0].talk(&nodes[1], Mode::Mend).await;
        assert_eq!(nodes[0].rows(), nodes[1].rows());
        for (bad, good) in [(0, 1), (1, 0)] {
            let (bad, good): (&Node, &Node) = (&nodes[bad], &nodes[good]);
            bad.behind_its_back([7, 8], Some(&Bytes::from_static(b"\x01 no row")));
            let round = bad.asked_round(true).await;
            assert_eq!((round.differences, bad.all.unreadable()), (2, 2), "{round:?}");
            let round = good.asked_round(false).await;
            assert_eq!(round.failures, Vec::<String>::new());
            assert_eq!(bad.all.replica.counters().mended_rows.load(Ordering::Relaxed), 2);
            assert_eq!(good.rows(), bad.rows());
            bad.asked_round(false).await;
            assert_eq!(bad.all.unreadable(), 0);
        }
    }
}

#[tokio::test]
async fn the_lower_host_begins_and_whoever_is_hurried() {
    let nodes = cluster(2, Conflict::Lww).await;
    nodes[1].write(0..10, 1).await;
    nodes[1].all.round().await;
    assert_eq!(nodes[0].rows(), [], "the other one begins");
    let partitions = nodes[1].all.cluster.snapshot().unwrap().ring.partitions();
    nodes[1].all.hurry().want(nodes[0].host, partitions.iter());
    assert_eq!(nodes[1].all.hurry().waiting(), 8);
    nodes[1].all.round().await;
    assert_eq!((nodes[0].rows().len(), nodes[1].all.hurry().waiting()), (10, 0));
    nodes[1].write(10..20, 1).await;
    nodes[0].all.round().await;
    assert_eq!(nodes[0].rows(), nodes[1].rows());
    let exchanges = &nodes[0].all.exchanges()[0];
    assert_eq!((exchanges.partitions, exchanges.complete, exchanges.differences), (8, 8, 10));
    assert_eq!((exchanges.oldest_s, &exchanges.failure), (Some(0), &None));
}

#[tokio::test]
async fn what_is_hurried_waits_until_its_host_is_alive() {
    let nodes = cluster(2, Conflict::Lww).await;
    nodes[1].write(0..10, 1).await;
    nodes[1].all.cluster.set_alive(BTreeSet::new());
    let partitions = nodes[1].all.cluster.snapshot().unwrap().ring.partitions();
    nodes[1].all.hurry().want(nodes[0].host, partitions.iter());
    nodes[1].all.round().await;
    assert_eq!((nodes[0].rows().len(), nodes[1].all.hurry().waiting()), (0, 8));
    nodes[1].all.cluster.set_alive([nodes[0].host].into());
    nodes[1].all.round().await;
    assert_eq!((nodes[0].rows().len(), nodes[1].all.hurry().waiting()), (10, 0));
}

#[tokio::test]
async fn only_replicas_of_the_living_table_are_answered_and_not_late() {
    let nodes = cluster(2, Conflict::Lww).await;
    let all = &nodes[0].all;
    let question =
        repair::exchange::Question::Roots { age_max_ms: 0, roots: vec![(0, Digest::ZERO)] };
    let question = postcard::to_stdvec(&question).unwrap();
    let made_us = all.clock.wall_us();
    let asked = Asked { from: nodes[1].host, life: LIFE, is_fenced: false, made_us };
    assert!(all.answer(asked, &question).await.is_ok());
    let stranger = Asked { from: HostId(uuid::Uuid::from_u128(99)), ..asked };
    let refused = all.answer(stranger, &question).await;
    assert!(matches!(refused, Err(Refusal::NotReplica { .. })), "{refused:?}");
    let late = Asked { made_us: made_us - 61_000_000, ..asked };
    let refused = all.answer(late, &question).await;
    assert!(matches!(refused, Err(Refusal::Stale { .. })), "{refused:?}");
    let unborn = Asked { life: TableLife { table: 0, epoch: 1 }, ..asked };
    let refused = all.answer(unborn, &question).await;
    assert_eq!(refused, Err(Refusal::UnknownTable { table: 0 }));
    assert_eq!(all.answer(asked, b"\xff").await, Err(Refusal::Damaged));
}

#[tokio::test]
async fn a_new_store_takes_everything_in_and_gives_nothing_before_it_has_all() {
    let nodes = fenced(3, Conflict::Lww).await;
    let (new, old) = (&nodes[0], &nodes[1..]);
    for node in old {
        node.free().await;
    }
    old[0].write(0..100, 1).await;
    old[1].write(50..150, 1).await;
    new.write([1_000], 1).await;
    assert!(new.all.replica.fetch(Conflict::Lww, &key(1_000)).is_err(), "it answers no reads");
    let refused = old[0].talk(new, Mode::Mend).await.failure;
    assert_eq!(refused, Some(talk::TalkFailure::Refused(Refusal::Fenced)));
    assert_eq!(new.all.ask_round(RoundRequest::default()), Err(RoundRefusal::Fenced));
    let mut fetched = Fetched::default();
    new.all.cluster.set_alive(BTreeSet::new());
    assert!(!new.all.fetch(&mut fetched).await, "nobody is there to fetch from");
    new.all.cluster.set_alive(old.iter().map(|node| node.host).collect());
    assert!(new.all.fetch(&mut fetched).await);
    assert_eq!(new.rows().len(), 151);
    assert_eq!((old[0].rows().len(), old[1].rows().len()), (100, 100), "it gave nothing");
    assert!(new.all.replica.fetch(Conflict::Lww, &key(1_000)).unwrap().is_some());
    new.all.round().await;
    old[0].all.round().await;
    assert!(new.rows() == old[0].rows() && new.rows() == old[1].rows());
}

#[tokio::test]
async fn stores_that_are_all_new_free_one_another() {
    let nodes = fenced(3, Conflict::Lww).await;
    for (number, node) in (0..).zip(&nodes) {
        node.write(number * 10..number * 10 + 20, 1).await;
    }
    for node in &nodes {
        assert!(node.all.fetch(&mut Fetched::default()).await);
        assert_eq!(node.rows().len(), 40);
    }
}

#[tokio::test]
async fn a_fenced_peer_is_left_out_where_another_one_is_not() {
    let nodes = fenced(3, Conflict::Lww).await;
    nodes[2].free().await;
    nodes[1].write(0..10, 1).await;
    nodes[2].write(5..20, 1).await;
    assert!(nodes[0].all.fetch(&mut Fetched::default()).await);
    assert_eq!(nodes[0].rows().len(), 15, "only from the one that has all");
}

#[tokio::test]
async fn a_store_that_shares_nothing_is_free_at_once_but_not_before_it_is_registered() {
    let nodes = fenced(1, Conflict::Lww).await;
    let node = &nodes[0];
    let mut fetched = Fetched::default();
    let store = node.commits.standing().store;
    node.commits.handle().renew(StoreId(4_711)).await.unwrap();
    assert!(!node.all.fetch(&mut fetched).await, "the metadata name another store");
    node.commits.handle().renew(store).await.unwrap();
    assert!(node.all.fetch(&mut fetched).await);
}
