//! The metadata of one epoch in the form that requests read: ring, replica lists, tables by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring::{HostId, Placement, Ring, RingError};
use uuid::Uuid;

use super::schema::{Keyspace, Table, TableId};
use super::value::{ClusterMetadata, Member};

/// A keyspace with what requests need of it.
#[derive(Debug)]
pub struct KeyspaceEntry {
    /// The keyspace as the register stores it.
    pub keyspace: Keyspace,
    /// The replicas of every partition.
    pub placement: Arc<Placement>,
    /// The tables by name.
    pub tables: BTreeMap<String, Arc<Table>>,
}

/// One epoch, immutable. Built once per change; a request holds one from start to end.
#[derive(Debug)]
pub struct Snapshot {
    /// The value as the register chose it.
    pub value: ClusterMetadata,
    /// The ring of the owners.
    pub ring: Arc<Ring>,
    /// The keyspaces by name.
    pub keyspaces: BTreeMap<String, KeyspaceEntry>,
    /// The version that drivers compare: equal on all nodes that have the same schema.
    pub schema_version: Uuid,
    tables: BTreeMap<TableId, Arc<Table>>,
}

/// What the metadata say of one life of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// Its rows are those of the table.
    Living,
    /// TRUNCATE or DROP ended it: its rows are gone.
    Over,
    /// It begins in metadata that are newer than these.
    Unborn,
}

impl Snapshot {
    /// Builds ring, placements and look-up tables from a chosen value.
    ///
    /// Cost: one replica list per keyspace and partition.
    ///
    /// # Errors
    /// [`RingError`] where members and owners contradict each other.
    pub fn new(value: ClusterMetadata) -> Result<Self, RingError> {
        let nodes = value.members.iter().map(Member::node).collect();
        let ring = Arc::new(Ring::new(value.epoch, nodes, value.owners.clone())?);
        let keyspaces: BTreeMap<_, _> = value
            .schema
            .keyspaces
            .iter()
            .map(|(name, keyspace)| (name.clone(), entry(keyspace, &ring)))
            .collect();
        let tables = keyspaces
            .values()
            .flat_map(|entry| entry.tables.values())
            .map(|table| (table.id, Arc::clone(table)))
            .collect();
        let schema_version = schema_version(&value);
        Ok(Self { value, ring, keyspaces, schema_version, tables })
    }

    /// The epoch of the metadata.
    pub fn epoch(&self) -> u64 {
        self.value.epoch
    }

    /// The table with this number, if it exists in this epoch.
    pub fn table_by_id(&self, id: TableId) -> Option<&Arc<Table>> {
        self.tables.get(&id)
    }

    /// What became of the life that the table with this number had in `table_epoch`.
    pub fn life(&self, id: TableId, table_epoch: u32) -> Life {
        match self.tables.get(&id) {
            Some(table) if table.epoch == table_epoch => Life::Living,
            Some(table) if table.epoch > table_epoch => Life::Over,
            None if id.0 < self.value.schema.next_table => Life::Over,
            _ => Life::Unborn,
        }
    }

    /// The table of this name.
    pub fn table(&self, keyspace: &str, name: &str) -> Option<&Arc<Table>> {
        self.keyspaces.get(keyspace)?.tables.get(name)
    }

    /// The member with this host id.
    pub fn member(&self, host: HostId) -> Option<&Member> {
        self.value.member(host)
    }
}

fn entry(keyspace: &Keyspace, ring: &Arc<Ring>) -> KeyspaceEntry {
    let tables = keyspace
        .tables
        .iter()
        .map(|(name, table)| (name.clone(), Arc::new(table.clone())))
        .collect();
    let placement = Arc::new(Placement::new(ring, keyspace.strategy.clone()));
    KeyspaceEntry { keyspace: keyspace.clone(), placement, tables }
}

/// A digest of what drivers see of the schema; a TRUNCATE is nothing that they see.
fn schema_version(value: &ClusterMetadata) -> Uuid {
    let mut schema = value.schema.clone();
    for keyspace in schema.keyspaces.values_mut() {
        keyspace.tables.values_mut().for_each(|table| table.epoch = 0);
    }
    let bytes = postcard::to_stdvec(&schema).expect("a schema in memory can be written");
    let digest: [u8; 32] = blake3::hash(&bytes).into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    uuid::Builder::from_md5_bytes(half).into_uuid()
}
