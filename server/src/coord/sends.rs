//! Who is to hold a write, who has it, when its client is answered, and who keeps hints of it.
//!
//! ```text
//! live replica             sent the write                     1 acknowledgement
//! dead, with a stand-in    its stand-in is sent the write     1 acknowledgement
//!                          and keeps a hint beside the row
//! dead, nobody stands in   the keeper keeps a hint beside its row: the replica that stamped
//!                          the write, else the first live one in the order of preference
//! silent, or refused       in the end the first that acknowledged is asked to keep a hint
//! ```
//!
//! Law: the answer comes when the level is met, when nobody is left who could meet it, or at the
//! deadline, and only then, once. Of each replica that has missed the write exactly one node that
//! has it keeps a hint, unless nobody has it or a crash prevents it; then anti-entropy makes it good.
//! Callers: `write` and `blind`. Pure.

use ring::{HOSTS_INLINE, HostId, StandIn, Tally};
use smallvec::SmallVec;

use super::error::WriteError;
use super::footing::Footing;
use super::gather::Hosts;

/// Who is to hold a row, in one epoch and in one view of who is alive.
#[derive(Debug, Clone)]
pub struct Holders {
    /// Its replicas, best first.
    pub replicas: Hosts,
    /// Those of them that count as dead.
    pub dead: Hosts,
    /// Who stands in for dead ones.
    pub stand_ins: SmallVec<[StandIn; 2]>,
    /// Counts replicas and stand-ins; of nobody yet.
    pub tally: Tally,
}

/// One send of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendTo {
    /// Where it goes.
    pub to: HostId,
    /// Whether that node stands in for a dead replica.
    pub as_stand_in: bool,
    /// The dead replicas of which it keeps hints beside the row.
    pub missed: Hosts,
}

/// A hint that is to be kept of a write that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepHint {
    /// The replica that has missed the write.
    pub missed: HostId,
    /// Who has it, and keeps the hint.
    pub keeper: HostId,
}

/// What the client is told.
pub(super) type Answer = Result<Footing, WriteError>;

/// The sends of one write.
#[derive(Debug)]
pub(super) struct Sends {
    tally: Tally,
    /// The tally of nobody.
    none: Tally,
    /// In the order of preference, a stand-in in the place of its replica.
    targets: SmallVec<[Target; HOSTS_INLINE]>,
    is_answered: bool,
}

#[derive(Debug)]
struct Target {
    send: SendTo,
    /// The replica that has missed the write where this send fails.
    replica: HostId,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Acknowledged,
    Failed,
}

impl Sends {
    /// The sends of a write to `holders`; hints of dead replicas for whom nobody stands in go with
    /// the one to `keeper`, or to the first where that is none of them.
    pub(super) fn new(holders: &Holders, keeper: HostId) -> Self {
        let mut targets: SmallVec<[Target; HOSTS_INLINE]> = SmallVec::new();
        let mut unhinted = Hosts::new();
        for &replica in &holders.replicas {
            let stand_in = holders.stand_ins.iter().find(|it| it.absent == replica);
            if let Some(StandIn { host, .. }) = stand_in {
                let missed = Hosts::from_elem(replica, 1);
                let send = SendTo { to: *host, as_stand_in: true, missed };
                targets.push(Target { send, replica, fate: Fate::Open });
            } else if holders.dead.contains(&replica) {
                unhinted.push(replica);
            } else {
                let send = SendTo { to: replica, as_stand_in: false, missed: Hosts::new() };
                targets.push(Target { send, replica, fate: Fate::Open });
            }
        }
        let at = targets.iter().position(|target| target.send.to == keeper);
        let at = at.or_else(|| targets.iter().position(|target| !target.send.as_stand_in));
        if let Some(target) = targets.get_mut(at.unwrap_or(0)) {
            target.send.missed.extend(unhinted);
        }
        let none = holders.tally.clone();
        Self { tally: none.clone(), none, targets, is_answered: false }
    }

    /// All sends, in the order of preference.
    pub(super) fn all(&self) -> impl Iterator<Item = &SendTo> {
        self.targets.iter().map(|target| &target.send)
    }

    /// A node has the write on disk.
    pub(super) fn on_acknowledged(&mut self, from: HostId) -> Option<Answer> {
        self.end(from, Fate::Acknowledged);
        self.tally.acknowledge(from);
        self.settle()
    }

    /// A node refused, or cannot be reached.
    pub(super) fn on_failed(&mut self, from: HostId) -> Option<Answer> {
        self.end(from, Fate::Failed);
        self.settle()
    }

    /// No acknowledgement counts any more: who has not answered has missed the write.
    pub(super) fn give_up(&mut self) -> Option<Answer> {
        for target in self.targets.iter_mut().filter(|target| target.fate == Fate::Open) {
            target.fate = Fate::Failed;
        }
        self.answer(Err(WriteError::timeout(&self.tally)))
    }

    /// Tells the client, unless it was told something already.
    pub(super) fn answer(&mut self, answer: Answer) -> Option<Answer> {
        (!std::mem::replace(&mut self.is_answered, true)).then_some(answer)
    }

    /// Whether every node has answered.
    pub(super) fn is_over(&self) -> bool {
        self.targets.iter().all(|target| target.fate != Fate::Open)
    }

    /// The hints that are still to be kept when all is over.
    pub(super) fn hints(&self) -> SmallVec<[KeepHint; 2]> {
        let has_it = |target: &&Target| target.fate == Fate::Acknowledged;
        let true_replica = |target: &&Target| has_it(target) && !target.send.as_stand_in;
        let keeper = self.targets.iter().find(true_replica);
        let Some(keeper) = keeper.or_else(|| self.targets.iter().find(has_it)) else {
            return SmallVec::new();
        };
        let failed = self.targets.iter().filter(|target| target.fate != Fate::Acknowledged);
        let missed = failed.flat_map(|target| {
            let carried = target.send.missed.iter().filter(|host| **host != target.replica);
            [&target.replica].into_iter().chain(carried)
        });
        missed.map(|missed| KeepHint { missed: *missed, keeper: keeper.send.to }).collect()
    }

    fn end(&mut self, host: HostId, fate: Fate) {
        let open = |target: &&mut Target| target.send.to == host && target.fate == Fate::Open;
        if let Some(target) = self.targets.iter_mut().find(open) {
            target.fate = fate;
        }
    }

    /// Answers when the level is met, or when nobody is left who could meet it.
    fn settle(&mut self) -> Option<Answer> {
        if self.tally.is_met() {
            let footing = self.footing();
            self.answer(Ok(footing))
        } else if self.is_over() {
            self.give_up()
        } else {
            None
        }
    }

    fn footing(&self) -> Footing {
        let acknowledged = self.targets.iter().filter(|target| target.fate == Fate::Acknowledged);
        Footing::of(&self.none, acknowledged.map(|it| (it.send.to, it.send.as_stand_in)))
    }
}

#[cfg(test)]
pub(super) mod tests;
