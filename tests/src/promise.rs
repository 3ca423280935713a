//! What clients were promised of each row, and the checks that it was kept.
//!
//! ```text
//! siblings   exactly the writes that nobody replaced, of those that were acknowledged and any of
//!            those whose outcome is unknown
//! latest     the promised write with the greatest time, or a later one
//! echoes     equal content that was written n times is there n times
//! refusals   a client hears only of what can be, with numbers that fit, and nothing was done where
//!            it is told so
//! replicas   after healing all copies are equal, byte for byte
//! ```
//!
//! Every check says what is [`Wrong`]. A read has to account for what was promised when it began:
//! so a client asks a row what is [owed](siblings::SiblingRow::owed) before it reads. Used by the
//! simulation and by tests of real processes. Pure: no I/O, no clock.

use std::fmt;

pub mod echoes;
pub mod latest;
pub mod refusals;
pub mod replicas;
pub mod siblings;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The client waits, or will never know.
    Open,
    /// The client was promised it.
    Acknowledged,
    /// The client was told that nothing was done.
    Refused,
}

/// What is wrong with what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// All is whole again, and a promised write is neither there nor replaced.
    Lost(String),
    /// A read did not show a promised write that nobody has replaced.
    Stale(String),
    /// What was replaced is there.
    Risen {
        /// What was replaced.
        old: String,
        /// The write that has replaced it.
        by: String,
    },
    /// An earlier read had shown that it was replaced, or a later write, and it is there.
    Flickering(String),
    /// Nobody wrote it, or it was refused.
    Phantom(String),
    /// It is there once more than it was written.
    Twin(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(name) => write!(f, "lost {name}"),
            Self::Stale(name) => write!(f, "stale: a read does not show {name}"),
            Self::Risen { old, by } => write!(f, "risen again {old}, which {by} covers"),
            Self::Flickering(name) => write!(f, "flickering {name}: it was seen to be gone"),
            Self::Phantom(name) => write!(f, "phantom {name}"),
            Self::Twin(name) => write!(f, "twin {name}"),
        }
    }
}
