//! What nodes say to each other: a small postcard head, then rows as they are stored.
//!
//! Rows and keys travel in the body, never in the head: they are sent as they lie in the store and
//! are received as slices of the frame. Enums are only ever appended to; [`PROTOCOL`] rises when
//! that is not enough.

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ring::{HostId, StoreId};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use types::Consistency;
use uuid::Uuid;

/// The version of the internode protocol.
pub const PROTOCOL: u16 = 3;

/// Which of a peer's connections a message takes, so that a long answer never delays gossip.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Class {
    /// Reads and writes of rows.
    Rows,
    /// The register, metadata and identities.
    Control,
    /// Heartbeats.
    Gossip,
    /// What replicas exchange by themselves.
    Upkeep,
}

impl Class {
    /// Its name, for those who watch the network.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Control => "control",
            Self::Gossip => "gossip",
            Self::Upkeep => "upkeep",
        }
    }
}

/// The first frame in both directions of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the sender.
    pub protocol: u16,
    /// The name of its cluster.
    pub cluster_name: String,
    /// The id of its cluster, once it knows one.
    pub cluster_id: Option<Uuid>,
    /// Its name for ever.
    pub host: HostId,
    /// The store it writes to now.
    pub store: StoreId,
    /// Where it listens for other nodes.
    pub internode: SocketAddr,
    /// The epoch of its metadata; 0 before it knows any.
    pub epoch: u64,
    /// Its wall clock, in microseconds since the Unix epoch.
    pub wall_us: i64,
    /// What the connection is for.
    pub class: Class,
}

/// What one node asks of another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Are you there?
    Ping,
    /// Your metadata, please.
    Metadata,
    /// A message for the acceptor of the register; the body is the message.
    Register,
    /// Put this change to the register; the body is change id and change.
    Propose,
    /// The highest epoch that you saw an actor of this store mint under.
    HighestEpoch {
        /// The asking node's store.
        store: StoreId,
    },
    /// A heartbeat; the body is gossip. It has no answer.
    Gossip,
    /// Coordinate this write of one partition: you are a replica. Body: keys and what is done to
    /// each, as a [`RowList`].
    Write {
        /// How many replicas the client waits for.
        level: Consistency,
        /// You are the first who stands in for replicas that are all dead.
        as_stand_in: bool,
    },
    /// Merge these rows of one partition, all or none. Body: a [`RowList`]; a row of a
    /// last-write-wins table may lack what was known of it before.
    Apply {
        /// When the sender read or made the rows, by its wall clock, in microseconds.
        made_us: i64,
        /// Keep hints, beside the rows, that these replicas have missed them.
        missed: Vec<HostId>,
        /// You stand in for a dead replica.
        as_stand_in: bool,
    },
    /// The row under this key, which is the body.
    ReadRow {
        /// You may hold it for another node.
        as_stand_in: bool,
        /// A digest of it will do.
        digest: bool,
    },
    /// Rows of a stretch of keys in their order. Body: the first key of the stretch, then the first
    /// behind it; nothing where it has no end but that of its tokens.
    ReadRange {
        /// The number of the table.
        table: u32,
        /// The table's epoch.
        table_epoch: u32,
        /// The first token; what lies before it is not read.
        first: i64,
        /// The last token; what lies behind it is not read.
        last: i64,
        /// How many bytes of the body are the first key.
        start_len: u32,
        /// How many rows at most.
        rows_max: u32,
        /// Whether to read from the last row to the first.
        is_reverse: bool,
        /// You may hold rows for another node.
        as_stand_in: bool,
    },
    /// Does this member answer you?
    Probe {
        /// Who is silent towards the asking node.
        host: HostId,
    },
    /// Keep hints that these replicas have missed rows that you have. Body: the rows' keys, as a
    /// [`RowList`] without rows.
    Hint {
        /// The replicas.
        missed: Vec<HostId>,
    },
    /// A question of an exchange between replicas, in the body.
    Exchange {
        /// The number of the table.
        table: u32,
        /// The table's epoch.
        table_epoch: u32,
        /// Whether the asking node is behind its fence.
        is_fenced: bool,
        /// When it asked, by its wall clock, in microseconds.
        made_us: i64,
    },
    /// Do you keep hints, and so perhaps copies for others, of rows of this partition?
    HasHints {
        /// The number of the table.
        table: u32,
        /// The table's epoch.
        table_epoch: u32,
        /// The number of the partition.
        partition: u16,
    },
    /// Which of the rows with these digests, in the body, do you hold?
    Holding {
        /// The number of the table.
        table: u32,
        /// The table's epoch.
        table_epoch: u32,
        /// The number of the partition.
        partition: u16,
    },
    /// Take away these rows if they are yours as well. Body: a [`RowList`] of keys and digests.
    Purge {
        /// When all replicas were found to hold them, by the sender's wall clock, in microseconds.
        made_us: i64,
    },
    /// Merge these rows of one table, all or none, and mend what cannot be read of yours. Body: a
    /// [`RowList`].
    Mend {
        /// When the sender read the rows, by its wall clock, in microseconds.
        made_us: i64,
    },
}

/// What the other node answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// I am here.
    Pong,
    /// My metadata; the body is its stored form, empty before there is any.
    Metadata,
    /// The acceptor's answer, in the body.
    Register,
    /// What became of the change, in the body.
    Proposed,
    /// The highest epoch seen; 0 for none.
    HighestEpoch {
        /// The epoch.
        epoch: u64,
    },
    /// The row is merged and fsynced.
    Applied,
    /// The row, in the body; empty where there is none.
    Row,
    /// Rows of the stretch, in the body as a [`RowList`], behind the range tombstones of its
    /// partitions.
    Rows {
        /// How many of the list are range tombstones, each under the prefix of its partition.
        heads: u32,
        /// Whether there may be more after the last.
        more: bool,
    },
    /// What became of the forwarded write, in the body.
    Written,
    /// Nothing was done.
    Refused(Refusal),
    /// The member that you asked about does not answer me either.
    Silent,
    /// A digest of the row.
    Digest([u8; 16]),
    /// Whether there are hints.
    Hints(bool),
    /// The digests of the rows that are held, in the body.
    Holding,
    /// The answer of an exchange, in the body.
    Exchanged {
        /// Whether the answering node is behind its fence.
        is_fenced: bool,
    },
}

/// Why a node did not do what it was asked. Nothing was done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// I own no part of this row in the epoch that I know.
    #[error("not a replica of the row in epoch {epoch}")]
    NotReplica {
        /// The epoch that the refusing node knows.
        epoch: u64,
    },
    /// I do not know the table, also not after asking for newer metadata.
    #[error("unknown table {table}")]
    UnknownTable {
        /// The number of the table.
        table: u32,
    },
    /// The state was read or made too long ago.
    #[error("the row was read {age_us} microseconds ago")]
    Stale {
        /// Its age.
        age_us: i64,
    },
    /// Too much is waiting already.
    #[error("overloaded")]
    Overloaded,
    /// The disk is nearly full.
    #[error("disk nearly full")]
    NoSpace,
    /// I am not ready to serve.
    #[error("not ready")]
    NotReady,
    /// The row or the message cannot be read.
    #[error("damaged")]
    Damaged,
    /// The store failed.
    #[error("store failed")]
    StoreFailed,
    /// The table was truncated or dropped: the rows that the request is about are gone, whatever of
    /// them was written.
    #[error("the rows of the table are gone in epoch {epoch}")]
    TableEnded {
        /// The epoch that the refusing node knows.
        epoch: u64,
    },
    /// I hold as much for other nodes as I may.
    #[error("no room for rows of other nodes")]
    NoStandIn,
    /// My store may lack what was acknowledged: it is being filled from its peers.
    #[error("behind its fence: the store is being filled from its peers")]
    Fenced,
}

/// The head of a frame.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Head {
    /// The first frame of a connection.
    Hello(Hello),
    /// The answer to a [`Hello`] that cannot be accepted; the connection ends.
    Unwelcome(String),
    /// A request.
    Request {
        /// Rises with each request of a connection; never used again on it.
        id: u64,
        /// The epoch of the sender's metadata.
        epoch: u64,
        /// How long the sender waits, in milliseconds.
        wait_ms: u32,
        /// What is asked.
        request: Request,
    },
    /// An answer.
    Answer {
        /// The id of the request.
        id: u64,
        /// The epoch of the sender's metadata.
        epoch: u64,
        /// What is answered.
        answer: Answer,
    },
}

/// The pieces of a body, sent one after the other.
pub type Body = SmallVec<[Bytes; 2]>;

/// A request as its handler gets it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// Its number on its connection.
    pub id: u64,
    /// The epoch of the sender's metadata.
    pub epoch: u64,
    /// How long the sender waits, in milliseconds.
    pub wait_ms: u32,
    /// What is asked.
    pub request: Request,
    /// The body: one slice of the frame.
    pub body: Bytes,
}

impl Refusal {
    /// The epoch that the refusing node knows, where newer metadata may make it agree.
    pub fn epoch(&self) -> Option<u64> {
        match self {
            Self::NotReplica { epoch } | Self::TableEnded { epoch } => Some(*epoch),
            _ => None,
        }
    }
}

impl Received {
    /// Cuts the body after `head_len` bytes; none where it is shorter.
    pub fn split_body(&self, head_len: u32) -> Option<(Bytes, Bytes)> {
        let at = head_len as usize;
        (at <= self.body.len()).then(|| (self.body.slice(..at), self.body.slice(at..)))
    }
}

/// Keys and rows in one body.
///
/// Shape: per row `key length u32, row length u32, key, row`, big endian.
#[derive(Debug, Default)]
pub struct RowList {
    bytes: BytesMut,
}

impl RowList {
    /// Adds a key and its row.
    pub fn push(&mut self, key: &[u8], row: &[u8]) {
        let len =
            |part: &[u8]| u32::try_from(part.len()).expect("keys and rows are far below 4 GiB");
        self.bytes.reserve(8 + key.len() + row.len());
        self.bytes.put_u32(len(key));
        self.bytes.put_u32(len(row));
        self.bytes.put_slice(key);
        self.bytes.put_slice(row);
    }

    /// How many bytes the body has so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The body.
    pub fn into_body(self) -> Bytes {
        self.bytes.freeze()
    }

    /// The keys and rows of a body, as slices of it; none where it is malformed.
    pub fn read(mut body: Bytes) -> Option<Vec<(Bytes, Bytes)>> {
        let mut rows = Vec::new();
        while body.has_remaining() {
            if body.remaining() < 8 {
                return None;
            }
            let (key_len, row_len) = (body.get_u32() as usize, body.get_u32() as usize);
            if body.remaining() < key_len.checked_add(row_len)? {
                return None;
            }
            let key = body.split_to(key_len);
            rows.push((key, body.split_to(row_len)));
        }
        Some(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_lists_come_back_and_lies_about_lengths_do_not() {
        let mut list = RowList::default();
        list.push(b"k1", b"row");
        list.push(b"", b"");
        let body = list.into_body();
        let rows = RowList::read(body.clone()).unwrap();
        assert_eq!(rows, [(Bytes::from("k1"), Bytes::from("row")), (Bytes::new(), Bytes::new())]);
        for cut in 1..body.len() {
            let cut_list = RowList::read(body.slice(..cut));
            assert!(cut_list.is_none_or(|rows| rows.len() < 2), "{cut}");
        }
        assert_eq!(RowList::read(Bytes::from_static(&[255; 8])), None);
    }
}
