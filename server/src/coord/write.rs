//! One write of rows of one partition, coordinated by the replica that stamps them.
//!
//! ```text
//! [read]  a DELETE without context reads at its level first: what it reads is its context
//! stamp   this replica mints the dots and commits the merged rows, all
//!         of them or none                                              -> 1 acknowledgement
//!         (a DELETE too, unless it changes nothing)
//! [learn] where it lacks what the contexts name it fetches the rows, then stamps again, once
//! send    the rows go to every other replica                           -> 1 each
//! answer  when the level is met, when it cannot be any more, or at the deadline
//! ```
//!
//! Cells of last-write-wins tables that belong to the same write ride along. A write of nothing
//! else needs no stamp: that is `blind`. Law: nothing is sent before this replica's fsync; the write is stamped at most once; after the
//! answer the sends still go on, for every write goes to every replica, also one whose stamp comes
//! after the deadline. Where this replica's store
//! may mint no dot now the answer is [`WriteError::NotReady`], and nothing was written or sent:
//! another replica may carry the write out. Pure.

use repair::version::{Siblings, StampError, Stamped};
use ring::{HOSTS_INLINE, HostId, Tally};
use smallvec::{SmallVec, smallvec};

use super::acks::{Acks, Answer};
use super::error::{RowError, WriteError};
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
    Stamp,
    /// Fetch the rows from replicas that have seen the contexts, and merge them here.
    Learn,
    /// Send the stamped rows.
    Send {
        /// To this replica.
        to: HostId,
    },
    /// Tell the client.
    Answer(Result<(), WriteError>),
}

/// The steps after one event.
pub type WriteSteps = SmallVec<[WriteStep; 4]>;

/// One write. Sends nothing and waits for nothing itself.
#[derive(Debug)]
pub struct WriteOp {
    me: HostId,
    others: SmallVec<[HostId; HOSTS_INLINE]>,
    acks: Acks,
    has_learnt: bool,
}

impl WriteOp {
    /// A write at `me`, one of `replicas`, whose acknowledgements `tally` counts.
    ///
    /// `reads_first`: one of its statements is a DELETE without context.
    pub fn place(
        me: HostId,
        replicas: &[HostId],
        tally: Tally,
        reads_first: bool,
    ) -> (Self, WriteSteps) {
        let others: SmallVec<_> = replicas.iter().copied().filter(|host| *host != me).collect();
        let acks = Acks::new(tally, others.len() + 1);
        let first = if reads_first { WriteStep::Read } else { WriteStep::Stamp };
        (Self { me, others, acks, has_learnt: false }, smallvec![first])
    }

    /// The reads of DELETEs without context came back, or one did not.
    pub fn on_read(&mut self, are_read: bool) -> WriteSteps {
        if are_read { smallvec![WriteStep::Stamp] } else { self.give_up() }
    }

    /// The rows that the contexts name were merged here, or one could not be had.
    pub fn on_learnt(&mut self, are_learnt: bool) -> WriteSteps {
        self.has_learnt = true;
        if are_learnt { smallvec![WriteStep::Stamp] } else { self.give_up() }
    }

    /// The write is stamped and fsynced here.
    pub fn on_stamped(&mut self) -> WriteSteps {
        let mut steps: WriteSteps =
            self.others.iter().map(|to| WriteStep::Send { to: *to }).collect();
        steps.extend(answered(self.acks.on_acknowledged(self.me)));
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
        answered(self.acks.answer(Err(error)))
    }

    /// A replica has merged and fsynced the rows.
    pub fn on_acknowledged(&mut self, from: HostId) -> WriteSteps {
        answered(self.acks.on_acknowledged(from))
    }

    /// A replica refused the rows, or cannot be reached.
    pub fn on_failed(&mut self) -> WriteSteps {
        answered(self.acks.on_failed())
    }

    /// The deadline has come.
    pub fn on_deadline(&mut self) -> WriteSteps {
        self.give_up()
    }

    fn give_up(&mut self) -> WriteSteps {
        answered(self.acks.give_up())
    }
}

fn answered(answer: Option<Answer>) -> WriteSteps {
    answer.into_iter().map(WriteStep::Answer).collect()
}

#[cfg(test)]
mod tests;
