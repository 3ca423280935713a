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
use ring::{HOSTS_INLINE, HostId, Tally};
use smallvec::SmallVec;

use super::error::ReadError;

/// What the runtime must do next for one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadStep {
    /// Ask for the row.
    Ask {
        /// This replica.
        of: HostId,
    },
    /// Tell the client; the row is the merged one.
    Answer(Result<Siblings, ReadError>),
}

/// The steps after one event.
pub type ReadSteps = SmallVec<[ReadStep; 4]>;

/// One read. Asks nobody and waits for nothing itself.
#[derive(Debug)]
pub struct ReadOp {
    /// Replicas that were not asked yet, the last one next.
    unasked: SmallVec<[HostId; HOSTS_INLINE]>,
    tally: Tally,
    at_least: Option<VersionVector>,
    merged: Siblings,
    asked: usize,
    is_answered: bool,
}

impl ReadOp {
    /// Reads at the level that `tally` counts for from `replicas`, best first.
    ///
    /// `at_least`: the answer must have seen all of it.
    pub fn ask(
        replicas: &[HostId],
        tally: Tally,
        at_least: Option<VersionVector>,
    ) -> (Self, ReadSteps) {
        let first = tally.fewest(replicas.iter().copied());
        let mut op = Self {
            unasked: replicas.iter().rev().copied().filter(|host| !first.contains(host)).collect(),
            tally,
            at_least,
            merged: Siblings::default(),
            asked: first.len(),
            is_answered: false,
        };
        let mut steps = first.into_iter().map(|of| ReadStep::Ask { of }).collect();
        op.settle(&mut steps);
        (op, steps)
    }

    /// A replica has answered.
    pub fn on_row(&mut self, from: HostId, row: Option<&Siblings>) -> ReadSteps {
        self.asked -= 1;
        self.tally.acknowledge(from);
        if let Some(row) = row {
            self.merged.merge(row);
        }
        let mut steps = ReadSteps::new();
        self.settle(&mut steps);
        steps
    }

    /// A replica refused, failed or cannot be reached.
    pub fn on_failed(&mut self) -> ReadSteps {
        self.asked -= 1;
        let mut steps = ReadSteps::new();
        self.ask_another(&mut steps);
        self.settle(&mut steps);
        steps
    }

    /// A replica that was asked takes long: another one is asked too.
    pub fn on_slow(&mut self) -> ReadSteps {
        let mut steps = ReadSteps::new();
        self.ask_another(&mut steps);
        steps
    }

    /// The deadline has come.
    pub fn on_deadline(&mut self) -> ReadSteps {
        let mut steps = ReadSteps::new();
        self.answer(Err(ReadError::timeout(&self.tally)), &mut steps);
        steps
    }

    fn ask_another(&mut self, steps: &mut ReadSteps) {
        if self.is_answered {
            return;
        }
        if let Some(of) = self.unasked.pop() {
            self.asked += 1;
            steps.push(ReadStep::Ask { of });
        }
    }

    fn settle(&mut self, steps: &mut ReadSteps) {
        if !self.tally.is_met() {
            if self.asked == 0 && self.unasked.is_empty() {
                steps.extend(self.on_deadline());
            } else if self.asked == 0 {
                self.ask_another(steps);
            }
            return;
        }
        if self.has_seen_enough() {
            let merged = std::mem::take(&mut self.merged);
            self.answer(Ok(merged), steps);
        } else if self.unasked.is_empty() && self.asked == 0 {
            let behind = ReadError::Behind {
                level: self.tally.level(),
                received: self.tally.received(),
                required: self.tally.required(),
            };
            self.answer(Err(behind), steps);
        } else {
            while !self.unasked.is_empty() {
                self.ask_another(steps);
            }
        }
    }

    fn has_seen_enough(&self) -> bool {
        self.at_least.as_ref().is_none_or(|context| self.merged.vector().includes(context))
    }

    fn answer(&mut self, outcome: Result<Siblings, ReadError>, steps: &mut ReadSteps) {
        if !std::mem::replace(&mut self.is_answered, true) {
            steps.push(ReadStep::Answer(outcome));
        }
    }
}

#[cfg(test)]
mod tests;
