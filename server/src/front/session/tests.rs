//! One connection of a client, without a network.

use std::net::SocketAddr;

use arc_swap::ArcSwap;
use ring::register::{ChangeId, SeedList};
use ring::{HostId, StoreId};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::*;
use crate::clock::{Clock, HybridClock, Random, SystemClock};
use crate::cluster::Cluster;
use crate::commits::Commits;
use crate::config::Config;
use crate::coord::{Coordinator, MENDINGS_MAX, Patience};
use crate::front::FrontParts;
use crate::front::events::tests::{create_keyspace, drop_keyspace, founded};
use crate::metadata::{ClusterMetadata, Snapshot};
use crate::network::TcpNetwork;
use crate::peer::{Class, Hello, Introduce, PROTOCOL, Pool, PoolOptions};
use crate::plan::LocalNode;
use crate::register::{Keeper, Proposals};
use crate::replica::{Held, Replica};
use crate::store::commit::{Promise, QueueLimits, queue};
use crate::store::memory::MemoryDisk;
use crate::store::open_in_memory;
use crate::upkeep::membership::Phase;

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
const STARTUP: u8 = 0x01;
const READY: u8 = 0x02;
const OPTIONS: u8 = 0x05;
const QUERY: u8 = 0x07;
const REGISTER: u8 = 0x0b;
const EVENT: u8 = 0x0c;
const ERROR: u8 = 0x00;
const SUPPORTED: u8 = 0x06;

struct Local(HostId);

impl Introduce for Local {
    fn hello(&self, class: Class) -> Hello {
        Hello {
            protocol: PROTOCOL,
            cluster_name: "flock".to_owned(),
            cluster_id: None,
            host: self.0,
            store: StoreId(1),
            internode: ADDRESS,
            epoch: 0,
            wall_us: 0,
            class,
        }
    }

    fn met(&self, _: &Hello) {}
}

/// The front of a node that knows no cluster yet.
fn front() -> Arc<Front> {
    let opened = open_in_memory(&MemoryDisk::new(), &mut || 1).unwrap();
    let engine = Arc::clone(&opened.engine);
    let (handle, _) = queue(opened, QueueLimits::default(), Promise::AfterSync).unwrap();
    let commits = Commits::new(handle);
    let me = HostId(Uuid::from_u128(1));
    let (cluster, config) = (Arc::new(Cluster::new(me)), Config::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = PoolOptions {
        connect_timeout: config.timeouts.connect,
        frame_bytes_max: 1 << 20,
        queue_max: 10,
        look_pause: Duration::from_millis(500),
        clock: Arc::clone(&clock),
        network: Arc::new(TcpNetwork::default()),
    };
    let pool = Arc::new(Pool::new(Arc::new(Local(me)), options));
    let keeper = Arc::new(Keeper::new(
        Arc::clone(&cluster),
        commits.clone(),
        Arc::clone(&pool),
        Arc::clone(&clock),
    ));
    let random = Random::seeded(1);
    let (proposals, _) = Proposals::new(
        Arc::clone(&cluster),
        Arc::clone(&keeper),
        commits.clone(),
        Arc::clone(&pool),
        Arc::clone(&clock),
        random.clone(),
        SeedList::new(vec![ADDRESS.to_string()]).unwrap(),
    );
    let coordinator = Coordinator {
        cluster: Arc::clone(&cluster),
        pool,
        replica: Arc::new(Replica::new(engine, commits, Held::up_to(1 << 20))),
        keeper,
        clock: Arc::clone(&clock),
        random,
        patience: Patience { read: config.timeouts.read, write: config.timeouts.write },
        hint_window: config.hints.window,
        keeps_hints: true,
        counters: Arc::default(),
        mending: Arc::new(Semaphore::new(MENDINGS_MAX)),
        latencies: Arc::default(),
        planted: config.testing.planted,
    };
    let local = LocalNode {
        host: me,
        cql: ADDRESS,
        internode: ADDRESS,
        listen: ADDRESS.ip(),
        datacenter: "dc".to_owned(),
        rack: "rack".to_owned(),
        generation: 1,
        version: "0".to_owned(),
    };
    Arc::new(Front::new(FrontParts {
        config,
        cluster,
        coordinator: Arc::new(coordinator),
        proposals: Arc::new(proposals),
        write_clock: Arc::new(HybridClock::new(Arc::clone(&clock), 0, i64::MAX)),
        random: Random::seeded(1),
        clock,
        phase: Arc::new(ArcSwap::from_pointee(Phase::Seeds { silent: Vec::new() })),
        local,
    }))
}

/// A client and the session that serves it.
struct Connected {
    front: Arc<Front>,
    reader: ReadHalf<DuplexStream>,
    writer: WriteHalf<DuplexStream>,
    session: JoinHandle<()>,
}

impl Connected {
    #[expect(clippy::disallowed_methods, reason = "the session under test")]
    fn over_a_pipe_of(bytes: usize) -> Self {
        let front = front();
        let (near, far) = duplex(bytes);
        let (reader, writer) = split(far);
        let session = tokio::spawn(Session::new(Arc::clone(&front), reader, writer).run());
        let (reader, writer) = split(near);
        Self { front, reader, writer, session }
    }

    /// A client that has registered with a node of a cluster of its own.
    async fn registered_over_a_pipe_of(bytes: usize) -> (Self, ClusterMetadata) {
        let mut client = Self::over_a_pipe_of(bytes);
        let value = founded();
        client.front.parts.cluster.install(Snapshot::new(value.clone()).unwrap());
        client.front.parts.phase.store(Arc::new(Phase::Member));
        client.send(1, STARTUP, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0").await;
        assert_eq!(client.answer().await, (1, READY));
        client.send(2, REGISTER, b"\0\x01\0\x0dSCHEMA_CHANGE").await;
        assert_eq!(client.answer().await, (2, READY));
        (client, value)
    }

    /// The node's keyspaces `a` to `h` come and go in turn, `count` times.
    async fn change_schema(&self, value: &mut ClusterMetadata, count: u32) {
        for n in 0..count {
            let name = ["a", "b", "c", "d", "e", "f", "g", "h"][n as usize % 8];
            let is_there = value.schema.keyspaces.contains_key(name);
            let change = if is_there { drop_keyspace(name) } else { create_keyspace(name, 1) };
            *value = change.apply(value, ChangeId(u128::from(n) + 1_000)).unwrap();
            self.front.parts.cluster.install(Snapshot::new(value.clone()).unwrap());
            tokio::task::yield_now().await;
        }
    }

    async fn send(&mut self, stream: u8, opcode: u8, body: &[u8]) {
        let frame = frame(stream, opcode, body);
        self.writer.write_all(&frame).await.unwrap();
    }

    /// Stream and opcode of the next answer.
    async fn answer(&mut self) -> (u8, u8) {
        let mut head = [0; 9];
        self.reader.read_exact(&mut head).await.unwrap();
        let len = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) as usize;
        self.reader.read_exact(&mut vec![0; len]).await.unwrap();
        (head[3], head[4])
    }

    /// The session has closed the connection and has ended.
    async fn ended(mut self) {
        assert_eq!(self.reader.read(&mut [0]).await.unwrap(), 0);
        drop((self.reader, self.writer));
        self.session.await.unwrap();
    }
}

fn frame(stream: u8, opcode: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[4, 0, 0, stream, opcode], &len[..], body].concat()
}

#[tokio::test]
async fn requests_that_come_together_are_answered_under_their_streams() {
    let mut client = Connected::over_a_pipe_of(1 << 16);
    for stream in 1..=3 {
        client.send(stream, OPTIONS, b"").await;
    }
    for stream in 1..=3 {
        assert_eq!(client.answer().await, (stream, SUPPORTED));
    }
}

#[tokio::test]
async fn nothing_is_carried_out_before_startup() {
    let mut client = Connected::over_a_pipe_of(1 << 16);
    client.send(7, QUERY, b"\0\0\0\x08SELECT 1\0\x01\0").await;
    assert_eq!(client.answer().await, (7, ERROR));
}

#[tokio::test]
async fn a_client_that_has_sent_its_last_request_gets_the_answer_to_it() {
    let mut client = Connected::over_a_pipe_of(1 << 16);
    client.send(1, OPTIONS, b"").await;
    client.writer.shutdown().await.unwrap();
    assert_eq!(client.answer().await, (1, SUPPORTED));
    client.ended().await;
}

#[tokio::test]
async fn a_client_that_never_pauses_does_not_keep_the_node_from_stopping() {
    let mut client = Connected::over_a_pipe_of(1 << 16);
    client.send(1, OPTIONS, b"").await;
    client.front.draining.cancel();
    let (mut reader, mut writer) = (client.reader, client.writer);
    let sending = async {
        let frames = frame(1, OPTIONS, b"").repeat(100);
        while writer.write_all(&frames).await.is_ok() {}
    };
    let reading = async { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await };
    let stopping = async { tokio::join!(sending, reading, client.session) };
    let ((), _, session) = timeout(Duration::from_secs(20), stopping).await.unwrap();
    session.unwrap();
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_read_no_further() {
    let mut client = Connected::over_a_pipe_of(1 << 10);
    let frames = frame(1, OPTIONS, b"").repeat(10);
    let mut sent = 0;
    let patience = Duration::from_millis(500);
    while let Ok(written) = timeout(patience, client.writer.write_all(&frames)).await {
        written.unwrap();
        sent += frames.len();
        assert!(sent < OUT_MAX, "answers are longer than requests");
    }
    assert_eq!(client.answer().await, (1, SUPPORTED));
}

#[tokio::test]
async fn events_come_as_whole_frames_between_answers() {
    let (mut client, mut value) = Connected::registered_over_a_pipe_of(1 << 16).await;
    for stream in 1..=100 {
        client.send(stream, OPTIONS, b"").await;
        client.change_schema(&mut value, 1).await;
    }
    let (mut answers, mut events) = (Vec::new(), 0);
    while answers.len() < 100 || events < 100 {
        match client.answer().await {
            (stream, SUPPORTED) => answers.push(stream),
            (0xff, EVENT) => events += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answers, (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_no_memory_and_is_told_the_difference() {
    let (mut client, mut value) = Connected::registered_over_a_pipe_of(1 << 10).await;
    client.change_schema(&mut value, 5_001).await;
    let mut bytes = Vec::new();
    let patience = Duration::from_millis(200);
    while let Ok(read) = timeout(patience, client.reader.read_buf(&mut bytes)).await {
        assert_ne!(read.unwrap(), 0, "the connection lives");
    }
    assert!(bytes.len() < TELL_MAX + (4 << 10), "{} bytes of events", bytes.len());
    let created = bytes.windows(7).filter(|window| window == b"CREATED").count();
    let dropped = bytes.windows(7).filter(|window| window == b"DROPPED").count();
    assert_eq!(created - dropped, value.schema.keyspaces.len());
}
