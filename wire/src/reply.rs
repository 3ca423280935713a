//! What is answered: the frames of replies.
//!
//! A [`ReplyWriter`] appends one reply to a buffer that may hold others already, so that all
//! replies of a moment leave in one write. Rows go straight into that buffer: the header is
//! reserved first, and its length is filled in last.
//!
//! ```text
//! header  [tracing id]  [warnings]  [custom payload]  body
//! ```
//!
//! The law: a buffer holds whole frames only. A writer dropped before its end leaves no trace; a
//! body longer than the protocol allows is replaced by an error.
//!
//! Source: native protocol v4, §4.2. Callers: `front` in `server`. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use uuid::Uuid;

use crate::columns::Columns;
use crate::compress::Compression;
use crate::error::{ErrorKind, ErrorReply};
use crate::event::{Event, SchemaChange};
use crate::frame::{HEADER_BYTES, PROTOCOL_BODY_BYTES_MAX, REPLY, VERSION, flag, opcode};
use crate::notation::{put_bytes, put_count, put_short_bytes, put_string, put_strings};

/// The stream of events.
const EVENT_STREAM: i16 = -1;

/// The most warnings, and the most entries of a custom payload, that one reply carries.
const EXTRAS_MAX: usize = 64;

/// What a `RESULT` holds.
mod kind {
    pub(super) const VOID: i32 = 1;
    pub(super) const ROWS: i32 = 2;
    pub(super) const SET_KEYSPACE: i32 = 3;
    pub(super) const PREPARED: i32 = 4;
    pub(super) const SCHEMA_CHANGE: i32 = 5;
}

/// How the columns of a `RESULT` are given.
mod columns_flag {
    pub(super) const ONE_TABLE: i32 = 1;
    pub(super) const MORE_PAGES: i32 = 2;
    pub(super) const NO_COLUMNS: i32 = 4;
}

/// Appends one reply to a buffer.
#[derive(Debug)]
#[must_use = "a reply is written by the method that names it"]
pub struct ReplyWriter<'a> {
    out: &'a mut BytesMut,
    stream: i16,
    compression: Option<Compression>,
    tracing_id: Option<Uuid>,
    warnings: &'a [String],
    payload: &'a [(ByteString, Option<Bytes>)],
}

impl<'a> ReplyWriter<'a> {
    /// A writer of the reply to the request that came on `stream`, at the end of `out`.
    pub fn new(out: &'a mut BytesMut, stream: i16) -> Self {
        Self { out, stream, compression: None, tracing_id: None, warnings: &[], payload: &[] }
    }

    /// Compresses the body, where that makes it shorter.
    pub fn compressed(self, compression: Option<Compression>) -> Self {
        Self { compression, ..self }
    }

    /// Tells under which id the request was traced.
    pub fn traced(self, tracing_id: Option<Uuid>) -> Self {
        Self { tracing_id, ..self }
    }

    /// Warns: at most 64 times.
    pub fn warned(self, warnings: &'a [String]) -> Self {
        Self { warnings, ..self }
    }

    /// Sends a custom payload along: at most 64 entries.
    pub fn with_payload(self, payload: &'a [(ByteString, Option<Bytes>)]) -> Self {
        Self { payload, ..self }
    }

    /// `READY`: the client is let in.
    pub fn ready(self) {
        self.open(opcode::READY).close();
    }

    /// `SUPPORTED`: what `STARTUP` may contain. `cql_version` is the version of the language.
    pub fn supported(self, cql_version: &str) {
        let reply = self.open(opcode::SUPPORTED);
        let version = format!("{VERSION}/v{VERSION}");
        let options = [
            ("CQL_VERSION", cql_version),
            ("COMPRESSION", Compression::Lz4.name()),
            ("PROTOCOL_VERSIONS", &version),
        ];
        reply.out.put_u16(3);
        for (name, value) in options {
            put_string(reply.out, name);
            put_strings(reply.out, &[value]);
        }
        reply.close();
    }

    /// `ERROR`.
    pub fn error(self, error: &ErrorReply) {
        let reply = self.open(opcode::ERROR);
        error.put(reply.out);
        reply.close();
    }

    /// `RESULT` without content: it is done.
    pub fn void(self) {
        self.open_result(kind::VOID).close();
    }

    /// `RESULT` of `USE`.
    pub fn set_keyspace(self, keyspace: &str) {
        let reply = self.open_result(kind::SET_KEYSPACE);
        put_string(reply.out, keyspace);
        reply.close();
    }

    /// `RESULT` of a statement that changed the schema.
    pub fn schema_change(self, change: &SchemaChange) {
        let reply = self.open_result(kind::SCHEMA_CHANGE);
        change.put(reply.out);
        reply.close();
    }

    /// `RESULT` of `PREPARE`.
    pub fn prepared(self, prepared: &Prepared<'_>) {
        let reply = self.open_result(kind::PREPARED);
        prepared.put(reply.out);
        reply.close();
    }

    /// `RESULT` with rows, whose cells follow one by one.
    pub fn rows(self, head: &RowsHead<'_>) -> RowsWriter<'a> {
        let reply = self.open_result(kind::ROWS);
        put_columns(reply.out, head.columns, head.paging_state, head.skip_metadata);
        let row_count_at = reply.out.len();
        reply.out.put_i32(0);
        RowsWriter { reply, columns: head.columns.len(), cells: 0, row_count_at }
    }

    /// `EVENT`, for a client that has registered for its kind.
    pub fn event(out: &mut BytesMut, event: &Event) {
        let reply = ReplyWriter::new(out, EVENT_STREAM).open(opcode::EVENT);
        event.put(reply.out);
        reply.close();
    }

    fn open_result(self, kind: i32) -> OpenReply<'a> {
        let reply = self.open(opcode::RESULT);
        reply.out.put_i32(kind);
        reply
    }

    /// Writes the header, with a length yet to be known, and what comes before the body.
    fn open(self, opcode: u8) -> OpenReply<'a> {
        let begin = self.out.len();
        self.out.put_u8(REPLY | VERSION);
        self.out.put_u8(self.flags());
        self.out.put_i16(self.stream);
        self.out.put_u8(opcode);
        self.out.put_u32(0);
        if let Some(id) = self.tracing_id {
            self.out.put_slice(id.as_bytes());
        }
        if !self.warnings.is_empty() {
            put_strings(self.out, at_most(EXTRAS_MAX, self.warnings));
        }
        if !self.payload.is_empty() {
            put_payload(self.out, at_most(EXTRAS_MAX, self.payload));
        }
        OpenReply {
            out: self.out,
            begin,
            stream: self.stream,
            compression: self.compression,
            is_too_long: false,
            is_closed: false,
        }
    }

    fn flags(&self) -> u8 {
        let traced = if self.tracing_id.is_some() { flag::TRACED } else { 0 };
        let warned = if self.warnings.is_empty() { 0 } else { flag::WARNED };
        let payload = if self.payload.is_empty() { 0 } else { flag::PAYLOAD };
        traced | warned | payload
    }
}

/// A statement that is remembered from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared<'a> {
    /// Its id: the same on every node, and after every restart.
    pub id: &'a [u8],
    /// Its markers.
    pub markers: &'a Columns,
    /// The marker of each column of the partition key, in the key's order; empty unless every one
    /// of them is bound directly. Clients route by it.
    pub partition_key: &'a [u16],
    /// The columns of its result; none unless it is a query.
    pub columns: &'a Columns,
}

impl Prepared<'_> {
    fn put(&self, out: &mut BytesMut) {
        put_short_bytes(out, self.id);
        let markers = self.markers;
        out.put_i32(if markers.is_of_one_table() { columns_flag::ONE_TABLE } else { 0 });
        put_count(out, markers.len());
        put_count(out, self.partition_key.len());
        for marker in self.partition_key {
            out.put_u16(*marker);
        }
        out.put_slice(markers.specs());
        put_columns(out, self.columns, None, self.columns.is_empty());
    }
}

/// What comes before the rows of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsHead<'a> {
    /// The columns.
    pub columns: &'a Columns,
    /// Where the next page begins; `None` after the last one.
    pub paging_state: Option<&'a [u8]>,
    /// Whether the columns are left out, because the client asked for that.
    pub skip_metadata: bool,
}

/// Appends the rows of one result, cell by cell.
#[derive(Debug)]
#[must_use = "rows are sent only once they are finished"]
pub struct RowsWriter<'a> {
    reply: OpenReply<'a>,
    columns: usize,
    cells: usize,
    row_count_at: usize,
}

impl RowsWriter<'_> {
    /// Appends a cell: the next column of this row, or the first of the next.
    pub fn cell(&mut self, value: Option<&[u8]>) {
        self.cells += 1;
        if self.reply.has_room_for(value.map_or(0, <[u8]>::len)) {
            put_bytes(self.reply.out, value);
        }
    }

    /// Appends a cell whose bytes `write` appends to the buffer that it is given.
    pub fn cell_with(&mut self, write: impl FnOnce(&mut BytesMut)) {
        self.cells += 1;
        if !self.reply.has_room_for(0) {
            return;
        }
        let length_at = self.reply.out.len();
        self.reply.out.put_i32(0);
        write(self.reply.out);
        let bytes = self.reply.out.len() - length_at - size_of::<i32>();
        if self.reply.has_room_for(0) {
            put_count_at(self.reply.out, length_at, bytes);
        }
    }

    /// How long the body is so far: what a page may be cut by.
    pub fn body_bytes(&self) -> usize {
        self.reply.body_bytes()
    }

    /// Completes the reply.
    ///
    /// # Panics
    /// If the last row lacks cells.
    pub fn finish(self) {
        let rows = match self.columns {
            0 => 0,
            columns => self.cells / columns,
        };
        assert_eq!(self.cells, rows * self.columns, "every row has a cell for every column");
        put_count_at(self.reply.out, self.row_count_at, rows);
        self.reply.close();
    }
}

/// A frame that still grows. Dropped before it is closed, it is taken back.
#[derive(Debug)]
struct OpenReply<'a> {
    out: &'a mut BytesMut,
    begin: usize,
    stream: i16,
    compression: Option<Compression>,
    is_too_long: bool,
    is_closed: bool,
}

impl OpenReply<'_> {
    fn body_bytes(&self) -> usize {
        self.out.len() - self.begin - HEADER_BYTES
    }

    /// Whether `bytes` more may be written. Once they may not, nothing may.
    fn has_room_for(&mut self, bytes: usize) -> bool {
        let room = PROTOCOL_BODY_BYTES_MAX.checked_sub(self.body_bytes());
        self.is_too_long |= room.is_none_or(|room| bytes > room);
        !self.is_too_long
    }

    fn close(mut self) {
        self.is_closed = true;
        let body_at = self.begin + HEADER_BYTES;
        if !self.has_room_for(0) {
            return self.replace_by_error();
        }
        if let Some(compression) = self.compression
            && compression.pack(self.out, body_at)
        {
            self.out[self.begin + 1] |= flag::COMPRESSED;
        }
        let bytes = self.body_bytes();
        put_count_at(self.out, body_at - size_of::<i32>(), bytes);
    }

    fn replace_by_error(&mut self) {
        self.out.truncate(self.begin);
        let message = format!("result is longer than {PROTOCOL_BODY_BYTES_MAX} bytes");
        let error = ErrorReply::new(ErrorKind::Server, message);
        ReplyWriter::new(self.out, self.stream).error(&error);
    }
}

impl Drop for OpenReply<'_> {
    fn drop(&mut self) {
        if !self.is_closed {
            self.out.truncate(self.begin);
        }
    }
}

fn put_columns(
    out: &mut BytesMut,
    columns: &Columns,
    paging_state: Option<&[u8]>,
    is_left_out: bool,
) {
    let table = match (is_left_out, columns.is_of_one_table()) {
        (true, _) => columns_flag::NO_COLUMNS,
        (false, true) => columns_flag::ONE_TABLE,
        (false, false) => 0,
    };
    let pages = if paging_state.is_some() { columns_flag::MORE_PAGES } else { 0 };
    out.put_i32(table | pages);
    put_count(out, columns.len());
    if paging_state.is_some() {
        put_bytes(out, paging_state);
    }
    if !is_left_out {
        out.put_slice(columns.specs());
    }
}

fn put_payload(out: &mut BytesMut, payload: &[(ByteString, Option<Bytes>)]) {
    let count = u16::try_from(payload.len()).expect("at most `EXTRAS_MAX` entries are sent");
    out.put_u16(count);
    for (name, value) in payload {
        put_string(out, name);
        put_bytes(out, value.as_deref());
    }
}

fn put_count_at(out: &mut BytesMut, at: usize, count: usize) {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    out[at..at + size_of::<i32>()].copy_from_slice(&count.to_be_bytes());
}

fn at_most<T>(count_max: usize, all: &[T]) -> &[T] {
    &all[..all.len().min(count_max)]
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
