//! Connections to other processes, handed in like the clock.
//!
//! `peer` and `front` speak over whatever a [`Network`] gives them: [`TcpNetwork`] is the operating
//! system's, a simulation hands in one of its own, with delays and cuts that a seed decides. A
//! connection is two boxed halves, so that a poll costs one indirect call. Law: a connection whose
//! other end is gone for good ends some day; see [`Purpose`].

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A connection between nodes breaks when the peer's host takes nothing for so long. Without this
/// bound one that was cut off stays until TCP gives up, a quarter of an hour, and a healed network
/// is found late.
pub const PEER_SILENCE_MAX: Duration = Duration::from_secs(5);

/// After so much silence a client's host is asked whether it is there.
const CLIENT_SILENCE: Duration = Duration::from_mins(1);

/// What a connection is for, which decides how long a silent host is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Messages between nodes: ends after [`PEER_SILENCE_MAX`].
    Peers,
    /// Requests of clients: ends some minutes after the client's host is gone.
    Clients,
}

/// The half of a connection that is read from.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// The half of a connection that is written to.
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection.
pub struct Connection {
    /// What the other end says.
    pub reader: Reader,
    /// What it is told.
    pub writer: Writer,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// Where connections come from.
#[async_trait]
pub trait Network: Send + Sync + fmt::Debug + 'static {
    /// Connects to another node. `carries` names the messages, for those who watch.
    async fn connect(&self, to: SocketAddr, carries: &'static str) -> io::Result<Connection>;

    /// Takes a port.
    async fn listen(&self, at: SocketAddr, purpose: Purpose) -> io::Result<Box<dyn Listening>>;
}

/// A port that was taken; dropping it gives it back.
#[async_trait]
pub trait Listening: Send + Sync + fmt::Debug {
    /// The next connection. Dropping the future loses none.
    async fn accept(&self) -> io::Result<Connection>;

    /// Where it listens.
    fn address(&self) -> io::Result<SocketAddr>;
}

/// The operating system's TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpNetwork {
    from: Option<IpAddr>,
}

impl TcpNetwork {
    /// Dials from the address that it listens on, so that whoever is dialled, and a firewall between,
    /// sees who it is. One that listens everywhere dials from wherever the system likes.
    pub fn from_address(address: IpAddr) -> Self {
        Self { from: (!address.is_unspecified()).then_some(address) }
    }

    /// Where a connection to `to` begins: an address that can reach it, and any port.
    fn origin(self, to: IpAddr) -> Option<SocketAddr> {
        let can_reach = |from: &IpAddr| {
            from.is_ipv4() == to.is_ipv4() && (to.is_loopback() || !from.is_loopback())
        };
        self.from.filter(can_reach).map(|from| SocketAddr::new(from, 0))
    }
}

#[async_trait]
impl Network for TcpNetwork {
    async fn connect(&self, to: SocketAddr, _: &'static str) -> io::Result<Connection> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(origin) = self.origin(to.ip()) {
            socket.bind(origin)?;
        }
        let stream = socket.connect(to).await?;
        set_options(&stream, Purpose::Peers)?;
        Ok(connection(stream))
    }

    async fn listen(&self, at: SocketAddr, purpose: Purpose) -> io::Result<Box<dyn Listening>> {
        Ok(Box::new(TcpPort { socket: TcpListener::bind(at).await?, purpose }))
    }
}

#[derive(Debug)]
struct TcpPort {
    socket: TcpListener,
    purpose: Purpose,
}

#[async_trait]
impl Listening for TcpPort {
    async fn accept(&self) -> io::Result<Connection> {
        loop {
            let (stream, _) = self.socket.accept().await?;
            // One that takes no options has ended already.
            if set_options(&stream, self.purpose).is_ok() {
                return Ok(connection(stream));
            }
        }
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

fn connection(stream: TcpStream) -> Connection {
    let (reader, writer) = stream.into_split();
    Connection { reader: Box::new(reader), writer: Box::new(writer) }
}

/// Lets a connection carry small messages at once, and end when the other host is gone.
fn set_options(stream: &TcpStream, purpose: Purpose) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    match purpose {
        Purpose::Peers => {
            let probing = TcpKeepalive::new();
            let probing = probing.with_time(PEER_SILENCE_MAX).with_interval(PEER_SILENCE_MAX);
            socket.set_tcp_keepalive(&probing)?;
            socket.set_tcp_user_timeout(Some(PEER_SILENCE_MAX))
        }
        Purpose::Clients => {
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(CLIENT_SILENCE))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(from: &str, to: &str) -> Option<String> {
        let network = TcpNetwork::from_address(from.parse().unwrap());
        network.origin(to.parse().unwrap()).map(|origin| origin.ip().to_string())
    }

    #[test]
    fn a_node_dials_from_where_it_listens_unless_that_cannot_reach_the_other() {
        assert_eq!(origin("10.0.0.1", "10.0.0.2").as_deref(), Some("10.0.0.1"));
        assert_eq!(origin("127.0.0.1", "127.0.0.2").as_deref(), Some("127.0.0.1"));
        assert_eq!(origin("10.0.0.1", "127.0.0.1").as_deref(), Some("10.0.0.1"));
        for (from, to) in [("0.0.0.0", "10.0.0.2"), ("::", "10.0.0.2"), ("::1", "10.0.0.2")] {
            assert_eq!(origin(from, to), None, "{from} -> {to}");
        }
        assert_eq!(origin("127.0.0.1", "10.0.0.2"), None, "loopback reaches nobody else");
    }

    #[tokio::test]
    async fn who_is_dialled_sees_the_address_that_the_dialler_listens_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let network = TcpNetwork::from_address([127, 0, 0, 9].into());
        let dialled = network.connect(listener.local_addr().unwrap(), "test");
        let (dialled, accepted) = tokio::join!(dialled, listener.accept());
        dialled.unwrap();
        assert_eq!(accepted.unwrap().1.ip(), IpAddr::from([127, 0, 0, 9]));
    }
}
