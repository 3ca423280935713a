//! The tables that clients work on, and what each of them promises.
//!
//! ```text
//! flock, latest    true replicas, QUORUM writes and QUORUM reads: what is acknowledged is read at once,
//!                  and what was read once is read from then on
//! crowd, drift     stand-ins, every level: what is acknowledged is there when all is whole again
//! echo             stand-ins, every level, equal content without contexts
//! ```

use server::clock::Random;
use types::Consistency;

/// The keyspace of all tables.
pub(crate) const KEYSPACE: &str = "app";

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// Siblings, at QUORUM.
    Flock,
    /// Last write wins, at QUORUM.
    Latest,
    /// Siblings, at every level.
    Crowd,
    /// Last write wins, at every level.
    Drift,
    /// Siblings of equal content that nobody replaces, at every level.
    Echo,
}

impl Table {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Flock, Self::Latest, Self::Crowd, Self::Drift, Self::Echo];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flock => "flock",
            Self::Latest => "latest",
            Self::Crowd => "crowd",
            Self::Drift => "drift",
            Self::Echo => "echo",
        }
    }

    /// The table of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    pub(crate) fn definition(self) -> String {
        let conflict = if self.keeps_siblings() { "siblings" } else { "lww" };
        let name = self.name();
        format!(
            "CREATE TABLE IF NOT EXISTS {KEYSPACE}.{name} (k int PRIMARY KEY, v text) \
             WITH conflict = '{conflict}' AND sloppy_quorum = {}",
            !self.is_strict()
        )
    }

    pub(crate) fn keeps_siblings(self) -> bool {
        !matches!(self, Self::Latest | Self::Drift)
    }

    /// Whether reads show what was acknowledged before, also while things fail.
    pub(crate) fn is_strict(self) -> bool {
        matches!(self, Self::Flock | Self::Latest)
    }

    /// How many rows clients share: few, so that they meet.
    pub(crate) fn rows(self) -> usize {
        match self {
            Self::Flock | Self::Crowd => 5,
            Self::Latest | Self::Drift => 4,
            Self::Echo => 3,
        }
    }

    /// The level of a write.
    pub(crate) fn write_level(self, random: &Random) -> Consistency {
        self.level(&WRITE_LEVELS, random)
    }

    /// The level of a read.
    pub(crate) fn read_level(self, random: &Random) -> Consistency {
        self.level(&READ_LEVELS, random)
    }

    fn level(self, levels: &[Consistency], random: &Random) -> Consistency {
        if self.is_strict() { Consistency::Quorum } else { levels[random.below(levels.len())] }
    }
}

const WRITE_LEVELS: [Consistency; 9] = [
    Consistency::Any,
    Consistency::One,
    Consistency::Two,
    Consistency::Three,
    Consistency::Quorum,
    Consistency::All,
    Consistency::LocalOne,
    Consistency::LocalQuorum,
    Consistency::EachQuorum,
];

const READ_LEVELS: [Consistency; 4] =
    [Consistency::One, Consistency::Two, Consistency::Quorum, Consistency::LocalOne];
