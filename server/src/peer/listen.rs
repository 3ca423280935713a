//! The far end: accepts connections of other nodes and runs their requests.
//!
//! One task a connection runs all requests of it side by side, so a request costs no task and no
//! hop to another thread; answers that are ready at the same time leave in one write.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use super::codec::{self, Frame, FrameDecoder};
use super::link::{frames, write_head};
use super::message::{Answer, Body, Head, Hello, Received, Request};
use super::pool::{Introduce, check_welcome};

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// How many requests of one connection run at once.
const IN_FLIGHT_MAX: usize = 4_096;

/// How many connections of other nodes are served at once.
const CONNECTIONS_MAX: usize = 4_096;

/// How many forwarded writes of a connection are remembered with their answers.
const WRITES_REMEMBERED_MAX: usize = 4_096;

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
    socket: TcpListener,
    frame_bytes_max: usize,
}

impl Listener {
    /// Binds the port.
    pub async fn bind(address: SocketAddr, frame_bytes_max: usize) -> std::io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, frame_bytes_max })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts connections until the task is dropped.
    #[expect(clippy::disallowed_methods, reason = "one task a connection")]
    pub async fn serve<H: Handler>(self, local: Arc<dyn Introduce>, handler: Arc<H>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            let Ok((stream, _)) = self.socket.accept().await else {
                // Out of file descriptors, or the like: connections that end make room.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (local, handler) = (Arc::clone(&local), Arc::clone(&handler));
            let bytes_max = self.frame_bytes_max;
            tokio::spawn(async move {
                let _place = place;
                let welcomed = welcome(stream, local.as_ref(), bytes_max);
                if let Ok(Some((from, frames, writer))) = timeout(HANDSHAKE_MAX, welcomed).await {
                    converse(Arc::new(from), frames, writer, handler).await;
                }
            });
        }
    }
}

type Frames = FramedRead<OwnedReadHalf, FrameDecoder>;

async fn welcome(
    stream: TcpStream,
    local: &dyn Introduce,
    bytes_max: usize,
) -> Option<(Hello, Frames, OwnedWriteHalf)> {
    stream.set_nodelay(true).ok()?;
    let (reader, mut writer) = stream.into_split();
    let mut frames = frames(reader, bytes_max);
    let Some(Ok(Frame { head: Head::Hello(theirs), .. })) = frames.next().await else {
        return None;
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

/// A request that is being carried out, with its number.
type Running = Pin<Box<dyn Future<Output = (u64, Option<(Answer, Body)>)> + Send>>;

/// Runs the requests of one connection until it ends.
async fn converse<H: Handler>(
    from: Arc<Hello>,
    mut frames: Frames,
    mut writer: OwnedWriteHalf,
    handler: Arc<H>,
) {
    let mut running: FuturesUnordered<Running> = FuturesUnordered::new();
    let mut writes = RememberedWrites::default();
    let mut out = BytesMut::new();
    loop {
        tokio::select! {
            biased;
            frame = frames.next(), if running.len() < IN_FLIGHT_MAX => {
                let Some(Ok(Frame { head: Head::Request { id, epoch, wait_ms, request }, body })) =
                    frame
                else {
                    return;
                };
                if matches!(request, Request::Write { .. }) {
                    match writes.meet(id) {
                        Met::First => {}
                        Met::Running => continue,
                        Met::Answered(known) => {
                            running.push(Box::pin(async move { (id, Some(known)) }));
                            continue;
                        }
                    }
                }
                let received = Received { id, epoch, wait_ms, request, body };
                running.push(run(id, Arc::clone(&handler), Arc::clone(&from), received));
            }
            Some(done) = running.next(), if !running.is_empty() => {
                let mut ready = Some(done);
                while let Some((id, answer)) = ready {
                    if let Some((answer, body)) = answer {
                        writes.answer(id, &answer, &body);
                        append(handler.epoch(), id, answer, &body, &mut out);
                    }
                    ready = running.next().now_or_never().flatten();
                }
                if writer.write_all(&out).await.is_err() {
                    return;
                }
                out.clear();
            }
        }
    }
}

fn run<H: Handler>(id: u64, handler: Arc<H>, from: Arc<Hello>, received: Received) -> Running {
    Box::pin(async move { (id, handler.handle(from, received).await) })
}

fn append(epoch: u64, id: u64, answer: Answer, body: &Body, out: &mut BytesMut) {
    codec::write(&Head::Answer { id, epoch, answer }, body, out);
}

/// The forwarded writes of one connection: each is carried out once, and a message that comes twice
/// gets the first one's answer. The memory ends with the connection, as the numbers do.
#[derive(Default)]
struct RememberedWrites {
    writes: BTreeMap<u64, Option<(Answer, Body)>>,
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
        if self.writes.len() > WRITES_REMEMBERED_MAX
            && let Some((oldest, _)) = self.writes.pop_first()
        {
            self.forgotten = oldest;
        }
        Met::First
    }

    fn answer(&mut self, id: u64, answer: &Answer, body: &Body) {
        if let Some(slot) = self.writes.get_mut(&id) {
            *slot = Some((answer.clone(), body.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
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
}
