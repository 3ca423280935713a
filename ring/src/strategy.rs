//! How a keyspace is replicated: Cassandra's two strategies, which pick replicas from a walk
//! clockwise round the owners.
//!
//! Drivers compute the same lists from the system tables to find a replica, so membership and
//! order are exactly Cassandra's:
//!
//! - `SimpleStrategy`: the first nodes met;
//! - `NetworkTopologyStrategy`: each data center fills its own share. A node of a rack that has
//!   given one already is passed over for good, unless the share is larger than the number of
//!   racks: then the first such nodes met make up the difference.
//!
//! ```text
//! walk           a/r1 b/r1 x c/r2 d/r1 y e/r2      x, y in another data center
//! 3 of 2 racks   a    b      c                     one repeat is allowed: 3 − 2
//! 2 of 2 racks   a           c
//! ```
//!
//! Source: Apache Cassandra, `SimpleStrategy` and `NetworkTopologyStrategy`. Callers:
//! [`Placement`](crate::Placement) for the lists, [`Tally`](crate::Tally) for the factors.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Node;

/// A keyspace's replication.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Strategy {
    /// So many replicas, wherever they stand.
    Simple {
        /// How many.
        replication_factor: u8,
    },
    /// So many replicas in each data center of that name; 0 is as good as not named.
    NetworkTopology(BTreeMap<String, u8>),
}

impl Strategy {
    /// How many replicas a row has over all data centers, where there are enough nodes.
    pub fn replication_factor(&self) -> u32 {
        match self {
            Self::Simple { replication_factor } => u32::from(*replication_factor),
            Self::NetworkTopology(factors) => factors.values().copied().map(u32::from).sum(),
        }
    }

    /// The replicas among the nodes of `walk`, first met first.
    ///
    /// `walk` gives each node of `sites` once. As many replicas as asked for or, in a data center
    /// with fewer nodes, all of them; so the number is the same wherever the walk begins.
    pub(crate) fn choose<'a>(
        &self,
        sites: &Sites<'a>,
        walk: impl Iterator<Item = &'a Node>,
    ) -> Vec<&'a Node> {
        match self {
            Self::Simple { replication_factor } => {
                walk.take(usize::from(*replication_factor)).collect()
            }
            Self::NetworkTopology(factors) => choose_by_rack(factors, sites, walk),
        }
    }
}

fn choose_by_rack<'a>(
    factors: &BTreeMap<String, u8>,
    sites: &Sites<'a>,
    walk: impl Iterator<Item = &'a Node>,
) -> Vec<&'a Node> {
    let mut shares: BTreeMap<&str, Share> = factors
        .iter()
        .filter_map(|(datacenter, &factor)| {
            let site = sites.0.get(datacenter.as_str())?;
            Some((datacenter.as_str(), Share::new(usize::from(factor), site)))
        })
        .collect();
    let mut left: usize = shares.values().map(|share| share.left).sum();
    let mut replicas = Vec::with_capacity(left);
    for node in walk {
        if left == 0 {
            break;
        }
        if shares.get_mut(node.datacenter.as_str()).is_some_and(|share| share.takes(&node.rack)) {
            replicas.push(node);
            left -= 1;
        }
    }
    replicas
}

/// The nodes and racks of each data center, as far as they own partitions.
pub(crate) struct Sites<'a>(BTreeMap<&'a str, Site<'a>>);

#[derive(Default)]
struct Site<'a> {
    nodes: usize,
    racks: BTreeSet<&'a str>,
}

impl<'a> Sites<'a> {
    pub(crate) fn of(owners: impl Iterator<Item = &'a Node>) -> Self {
        let mut sites: BTreeMap<&str, Site> = BTreeMap::new();
        for node in owners {
            let site = sites.entry(&node.datacenter).or_default();
            site.nodes += 1;
            site.racks.insert(&node.rack);
        }
        Self(sites)
    }

    /// The names of the data centers, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.keys().copied()
    }
}

/// What one data center has still to give on one walk.
struct Share<'a> {
    left: usize,
    /// How many more nodes may come from a rack that has given one.
    repeats_left: usize,
    racks: Vec<&'a str>,
}

impl<'a> Share<'a> {
    fn new(factor: usize, site: &Site) -> Self {
        Self {
            left: factor.min(site.nodes),
            repeats_left: factor.saturating_sub(site.racks.len()),
            racks: Vec::new(),
        }
    }

    /// Whether the next node met, which stands in `rack`, becomes a replica.
    fn takes(&mut self, rack: &'a str) -> bool {
        if self.left == 0 {
            return false;
        }
        if !self.racks.contains(&rack) {
            self.racks.push(rack);
        } else if self.repeats_left > 0 {
            self.repeats_left -= 1;
        } else {
            return false;
        }
        self.left -= 1;
        true
    }
}
