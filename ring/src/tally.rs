//! What a consistency level asks for, and whether it is met.
//!
//! A level is one or more quotas: so many acknowledgements out of the replicas of one data
//! center, or out of all. It is met when every quota is. As in Cassandra the numbers come from
//! the keyspace's replication factors, not from how many nodes there are, so a level that needs
//! more replicas than the cluster has nodes is never available.
//!
//! ```text
//! ANY ONE TWO THREE        1 1 2 3 of all
//! QUORUM SERIAL            RF/2 + 1 of all                RF over all data centers together
//! ALL                      RF of all
//! LOCAL_ONE                1 of the coordinator's data center
//! LOCAL_QUORUM LOCAL_SERIAL  RF/2 + 1 of it               RF of that data center
//! EACH_QUORUM              RF/2 + 1 of every data center  RF of each
//! ```
//!
//! Under `SimpleStrategy`, which knows no data centers, `LOCAL_QUORUM` takes the whole RF (but
//! counts local replicas) and `EACH_QUORUM` is `QUORUM`. Reads and writes are counted alike; that
//! ANY is for writes only, and when SERIAL is allowed, is for the planner to check.
//!
//! Source: Apache Cassandra, `ConsistencyLevel` and `ReplicaPlans`. Callers: the coordinator.

use smallvec::{SmallVec, smallvec};
use types::Consistency;

use crate::{HostId, Strategy};

/// Too few replicas are believed alive to reach the level: nobody was asked to do anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot achieve consistency level {level}: {required} replicas required, {alive} alive")]
pub struct Unavailable {
    /// The level of the request.
    pub level: Consistency,
    /// How many it needs; at `EACH_QUORUM`, in the first data center, by name, that has too few.
    pub required: u32,
    /// How many of those that could count are alive; at `EACH_QUORUM`, in that data center.
    pub alive: u32,
}

/// Counts who has acknowledged one operation, until its level is met.
///
/// Replicas that cannot help the level (those of other data centers, at a local one) are no part
/// of it. Cost: up to [`HOSTS_INLINE`] replicas and two data centers need no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    level: Consistency,
    quotas: SmallVec<[Quota; 2]>,
    voters: SmallVec<[Voter; HOSTS_INLINE]>,
}

/// As many hosts as are kept without an allocation: three in each of two data centers.
pub const HOSTS_INLINE: usize = 6;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Quota {
    needed: u32,
    received: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Voter {
    host: HostId,
    /// The place of its quota in the tally.
    quota: usize,
    has_acknowledged: bool,
}

impl Tally {
    /// The tally of one operation at `level`, of which nobody has acknowledged anything yet.
    ///
    /// `hosts` are those that may count, with their data centers: the row's replicas, as
    /// [`Placement::located`](crate::Placement::located) gives them, and where stand-ins count,
    /// these too. `local_datacenter` is the coordinator's.
    pub fn new<'a>(
        level: Consistency,
        strategy: &Strategy,
        local_datacenter: &str,
        hosts: impl IntoIterator<Item = (HostId, &'a str)>,
    ) -> Self {
        let asked = quotas(level, strategy, local_datacenter);
        let voters = hosts
            .into_iter()
            .filter_map(|(host, datacenter)| {
                let quota = asked.iter().position(|(scope, _)| scope.covers(datacenter))?;
                Some(Voter { host, quota, has_acknowledged: false })
            })
            .collect();
        // A keyspace without replicas must not make a level that nobody has to acknowledge.
        let quotas = asked.iter().map(|&(_, n)| Quota { needed: n.max(1), received: 0 }).collect();
        Self { level, quotas, voters }
    }

    /// The level that is counted for.
    pub fn level(&self) -> Consistency {
        self.level
    }

    /// How many acknowledgements the level needs, over all data centers.
    pub fn required(&self) -> u32 {
        self.quotas.iter().map(|quota| quota.needed).sum()
    }

    /// How many have come that the level needed; less than [`required`](Self::required) until it
    /// is met. More of one data center than it needs do not make up for another.
    pub fn received(&self) -> u32 {
        self.quotas.iter().map(|quota| quota.received).sum()
    }

    /// Whether the level is met.
    pub fn is_met(&self) -> bool {
        self.quotas.iter().all(Quota::is_met)
    }

    /// Takes an acknowledgement; whether it brought the level nearer.
    ///
    /// It does not when the host has acknowledged before, cannot count, or is no longer needed.
    pub fn acknowledge(&mut self, host: HostId) -> bool {
        let Some(voter) = self.voters.iter_mut().find(|voter| voter.host == host) else {
            return false;
        };
        let quota = &mut self.quotas[voter.quota];
        let is_needed = !voter.has_acknowledged && !quota.is_met();
        voter.has_acknowledged = true;
        quota.received += u32::from(is_needed);
        is_needed
    }

    /// Whether enough of the hosts are alive to meet the level.
    ///
    /// # Errors
    /// [`Unavailable`], with the numbers that Cassandra reports.
    pub fn check_alive(&self, is_alive: impl Fn(HostId) -> bool) -> Result<(), Unavailable> {
        let mut alive: SmallVec<[u32; 2]> = smallvec![0; self.quotas.len()];
        for voter in self.voters.iter().filter(|voter| is_alive(voter.host)) {
            alive[voter.quota] += 1;
        }
        match self.quotas.iter().zip(alive).find(|(quota, alive)| *alive < quota.needed) {
            None => Ok(()),
            Some((quota, alive)) => {
                Err(Unavailable { level: self.level, required: quota.needed, alive })
            }
        }
    }

    /// The first of `preferred` whose acknowledgements would meet the level, and no more: whom a
    /// read asks. Fewer when `preferred` do not suffice.
    pub fn fewest(
        &self,
        preferred: impl IntoIterator<Item = HostId>,
    ) -> SmallVec<[HostId; HOSTS_INLINE]> {
        let mut asked = self.clone();
        preferred.into_iter().filter(|&host| asked.acknowledge(host)).collect()
    }
}

impl Quota {
    fn is_met(&self) -> bool {
        self.received >= self.needed
    }
}

/// Whose acknowledgements count for a quota.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Everywhere,
    Datacenter(&'a str),
}

impl Scope<'_> {
    fn covers(self, datacenter: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Datacenter(name) => name == datacenter,
        }
    }
}

/// What `level` asks for: from whom, and how many.
fn quotas<'a>(
    level: Consistency,
    strategy: &'a Strategy,
    local: &'a str,
) -> SmallVec<[(Scope<'a>, u32); 2]> {
    let total = strategy.replication_factor();
    match level {
        Consistency::Any | Consistency::One => smallvec![(Scope::Everywhere, 1)],
        Consistency::Two => smallvec![(Scope::Everywhere, 2)],
        Consistency::Three => smallvec![(Scope::Everywhere, 3)],
        Consistency::Quorum | Consistency::Serial => {
            smallvec![(Scope::Everywhere, majority(total))]
        }
        Consistency::All => smallvec![(Scope::Everywhere, total)],
        Consistency::LocalOne => smallvec![(Scope::Datacenter(local), 1)],
        Consistency::LocalQuorum | Consistency::LocalSerial => {
            smallvec![(Scope::Datacenter(local), majority(local_factor(strategy, local)))]
        }
        Consistency::EachQuorum => each_quorum(strategy),
    }
}

fn each_quorum(strategy: &Strategy) -> SmallVec<[(Scope<'_>, u32); 2]> {
    let factors = match strategy {
        Strategy::NetworkTopology(factors) if strategy.replication_factor() > 0 => factors,
        _ => return smallvec![(Scope::Everywhere, majority(strategy.replication_factor()))],
    };
    factors
        .iter()
        .filter(|&(_, &factor)| factor > 0)
        .map(|(datacenter, &factor)| (Scope::Datacenter(datacenter), majority(u32::from(factor))))
        .collect()
}

/// The replication factor that `LOCAL_QUORUM` goes by in the data center `local`.
fn local_factor(strategy: &Strategy, local: &str) -> u32 {
    match strategy {
        Strategy::Simple { replication_factor } => u32::from(*replication_factor),
        Strategy::NetworkTopology(factors) => factors.get(local).copied().map_or(0, u32::from),
    }
}

fn majority(replicas: u32) -> u32 {
    replicas / 2 + 1
}

#[cfg(test)]
mod tests;
