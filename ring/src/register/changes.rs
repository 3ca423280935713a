//! The names of the last changes, for the value to keep.
//!
//! A proposer whose outcome is unknown asks again under the same name; the value that still holds
//! that name answers with the epoch in which the change was made. Bound: [`CHANGES_MAX`] names,
//! the oldest go first; a repeat later than that many changes is a new change.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::ChangeId;

/// How many changes a value remembers.
pub const CHANGES_MAX: usize = 1_000;

/// The last changes of a value and the epoch that each of them made.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(VecDeque<(ChangeId, u64)>);

impl Changes {
    /// Remembers that `change` made `epoch`, and forgets the oldest if there are too many.
    pub fn remember(&mut self, change: ChangeId, epoch: u64) {
        self.0.push_back((change, epoch));
        let surplus = self.0.len().saturating_sub(CHANGES_MAX);
        self.0.drain(..surplus);
    }

    /// The epoch that `change` made, if it is remembered.
    ///
    /// Cost: a walk over the names, newest first.
    pub fn epoch_of(&self, change: ChangeId) -> Option<u64> {
        self.0.iter().rev().find(|(name, _)| *name == change).map(|(_, epoch)| *epoch)
    }

    /// How many changes are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thousand_changes_are_remembered() {
        let mut changes = Changes::default();
        assert!(changes.is_empty());
        for epoch in 1..=1_001 {
            changes.remember(ChangeId(u128::from(epoch)), epoch);
        }
        assert_eq!(changes.len(), CHANGES_MAX);
        assert_eq!(changes.epoch_of(ChangeId(1)), None);
        assert_eq!(changes.epoch_of(ChangeId(2)), Some(2));
        assert_eq!(changes.epoch_of(ChangeId(1_001)), Some(1_001));
    }
}
