//! Why something failed: what the server said, which node said it, and whether a write may live on.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError,
    MetadataError, NewSessionError, PrepareError, RequestAttemptError, UseKeyspaceError,
};
use types::{Consistency, ValueError};

use crate::request::ours;

/// Why no session came about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No contact point was named.
    #[error("no node to connect to was named")]
    NoContact,
    /// No contact point has an address.
    #[error("{hosts}: no such host")]
    Unresolved {
        /// The contact points.
        hosts: String,
    },
    /// No contact point listens, or the connection broke before it was ready.
    #[error("cannot reach {hosts}: {why}")]
    Unreachable {
        /// The contact points.
        hosts: String,
        /// What went wrong at the last one.
        why: String,
    },
    /// A node answered that it takes no clients, or not this one.
    #[error("{hosts}: {error}")]
    Refused {
        /// The contact points.
        hosts: String,
        /// What it said.
        error: Box<ServerError>,
    },
    /// A node was reached, but what it tells of its cluster cannot be understood.
    #[error("{hosts}: cannot learn of the cluster: {why}")]
    Metadata {
        /// The contact points.
        hosts: String,
        /// What is wrong.
        why: String,
    },
}

impl ConnectError {
    /// Whether trying again later may help: nothing that was asked is wrong.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unresolved { .. } | Self::Unreachable { .. } => true,
            Self::Refused { error, .. } => error.kind == ServerErrorKind::Bootstrapping,
            Self::NoContact | Self::Metadata { .. } => false,
        }
    }

    pub(crate) fn new(hosts: &[String], theirs: NewSessionError) -> Self {
        let hosts = hosts.join(", ");
        let broken = match theirs {
            NewSessionError::EmptyKnownNodesList => return Self::NoContact,
            NewSessionError::FailedToResolveAnyHostname(_) => return Self::Unresolved { hosts },
            NewSessionError::MetadataError(MetadataError::ConnectionPoolError(broken)) => broken,
            other => return Self::Metadata { hosts, why: other.to_string() },
        };
        if let Some(error) = refusal(&broken) {
            return Self::Refused { hosts, error: Box::new(error) };
        }
        let why = match broken {
            ConnectionPoolError::Broken { last_connection_error } => {
                last_connection_error.to_string()
            }
            other => other.to_string(),
        };
        Self::Unreachable { hosts, why }
    }
}

/// What a node answered to the start of a connection, if it answered.
fn refusal(theirs: &ConnectionPoolError) -> Option<ServerError> {
    let ConnectionPoolError::Broken {
        last_connection_error: ConnectionError::ConnectionSetupRequestError(setup),
    } = theirs
    else {
        return None;
    };
    match setup.get_error() {
        ConnectionSetupRequestErrorKind::DbError(error, message) => {
            Some(ServerError::new(None, error, message.clone()))
        }
        ConnectionSetupRequestErrorKind::MissingAuthentication => Some(ServerError {
            node: None,
            kind: ServerErrorKind::Authentication,
            message: "the cluster asks for a user and a password".to_owned(),
        }),
        _ => None,
    }
}

/// Why values cannot be bound to a prepared statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// There are more or fewer values than bind markers.
    #[error("{given} values for {wanted} bind markers")]
    Count {
        /// How many markers there are.
        wanted: usize,
        /// How many values came.
        given: usize,
    },
    /// A marker's type is not known here; only bytes can be bound to it.
    #[error("the type of bind marker {marker} is not known")]
    UnknownType {
        /// The marker's name.
        marker: String,
    },
    /// A value is not of its marker's type.
    #[error("bind marker {marker}: {source}")]
    Value {
        /// The marker's name.
        marker: String,
        /// Why not.
        source: ValueError,
    },
}

/// Why a statement has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// A node answered with an error.
    #[error(transparent)]
    Server(#[from] Box<ServerError>),
    /// No node is connected: nothing was sent.
    #[error("no node is reachable: {why}")]
    NotConnected {
        /// What went wrong at the last one.
        why: String,
    },
    /// The connection broke before the answer: a write may live on.
    #[error("connection{} lost before the answer: {why}", shown_node(*.node, " to "))]
    Lost {
        /// The node that was asked.
        node: Option<SocketAddr>,
        /// How.
        why: String,
    },
    /// No answer in the time that the client waits: a write may live on.
    #[error("no answer{} within {waited:?}", shown_node(*.node, " from "))]
    Silent {
        /// The node that was asked last.
        node: Option<SocketAddr>,
        /// How long the client waited.
        waited: Duration,
    },
    /// An answer that cannot be understood: a write may live on.
    #[error("malformed answer: {why}")]
    Malformed {
        /// What is wrong.
        why: String,
    },
    /// The request could not be written down: nothing was sent.
    #[error("the request cannot be sent: {why}")]
    Unsent {
        /// What is wrong.
        why: String,
    },
    /// The keyspace cannot be used by this client: nothing was changed.
    #[error("{why}")]
    Keyspace {
        /// What is wrong.
        why: String,
    },
    /// The schema was changed, but not all nodes showed the change in time.
    #[error("the change is made, but not all nodes show it yet: {why}")]
    NotAgreed {
        /// What the client saw last.
        why: String,
    },
}

impl ExecuteError {
    /// Whether a write that was answered like this may live on: the one thing a caller must know.
    pub fn may_have_applied(&self) -> bool {
        match self {
            Self::Server(error) => error.kind.may_have_applied(),
            Self::Lost { .. }
            | Self::Silent { .. }
            | Self::Malformed { .. }
            | Self::NotAgreed { .. } => true,
            Self::NotConnected { .. } | Self::Unsent { .. } | Self::Keyspace { .. } => false,
        }
    }

    pub(crate) fn new(node: Option<SocketAddr>, theirs: ExecutionError) -> Self {
        match theirs {
            ExecutionError::LastAttemptError(attempt) => Self::attempt(node, attempt),
            ExecutionError::RequestTimeout(waited) => Self::Silent { node, waited },
            ExecutionError::PrepareError(error) => Self::preparation(node, error),
            ExecutionError::UseKeyspaceError(UseKeyspaceError::RequestError(attempt)) => {
                Self::attempt(node, attempt)
            }
            ExecutionError::UseKeyspaceError(UseKeyspaceError::RequestTimeout(waited)) => {
                Self::Silent { node, waited }
            }
            ExecutionError::UseKeyspaceError(error) => Self::Keyspace { why: error.to_string() },
            ExecutionError::SchemaAgreementError(error) => {
                Self::NotAgreed { why: error.to_string() }
            }
            ExecutionError::MetadataError(error) => Self::NotAgreed { why: error.to_string() },
            ExecutionError::EmptyPlan => {
                Self::NotConnected { why: "no node of the cluster is connected".to_owned() }
            }
            ExecutionError::ConnectionPoolError(error) => {
                Self::NotConnected { why: error.to_string() }
            }
            other => Self::Unsent { why: other.to_string() },
        }
    }

    pub(crate) fn preparation(node: Option<SocketAddr>, theirs: PrepareError) -> Self {
        match theirs {
            PrepareError::AllAttemptsFailed { first_attempt } => Self::attempt(node, first_attempt),
            PrepareError::ConnectionPoolError(error) => {
                Self::NotConnected { why: error.to_string() }
            }
            other => Self::Malformed { why: other.to_string() },
        }
    }

    pub(crate) fn malformed(theirs: impl fmt::Display) -> Self {
        Self::Malformed { why: theirs.to_string() }
    }

    fn attempt(node: Option<SocketAddr>, theirs: RequestAttemptError) -> Self {
        match theirs {
            RequestAttemptError::DbError(error, message) => {
                Self::Server(Box::new(ServerError::new(node, &error, message)))
            }
            RequestAttemptError::BrokenConnectionError(error) => {
                Self::Lost { node, why: error.to_string() }
            }
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_)
            | RequestAttemptError::UnableToAllocStreamId
            | RequestAttemptError::RepreparedIdChanged { .. }
            | RequestAttemptError::RepreparedIdMissingInBatch => {
                Self::Unsent { why: theirs.to_string() }
            }
            other => Self::malformed(other),
        }
    }
}

fn shown_node(node: Option<SocketAddr>, before: &str) -> String {
    node.map(|node| format!("{before}{node}")).unwrap_or_default()
}

/// An error that a node answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The node that was asked, where it is known.
    pub node: Option<SocketAddr>,
    /// The kind of error and its counts.
    pub kind: ServerErrorKind,
    /// The node's own words.
    pub message: String,
}

/// The kinds of errors that the protocol knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerErrorKind {
    /// The text is no statement.
    #[error("Syntax error")]
    Syntax,
    /// A statement that cannot be carried out as it is.
    #[error("Invalid")]
    Invalid,
    /// An option that cannot work.
    #[error("Configuration error")]
    Config,
    /// The user may not do this.
    #[error("Unauthorized")]
    Unauthorized,
    /// The user is not known, or the password is wrong.
    #[error("Authentication failed")]
    Authentication,
    /// The keyspace, or the table in it, is there already.
    #[error("Already exists")]
    AlreadyExists {
        /// The keyspace.
        keyspace: String,
        /// The table; empty if the keyspace itself is meant.
        table: String,
    },
    /// The node or its cluster does not serve yet.
    #[error("Not ready")]
    Bootstrapping,
    /// The node has too much to do.
    #[error("Overloaded")]
    Overloaded,
    /// Too few replicas are alive: none was asked.
    #[error("Unavailable")]
    Unavailable {
        /// The level of the request.
        level: Consistency,
        /// How many replicas it needs.
        required: u32,
        /// How many are alive.
        alive: u32,
    },
    /// Too few replicas answered a read in time.
    #[error("Read timeout")]
    ReadTimeout {
        /// The level of the request.
        level: Consistency,
        /// How many replicas it needs.
        required: u32,
        /// How many answered.
        received: u32,
    },
    /// Too few replicas acknowledged a write in time; it may live on.
    #[error("Write timeout")]
    WriteTimeout {
        /// The level of the request.
        level: Consistency,
        /// How many replicas it needs.
        required: u32,
        /// How many acknowledged.
        received: u32,
    },
    /// Replicas could not carry out a read.
    #[error("Read failure")]
    ReadFailure {
        /// The level of the request.
        level: Consistency,
        /// How many replicas it needs.
        required: u32,
        /// How many answered.
        received: u32,
        /// How many failed.
        failed: u32,
    },
    /// Replicas could not carry out a write; it may live on at others.
    #[error("Write failure")]
    WriteFailure {
        /// The level of the request.
        level: Consistency,
        /// How many replicas it needs.
        required: u32,
        /// How many acknowledged.
        received: u32,
        /// How many failed.
        failed: u32,
    },
    /// A table could not be emptied everywhere.
    #[error("Truncate error")]
    Truncate,
    /// The node did not understand the client.
    #[error("Protocol error")]
    Protocol,
    /// The node failed.
    #[error("Server error")]
    Server,
    /// An error that has no name here.
    #[error("Error {code:#06x}")]
    Other {
        /// Its code in the protocol.
        code: i32,
    },
}

impl ServerErrorKind {
    /// Whether a write that was answered like this may live on.
    pub fn may_have_applied(&self) -> bool {
        matches!(
            self,
            Self::WriteTimeout { .. }
                | Self::WriteFailure { .. }
                | Self::Truncate
                | Self::Server
                | Self::Other { .. }
        )
    }

    /// The counts of replicas, if the error has some.
    fn counts(&self) -> Option<String> {
        Some(match self {
            Self::Unavailable { level, required, alive } => {
                format!("{level}: {alive} of {required} replicas alive")
            }
            Self::ReadTimeout { level, required, received }
            | Self::WriteTimeout { level, required, received } => {
                format!("{level}: {received} of {required} replicas answered")
            }
            Self::ReadFailure { level, required, received, failed }
            | Self::WriteFailure { level, required, received, failed } => {
                format!("{level}: {received} of {required} replicas answered, {failed} failed")
            }
            _ => return None,
        })
    }
}

impl std::error::Error for ServerError {}

impl fmt::Display for ServerError {
    /// The kind and the node's words, and of an error that is about replicas their counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        let Some(counts) = self.kind.counts() else { return Ok(()) };
        let lives_on = if self.kind.may_have_applied() { "; the write may live on" } else { "" };
        write!(f, " ({counts}{}{lives_on})", shown_node(self.node, "; asked "))
    }
}

impl ServerError {
    fn new(node: Option<SocketAddr>, theirs: &DbError, message: String) -> Self {
        Self { node, kind: kind(theirs), message }
    }
}

fn kind(theirs: &DbError) -> ServerErrorKind {
    let count = |count: i32| u32::try_from(count).unwrap_or(0);
    match theirs {
        DbError::SyntaxError => ServerErrorKind::Syntax,
        DbError::Invalid => ServerErrorKind::Invalid,
        DbError::ConfigError => ServerErrorKind::Config,
        DbError::Unauthorized => ServerErrorKind::Unauthorized,
        DbError::AuthenticationError => ServerErrorKind::Authentication,
        DbError::AlreadyExists { keyspace, table } => {
            ServerErrorKind::AlreadyExists { keyspace: keyspace.clone(), table: table.clone() }
        }
        DbError::IsBootstrapping => ServerErrorKind::Bootstrapping,
        DbError::Overloaded => ServerErrorKind::Overloaded,
        DbError::Unavailable { consistency, required, alive } => ServerErrorKind::Unavailable {
            level: ours(*consistency),
            required: count(*required),
            alive: count(*alive),
        },
        DbError::ReadTimeout { consistency, received, required, .. } => {
            ServerErrorKind::ReadTimeout {
                level: ours(*consistency),
                required: count(*required),
                received: count(*received),
            }
        }
        DbError::WriteTimeout { consistency, received, required, .. } => {
            ServerErrorKind::WriteTimeout {
                level: ours(*consistency),
                required: count(*required),
                received: count(*received),
            }
        }
        DbError::ReadFailure { consistency, received, required, numfailures, .. } => {
            ServerErrorKind::ReadFailure {
                level: ours(*consistency),
                required: count(*required),
                received: count(*received),
                failed: count(*numfailures),
            }
        }
        DbError::WriteFailure { consistency, received, required, numfailures, .. } => {
            ServerErrorKind::WriteFailure {
                level: ours(*consistency),
                required: count(*required),
                received: count(*received),
                failed: count(*numfailures),
            }
        }
        DbError::TruncateError => ServerErrorKind::Truncate,
        DbError::ProtocolError => ServerErrorKind::Protocol,
        DbError::ServerError => ServerErrorKind::Server,
        DbError::Other(code) => ServerErrorKind::Other { code: *code },
        DbError::FunctionFailure { .. } => ServerErrorKind::Other { code: 0x1400 },
        DbError::Unprepared { .. } => ServerErrorKind::Other { code: 0x2500 },
        _ => ServerErrorKind::Other { code: -1 },
    }
}

#[cfg(test)]
mod tests;
