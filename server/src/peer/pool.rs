//! The links to all peers, dialled when first used.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use ring::HostId;
use tokio::time::{Instant, timeout_at};

use super::counters::PeerCounters;
use super::link::{CallError, Link, Reply};
use super::message::{Body, Class, Hello, PROTOCOL, Request};
use crate::clock::Clock;
use crate::network::Network;

/// What connections need to know of the node they belong to.
pub trait Introduce: Send + Sync + 'static {
    /// How this node introduces itself now.
    fn hello(&self, class: Class) -> Hello;

    /// Another node has introduced itself, on a connection in either direction.
    fn met(&self, peer: &Hello);
}

/// Bounds of connections.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// How long a dial and its handshake may take.
    pub connect_timeout: Duration,
    /// The longest frame.
    pub frame_bytes_max: usize,
    /// How many messages may wait before one connection.
    pub queue_max: usize,
    /// How often a connection looks whether anything comes back; in vain ten times, it is given up.
    pub look_pause: Duration,
    /// Where deadlines are read.
    pub clock: Arc<dyn Clock>,
    /// Where connections come from.
    pub network: Arc<dyn Network>,
}

/// Whom to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Where the peer listens.
    pub address: SocketAddr,
    /// Who must answer there; none where that is what the caller wants to find out.
    pub host: Option<HostId>,
}

/// Connections to all peers.
pub struct Pool {
    local: Arc<dyn Introduce>,
    options: PoolOptions,
    counters: Arc<PeerCounters>,
    links: Mutex<BTreeMap<(SocketAddr, Class), Arc<Link>>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Pool {
    /// No connections yet.
    pub fn new(local: Arc<dyn Introduce>, options: PoolOptions) -> Self {
        Self { local, options, counters: Arc::default(), links: Mutex::default() }
    }

    /// What did not reach other nodes.
    pub fn counters(&self) -> &Arc<PeerCounters> {
        &self.counters
    }

    /// Waits until every peer has read the requests about rows that wait for it, or until
    /// `deadline`. For a node that stops: clients may have their answers already.
    pub async fn flush(&self, deadline: Instant) {
        let links: Vec<_> = {
            let links = self.links.lock().expect("nothing panics while it holds this lock");
            let of_rows = links.iter().filter(|((_, class), _)| *class == Class::Rows);
            of_rows.map(|(_, link)| Arc::clone(link)).collect()
        };
        let flushed = join_all(links.iter().map(|link| link.flush(deadline)));
        // At the deadline whoever has not read them is given up.
        let _ = timeout_at(deadline, flushed).await;
    }

    /// Puts a request into the peer's queue at once; the future waits for its answer until
    /// `deadline`. Dropping the future does not take the request back.
    ///
    /// # Errors
    /// [`CallError::NotSent`] where the peer cannot have got the request, [`CallError::Lost`] where
    /// it may have.
    pub fn call(
        &self,
        to: Target,
        class: Class,
        epoch: u64,
        request: Request,
        body: Body,
        deadline: Instant,
    ) -> impl Future<Output = Result<Reply, CallError>> + Send + use<> {
        self.link(to.address, class).call(to.host, epoch, request, body, deadline)
    }

    /// Sends a message that has no answer, or drops it where too many wait.
    pub fn cast(&self, to: SocketAddr, class: Class, request: Request, body: Body, wait: Duration) {
        let deadline = self.options.clock.now() + wait;
        self.link(to, class).cast(request, body, deadline);
    }

    #[expect(clippy::disallowed_methods, reason = "a link lives as long as the pool")]
    fn link(&self, address: SocketAddr, class: Class) -> Arc<Link> {
        let mut links = self.links.lock().expect("nothing panics while it holds this lock");
        let link = links.entry((address, class)).or_insert_with(|| {
            let local = Arc::clone(&self.local);
            // Whoever is dead is asked for its heartbeat all the time: that is no failure.
            let counters = match class {
                Class::Rows => Arc::clone(&self.counters),
                Class::Control | Class::Gossip | Class::Upkeep => Arc::default(),
            };
            let (options, faults) = (self.options.clone(), Arc::clone(&self.counters));
            let (link, serving) = Link::new(address, class, local, options, counters, faults);
            tokio::spawn(serving);
            Arc::new(link)
        });
        Arc::clone(link)
    }
}

/// Whether two nodes may speak with each other.
pub(super) fn check_welcome(mine: &Hello, theirs: &Hello) -> Result<(), String> {
    if mine.protocol != theirs.protocol {
        let (theirs, ours) = (theirs.protocol, PROTOCOL);
        return Err(format!("internode protocol {theirs}, this node speaks {ours}"));
    }
    if mine.cluster_name != theirs.cluster_name {
        let (theirs, ours) = (&theirs.cluster_name, &mine.cluster_name);
        return Err(format!("a node of cluster {theirs:?}, this one belongs to {ours:?}"));
    }
    match (mine.cluster_id, theirs.cluster_id) {
        (Some(mine), Some(theirs)) if mine != theirs => {
            Err(format!("a node of another cluster of the same name: {theirs}, not {mine}"))
        }
        _ => Ok(()),
    }
}
