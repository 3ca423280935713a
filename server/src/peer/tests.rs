//! Two ends of a connection, over loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ring::{HostId, StoreId};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::*;
use crate::clock::{Clock, SystemClock};

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

impl Handler for Echo {
    async fn handle(&self, _: Arc<Hello>, received: Received) -> Option<(Answer, Body)> {
        match received.request {
            Request::ReadRow => Some((Answer::Row, Body::from_iter([received.body]))),
            _ => None,
        }
    }

    fn epoch(&self) -> u64 {
        42
    }
}

fn host(number: u128) -> HostId {
    HostId(Uuid::from_u128(number))
}

fn local(name: &'static str, number: u128, cluster_id: Option<u128>) -> Arc<dyn Introduce> {
    Arc::new(Local { name, host: host(number), cluster_id: cluster_id.map(Uuid::from_u128) })
}

fn pool(local: Arc<dyn Introduce>) -> Pool {
    let options = PoolOptions {
        connect_timeout: Duration::from_secs(5),
        frame_bytes_max: 1 << 20,
        queue_max: 1_000,
        clock: Arc::new(SystemClock),
    };
    Pool::new(local, options)
}

#[expect(clippy::disallowed_methods, reason = "the far end of the test")]
async fn listener(local: Arc<dyn Introduce>) -> (SocketAddr, JoinHandle<()>) {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), 1 << 20).await.unwrap();
    let address = listener.address().unwrap();
    (address, tokio::spawn(listener.serve(local, Arc::new(Echo))))
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
    let (address, _serving) = listener(local("c", 2, None)).await;
    let pool = pool(local("c", 1, None));
    let to = Target { address, host: Some(host(2)) };
    let asked = (0..100).map(|number| {
        let deadline = SystemClock.now() + Duration::from_secs(20);
        let body = Bytes::from(number.to_string());
        pool.call(to, Class::Rows, 7, Request::ReadRow, Body::from_iter([body]), deadline)
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
    let outcome = ask(&pool(local("c", 1, None)), to, Request::ReadRow, "x").await;
    assert!(matches!(outcome, Err(CallError::NotSent { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_request_without_an_answer_is_lost_at_its_deadline() {
    let (address, _serving) = listener(local("c", 2, None)).await;
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
        let (outcome, ()) = tokio::join!(ask(&pool, to, Request::ReadRow, "x"), breaking);
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
    let (address, _serving) = listener(local("c", 2, None)).await;
    let to = Target { address, host: Some(host(3)) };
    let outcome = ask(&pool(local("c", 1, None)), to, Request::ReadRow, "x").await;
    assert!(matches!(outcome, Err(CallError::NotSent { .. })), "{outcome:?}");
}

#[tokio::test]
async fn clusters_do_not_mix() {
    let cases = [
        (local("one", 1, None), local("two", 2, None), "belongs to"),
        (local("c", 1, Some(1)), local("c", 2, Some(2)), "another cluster"),
    ];
    for (near, far, phrase) in cases {
        let (address, _serving) = listener(far).await;
        let to = Target { address, host: None };
        match ask(&pool(near), to, Request::ReadRow, "x").await {
            Err(CallError::NotSent { why }) => assert!(why.contains(phrase), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}
