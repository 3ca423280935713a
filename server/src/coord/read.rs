//! One read of a row.
//!
//! ```text
//! ask     as many live replicas as the level needs: one for its row, the others for digests of
//!         theirs; another one for each that fails or is slow; stand-ins where replicas are dead
//! gather  until enough have answered; whose digest is another one is asked for its row
//! merge   their rows: a join, so the order does not matter
//! repair  whose row is behind gets the merged one: at QUORUM and above before the answer, until a
//!         write quorum has it, so that no later quorum misses it; at ONE behind the answer's back
//! answer  or, where the client's context names more than was found, ask all others first
//! ```
//!
//! Law: a stand-in's "no such row" never counts, and nobody repairs a stand-in. Pure.

use repair::version::{Siblings, VersionVector};
use ring::{HOSTS_INLINE, HostId, Tally};
use smallvec::SmallVec;
use types::Consistency;

use super::error::ReadError;
use super::footing::Footing;
use super::gather::Hosts;
use crate::metadata::Conflict;
use crate::replica::{RowCopy, RowDigest};

/// What the runtime must do next for one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadStep {
    /// Ask for the row.
    AskRow {
        /// This node.
        of: HostId,
        /// Whether it is asked for what it holds for another one.
        as_stand_in: bool,
    },
    /// Ask for a digest of the row.
    AskDigest {
        /// This replica.
        of: HostId,
    },
    /// Bring a replica up to date; the client waits for it.
    Repair {
        /// This replica.
        to: HostId,
        /// What all who answered know together.
        row: RowCopy,
    },
    /// Bring a replica up to date; nobody waits for it.
    RepairLater {
        /// This replica.
        to: HostId,
        /// What all who answered know together.
        row: RowCopy,
    },
    /// Tell the client.
    Answer(Result<FoundRow, ReadError>),
}

/// The steps after one event.
pub type ReadSteps = SmallVec<[ReadStep; 4]>;

/// The merged row that a read has found, and on whom it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRow {
    /// What all who answered know together.
    pub row: RowCopy,
    /// Who has answered.
    pub footing: Footing,
}

/// Whom a read may ask, and what it wants.
#[derive(Debug, Clone)]
pub struct Asking {
    /// The live replicas, best first.
    pub replicas: Hosts,
    /// Who stands in for dead ones.
    pub stand_ins: Hosts,
    /// Live nodes that may have stood in before.
    pub others: Hosts,
    /// Counts replicas and stand-ins at the level of the read.
    pub tally: Tally,
    /// The tally of a write quorum, at level ALL; else it is that of the read.
    pub write_quorum: Option<Tally>,
    /// The conflict mode of the table.
    pub conflict: Conflict,
    /// The answer must have seen all of it.
    pub at_least: Option<VersionVector>,
}

/// One read. Asks nobody and waits for nothing itself.
#[derive(Debug)]
pub struct ReadOp {
    /// What is wanted; of replicas and stand-ins those that were not asked yet.
    asking: Asking,
    /// Who was asked and has neither answered nor failed.
    asked: Hosts,
    /// Who was asked as a stand-in, or might have stood in.
    stand_ins: Hosts,
    answers: SmallVec<[(HostId, Found); HOSTS_INLINE]>,
    stage: Stage,
}

/// What one node has told of the row.
#[derive(Debug)]
enum Found {
    Row(RowCopy),
    Digest(RowDigest),
}

#[derive(Debug)]
enum Stage {
    Gathering,
    Repairing(Box<Repairing>),
    Answered,
}

/// A read whose answer waits until enough replicas have the merged row.
#[derive(Debug)]
struct Repairing {
    found: FoundRow,
    /// Who has the merged row.
    tally: Tally,
    /// Who was sent it and has not acknowledged it yet.
    open: Hosts,
    has_failed: bool,
}

impl ReadOp {
    /// Begins a read.
    pub fn ask(mut asking: Asking) -> (Self, ReadSteps) {
        let all = asking.replicas.iter().chain(&asking.stand_ins).copied();
        let first = asking.tally.fewest(all);
        let stand_ins = asking.stand_ins.clone();
        asking.replicas.extend_from_slice(&stand_ins);
        asking.replicas.retain(|host| !first.contains(host));
        let mut op = Self {
            asking,
            asked: Hosts::new(),
            stand_ins,
            answers: SmallVec::new(),
            stage: Stage::Gathering,
        };
        let mut steps = ReadSteps::new();
        for (place, host) in first.into_iter().enumerate() {
            if place == 0 || op.stands_in(host) {
                steps.push(op.ask_row(host));
            } else {
                op.asked.push(host);
                steps.push(ReadStep::AskDigest { of: host });
            }
        }
        op.settle(&mut steps);
        (op, steps)
    }

    /// A node has answered with its row, or that it has none.
    pub fn on_row(&mut self, from: HostId, row: Option<RowCopy>) -> ReadSteps {
        if row.is_none() && self.stands_in(from) {
            return self.on_failed(from);
        }
        let conflict = self.asking.conflict;
        self.on_found(from, Found::Row(row.unwrap_or_else(|| RowCopy::new(conflict))))
    }

    /// A replica has answered with a digest of its row.
    pub fn on_digest(&mut self, from: HostId, digest: RowDigest) -> ReadSteps {
        self.on_found(from, Found::Digest(digest))
    }

    /// A node refused, failed or cannot be reached.
    pub fn on_failed(&mut self, from: HostId) -> ReadSteps {
        self.asked.retain(|host| *host != from);
        let mut steps = ReadSteps::new();
        if matches!(self.stage, Stage::Gathering) {
            let mut hoped_for = self.answered();
            for host in &self.asked {
                hoped_for.acknowledge(*host);
            }
            steps.extend(self.ask_one(hoped_for));
            self.settle(&mut steps);
        }
        steps
    }

    /// A node that was asked takes long: another one is asked too.
    pub fn on_slow(&mut self) -> ReadSteps {
        match self.stage {
            Stage::Gathering => self.ask_one(self.answered()).into_iter().collect(),
            _ => ReadSteps::new(),
        }
    }

    /// A replica has the merged row on disk, or will not have it in time.
    pub fn on_repaired(&mut self, to: HostId, is_repaired: bool) -> ReadSteps {
        let mut steps = ReadSteps::new();
        if let Stage::Repairing(repairing) = &mut self.stage {
            repairing.open.retain(|host| *host != to);
            if is_repaired {
                repairing.tally.acknowledge(to);
            } else {
                repairing.has_failed = true;
            }
            self.settle(&mut steps);
        }
        steps
    }

    /// The deadline has come. Where enough have answered, and too few have the merged row or none
    /// has seen enough, the client hears how many of those there are.
    pub fn on_deadline(&mut self) -> ReadSteps {
        let mut steps = ReadSteps::new();
        let answered = self.answered();
        let error = match &self.stage {
            Stage::Repairing(repairing) => ReadError::unrepaired(&answered, &repairing.tally),
            _ if answered.is_met() => ReadError::behind(&answered),
            _ => ReadError::timeout(&answered),
        };
        self.answer(Err(error), &mut steps);
        steps
    }

    fn on_found(&mut self, from: HostId, found: Found) -> ReadSteps {
        self.asked.retain(|host| *host != from);
        self.answers.retain(|(host, _)| *host != from);
        self.answers.push((from, found));
        let mut steps = ReadSteps::new();
        self.settle(&mut steps);
        steps
    }

    fn settle(&mut self, steps: &mut ReadSteps) {
        match &mut self.stage {
            Stage::Gathering => self.settle_gathering(steps),
            Stage::Repairing(repairing) => {
                let Repairing { found, tally, open, has_failed } = repairing.as_ref();
                // A stand-in whose copy is behind cannot be repaired and so never counts.
                let all_done = open.is_empty() && !*has_failed && found.footing.stand_ins > 0;
                if tally.is_met() || all_done {
                    let found = found.clone();
                    self.answer(Ok(found), steps);
                } else if open.is_empty() {
                    steps.extend(self.on_deadline());
                }
            }
            Stage::Answered => {}
        }
    }

    fn settle_gathering(&mut self, steps: &mut ReadSteps) {
        let answered = self.answered();
        if !answered.is_met() {
            if self.asked.is_empty() {
                steps.extend(self.on_deadline());
            }
            return;
        }
        let merged = self.merged();
        let different = self.with_another_digest(&merged);
        if !different.is_empty() {
            self.answers.retain(|(host, _)| !different.contains(host));
            steps.extend(different.into_iter().map(|host| self.ask_row(host)));
            return;
        }
        if !self.has_seen_enough(&merged) {
            let mut unasked = std::mem::take(&mut self.asking.replicas);
            self.stand_ins.extend_from_slice(&self.asking.others);
            unasked.append(&mut self.asking.others);
            steps.extend(unasked.into_iter().map(|host| self.ask_row(host)));
            if self.asked.is_empty() {
                self.answer(Err(ReadError::behind(&answered)), steps);
            }
            return;
        }
        self.repair(&merged, steps);
    }

    /// Brings those up to date that are behind, and answers now or when enough are.
    fn repair(&mut self, row: &RowCopy, steps: &mut ReadSteps) {
        let is_behind = |found: &Found| matches!(found, Found::Row(other) if other != row);
        let mut stale = Hosts::new();
        let mut tally = self.asking.write_quorum.take().unwrap_or(self.asking.tally.clone());
        for (host, found) in &self.answers {
            if !is_behind(found) {
                tally.acknowledge(*host);
            } else if !self.stands_in(*host) {
                stale.push(*host);
            }
        }
        let footing = self.footing();
        let found = FoundRow { row: row.clone(), footing };
        let waits = repairs_first(self.asking.tally.level()) && !tally.is_met();
        if stale.is_empty() || !waits {
            self.answer(Ok(found), steps);
            let later = |to| ReadStep::RepairLater { to, row: row.clone() };
            steps.extend(stale.into_iter().map(later));
            return;
        }
        steps.extend(stale.iter().map(|to| ReadStep::Repair { to: *to, row: row.clone() }));
        let repairing = Repairing { found, tally, open: stale, has_failed: false };
        self.stage = Stage::Repairing(Box::new(repairing));
    }

    /// What all rows that came say together.
    fn merged(&self) -> RowCopy {
        let mut merged = RowCopy::new(self.asking.conflict);
        for (_, found) in &self.answers {
            if let Found::Row(row) = found {
                merged.merge(row);
            }
        }
        merged
    }

    fn with_another_digest(&self, merged: &RowCopy) -> Hosts {
        let is_digest = |(_, found): &(HostId, Found)| matches!(found, Found::Digest(_));
        if !self.answers.iter().any(is_digest) {
            return Hosts::new();
        }
        let expected = merged.digest();
        let differs = |found: &Found| matches!(found, Found::Digest(digest) if *digest != expected);
        self.answers.iter().filter(|(_, found)| differs(found)).map(|(host, _)| *host).collect()
    }

    fn has_seen_enough(&self, merged: &RowCopy) -> bool {
        let seen = merged.as_siblings().map(Siblings::vector);
        let context = self.asking.at_least.as_ref();
        context.is_none_or(|context| seen.is_some_and(|seen| seen.includes(context)))
    }

    /// Counts who has answered.
    fn answered(&self) -> Tally {
        let mut tally = self.asking.tally.clone();
        for (host, _) in &self.answers {
            tally.acknowledge(*host);
        }
        tally
    }

    fn footing(&self) -> Footing {
        let answered = self.answers.iter().map(|(host, _)| (*host, self.stands_in(*host)));
        Footing::of(&self.asking.tally, answered)
    }

    fn stands_in(&self, host: HostId) -> bool {
        self.stand_ins.contains(&host)
    }

    /// Asks the best one whose answer would bring a tally of `hoped_for` nearer to its level.
    fn ask_one(&mut self, mut hoped_for: Tally) -> Option<ReadStep> {
        let mut unasked = self.asking.replicas.iter();
        let at = unasked.position(|host| hoped_for.acknowledge(*host))?;
        let host = self.asking.replicas.remove(at);
        Some(self.ask_row(host))
    }

    fn ask_row(&mut self, of: HostId) -> ReadStep {
        self.asked.push(of);
        ReadStep::AskRow { of, as_stand_in: self.stands_in(of) }
    }

    fn answer(&mut self, outcome: Result<FoundRow, ReadError>, steps: &mut ReadSteps) {
        if !matches!(std::mem::replace(&mut self.stage, Stage::Answered), Stage::Answered) {
            steps.push(ReadStep::Answer(outcome));
        }
    }
}

/// Whether reads at this level promise that a later one sees no less.
pub(super) fn repairs_first(level: Consistency) -> bool {
    !matches!(level, Consistency::Any | Consistency::One | Consistency::LocalOne)
}

#[cfg(test)]
mod tests;
