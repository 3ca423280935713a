//! What a proposer asks of its runtime, and how it ends.

use std::time::Duration;

use super::{Acceptors, ChangeId, Generation, RegisterValue, Request, SeedList, Stores};
use crate::StoreId;

/// What the runtime must do next. The last step of a proposal is [`Step::Chosen`],
/// [`Step::Rejected`] or [`Step::Failed`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step<V: RegisterValue> {
    /// Send `request` to the store `to`, which may be the proposer's own. It may be lost.
    Send {
        /// The store that is asked.
        to: StoreId,
        /// What it is asked.
        request: Request<V>,
    },
    /// Apply the change to `current` and hand the result to
    /// [`Proposer::on_changed`](super::Proposer::on_changed). It may be asked more than once, of
    /// different values; only the last result counts.
    ///
    /// The next value has the epoch after `current`'s (1 where there is none), remembers the
    /// change, and keeps `current`'s acceptors or has one of them
    /// [replaced](Acceptors::replaced).
    Change {
        /// The value to change; `None` when a cluster is formed.
        current: Option<V>,
        /// The acceptors that the next value must have, when a cluster is formed or reformed.
        acceptors: Option<Acceptors>,
    },
    /// Call [`Proposer::on_wake`](super::Proposer::on_wake) with `ticket` after this time. Only
    /// the newest one counts: the runtime may forget the others.
    Wake {
        /// How long to wait.
        after: Duration,
        /// Which wait it is.
        ticket: u32,
    },
    /// On the way a chosen value was met that may be newer than the cached one: cache, fsync and
    /// spread it. The proposal goes on.
    Learned {
        /// The value.
        value: V,
    },
    /// The end: this value is chosen and contains the change. Cache, fsync and spread it, then
    /// answer.
    Chosen {
        /// The value.
        value: V,
    },
    /// The end: the change was refused, by a value that is chosen.
    Rejected {
        /// Why.
        reject: V::Reject,
    },
    /// The end: nothing was agreed that this proposer knows of.
    Failed {
        /// Why.
        error: ProposeError,
    },
}

/// Why a proposal ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// Too few acceptors answered, or other proposers were always faster.
    ///
    /// In formation the silent ones are seeds that did not come up, or stores of a value that was
    /// accepted and whose other acceptors are lost; if those are lost for ever, as in
    /// [`Self::SeedsLost`].
    #[error("the register's acceptors did not agree in {attempts} attempts (silent: {silent:?})")]
    NoAgreement {
        /// How many ballots were tried.
        attempts: u32,
        /// The acceptors that did not answer the last of them.
        silent: Vec<StoreId>,
        /// Whether an acceptor may hold the change, so that it may yet be chosen.
        may_have_applied: bool,
    },
    /// The caller gave up.
    #[error("the change was given up after {attempts} attempts")]
    GivenUp {
        /// How many ballots were tried.
        attempts: u32,
        /// Whether an acceptor may hold the change, so that it may yet be chosen.
        may_have_applied: bool,
    },
    /// The change function broke its contract; nothing was sent.
    #[error("the change makes no valid next value: {flaw}")]
    BadChange {
        /// How.
        flaw: BadChange,
    },
    /// A seed is configured with other seeds: there must be one list.
    #[error("the seed with store {store} is configured with other seeds: {seeds:?}")]
    SeedsDiffer {
        /// The store of that seed.
        store: StoreId,
        /// Its list.
        seeds: SeedList,
    },
    /// A seed promised before to form a cluster of stores most of which have been lost since. They
    /// may have formed it, so only the operator can say what is lost: a node that has a value
    /// cached can be [reformed](super::Proposer::reform) from; if there is none, nothing was ever
    /// served, and the directories of all seeds may be emptied.
    #[error("store {store} promised to form a cluster of {stores:?}, most of which are gone")]
    SeedsLost {
        /// The store that remembers.
        store: StoreId,
        /// The stores it promised.
        stores: Stores,
    },
    /// Another reform was faster: adopt its value, or start again from it.
    #[error("another reform has begun generation {generation}")]
    AlreadyReformed {
        /// Its generation.
        generation: Generation,
    },
    /// A majority of acceptors hold less than a chosen value: disks went back unnoticed. Only a
    /// forced reform from the cached value mends it.
    #[error("the register's acceptors have lost a chosen value")]
    StateLost,
}

impl ProposeError {
    /// Whether the change may be chosen yet. If so, ask again under the same name.
    pub fn may_have_applied(&self) -> bool {
        match self {
            Self::NoAgreement { may_have_applied, .. } | Self::GivenUp { may_have_applied, .. } => {
                *may_have_applied
            }
            _ => false,
        }
    }
}

/// How a change function broke its contract.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BadChange {
    /// The epoch is not the next one.
    #[error("epoch {found} in the place of {expected}")]
    Epoch {
        /// The next epoch.
        expected: u64,
        /// The one found.
        found: u64,
    },
    /// The value does not remember the change that made it.
    #[error("change {change} is not remembered")]
    Forgotten {
        /// The change.
        change: ChangeId,
    },
    /// The acceptors are neither those before, nor the given ones, nor a replacement of one.
    #[error("no change makes these acceptors: {found:?}")]
    Acceptors {
        /// Those found.
        found: Acceptors,
    },
    /// There was no value to refuse the change, and none was made.
    #[error("the first value was refused")]
    Refused,
}

/// Who proposes, and how patiently.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Terms {
    /// The proposing node's store.
    pub proposer: StoreId,
    /// Random, drawn anew for each proposal: it makes ballots unique and waits uneven.
    pub seed: u64,
    /// The highest counter that this node has met, from [`Proposer::counter`] of its last proposal;
    /// 0 costs one more round and nothing else.
    ///
    /// [`Proposer::counter`]: super::Proposer::counter
    pub counter: u64,
    /// How long to wait and how often to try.
    pub pace: Pace,
}

/// How long a proposal waits and how often it tries.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pace {
    /// How long acceptors have to answer one round.
    pub round: Duration,
    /// The longest rest after the first lost ballot; each further one may last twice as long.
    pub rest_min: Duration,
    /// The longest rest of all.
    pub rest_max: Duration,
    /// How many ballots are tried.
    pub attempts_max: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            round: Duration::from_millis(500),
            rest_min: Duration::from_millis(10),
            rest_max: Duration::from_secs(1),
            attempts_max: 16,
        }
    }
}
