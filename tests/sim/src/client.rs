//! A client of the native protocol on the simulated network: one statement at a time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use server::network::{Connection, Network as _};
use tests::cql::{self, Ask, Frame, HEADER_BYTES, Reply, opcode};
use tests::place::CQL_PORT;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use types::Consistency;

use crate::fabric::HostNetwork;

/// Every timeout of the server is shorter.
const ANSWER_MAX: Duration = Duration::from_secs(6);

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// A connection that is ready for statements.
pub(crate) struct Client {
    connection: Connection,
    stream: i16,
}

impl Client {
    /// Connects to a node and says STARTUP.
    pub(crate) async fn connect(network: &HostNetwork, node: IpAddr) -> Result<Self> {
        let address = SocketAddr::new(node, CQL_PORT);
        let connected = timeout(CONNECT_MAX, network.connect(address, "requests")).await;
        let connection = connected.context("no connection in time")??;
        let mut client = Self { connection, stream: 0 };
        match client.exchange(opcode::STARTUP, &cql::startup_body()).await? {
            Reply::Ready => Ok(client),
            reply => bail!("{node} answered STARTUP with {reply:?}"),
        }
    }

    /// Executes a statement; an error says that its answer is not known.
    pub(crate) async fn query(&mut self, statement: &str, level: Consistency) -> Result<Reply> {
        let ask = Ask::at(level);
        self.exchange(opcode::QUERY, &cql::query_body(statement, &ask)).await
    }

    async fn exchange(&mut self, opcode: u8, body: &[u8]) -> Result<Reply> {
        timeout(ANSWER_MAX, self.send_and_receive(opcode, body)).await.context("no answer")?
    }

    async fn send_and_receive(&mut self, opcode: u8, body: &[u8]) -> Result<Reply> {
        self.stream = (self.stream + 1) % 1_000;
        let request = cql::frame_bytes(4, self.stream, opcode, body);
        self.connection.writer.write_all(&request).await?;
        let mut header = [0; HEADER_BYTES];
        self.connection.reader.read_exact(&mut header).await?;
        let [version, flags, stream @ .., opcode, _, _, _, _] = header;
        let length = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
        let mut body = vec![0; usize::try_from(length)?];
        self.connection.reader.read_exact(&mut body).await?;
        let frame = Frame { version, flags, stream: i16::from_be_bytes(stream), opcode, body };
        Ok(cql::read_reply(&frame)?.0)
    }
}
