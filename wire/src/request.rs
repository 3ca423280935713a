//! What a client asks for: the bodies of requests.
//!
//! Every text, id and value in a [`Request`] is a slice of the frame's buffer; keep one for long,
//! and copy it first, or it keeps that whole buffer alive. A body is read to its last byte: what
//! is left over is an error, like everything that does not fit.
//!
//! ```text
//! STARTUP   [string map]
//! QUERY     [long string] <params>
//! PREPARE   [long string]
//! EXECUTE   [short bytes] <params>
//! BATCH     kind n (kind text|id values)* consistency flags [serial] [timestamp]
//! REGISTER  [string list]
//! <params>  consistency flags [values] [page size] [paging state] [serial] [timestamp]
//! ```
//!
//! Source: native protocol v4, §4.1. Callers: `frame` reads them, `front` in `server` serves them.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use bytes::Bytes;
use bytestring::ByteString;
use types::Consistency;

use crate::compress::{Compression, CompressionError};
use crate::event::EventKind;
use crate::frame::opcode;
use crate::notation::Reader;
use crate::value::{Payload, Values};

/// The most options that `STARTUP` may have; drivers send about ten.
const STARTUP_OPTIONS_MAX: u16 = 64;

/// The most entries that a custom payload may have.
const PAYLOAD_ENTRIES_MAX: u16 = 64;

/// The fewest bytes that a statement of a batch takes: its kind, an empty id, no values.
const BATCH_STATEMENT_BYTES_MIN: usize = 5;

/// The optional parts of a request, as the bits that announce them (§4.1.4, §4.1.7).
mod flag {
    pub(super) const VALUES: u8 = 0x01;
    pub(super) const SKIP_METADATA: u8 = 0x02;
    pub(super) const PAGE_SIZE: u8 = 0x04;
    pub(super) const PAGING_STATE: u8 = 0x08;
    pub(super) const SERIAL_CONSISTENCY: u8 = 0x10;
    pub(super) const TIMESTAMP: u8 = 0x20;
    pub(super) const NAMES: u8 = 0x40;
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The first thing on a connection: who is there and what it wants.
    Startup(Startup),
    /// What a client says when it was asked for credentials.
    AuthResponse {
        /// The token; what is in it depends on the authenticator.
        token: Option<Bytes>,
    },
    /// A question for what `STARTUP` may contain; also a sign of life, at any time.
    Options,
    /// A statement to carry out.
    Query(Query),
    /// A statement to remember.
    Prepare(Prepare),
    /// A remembered statement to carry out.
    Execute(Execute),
    /// Statements to carry out together.
    Batch(Batch),
    /// A wish to be told of events on this connection.
    Register {
        /// Which.
        events: BTreeSet<EventKind>,
    },
}

/// Options of a connection, by the names that drivers give them. Unknown ones mean nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// All options, known and unknown.
    pub options: BTreeMap<ByteString, ByteString>,
}

impl Startup {
    /// The version of CQL that the client speaks, if it says so.
    pub fn cql_version(&self) -> Option<&str> {
        self.option("CQL_VERSION")
    }

    /// The compression that the client wants, if any.
    ///
    /// # Errors
    /// [`RequestError::UnknownCompression`] if it wants one that `SUPPORTED` does not list.
    pub fn compression(&self) -> Result<Option<Compression>, RequestError> {
        let Some(name) = self.option("COMPRESSION").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        match Compression::from_name(name) {
            Some(compression) => Ok(Some(compression)),
            None => Err(RequestError::UnknownCompression { name: name.to_owned() }),
        }
    }

    /// The option of this name.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(|value| &**value)
    }
}

/// A statement with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The statement.
    pub text: ByteString,
    /// How to carry it out.
    pub params: QueryParams,
}

/// A statement to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    /// The statement.
    pub text: ByteString,
}

/// A remembered statement with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execute {
    /// The id that the reply to `PREPARE` gave.
    pub id: Bytes,
    /// How to carry it out.
    pub params: QueryParams,
}

/// How to carry out a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryParams {
    /// How many replicas to wait for.
    pub consistency: Consistency,
    /// What is bound to the statement's markers.
    pub values: Values,
    /// Whether the client knows the result's columns and wants rows without them.
    pub skip_metadata: bool,
    /// How many rows a page may have; `None`, or nothing above zero: all rows in one.
    pub page_size: Option<NonZeroU32>,
    /// Where the page begins: the bytes that came with the page before.
    pub paging_state: Option<Bytes>,
    /// The level of a condition; drivers send it with everything.
    pub serial_consistency: Option<Consistency>,
    /// The client's write time, in microseconds since the Unix epoch; drivers send it with
    /// everything.
    pub timestamp_us: Option<i64>,
}

/// Statements to carry out together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// How far together.
    pub kind: BatchKind,
    /// The statements, in order.
    pub statements: Vec<BatchStatement>,
    /// How many replicas to wait for.
    pub consistency: Consistency,
    /// The level of conditions.
    pub serial_consistency: Option<Consistency>,
    /// The client's write time, in microseconds since the Unix epoch.
    pub timestamp_us: Option<i64>,
}

/// How far the statements of a batch belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchKind {
    /// All of them happen in the end, or none.
    Logged,
    /// They are only sent together.
    Unlogged,
    /// They change counters.
    Counter,
}

/// One statement of a batch with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchStatement {
    /// The statement.
    pub statement: Statement,
    /// What is bound to its markers; always by position.
    pub values: Values,
}

/// A statement in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// The statement itself.
    Text(ByteString),
    /// The id of a remembered one.
    Prepared(Bytes),
}

/// Why a request cannot be read. The connection can go on: the next frame is known to begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No request has this opcode.
    #[error("unknown opcode 0x{opcode:02x} of a request")]
    UnknownOpcode {
        /// The opcode.
        opcode: u8,
    },
    /// The body is longer than the limit, and was thrown away unread.
    #[error("request of {bytes} bytes is too long; the limit is {bytes_max}")]
    TooLong {
        /// The body's length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The body cannot be unpacked.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The body ends too early.
    #[error("request ends {missing} bytes before the end of its {field}")]
    Truncated {
        /// What could not be read.
        field: &'static str,
        /// How much of it is not there.
        missing: usize,
    },
    /// The body goes on where it should end.
    #[error("request has {bytes} bytes too many")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// A length is negative where that means nothing.
    #[error("length {length} of a {field}")]
    NegativeLength {
        /// What has that length.
        field: &'static str,
        /// The length.
        length: i32,
    },
    /// A text is not UTF-8.
    #[error("{field} is not UTF-8")]
    NotUtf8 {
        /// Which.
        field: &'static str,
    },
    /// A list is longer than any client needs.
    #[error("{count} entries of {field}; the limit is {count_max}")]
    TooMany {
        /// What there is too much of.
        field: &'static str,
        /// How many the body declares.
        count: u16,
        /// The limit.
        count_max: u16,
    },
    /// No consistency level has this code.
    #[error("unknown consistency level {code}")]
    UnknownConsistency {
        /// The code.
        code: u16,
    },
    /// A part is announced that this version of the protocol does not have.
    #[error("unknown flags 0x{flags:02x} in a request")]
    UnknownFlags {
        /// The unknown ones among the flags.
        flags: u8,
    },
    /// No kind of batch has this number.
    #[error("unknown kind of batch {kind}")]
    UnknownBatchKind {
        /// The number.
        kind: u8,
    },
    /// No kind of statement in a batch has this number.
    #[error("unknown kind of statement in a batch {kind}")]
    UnknownStatementKind {
        /// The number.
        kind: u8,
    },
    /// The values of a batch are said to have names, for which its form has no place.
    #[error("values in a batch cannot have names")]
    NamedBatchValues,
    /// No event has this name.
    #[error("unknown event {name:?}")]
    UnknownEvent {
        /// The name.
        name: String,
    },
    /// `STARTUP` asks for a compression that `SUPPORTED` does not list.
    #[error("unknown compression {name:?}")]
    UnknownCompression {
        /// Its name.
        name: String,
    },
}

impl Request {
    /// Reads the body of a request with this opcode, to its end.
    pub(crate) fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, RequestError> {
        let request = match code {
            opcode::STARTUP => Self::Startup(Startup::read(reader)?),
            opcode::OPTIONS => Self::Options,
            opcode::QUERY => Self::Query(Query::read(reader)?),
            opcode::PREPARE => Self::Prepare(Prepare { text: reader.long_text("statement")? }),
            opcode::EXECUTE => Self::Execute(Execute::read(reader)?),
            opcode::REGISTER => Self::Register { events: read_events(reader)? },
            opcode::BATCH => Self::Batch(Batch::read(reader)?),
            opcode::AUTH_RESPONSE => {
                let token = reader.bytes("token")?;
                Self::AuthResponse { token: token.map(|token| reader.share(token)) }
            }
            opcode => return Err(RequestError::UnknownOpcode { opcode }),
        };
        reader.finish()?;
        Ok(request)
    }
}

impl Startup {
    fn read(reader: &mut Reader<'_>) -> Result<Self, RequestError> {
        let count = read_count(reader, "STARTUP", STARTUP_OPTIONS_MAX)?;
        let mut options = BTreeMap::new();
        for _ in 0..count {
            let name = reader.text("name of an option")?;
            options.insert(name, reader.text("option")?);
        }
        Ok(Self { options })
    }
}

impl Query {
    fn read(reader: &mut Reader<'_>) -> Result<Self, RequestError> {
        Ok(Self { text: reader.long_text("statement")?, params: QueryParams::read(reader)? })
    }
}

impl Execute {
    fn read(reader: &mut Reader<'_>) -> Result<Self, RequestError> {
        let id = reader.short_bytes("statement id")?;
        Ok(Self { id: reader.share(id), params: QueryParams::read(reader)? })
    }
}

impl QueryParams {
    fn read(reader: &mut Reader<'_>) -> Result<Self, RequestError> {
        let consistency = read_consistency(reader)?;
        let flags = reader.u8("flags")?;
        let has = |flag| flags & flag != 0;
        if has(0x80) {
            return Err(RequestError::UnknownFlags { flags: 0x80 });
        }
        let values = if has(flag::VALUES) {
            Values::read(reader, has(flag::NAMES))?
        } else {
            Values::default()
        };
        let page_size = if has(flag::PAGE_SIZE) { reader.i32("page size")? } else { 0 };
        let paging_state =
            if has(flag::PAGING_STATE) { reader.bytes("paging state")? } else { None };
        Ok(Self {
            consistency,
            values,
            skip_metadata: has(flag::SKIP_METADATA),
            page_size: u32::try_from(page_size).ok().and_then(NonZeroU32::new),
            paging_state: paging_state.map(|state| reader.share(state)),
            serial_consistency: read_serial_consistency(reader, flags)?,
            timestamp_us: read_timestamp(reader, flags)?,
        })
    }
}

impl Batch {
    fn read(reader: &mut Reader<'_>) -> Result<Self, RequestError> {
        let kind = BatchKind::read(reader)?;
        let count = usize::from(reader.u16("count of statements")?);
        let room = reader.rest().len() / BATCH_STATEMENT_BYTES_MIN;
        let mut statements = Vec::with_capacity(count.min(room));
        for _ in 0..count {
            statements.push(BatchStatement::read(reader)?);
        }
        let consistency = read_consistency(reader)?;
        let flags = reader.u8("flags")?;
        if flags & flag::NAMES != 0 {
            return Err(RequestError::NamedBatchValues);
        }
        let unknown = flags & !(flag::SERIAL_CONSISTENCY | flag::TIMESTAMP);
        if unknown != 0 {
            return Err(RequestError::UnknownFlags { flags: unknown });
        }
        Ok(Self {
            kind,
            statements,
            consistency,
            serial_consistency: read_serial_consistency(reader, flags)?,
            timestamp_us: read_timestamp(reader, flags)?,
        })
    }
}

impl BatchKind {
    fn read(reader: &mut Reader<'_>) -> Result<Self, RequestError> {
        match reader.u8("kind of batch")? {
            0 => Ok(Self::Logged),
            1 => Ok(Self::Unlogged),
            2 => Ok(Self::Counter),
            kind => Err(RequestError::UnknownBatchKind { kind }),
        }
    }
}

impl BatchStatement {
    fn read(reader: &mut Reader<'_>) -> Result<Self, RequestError> {
        let statement = match reader.u8("kind of statement")? {
            0 => Statement::Text(reader.long_text("statement")?),
            1 => {
                let id = reader.short_bytes("statement id")?;
                Statement::Prepared(reader.share(id))
            }
            kind => return Err(RequestError::UnknownStatementKind { kind }),
        };
        Ok(Self { statement, values: Values::read(reader, false)? })
    }
}

/// Reads a custom payload, which comes before the body proper.
pub(crate) fn read_payload(reader: &mut Reader<'_>) -> Result<Payload, RequestError> {
    let count = read_count(reader, "custom payload", PAYLOAD_ENTRIES_MAX)?;
    let mut payload = Payload::new();
    for _ in 0..count {
        let name = reader.text("name in a custom payload")?;
        let value = reader.bytes("custom payload")?;
        payload.push((name, value.map(|value| reader.share(value))));
    }
    Ok(payload)
}

fn read_events(reader: &mut Reader<'_>) -> Result<BTreeSet<EventKind>, RequestError> {
    let count = reader.u16("count of events")?;
    let mut events = BTreeSet::new();
    for _ in 0..count {
        let name = reader.string("event")?;
        let Some(event) = EventKind::from_name(name) else {
            return Err(RequestError::UnknownEvent { name: name.to_owned() });
        };
        events.insert(event);
    }
    Ok(events)
}

fn read_count(
    reader: &mut Reader<'_>,
    field: &'static str,
    count_max: u16,
) -> Result<u16, RequestError> {
    match reader.u16(field)? {
        count if count <= count_max => Ok(count),
        count => Err(RequestError::TooMany { field, count, count_max }),
    }
}

fn read_consistency(reader: &mut Reader<'_>) -> Result<Consistency, RequestError> {
    let code = reader.u16("consistency")?;
    Consistency::from_code(code).ok_or(RequestError::UnknownConsistency { code })
}

fn read_serial_consistency(
    reader: &mut Reader<'_>,
    flags: u8,
) -> Result<Option<Consistency>, RequestError> {
    match flags & flag::SERIAL_CONSISTENCY {
        0 => Ok(None),
        _ => read_consistency(reader).map(Some),
    }
}

fn read_timestamp(reader: &mut Reader<'_>, flags: u8) -> Result<Option<i64>, RequestError> {
    match flags & flag::TIMESTAMP {
        0 => Ok(None),
        _ => reader.i64("timestamp").map(Some),
    }
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
