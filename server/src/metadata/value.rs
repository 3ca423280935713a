//! The value of the register: stored in every node's cache and sent between nodes.

use std::net::SocketAddr;

use ring::register::{Acceptors, ChangeId, Changes, RegisterValue};
use ring::{HostId, Node, StoreId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::change::Declined;
use super::schema::Schema;

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
#[derive(Clone, PartialEq, Eq, Debug)]
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
}
