//! One write of cells and tombstones, which every replica merges as they are.
//!
//! ```text
//! send    to every replica at once, this node among them if it is one   -> 1 acknowledgement each
//! answer  when the level is met, when it cannot be any more, or at the deadline
//! ```
//!
//! Law: any node coordinates; nothing is read and nothing is stamped, for the client's statement has
//! brought its timestamp along; whoever merges the write twice has it once. So a write that too few
//! replicas took may be sent again, and after the answer the sends still go on. Where every replica
//! refused it the client hears why, and nothing was written. Pure.

use ring::{HOSTS_INLINE, HostId, Tally};
use smallvec::SmallVec;

use super::acks::{Acks, Answer};
use super::error::WriteError;

/// What the runtime must do next for one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlindStep {
    /// Send the cells.
    Send {
        /// To this replica, which may be this node.
        to: HostId,
    },
    /// Tell the client.
    Answer(Result<(), WriteError>),
}

/// The steps after one event.
pub type BlindSteps = SmallVec<[BlindStep; HOSTS_INLINE]>;

/// One write of cells. Sends nothing and waits for nothing itself.
#[derive(Debug)]
pub struct BlindOp {
    acks: Acks,
    /// Whether some replica may have the write.
    may_have_applied: bool,
}

impl BlindOp {
    /// A write to `replicas`, whose acknowledgements `tally` counts; `me` is served first.
    pub fn place(me: HostId, replicas: &[HostId], tally: Tally) -> (Self, BlindSteps) {
        let (near, far) = (replicas.iter().filter(|to| **to == me), replicas.iter());
        let sends = near.chain(far.filter(|to| **to != me)).map(|to| BlindStep::Send { to: *to });
        let op = Self { acks: Acks::new(tally, replicas.len()), may_have_applied: false };
        (op, sends.collect())
    }

    /// A replica has merged and fsynced the cells.
    pub fn on_acknowledged(&mut self, from: HostId) -> BlindSteps {
        self.may_have_applied = true;
        answered(self.acks.on_acknowledged(from))
    }

    /// A replica is silent, or cannot be reached.
    pub fn on_lost(&mut self) -> BlindSteps {
        self.may_have_applied = true;
        answered(self.acks.on_failed())
    }

    /// A replica refused the cells, for this reason, and has not merged them.
    pub fn on_refused(&mut self, why: &WriteError) -> BlindSteps {
        let answer = self.acks.on_failed();
        let is_nowhere = !self.may_have_applied;
        let told = answer.map(|answer| if is_nowhere { Err(why.clone()) } else { answer });
        answered(told)
    }

    /// The deadline has come.
    pub fn on_deadline(&mut self) -> BlindSteps {
        answered(self.acks.give_up())
    }
}

fn answered(answer: Option<Answer>) -> BlindSteps {
    answer.into_iter().map(BlindStep::Answer).collect()
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

    fn placed(me: u128, level: Consistency) -> (BlindOp, BlindSteps) {
        let strategy = Strategy::Simple { replication_factor: 3 };
        let tally = Tally::new(level, &strategy, "dc", [1, 2, 3].map(|it| (host(it), "dc")));
        BlindOp::place(host(me), &[1, 2, 3].map(host), tally)
    }

    fn sends(hosts: [u128; 3]) -> Vec<BlindStep> {
        hosts.map(|number| BlindStep::Send { to: host(number) }).to_vec()
    }

    fn timeout(level: Consistency, received: u32, required: u32) -> BlindStep {
        BlindStep::Answer(Err(WriteError::Timeout { level, received, required }))
    }

    #[test]
    fn every_replica_is_sent_the_write_at_once_this_node_first() {
        assert_eq!(placed(2, Consistency::One).1[..], sends([2, 1, 3]));
    }

    #[test]
    fn a_node_that_is_no_replica_sends_it_to_all_of_them() {
        assert_eq!(placed(9, Consistency::All).1[..], sends([1, 2, 3]));
    }

    #[test]
    fn the_client_is_answered_when_its_level_is_met_and_only_once() {
        let (mut op, _) = placed(1, Consistency::Quorum);
        assert!(op.on_acknowledged(host(3)).is_empty());
        assert_eq!(op.on_acknowledged(host(1))[..], [BlindStep::Answer(Ok(()))]);
        assert!(op.on_acknowledged(host(2)).is_empty());
        assert!(op.on_deadline().is_empty());
    }

    #[test]
    fn an_acknowledgement_that_comes_twice_counts_once() {
        let (mut op, _) = placed(1, Consistency::Quorum);
        assert!(op.on_acknowledged(host(3)).is_empty());
        assert!(op.on_acknowledged(host(3)).is_empty());
    }

    #[test]
    fn when_nobody_is_left_who_could_acknowledge_the_client_does_not_wait() {
        let (mut op, _) = placed(1, Consistency::Quorum);
        op.on_acknowledged(host(1));
        assert!(op.on_lost().is_empty());
        assert_eq!(op.on_refused(&WriteError::NoSpace)[..], [timeout(Consistency::Quorum, 1, 2)]);
    }

    #[test]
    fn at_the_deadline_the_counts_are_told() {
        let (mut op, _) = placed(1, Consistency::All);
        op.on_acknowledged(host(1));
        op.on_acknowledged(host(2));
        assert_eq!(op.on_deadline()[..], [timeout(Consistency::All, 2, 3)]);
    }

    #[test]
    fn where_every_replica_refuses_the_client_hears_why() {
        let (mut op, _) = placed(1, Consistency::One);
        assert!(op.on_refused(&WriteError::Overloaded).is_empty());
        assert!(op.on_refused(&WriteError::NoSpace).is_empty());
        let told = BlindStep::Answer(Err(WriteError::NoSpace));
        assert_eq!(op.on_refused(&WriteError::NoSpace)[..], [told]);
    }

    #[test]
    fn one_silent_replica_leaves_a_doubt_whatever_the_others_say() {
        let (mut op, _) = placed(1, Consistency::One);
        op.on_lost();
        op.on_refused(&WriteError::NoSpace);
        assert_eq!(op.on_refused(&WriteError::NoSpace)[..], [timeout(Consistency::One, 0, 1)]);
    }
}
