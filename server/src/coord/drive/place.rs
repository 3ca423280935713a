//! Where rows lie: their replicas, who of them is alive, who stands in for the dead, and what the level
//! needs of them; and newer metadata, where a replica knows some.
//!
//! Callers: every operation, before it asks anybody, and after it was refused.

use std::net::SocketAddr;
use std::sync::Arc;

use ring::{HostId, PartitionId, Tally, Token, Unavailable, stand_ins};
use tokio::time::Instant;
use types::Consistency;

use super::Coordinator;
use crate::config::Planted;
use crate::coord::error::PlaceError;
use crate::coord::gather::Hosts;
use crate::coord::sends::Holders;
use crate::metadata::{KeyspaceEntry, Snapshot, Table};
use crate::peer::{Answer, Reply};

/// How often an operation is placed anew because a replica that was asked knew a newer epoch.
pub(super) const PLACINGS_MAX: usize = 3;

/// How many nodes that may have stood in are asked for what a context names.
const OTHERS_MAX: usize = 16;

/// The replicas of a row in one epoch.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) snapshot: Arc<Snapshot>,
    /// Who is to hold the row; its tally counts for the level of the operation.
    pub(super) holders: Holders,
    /// The replicas that are alive: this node first, its data center next, in each the fast ones
    /// first.
    pub(super) alive: Hosts,
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

impl Place {
    /// Counts for the level of the operation; of nobody yet.
    pub(super) fn tally(&self) -> &Tally {
        &self.holders.tally
    }

    /// Whether a node may stamp a write of the row: a replica, or where all are dead the first who
    /// stands in.
    pub(super) fn may_stamp(&self, host: HostId) -> bool {
        self.holders.replicas.contains(&host) || self.first_stand_in() == Some(host)
    }

    /// Who stamps where no replica is alive, if others may stand in.
    pub(super) fn first_stand_in(&self) -> Option<HostId> {
        let first = self.holders.stand_ins.first().map(|stand_in| stand_in.host);
        first.filter(|_| self.alive.is_empty())
    }

    /// Who stands in for dead replicas.
    pub(super) fn stand_ins(&self) -> Hosts {
        self.holders.stand_ins.iter().map(|stand_in| stand_in.host).collect()
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
        let (mut keyspace, mut is_sloppy) = (Err(PlaceError::Outdated), true);
        for table in tables {
            keyspace = Ok(keyspace_of(&snapshot, table)?);
            is_sloppy &= table.sloppy_quorum;
        }
        is_sloppy |= self.planted.is(Planted::CountHintAtQuorum);
        let partition = snapshot.ring.partition_of(token);
        self.place_in(&snapshot, keyspace?, partition, level, allows_stand_ins(level, is_sloppy))
    }

    /// Where a partition of a keyspace lies.
    pub(super) fn place_in(
        &self,
        snapshot: &Arc<Snapshot>,
        keyspace: &KeyspaceEntry,
        partition: PartitionId,
        level: Consistency,
        is_sloppy: bool,
    ) -> Result<Place, PlaceError> {
        let alive = self.cluster.alive();
        let me = self.cluster.me();
        let datacenter = |host| snapshot.member(host).map_or("", |member| &member.datacenter);
        let placement = &keyspace.placement;
        let replicas: Hosts = placement.replicas(partition).into();
        let (mut near, dead): (Hosts, Hosts) =
            replicas.iter().copied().partition(|host| alive.contains(host));
        let stand_ins = if is_sloppy && !dead.is_empty() {
            stand_ins(&snapshot.ring, partition, &replicas, |host| alive.contains(&host))
        } else {
            Vec::new()
        };
        let helping = stand_ins.iter().map(|it| (it.host, datacenter(it.host)));
        let located = placement.located(partition).chain(helping);
        let tally = Tally::new(level, placement.strategy(), datacenter(me), located);
        tally.check_alive(|host| alive.contains(&host)).map_err(PlaceError::Unavailable)?;
        let turn = self.random.below(near.len());
        near.rotate_left(turn);
        let distance = |host: &HostId| (*host != me, datacenter(*host) != datacenter(me));
        near.sort_by_key(distance);
        let now = self.clock.now().into_std();
        for equals in near.chunk_by_mut(|one, other| distance(one) == distance(other)) {
            self.latencies.fast_first(equals, now);
        }
        let holders = Holders { replicas, dead, stand_ins: stand_ins.into(), tally };
        Ok(Place { snapshot: Arc::clone(snapshot), holders, alive: near })
    }

    /// Live nodes of this data center that hold no replica and may have stood in, a few of them.
    pub(super) fn may_have_stood_in(&self, place: &Place) -> Hosts {
        let alive = self.cluster.alive();
        let datacenter = |host| place.snapshot.member(host).map(|member| &member.datacenter);
        let near = datacenter(self.cluster.me());
        let (replicas, stand_ins) = (&place.holders.replicas, place.stand_ins());
        let others = alive.iter().copied().filter(|host| {
            datacenter(*host) == near && !replicas.contains(host) && !stand_ins.contains(host)
        });
        others.take(OTHERS_MAX).collect()
    }

    /// Fetches what a refusal has told of; whether this node knows it now, so that the operation
    /// may be placed anew.
    pub(super) async fn catch_up(&self, news: News, deadline: Instant) -> bool {
        let Some((epoch, from)) = news.0 else { return false };
        self.clock.now() < deadline && self.keeper.catch_up(from, epoch, deadline).await
    }
}

/// Whether stand-ins count: what promises true replicas means them, and ANY asks for no more than that
/// the write is somewhere.
pub(super) fn allows_stand_ins(level: Consistency, is_sloppy: bool) -> bool {
    match level {
        Consistency::Any => true,
        Consistency::All
        | Consistency::EachQuorum
        | Consistency::Serial
        | Consistency::LocalSerial => false,
        _ => is_sloppy,
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
