//! A write at a replica whose store waits to be confirmed: who carries it out, who is told what.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use repair::cells::Ranges;
use repair::version::{Actor, Columns, Dot, Expiry, SiblingLimits, Siblings, VersionVector, Write};
use ring::register::{Acceptors, ChangeId, Stores};
use ring::{StoreId, Strategy, Token};
use tokio::sync::Notify;
use types::{Consistency, CqlType};
use uuid::Uuid;

use super::forward::{Outcome, forwarded_body, read_forwarded};
use super::*;
use crate::clock::SystemClock;
use crate::commits::Commits;
use crate::coord::{
    Carried, Footing, PartitionWrite, ReadError, RowChange, RowRead, WriteError, Written,
};
use crate::metadata::{
    Change, ClusterMetadata, ColumnKind, Conflict, Founding, Keyspace, Member, Secret, Secrets,
    Snapshot, SpeculativeRetry, Table, TableSpec,
};
use crate::network::TcpNetwork;
use crate::peer::{
    Answer, Handler, Hello, Introduce, Listener, PROTOCOL, PoolOptions, Received, Refusal, RowList,
};
use crate::replica::{Held, RowCopy};
use crate::store::commit::{Promise, QueueLimits, queue};
use crate::store::keys::{RowKey, TableLife};
use crate::store::memory::MemoryDisk;
use crate::store::open_in_memory;

mod cells;
mod ranges;
mod rows;

const WAIT: Duration = Duration::from_secs(20);

fn host(number: u128) -> HostId {
    HostId(Uuid::from_u128(number))
}

struct Local(HostId, SocketAddr);

impl Introduce for Local {
    fn hello(&self, class: Class) -> Hello {
        Hello {
            protocol: PROTOCOL,
            cluster_name: "flock".to_owned(),
            cluster_id: None,
            host: self.0,
            store: StoreId(1),
            internode: self.1,
            epoch: 0,
            wall_us: 0,
            class,
        }
    }

    fn met(&self, _: &Hello) {}
}

/// Another replica, which takes the writes that are forwarded to it or is not ready for them.
#[derive(Default)]
struct Peer {
    is_ready: bool,
    writes: AtomicUsize,
    /// How often it was asked for rows.
    reads: AtomicUsize,
    /// What it was sent to merge, a list for each request.
    applied: Mutex<Vec<Vec<(Bytes, Bytes)>>>,
    /// What it has under which keys, for reads of stretches; range tombstones under a prefix.
    stored: Mutex<BTreeMap<Bytes, Bytes>>,
    /// What it answers instead of merging or reading.
    refusal: OnceLock<Refusal>,
    /// Metadata that it has and this node has not.
    metadata: OnceLock<Bytes>,
    /// Wakes for each row that it is sent.
    was_sent: Notify,
    /// Its copy, which it answers reads with.
    row: OnceLock<Bytes>,
}

impl Handler for Peer {
    async fn handle(&self, _: Arc<Hello>, received: Received) -> Option<(Answer, Body)> {
        match received.request {
            Request::Write { .. } => {}
            Request::ReadRow { digest, .. } => {
                self.reads.fetch_add(1, Ordering::Relaxed);
                if let Some(refusal) = self.refusal.get() {
                    return Some((Answer::Refused(refusal.clone()), Body::new()));
                }
                if digest {
                    return Some((Answer::Digest(self.digest()), Body::new()));
                }
                return Some((Answer::Row, self.row.get().cloned().into_iter().collect()));
            }
            Request::ReadRange { start_len, rows_max, .. } => {
                self.reads.fetch_add(1, Ordering::Relaxed);
                let refusal = self.refusal.get().cloned().map(Answer::Refused);
                let page = || self.page(&received, start_len, rows_max as usize);
                return Some(refusal.map_or_else(page, |refused| (refused, Body::new())));
            }
            Request::Metadata => {
                return Some((
                    Answer::Metadata,
                    self.metadata.get().cloned().into_iter().collect(),
                ));
            }
            _ => {
                self.applied.lock().unwrap().extend(RowList::read(received.body));
                self.was_sent.notify_one();
                let refusal = self.refusal.get().cloned().map(Answer::Refused);
                return Some((refusal.unwrap_or(Answer::Applied), Body::new()));
            }
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        if !self.is_ready {
            return Some((Answer::Refused(Refusal::NotReady), Body::new()));
        }
        let row = Siblings::default().encode().into();
        let outcome = Outcome { row, replaced: 7, has_equal_sibling: false, is_crowded: false };
        let outcome =
            postcard::to_stdvec(&Ok::<_, WriteError>((vec![outcome], Footing::default()))).unwrap();
        Some((Answer::Written, Body::from_iter([outcome.into()])))
    }

    fn epoch(&self) -> u64 {
        0
    }
}

impl Peer {
    /// The digest of its copy of a row of versions.
    fn digest(&self) -> [u8; 16] {
        let row =
            self.row.get().map_or_else(Siblings::default, |row| Siblings::decode(row).unwrap());
        RowCopy::Siblings(row).digest().0
    }

    /// The rows of a stretch that is asked for, forwards.
    fn page(&self, received: &Received, start_len: u32, rows_max: usize) -> (Answer, Body) {
        let (start, end) = received.split_body(start_len).unwrap();
        let stored = self.stored.lock().unwrap();
        let inside = |key: &Bytes| *key >= start && (end.is_empty() || *key < end);
        let is_head = |value: &Bytes| Ranges::decode(value).is_ok();
        let (heads, rows): (Vec<_>, Vec<_>) =
            stored.iter().filter(|(key, _)| inside(key)).partition(|(_, value)| is_head(value));
        let more = rows.len() > rows_max;
        let mut list = RowList::default();
        for (key, value) in heads.iter().chain(rows.iter().take(rows_max)) {
            list.push(key, value);
        }
        let heads = heads.len().try_into().unwrap();
        (Answer::Rows { heads, more }, Body::from_iter([list.into_body()]))
    }
}

#[expect(clippy::disallowed_methods, reason = "the far end of the test")]
async fn serve(number: u128, is_ready: bool) -> (Arc<Peer>, SocketAddr) {
    let peer = Arc::new(Peer { is_ready, ..Peer::default() });
    let listener =
        Listener::bind(&TcpNetwork::default(), ([127, 0, 0, 1], 0).into(), 1 << 20).await.unwrap();
    let address = listener.address().unwrap();
    tokio::spawn(listener.serve(
        Arc::new(Local(host(number), address)),
        Arc::clone(&peer),
        Arc::default(),
    ));
    (peer, address)
}

/// Three replicas of a table of versions, `t`, and one of cells.
fn metadata(members: &[(HostId, SocketAddr)]) -> ClusterMetadata {
    let member = |&(host, internode): &(HostId, SocketAddr)| Member {
        host,
        store: StoreId(host.0.as_u128()),
        internode,
        cql: internode,
        datacenter: "dc".to_owned(),
        rack: "rack".to_owned(),
    };
    let secrets = Secrets { current: Secret { id: 1, key: [7; 32] }, previous: None };
    let founding = Founding {
        cluster_id: Uuid::from_u128(99),
        name: "flock".to_owned(),
        partitions: 8,
        claim_spread: 3,
        nodes_min: 1,
        member: member(&members[0]),
        secrets,
    };
    let keyspace = Keyspace {
        name: "app".to_owned(),
        strategy: Strategy::Simple { replication_factor: 3 },
        durable_writes: true,
        conflict: None,
        sloppy_quorum: None,
        tables: [].into(),
    };
    let spec = |name: &str, conflict| TableSpec {
        keyspace: "app".to_owned(),
        name: name.to_owned(),
        conflict: Some(conflict),
        sloppy_quorum: Some(false),
        speculative_retry: SpeculativeRetry::DEFAULT,
        columns: vec![("k".to_owned(), ColumnKind::Partition(0), CqlType::Int)],
        comment: String::new(),
    };
    let joins = members[1..].iter().map(|joining| Change::Join(member(joining)));
    let (default_conflict, if_not_exists) = (Conflict::Siblings, false);
    let table = |name, conflict| Change::CreateTable {
        spec: spec(name, conflict),
        default_conflict,
        if_not_exists,
    };
    let defined = [
        Change::CreateKeyspace { keyspace, if_not_exists },
        table("t", Conflict::Siblings),
        table("cells", Conflict::Lww),
    ];
    let value = founding.value(Acceptors::formed(Stores::new([StoreId(1)]).unwrap()));
    let changes = joins.chain(defined);
    changes.fold(value, |value, change| change.apply(&value, ChangeId(value.epoch.into())).unwrap())
}

/// A replica that has just restarted, and the two others.
struct Restarted {
    coordinator: Coordinator,
    commits: Commits,
    peers: [Arc<Peer>; 2],
    table: Arc<Table>,
    cells: Arc<Table>,
    /// The commit loop waits for it.
    may_commit: Arc<Notify>,
}

impl Restarted {
    async fn with_peers(are_ready: [bool; 2], seed: u64) -> Self {
        let restarted = Self::on_a_hanging_disk(are_ready, seed).await;
        restarted.may_commit.notify_one();
        restarted
    }

    #[expect(clippy::disallowed_methods, reason = "the commit loop of the test")]
    async fn on_a_hanging_disk(are_ready: [bool; 2], seed: u64) -> Self {
        let disk = MemoryDisk::new();
        drop(open_in_memory(&disk, &mut || 1).unwrap());
        let opened = open_in_memory(&disk, &mut || 1).unwrap();
        let engine = Arc::clone(&opened.engine);
        let (handle, commit_loop) =
            queue(opened, QueueLimits::default(), Promise::AfterSync).unwrap();
        let may_commit = Arc::new(Notify::new());
        let hanging = Arc::clone(&may_commit);
        tokio::spawn(async move {
            hanging.notified().await;
            commit_loop.run().await
        });
        let commits = Commits::new(handle);
        let me = commits.standing().host;
        let (one, one_at) = serve(2, are_ready[0]).await;
        let (other, other_at) = serve(3, are_ready[1]).await;
        let members = [(me, one_at), (host(2), one_at), (host(3), other_at)];
        let cluster = Arc::new(Cluster::new(me));
        cluster.install(Snapshot::new(metadata(&members)).unwrap());
        cluster.set_alive(BTreeSet::from(members.map(|(host, _)| host)));
        let table = |name| Arc::clone(cluster.snapshot().unwrap().table("app", name).unwrap());
        let (table, cells) = (table("t"), table("cells"));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let options = PoolOptions {
            connect_timeout: WAIT,
            frame_bytes_max: 1 << 20,
            queue_max: 1_000,
            look_pause: Duration::from_millis(500),
            clock: Arc::clone(&clock),
            network: Arc::new(TcpNetwork::default()),
        };
        let pool = Arc::new(Pool::new(Arc::new(Local(me, one_at)), options));
        let keeper = Keeper::new(
            Arc::clone(&cluster),
            commits.clone(),
            Arc::clone(&pool),
            Arc::clone(&clock),
        );
        let coordinator = Coordinator {
            cluster,
            pool,
            replica: Arc::new(Replica::new(engine, commits.clone(), Held::up_to(1 << 20))),
            keeper: Arc::new(keeper),
            clock,
            random: Random::seeded(seed),
            patience: Patience { read: WAIT, write: WAIT },
            hint_window: WAIT,
            keeps_hints: true,
            counters: Arc::default(),
            mending: Arc::new(Semaphore::new(MENDINGS_MAX)),
            latencies: Arc::default(),
            planted: Planted::None,
        };
        Self { coordinator, commits, peers: [one, other], table, cells, may_commit }
    }

    fn key(&self, row: &[u8]) -> RowKey {
        let life = TableLife { table: self.table.id.0, epoch: self.table.epoch };
        RowKey::new(life, Token::new(0), b"k", row)
    }

    /// An insert of a row of the partition.
    fn insert(&self, row: &[u8]) -> RowChange {
        let change =
            repair::version::Change::Insert { columns: Columns::default(), marker: Expiry::Never };
        let (context, limits) = (VersionVector::default(), SiblingLimits::default());
        RowChange::Versioned {
            table: Arc::clone(&self.table),
            key: self.key(row),
            write: Write { context, change, now: 0, write_time: 0, limits },
            reads_first: false,
        }
    }

    fn write(&self) -> PartitionWrite {
        write_of(vec![self.insert(&[])])
    }

    fn fetch(&self, row: &[u8]) -> Option<RowCopy> {
        self.coordinator.replica.fetch(Conflict::Siblings, &self.key(row)).unwrap()
    }

    /// How many replaced versions the client is told of: seven by a peer, none by this node.
    async fn replaced(&self) -> Result<usize, WriteError> {
        self.coordinator.write(self.write()).await.map(|done| replaced(&done.written))
    }

    /// How many writes were forwarded to each peer.
    fn forwarded(&self) -> [usize; 2] {
        [0, 1].map(|at| self.peers[at].writes.load(Ordering::Relaxed))
    }
}

fn write_of(changes: Vec<RowChange>) -> PartitionWrite {
    PartitionWrite { token: Token::new(0), changes, level: Consistency::One }
}

fn replaced(written: &[Written]) -> usize {
    written.iter().map(|written| written.replaced).sum()
}

#[tokio::test]
async fn a_replica_that_may_not_mint_yet_lets_another_one_carry_the_write_out() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    assert_eq!(restarted.replaced().await, Ok(7));
    assert_eq!(restarted.forwarded().iter().sum::<usize>(), 1);
    assert_eq!(restarted.fetch(&[]), None);
}

#[tokio::test]
async fn so_it_does_where_the_history_that_it_lacks_cannot_be_merged_without_an_epoch() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    let actor = Actor { store: restarted.commits.standing().store, epoch: 1 };
    let lost = VersionVector::from_iter([Dot::first_of(actor)]);
    let row = Siblings::from_parts(lost.clone(), Vec::new(), 0).unwrap();
    for peer in &restarted.peers {
        peer.row.set(row.encode().into()).unwrap();
    }
    let mut update = restarted.write();
    if let RowChange::Versioned { write, .. } = &mut update.changes[0] {
        write.context = lost;
        write.change = repair::version::Change::Update([].into());
    }
    let written = restarted.coordinator.write(update).await;
    assert_eq!(written.map(|done| replaced(&done.written)), Ok(7));
}

#[tokio::test]
async fn a_write_that_one_replica_refuses_goes_to_the_next() {
    let mut refusals = BTreeSet::new();
    for seed in 0..16 {
        let restarted = Restarted::with_peers([false, true], seed).await;
        assert_eq!(restarted.replaced().await, Ok(7));
        let [refused, taken] = restarted.forwarded();
        assert_eq!(taken, 1);
        refusals.insert(refused);
    }
    assert_eq!(refusals, BTreeSet::from([0, 1]), "each of them is asked first at some seed");
}

#[tokio::test]
async fn where_no_replica_may_mint_the_client_is_told_so_and_nothing_is_written() {
    let restarted = Restarted::with_peers([false, false], 1).await;
    assert_eq!(restarted.replaced().await, Err(WriteError::NotReady));
    assert_eq!(restarted.forwarded(), [1, 1]);
}

#[tokio::test]
async fn a_forwarded_write_is_refused_and_goes_no_further() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    let rows = RowList::read(forwarded_body(&restarted.write())).unwrap();
    let placed = |(key, body)| (Arc::clone(&restarted.table), RowKey::read(key).unwrap(), body);
    let changes = rows.into_iter().map(placed).collect();
    let (level, limits) = (Consistency::One, SiblingLimits::default());
    let outcome = restarted.coordinator.write_forwarded(changes, level, WAIT, limits);
    assert_eq!(outcome.await, Err(Refusal::NotReady));
    assert_eq!(restarted.forwarded(), [0, 0]);
}

#[tokio::test]
async fn a_confirmed_replica_carries_its_writes_out_itself() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    let store = restarted.commits.standing().store;
    restarted.commits.handle().confirm(store, None, StoreId(9)).await.unwrap();
    assert_eq!(restarted.replaced().await, Ok(0));
    assert_eq!(restarted.forwarded(), [0, 0]);
}

#[tokio::test]
async fn a_row_whose_stamp_comes_after_the_deadline_is_sent_all_the_same() {
    let mut restarted = Restarted::on_a_hanging_disk([true, true], 1).await;
    restarted.coordinator.patience.write = Duration::from_millis(100);
    let store = restarted.commits.standing().store;
    let handle = restarted.commits.handle().clone();
    let confirming = handle.confirm(store, None, StoreId(9));
    tokio::pin!(confirming);
    let outcome = tokio::select! {
        biased;
        _ = &mut confirming => panic!("nothing is committed yet"),
        outcome = restarted.replaced() => outcome,
    };
    let level = Consistency::One;
    assert_eq!(outcome, Err(WriteError::Timeout { level, received: 0, required: 1 }));
    restarted.may_commit.notify_one();
    confirming.await.unwrap();
    for peer in &restarted.peers {
        tokio::time::timeout(WAIT, peer.was_sent.notified()).await.expect("the row is sent");
    }
}
