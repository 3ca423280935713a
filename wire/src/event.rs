//! What a node tells its clients without being asked.
//!
//! A client registers for [`EventKind`]s on one connection; [`Event`]s then come on stream −1. The
//! answer to a statement that changes the schema holds the same [`SchemaChange`] as the event.
//!
//! Callers: `request` reads kinds, `reply` writes events. Pure.

use std::net::SocketAddr;

use bytes::BytesMut;

use crate::notation::{put_inet, put_string};

/// What a client can register for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// Nodes come and go for good.
    TopologyChange,
    /// Nodes are found up or down.
    StatusChange,
    /// Keyspaces, tables or types change.
    SchemaChange,
}

impl EventKind {
    /// The kind's name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::TopologyChange => "TOPOLOGY_CHANGE",
            Self::StatusChange => "STATUS_CHANGE",
            Self::SchemaChange => "SCHEMA_CHANGE",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::TopologyChange, Self::StatusChange, Self::SchemaChange];
        all.into_iter().find(|kind| kind.name() == name)
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// A node came, went or moved.
    Topology {
        /// Which of the three.
        change: TopologyChange,
        /// Where clients reach, or reached, the node.
        node: SocketAddr,
    },
    /// A node was found up or down.
    Status {
        /// Which of the two. `Up` is sent only once the node answers clients.
        change: StatusChange,
        /// Where clients reach the node.
        node: SocketAddr,
    },
    /// The schema changed.
    Schema(SchemaChange),
}

/// What became of a node's membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopologyChange {
    /// It joined.
    NewNode,
    /// It left.
    RemovedNode,
    /// Its tokens changed.
    MovedNode,
}

/// What became of a node's liveness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusChange {
    /// It answers.
    Up,
    /// It does not answer.
    Down,
}

/// What became of one part of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SchemaChange {
    /// It is new.
    Created(Schema),
    /// It is altered; so is a table when an index on it comes or goes.
    Updated(Schema),
    /// It is gone.
    Dropped(Schema),
}

/// One part of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Schema {
    /// A keyspace.
    Keyspace {
        /// Its name.
        keyspace: String,
    },
    /// A table or a view.
    Table {
        /// The keyspace it is in.
        keyspace: String,
        /// Its name.
        table: String,
    },
    /// A user-defined type.
    Type {
        /// The keyspace it is in.
        keyspace: String,
        /// Its name.
        name: String,
    },
}

impl Event {
    /// What a client must have registered for to be told this.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Topology { .. } => EventKind::TopologyChange,
            Self::Status { .. } => EventKind::StatusChange,
            Self::Schema(_) => EventKind::SchemaChange,
        }
    }

    /// Appends the body of an `EVENT`.
    pub(crate) fn put(&self, out: &mut BytesMut) {
        put_string(out, self.kind().name());
        match self {
            Self::Topology { change, node } => {
                put_string(out, change.name());
                put_inet(out, *node);
            }
            Self::Status { change, node } => {
                put_string(out, change.name());
                put_inet(out, *node);
            }
            Self::Schema(change) => change.put(out),
        }
    }
}

impl TopologyChange {
    fn name(self) -> &'static str {
        match self {
            Self::NewNode => "NEW_NODE",
            Self::RemovedNode => "REMOVED_NODE",
            Self::MovedNode => "MOVED_NODE",
        }
    }
}

impl StatusChange {
    fn name(self) -> &'static str {
        match self {
            Self::Up => "UP",
            Self::Down => "DOWN",
        }
    }
}

impl SchemaChange {
    /// Appends what the events and the results of schema changes share.
    pub(crate) fn put(&self, out: &mut BytesMut) {
        let (change, schema) = match self {
            Self::Created(schema) => ("CREATED", schema),
            Self::Updated(schema) => ("UPDATED", schema),
            Self::Dropped(schema) => ("DROPPED", schema),
        };
        put_string(out, change);
        match schema {
            Schema::Keyspace { keyspace } => {
                put_string(out, "KEYSPACE");
                put_string(out, keyspace);
            }
            Schema::Table { keyspace, table } => {
                put_string(out, "TABLE");
                put_string(out, keyspace);
                put_string(out, table);
            }
            Schema::Type { keyspace, name } => {
                put_string(out, "TYPE");
                put_string(out, keyspace);
                put_string(out, name);
            }
        }
    }
}
