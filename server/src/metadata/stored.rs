//! The bytes of the value: what is kept on disk and sent between nodes.
//!
//! Format: one version byte, then postcard. A newer version is refused by name, never guessed at.
//! Wherever the value is a part of something greater — a vote of the register — it is its own bytes
//! there, version and all.
//!
//! ```text
//! 1  a table has no number for its next column: it is that behind the highest
//! 2  a table has one; it does not say whether stand-ins count: none do
//! 3  keyspaces and tables say it, and tables when reads ask one replica more
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use ring::register::{Acceptors, Changes};
use ring::{HostId, Strategy};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::schema::{Column, Conflict, Keyspace, Schema, Table, TableId};
use super::speculative::SpeculativeRetry;
use super::value::{ClusterMetadata, Member, Secrets};

/// The version byte of the form that is written.
const FORMAT: u8 = 3;

/// Why bytes are no cluster metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the value does, or say what no value says.
    #[error("malformed cluster metadata of {len} bytes")]
    Malformed {
        /// How many bytes there were.
        len: usize,
    },
    /// A newer release wrote them.
    #[error("cluster metadata of format {found}, this release reads up to {FORMAT}")]
    Newer {
        /// The format they name.
        found: u8,
    },
}

impl ClusterMetadata {
    /// The stored form: a version byte, then postcard.
    pub fn encode(&self) -> Bytes {
        let stored = Stored::from(self.clone());
        postcard::to_extend(&stored, vec![FORMAT]).expect("a value in memory can be written").into()
    }

    /// Reads the stored form, also that of earlier releases.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let malformed = || DecodeError::Malformed { len: bytes.len() };
        let (&format, rest) = bytes.split_first().ok_or_else(malformed)?;
        let value = match format {
            FORMAT => whole::<Stored<Schema>>(rest).map(Self::from),
            2 => whole::<Stored<EarlierSchema<SecondTable>>>(rest).map(Self::from),
            1 => whole::<FirstForm>(rest).map(Self::from),
            0 => None,
            found => return Err(DecodeError::Newer { found }),
        };
        value.ok_or_else(malformed)
    }
}

/// What all of the bytes say.
fn whole<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(value)
}

impl Serialize for ClusterMetadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.encode())
    }
}

impl<'de> Deserialize<'de> for ClusterMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        Self::decode(&bytes).map_err(serde::de::Error::custom)
    }
}

/// The value with a schema in the form of some version.
#[derive(Serialize, Deserialize)]
struct Stored<S> {
    cluster_id: Uuid,
    name: String,
    epoch: u64,
    acceptors: Acceptors,
    partitions: u32,
    claim_spread: u32,
    nodes_min: u32,
    members: Vec<Member>,
    owners: Vec<HostId>,
    schema: S,
    secrets: Secrets,
    changes: Changes,
}

impl From<ClusterMetadata> for Stored<Schema> {
    fn from(value: ClusterMetadata) -> Self {
        Self {
            cluster_id: value.cluster_id,
            name: value.name,
            epoch: value.epoch,
            acceptors: value.acceptors,
            partitions: value.partitions,
            claim_spread: value.claim_spread,
            nodes_min: value.nodes_min,
            members: value.members,
            owners: value.owners,
            schema: value.schema,
            secrets: value.secrets,
            changes: value.changes,
        }
    }
}

impl<S: Into<Schema>> From<Stored<S>> for ClusterMetadata {
    fn from(stored: Stored<S>) -> Self {
        Self {
            cluster_id: stored.cluster_id,
            name: stored.name,
            epoch: stored.epoch,
            acceptors: stored.acceptors,
            partitions: stored.partitions,
            claim_spread: stored.claim_spread,
            nodes_min: stored.nodes_min,
            members: stored.members,
            owners: stored.owners,
            schema: stored.schema.into(),
            secrets: stored.secrets,
            changes: stored.changes,
        }
    }
}

/// Version 1, as it stood in greater things too, without a version byte there.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct FirstForm(Stored<EarlierSchema<FirstTable>>);

impl From<FirstForm> for ClusterMetadata {
    fn from(FirstForm(stored): FirstForm) -> Self {
        stored.into()
    }
}

/// Versions 1 and 2, which differ in their tables.
#[derive(Deserialize)]
struct EarlierSchema<T> {
    keyspaces: BTreeMap<String, EarlierKeyspace<T>>,
    next_table: u32,
}

#[derive(Deserialize)]
struct EarlierKeyspace<T> {
    name: String,
    strategy: Strategy,
    durable_writes: bool,
    conflict: Option<Conflict>,
    tables: BTreeMap<String, T>,
}

#[derive(Deserialize)]
struct FirstTable {
    id: TableId,
    epoch: u32,
    keyspace: String,
    name: String,
    conflict: Conflict,
    columns: Vec<Column>,
    comment: String,
}

#[derive(Deserialize)]
struct SecondTable {
    first: FirstTable,
    next_column: u32,
}

impl<T: Into<Table>> From<EarlierSchema<T>> for Schema {
    fn from(schema: EarlierSchema<T>) -> Self {
        let keyspaces = schema.keyspaces.into_iter();
        Self {
            keyspaces: keyspaces.map(|(name, keyspace)| (name, keyspace.into())).collect(),
            next_table: schema.next_table,
        }
    }
}

impl<T: Into<Table>> From<EarlierKeyspace<T>> for Keyspace {
    fn from(keyspace: EarlierKeyspace<T>) -> Self {
        let EarlierKeyspace { name, strategy, durable_writes, conflict, tables } = keyspace;
        let tables = tables.into_iter().map(|(name, table)| (name, table.into())).collect();
        Self { name, strategy, durable_writes, conflict, sloppy_quorum: None, tables }
    }
}

impl From<FirstTable> for Table {
    fn from(first: FirstTable) -> Self {
        // No release that wrote this form could drop a column.
        let next_column = first.columns.iter().map(|column| column.id.0.saturating_add(1)).max();
        SecondTable { next_column: next_column.unwrap_or(0), first }.into()
    }
}

impl From<SecondTable> for Table {
    fn from(SecondTable { first, next_column }: SecondTable) -> Self {
        let FirstTable { id, epoch, keyspace, name, conflict, columns, comment } = first;
        // No release that wrote this form let others stand in, and a table keeps its promise.
        let sloppy_quorum = false;
        let speculative_retry = SpeculativeRetry::DEFAULT;
        Self {
            id,
            epoch,
            keyspace,
            name,
            conflict,
            sloppy_quorum,
            speculative_retry,
            columns,
            comment,
            next_column,
        }
    }
}
