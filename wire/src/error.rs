//! What a client is told when a request fails.
//!
//! An [`ErrorReply`] is an [`ErrorKind`], one variant per error of the protocol with the fields
//! that drivers read, and a text for people. Drivers decide by the code whether to try again, so
//! the code is part of the contract; the text is not.
//!
//! Source: native protocol v4, §9; `CDC_WRITE_FAILURE` and `CAS_WRITE_UNKNOWN` are of v5. Callers:
//! `front` in `server` makes them, `reply` writes them. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use types::Consistency;

use crate::frame::FramingError;
use crate::notation::{put_short_bytes, put_string, put_strings};
use crate::request::RequestError;

/// An error as it is sent to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ErrorReply {
    /// What drivers look at.
    pub kind: ErrorKind,
    /// What people read; past 65 535 bytes it is cut.
    pub message: String,
}

impl ErrorReply {
    /// An error of this kind with a text of its own.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Appends the body of an `ERROR`.
    pub(crate) fn put(&self, out: &mut BytesMut) {
        out.put_i32(self.kind.code().number());
        put_string(out, &self.message);
        self.kind.put_fields(out);
    }
}

impl From<ErrorKind> for ErrorReply {
    /// An error with the kind's own text.
    fn from(kind: ErrorKind) -> Self {
        let message = kind.to_string();
        Self { kind, message }
    }
}

impl From<RequestError> for ErrorReply {
    fn from(error: RequestError) -> Self {
        let kind = match error {
            // Clients close the connection on a protocol error, and this one can go on.
            RequestError::TooLong { .. } => ErrorKind::Invalid,
            _ => ErrorKind::Protocol,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<&FramingError> for ErrorReply {
    fn from(error: &FramingError) -> Self {
        Self::new(ErrorKind::Protocol, error.to_string())
    }
}

/// What went wrong, with the fields that the protocol has for it. Its text is a default.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// A fault of ours.
    #[error("internal error")]
    Server,
    /// The client broke the protocol.
    #[error("protocol error")]
    Protocol,
    /// Wrong or missing credentials.
    #[error("bad credentials")]
    BadCredentials,
    /// Too few replicas are alive; nothing was done.
    #[error("{consistency} needs {required} replicas, and {alive} are alive")]
    Unavailable {
        /// The level asked for.
        consistency: Consistency,
        /// How many replicas it needs.
        required: u32,
        /// How many are alive.
        alive: u32,
    },
    /// The node has too much to do; nothing was done.
    #[error("node is overloaded")]
    Overloaded,
    /// The node is not ready for clients yet.
    #[error("node is not ready yet")]
    IsBootstrapping,
    /// A table could not be truncated.
    #[error("truncate failed")]
    Truncate,
    /// Too few replicas acknowledged in time; the write may live on.
    #[error("{received} of {required} replicas acknowledged the write in time ({consistency})")]
    WriteTimeout {
        /// The level asked for.
        consistency: Consistency,
        /// How many replicas acknowledged.
        received: u32,
        /// How many the level needs.
        required: u32,
        /// What kind of write it was.
        write_type: WriteType,
    },
    /// Too few replicas answered in time.
    #[error("{received} of {required} replicas answered the read in time ({consistency})")]
    ReadTimeout {
        /// The level asked for.
        consistency: Consistency,
        /// How many replicas answered.
        received: u32,
        /// How many the level needs.
        required: u32,
        /// Whether the replica that was asked for the data, not for a digest, answered.
        has_data: bool,
    },
    /// Replicas answered the read with an error.
    #[error("{failures} replicas failed; {received} of {required} answered ({consistency})")]
    ReadFailure {
        /// The level asked for.
        consistency: Consistency,
        /// How many replicas answered.
        received: u32,
        /// How many the level needs.
        required: u32,
        /// How many failed.
        failures: u32,
        /// Whether the replica that was asked for the data, not for a digest, answered.
        has_data: bool,
    },
    /// A user-defined function failed.
    #[error("function {keyspace}.{function} failed")]
    FunctionFailure {
        /// The function's keyspace.
        keyspace: String,
        /// The function.
        function: String,
        /// The types of its arguments.
        argument_types: Vec<String>,
    },
    /// Replicas answered the write with an error; it may live on.
    #[error("{failures} replicas failed; {received} of {required} acknowledged ({consistency})")]
    WriteFailure {
        /// The level asked for.
        consistency: Consistency,
        /// How many replicas acknowledged.
        received: u32,
        /// How many the level needs.
        required: u32,
        /// How many failed.
        failures: u32,
        /// What kind of write it was.
        write_type: WriteType,
    },
    /// The log for change data capture is full.
    #[error("no room for change data capture")]
    CdcWriteFailure,
    /// Nobody knows whether a conditional write was done.
    #[error("{received} of {required} replicas answered; the write may have been applied")]
    CasWriteUnknown {
        /// The level asked for.
        consistency: Consistency,
        /// How many replicas answered.
        received: u32,
        /// How many the level needs.
        required: u32,
    },
    /// The statement is not CQL.
    #[error("syntax error")]
    Syntax,
    /// The user may not do this.
    #[error("not authorized")]
    Unauthorized,
    /// The statement is CQL, but cannot be carried out.
    #[error("invalid request")]
    Invalid,
    /// The statement asks for settings that are not allowed.
    #[error("invalid configuration")]
    Config,
    /// What was to be created exists.
    #[error("{} already exists", if table.is_empty() { keyspace } else { table })]
    AlreadyExists {
        /// The keyspace.
        keyspace: String,
        /// The table; empty if the keyspace is what exists.
        table: String,
    },
    /// This node does not know the prepared statement; the client is to prepare it again.
    #[error("statement is not prepared on this node")]
    Unprepared {
        /// The id that the client sent.
        id: Bytes,
    },
}

impl ErrorKind {
    /// The kind without its fields.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Server => ErrorCode::Server,
            Self::Protocol => ErrorCode::Protocol,
            Self::BadCredentials => ErrorCode::BadCredentials,
            Self::Unavailable { .. } => ErrorCode::Unavailable,
            Self::Overloaded => ErrorCode::Overloaded,
            Self::IsBootstrapping => ErrorCode::IsBootstrapping,
            Self::Truncate => ErrorCode::Truncate,
            Self::WriteTimeout { .. } => ErrorCode::WriteTimeout,
            Self::ReadTimeout { .. } => ErrorCode::ReadTimeout,
            Self::ReadFailure { .. } => ErrorCode::ReadFailure,
            Self::FunctionFailure { .. } => ErrorCode::FunctionFailure,
            Self::WriteFailure { .. } => ErrorCode::WriteFailure,
            Self::CdcWriteFailure => ErrorCode::CdcWriteFailure,
            Self::CasWriteUnknown { .. } => ErrorCode::CasWriteUnknown,
            Self::Syntax => ErrorCode::Syntax,
            Self::Unauthorized => ErrorCode::Unauthorized,
            Self::Invalid => ErrorCode::Invalid,
            Self::Config => ErrorCode::Config,
            Self::AlreadyExists { .. } => ErrorCode::AlreadyExists,
            Self::Unprepared { .. } => ErrorCode::Unprepared,
        }
    }

    /// Appends the fields that follow the text.
    fn put_fields(&self, out: &mut BytesMut) {
        match self {
            Self::Unavailable { consistency, required, alive } => {
                put_counts(out, *consistency, &[*required, *alive]);
            }
            Self::WriteTimeout { consistency, received, required, write_type } => {
                put_counts(out, *consistency, &[*received, *required]);
                put_string(out, write_type.name());
            }
            Self::ReadTimeout { consistency, received, required, has_data } => {
                put_counts(out, *consistency, &[*received, *required]);
                out.put_u8(u8::from(*has_data));
            }
            Self::ReadFailure { consistency, received, required, failures, has_data } => {
                put_counts(out, *consistency, &[*received, *required, *failures]);
                out.put_u8(u8::from(*has_data));
            }
            Self::FunctionFailure { keyspace, function, argument_types } => {
                put_string(out, keyspace);
                put_string(out, function);
                put_strings(out, argument_types);
            }
            Self::WriteFailure { consistency, received, required, failures, write_type } => {
                put_counts(out, *consistency, &[*received, *required, *failures]);
                put_string(out, write_type.name());
            }
            Self::CasWriteUnknown { consistency, received, required } => {
                put_counts(out, *consistency, &[*received, *required]);
            }
            Self::AlreadyExists { keyspace, table } => {
                put_string(out, keyspace);
                put_string(out, table);
            }
            Self::Unprepared { id } => put_short_bytes(out, id),
            Self::Server
            | Self::Protocol
            | Self::BadCredentials
            | Self::Overloaded
            | Self::IsBootstrapping
            | Self::Truncate
            | Self::CdcWriteFailure
            | Self::Syntax
            | Self::Unauthorized
            | Self::Invalid
            | Self::Config => {}
        }
    }
}

fn put_counts(out: &mut BytesMut, consistency: Consistency, counts: &[u32]) {
    out.put_u16(consistency.code());
    for count in counts {
        out.put_i32(i32::try_from(*count).unwrap_or(i32::MAX));
    }
}

/// The protocol's error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum ErrorCode {
    /// See [`ErrorKind::Server`].
    Server = 0x0000,
    /// See [`ErrorKind::Protocol`].
    Protocol = 0x000A,
    /// See [`ErrorKind::BadCredentials`].
    BadCredentials = 0x0100,
    /// See [`ErrorKind::Unavailable`].
    Unavailable = 0x1000,
    /// See [`ErrorKind::Overloaded`].
    Overloaded = 0x1001,
    /// See [`ErrorKind::IsBootstrapping`].
    IsBootstrapping = 0x1002,
    /// See [`ErrorKind::Truncate`].
    Truncate = 0x1003,
    /// See [`ErrorKind::WriteTimeout`].
    WriteTimeout = 0x1100,
    /// See [`ErrorKind::ReadTimeout`].
    ReadTimeout = 0x1200,
    /// See [`ErrorKind::ReadFailure`].
    ReadFailure = 0x1300,
    /// See [`ErrorKind::FunctionFailure`].
    FunctionFailure = 0x1400,
    /// See [`ErrorKind::WriteFailure`].
    WriteFailure = 0x1500,
    /// See [`ErrorKind::CdcWriteFailure`].
    CdcWriteFailure = 0x1600,
    /// See [`ErrorKind::CasWriteUnknown`].
    CasWriteUnknown = 0x1700,
    /// See [`ErrorKind::Syntax`].
    Syntax = 0x2000,
    /// See [`ErrorKind::Unauthorized`].
    Unauthorized = 0x2100,
    /// See [`ErrorKind::Invalid`].
    Invalid = 0x2200,
    /// See [`ErrorKind::Config`].
    Config = 0x2300,
    /// See [`ErrorKind::AlreadyExists`].
    AlreadyExists = 0x2400,
    /// See [`ErrorKind::Unprepared`].
    Unprepared = 0x2500,
}

impl ErrorCode {
    /// The number that stands for it in a frame.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The name that Cassandra gives it, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "SERVER_ERROR",
            Self::Protocol => "PROTOCOL_ERROR",
            Self::BadCredentials => "BAD_CREDENTIALS",
            Self::Unavailable => "UNAVAILABLE",
            Self::Overloaded => "OVERLOADED",
            Self::IsBootstrapping => "IS_BOOTSTRAPPING",
            Self::Truncate => "TRUNCATE_ERROR",
            Self::WriteTimeout => "WRITE_TIMEOUT",
            Self::ReadTimeout => "READ_TIMEOUT",
            Self::ReadFailure => "READ_FAILURE",
            Self::FunctionFailure => "FUNCTION_FAILURE",
            Self::WriteFailure => "WRITE_FAILURE",
            Self::CdcWriteFailure => "CDC_WRITE_FAILURE",
            Self::CasWriteUnknown => "CAS_WRITE_UNKNOWN",
            Self::Syntax => "SYNTAX_ERROR",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Invalid => "INVALID",
            Self::Config => "CONFIG_ERROR",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::Unprepared => "UNPREPARED",
        }
    }
}

/// What kind of write failed, so that a driver knows whether to try it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteType {
    /// One statement on one partition.
    Simple,
    /// A logged batch whose log was written.
    Batch,
    /// A batch without a log.
    UnloggedBatch,
    /// Counters.
    Counter,
    /// The log of a logged batch, before the batch itself.
    BatchLog,
    /// A conditional write.
    Cas,
    /// A view's rows.
    View,
    /// Change data capture.
    Cdc,
}

impl WriteType {
    /// Its name in the protocol; drivers fail on any other.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "SIMPLE",
            Self::Batch => "BATCH",
            Self::UnloggedBatch => "UNLOGGED_BATCH",
            Self::Counter => "COUNTER",
            Self::BatchLog => "BATCH_LOG",
            Self::Cas => "CAS",
            Self::View => "VIEW",
            Self::Cdc => "CDC",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_speak_for_themselves() {
        let kind =
            ErrorKind::Unavailable { consistency: Consistency::Quorum, required: 2, alive: 1 };
        assert_eq!(ErrorReply::from(kind).message, "QUORUM needs 2 replicas, and 1 are alive");
        let kind = ErrorKind::AlreadyExists { keyspace: "ks".into(), table: String::new() };
        assert_eq!(kind.to_string(), "ks already exists");
        let kind = ErrorKind::AlreadyExists { keyspace: "ks".into(), table: "t".into() };
        assert_eq!(kind.to_string(), "t already exists");
    }

    #[test]
    fn too_long_request_is_not_a_protocol_error() {
        let error = RequestError::TooLong { bytes: 20, bytes_max: 10 };
        assert_eq!(ErrorReply::from(error).kind, ErrorKind::Invalid);
        let error = RequestError::UnknownOpcode { opcode: 0x77 };
        assert_eq!(ErrorReply::from(error).kind, ErrorKind::Protocol);
    }
}
