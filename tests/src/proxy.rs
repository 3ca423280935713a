//! A door in front of a node that can swallow what the node answers.
//!
//! ```text
//! other nodes ---requests---> front:7000  proxy  ---> listen:7000  node
//!             <--(swallowed)-                    <---
//! ```
//!
//! The node advertises the front and listens behind it. While the proxy is mute, requests arrive
//! and are carried out, and nobody hears of it. A stream that lost bytes is of no use, so healing
//! ends all connections and lets new ones through.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::place::INTERNODE_PORT;

/// How long the proxy tries to reach its node.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A proxy in front of one node's internode port. Ends with its value.
#[derive(Debug)]
pub struct Proxy {
    front: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_mute: AtomicBool,
    is_over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Listens on `front` and passes everything on to `node`.
    pub fn start(front: IpAddr, node: IpAddr) -> Result<Self> {
        let front = SocketAddr::new(front, INTERNODE_PORT);
        let listener = TcpListener::bind(front)?;
        let shared = Arc::new(Shared::default());
        let node = SocketAddr::new(node, INTERNODE_PORT);
        let accepting = Arc::clone(&shared);
        run(move || accept(&listener, node, &accepting));
        Ok(Self { front, shared })
    }

    /// From now on nobody hears what the node answers.
    pub fn mute(&self) {
        self.shared.is_mute.store(true, Ordering::SeqCst);
    }

    /// Ends all connections and passes everything on new ones.
    pub fn heal(&self) {
        self.shared.close_all();
        self.shared.is_mute.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; without an answer there is nothing to wake.
        let _ = TcpStream::connect_timeout(&self.front, CONNECT_LIMIT);
        self.shared.close_all();
    }
}

impl Shared {
    fn keep(&self, socket: &TcpStream) -> std::io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push(socket.try_clone()?);
        Ok(())
    }

    fn close_all(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for socket in open.drain(..) {
            close(&socket);
        }
    }
}

fn accept(listener: &TcpListener, node: SocketAddr, shared: &Arc<Shared>) {
    for dialler in listener.incoming().flatten() {
        if shared.is_over.load(Ordering::SeqCst) {
            return;
        }
        // A node that cannot be reached shows itself to the dialler as a closed connection.
        let _ = connect(dialler, node, shared);
    }
}

fn connect(dialler: TcpStream, node: SocketAddr, shared: &Arc<Shared>) -> std::io::Result<()> {
    let node = TcpStream::connect_timeout(&node, CONNECT_LIMIT)?;
    for socket in [&dialler, &node] {
        socket.set_nodelay(true)?;
        shared.keep(socket)?;
    }
    let (requests_from, requests_to) = (dialler.try_clone()?, node.try_clone()?);
    run(move || copy(requests_from, requests_to, || false));
    let shared = Arc::clone(shared);
    run(move || copy(node, dialler, || shared.is_mute.load(Ordering::SeqCst)));
    Ok(())
}

/// Copies until one end closes; swallows what comes while `is_mute`.
fn copy(mut from: TcpStream, mut to: TcpStream, is_mute: impl Fn() -> bool) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count) = from.read(&mut bytes)
        && count > 0
    {
        if !is_mute() && to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    close(&from);
    close(&to);
}

fn close(socket: &TcpStream) {
    // It may be closed already.
    let _ = socket.shutdown(Shutdown::Both);
}

#[expect(clippy::disallowed_methods, reason = "a proxy lives beside its test, a thread a stream")]
fn run(body: impl FnOnce() + Send + 'static) {
    thread::spawn(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Network;

    /// A node that answers every byte with its successor.
    fn echo(address: IpAddr) {
        let listener = TcpListener::bind((address, INTERNODE_PORT)).unwrap();
        run(move || {
            for mut socket in listener.incoming().flatten() {
                run(move || {
                    let mut byte = [0];
                    while socket.read_exact(&mut byte).is_ok() {
                        byte[0] += 1;
                        socket.write_all(&byte).unwrap();
                    }
                });
            }
        });
    }

    fn dial(front: IpAddr) -> TcpStream {
        let socket = TcpStream::connect((front, INTERNODE_PORT)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    }

    fn ask(socket: &mut TcpStream, byte: u8) -> Option<u8> {
        let mut answer = [0];
        socket.write_all(&[byte]).ok()?;
        socket.read_exact(&mut answer).ok()?;
        Some(answer[0])
    }

    #[test]
    fn a_mute_node_is_heard_again_on_new_connections() {
        let network = Network::take().unwrap();
        let (front, node) = (network.address(0), network.address(100));
        echo(node);
        let proxy = Proxy::start(front, node).unwrap();
        let mut socket = dial(front);
        assert_eq!(ask(&mut socket, 1), Some(2));
        proxy.mute();
        assert_eq!(ask(&mut socket, 3), None);
        proxy.heal();
        assert_eq!(ask(&mut socket, 5), None);
        assert_eq!(ask(&mut dial(front), 7), Some(8));
    }
}
