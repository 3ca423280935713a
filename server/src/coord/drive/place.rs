//! Where rows lie: their replicas, who of them is alive, and what the level needs of them; and
//! newer metadata, where a replica knows some.
//!
//! Callers: every operation, before it asks anybody, and after it was refused.

use std::net::SocketAddr;
use std::sync::Arc;

use ring::{PartitionId, Tally, Token, Unavailable};
use tokio::time::Instant;
use types::Consistency;

use super::Coordinator;
use crate::coord::error::PlaceError;
use crate::coord::gather::Hosts;
use crate::metadata::{KeyspaceEntry, Snapshot, Table};
use crate::peer::{Answer, Reply};

/// How often an operation is placed anew because a replica that was asked knew a newer epoch.
pub(super) const PLACINGS_MAX: usize = 3;

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

/// Who has told of the newest metadata in answer to an operation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct News(Option<(u64, SocketAddr)>);

impl News {
    /// What a reply tells of metadata that are newer than those of `epoch`.
    pub(super) fn of(reply: &Reply, epoch: u64) -> Self {
        match &reply.answer {
            Answer::Refused(refusal) => {
                let newer = refusal.epoch().filter(|told| *told > epoch);
                Self(newer.map(|told| (told, reply.from.internode)))
            }
            _ => Self::default(),
        }
    }

    /// Remembers the newest.
    pub(super) fn note(&mut self, other: Self) {
        self.0 = self.0.max(other.0);
    }
}

impl Coordinator {
    /// The metadata under which an operation begins.
    pub(super) fn metadata(&self) -> Arc<Snapshot> {
        self.cluster.snapshot().expect("no statement is planned without metadata")
    }

    /// Where a row of these tables of one keyspace lies.
    pub(super) fn place<'a>(
        &self,
        tables: impl IntoIterator<Item = &'a Table>,
        token: Token,
        level: Consistency,
    ) -> Result<Place, PlaceError> {
        let snapshot = self.metadata();
        let mut keyspace = Err(PlaceError::Outdated);
        for table in tables {
            keyspace = Ok(keyspace_of(&snapshot, table)?);
        }
        self.place_in(&snapshot, keyspace?, snapshot.ring.partition_of(token), level)
    }

    /// Where a partition of a keyspace lies.
    pub(super) fn place_in(
        &self,
        snapshot: &Arc<Snapshot>,
        keyspace: &KeyspaceEntry,
        partition: PartitionId,
        level: Consistency,
    ) -> Result<Place, PlaceError> {
        let alive = self.cluster.alive();
        let me = self.cluster.me();
        let datacenter = |host| snapshot.member(host).map_or("", |member| &member.datacenter);
        let placement = &keyspace.placement;
        let located = placement.located(partition);
        let tally = Tally::new(level, placement.strategy(), datacenter(me), located);
        tally.check_alive(|host| alive.contains(&host)).map_err(PlaceError::Unavailable)?;
        let replicas: Hosts = placement.replicas(partition).into();
        let mut near: Hosts =
            replicas.iter().copied().filter(|host| alive.contains(host)).collect();
        let turn = self.random.below(near.len());
        near.rotate_left(turn);
        near.sort_by_key(|host| (*host != me, datacenter(*host) != datacenter(me)));
        Ok(Place { snapshot: Arc::clone(snapshot), replicas, alive: near, tally })
    }

    /// Fetches what a refusal has told of; whether this node knows it now, so that the operation
    /// may be placed anew.
    pub(super) async fn catch_up(&self, news: News, deadline: Instant) -> bool {
        let Some((epoch, from)) = news.0 else { return false };
        self.clock.now() < deadline && self.keeper.catch_up(from, epoch, deadline).await
    }
}

/// The keyspace of a table in the life that a statement was planned for.
pub(super) fn keyspace_of<'a>(
    snapshot: &'a Snapshot,
    table: &Table,
) -> Result<&'a KeyspaceEntry, PlaceError> {
    let living = snapshot.table_by_id(table.id).filter(|living| living.epoch == table.epoch);
    let keyspace = living.and_then(|table| snapshot.keyspaces.get(&table.keyspace));
    keyspace.ok_or(PlaceError::Outdated)
}

/// No replica can be had: nothing was done.
pub(super) fn nobody(level: Consistency, required: u32) -> Unavailable {
    Unavailable { level, required, alive: 0 }
}
