//! Where a proposal stands within one ballot. Callers: [`Proposer`](super::Proposer).

use std::collections::BTreeSet;

use super::Vote;
use crate::StoreId;

/// The part of a ballot that runs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Phase<V> {
    /// Promises are awaited; the newest value that was reported with one.
    Preparing { round: Round, found: Option<Vote<V>> },
    /// The runtime applies the change to what was found.
    Changing { base: Option<V> },
    /// Acceptances are awaited.
    Accepting { round: Round, value: V, end: End },
    /// The ballot is lost; who had not answered by then.
    Resting { silent: Vec<StoreId> },
    /// The last step was returned.
    Over,
}

/// Who was asked, and who said what.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Round {
    pub(super) asked: BTreeSet<StoreId>,
    pub(super) yes: BTreeSet<StoreId>,
    pub(super) no: BTreeSet<StoreId>,
}

/// What a value is being chosen for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum End {
    /// It contains the change.
    Done,
    /// It refused the change.
    Rejected,
    /// Its acceptors must be known to be chosen before one is replaced.
    Settled,
}

impl<V> Phase<V> {
    /// The round that runs.
    pub(super) fn round(&self) -> Option<&Round> {
        match self {
            Self::Preparing { round, .. } | Self::Accepting { round, .. } => Some(round),
            Self::Changing { .. } | Self::Resting { .. } | Self::Over => None,
        }
    }

    /// The number of the present wait: an attempt has at most three.
    pub(super) fn ticket(&self, attempt: u32) -> u32 {
        let wait = match self {
            Self::Preparing { .. } | Self::Changing { .. } => 0,
            Self::Accepting { .. } => 1,
            Self::Resting { .. } | Self::Over => 2,
        };
        attempt.wrapping_mul(3).wrapping_add(wait)
    }

    /// Those who have not answered in the present round, or in the last one.
    pub(super) fn silent(&self) -> Vec<StoreId> {
        match self {
            Self::Preparing { round, .. } | Self::Accepting { round, .. } => round.silent(),
            Self::Resting { silent } => silent.clone(),
            Self::Changing { .. } | Self::Over => Vec::new(),
        }
    }
}

impl Round {
    fn silent(&self) -> Vec<StoreId> {
        let heard = |store: &StoreId| self.yes.contains(store) || self.no.contains(store);
        self.asked.iter().filter(|store| !heard(store)).copied().collect()
    }
}
