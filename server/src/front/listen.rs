//! Accepting connections of drivers.

use std::sync::Arc;
use std::time::Duration;

use super::session::Session;
use super::{Front, FrontCounters};
use crate::network::{Connection, Listening};

impl Front {
    /// Accepts connections until the node drains, one task for each.
    #[expect(clippy::disallowed_methods, reason = "one task a connection")]
    pub async fn serve(self: Arc<Self>, port: Box<dyn Listening>) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.draining.cancelled() => return,
                accepted = port.accept() => accepted,
            };
            let Ok(Connection { reader, writer }) = accepted else {
                // Out of file descriptors, or the like: connections that end make room.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let place = Arc::clone(&self.places).try_acquire_owned();
            let Ok(place) = place else {
                FrontCounters::count(&self.counters.connections_refused);
                continue;
            };
            FrontCounters::count(&self.counters.connections);
            let session = Session::new(Arc::clone(&self), reader, writer);
            tokio::spawn(async move {
                let _place = place;
                session.run().await;
            });
        }
    }
}
