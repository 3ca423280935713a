//! What the nodes have on disk, looked at from outside.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use ring::HostId;
use server::metadata::{ClusterMetadata, Conflict, Snapshot, TableId};
use server::replica::RowCopy;
use server::store::engine::Family;
use server::store::keys::RowKey;
use server::store::memory::MemoryDisk;
use tests::promise::Fate;
use tests::promise::replicas::{Copy, Difference, differences};

use crate::host::{Host, NODES, address};
use crate::ledger::{Ledger, RowId};
use crate::tables::{KEYSPACE, Table};

/// Where the newest chosen metadata lie in the family of the register.
const CHOSEN: &[u8] = b"chosen";

/// The newest metadata that any of the nodes has; none before there are any.
pub(crate) fn metadata(hosts: &[Rc<Host>]) -> Option<Snapshot> {
    let values = hosts.iter().filter_map(|host| chosen(host));
    Snapshot::new(values.max_by_key(|value| value.epoch)?).ok()
}

/// What a node knows of the metadata.
fn chosen(host: &Host) -> Option<ClusterMetadata> {
    let bytes = host.disk().content(Family::Register).get(CHOSEN).cloned()?;
    ClusterMetadata::decode(&bytes).ok()
}

/// What is not yet as it should be when all is whole again: rows that differ between their replicas,
/// rows that nodes hold for others, and hints.
pub(crate) fn open_repairs(hosts: &[Rc<Host>]) -> Vec<String> {
    let Some(metadata) = metadata(hosts) else { return Vec::new() };
    let (mut groups, mut open) = (BTreeMap::new(), Vec::new());
    for (node, host) in hosts.iter().enumerate() {
        for (key, row) in rows(host) {
            let Some((name, replicas)) = placed(&metadata, hosts, &key) else { continue };
            if !replicas.contains(&node) {
                open.push(format!("{node} holds {name} for others"));
                continue;
            }
            let copies: &mut BTreeMap<String, Copy> = groups.entry(replicas.clone()).or_default();
            for replica in replicas {
                copies.entry(replica.to_string()).or_default();
            }
            let copy = copies.get_mut(&node.to_string()).expect("all replicas were entered");
            copy.insert(key.to_vec(), row.to_vec());
        }
        let hints = host.disk().content(Family::Hints).len();
        open.extend((hints > 0).then(|| format!("{node} has {hints} hints")));
    }
    for difference in groups.values().flat_map(differences) {
        let Difference { key, lacking, contents } = difference;
        let placed = placed(&metadata, hosts, &key.into());
        let (name, replicas) = placed.expect("it was placed before");
        open.push(format!(
            "{name} differs: {contents} contents at {replicas:?}, none at {lacking:?}"
        ));
    }
    open
}

/// The row under a key and the nodes that are its replicas; none where the key is of something else.
fn placed(metadata: &Snapshot, hosts: &[Rc<Host>], key: &Bytes) -> Option<(String, Vec<usize>)> {
    let (table, number) = row_of(metadata, key)?;
    let partition = metadata.ring.partition_of(RowKey::read(key.clone()).ok()?.token());
    let replicas = metadata.keyspaces.get(KEYSPACE)?.placement.replicas(partition);
    let node = |host: &HostId| {
        let at = metadata.member(*host)?.internode.ip();
        (0..NODES).position(|node| address(node) == at).filter(|node| *node < hosts.len())
    };
    let replicas = replicas.iter().map(node).collect::<Option<_>>()?;
    Some((format!("{} {number}", table.name()), replicas))
}

/// What has grown beyond its bounds on a node's disk: vectors of rows.
pub(crate) fn excesses(hosts: &[Rc<Host>]) -> Vec<String> {
    let is_long = |row: &Bytes| match RowCopy::decode(Conflict::Siblings, row) {
        Ok(RowCopy::Siblings(row)) => row.vector().is_long(),
        _ => false,
    };
    let long = |host: &Rc<Host>| rows(host).values().filter(|row| is_long(row)).count();
    let long: usize = hosts.iter().map(long).sum();
    (long > 0)
        .then(|| format!("{long} rows have more actors than they should"))
        .into_iter()
        .collect()
}

/// Compares the metadata that all nodes have in the end with what was promised: all have the same,
/// every table that was made is in them, and none that was refused.
pub(crate) fn check_metadata(hosts: &[Rc<Host>], ledger: &Ledger) {
    let values: Vec<_> = hosts.iter().map(|host| chosen(host)).collect();
    if values.iter().any(|value| *value != values[0]) {
        let epochs = values.iter().map(|value| value.as_ref().map(|value| value.epoch));
        let epochs: Vec<_> = epochs.collect();
        ledger.is_wrong(format!("nodes differ in their metadata, of epochs {epochs:?}"));
    }
    let Some(metadata) = metadata(hosts) else { return };
    for (name, fate) in ledger.definitions.borrow().iter() {
        match (fate, metadata.table(KEYSPACE, name).is_some()) {
            (Fate::Acknowledged, false) => ledger.is_wrong(format!("lost table {name}")),
            (Fate::Refused, true) => ledger.is_wrong(format!("phantom table {name}")),
            _ => {}
        }
    }
}

/// The row that clients know by its table and number; none where the key is of something else.
pub(crate) fn row_of(metadata: &Snapshot, key: &Bytes) -> Option<RowId> {
    let key = RowKey::read(key.clone()).ok()?;
    let table = metadata.table_by_id(TableId(key.life().table))?;
    let number = i32::from_be_bytes(key.partition_key().try_into().ok()?);
    Some((Table::named(&table.name)?, usize::try_from(number).ok()?))
}

/// The rows of one node, by stored key.
pub(crate) fn rows(host: &Host) -> BTreeMap<Bytes, Bytes> {
    host.disk().content(Family::Rows)
}

/// The keys of rows that are not what they were when `earlier` was copied from a node's disk.
pub(crate) fn changed(host: &Host, earlier: &MemoryDisk) -> Vec<Bytes> {
    let before = earlier.content(Family::Rows);
    let now = rows(host).into_iter();
    now.filter(|(key, row)| before.get(key) != Some(row)).map(|(key, _)| key).collect()
}

/// Whether the copies of other nodes have all that the one of `node` has under a key.
pub(crate) fn is_held_elsewhere(
    metadata: &Snapshot,
    hosts: &[Rc<Host>],
    node: usize,
    key: &Bytes,
) -> bool {
    let table = RowKey::read(key.clone()).ok().map(|key| TableId(key.life().table));
    let Some(table) = table.and_then(|table| metadata.table_by_id(table)) else { return false };
    let copy = |host: &Rc<Host>| RowCopy::decode(table.conflict, rows(host).get(key)?).ok();
    let mut others = RowCopy::new(table.conflict);
    for (_, host) in hosts.iter().enumerate().filter(|(number, _)| *number != node) {
        if let Some(copy) = copy(host) {
            others.merge(&copy);
        }
    }
    let mut all = others.clone();
    if let Some(copy) = copy(&hosts[node]) {
        all.merge(&copy);
    }
    all == others
}
