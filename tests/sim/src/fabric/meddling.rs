//! The near end of a connection between nodes whose messages come twice or out of order.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tests::meddler::Meddler;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::TracedReader;

/// How long a message is held back where no other one comes.
const HELD_MAX: Duration = Duration::from_millis(400);

/// How much is read at a time.
const READ_BYTES: usize = 8 << 10;

/// What one node hears from another: whole frames, some of them twice or out of order.
pub(super) struct MeddlingReader {
    inner: TracedReader,
    meddler: Meddler,
    /// What was passed on and not read yet.
    ready: Vec<u8>,
    /// When what is held back comes although nothing has come behind it.
    release_at: Option<Pin<Box<Sleep>>>,
}

impl MeddlingReader {
    pub(super) fn new(inner: TracedReader) -> Self {
        let (meddler, ready) = (Meddler::default(), Vec::new());
        Self { inner, meddler, ready, release_at: None }
    }

    /// Reads on until something is ready; false at the end of the connection.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [0; READ_BYTES];
        while self.ready.is_empty() {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.inner).poll_read(context, &mut buffer)? {
                Poll::Ready(()) if buffer.filled().is_empty() => return Poll::Ready(Ok(false)),
                Poll::Ready(()) => self.take_in(buffer.filled()),
                Poll::Pending => {
                    let Some(release_at) = &mut self.release_at else { return Poll::Pending };
                    ready!(release_at.as_mut().poll(context));
                    self.release_at = None;
                    self.ready = self.meddler.release();
                }
            }
        }
        Poll::Ready(Ok(true))
    }

    fn take_in(&mut self, bytes: &[u8]) {
        let end = &self.inner.end;
        let (from, to) = (end.remote.ip(), end.local.ip());
        self.ready = self.meddler.pass(bytes, || end.fabric.meddling(from, to));
        if !self.meddler.is_holding() {
            self.release_at = None;
        } else if self.release_at.is_none() {
            self.release_at = Some(Box::pin(sleep(HELD_MAX)));
        }
    }
}

impl AsyncRead for MeddlingReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if ready!(self.poll_ready(context))? {
            let count = buffer.remaining().min(self.ready.len());
            buffer.put_slice(&self.ready[..count]);
            self.ready.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}
