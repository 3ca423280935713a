//! The network of the simulation: turmoil's connections, traced, and cut on demand.
//!
//! turmoil delays what is sent; cuts are made here, for a message that turmoil drops is never sent
//! again, as TCP would. A cut lets nothing pass in one direction: what is under way arrives when the
//! cut is mended, as after a retransmission, unless it lasts [`PEER_SILENCE_MAX`], when both ends
//! lose their connection.
//!
//! Between nodes, messages are passed on twice or out of order while that is asked for; see
//! [`tests::meddler`].
//!
//! Law: what happens depends on nothing but the seed and what was sent and cut before.

mod meddling;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use server::clock::Random;
use server::network::{Connection, Listening, Network, PEER_SILENCE_MAX, Purpose};
use tests::meddler::Meddling;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use turmoil::net::{TcpListener, TcpStream};

use self::meddling::MeddlingReader;
use crate::record::{Record, digest};

/// Of so many messages one is doubled, and one is held back, where messages are meddled with.
const MEDDLED_EVERY: usize = 4;

/// What lies between all hosts; clones share it.
#[derive(Clone)]
pub(crate) struct Fabric {
    state: Arc<Mutex<State>>,
    random: Random,
    record: Record,
}

#[derive(Default)]
struct State {
    /// The directions in which nothing passes.
    cuts: BTreeMap<(IpAddr, IpAddr), Cut>,
    /// How often the connections between two hosts were broken.
    breaks: BTreeMap<(IpAddr, IpAddr), u64>,
    /// The directions in which messages are doubled and held back.
    meddled: BTreeSet<(IpAddr, IpAddr)>,
    /// The halves of connections that wait for something.
    waiting: BTreeMap<u64, Waker>,
    last_half: u64,
}

struct Cut {
    since: Duration,
    has_broken: bool,
}

impl State {
    fn is_cut(&self, from: IpAddr, to: IpAddr) -> bool {
        self.cuts.contains_key(&(from, to))
    }

    fn breaks(&self, one: IpAddr, other: IpAddr) -> u64 {
        self.breaks.get(&pair(one, other)).copied().unwrap_or(0)
    }

    fn next_half(&mut self) -> u64 {
        self.last_half += 1;
        self.last_half
    }
}

/// Two hosts, in either order.
fn pair(one: IpAddr, other: IpAddr) -> (IpAddr, IpAddr) {
    (one.min(other), one.max(other))
}

impl fmt::Debug for Fabric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fabric")
    }
}

impl Fabric {
    pub(crate) fn new(seed: u64, record: Record) -> Self {
        Self { state: Arc::default(), random: Random::seeded(seed.rotate_left(32)), record }
    }

    /// The network as the host `me` has it.
    pub(crate) fn of(&self, me: IpAddr) -> HostNetwork {
        HostNetwork { fabric: self.clone(), me }
    }

    /// Lets nothing pass from one host to another.
    pub(crate) fn cut(&self, from: IpAddr, to: IpAddr, now: Duration) {
        self.record.note_at(now, format_args!("cut {from}>{to}"));
        let cut = Cut { since: now, has_broken: false };
        self.lock().cuts.entry((from, to)).or_insert(cut);
    }

    /// Lets everything pass again.
    pub(crate) fn mend(&self, from: IpAddr, to: IpAddr, now: Duration) {
        if self.lock().cuts.remove(&(from, to)).is_some() {
            self.record.note_at(now, format_args!("mend {from}>{to}"));
            self.wake_all();
        }
    }

    /// Ends the connections that were cut for too long.
    pub(crate) fn pass_time(&self, now: Duration) {
        let mut state = self.lock();
        let is_old =
            |cut: &Cut| !cut.has_broken && now.saturating_sub(cut.since) > PEER_SILENCE_MAX;
        let old = state.cuts.iter_mut().filter(|(_, cut)| is_old(cut));
        let old: Vec<_> = old
            .map(|(&(from, to), cut)| {
                cut.has_broken = true;
                pair(from, to)
            })
            .collect();
        for broken in &old {
            *state.breaks.entry(*broken).or_default() += 1;
        }
        drop(state);
        if !old.is_empty() {
            self.wake_all();
        }
    }

    /// Ends all connections between two hosts: one of them has forgotten them.
    pub(crate) fn break_between(&self, one: IpAddr, other: IpAddr) {
        *self.lock().breaks.entry(pair(one, other)).or_default() += 1;
        self.wake_all();
    }

    /// Doubles and holds back messages between two nodes, in both directions, or does so no more.
    pub(crate) fn meddle(&self, one: IpAddr, other: IpAddr, is_on: bool) {
        let mut state = self.lock();
        for way in [(one, other), (other, one)] {
            if is_on {
                state.meddled.insert(way);
            } else {
                state.meddled.remove(&way);
            }
        }
    }

    /// What happens to the next message from one host to another.
    fn meddling(&self, from: IpAddr, to: IpAddr) -> Meddling {
        if !self.lock().meddled.contains(&(from, to)) {
            return Meddling::Pass;
        }
        match self.random.below(MEDDLED_EVERY) {
            0 => Meddling::Repeat,
            1 => Meddling::Hold,
            _ => Meddling::Pass,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }

    fn wake_all(&self) {
        // Outside of the lock: a waker may be the last that a dead task lives by.
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_values().for_each(Waker::wake);
    }

    /// Has `half` looked at again when something is cut, mended or broken.
    fn wait(&self, half: u64, context: &Context<'_>) {
        let before = self.lock().waiting.insert(half, context.waker().clone());
        drop(before);
    }

    fn forget(&self, half: u64) {
        let before = self.lock().waiting.remove(&half);
        drop(before);
    }

    /// Waits until there is a way from one host to the other and back.
    async fn passable(&self, me: IpAddr, peer: IpAddr) {
        let half = self.lock().next_half();
        poll_fn(|context| {
            let state = self.lock();
            if state.is_cut(me, peer) || state.is_cut(peer, me) {
                drop(state);
                self.wait(half, context);
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    fn connection(&self, stream: TcpStream, carries: &'static str) -> io::Result<Connection> {
        let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
        let (reader, writer) = stream.into_split();
        let mut state = self.lock();
        let born = state.breaks(local.ip(), remote.ip());
        let end = |half| End { fabric: self.clone(), half, local, remote, carries, born };
        let (reading, writing) = (end(state.next_half()), end(state.next_half()));
        drop(state);
        Ok(Connection {
            reader: match carries {
                "requests" | "replies" => Box::new(TracedReader { end: reading, inner: reader }),
                _ => Box::new(MeddlingReader::new(TracedReader { end: reading, inner: reader })),
            },
            writer: Box::new(TracedWriter { end: writing, inner: writer }),
        })
    }
}

/// The network of one host.
#[derive(Debug, Clone)]
pub(crate) struct HostNetwork {
    fabric: Fabric,
    me: IpAddr,
}

#[async_trait]
impl Network for HostNetwork {
    async fn connect(&self, to: SocketAddr, carries: &'static str) -> io::Result<Connection> {
        self.fabric.passable(self.me, to.ip()).await;
        self.fabric.connection(TcpStream::connect(to).await?, carries)
    }

    async fn listen(&self, at: SocketAddr, purpose: Purpose) -> io::Result<Box<dyn Listening>> {
        // A simulated host has one address, and takes ports on all of them.
        let socket = TcpListener::bind((Ipv4Addr::UNSPECIFIED, at.port())).await?;
        Ok(Box::new(Port { fabric: self.fabric.clone(), socket, at, purpose }))
    }
}

struct Port {
    fabric: Fabric,
    socket: TcpListener,
    at: SocketAddr,
    purpose: Purpose,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.at)
    }
}

#[async_trait]
impl Listening for Port {
    async fn accept(&self) -> io::Result<Connection> {
        let (stream, _) = self.socket.accept().await?;
        let carries = match self.purpose {
            Purpose::Peers => "answers",
            Purpose::Clients => "replies",
        };
        self.fabric.connection(stream, carries)
    }

    fn address(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

/// What both halves of a connection know.
struct End {
    fabric: Fabric,
    half: u64,
    local: SocketAddr,
    remote: SocketAddr,
    carries: &'static str,
    /// How often connections between the two hosts had been broken before this one.
    born: u64,
}

impl End {
    /// Whether the connection has not been broken since.
    fn check(&self, state: &State) -> io::Result<()> {
        let is_whole = state.breaks(self.local.ip(), self.remote.ip()) == self.born;
        if is_whole { Ok(()) } else { Err(io::ErrorKind::ConnectionReset.into()) }
    }

    fn note(&self, what: &str, bytes: &[u8]) {
        let Self { local, remote, carries, .. } = self;
        let (len, digest) = (bytes.len(), digest(bytes));
        self.fabric
            .record
            .note(format_args!("{what} {local} {remote} {carries} {len} {digest:016x}"));
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.fabric.forget(self.half);
    }
}

struct TracedReader {
    end: End,
    inner: OwnedReadHalf,
}

impl AsyncRead for TracedReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { end, inner } = &mut *self;
        let state = end.fabric.lock();
        end.check(&state)?;
        let is_cut = state.is_cut(end.remote.ip(), end.local.ip());
        drop(state);
        let before = buffer.filled().len();
        let polled =
            if is_cut { Poll::Pending } else { Pin::new(inner).poll_read(context, buffer) };
        match &polled {
            Poll::Pending => end.fabric.wait(end.half, context),
            Poll::Ready(_) => end.note("recv", &buffer.filled()[before..]),
        }
        polled
    }
}

struct TracedWriter {
    end: End,
    inner: OwnedWriteHalf,
}

impl AsyncWrite for TracedWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { end, inner } = &mut *self;
        end.check(&end.fabric.lock())?;
        let polled = Pin::new(inner).poll_write(context, bytes);
        match &polled {
            Poll::Pending => end.fabric.wait(end.half, context),
            Poll::Ready(Ok(count)) => end.note("send", &bytes[..*count]),
            Poll::Ready(Err(_)) => end.note("fail", &[]),
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
