//! Whom a read asks, and when it has heard enough.
//!
//! As many replicas as the level needs are asked at first; for each that fails, and once when they
//! are slow, one more that the level can use: at `EACH_QUORUM` one of the data center that lacks
//! answers. Callers: `read`, and `drive` for stretches of a partition. Pure.

use ring::{HOSTS_INLINE, HostId, Tally};
use smallvec::SmallVec;

use super::error::ReadError;

/// Replicas, best first.
pub type Hosts = SmallVec<[HostId; HOSTS_INLINE]>;

/// The replicas of one read. Asks nobody itself.
#[derive(Debug)]
pub(super) struct Gather {
    /// Those that were not asked yet, best first.
    unasked: Hosts,
    /// Those that were asked and have neither answered nor failed.
    asked: Hosts,
    tally: Tally,
}

impl Gather {
    /// A read from `replicas`, best first, at the level that `tally` counts for, and whom to ask.
    pub(super) fn begin(replicas: &[HostId], tally: Tally) -> (Self, Hosts) {
        let first = tally.fewest(replicas.iter().copied());
        let unasked = replicas.iter().copied().filter(|host| !first.contains(host)).collect();
        (Self { unasked, asked: first.clone(), tally }, first)
    }

    /// A replica has answered.
    pub(super) fn on_answer(&mut self, from: HostId) {
        self.asked.retain(|host| *host != from);
        self.tally.acknowledge(from);
    }

    /// A replica refused, failed or cannot be reached; whom to ask instead.
    pub(super) fn on_failed(&mut self, from: HostId) -> Option<HostId> {
        self.asked.retain(|host| *host != from);
        let mut hoped_for = self.tally.clone();
        for host in &self.asked {
            hoped_for.acknowledge(*host);
        }
        self.ask_one(hoped_for)
    }

    /// Those that were asked take long; whom to ask too.
    pub(super) fn on_slow(&mut self) -> Option<HostId> {
        self.ask_one(self.tally.clone())
    }

    /// Whether the level is met.
    pub(super) fn is_met(&self) -> bool {
        self.tally.is_met()
    }

    /// Too few have answered.
    pub(super) fn timeout(&self) -> ReadError {
        ReadError::timeout(&self.tally)
    }

    /// Asks the best one whose answer would bring a tally of `hoped_for` nearer to its level.
    fn ask_one(&mut self, mut hoped_for: Tally) -> Option<HostId> {
        let at = self.unasked.iter().position(|host| hoped_for.acknowledge(*host))?;
        let host = self.unasked.remove(at);
        self.asked.push(host);
        Some(host)
    }
}

#[cfg(test)]
mod tests {
    use ring::Strategy;
    use types::Consistency;
    use uuid::Uuid;

    use super::*;

    fn host(number: u128) -> HostId {
        HostId(Uuid::from_u128(number))
    }

    fn hosts(numbers: &[u128]) -> Hosts {
        numbers.iter().copied().map(host).collect()
    }

    /// 1, 2 and 3 are in the data center of the coordinator, 4, 5 and 6 in another one.
    fn gather(level: Consistency) -> (Gather, Hosts) {
        let factors = ["near", "far"].map(|name| (name.to_owned(), 3));
        let strategy = Strategy::NetworkTopology(factors.into_iter().collect());
        let datacenter = |number| if number <= 3 { "near" } else { "far" };
        let located = (1..=6).map(|number| (host(number), datacenter(number)));
        let tally = Tally::new(level, &strategy, "near", located);
        Gather::begin(&hosts(&[1, 2, 3, 4, 5, 6]), tally)
    }

    #[test]
    fn who_fails_is_replaced_by_one_of_its_data_center() {
        let (mut gather, first) = gather(Consistency::EachQuorum);
        assert_eq!(first, hosts(&[1, 2, 4, 5]));
        assert_eq!(gather.on_failed(host(5)), Some(host(6)));
        assert_eq!(gather.on_failed(host(1)), Some(host(3)));
        for number in [2, 3, 4, 6] {
            assert!(!gather.is_met());
            gather.on_answer(host(number));
        }
        assert!(gather.is_met());
    }

    #[test]
    fn who_cannot_count_is_not_asked() {
        let (mut gather, first) = gather(Consistency::LocalQuorum);
        assert_eq!(first, hosts(&[1, 2]));
        assert_eq!(gather.on_slow(), Some(host(3)));
        assert_eq!(gather.on_failed(host(1)), None, "the third was asked already");
        assert_eq!(gather.on_failed(host(2)), None);
        gather.on_answer(host(3));
        assert!(!gather.is_met());
    }

    #[test]
    fn when_they_are_slow_one_is_asked_that_brings_the_level_nearer() {
        let (mut gather, _) = gather(Consistency::EachQuorum);
        gather.on_answer(host(1));
        gather.on_answer(host(2));
        assert_eq!(gather.on_slow(), Some(host(6)));
    }
}
