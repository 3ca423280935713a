//! One connection: requests run side by side, answers leave together.
//!
//! ```text
//! read -> frames -> a future each, all polled by this one task -> out -> one write
//! ```
//!
//! The loop prefers finished requests to writing and writing to reading, so that what one read
//! brought leaves in one write. A client that reads slowly stops being read from and is told of no
//! events, and one that takes nothing at all loses its connection. Law: requests in flight are finished although the client is
//! gone; they have deadlines, and a write that was stamped has still to be sent to the other
//! replicas.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::Decoder;
use wire::{
    Compression, ErrorKind, ErrorReply, EventKind, Frame, FrameCodec, ReplyWriter, Request, Startup,
};

use super::events::Subscription;
use super::{Front, FrontCounters};

/// How long a client has to send its STARTUP.
const STARTUP_MAX: Duration = Duration::from_secs(10);

/// How long a closing connection is read from, so that the last answer is not lost by a reset.
const LINGER: Duration = Duration::from_millis(200);

/// A client that takes nothing of its answers for so long is gone.
const STALL_MAX: Duration = Duration::from_secs(30);

/// A read takes this much at first, and more while there is more.
const READ_MIN: usize = 4 << 10;
const READ_MAX: usize = 64 << 10;

/// While so much waits to be written, nothing more is read.
const OUT_MAX: usize = 1 << 20;

/// While so much waits to be written, no event is told: what happens meanwhile becomes one difference.
const TELL_MAX: usize = 16 << 10;

/// The version of CQL that is spoken.
const CQL_VERSION: &str = "3.4.7";

/// An answer, and what it changes in the session.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// The encoded frame.
    pub(super) bytes: BytesMut,
    /// The session's keyspace from now on.
    pub(super) keyspace: Option<Arc<str>>,
}

/// What a request is carried out under.
#[derive(Debug, Clone)]
pub(super) struct Circumstances {
    /// The stream to answer on.
    pub(super) stream: i16,
    /// The session's keyspace.
    pub(super) keyspace: Option<Arc<str>>,
    /// How answers are compressed.
    pub(super) compression: Option<Compression>,
}

type Running = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// What the other end of the connection still does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// It may send more.
    Speaks,
    /// It sends nothing more, and may hear the answers to what it has sent.
    HasHungUp,
    /// It hears nothing more.
    IsGone,
}

/// One connection of a driver.
pub(super) struct Session<R, W> {
    front: Arc<Front>,
    reader: R,
    writer: W,
    codec: FrameCodec,
    inbound: BytesMut,
    out: BytesMut,
    running: FuturesUnordered<Running>,
    keyspace: Option<Arc<str>>,
    compression: Option<Compression>,
    subscription: Option<Subscription>,
    has_started: bool,
    is_reading: bool,
    client: Client,
    /// When the client last took something, or had nothing to take.
    taken_at: Instant,
    read_size: usize,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    pub(super) fn new(front: Arc<Front>, reader: R, writer: W) -> Self {
        let codec = FrameCodec::new(front.parts.config.cql.frame_bytes_max.as_len());
        let taken_at = front.parts.clock.now();
        Self {
            front,
            reader,
            writer,
            codec,
            inbound: BytesMut::new(),
            out: BytesMut::new(),
            running: FuturesUnordered::new(),
            keyspace: None,
            compression: None,
            subscription: None,
            has_started: false,
            is_reading: true,
            client: Client::Speaks,
            taken_at,
            read_size: READ_MIN,
        }
    }

    /// Serves the connection until it ends and its last request is finished.
    pub(super) async fn run(mut self) {
        let startup_by = self.front.parts.clock.now() + STARTUP_MAX;
        while self.is_reading || !self.running.is_empty() || !self.out.is_empty() {
            self.turn(startup_by).await;
        }
        // The client hears the end; that it may be gone already does not matter.
        let _ = self.writer.shutdown().await;
        if self.client == Client::Speaks {
            self.linger().await;
        }
    }

    async fn turn(&mut self, startup_by: Instant) {
        let in_flight_max = self.front.parts.config.cql.in_flight_max as usize;
        let has_room = self.running.len() < in_flight_max && self.out.len() < OUT_MAX;
        let may_tell = self.is_reading && self.out.len() < TELL_MAX;
        if self.is_reading && has_room && self.inbound.capacity() == self.inbound.len() {
            self.inbound.reserve(self.read_size);
        }
        if self.out.is_empty() {
            self.taken_at = self.front.parts.clock.now();
        }
        let is_strange = self.is_reading && !self.has_started;
        let patient_to = if is_strange { startup_by } else { self.taken_at + STALL_MAX };
        tokio::select! {
            biased;
            Some(reply) = self.running.next(), if !self.running.is_empty() => self.answer(&reply),
            written = self.writer.write_buf(&mut self.out), if !self.out.is_empty() => {
                self.after_write(written.is_ok_and(|count| count > 0));
            }
            // Before reading, for a busy client would never let the node stop.
            () = self.front.draining.cancelled(), if self.is_reading => self.is_reading = false,
            () = sleep_until(patient_to), if is_strange || !self.out.is_empty() => self.abandon(),
            () = news(&mut self.subscription), if may_tell => self.tell(),
            read = self.reader.read_buf(&mut self.inbound), if self.is_reading && has_room => {
                self.after_read(read.unwrap_or(0));
            }
        }
    }

    /// Finishes what runs, and neither reads nor says anything more.
    fn abandon(&mut self) {
        self.is_reading = false;
        self.client = Client::IsGone;
        self.out.clear();
    }

    fn answer(&mut self, reply: &Reply) {
        if self.client != Client::IsGone {
            self.out.extend_from_slice(&reply.bytes);
        }
        if reply.keyspace.is_some() {
            self.keyspace.clone_from(&reply.keyspace);
        }
    }

    fn after_write(&mut self, is_alive: bool) {
        if is_alive {
            self.taken_at = self.front.parts.clock.now();
        } else {
            self.abandon();
        }
        if self.out.is_empty() && self.out.capacity() > READ_MAX {
            self.out = BytesMut::new();
        }
    }

    fn after_read(&mut self, count: usize) {
        if count == 0 {
            // It may have closed only its own direction, and read the answers still.
            self.is_reading = false;
            self.client = Client::HasHungUp;
            return;
        }
        let is_full = self.inbound.len() == self.inbound.capacity();
        self.read_size = if is_full { (self.read_size * 2).min(READ_MAX) } else { READ_MIN };
        loop {
            match self.codec.decode(&mut self.inbound) {
                Ok(Some(frame)) => self.begin(frame),
                Ok(None) => break,
                Err(error) => {
                    if let Some((stream, reply)) = error.reply() {
                        self.reply_to(stream).error(&reply);
                    }
                    self.is_reading = false;
                    break;
                }
            }
        }
        if self.inbound.is_empty() {
            // Requests may hold slices of it; an idle connection holds nothing.
            self.inbound = BytesMut::new();
        }
    }

    fn begin(&mut self, frame: Frame) {
        FrontCounters::count(&self.front.counters.requests);
        let stream = frame.stream;
        let request = match frame.request {
            Ok(request) => request,
            Err(error) => return self.refuse(stream, &error.into()),
        };
        match request {
            Request::Options => self.reply_to(stream).supported(CQL_VERSION),
            Request::Startup(startup) => self.start(stream, &startup),
            _ if !self.has_started => {
                let text = "the first request must be STARTUP";
                self.refuse(stream, &ErrorReply::new(ErrorKind::Protocol, text));
            }
            Request::Register { events } => self.register(stream, &events),
            Request::AuthResponse { .. } => {
                let text = "nothing asked for a password";
                self.refuse(stream, &ErrorReply::new(ErrorKind::Protocol, text));
            }
            Request::Batch(batch) => {
                let (front, under) = (Arc::clone(&self.front), self.circumstances(stream));
                self.running.push(Box::pin(async move { front.batch(batch, under).await }));
            }
            Request::Query(query) => {
                let (front, under) = (Arc::clone(&self.front), self.circumstances(stream));
                self.running.push(Box::pin(async move { front.query(query, under).await }));
            }
            Request::Prepare(prepare) => {
                let reply = self.front.prepare(&prepare, &self.circumstances(stream));
                self.answer(&reply);
            }
            Request::Execute(execute) => {
                let (front, under) = (Arc::clone(&self.front), self.circumstances(stream));
                self.running.push(Box::pin(async move { front.execute(execute, under).await }));
            }
        }
    }

    fn start(&mut self, stream: i16, startup: &Startup) {
        let version = startup.cql_version();
        let is_known = version.is_some_and(|version| {
            let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
            major.is_some_and(|major| major >= 3)
        });
        if !is_known {
            let version = version.unwrap_or("none");
            let text = format!("CQL_VERSION {version}: 3.0.0 or later is needed");
            return self.refuse(stream, &ErrorReply::new(ErrorKind::Protocol, text));
        }
        let compression = match startup.compression() {
            Ok(compression) => compression,
            Err(error) => return self.refuse(stream, &error.into()),
        };
        if self.front.serving().is_none() {
            let text = "this node is not ready yet: the cluster is being formed";
            return self.refuse(stream, &ErrorReply::new(ErrorKind::IsBootstrapping, text));
        }
        self.codec.ready(compression);
        self.has_started = true;
        self.reply_to(stream).ready();
        self.compression = compression;
    }

    fn register(&mut self, stream: i16, events: &BTreeSet<EventKind>) {
        // What has changed by now is no news to whoever asks only now.
        self.tell();
        if self.subscription.is_none() {
            self.subscription = Subscription::new(&self.front.parts.cluster);
        }
        match &mut self.subscription {
            Some(subscription) => {
                subscription.add(events);
                self.reply_to(stream).ready();
            }
            None => self.refuse(stream, &ErrorKind::IsBootstrapping.into()),
        }
    }

    /// Says what the client does not know yet; whole frames, between two answers.
    fn tell(&mut self) {
        for event in self.subscription.iter_mut().flat_map(Subscription::take) {
            FrontCounters::count(&self.front.counters.events);
            ReplyWriter::event(&mut self.out, &event);
        }
    }

    fn circumstances(&self, stream: i16) -> Circumstances {
        Circumstances { stream, keyspace: self.keyspace.clone(), compression: self.compression }
    }

    fn refuse(&mut self, stream: i16, error: &ErrorReply) {
        FrontCounters::count(&self.front.counters.errors);
        self.reply_to(stream).error(error);
    }

    fn reply_to(&mut self, stream: i16) -> ReplyWriter<'_> {
        ReplyWriter::new(&mut self.out, stream).compressed(self.compression)
    }

    /// Reads on for a moment after the last answer, for a reset would take that answer away.
    async fn linger(&mut self) {
        let drain = async {
            let mut sink = [0; 1024];
            while self.reader.read(&mut sink).await.is_ok_and(|count| count > 0) {}
        };
        // Ends by the timeout, or because the client has closed.
        let _ = timeout(LINGER, drain).await;
    }
}

/// Waits for events; for ever where the client has not asked for any.
async fn news(subscription: &mut Option<Subscription>) {
    match subscription {
        Some(subscription) => subscription.changed().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
