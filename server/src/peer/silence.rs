//! Whether a connection is a conversation still, or open and silent.
//!
//! ```text
//! written ── nothing comes, three looks ──> asks for a word ── nothing, seven more ──> given up
//! ```
//!
//! The other end may have forgotten the connection, or whatever lies between may swallow all that is
//! said. Any byte that comes shows the contrary; a peer that takes long for a request still answers
//! the ping. Callers: `link`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::network::Reader;

/// After so many looks in vain a link asks for a word.
const LOOKS_TO_ASK: u32 = 3;

/// After so many it gives the connection up. Looks are counted, not time: a node that was stopped
/// itself has not looked meanwhile.
const LOOKS_TO_GIVE_UP: u32 = 10;

/// Whether what is written to a connection is answered by anything at all.
pub(super) struct Exchange {
    /// How often bytes came.
    heard: Arc<AtomicU64>,
    /// How often bytes went.
    written: AtomicU64,
    /// A request for a word is to be written.
    pub(super) word_due: Notify,
}

impl Exchange {
    pub(super) fn new(heard: Arc<AtomicU64>) -> Self {
        Self { heard, written: AtomicU64::new(0), word_due: Notify::new() }
    }

    /// Bytes went.
    pub(super) fn note_written(&self) {
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends when an answer is due, because somebody waits for one or because something was written,
    /// and nothing comes back, not even a word that was asked for.
    pub(super) async fn listen_in_vain(&self, look_pause: Duration, is_awaited: impl Fn() -> bool) {
        let now = || (self.heard.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed));
        let ((mut heard, _), mut written, mut looks) = (now(), 0, 0);
        while looks < LOOKS_TO_GIVE_UP {
            sleep(look_pause).await;
            let (heard_now, written_now) = now();
            // Gossip has no answers: a word shows that it arrives.
            let is_due = written_now != written || is_awaited();
            if heard_now != heard || !is_due {
                (heard, written, looks) = (heard_now, written_now, 0);
                continue;
            }
            looks += 1;
            if looks == LOOKS_TO_ASK {
                self.word_due.notify_one();
            }
        }
    }
}

/// A reader that tells when bytes come.
pub(super) struct Hearing {
    pub(super) reader: Reader,
    pub(super) heard: Arc<AtomicU64>,
}

impl AsyncRead for Hearing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let read = Pin::new(&mut self.reader).poll_read(cx, buf);
        if read.is_ready() {
            self.heard.fetch_add(1, Ordering::Relaxed);
        }
        read
    }
}
