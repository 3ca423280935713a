//! Which nodes hold a row, best first: replicas, and who stands in for dead ones.
//!
//! A [`Placement`] is the replica list of every partition, computed once per change of the ring
//! or of a keyspace, so that a request costs one look-up in a table. Like the
//! [`Ring`] it is made from, it never changes.
//!
//! ```text
//! partition   replicas           a dead: the next live node clockwise of a's data center
//!     0       a  c  b            that has no part in the row yet stands in
//!     1       c  b  d
//! ```
//!
//! Source: Dynamo §4.3 (preference lists) and §4.6 (sloppy quorums). Callers: the coordinator,
//! for every statement; anti-entropy, for the peers of a partition.

use std::ops::Range;

use crate::strategy::Sites;
use crate::{HostId, Node, PartitionId, Ring, Strategy, Token};

/// The replica list of every partition under one strategy. Immutable; share it behind an `Arc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    epoch: u64,
    strategy: Strategy,
    /// How many replicas each partition has: the same number for all.
    replicas_each: usize,
    /// The lists of all partitions, one after the other.
    replicas: Vec<HostId>,
    /// For each of `replicas` the place of its data center in `datacenters`.
    located: Vec<u16>,
    datacenters: Vec<String>,
}

impl Placement {
    /// Places every partition of `ring` by `strategy`.
    ///
    /// Cost: one short walk per partition.
    pub fn new(ring: &Ring, strategy: Strategy) -> Self {
        let first = ring.partition_of(Token::MIN);
        let sites = Sites::of(ring.walk_from(first));
        let datacenters: Vec<&str> = sites.names().collect();
        let chosen: Vec<&Node> = ring
            .partitions()
            .iter()
            .flat_map(|partition| strategy.choose(&sites, ring.walk_from(partition)))
            .collect();
        let place = |node: &&Node| {
            let found = datacenters.binary_search(&node.datacenter.as_str());
            let found = found.expect("replicas stand in data centers of the ring");
            u16::try_from(found).expect("there are no more data centers than partitions")
        };
        Self {
            epoch: ring.epoch(),
            replicas_each: chosen.len() / ring.partitions().count(),
            replicas: chosen.iter().map(|node| node.host).collect(),
            located: chosen.iter().map(place).collect(),
            datacenters: datacenters.into_iter().map(str::to_owned).collect(),
            strategy,
        }
    }

    /// The epoch of the ring that this was made from.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The strategy that this was made by.
    pub fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// The nodes that hold `partition`, a partition of this placement's ring; best first.
    ///
    /// Empty when no node stands where the strategy asks for one. Cost: one look-up.
    pub fn replicas(&self, partition: PartitionId) -> &[HostId] {
        &self.replicas[self.list_of(partition)]
    }

    /// [`replicas`](Self::replicas), each with its data center.
    pub fn located(&self, partition: PartitionId) -> impl Iterator<Item = (HostId, &str)> + Clone {
        let list = self.list_of(partition);
        let datacenters = self.located[list.clone()]
            .iter()
            .map(|&place| self.datacenters[usize::from(place)].as_str());
        self.replicas[list].iter().copied().zip(datacenters)
    }

    fn list_of(&self, partition: PartitionId) -> Range<usize> {
        let start = partition.index() * self.replicas_each;
        start..start + self.replicas_each
    }
}

/// A node that takes a row for a dead replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandIn {
    /// The dead replica.
    pub absent: HostId,
    /// Who takes the row for it.
    pub host: HostId,
}

/// Who stands in for those of `replicas`, the list of `partition`, that are dead.
///
/// For each, in the order of the list: the first live node that a walk clockwise from the
/// partition meets in its data center and that is neither a replica nor another's stand-in. A
/// dead replica for whom nobody is left, or whom this ring does not know, gets none. Nodes that
/// agree on who is alive agree on the stand-ins.
pub fn stand_ins(
    ring: &Ring,
    partition: PartitionId,
    replicas: &[HostId],
    is_alive: impl Fn(HostId) -> bool,
) -> Vec<StandIn> {
    let mut stand_ins: Vec<StandIn> = Vec::new();
    for absent in replicas.iter().filter_map(|&host| ring.node(host)) {
        if is_alive(absent.host) {
            continue;
        }
        let is_free = |host: HostId| {
            !replicas.contains(&host) && stand_ins.iter().all(|stand_in| stand_in.host != host)
        };
        let next = ring.walk_from(partition).find(|node| {
            node.datacenter == absent.datacenter && is_free(node.host) && is_alive(node.host)
        });
        if let Some(node) = next {
            stand_ins.push(StandIn { absent: absent.host, host: node.host });
        }
    }
    stand_ins
}

#[cfg(test)]
mod tests;
