//! Which partitions of which tables this node holds together with whom.
//!
//! Pure.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ring::{HostId, PartitionId, Token};

use crate::metadata::{Snapshot, Table};
use crate::store::keys::TableLife;

/// Partitions of the living life of a table that two nodes are replicas of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) life: TableLife,
    /// Keyspace and table, as people write them.
    pub(super) table: String,
    pub(super) peer: HostId,
    /// Their numbers, ascending.
    pub(super) partitions: Vec<u16>,
}

impl Share {
    /// The same share of fewer partitions, each so many.
    pub(super) fn parts(&self, partitions_max: usize) -> impl Iterator<Item = Self> {
        self.partitions.chunks(partitions_max).map(|part| self.of(part.to_vec()))
    }

    /// The same share of these partitions.
    pub(super) fn of(&self, partitions: Vec<u16>) -> Self {
        Self { partitions, ..self.clone() }
    }
}

/// All that `me` shares with others, by table and peer.
pub(super) fn shares(snapshot: &Snapshot, me: HostId) -> Vec<Share> {
    let mut shares = Vec::new();
    for entry in snapshot.keyspaces.values() {
        let mut by_peer: BTreeMap<HostId, Vec<u16>> = BTreeMap::new();
        for partition in snapshot.ring.partitions().iter() {
            let replicas = entry.placement.replicas(partition);
            if replicas.contains(&me) {
                for peer in replicas.iter().filter(|host| **host != me) {
                    by_peer.entry(*peer).or_default().push(partition.number());
                }
            }
        }
        for table in entry.tables.values() {
            let of = |(peer, partitions): (&HostId, &Vec<u16>)| Share {
                life: life_of(table),
                table: name_of(table),
                peer: *peer,
                partitions: partitions.clone(),
            };
            shares.extend(by_peer.iter().map(of));
        }
    }
    shares
}

/// The partitions that `me` holds of each table.
pub(super) fn held(snapshot: &Snapshot, me: HostId) -> Vec<(TableLife, String, Vec<PartitionId>)> {
    let mut held = Vec::new();
    for entry in snapshot.keyspaces.values() {
        let partitions = snapshot.ring.partitions().iter();
        let mine = partitions.filter(|it| entry.placement.replicas(*it).contains(&me));
        let mine: Vec<_> = mine.collect();
        let tables = entry.tables.values();
        held.extend(tables.map(|table| (life_of(table), name_of(table), mine.clone())));
    }
    held
}

/// The tokens of a partition, if all of `hosts` are replicas of it and this is the living life of its
/// table.
pub(super) fn tokens_of(
    snapshot: &Snapshot,
    life: TableLife,
    partition: u16,
    hosts: [HostId; 2],
) -> Option<RangeInclusive<Token>> {
    let table = snapshot.table_by_id(crate::metadata::TableId(life.table))?;
    let placement = &snapshot.keyspaces.get(&table.keyspace)?.placement;
    let partitions = snapshot.ring.partitions();
    let partition = partitions.numbered(partition)?;
    let replicas = placement.replicas(partition);
    let are_replicas = table.epoch == life.epoch && hosts.iter().all(|it| replicas.contains(it));
    are_replicas.then(|| partitions.tokens_of(partition))
}

fn life_of(table: &Table) -> TableLife {
    TableLife { table: table.id.0, epoch: table.epoch }
}

fn name_of(table: &Table) -> String {
    format!("{}.{}", table.keyspace, table.name)
}
