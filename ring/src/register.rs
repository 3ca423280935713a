//! One value that the whole cluster agrees on, changed by anybody, without a leader.
//!
//! The register holds the cluster's metadata. A [`Proposer`] turns the current value into the next
//! one, `value -> f(value)` under the next epoch; [`Acceptor`]s hold what was promised and accepted.
//! The law: there is **one chosen value per version**, and each is derived from all that were
//! chosen before it. Three things are added to the protocol of the paper:
//!
//! * *Who votes stands in the value* ([`Acceptors`]): names of stores, never addresses. A store that
//!   lost its disk has a new name, which no value holds, and so has no vote until it is put in.
//! * *Formation*: the first value is made only when every configured seed has answered that it
//!   holds none. *Replacement* of one acceptor is chosen by majorities of old and new. *Reform*
//!   after the loss of a majority starts a new [`Generation`], which beats the older one.
//! * *Changes have names* ([`ChangeId`]), which the value remembers: a change that another proposer
//!   completed is not applied twice.
//!
//! ```text
//! Proposer                                 every acceptor that the value names
//!   Prepare(ballot)      ------------->    promises, says what it has accepted
//!   f(newest accepted)   Step::Change
//!   Accept(ballot, next) ------------->    accepts, unless it promised a higher ballot
//!   chosen when a majority accepted        Step::Chosen
//! ```
//!
//! What the runtime owes them: an answer other than a refusal leaves after the fsync of
//! [`Acceptor::state`]; requests go to the store they name, and answers to the proposer whose
//! [ballot](Proposer::ballot) they carry; every proposal gets a seed of its own; only what
//! [`Step::Chosen`] and [`Step::Learned`] bring is cached, fsynced and spread, and what reaches the
//! cache goes on to [`Acceptor::learn`] and [`Proposer::learn`]. It owes them no order, no
//! delivery, and no exact time.
//!
//! Source: Rystsov, *CASPaxos: Replicated State Machines without logs*, arXiv:1802.07000, §2.2 for
//! the protocol, §2.3 for joint majorities, appendices A and B for the proof.
//! Callers: the server's loop of the register. Pure: no I/O, no clock, no randomness.

use std::fmt;

use serde::{Deserialize, Serialize};

mod acceptor;
mod acceptors;
mod ballot;
mod changes;
mod electorate;
mod flaw;
mod goal;
mod message;
mod phase;
mod proposer;
mod step;
#[cfg(test)]
mod tests;

pub use acceptor::{Acceptor, AcceptorState, Reply};
pub use acceptors::{Acceptors, AcceptorsError, ReplaceError, Stores, StoresError};
pub use ballot::{Ballot, Generation, Version};
pub use changes::{CHANGES_MAX, Changes};
pub use message::{
    Accept, Answer, Call, Prepare, Refusal, Request, SEED_BYTES_MAX, SeedList, SeedListError,
    Verdict, Vote,
};
pub use proposer::Proposer;
pub use step::{BadChange, Pace, ProposeError, Step, Terms};

/// A change's name for ever: 128 random bits, drawn once, kept through every retry of that change.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ChangeId(pub u128);

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What the register needs to know of the value it holds. Cloning must be cheap: share the parts.
pub trait RegisterValue: Clone {
    /// Why a change was refused by the current value: an answer to whoever asked for the change.
    type Reject: Clone;

    /// Who votes on what comes after this value.
    fn acceptors(&self) -> &Acceptors;

    /// How many changes made this value; the first value has 1.
    fn epoch(&self) -> u64;

    /// Whether this value already contains the change of that name.
    fn remembers(&self, change: ChangeId) -> bool;

    /// Which of two chosen values is the newer one.
    fn version(&self) -> Version {
        Version { generation: self.acceptors().since().generation, epoch: self.epoch() }
    }
}
