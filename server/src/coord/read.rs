//! One read of a row.
//!
//! ```text
//! ask     as many live replicas as the level needs; another one for each that fails or is slow
//! gather  until enough have answered
//! merge   their rows: a join, so the order does not matter
//! answer  or, where the client's context names more than was found, ask all the others first
//! ```
//!
//! Pure.

use repair::version::{Siblings, VersionVector};
use ring::{HostId, Tally};
use smallvec::SmallVec;

use super::error::ReadError;
use super::gather::Gather;
use crate::metadata::Conflict;
use crate::replica::RowCopy;

/// What the runtime must do next for one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadStep {
    /// Ask for the row.
    Ask {
        /// This replica.
        of: HostId,
    },
    /// Tell the client; the row is the merged one.
    Answer(Result<RowCopy, ReadError>),
}

/// The steps after one event.
pub type ReadSteps = SmallVec<[ReadStep; 4]>;

/// One read. Asks nobody and waits for nothing itself.
#[derive(Debug)]
pub struct ReadOp {
    gather: Gather,
    at_least: Option<VersionVector>,
    conflict: Conflict,
    merged: RowCopy,
    is_answered: bool,
}

impl ReadOp {
    /// Reads a row of a table of that conflict mode from `replicas`, best first, at the level that
    /// `tally` counts for.
    ///
    /// `at_least`: the answer must have seen all of it.
    pub fn ask(
        replicas: &[HostId],
        tally: Tally,
        conflict: Conflict,
        at_least: Option<VersionVector>,
    ) -> (Self, ReadSteps) {
        let (gather, first) = Gather::begin(replicas, tally);
        let merged = RowCopy::new(conflict);
        let mut op = Self { gather, at_least, conflict, merged, is_answered: false };
        let mut steps = asks(first);
        op.settle(&mut steps);
        (op, steps)
    }

    /// A replica has answered.
    pub fn on_row(&mut self, from: HostId, row: Option<&RowCopy>) -> ReadSteps {
        self.gather.on_answer(from);
        if let Some(row) = row {
            self.merged.merge(row);
        }
        let mut steps = ReadSteps::new();
        self.settle(&mut steps);
        steps
    }

    /// A replica refused, failed or cannot be reached.
    pub fn on_failed(&mut self, from: HostId) -> ReadSteps {
        let mut steps = asks(self.gather.on_failed(from));
        self.settle(&mut steps);
        steps
    }

    /// A replica that was asked takes long: another one is asked too.
    pub fn on_slow(&mut self) -> ReadSteps {
        asks(self.gather.on_slow())
    }

    /// The deadline has come.
    pub fn on_deadline(&mut self) -> ReadSteps {
        let mut steps = ReadSteps::new();
        self.answer(Err(self.gather.timeout()), &mut steps);
        steps
    }

    fn settle(&mut self, steps: &mut ReadSteps) {
        if self.is_answered {
            return;
        }
        if !self.gather.is_met() {
            if self.gather.is_over() {
                steps.extend(self.on_deadline());
            }
            return;
        }
        if self.has_seen_enough() {
            let merged = std::mem::replace(&mut self.merged, RowCopy::new(self.conflict));
            return self.answer(Ok(merged), steps);
        }
        steps.extend(asks(self.gather.ask_all()));
        if self.gather.is_over() {
            self.answer(Err(ReadError::behind(self.gather.tally())), steps);
        }
    }

    fn has_seen_enough(&self) -> bool {
        let seen = self.merged.as_siblings().map(Siblings::vector);
        self.at_least.as_ref().is_none_or(|context| seen.is_some_and(|seen| seen.includes(context)))
    }

    fn answer(&mut self, outcome: Result<RowCopy, ReadError>, steps: &mut ReadSteps) {
        if !std::mem::replace(&mut self.is_answered, true) {
            steps.push(ReadStep::Answer(outcome));
        }
    }
}

fn asks(hosts: impl IntoIterator<Item = HostId>) -> ReadSteps {
    hosts.into_iter().map(|of| ReadStep::Ask { of }).collect()
}

#[cfg(test)]
mod tests;
