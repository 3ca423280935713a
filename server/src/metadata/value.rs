//! The value of the register: stored in every node's cache and sent between nodes.
//!
//! Format: one version byte, then postcard. A newer version is refused by name, never guessed at.

use std::net::SocketAddr;

use bytes::Bytes;
use ring::register::{Acceptors, ChangeId, Changes, RegisterValue};
use ring::{HostId, Node, StoreId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::change::Declined;
use super::schema::Schema;

/// The version byte of the stored form.
const FORMAT: u8 = 1;

/// A node that has registered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Its name for ever.
    pub host: HostId,
    /// The store it writes to now.
    pub store: StoreId,
    /// Where other nodes reach it.
    pub internode: SocketAddr,
    /// Where clients reach it.
    pub cql: SocketAddr,
    /// Its data center.
    pub datacenter: String,
    /// Its rack.
    pub rack: String,
}

impl Member {
    /// The member as the ring sees it.
    pub fn node(&self) -> Node {
        Node { host: self.host, datacenter: self.datacenter.clone(), rack: self.rack.clone() }
    }
}

/// A key for the authenticity of contexts and paging states.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Secret {
    /// Which key it is; written into what it seals.
    pub id: u8,
    /// The key itself.
    pub key: [u8; 32],
}

/// The secret in use and, through a rotation, the one before it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Secrets {
    /// Seals and opens.
    pub current: Secret,
    /// Opens only.
    pub previous: Option<Secret>,
}

/// Everything the nodes agree on, under one epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClusterMetadata {
    /// Minted at formation; what a handshake compares.
    pub cluster_id: Uuid,
    /// The name from the configuration.
    pub name: String,
    /// Raised by one with each change.
    pub epoch: u64,
    /// The stores that agree on the next value.
    pub acceptors: Acceptors,
    /// How many equal partitions the ring is cut into.
    pub partitions: u32,
    /// How many partitions in a row have different owners.
    pub claim_spread: u32,
    /// How many members must own partitions before the first keyspace.
    pub nodes_min: u32,
    /// The nodes that have registered, by host id.
    pub members: Vec<Member>,
    /// The owner of each partition: never empty, for the first value has a member.
    pub owners: Vec<HostId>,
    /// Keyspaces and tables.
    pub schema: Schema,
    /// What seals contexts and paging states.
    pub secrets: Secrets,
    /// The names of the last changes.
    pub changes: Changes,
}

impl RegisterValue for ClusterMetadata {
    type Reject = Declined;

    fn acceptors(&self) -> &Acceptors {
        &self.acceptors
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn remembers(&self, change: ChangeId) -> bool {
        self.changes.epoch_of(change).is_some()
    }
}

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
    /// The member with this host id.
    pub fn member(&self, host: HostId) -> Option<&Member> {
        self.members.iter().find(|member| member.host == host)
    }

    /// The other members that own partitions, in the order of their host ids: those that drivers are
    /// told of. One without any has no tokens, and drivers take a peer without tokens for a broken
    /// one.
    pub fn peers_of(&self, me: HostId) -> impl Iterator<Item = &Member> {
        let is_peer =
            move |member: &&Member| member.host != me && self.owns_partitions(member.host);
        self.members.iter().filter(is_peer)
    }

    /// Whether a node owns at least one partition.
    pub fn owns_partitions(&self, host: HostId) -> bool {
        self.owners.contains(&host)
    }

    /// How many members own partitions.
    pub fn owner_count(&self) -> usize {
        self.members.iter().filter(|member| self.owns_partitions(member.host)).count()
    }

    /// Whether enough members own partitions for the cluster to serve.
    pub fn is_formed(&self) -> bool {
        self.owner_count() >= self.nodes_min as usize
    }

    /// The stored form: a version byte, then postcard.
    pub fn encode(&self) -> Bytes {
        let start = vec![FORMAT];
        postcard::to_extend(self, start).expect("a value in memory can be written").into()
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let malformed = || DecodeError::Malformed { len: bytes.len() };
        let (&format, rest) = bytes.split_first().ok_or_else(malformed)?;
        if format > FORMAT {
            return Err(DecodeError::Newer { found: format });
        }
        let (value, rest) = postcard::take_from_bytes(rest).map_err(|_| malformed())?;
        if rest.is_empty() && format == FORMAT { Ok(value) } else { Err(malformed()) }
    }
}
