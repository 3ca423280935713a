//! One write of a row of a siblings table, coordinated by the replica that stamps it.
//!
//! ```text
//! [read]  a DELETE without context reads at its level first: what it reads is its context
//! stamp   this replica mints the dot and commits the merged row        -> 1 acknowledgement
//!         (a DELETE too, unless it changes nothing)
//! [learn] where it lacks what the context names it fetches the row, then stamps again, once
//! send    the row goes to every other replica                          -> 1 each
//! answer  when the level is met, when it cannot be any more, or at the deadline
//! ```
//!
//! Law: nothing is sent before this replica's fsync; the write is stamped at most once; after the
//! answer the sends still go on, for every write goes to every replica, also one whose stamp comes
//! after the deadline. Where this replica's store
//! may mint no dot now the answer is [`WriteError::NotReady`], and nothing was written or sent:
//! another replica may carry the write out. Pure.

use repair::version::{Siblings, StampError};
use ring::{HOSTS_INLINE, HostId, Tally};
use smallvec::{SmallVec, smallvec};

use super::error::{RowError, WriteError};
use crate::replica::StampFailure;

/// What became of a write.
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

/// What the runtime must do next for one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteStep {
    /// Read the row at the statement's level and take what it has seen for the context.
    Read,
    /// Stamp the write here.
    Stamp,
    /// Fetch the row from replicas that have seen the context, and merge it here.
    Learn,
    /// Send the stamped row.
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
    tally: Tally,
    has_learnt: bool,
    /// Replicas that have neither acknowledged nor failed.
    awaited: usize,
    is_answered: bool,
}

impl WriteOp {
    /// A write at `me`, one of `replicas`, whose acknowledgements `tally` counts.
    ///
    /// `reads_first`: the statement is a DELETE without context.
    pub fn place(
        me: HostId,
        replicas: &[HostId],
        tally: Tally,
        reads_first: bool,
    ) -> (Self, WriteSteps) {
        let others: SmallVec<_> = replicas.iter().copied().filter(|host| *host != me).collect();
        let awaited = others.len();
        let op = Self { me, others, tally, has_learnt: false, awaited, is_answered: false };
        let first = if reads_first { WriteStep::Read } else { WriteStep::Stamp };
        (op, smallvec![first])
    }

    /// The read of a DELETE without context came back, or did not.
    pub fn on_read(&mut self, is_read: bool) -> WriteSteps {
        if is_read { smallvec![WriteStep::Stamp] } else { self.give_up() }
    }

    /// The row that the context names was merged here, or could not be had.
    pub fn on_learnt(&mut self, is_learnt: bool) -> WriteSteps {
        self.has_learnt = true;
        if is_learnt { smallvec![WriteStep::Stamp] } else { self.give_up() }
    }

    /// The write is stamped and fsynced here.
    pub fn on_stamped(&mut self) -> WriteSteps {
        let mut steps: WriteSteps =
            self.others.iter().map(|to| WriteStep::Send { to: *to }).collect();
        self.tally.acknowledge(self.me);
        self.settle(&mut steps);
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
        self.answer(Err(error))
    }

    /// A replica has merged and fsynced the row.
    pub fn on_acknowledged(&mut self, from: HostId) -> WriteSteps {
        self.awaited = self.awaited.saturating_sub(1);
        self.tally.acknowledge(from);
        let mut steps = WriteSteps::new();
        self.settle(&mut steps);
        steps
    }

    /// A replica refused the row, or cannot be reached.
    pub fn on_failed(&mut self) -> WriteSteps {
        self.awaited = self.awaited.saturating_sub(1);
        let mut steps = WriteSteps::new();
        self.settle(&mut steps);
        steps
    }

    /// The deadline has come.
    pub fn on_deadline(&mut self) -> WriteSteps {
        self.give_up()
    }

    /// Answers when the level is met, or when nobody is left who could meet it.
    fn settle(&mut self, steps: &mut WriteSteps) {
        if self.tally.is_met() {
            steps.extend(self.answer(Ok(())));
        } else if self.awaited == 0 {
            steps.extend(self.give_up());
        }
    }

    fn give_up(&mut self) -> WriteSteps {
        self.answer(Err(WriteError::timeout(&self.tally)))
    }

    fn answer(&mut self, outcome: Result<(), WriteError>) -> WriteSteps {
        if std::mem::replace(&mut self.is_answered, true) {
            return WriteSteps::new();
        }
        smallvec![WriteStep::Answer(outcome)]
    }
}

#[cfg(test)]
mod tests;
