//! One connection to one peer for one class of messages, and the queue before it.
//!
//! The link dials when there is something to send and dials again after a break. Requests are
//! written many at a time; answers find their callers by number. Where something was written and
//! nothing comes back the link asks for a word, and gives the connection up without one: the other
//! end may have forgotten it. Law: every call ends: with its answer, at its deadline (the
//! caller's), when the connection breaks, or at once when there is none to be had.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use ring::HostId;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::codec::FramedRead;

use super::codec::{self, CodecError, Frame, FrameDecoder};
use super::counters::PeerCounters;
use super::message::{Answer, Body, Class, Head, Hello, Request};
use super::pool::{Introduce, PoolOptions, check_welcome};
use super::silence::{Exchange, Hearing};
use crate::network::{self, Reader, Writer};

/// How many requests one write to the socket takes at most.
const WRITE_BATCH_MAX: usize = 256;

/// A write to the socket begins when so much is encoded, and a larger buffer is not kept.
const WRITE_BYTES_MAX: usize = 1 << 20;

/// How many bytes of bodies may wait before one connection; twice the longest frame by default.
const QUEUE_BYTES_MAX: usize = 128 << 20;

/// How long a failed dial answers for those who come after it.
const REDIAL_AFTER: Duration = Duration::from_millis(100);

/// The number of the request for a word, whose answer no caller waits for.
const WORD: u64 = 0;

/// How often a link that is being flushed looks whether its queue has room.
const FLUSH_PAUSE: Duration = Duration::from_millis(10);

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The peer never got the request.
    #[error("not sent: {why}")]
    NotSent {
        /// What stood in the way.
        why: Arc<str>,
        /// Whether the peer's host answers, and says that nobody listens there.
        nobody_listens: bool,
    },
    /// The connection broke or the deadline passed: the peer may have done it.
    #[error("no answer")]
    Lost,
}

/// An answer with what came with it.
#[derive(Debug, Clone)]
pub struct Reply {
    /// What is answered.
    pub answer: Answer,
    /// Keys and rows.
    pub body: Bytes,
    /// The epoch of the peer's metadata.
    pub epoch: u64,
    /// Who answers.
    pub from: Arc<Hello>,
}

/// What stands in the way of a request.
#[derive(Debug, Clone)]
struct Obstacle {
    why: Arc<str>,
    nobody_listens: bool,
}

impl Obstacle {
    /// What became of a connection that was being opened.
    fn broken(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{ConnectionRefused, ConnectionReset};
        let nobody_listens = matches!(error.kind(), ConnectionRefused | ConnectionReset);
        Self { why: error.to_string().into(), nobody_listens }
    }
}

impl<T: Into<Arc<str>>> From<T> for Obstacle {
    fn from(why: T) -> Self {
        Self { why: why.into(), nobody_listens: false }
    }
}

impl From<Obstacle> for CallError {
    fn from(Obstacle { why, nobody_listens }: Obstacle) -> Self {
        Self::NotSent { why, nobody_listens }
    }
}

type Waiting = oneshot::Sender<Result<Reply, CallError>>;

/// A request on its way to the connection.
struct Outgoing {
    id: u64,
    expected: Option<HostId>,
    epoch: u64,
    deadline: Instant,
    request: Request,
    body: Body,
    answer: Option<Waiting>,
    /// Its part of [`QUEUE_BYTES_MAX`].
    _room: OwnedSemaphorePermit,
}

impl Outgoing {
    fn fail(self, why: &Obstacle, counters: &PeerCounters) {
        PeerCounters::count(&counters.not_sent);
        if let Some(answer) = self.answer {
            // The caller may have gone; then nobody wants to know.
            let _ = answer.send(Err(why.clone().into()));
        }
    }
}

/// The callers that wait for an answer, by the number of their request.
#[derive(Default)]
struct Pending(Mutex<BTreeMap<u64, Waiting>>);

impl Pending {
    /// Whether anybody waits.
    fn is_awaited(&self) -> bool {
        self.with(|pending| !pending.is_empty())
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<u64, Waiting>) -> T) -> T {
        act(&mut self.0.lock().expect("nothing panics while it holds this lock"))
    }
}

/// A caller that waits. It takes itself out of the pending ones when it goes.
struct Call {
    id: u64,
    pending: Arc<Pending>,
    answered: oneshot::Receiver<Result<Reply, CallError>>,
}

impl Drop for Call {
    fn drop(&mut self) {
        // Closed first: a request that is still in the queue is not entered any more then.
        self.answered.close();
        self.pending.with(|pending| pending.remove(&self.id));
    }
}

/// The near end of a connection.
pub(super) struct Link {
    queue: mpsc::Sender<Outgoing>,
    /// One permit a byte.
    room: Arc<Semaphore>,
    pending: Arc<Pending>,
    counters: Arc<PeerCounters>,
    next_id: AtomicU64,
}

impl Link {
    /// A link to `address` and the task that serves it, for the caller to spawn.
    pub(super) fn new(
        address: SocketAddr,
        class: Class,
        local: Arc<dyn Introduce>,
        options: PoolOptions,
        counters: Arc<PeerCounters>,
        faults: Arc<PeerCounters>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, waiting) = mpsc::channel(options.queue_max);
        let pending = Arc::new(Pending::default());
        let dialler = Dialler {
            address,
            class,
            local,
            options,
            pending: Arc::clone(&pending),
            counters: Arc::clone(&counters),
            faults,
        };
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        (Self { queue, room, pending, counters, next_id: AtomicU64::new(1) }, dialler.run(waiting))
    }

    /// Puts a request into the queue at once; the future waits for its answer until `deadline`.
    /// Dropping the future does not take the request back.
    pub(super) fn call(
        &self,
        expected: Option<HostId>,
        epoch: u64,
        request: Request,
        body: Body,
        deadline: Instant,
    ) -> impl Future<Output = Result<Reply, CallError>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut call = Call { id, pending: Arc::clone(&self.pending), answered };
        let is_queued = self.enqueue(body, |body, room| Outgoing {
            id,
            expected,
            epoch,
            deadline,
            request,
            body,
            answer: Some(answer),
            _room: room,
        });
        async move {
            if !is_queued {
                return Err(Obstacle::from("the queue to the peer is full").into());
            }
            match timeout_at(deadline, &mut call.answered).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => Err(CallError::Lost),
            }
        }
    }

    /// Puts a message that has no answer into the queue, or drops it where that is full.
    pub(super) fn cast(&self, request: Request, body: Body, deadline: Instant) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (expected, epoch, answer) = (None, 0, None);
        // Gossip repeats itself, so a lost heartbeat needs no word.
        self.enqueue(body, |body, room| Outgoing {
            id,
            expected,
            epoch,
            deadline,
            request,
            body,
            answer,
            _room: room,
        });
    }

    /// Whether the queue had room for the message, in number and in bytes.
    fn enqueue(
        &self,
        body: Body,
        outgoing: impl FnOnce(Body, OwnedSemaphorePermit) -> Outgoing,
    ) -> bool {
        let len = u32::try_from(codec::body_len(&body)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(len);
        let is_queued = room.is_ok_and(|room| self.queue.try_send(outgoing(body, room)).is_ok());
        if !is_queued {
            PeerCounters::count(&self.counters.not_sent);
        }
        is_queued
    }

    /// Waits until the peer has read all that is in the queue now, or cannot be reached: requests
    /// are read in order, so the answer to one that comes last shows it.
    pub(super) async fn flush(&self, deadline: Instant) {
        loop {
            let ping = self.call(None, 0, Request::Ping, Body::new(), deadline);
            match ping.await {
                Err(CallError::NotSent { .. }) if self.has_waiting() => sleep(FLUSH_PAUSE).await,
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn has_waiting(&self) -> bool {
        self.queue.capacity() < self.queue.max_capacity()
    }
}

/// The task behind a link.
struct Dialler {
    address: SocketAddr,
    class: Class,
    local: Arc<dyn Introduce>,
    options: PoolOptions,
    pending: Arc<Pending>,
    counters: Arc<PeerCounters>,
    /// Where connections that end badly are counted, whatever they are for.
    faults: Arc<PeerCounters>,
}

impl Dialler {
    async fn run(self, mut waiting: mpsc::Receiver<Outgoing>) {
        while let Some(first) = waiting.recv().await {
            match self.dial().await {
                Ok(connection) => self.serve(connection, first, &mut waiting).await,
                Err(why) => {
                    first.fail(&why, &self.counters);
                    self.refuse_for_a_while(&mut waiting, &why).await;
                }
            }
        }
    }

    async fn dial(&self) -> Result<Connection, Obstacle> {
        match timeout(self.options.connect_timeout, self.shake_hands()).await {
            Ok(outcome) => outcome,
            Err(_) => Err("the peer did not answer the dial in time".into()),
        }
    }

    async fn shake_hands(&self) -> Result<Connection, Obstacle> {
        let broken = |error: std::io::Error| Obstacle::broken(&error);
        let connected = self.options.network.connect(self.address, self.class.name()).await;
        let network::Connection { reader, mut writer } = connected.map_err(broken)?;
        let mine = self.local.hello(self.class);
        write_head(&mut writer, &Head::Hello(mine.clone())).await.map_err(broken)?;
        let heard = Arc::new(AtomicU64::new(0));
        let reader: Reader = Box::new(Hearing { reader, heard: Arc::clone(&heard) });
        let mut frames = frames(reader, self.options.frame_bytes_max);
        match frames.next().await {
            Some(Ok(Frame { head: Head::Hello(theirs), .. })) => {
                check_welcome(&mine, &theirs)?;
                self.local.met(&theirs);
                Ok(Connection { frames, writer, heard, peer: Arc::new(theirs) })
            }
            Some(Ok(Frame { head: Head::Unwelcome(why), .. })) => Err(why.into()),
            Some(Ok(_)) => Err("the peer speaks another protocol".into()),
            Some(Err(CodecError::Io(error))) => Err(broken(error)),
            Some(Err(error)) => {
                self.faults.note_corrupt(self.address, &error);
                Err(error.to_string().into())
            }
            None => Err("the peer closed the connection".into()),
        }
    }

    async fn serve(
        &self,
        connection: Connection,
        first: Outgoing,
        waiting: &mut mpsc::Receiver<Outgoing>,
    ) {
        let Connection { frames, writer, heard, peer } = connection;
        let exchange = Exchange::new(heard);
        tokio::select! {
            biased;
            () = self.read(frames, &peer) => {}
            () = self.write(writer, &peer, first, waiting, &exchange) => {}
            () = exchange.listen_in_vain(self.options.look_pause, || self.pending.is_awaited()) => {
                PeerCounters::count(&self.faults.silent);
                let (peer, class) = (self.address, self.class.name());
                tracing::info!(%peer, class, "a connection is open and silent: it is given up");
            }
        }
        for (_, caller) in self.pending.with(std::mem::take) {
            PeerCounters::count(&self.counters.lost);
            let _ = caller.send(Err(CallError::Lost));
        }
    }

    async fn read(&self, mut frames: FramedRead<Reader, FrameDecoder>, peer: &Arc<Hello>) {
        while let Some(frame) = frames.next().await {
            let Frame { head, body } = match frame {
                Ok(frame) => frame,
                Err(error) if error.is_corruption() => {
                    return self.faults.note_corrupt(self.address, &error);
                }
                Err(_) => return,
            };
            let Head::Answer { id, epoch, answer } = head else { return };
            if let Some(caller) = self.pending.with(|pending| pending.remove(&id)) {
                let from = Arc::clone(peer);
                let _ = caller.send(Ok(Reply { answer, body, epoch, from }));
            }
        }
    }

    async fn write(
        &self,
        mut writer: Writer,
        peer: &Hello,
        first: Outgoing,
        waiting: &mut mpsc::Receiver<Outgoing>,
        exchange: &Exchange,
    ) {
        let mut batch = vec![first];
        let mut out = BytesMut::new();
        loop {
            let mut batched = batch.drain(..).peekable();
            while let Some(outgoing) = batched.next() {
                self.append(outgoing, peer, &mut out);
                let is_due = batched.peek().is_none() || out.len() >= WRITE_BYTES_MAX;
                if is_due && writer.write_all(&out).await.is_err() {
                    return;
                }
                if is_due {
                    out.clear();
                    exchange.note_written();
                }
            }
            drop(batched);
            if out.capacity() > WRITE_BYTES_MAX {
                out = BytesMut::new();
            }
            tokio::select! {
                biased;
                count = waiting.recv_many(&mut batch, WRITE_BATCH_MAX) => if count == 0 {
                    return;
                },
                () = exchange.word_due.notified() => {
                    let (id, wait_ms) = (WORD, 1);
                    let word = Head::Request { id, epoch: 0, wait_ms, request: Request::Ping };
                    if write_head(&mut writer, &word).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn refuse_for_a_while(&self, waiting: &mut mpsc::Receiver<Outgoing>, why: &Obstacle) {
        let refuse = async {
            while let Some(outgoing) = waiting.recv().await {
                outgoing.fail(why, &self.counters);
            }
        };
        // Ends by the timeout, or because the pool is gone.
        let _ = timeout(REDIAL_AFTER, refuse).await;
    }

    fn append(&self, outgoing: Outgoing, peer: &Hello, out: &mut BytesMut) {
        if outgoing.expected.is_some_and(|host| host != peer.host) {
            return outgoing
                .fail(&"another node answers at the peer's address".into(), &self.counters);
        }
        let wait = outgoing.deadline.saturating_duration_since(self.options.clock.now());
        if wait.is_zero() {
            return outgoing.fail(&"the deadline passed in the queue".into(), &self.counters);
        }
        if !codec::fits(&outgoing.body, self.options.frame_bytes_max) {
            return outgoing
                .fail(&"the request is longer than a frame may be".into(), &self.counters);
        }
        let Outgoing { id, epoch, request, body, answer, .. } = outgoing;
        if let Some(answer) = answer {
            self.pending.with(|pending| {
                if !answer.is_closed() {
                    pending.insert(id, answer);
                }
            });
        }
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1);
        codec::write(&Head::Request { id, epoch, wait_ms, request }, &body, out);
    }
}

/// A connection after the handshake.
struct Connection {
    frames: FramedRead<Reader, FrameDecoder>,
    writer: Writer,
    heard: Arc<AtomicU64>,
    peer: Arc<Hello>,
}

/// Frames from the reading half of a connection.
pub(super) fn frames<R: AsyncRead>(reader: R, bytes_max: usize) -> FramedRead<R, FrameDecoder> {
    FramedRead::new(reader, FrameDecoder { bytes_max })
}

/// Writes one frame without a body.
pub(super) async fn write_head(writer: &mut Writer, head: &Head) -> std::io::Result<()> {
    let mut out = BytesMut::new();
    codec::write(head, &Body::new(), &mut out);
    writer.write_all(&out).await
}
