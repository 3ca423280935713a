//! One write of rows of one partition, coordinated by the node that stamps them: a replica or, where
//! all are dead and others may stand in, the first stand-in.
//!
//! ```text
//! [read]  a DELETE without context reads at its level first: what it reads is its context
//! stamp   this node mints the dots and commits the merged rows, all
//!         of them or none                                              -> 1 acknowledgement
//!         (a DELETE too, unless it changes nothing)
//! [learn] where it lacks what the contexts name it fetches the rows, then stamps again, once
//! send    the rows go to every other live replica, and to stand-ins   -> 1 each
//! answer  when the level is met, when it cannot be any more, or at the deadline
//! mend    when all have answered, or at the deadline: hints of what some have missed
//! ```
//!
//! Cells of last-write-wins tables that belong to the same write ride along. A write of nothing
//! else needs no stamp: that is `blind`. Law: nothing is sent before this node's fsync; the write is
//! stamped at most once; after the answer the sends still go on, for every write goes to every
//! replica, also one whose stamp comes after the deadline. Where this node's store may mint no dot now
//! the answer is [`WriteError::NotReady`], and nothing was written or sent: another replica may carry
//! the write out. Pure.

use repair::version::{Siblings, StampError, Stamped};
use ring::HostId;
use smallvec::{SmallVec, smallvec};

use super::error::{RowError, WriteError};
use super::footing::Footing;
use super::gather::Hosts;
use super::sends::{Answer, Holders, KeepHint, SendTo, Sends};
use crate::replica::StampFailure;

/// What became of a change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The row after the write.
    pub row: Siblings,
    /// How many versions the write replaced or removed.
    pub replaced: usize,
    /// Whether a sibling reads just as the new version does.
    pub has_equal_sibling: bool,
    /// Whether so many versions are left that the client is warned.
    pub is_crowded: bool,
}

/// What became of a write, and on whom the answer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// What became of each versioned change, in order.
    pub written: Vec<Written>,
    /// Who has the write.
    pub footing: Footing,
}

impl From<Stamped> for Written {
    fn from(stamped: Stamped) -> Self {
        let Stamped { row, replaced, has_equal_sibling, is_crowded, .. } = stamped;
        Self { row, replaced, has_equal_sibling, is_crowded }
    }
}

/// What the runtime must do next for one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteStep {
    /// Read the rows of DELETEs without context at the statement's level, each, and take what a row
    /// has seen for the context.
    Read,
    /// Stamp the write here.
    Stamp {
        /// The replicas that have missed it already, of which hints are kept beside the rows.
        missed: Hosts,
    },
    /// Fetch the rows from replicas that have seen the contexts, and merge them here.
    Learn,
    /// Send the stamped rows.
    Send(SendTo),
    /// Tell the client.
    Answer(Result<Footing, WriteError>),
    /// Have hints kept of the write; nothing comes after this.
    Mend(SmallVec<[KeepHint; 2]>),
}

/// The steps after one event.
pub type WriteSteps = SmallVec<[WriteStep; 4]>;

/// One write. Sends nothing and waits for nothing itself.
#[derive(Debug)]
pub struct WriteOp {
    me: HostId,
    sends: Sends,
    has_learnt: bool,
    is_stamped: bool,
}

impl WriteOp {
    /// A write at `me`, one of the `holders`.
    ///
    /// `reads_first`: one of its statements is a DELETE without context.
    pub fn place(me: HostId, holders: &Holders, reads_first: bool) -> (Self, WriteSteps) {
        let sends = Sends::new(holders, me);
        let op = Self { me, sends, has_learnt: false, is_stamped: false };
        let first = if reads_first { WriteStep::Read } else { op.stamp() };
        (op, smallvec![first])
    }

    /// The reads of DELETEs without context came back, or one did not.
    pub fn on_read(&mut self, are_read: bool) -> WriteSteps {
        if are_read { smallvec![self.stamp()] } else { self.give_up() }
    }

    /// The rows that the contexts name were merged here, or one could not be had.
    pub fn on_learnt(&mut self, are_learnt: bool) -> WriteSteps {
        self.has_learnt = true;
        if are_learnt { smallvec![self.stamp()] } else { self.give_up() }
    }

    /// The write is stamped and fsynced here.
    pub fn on_stamped(&mut self) -> WriteSteps {
        self.is_stamped = true;
        let others = self.sends.all().filter(|send| send.to != self.me);
        let mut steps: WriteSteps = others.cloned().map(WriteStep::Send).collect();
        let answer = self.sends.on_acknowledged(self.me);
        steps.extend(self.told(answer));
        steps
    }

    /// The write was not stamped.
    pub fn on_stamp_failed(&mut self, failure: &StampFailure) -> WriteSteps {
        let error = match failure {
            StampFailure::Row(StampError::MissingHistory) if !self.has_learnt => {
                return smallvec![WriteStep::Learn];
            }
            StampFailure::Row(error) => match RowError::of(error) {
                Some(refused) => WriteError::Invalid(refused),
                None => return self.give_up(),
            },
            StampFailure::Epoch(_) => WriteError::NotReady,
            StampFailure::Overloaded => WriteError::Overloaded,
            StampFailure::NoSpace => WriteError::NoSpace,
            StampFailure::Damaged => WriteError::Damaged,
            StampFailure::Store => WriteError::Store,
        };
        let answer = self.sends.answer(Err(error));
        self.told(answer)
    }

    /// A node has merged and fsynced the rows.
    pub fn on_acknowledged(&mut self, from: HostId) -> WriteSteps {
        let answer = self.sends.on_acknowledged(from);
        self.told(answer)
    }

    /// A node refused the rows, or cannot be reached.
    pub fn on_failed(&mut self, from: HostId) -> WriteSteps {
        let answer = self.sends.on_failed(from);
        self.told(answer)
    }

    /// The deadline has come.
    pub fn on_deadline(&mut self) -> WriteSteps {
        self.give_up()
    }

    fn stamp(&self) -> WriteStep {
        let here = self.sends.all().find(|send| send.to == self.me);
        WriteStep::Stamp { missed: here.map(|send| send.missed.clone()).unwrap_or_default() }
    }

    fn give_up(&mut self) -> WriteSteps {
        let answer = self.sends.give_up();
        self.told(answer)
    }

    fn told(&self, answer: Option<Answer>) -> WriteSteps {
        let mut steps: WriteSteps = answer.into_iter().map(WriteStep::Answer).collect();
        if self.is_stamped && self.sends.is_over() {
            steps.push(WriteStep::Mend(self.sends.hints()));
        }
        steps
    }
}

#[cfg(test)]
mod tests;
