//! Where a row lies: its replicas, who of them is alive, and what the level needs of them.
//!
//! Callers: every operation, before it asks anybody.

use std::sync::Arc;

use ring::{Tally, Token, Unavailable};
use types::Consistency;

use super::Coordinator;
use crate::coord::gather::Hosts;
use crate::metadata::{Snapshot, Table};

/// The replicas of a row in one epoch.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) replicas: Hosts,
    /// Those that are alive, this node first, its data center next.
    pub(super) alive: Hosts,
    /// Counts for the level of the operation.
    pub(super) tally: Tally,
}

impl Coordinator {
    pub(super) fn place(
        &self,
        table: &Table,
        token: Token,
        level: Consistency,
    ) -> Result<Place, Unavailable> {
        let snapshot = self.cluster.snapshot().expect("no statement is planned without metadata");
        let alive = self.cluster.alive();
        let me = self.cluster.me();
        let datacenter = |host| snapshot.member(host).map_or("", |member| &member.datacenter);
        // A table that was dropped since the statement was planned has no replicas any more.
        let living = snapshot.table_by_id(table.id).filter(|living| living.epoch == table.epoch);
        let Some(keyspace) = living.and_then(|table| snapshot.keyspaces.get(&table.keyspace))
        else {
            return Err(nobody(level, 1));
        };
        let placement = &keyspace.placement;
        let partition = snapshot.ring.partition_of(token);
        let located = placement.located(partition);
        let tally = Tally::new(level, placement.strategy(), datacenter(me), located);
        tally.check_alive(|host| alive.contains(&host))?;
        let replicas: Hosts = placement.replicas(partition).into();
        let mut near: Hosts =
            replicas.iter().copied().filter(|host| alive.contains(host)).collect();
        let turn = self.random.below(near.len());
        near.rotate_left(turn);
        near.sort_by_key(|host| (*host != me, datacenter(*host) != datacenter(me)));
        Ok(Place { snapshot: Arc::clone(&snapshot), replicas, alive: near, tally })
    }
}

/// No replica can be had: nothing was done.
pub(super) fn nobody(level: Consistency, required: u32) -> Unavailable {
    Unavailable { level, required, alive: 0 }
}
