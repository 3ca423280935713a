//! Where one frame ends and the next begins.
//!
//! ```text
//! 0         1       2        4        5        9
//! +---------+-------+--------+--------+--------+------+
//! | version | flags | stream | opcode | length | body |    big-endian
//! +---------+-------+--------+--------+--------+------+
//! ```
//!
//! A frame that cannot be read but whose end is known becomes a [`Frame`] with a
//! [`RequestError`]: a reply, and the connection goes on. Where that end is not known, or the
//! client speaks another version, there is a [`FramingError`]: at most one more reply, and the
//! connection is closed. A body above the limit, up to the longest that the protocol allows, is of
//! the first sort: it is thrown away as it arrives.
//!
//! Nothing is reserved for a length that a header claims: the buffer is the caller's and grows
//! with what has arrived. All frames of one buffer share its memory; after a long one the rest
//! moves to a new buffer, so that an idle connection does not keep the old one.
//!
//! Source: native protocol v4, §2. Callers: `front` in `server`, directly or as
//! `tokio_util::codec::Framed`. Pure.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::compress::{Compression, CompressionError};
use crate::error::ErrorReply;
use crate::notation::Reader;
use crate::request::{Request, RequestError, read_payload};
use crate::value::Payload;

/// The one version of the protocol that is spoken here.
pub(crate) const VERSION: u8 = 4;

/// The bit of the version byte that marks a reply.
pub(crate) const REPLY: u8 = 0x80;

/// Length of a header.
pub(crate) const HEADER_BYTES: usize = 9;

/// The longest body that the protocol allows, in either direction.
pub(crate) const PROTOCOL_BODY_BYTES_MAX: usize = 256 << 20;

/// The longest body from a client that has not been let in: room for the longest `[string]`.
const STRANGER_BODY_BYTES_MAX: usize = 64 << 10;

/// After a body longer than this the buffer that it came in is given up.
const KEPT_BODY_BYTES_MAX: usize = 64 << 10;

/// The bits of a header's second byte.
pub(crate) mod flag {
    pub(crate) const COMPRESSED: u8 = 0x01;
    pub(crate) const TRACED: u8 = 0x02;
    pub(crate) const PAYLOAD: u8 = 0x04;
    pub(crate) const WARNED: u8 = 0x08;
}

/// What a frame's body is.
pub(crate) mod opcode {
    pub(crate) const ERROR: u8 = 0x00;
    pub(crate) const STARTUP: u8 = 0x01;
    pub(crate) const READY: u8 = 0x02;
    pub(crate) const OPTIONS: u8 = 0x05;
    pub(crate) const SUPPORTED: u8 = 0x06;
    pub(crate) const QUERY: u8 = 0x07;
    pub(crate) const RESULT: u8 = 0x08;
    pub(crate) const PREPARE: u8 = 0x09;
    pub(crate) const EXECUTE: u8 = 0x0A;
    pub(crate) const REGISTER: u8 = 0x0B;
    pub(crate) const EVENT: u8 = 0x0C;
    pub(crate) const BATCH: u8 = 0x0D;
    pub(crate) const AUTH_RESPONSE: u8 = 0x0F;
}

/// One frame from a client: whom to answer, and what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The client's number for this request, which the reply repeats.
    pub stream: i16,
    /// Whether the client wants to know how the request was carried out.
    pub is_traced: bool,
    /// What the client sent along.
    pub payload: Payload,
    /// The request, or why it cannot be read; the connection can go on in both cases.
    pub request: Result<Request, RequestError>,
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// The client speaks another version. Drivers know the text, and try a lower version.
    #[error(
        "Invalid or unsupported protocol version ({version}); supported versions are ({v}/v{v})",
        v = VERSION
    )]
    UnsupportedVersion {
        /// The version that the client speaks.
        version: u8,
        /// The stream to answer on.
        stream: i16,
    },
    /// The frame is marked as a reply.
    #[error("frame is a reply, but only requests are expected")]
    NotARequest {
        /// The stream to answer on.
        stream: i16,
    },
    /// The frame is longer than the protocol allows, or than a client may send that has not been
    /// let in.
    #[error("frame declares a body of {bytes} bytes; the limit is {bytes_max}")]
    TooLong {
        /// The length that the header declares.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
        /// The stream to answer on.
        stream: i16,
    },
    /// The connection ended within a frame.
    #[error("connection ended within a frame")]
    Truncated,
    /// The connection failed.
    #[error("connection failed: {kind}")]
    Io {
        /// How.
        kind: io::ErrorKind,
    },
}

impl FramingError {
    /// What to tell the client before the connection is closed, and on which stream; `None` where
    /// there is nobody to tell.
    pub fn reply(&self) -> Option<(i16, ErrorReply)> {
        match self {
            Self::UnsupportedVersion { stream, .. }
            | Self::NotARequest { stream }
            | Self::TooLong { stream, .. } => Some((*stream, self.into())),
            Self::Truncated | Self::Io { .. } => None,
        }
    }
}

impl From<io::Error> for FramingError {
    fn from(error: io::Error) -> Self {
        Self::Io { kind: error.kind() }
    }
}

/// Cuts the bytes of one connection into [`Frame`]s, and passes replies on.
#[derive(Debug)]
pub struct FrameCodec {
    body_bytes_max: usize,
    is_ready: bool,
    compression: Option<Compression>,
    /// What is still to come of a body that is being thrown away.
    unwanted_bytes: usize,
}

impl FrameCodec {
    /// A codec for a new connection that takes bodies up to `body_bytes_max` once it is ready, and
    /// only short ones before that.
    pub fn new(body_bytes_max: usize) -> Self {
        Self { body_bytes_max, is_ready: false, compression: None, unwanted_bytes: 0 }
    }

    /// Takes long and, from now on, compressed bodies: the client has been let in.
    ///
    /// To be called when `STARTUP` is answered with `READY`, before the next frame is decoded.
    pub fn ready(&mut self, compression: Option<Compression>) {
        self.is_ready = true;
        self.compression = compression;
    }

    fn body_bytes_max(&self) -> usize {
        let bytes_max =
            if self.is_ready { PROTOCOL_BODY_BYTES_MAX } else { STRANGER_BODY_BYTES_MAX };
        self.body_bytes_max.min(bytes_max)
    }

    fn throw_away(&mut self, src: &mut BytesMut) {
        let bytes = self.unwanted_bytes.min(src.len());
        src.advance(bytes);
        self.unwanted_bytes -= bytes;
    }

    fn refuse_long(&mut self, header: &Header, src: &mut BytesMut) -> Result<Frame, FramingError> {
        let (bytes, bytes_max, stream) = (header.length, self.body_bytes_max(), header.stream);
        if !self.is_ready || bytes > PROTOCOL_BODY_BYTES_MAX {
            return Err(FramingError::TooLong { bytes, bytes_max, stream });
        }
        self.unwanted_bytes = HEADER_BYTES + bytes;
        self.throw_away(src);
        Ok(header.frame(Err(RequestError::TooLong { bytes, bytes_max })))
    }

    fn read(&self, header: &Header, body: Bytes) -> Frame {
        let mut payload = Payload::new();
        let request = self.unpack(header, body).and_then(|body| {
            let mut reader = Reader::new(&body);
            if header.has(flag::PAYLOAD) {
                payload = read_payload(&mut reader)?;
            }
            Request::read(header.opcode, &mut reader)
        });
        Frame { payload, ..header.frame(request) }
    }

    fn unpack(&self, header: &Header, body: Bytes) -> Result<Bytes, RequestError> {
        if !header.has(flag::COMPRESSED) {
            return Ok(body);
        }
        let compression = self.compression.ok_or(CompressionError::NotNegotiated)?;
        Ok(compression.unpack(&body, self.body_bytes_max())?)
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FramingError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FramingError> {
        self.throw_away(src);
        let Some(header) = Header::read(src)? else {
            return Ok(None);
        };
        if header.length > self.body_bytes_max() {
            return self.refuse_long(&header, src).map(Some);
        }
        if src.len() < HEADER_BYTES + header.length {
            return Ok(None);
        }
        src.advance(HEADER_BYTES);
        let body = src.split_to(header.length).freeze();
        leave_buffer_of_long_body(src, body.len());
        Ok(Some(self.read(&header, body)))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FramingError> {
        match self.decode(src)? {
            None if src.is_empty() && self.unwanted_bytes == 0 => Ok(None),
            None => Err(FramingError::Truncated),
            frame => Ok(frame),
        }
    }
}

impl Encoder<BytesMut> for FrameCodec {
    type Error = FramingError;

    /// Appends what a [`crate::ReplyWriter`] has written: one reply or many.
    fn encode(&mut self, replies: BytesMut, dst: &mut BytesMut) -> Result<(), FramingError> {
        dst.unsplit(replies);
        Ok(())
    }
}

/// Moves what follows a long body to a buffer of its own.
///
/// What moves is shorter than that body, so no byte is copied more often than one was received.
fn leave_buffer_of_long_body(src: &mut BytesMut, body_bytes: usize) {
    if body_bytes > KEPT_BODY_BYTES_MAX && src.len() < body_bytes {
        *src = BytesMut::from(&src[..]);
    }
}

/// The header of a request in our version.
#[derive(Debug)]
struct Header {
    flags: u8,
    stream: i16,
    opcode: u8,
    length: usize,
}

impl Header {
    /// Reads a header, if all of it is there; of one in another version only what is needed for
    /// an answer. Before version 3 the stream had one byte.
    fn read(src: &[u8]) -> Result<Option<Self>, FramingError> {
        let Some(&[version_byte, flags, high, low, opcode]) = src.first_chunk() else {
            return Ok(None);
        };
        let stream = i16::from_be_bytes([high, low]);
        match version_byte & !REPLY {
            VERSION if version_byte & REPLY != 0 => {
                return Err(FramingError::NotARequest { stream });
            }
            VERSION => {}
            version @ (1 | 2) => {
                let stream = i16::from(high.cast_signed());
                return Err(FramingError::UnsupportedVersion { version, stream });
            }
            version => return Err(FramingError::UnsupportedVersion { version, stream }),
        }
        let Some(&length) = src[5..].first_chunk() else {
            return Ok(None);
        };
        Ok(Some(Self { flags, stream, opcode, length: u32::from_be_bytes(length) as usize }))
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn frame(&self, request: Result<Request, RequestError>) -> Frame {
        Frame {
            stream: self.stream,
            is_traced: self.has(flag::TRACED),
            payload: Payload::new(),
            request,
        }
    }
}

#[cfg(test)]
mod tests;
