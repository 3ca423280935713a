//! Accepting connections of drivers.

use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

use super::session::Session;
use super::{Front, FrontCounters};

/// After so much silence a client's host is asked whether it is there.
const KEEPALIVE_AFTER: Duration = Duration::from_mins(1);

impl Front {
    /// Accepts connections until the node drains, one task for each.
    #[expect(clippy::disallowed_methods, reason = "one task a connection")]
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.draining.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Out of file descriptors, or the like: connections that end make room.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let place = Arc::clone(&self.places).try_acquire_owned();
            let Ok(place) = place else {
                FrontCounters::count(&self.counters.connections_refused);
                continue;
            };
            if set_options(&stream).is_err() {
                continue;
            }
            FrontCounters::count(&self.counters.connections);
            let (reader, writer) = stream.into_split();
            let session = Session::new(Arc::clone(&self), reader, writer);
            tokio::spawn(async move {
                let _place = place;
                session.run().await;
            });
        }
    }
}

/// Lets answers leave at once, not when the one before is acknowledged, and a connection whose
/// client's host is gone end some day.
fn set_options(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))
}
