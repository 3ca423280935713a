//! Bugs that tests plant, to show that they would find them.
//!
//! A checker that was never seen to fail proves nothing. Each of these makes the very binary that
//! people run break one law, and a search over seeds of the simulation must find it. A node that has
//! one says so, as an error, when it starts; no shipped file names the section. Law: parts get the
//! value by constructor, from `node`, and ask [`Planted::is`] at the one place that the bug is in.

use serde::{Deserialize, Serialize};

/// The section of planted bugs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TestingConfig {
    /// The bug, or none.
    pub planted: Planted,
    /// No bug, but a door: rows can be removed behind the node's back over the admin port.
    pub forgets: bool,
    /// No bug either: no hints are kept, so that others have to mend what replicas miss.
    pub forget_hints: bool,
}

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planted {
    /// The node does as it should.
    #[default]
    None,
    /// Answers to writes leave before the fsync: a power cut loses acknowledged writes.
    AcknowledgeBeforeSync,
    /// Of rows that other nodes send, some are acknowledged and not merged.
    AcknowledgeUnmade,
    /// A copy without an entry of its own store counts from the start again: dots that others know
    /// are minted once more.
    ReuseDot,
    /// A store whose rows went back in time keeps its id, and counts its epochs from the start.
    ReuseStoreId,
    /// A merge keeps one of two versions that read the same.
    CollapseEqual,
    /// Stand-ins count at QUORUM on tables that allow none.
    CountHintAtQuorum,
    /// A read answers although whoever it found behind does not have the merged row.
    SkipReadRepair,
    /// A hint that was delivered is forgotten, and the row that was held, although a write has come in
    /// between.
    DeleteHintUncompared,
    /// The last traces of a removed row leave the disk although some replica may not have them.
    PurgeEarly,
    /// Marks of written buckets are taken back when they were digested: writes that come meanwhile
    /// are lost sight of.
    ClearMarkEarly,
    /// A seed whose store lost what it had promised still votes on the metadata.
    LetBlankSeedVote,
}

impl Planted {
    /// Every bug that can be planted.
    pub const ALL: [Self; 11] = [
        Self::AcknowledgeBeforeSync,
        Self::AcknowledgeUnmade,
        Self::ReuseDot,
        Self::ReuseStoreId,
        Self::CollapseEqual,
        Self::CountHintAtQuorum,
        Self::SkipReadRepair,
        Self::DeleteHintUncompared,
        Self::PurgeEarly,
        Self::ClearMarkEarly,
        Self::LetBlankSeedVote,
    ];

    /// Whether this is the bug that is planted.
    pub fn is(self, bug: Self) -> bool {
        self == bug
    }

    /// How it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::AcknowledgeBeforeSync => "acknowledge_before_sync",
            Self::AcknowledgeUnmade => "acknowledge_unmade",
            Self::ReuseDot => "reuse_dot",
            Self::ReuseStoreId => "reuse_store_id",
            Self::CollapseEqual => "collapse_equal",
            Self::CountHintAtQuorum => "count_hint_at_quorum",
            Self::SkipReadRepair => "skip_read_repair",
            Self::DeleteHintUncompared => "delete_hint_uncompared",
            Self::PurgeEarly => "purge_early",
            Self::ClearMarkEarly => "clear_mark_early",
            Self::LetBlankSeedVote => "let_blank_seed_vote",
        }
    }

    /// Logs as an error that there is one.
    pub fn confess(self) {
        if self != Self::None {
            tracing::error!(bug = self.name(), "testing.planted: promises will be broken");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bugs_are_named_as_the_configuration_reads_them() {
        for planted in Planted::ALL.into_iter().chain([Planted::None]) {
            let section = format!("planted = \"{}\"", planted.name());
            let expected = TestingConfig { planted, ..TestingConfig::default() };
            assert_eq!(toml::from_str(&section), Ok(expected));
        }
        assert_eq!(TestingConfig::default().planted, Planted::None);
    }
}
