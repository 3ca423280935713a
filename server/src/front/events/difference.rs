//! From two states of the cluster to the events between them.
//!
//! Nodes come first, those that left before those that came, then what became of their liveness;
//! keyspaces and tables last, in the order in which Cassandra tells of them: a keyspace before the
//! tables that came with it, and after those that went with it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ring::HostId;
use wire::{Event, Schema, SchemaChange, StatusChange, TopologyChange};

use super::View;
use crate::metadata::{Keyspace, Snapshot, Table};

/// The events that lead from `before` to `after`, for clients of the node `me`.
pub(super) fn events(before: &View, after: &View, me: HostId) -> Vec<Event> {
    let mut events = Vec::new();
    let (old, new) = (nodes(&before.snapshot, me), nodes(&after.snapshot, me));
    if old != new {
        topology(&old, &new, &mut events);
    }
    for (host, node) in &new {
        let was_up = before.up.contains(host) && old.get(host) == Some(node);
        let change = match (was_up, after.up.contains(host)) {
            (false, true) => StatusChange::Up,
            (true, false) => StatusChange::Down,
            (false, false) | (true, true) => continue,
        };
        events.push(Event::Status { change, node: *node });
    }
    if before.snapshot.schema_version != after.snapshot.schema_version {
        let changes =
            schema(&before.snapshot.value.schema.keyspaces, &after.snapshot.value.schema.keyspaces);
        events.extend(changes.into_iter().map(Event::Schema));
    }
    events
}

/// Where clients reach the nodes that they are told of.
fn nodes(snapshot: &Snapshot, me: HostId) -> BTreeMap<HostId, SocketAddr> {
    snapshot.value.peers_of(me).map(|peer| (peer.host, peer.cql)).collect()
}

/// A node with another address is another node to clients.
fn topology(
    old: &BTreeMap<HostId, SocketAddr>,
    new: &BTreeMap<HostId, SocketAddr>,
    events: &mut Vec<Event>,
) {
    let lacking = |from: &BTreeMap<HostId, SocketAddr>, nodes: &BTreeMap<HostId, SocketAddr>| {
        let others = nodes.iter().filter(|(host, node)| from.get(host) != Some(node));
        others.map(|(_, node)| *node).collect::<Vec<_>>()
    };
    let told = |change| move |node| Event::Topology { change, node };
    events.extend(lacking(new, old).into_iter().map(told(TopologyChange::RemovedNode)));
    events.extend(lacking(old, new).into_iter().map(told(TopologyChange::NewNode)));
}

fn schema<'a>(
    old: &'a BTreeMap<String, Keyspace>,
    new: &'a BTreeMap<String, Keyspace>,
) -> Vec<SchemaChange> {
    const NONE: &BTreeMap<String, Table> = &BTreeMap::new();
    let mut changes = Vec::new();
    for name in union(old, new) {
        let keyspace = || Schema::Keyspace { keyspace: name.clone() };
        let (before, after) = (old.get(name), new.get(name));
        match (before, after) {
            (None, Some(_)) => changes.push(SchemaChange::Created(keyspace())),
            (Some(before), Some(after)) if !has_same_options(before, after) => {
                changes.push(SchemaChange::Updated(keyspace()));
            }
            _ => {}
        }
        let tables = |keyspace: Option<&'a Keyspace>| keyspace.map_or(NONE, |it| &it.tables);
        table_changes(name, tables(before), tables(after), &mut changes);
        if after.is_none() {
            changes.push(SchemaChange::Dropped(keyspace()));
        }
    }
    changes
}

fn table_changes(
    keyspace: &str,
    old: &BTreeMap<String, Table>,
    new: &BTreeMap<String, Table>,
    changes: &mut Vec<SchemaChange>,
) {
    for name in union(old, new) {
        let table = || Schema::Table { keyspace: keyspace.to_owned(), table: name.clone() };
        match (old.get(name), new.get(name)) {
            (Some(before), Some(after)) if before.id == after.id => {
                if !has_same_shape(before, after) {
                    changes.push(SchemaChange::Updated(table()));
                }
            }
            (before, after) => {
                // One that was dropped and made anew is another one of the same name.
                changes.extend(before.map(|_| SchemaChange::Dropped(table())));
                changes.extend(after.map(|_| SchemaChange::Created(table())));
            }
        }
    }
}

fn union<'a, T>(
    old: &'a BTreeMap<String, T>,
    new: &'a BTreeMap<String, T>,
) -> BTreeSet<&'a String> {
    old.keys().chain(new.keys()).collect()
}

/// Whether two keyspaces of one name differ in their tables at most.
fn has_same_options(before: &Keyspace, after: &Keyspace) -> bool {
    let Keyspace { name: _, strategy, durable_writes, conflict, sloppy_quorum, tables: _ } = before;
    (strategy, durable_writes) == (&after.strategy, &after.durable_writes)
        && (conflict, sloppy_quorum) == (&after.conflict, &after.sloppy_quorum)
}

/// Whether clients see no difference between two states of one table: TRUNCATE makes none.
fn has_same_shape(before: &Table, after: &Table) -> bool {
    let same_epoch = Table { epoch: after.epoch, ..before.clone() };
    same_epoch == *after
}
