//! One write of cells and tombstones, which every replica merges as they are.
//!
//! ```text
//! send    to every live replica at once, this node first if it is one, and to stand-ins
//!                                                                 -> 1 acknowledgement each
//! answer  when the level is met, when it cannot be any more, or at the deadline
//! mend    when all have answered, or at the deadline: hints of what some have missed
//! ```
//!
//! Law: any node coordinates; nothing is read and nothing is stamped, for the client's statement has
//! brought its timestamp along; whoever merges the write twice has it once. So a write that too few
//! replicas took may be sent again, and after the answer the sends still go on. Where every replica
//! refused it the client hears why, and nothing was written. Pure.

use ring::{HOSTS_INLINE, HostId};
use smallvec::SmallVec;

use super::error::WriteError;
use super::footing::Footing;
use super::sends::{Answer, Holders, KeepHint, SendTo, Sends};

/// What the runtime must do next for one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlindStep {
    /// Send the cells, also to this node.
    Send(SendTo),
    /// Tell the client.
    Answer(Result<Footing, WriteError>),
    /// Have hints kept of the write; nothing comes after this.
    Mend(SmallVec<[KeepHint; 2]>),
}

/// The steps after one event.
pub type BlindSteps = SmallVec<[BlindStep; HOSTS_INLINE]>;

/// One write of cells. Sends nothing and waits for nothing itself.
#[derive(Debug)]
pub struct BlindOp {
    sends: Sends,
    /// Whether some replica may have the write.
    may_have_applied: bool,
}

impl BlindOp {
    /// A write to `holders`; `me` is served first.
    pub fn place(me: HostId, holders: &Holders) -> (Self, BlindSteps) {
        let op = Self { sends: Sends::new(holders, me), may_have_applied: false };
        let (near, far): (Vec<_>, Vec<_>) = op.sends.all().cloned().partition(|send| send.to == me);
        let steps = near.into_iter().chain(far).map(BlindStep::Send).collect();
        (op, steps)
    }

    /// A replica has merged and fsynced the cells.
    pub fn on_acknowledged(&mut self, from: HostId) -> BlindSteps {
        self.may_have_applied = true;
        let answer = self.sends.on_acknowledged(from);
        self.told(answer)
    }

    /// A replica is silent, or cannot be reached.
    pub fn on_lost(&mut self, from: HostId) -> BlindSteps {
        self.may_have_applied = true;
        let answer = self.sends.on_failed(from);
        self.told(answer)
    }

    /// A replica refused the cells, for this reason, and has not merged them.
    pub fn on_refused(&mut self, from: HostId, why: &WriteError) -> BlindSteps {
        let answer = self.sends.on_failed(from);
        let is_nowhere = !self.may_have_applied;
        let told = answer.map(|answer| if is_nowhere { Err(why.clone()) } else { answer });
        self.told(told)
    }

    /// The deadline has come.
    pub fn on_deadline(&mut self) -> BlindSteps {
        let answer = self.sends.give_up();
        self.told(answer)
    }

    fn told(&self, answer: Option<Answer>) -> BlindSteps {
        let mut steps: BlindSteps = answer.into_iter().map(BlindStep::Answer).collect();
        if self.sends.is_over() {
            steps.push(BlindStep::Mend(self.sends.hints()));
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use types::Consistency;

    use super::*;
    use crate::coord::sends::tests::{holders, host, kept, send};

    fn placed(me: u128, level: Consistency) -> (BlindOp, BlindSteps) {
        BlindOp::place(host(me), &holders(level, &[], &[]))
    }

    fn sends(hosts: [u128; 3]) -> Vec<BlindStep> {
        hosts.map(|number| BlindStep::Send(send(number))).to_vec()
    }

    fn answered(replicas: u32) -> BlindStep {
        BlindStep::Answer(Ok(Footing { replicas, stand_ins: 0 }))
    }

    fn mended(hints: &[(u128, u128)]) -> BlindStep {
        BlindStep::Mend(hints.iter().map(|(missed, keeper)| kept(*missed, *keeper)).collect())
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
        assert_eq!(op.on_acknowledged(host(1))[..], [answered(2)]);
        assert_eq!(op.on_acknowledged(host(2))[..], [mended(&[])]);
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
        assert!(op.on_lost(host(2)).is_empty());
        let ended = [timeout(Consistency::Quorum, 1, 2), mended(&[(2, 1), (3, 1)])];
        assert_eq!(op.on_refused(host(3), &WriteError::NoSpace)[..], ended);
    }

    #[test]
    fn at_the_deadline_the_counts_are_told() {
        let (mut op, _) = placed(1, Consistency::All);
        op.on_acknowledged(host(1));
        op.on_acknowledged(host(2));
        let ended = [timeout(Consistency::All, 2, 3), mended(&[(3, 1)])];
        assert_eq!(op.on_deadline()[..], ended);
    }

    #[test]
    fn where_every_replica_refuses_the_client_hears_why() {
        let (mut op, _) = placed(1, Consistency::One);
        assert!(op.on_refused(host(1), &WriteError::Overloaded).is_empty());
        assert!(op.on_refused(host(2), &WriteError::NoSpace).is_empty());
        let told = BlindStep::Answer(Err(WriteError::NoSpace));
        assert_eq!(op.on_refused(host(3), &WriteError::NoSpace)[..], [told, mended(&[])]);
    }

    #[test]
    fn one_silent_replica_leaves_a_doubt_whatever_the_others_say() {
        let (mut op, _) = placed(1, Consistency::One);
        op.on_lost(host(1));
        op.on_refused(host(2), &WriteError::NoSpace);
        let ended = [timeout(Consistency::One, 0, 1), mended(&[])];
        assert_eq!(op.on_refused(host(3), &WriteError::NoSpace)[..], ended);
    }
}
