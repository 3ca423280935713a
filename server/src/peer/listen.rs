//! The far end: accepts connections of other nodes and runs their requests.
//!
//! One task a connection runs all requests of it side by side, so a request costs no task and no
//! hop to another thread; answers that are ready at the same time leave in one write. Law: requests
//! in flight are finished although the connection is gone, for a write that was stamped has still to
//! be sent to the other replicas.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use super::codec::{self, CodecError, Frame, FrameDecoder};
use super::counters::PeerCounters;
use super::link::{frames, write_head};
use super::message::{Answer, Body, Head, Hello, Received, Request};
use super::pool::{Introduce, check_welcome};
use crate::network::{Connection, Listening, Network, Purpose, Reader, Writer};

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// How many requests of one connection run at once.
const IN_FLIGHT_MAX: usize = 4_096;

/// How many bytes of requests of one connection run at once.
const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;

/// While so many bytes of answers wait to be written, no request is read.
const OUT_BYTES_MAX: usize = 4 << 20;

/// How many requests that have arrived together are read before any of them runs.
const READ_BATCH_MAX: usize = 256;

/// How many connections of other nodes are served at once.
const CONNECTIONS_MAX: usize = 4_096;

/// How many forwarded writes of a connection are remembered with their answers.
const WRITES_REMEMBERED_MAX: usize = 4_096;

/// How many bytes of answers are remembered.
const REMEMBERED_BYTES_MAX: usize = 4 << 20;

/// Who carries out what other nodes ask.
pub trait Handler: Send + Sync + 'static {
    /// Carries out one request; none where it has no answer.
    fn handle(
        &self,
        from: Arc<Hello>,
        received: Received,
    ) -> impl Future<Output = Option<(Answer, Body)>> + Send;

    /// The epoch that answers carry.
    fn epoch(&self) -> u64;
}

/// The listening socket of the internode port.
#[derive(Debug)]
pub struct Listener {
    port: Box<dyn Listening>,
    frame_bytes_max: usize,
}

impl Listener {
    /// Takes the port.
    pub async fn bind(
        network: &dyn Network,
        address: SocketAddr,
        frame_bytes_max: usize,
    ) -> std::io::Result<Self> {
        Ok(Self { port: network.listen(address, Purpose::Peers).await?, frame_bytes_max })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.port.address()
    }

    /// Accepts connections until the task is dropped; those that end badly are counted.
    #[expect(clippy::disallowed_methods, reason = "one task a connection")]
    pub async fn serve<H: Handler>(
        self,
        local: Arc<dyn Introduce>,
        handler: Arc<H>,
        counters: Arc<PeerCounters>,
    ) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            let Ok(connection) = self.port.accept().await else {
                // Out of file descriptors, or the like: connections that end make room.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (local, handler) = (Arc::clone(&local), Arc::clone(&handler));
            let counters = Arc::clone(&counters);
            let bytes_max = self.frame_bytes_max;
            tokio::spawn(async move {
                let _place = place;
                let welcomed = welcome(connection, local.as_ref(), bytes_max, &counters);
                if let Ok(Some((from, frames, writer))) = timeout(HANDSHAKE_MAX, welcomed).await {
                    Conversation::new(from, handler, bytes_max, counters).run(frames, writer).await;
                }
            });
        }
    }
}

type Frames = FramedRead<Reader, FrameDecoder>;

async fn welcome(
    connection: Connection,
    local: &dyn Introduce,
    bytes_max: usize,
    counters: &PeerCounters,
) -> Option<(Hello, Frames, Writer)> {
    let Connection { reader, mut writer } = connection;
    let mut frames = frames(reader, bytes_max);
    let theirs = match frames.next().await? {
        Ok(Frame { head: Head::Hello(theirs), .. }) => theirs,
        // Whoever it is may be no node at all, so there is no word of it.
        Err(error) if error.is_corruption() => {
            PeerCounters::count(&counters.corrupt);
            return None;
        }
        Ok(_) | Err(_) => return None,
    };
    let mine = local.hello(theirs.class);
    if let Err(why) = check_welcome(&mine, &theirs) {
        tracing::warn!(peer = %theirs.internode, why, "refused a connection of another node");
        write_head(&mut writer, &Head::Unwelcome(why)).await.ok()?;
        return None;
    }
    write_head(&mut writer, &Head::Hello(mine)).await.ok()?;
    local.met(&theirs);
    Some((theirs, frames, writer))
}

/// A request that is being carried out.
type Running = Pin<Box<dyn Future<Output = Done> + Send>>;

/// A request that was carried out.
struct Done {
    id: u64,
    /// How many bytes the request had.
    len: usize,
    answer: Option<(Answer, Body)>,
}

/// The requests of one connection.
struct Conversation<H> {
    from: Arc<Hello>,
    handler: Arc<H>,
    counters: Arc<PeerCounters>,
    frame_bytes_max: usize,
    running: FuturesUnordered<Running>,
    running_bytes: usize,
    writes: RememberedWrites,
    out: BytesMut,
    is_reading: bool,
}

impl<H: Handler> Conversation<H> {
    fn new(
        from: Hello,
        handler: Arc<H>,
        frame_bytes_max: usize,
        counters: Arc<PeerCounters>,
    ) -> Self {
        Self {
            from: Arc::new(from),
            handler,
            counters,
            frame_bytes_max,
            running: FuturesUnordered::new(),
            running_bytes: 0,
            writes: RememberedWrites::default(),
            out: BytesMut::new(),
            is_reading: true,
        }
    }

    /// Runs until the connection has ended and its last request is finished.
    async fn run<R, W>(mut self, mut frames: FramedRead<R, FrameDecoder>, mut writer: W)
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while self.is_reading || !self.running.is_empty() || !self.out.is_empty() {
            tokio::select! {
                biased;
                Some(done) = self.running.next(), if !self.running.is_empty() => self.finish(done),
                written = writer.write_buf(&mut self.out), if !self.out.is_empty() => {
                    self.after_write(written.is_ok_and(|count| count > 0));
                }
                frame = frames.next(), if self.is_reading && self.has_room() => {
                    self.begin(frame);
                    self.begin_arrived(&mut frames);
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        self.running.len() < IN_FLIGHT_MAX
            && self.running_bytes < IN_FLIGHT_BYTES_MAX
            && self.out.len() < OUT_BYTES_MAX
    }

    /// Begins what else has arrived, so that answers which need no waiting leave together.
    fn begin_arrived<R: AsyncRead + Unpin>(&mut self, frames: &mut FramedRead<R, FrameDecoder>) {
        for _ in 1..READ_BATCH_MAX {
            if !self.is_reading || !self.has_room() {
                return;
            }
            let Some(frame) = frames.next().now_or_never() else { return };
            self.begin(frame);
        }
    }

    fn begin(&mut self, frame: Option<Result<Frame, CodecError>>) {
        if let Some(Err(error)) = &frame
            && error.is_corruption()
        {
            self.counters.note_corrupt(self.from.internode, error);
        }
        let Some(Ok(Frame { head: Head::Request { id, epoch, wait_ms, request }, body })) = frame
        else {
            self.is_reading = false;
            return;
        };
        let met = match request {
            Request::Write { .. } => self.writes.meet(id),
            _ => Met::First,
        };
        match met {
            Met::First => {}
            Met::Running => return,
            Met::Answered((answer, body)) => return self.answer(id, answer, &body),
        }
        let (from, handler, len) = (Arc::clone(&self.from), Arc::clone(&self.handler), body.len());
        let received = Received { id, epoch, wait_ms, request, body };
        self.running_bytes += len;
        self.running.push(Box::pin(async move {
            Done { id, len, answer: handler.handle(from, received).await }
        }));
    }

    fn finish(&mut self, Done { id, len, answer }: Done) {
        self.running_bytes -= len;
        if let Some((answer, body)) = answer {
            self.writes.answer(id, &answer, &body);
            self.answer(id, answer, &body);
        }
    }

    fn answer(&mut self, id: u64, answer: Answer, body: &Body) {
        if !codec::fits(body, self.frame_bytes_max) {
            // A refusal would say that nothing was done. So the caller waits in vain.
            tracing::error!(len = codec::body_len(body), "an answer is longer than a frame may be");
            return;
        }
        codec::write(
            &Head::Answer { id, epoch: self.handler.epoch(), answer },
            body,
            &mut self.out,
        );
    }

    fn after_write(&mut self, is_alive: bool) {
        if !is_alive {
            // Nobody hears any more: finish what runs, and say nothing.
            self.is_reading = false;
            self.out.clear();
        }
        if self.out.is_empty() && self.out.capacity() > OUT_BYTES_MAX {
            self.out = BytesMut::new();
        }
    }
}

/// The forwarded writes of one connection: each is carried out once, and a message that comes twice
/// gets the first one's answer. The memory ends with the connection, as the numbers do.
#[derive(Default)]
struct RememberedWrites {
    writes: BTreeMap<u64, Option<(Answer, Body)>>,
    bytes: usize,
    forgotten: u64,
}

/// What is known of a forwarded write.
enum Met {
    /// It was never seen.
    First,
    /// It is being carried out, or is so old that its answer is forgotten.
    Running,
    /// It was carried out.
    Answered((Answer, Body)),
}

impl RememberedWrites {
    fn meet(&mut self, id: u64) -> Met {
        if let Some(answer) = self.writes.get(&id) {
            return answer.clone().map_or(Met::Running, Met::Answered);
        }
        if id <= self.forgotten {
            return Met::Running;
        }
        self.writes.insert(id, None);
        if self.writes.len() > WRITES_REMEMBERED_MAX {
            self.forget_oldest();
        }
        Met::First
    }

    fn answer(&mut self, id: u64, answer: &Answer, body: &Body) {
        if let Some(slot) = self.writes.get_mut(&id) {
            *slot = Some((answer.clone(), body.clone()));
            self.bytes += codec::body_len(body);
        }
        while self.bytes > REMEMBERED_BYTES_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((oldest, answer)) = self.writes.pop_first() {
            self.forgotten = self.forgotten.max(oldest);
            self.bytes -= answer.map_or(0, |(_, body)| codec::body_len(&body));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_write_that_comes_twice_runs_once_and_gets_one_answer() {
        let mut writes = RememberedWrites::default();
        assert!(matches!(writes.meet(7), Met::First));
        assert!(matches!(writes.meet(7), Met::Running));
        writes.answer(7, &Answer::Written, &Body::new());
        assert!(matches!(writes.meet(7), Met::Answered((Answer::Written, _))));
    }

    #[test]
    fn a_write_is_never_run_again_when_its_answer_is_forgotten() {
        let mut writes = RememberedWrites::default();
        for id in 1..=WRITES_REMEMBERED_MAX as u64 + 1 {
            assert!(matches!(writes.meet(id), Met::First));
        }
        assert!(matches!(writes.meet(1), Met::Running));
    }

    #[test]
    fn long_answers_are_forgotten_sooner() {
        let mut writes = RememberedWrites::default();
        let long = Body::from_iter([Bytes::from(vec![0; REMEMBERED_BYTES_MAX / 2])]);
        for id in 1..=3 {
            assert!(matches!(writes.meet(id), Met::First));
            writes.answer(id, &Answer::Written, &long);
        }
        assert!(matches!(writes.meet(1), Met::Running));
        assert!(matches!(writes.meet(2), Met::Answered(_)));
        assert!(matches!(writes.meet(3), Met::Answered(_)));
    }
}
