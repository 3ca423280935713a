//! On whom an answer stands: how many replicas, and how many who stood in for dead ones.
//!
//! An answer that needed stand-ins promises durability on that many nodes, and not that the next
//! quorum meets this one; so its client is warned. Callers: writes and reads of one row. Pure.

use ring::{HostId, Tally};
use serde::{Deserialize, Serialize};

/// Who has answered when the client was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Footing {
    /// True replicas.
    pub replicas: u32,
    /// Nodes that stood in for dead ones, where the level was not met without them; else 0.
    pub stand_ins: u32,
}

impl Footing {
    /// The footing of an answer that these have given; `tally` is one of nobody yet, and a host
    /// comes with whether it stands in.
    pub(super) fn of(tally: &Tally, answered: impl IntoIterator<Item = (HostId, bool)>) -> Self {
        let mut strict = tally.clone();
        let mut footing = Self::default();
        for (host, stands_in) in answered {
            if stands_in {
                footing.stand_ins += 1;
            } else {
                footing.replicas += 1;
                strict.acknowledge(host);
            }
        }
        if strict.is_met() {
            footing.stand_ins = 0;
        }
        footing
    }

    /// The lesser of two, for an answer that needed both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if other.stand_ins > self.stand_ins { other } else { self }
    }

    /// What the client is warned of, where stand-ins were needed.
    pub fn warning(&self) -> Option<String> {
        let counted = |count: u32, one: &str, many: &str| {
            format!("{count} {}", if count == 1 { one } else { many })
        };
        (self.stand_ins > 0).then(|| {
            let replicas = counted(self.replicas, "replica", "replicas");
            format!("{replicas}, {}", counted(self.stand_ins, "stand-in", "stand-ins"))
        })
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

    fn footing(level: Consistency, answered: &[(u128, bool)]) -> Footing {
        let strategy = Strategy::Simple { replication_factor: 3 };
        let tally = Tally::new(level, &strategy, "dc", (1..=5).map(|it| (host(it), "dc")));
        Footing::of(&tally, answered.iter().map(|(number, stands_in)| (host(*number), *stands_in)))
    }

    #[test]
    fn a_client_is_warned_where_stand_ins_were_needed() {
        let answered = [(1, false), (2, false), (4, true)];
        let warning = |level, answered: &[_]| footing(level, answered).warning();
        assert_eq!(warning(Consistency::Quorum, &answered), None);
        let warned = warning(Consistency::Three, &answered);
        assert_eq!(warned.as_deref(), Some("2 replicas, 1 stand-in"));
        let warned = warning(Consistency::Two, &[(1, false), (4, true), (5, true)]);
        assert_eq!(warned.as_deref(), Some("1 replica, 2 stand-ins"));
        assert_eq!(warning(Consistency::Any, &[(4, true)]).unwrap(), "0 replicas, 1 stand-in");
    }
}
