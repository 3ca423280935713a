//! Two ends of a connection, over loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use ring::{HostId, StoreId};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use uuid::Uuid;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::network::TcpNetwork;

const READ: Request = Request::ReadRow { as_stand_in: false, digest: false };

struct Local {
    name: &'static str,
    host: HostId,
    cluster_id: Option<Uuid>,
}

impl Introduce for Local {
    fn hello(&self, class: Class) -> Hello {
        Hello {
            protocol: PROTOCOL,
            cluster_name: self.name.to_owned(),
            cluster_id: self.cluster_id,
            host: self.host,
            store: StoreId(1),
            internode: ([127, 0, 0, 1], 1).into(),
            epoch: 0,
            wall_us: 0,
            class,
        }
    }

    fn met(&self, _: &Hello) {}
}

/// Answers reads with the body it got; says nothing to pings.
struct Echo;

/// Takes its time for a request, and says when one has begun and when it is finished.
#[derive(Default)]
struct Slow {
    begun: Notify,
    finish: Notify,
    finished: Notify,
}

impl Handler for Slow {
    async fn handle(&self, _: Arc<Hello>, _: Received) -> Option<(Answer, Body)> {
        self.begun.notify_one();
        self.finish.notified().await;
        self.finished.notify_one();
        Some((Answer::Applied, Body::new()))
    }

    fn epoch(&self) -> u64 {
        42
    }
}

/// Counts the requests that it has read.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Handler for Counting {
    async fn handle(&self, _: Arc<Hello>, received: Received) -> Option<(Answer, Body)> {
        if received.request == Request::Ping {
            return Some((Answer::Pong, Body::new()));
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Some((Answer::Applied, Body::new()))
    }

    fn epoch(&self) -> u64 {
        42
    }
}

impl Handler for Echo {
    async fn handle(&self, _: Arc<Hello>, received: Received) -> Option<(Answer, Body)> {
        match received.request {
            Request::ReadRow { .. } => Some((Answer::Row, Body::from_iter([received.body]))),
            _ => None,
        }
    }

    fn epoch(&self) -> u64 {
        42
    }
}

/// A connection is given up after ten of these.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

fn host(number: u128) -> HostId {
    HostId(Uuid::from_u128(number))
}

fn local(name: &'static str, number: u128, cluster_id: Option<u128>) -> Arc<dyn Introduce> {
    Arc::new(Local { name, host: host(number), cluster_id: cluster_id.map(Uuid::from_u128) })
}

fn pool(local: Arc<dyn Introduce>) -> Pool {
    pool_of(local, 1_000)
}

fn pool_of(local: Arc<dyn Introduce>, queue_max: usize) -> Pool {
    let options = PoolOptions {
        connect_timeout: Duration::from_secs(5),
        frame_bytes_max: 1 << 20,
        queue_max,
        look_pause: LOOK_PAUSE,
        clock: Arc::new(SystemClock),
        network: Arc::new(TcpNetwork::default()),
    };
    Pool::new(local, options)
}

#[expect(clippy::disallowed_methods, reason = "the far end of the test")]
async fn serve(local: Arc<dyn Introduce>, handler: Arc<impl Handler>) -> SocketAddr {
    let listener =
        Listener::bind(&TcpNetwork::default(), ([127, 0, 0, 1], 0).into(), 1 << 20).await.unwrap();
    let address = listener.address().unwrap();
    tokio::spawn(listener.serve(local, handler, Arc::default()));
    address
}

async fn listener(local: Arc<dyn Introduce>) -> SocketAddr {
    serve(local, Arc::new(Echo)).await
}

async fn ask(
    pool: &Pool,
    to: Target,
    request: Request,
    body: &'static str,
) -> Result<Reply, CallError> {
    let deadline = SystemClock.now() + Duration::from_secs(if body.is_empty() { 1 } else { 20 });
    let body = Body::from_iter([Bytes::from(body)]);
    pool.call(to, Class::Rows, 7, request, body, deadline).await
}

#[tokio::test]
async fn many_requests_get_their_own_answers() {
    let address = listener(local("c", 2, None)).await;
    let pool = pool(local("c", 1, None));
    let to = Target { address, host: Some(host(2)) };
    let asked = (0..100).map(|number| {
        let deadline = SystemClock.now() + Duration::from_secs(20);
        let body = Bytes::from(number.to_string());
        pool.call(to, Class::Rows, 7, READ, Body::from_iter([body]), deadline)
    });
    let replies = futures::future::join_all(asked).await;
    for (number, reply) in replies.into_iter().enumerate() {
        let reply = reply.unwrap();
        assert_eq!((reply.answer, reply.epoch), (Answer::Row, 42));
        assert_eq!(reply.body, Bytes::from(number.to_string()));
        assert_eq!(reply.from.host, host(2));
    }
}

#[tokio::test]
async fn a_peer_that_cannot_be_reached_was_never_sent_anything() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let to = Target { address, host: None };
    let outcome = ask(&pool(local("c", 1, None)), to, READ, "x").await;
    let nobody = matches!(outcome, Err(CallError::NotSent { nobody_listens: true, .. }));
    assert!(nobody, "{outcome:?}");
}

#[tokio::test]
async fn a_request_without_an_answer_is_lost_at_its_deadline() {
    let address = listener(local("c", 2, None)).await;
    let to = Target { address, host: None };
    let outcome = ask(&pool(local("c", 1, None)), to, Request::Ping, "").await;
    assert_eq!(outcome.unwrap_err(), CallError::Lost);
}

#[tokio::test]
async fn a_broken_connection_loses_what_was_under_way_and_is_dialled_anew() {
    let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Target { address: far.local_addr().unwrap(), host: None };
    let pool = pool(local("c", 1, None));
    for _ in 0..2 {
        let breaking = async { drop(greeted(&far).await) };
        let (outcome, ()) = tokio::join!(ask(&pool, to, READ, "x"), breaking);
        assert_eq!(outcome.unwrap_err(), CallError::Lost);
    }
}

/// A connection on which hands were shaken and the first request has arrived.
async fn greeted(far: &TcpListener) -> tokio::net::TcpStream {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut stream, _) = far.accept().await.unwrap();
    let mut sink = [0; 4096];
    assert!(stream.read(&mut sink).await.unwrap() > 0);
    let mut out = bytes::BytesMut::new();
    let hello = local("c", 2, None).hello(Class::Rows);
    codec::write(&Head::Hello(hello), &Body::new(), &mut out);
    stream.write_all(&out).await.unwrap();
    assert!(stream.read(&mut sink).await.unwrap() > 0);
    stream
}

#[tokio::test]
async fn another_node_at_the_address_gets_nothing() {
    let address = listener(local("c", 2, None)).await;
    let to = Target { address, host: Some(host(3)) };
    let outcome = ask(&pool(local("c", 1, None)), to, READ, "x").await;
    assert!(matches!(outcome, Err(CallError::NotSent { .. })), "{outcome:?}");
}

#[tokio::test]
async fn clusters_do_not_mix() {
    let cases = [
        (local("one", 1, None), local("two", 2, None), "belongs to"),
        (local("c", 1, Some(1)), local("c", 2, Some(2)), "another cluster"),
    ];
    for (near, far, phrase) in cases {
        let address = listener(far).await;
        let to = Target { address, host: None };
        match ask(&pool(near), to, READ, "x").await {
            Err(CallError::NotSent { why, .. }) => assert!(why.contains(phrase), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_request_under_way_is_finished_although_its_connection_breaks() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let slow = Arc::new(Slow::default());
    let address = serve(local("c", 2, None), Arc::clone(&slow)).await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut out = bytes::BytesMut::new();
    let hello = local("c", 1, None).hello(Class::Rows);
    codec::write(&Head::Hello(hello), &Body::new(), &mut out);
    let request = Request::Write { level: types::Consistency::One, as_stand_in: false };
    let head = Head::Request { id: 1, epoch: 0, wait_ms: 1_000, request };
    codec::write(&head, &Body::new(), &mut out);
    stream.write_all(&out).await.unwrap();
    assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
    slow.begun.notified().await;
    drop(stream);
    tokio::time::sleep(Duration::from_millis(50)).await;
    slow.finish.notify_one();
    let finished = tokio::time::timeout(Duration::from_secs(20), slow.finished.notified());
    finished.await.expect("the request goes on without its connection");
}

#[tokio::test]
async fn a_request_that_is_too_long_is_not_sent_and_the_connection_lives_on() {
    let address = listener(local("c", 2, None)).await;
    let pool = pool(local("c", 1, None));
    let to = Target { address, host: None };
    let deadline = SystemClock.now() + Duration::from_secs(20);
    let long = Body::from_iter([Bytes::from(vec![0; 1 << 20])]);
    let outcome = pool.call(to, Class::Rows, 7, READ, long, deadline).await;
    assert!(matches!(outcome, Err(CallError::NotSent { .. })), "{outcome:?}");
    assert_eq!(ask(&pool, to, READ, "x").await.unwrap().body, Bytes::from("x"));
}

#[tokio::test]
async fn what_finds_the_queue_full_is_refused_at_once() {
    // It accepts connections by itself, and never says a word.
    let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = pool_of(local("c", 1, None), 2);
    let deadline = SystemClock.now() + Duration::from_secs(20);
    let call = || {
        let to = Target { address: far.local_addr().unwrap(), host: None };
        pool.call(to, Class::Rows, 7, READ, Body::new(), deadline)
    };
    let mut calls = [call(), call(), call(), call()].map(Box::pin);
    let refused = calls.iter_mut().filter_map(|call| call.as_mut().now_or_never());
    let refused: Vec<_> = refused.map(|outcome| outcome.map(|reply| reply.answer)).collect();
    assert!(refused.len() >= 2, "two may wait, and {refused:?} were refused");
    assert!(refused.iter().all(|outcome| matches!(outcome, Err(CallError::NotSent { .. }))));
}

/// A request about rows that nobody waits for.
fn leave(pool: &Pool, address: SocketAddr, body: Bytes) {
    let to = Target { address, host: None };
    let deadline = SystemClock.now() + Duration::from_secs(20);
    let body = Body::from_iter([body]);
    drop(pool.call(to, Class::Rows, 7, READ, body, deadline));
}

#[tokio::test]
async fn what_nobody_waits_for_is_read_by_the_peer_when_a_flush_ends() {
    let counting = Arc::new(Counting::default());
    let address = serve(local("c", 2, None), Arc::clone(&counting)).await;
    for queue_max in [100, 1_000] {
        // With the shorter queue the flush has to wait for its own place.
        let pool = pool_of(local("c", 1, None), queue_max);
        let before = counting.0.load(Ordering::Relaxed);
        (0..100).for_each(|_| leave(&pool, address, Bytes::from(vec![0; 100_000])));
        pool.flush(SystemClock.now() + Duration::from_secs(20)).await;
        assert_eq!(counting.0.load(Ordering::Relaxed) - before, 100);
        assert_eq!(pool.counters().lost.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn a_flush_gives_up_who_cannot_be_reached_and_what_was_for_them_is_counted() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let pool = pool(local("c", 1, None));
    (0..10).for_each(|_| leave(&pool, address, Bytes::new()));
    let patience = Duration::from_secs(20);
    let flushed = pool.flush(SystemClock.now() + patience);
    tokio::time::timeout(patience / 2, flushed).await.unwrap();
    assert!(pool.counters().not_sent.load(Ordering::Relaxed) >= 10);
}

#[tokio::test]
async fn a_flush_ends_at_its_deadline_although_the_peer_says_nothing() {
    let address = listener(local("c", 2, None)).await;
    let pool = pool(local("c", 1, None));
    leave(&pool, address, Bytes::new());
    let flushed = pool.flush(SystemClock.now() + Duration::from_millis(100));
    tokio::time::timeout(Duration::from_secs(20), flushed).await.unwrap();
}

/// Carries a connection to `address`, whose bytes `change` on the way there.
#[expect(clippy::disallowed_methods, reason = "a part of the test")]
async fn carry(address: SocketAddr, change: fn(&mut [u8])) -> SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let carrier = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = tokio::net::TcpStream::connect(address).await.unwrap();
            let ((mut near_reads, mut near_writes), (mut far_reads, mut far_writes)) =
                (near.into_split(), far.into_split());
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = near_reads.read(&mut bytes).await {
                    change(&mut bytes[..count]);
                    far_writes.write_all(&bytes[..count]).await.unwrap();
                }
            });
            tokio::spawn(async move { tokio::io::copy(&mut far_reads, &mut near_writes).await });
        }
    });
    carrier
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the far end of the test")]
async fn corrupted_bytes_are_counted_and_end_the_connection_and_nothing_is_carried_out() {
    let handler = Arc::new(Counting::default());
    let counters = Arc::<PeerCounters>::default();
    let network = TcpNetwork::default();
    let bound = Listener::bind(&network, ([127, 0, 0, 1], 0).into(), 1 << 20);
    let listener = bound.await.unwrap();
    let address = listener.address().unwrap();
    let far: Arc<dyn Introduce> = local("c", 2, None);
    tokio::spawn(listener.serve(far, Arc::clone(&handler), Arc::clone(&counters)));
    // Introductions pass as they are, and of the request's body one bit is another.
    let change = |bytes: &mut [u8]| {
        if let Some(at) = bytes.windows(6).position(|some| some == b"secret") {
            bytes[at] ^= 1;
        }
    };
    let to = Target { address: carry(address, change).await, host: None };
    let pool = pool(local("c", 1, None));
    assert_eq!(ask(&pool, to, READ, "secret").await.unwrap_err(), CallError::Lost);
    assert_eq!(handler.0.load(Ordering::Relaxed), 0);
    assert_eq!(counters.corrupt.load(Ordering::Relaxed), 1);
    ask(&pool, to, READ, "public").await.unwrap();
    assert_eq!(handler.0.load(Ordering::Relaxed), 1);
}

/// The other end takes all that comes and never says a word after its introduction.
#[tokio::test]
async fn a_connection_that_is_open_and_silent_is_given_up_and_dialled_anew() {
    let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Target { address: far.local_addr().unwrap(), host: None };
    let pool = pool(local("c", 1, None));
    let mut kept = Vec::new();
    for round in 1..=2 {
        let deadline = SystemClock.now() + Duration::from_mins(1);
        let asked = pool.call(to, Class::Rows, 7, READ, Body::new(), deadline);
        let (outcome, stream) = tokio::join!(asked, greeted(&far));
        kept.push(stream);
        assert_eq!(outcome.unwrap_err(), CallError::Lost);
        assert_eq!(pool.counters().silent.load(Ordering::Relaxed), round);
    }
}

#[tokio::test]
async fn a_connection_whose_peer_takes_long_lives_on() {
    let slow = Arc::new(Patient::default());
    let address = serve(local("c", 2, None), Arc::clone(&slow)).await;
    let pool = pool(local("c", 1, None));
    let to = Target { address, host: None };
    let deadline = SystemClock.now() + Duration::from_mins(1);
    let asked = pool.call(to, Class::Rows, 7, READ, Body::new(), deadline);
    let finishing = async {
        slow.0.notified().await;
        tokio::time::sleep(50 * LOOK_PAUSE).await;
        slow.1.notify_one();
    };
    let (outcome, ()) = tokio::join!(asked, finishing);
    assert_eq!(outcome.unwrap().answer, Answer::Applied);
    assert_eq!(pool.counters().silent.load(Ordering::Relaxed), 0);
}

/// Answers pings at once, and takes its time for all else.
#[derive(Default)]
struct Patient(Notify, Notify);

impl Handler for Patient {
    async fn handle(&self, _: Arc<Hello>, received: Received) -> Option<(Answer, Body)> {
        if received.request == Request::Ping {
            return Some((Answer::Pong, Body::new()));
        }
        self.0.notify_one();
        self.1.notified().await;
        Some((Answer::Applied, Body::new()))
    }

    fn epoch(&self) -> u64 {
        42
    }
}
