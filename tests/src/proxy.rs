//! The network between the nodes of a test, one link for each ordered pair of them, and what goes
//! wrong on it.
//!
//! ```text
//! node 0 ── dials from its own address ──> front of node 1:7000 ── proxy ──> node 1:7000
//!            requests on link 0 -> 1                  answers on link 1 -> 0
//! ```
//!
//! Each node advertises its front and listens behind it. Nodes dial from the address that they listen
//! on, so a front knows who dials. A link is a direction, whoever dialled: what node 0 says to node 1
//! is on link 0 -> 1, a request or an answer. Whoever else dials is let through.
//!
//! Law: what is not lost arrives in order; a connection of which bytes were lost is reset when its
//! link heals, for TCP would have given it up.

mod condition;
mod pump;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

pub use condition::Condition;

use self::condition::Role;
use self::pump::{Ended, Pump};
use crate::place::INTERNODE_PORT;

/// How long a front tries to reach its node.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A link now.
#[derive(Debug, Clone, Default)]
struct State {
    condition: Condition,
    /// How often its connections were reset.
    resets: u64,
}

/// A node before and behind the proxy.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    /// Where others find it.
    pub front: IpAddr,
    /// Where it listens, and dials from.
    pub node: IpAddr,
}

/// The links between all nodes. They end with their value.
#[derive(Debug)]
pub struct Links {
    net: Arc<Net>,
    /// What the proxies run on, beside the test.
    _runtime: Runtime,
}

#[derive(Debug)]
struct Net {
    doors: Vec<Door>,
    /// By who speaks and then by who hears; the last of each is everybody else.
    links: Vec<Vec<watch::Sender<State>>>,
    flips: Arc<AtomicU64>,
}

impl Links {
    /// Opens the front of every node.
    pub fn start(doors: Vec<Door>) -> Result<Self> {
        let parties = doors.len() + 1;
        let row = || (0..parties).map(|_| watch::Sender::default()).collect();
        let links = (0..parties).map(|_| row()).collect();
        let net = Arc::new(Net { doors, links, flips: Arc::default() });
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("links").enable_all().build()?;
        for (index, door) in net.doors.iter().enumerate() {
            let front = SocketAddr::new(door.front, INTERNODE_PORT);
            let listener = runtime.block_on(TcpListener::bind(front));
            let listener = listener.with_context(|| format!("cannot listen on {front}"))?;
            runtime.spawn(accept(listener, index, Arc::clone(&net)));
        }
        Ok(Self { net, _runtime: runtime })
    }

    /// How many nodes there are.
    fn count(&self) -> usize {
        self.net.doors.len()
    }

    /// What befalls all that one node says to another, from now on.
    pub fn set(&self, from: usize, to: usize, condition: &Condition) {
        self.net.links[from][to].send_modify(|link| link.condition = condition.clone());
    }

    /// What befalls all that two nodes say to each other.
    pub fn set_between(&self, a: usize, b: usize, condition: &Condition) {
        self.set(a, b, condition);
        self.set(b, a, condition);
    }

    /// What befalls all that anybody says to anybody else.
    pub fn set_all(&self, condition: &Condition) {
        for (from, to) in self.pairs() {
            self.set(from, to, condition);
        }
    }

    /// Cuts every link between nodes of different groups; who is in no group is a group of its own.
    pub fn part(&self, groups: &[&[usize]]) {
        let group_of = |node: usize| groups.iter().position(|group| group.contains(&node));
        for (from, to) in self.pairs() {
            let is_together = group_of(from).is_some() && group_of(from) == group_of(to);
            if !is_together {
                self.set(from, to, &Condition::cut());
            }
        }
    }

    /// Resets every connection that one node dialled to another.
    pub fn reset(&self, from: usize, to: usize) {
        self.net.links[from][to].send_modify(|link| link.resets += 1);
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        self.set_all(&Condition::default());
    }

    /// How many bits were flipped.
    pub fn flips(&self) -> u64 {
        self.net.flips.load(Ordering::Relaxed)
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let count = self.count();
        (0..count).flat_map(move |a| (0..count).map(move |b| (a, b))).filter(|(a, b)| a != b)
    }
}

impl Net {
    /// The node that dials from this address; everybody else is one more.
    fn dialler(&self, address: IpAddr) -> usize {
        let known = self.doors.iter().position(|door| door.node == address);
        known.unwrap_or(self.doors.len())
    }

    fn watch(&self, from: usize, to: usize) -> watch::Receiver<State> {
        self.links[from][to].subscribe()
    }
}

#[expect(clippy::disallowed_methods, reason = "one task a connection, beside the test")]
async fn accept(listener: TcpListener, to: usize, net: Arc<Net>) {
    loop {
        let Ok((socket, address)) = listener.accept().await else { continue };
        let (net, from) = (Arc::clone(&net), net.dialler(address.ip()));
        tokio::spawn(async move {
            // Whoever dials sees a connection that ends; nobody else wants to know.
            let _ = connect(socket, from, to, &net).await;
        });
    }
}

/// Serves one connection that `from` has dialled.
async fn connect(mut dialler: TcpStream, from: usize, to: usize, net: &Net) -> std::io::Result<()> {
    let (there, back) = (net.watch(from, to), net.watch(to, from));
    let ended = match dial(&dialler, net.doors[to].node, there.clone()).await {
        Some(mut node) => {
            for socket in [&dialler, &node] {
                socket.set_nodelay(true)?;
            }
            let ended = {
                let (dialler_reads, dialler_writes) = dialler.split();
                let (node_reads, node_writes) = node.split();
                let requests = Pump::new(there, Role::Request, Arc::clone(&net.flips));
                let answers = Pump::new(back, Role::Answer, Arc::clone(&net.flips));
                tokio::select! {
                    ended = requests.run(dialler_reads, node_writes) => ended,
                    ended = answers.run(node_reads, dialler_writes) => ended,
                }
            };
            if ended == Ended::Reset {
                node.set_zero_linger()?;
            }
            ended
        }
        None => Ended::Reset,
    };
    if ended == Ended::Reset {
        dialler.set_zero_linger()?;
    }
    Ok(())
}

/// Reaches the node, as soon as its link lets dials pass; none where the dialler's connection is to
/// be reset instead.
async fn dial(
    dialler: &TcpStream,
    node: IpAddr,
    mut link: watch::Receiver<State>,
) -> Option<TcpStream> {
    let at_first = link.borrow().clone();
    let loses = at_first.condition.loses(Role::Request);
    while link.borrow_and_update().condition.keeps(Role::Request) {
        tokio::select! {
            changed = link.changed() => changed.ok()?,
            () = gone(dialler) => return None,
        }
    }
    if loses || link.borrow().resets != at_first.resets {
        return None;
    }
    let dialled = TcpStream::connect((node, INTERNODE_PORT));
    timeout(CONNECT_LIMIT, dialled).await.ok()?.ok()
}

/// Waits until the other end has closed or broken the connection.
async fn gone(socket: &TcpStream) {
    let mut byte = [0];
    // What it says meanwhile stays where it is, and so this waits for its end only once.
    while let Ok(1) = socket.peek(&mut byte).await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests;
