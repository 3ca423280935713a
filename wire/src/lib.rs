//! What a client says: the CQL native protocol, version 4.
//!
//! [`FrameCodec`] cuts the bytes of a connection into [`Frame`]s. Each holds one [`Request`], whose
//! texts and values are slices of the buffer it arrived in, or the reason why it cannot be read.
//! [`ReplyWriter`] appends replies to an output buffer, as many as one write shall carry.
//!
//! The laws: no bytes from a client make this crate panic; memory grows with the bytes that have
//! arrived, never with a length or a count that they claim; a request that cannot be read costs
//! its sender one error reply, and the connection only where no next frame can be found.
//!
//! ```
//! # use starling_wire as wire;
//! use bytes::BytesMut;
//! use tokio_util::codec::Decoder;
//! use wire::{ErrorKind, ErrorReply, FrameCodec, ReplyWriter, Request};
//!
//! let mut codec = FrameCodec::new(16 << 20);
//! let mut received = BytesMut::from(&[4, 0, 0, 7, 5, 0, 0, 0, 0][..]); // OPTIONS on stream 7.
//! let mut replies = BytesMut::new();
//! while let Some(frame) = codec.decode(&mut received)? {
//!     let writer = ReplyWriter::new(&mut replies, frame.stream);
//!     match frame.request {
//!         Ok(Request::Options) => writer.supported("3.4.7"),
//!         Ok(_) => writer.error(&ErrorReply::new(ErrorKind::Protocol, "STARTUP comes first")),
//!         Err(error) => writer.error(&error.into()),
//!     }
//! }
//! assert_eq!(replies[..5], [0x84, 0, 0, 7, 6]); // SUPPORTED on stream 7.
//! # Ok::<(), wire::FramingError>(())
//! ```
//!
//! Source: Apache Cassandra, *Native protocol, version 4*. Callers: `front` in `server`. Pure: no
//! async, no clock, no I/O.

#[cfg(test)]
mod client;
mod columns;
mod compress;
mod error;
mod event;
mod frame;
#[cfg(test)]
mod fuzz;
mod notation;
mod reply;
mod request;
mod value;

pub use columns::{ColumnSpec, Columns};
pub use compress::{Compression, CompressionError};
pub use error::{ErrorCode, ErrorKind, ErrorReply, WriteType};
pub use event::{Event, EventKind, Schema, SchemaChange, StatusChange, TopologyChange};
pub use frame::{Frame, FrameCodec, FramingError};
pub use reply::{Prepared, ReplyWriter, RowsHead, RowsWriter};
pub use request::{
    Batch, BatchKind, BatchStatement, Execute, Prepare, Query, QueryParams, Request, RequestError,
    Startup, Statement,
};
pub use value::{BoundValue, Payload, Value, Values};
