//! A client of native protocol v4 that does one thing at a time and hides nothing.
//!
//! One connection to one node, so the test chooses the coordinator; no retries, no pool, no
//! timestamps, and the bytes of a frame can be anything. Shares no code with the server.

mod reply;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use types::Consistency;

use crate::place::CQL_PORT;

pub use reply::{Refusal, Reply, Rows, read as read_reply};

/// How long a connection waits for an answer; every timeout of the server is shorter.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The longest answer that a client takes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Version, flags, stream (two bytes), opcode, length (four bytes).
pub const HEADER_BYTES: usize = 9;

/// The opcodes that tests send and read.
pub mod opcode {
    /// The server refuses.
    pub const ERROR: u8 = 0x00;
    /// A client opens.
    pub const STARTUP: u8 = 0x01;
    /// The server lets it.
    pub const READY: u8 = 0x02;
    /// A client asks what the server can.
    pub const OPTIONS: u8 = 0x05;
    /// What the server can.
    pub const SUPPORTED: u8 = 0x06;
    /// A statement in text.
    pub const QUERY: u8 = 0x07;
    /// Rows, nothing, or a change of the schema.
    pub const RESULT: u8 = 0x08;
    /// A statement to be kept.
    pub const PREPARE: u8 = 0x09;
    /// A kept statement.
    pub const EXECUTE: u8 = 0x0A;
    /// A client wants events.
    pub const REGISTER: u8 = 0x0B;
    /// The server tells unasked.
    pub const EVENT: u8 = 0x0C;
    /// Several statements.
    pub const BATCH: u8 = 0x0D;
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Protocol version; the highest bit says that it is an answer.
    pub version: u8,
    /// Bit 8: the body begins with warnings.
    pub flags: u8,
    /// The number that the request carried.
    pub stream: i16,
    /// What the body is.
    pub opcode: u8,
    /// The body.
    pub body: Vec<u8>,
}

/// One connection to one node.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    stream: i16,
    warnings: Vec<String>,
    events: VecDeque<String>,
}

/// How a statement is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The consistency level of the request.
    pub level: Consistency,
    /// Rows of one page, if the client wants pages.
    pub page_rows: Option<i32>,
    /// Where the page before this one ended.
    pub paging_state: Option<&'a [u8]>,
}

impl Ask<'_> {
    /// Everything at once, at this level.
    pub fn at(level: Consistency) -> Self {
        Self { level, page_rows: None, paging_state: None }
    }
}

/// A BATCH request.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    /// 0 logged, 1 unlogged, 2 counter.
    pub kind: u8,
    /// The statements with their values.
    pub statements: Vec<(BatchStatement<'a>, Vec<Option<Vec<u8>>>)>,
    /// The consistency level.
    pub level: Consistency,
    /// The client's timestamp.
    pub timestamp: Option<i64>,
}

/// A statement of a BATCH request.
#[derive(Debug, Clone, Copy)]
pub enum BatchStatement<'a> {
    /// Its text.
    Text(&'a str),
    /// The id of a prepared one.
    Prepared(&'a [u8]),
}

impl Client {
    /// A TCP connection on which nothing was said yet.
    pub fn dial(node: IpAddr) -> Result<Self> {
        let address = SocketAddr::new(node, CQL_PORT);
        let socket = TcpStream::connect_timeout(&address, ANSWER_LIMIT)
            .with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        socket.set_write_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self { socket, stream: 0, warnings: Vec::new(), events: VecDeque::new() })
    }

    /// A connection that is ready for statements.
    pub fn connect(node: IpAddr) -> Result<Self> {
        let mut client = Self::dial(node)?;
        match client.startup()? {
            Reply::Ready => Ok(client),
            reply => bail!("{node} answered STARTUP with {reply:?}"),
        }
    }

    /// This end of the connection.
    pub fn local_address(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Says STARTUP.
    pub fn startup(&mut self) -> Result<Reply> {
        self.exchange(opcode::STARTUP, &startup_body())
    }

    /// Executes a statement at QUORUM and takes whatever is answered.
    pub fn query(&mut self, statement: &str) -> Result<Reply> {
        self.query_at(statement, Consistency::Quorum)
    }

    /// Executes a statement at a level and takes whatever is answered.
    pub fn query_at(&mut self, statement: &str, level: Consistency) -> Result<Reply> {
        self.ask(statement, &Ask::at(level))
    }

    /// Executes a statement and takes whatever is answered.
    pub fn ask(&mut self, statement: &str, ask: &Ask<'_>) -> Result<Reply> {
        self.exchange(opcode::QUERY, &query_body(statement, ask))
            .with_context(|| format!("no answer to {statement}"))
    }

    /// Has a statement kept for execution and takes whatever is answered.
    pub fn prepare(&mut self, statement: &str) -> Result<Reply> {
        let mut body = Vec::new();
        put_long_string(&mut body, statement);
        self.exchange(opcode::PREPARE, &body)
    }

    /// Executes a BATCH request and takes whatever is answered.
    pub fn batch(&mut self, batch: &Batch<'_>) -> Result<Reply> {
        self.exchange(opcode::BATCH, &batch_body(batch))
    }

    /// Executes a statement at QUORUM that must not be refused.
    pub fn run(&mut self, statement: &str) -> Result<()> {
        self.run_at(statement, Consistency::Quorum)
    }

    /// Executes a statement at a level that must not be refused.
    pub fn run_at(&mut self, statement: &str, level: Consistency) -> Result<()> {
        match self.query_at(statement, level)? {
            Reply::Refused(refusal) => bail!("{statement} at {level}: {refusal:?}"),
            _ => Ok(()),
        }
    }

    /// The rows that a statement answers with at QUORUM.
    pub fn rows(&mut self, statement: &str) -> Result<Rows> {
        self.rows_at(statement, Consistency::Quorum)
    }

    /// The rows that a statement answers with at a level.
    pub fn rows_at(&mut self, statement: &str, level: Consistency) -> Result<Rows> {
        self.rows_asked(statement, &Ask::at(level))
    }

    /// The rows, or the page of rows, that a statement answers with.
    pub fn rows_asked(&mut self, statement: &str, ask: &Ask<'_>) -> Result<Rows> {
        match self.ask(statement, ask)? {
            Reply::Rows(rows) => Ok(rows),
            reply => bail!("{statement} at {}: wanted rows, got {reply:?}", ask.level),
        }
    }

    /// The refusal that a statement earns at QUORUM.
    pub fn refusal(&mut self, statement: &str) -> Result<Refusal> {
        self.refusal_at(statement, Consistency::Quorum)
    }

    /// The refusal that a statement earns at a level.
    pub fn refusal_at(&mut self, statement: &str, level: Consistency) -> Result<Refusal> {
        match self.query_at(statement, level)? {
            Reply::Refused(refusal) => Ok(refusal),
            reply => bail!("{statement} at {level}: wanted a refusal, got {reply:?}"),
        }
    }

    /// The warnings that came with the last answer.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Sends one request and reads its answer.
    pub fn exchange(&mut self, opcode: u8, body: &[u8]) -> Result<Reply> {
        self.stream = (self.stream + 1) % 1_000;
        self.send(&frame_bytes(4, self.stream, opcode, body))?;
        let mut frame = self.receive()?;
        while frame.opcode == opcode::EVENT {
            self.note_event(&frame)?;
            frame = self.receive()?;
        }
        ensure!(frame.stream == self.stream, "an answer to stream {}", frame.stream);
        let (reply, warnings) = reply::read(&frame)?;
        self.warnings = warnings;
        Ok(reply)
    }

    /// Asks for events of these kinds.
    pub fn register(&mut self, kinds: &[&str]) -> Result<()> {
        let mut body = u16::try_from(kinds.len())?.to_be_bytes().to_vec();
        for kind in kinds {
            put_string(&mut body, kind);
        }
        match self.exchange(opcode::REGISTER, &body)? {
            Reply::Ready => Ok(()),
            reply => bail!("REGISTER {kinds:?}: {reply:?}"),
        }
    }

    /// The next event in words, such as `STATUS_CHANGE DOWN 127.0.0.1:9042`.
    ///
    /// # Errors
    /// If none comes within the limit.
    pub fn next_event(&mut self, limit: Duration) -> Result<String> {
        if self.events.is_empty() {
            self.socket.set_read_timeout(Some(limit))?;
            let frame = self.receive().with_context(|| format!("no event within {limit:?}"));
            self.socket.set_read_timeout(Some(ANSWER_LIMIT))?;
            self.note_event(&frame?)?;
        }
        self.events.pop_front().context("an event was noted")
    }

    fn note_event(&mut self, frame: &Frame) -> Result<()> {
        ensure!(frame.stream == -1, "an event on stream {}", frame.stream);
        self.events.push_back(reply::event(frame)?);
        Ok(())
    }

    /// Sends bytes, whatever they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.socket.write_all(bytes)?)
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) -> Result<()> {
        Ok(self.socket.shutdown(std::net::Shutdown::Write)?)
    }

    /// Reads one frame.
    pub fn receive(&mut self) -> Result<Frame> {
        let mut header = [0; HEADER_BYTES];
        self.socket.read_exact(&mut header).context("no header of an answer")?;
        let [version, flags, stream @ .., opcode, _, _, _, _] = header;
        let length = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
        let length = usize::try_from(length)?;
        ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body).context("no body of an answer")?;
        Ok(Frame { version, flags, stream: i16::from_be_bytes(stream), opcode, body })
    }

    /// Reads until the server hangs up.
    ///
    /// # Errors
    /// If it says nothing for too long and does not hang up.
    pub fn drain(&mut self) -> Result<()> {
        let mut bytes = [0; 4096];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                read => read.context("the server does not hang up")?,
            };
        }
    }

    /// Reads the answer to whatever was sent: a refusal, or nothing because the server hung up.
    ///
    /// # Errors
    /// If the server neither answers nor hangs up, or answers with something else.
    pub fn refusal_or_end(&mut self) -> Result<Option<Refusal>> {
        let mut first = [0; 1];
        match self.socket.peek(&mut first) {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
            peeked => peeked.context("neither an answer nor the end")?,
        };
        match reply::read(&self.receive()?)?.0 {
            Reply::Refused(refusal) => Ok(Some(refusal)),
            reply => bail!("wanted a refusal or the end, got {reply:?}"),
        }
    }
}

/// The body of a STARTUP.
pub fn startup_body() -> Vec<u8> {
    let mut body = 1_u16.to_be_bytes().to_vec();
    put_string(&mut body, "CQL_VERSION");
    put_string(&mut body, "3.0.0");
    body
}

/// The body of a QUERY without values.
pub fn query_body(statement: &str, ask: &Ask<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    put_long_string(&mut body, statement);
    body.extend(ask.level.code().to_be_bytes());
    let page = if ask.page_rows.is_some() { 0x04 } else { 0 };
    let state = if ask.paging_state.is_some() { 0x08 } else { 0 };
    body.push(page | state);
    if let Some(rows) = ask.page_rows {
        body.extend(rows.to_be_bytes());
    }
    if let Some(state) = ask.paging_state {
        body.extend(length_u32(state).to_be_bytes());
        body.extend(state);
    }
    body
}

/// The body of a BATCH.
pub fn batch_body(batch: &Batch<'_>) -> Vec<u8> {
    let length_u16 = |length: usize| u16::try_from(length).expect("tests send short batches");
    let mut body = vec![batch.kind];
    body.extend(length_u16(batch.statements.len()).to_be_bytes());
    for (statement, values) in &batch.statements {
        match statement {
            BatchStatement::Text(text) => {
                body.push(0);
                put_long_string(&mut body, text);
            }
            BatchStatement::Prepared(id) => {
                body.push(1);
                body.extend(length_u16(id.len()).to_be_bytes());
                body.extend(*id);
            }
        }
        body.extend(length_u16(values.len()).to_be_bytes());
        for value in values {
            match value {
                Some(bytes) => {
                    body.extend(length_u32(bytes).to_be_bytes());
                    body.extend(bytes);
                }
                None => body.extend((-1_i32).to_be_bytes()),
            }
        }
    }
    body.extend(batch.level.code().to_be_bytes());
    body.push(if batch.timestamp.is_some() { 0x20 } else { 0 });
    body.extend(batch.timestamp.into_iter().flat_map(i64::to_be_bytes));
    body
}

/// A request as bytes.
pub fn frame_bytes(version: u8, stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = header_bytes(version, stream, opcode, length_u32(body)).to_vec();
    bytes.extend(body);
    bytes
}

/// The header of a request that declares a body of this length.
pub fn header_bytes(version: u8, stream: i16, opcode: u8, length: u32) -> [u8; HEADER_BYTES] {
    let [s0, s1] = stream.to_be_bytes();
    let [l0, l1, l2, l3] = length.to_be_bytes();
    [version, 0, s0, s1, opcode, l0, l1, l2, l3]
}

/// A `[long string]`.
pub fn put_long_string(out: &mut Vec<u8>, text: &str) {
    out.extend(length_u32(text.as_bytes()).to_be_bytes());
    out.extend(text.as_bytes());
}

/// A `[string]`.
pub fn put_string(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("tests send short strings");
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}

/// A blob as CQL writes it.
pub fn blob_literal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

fn length_u32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("tests send short bodies")
}
