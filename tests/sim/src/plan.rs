//! What a seed is about.
//!
//! ```text
//! most seeds       rows
//! seed mod 8 = 0   rows, and tables that are made while things fail
//! seed mod 8 = 4   rows whose last traces are purged soon: no clock jumps, for the age of a purge must
//!                  exceed what clocks are wrong by, and no cut outlasts the age of a context
//! ```

use std::time::Duration;

/// What a seed is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Rows.
    Rows,
    /// Rows and metadata.
    Definitions,
    /// Rows that are removed and purged.
    Purges,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        match seed % 8 {
            0 => Self::Definitions,
            4 => Self::Purges,
            _ => Self::Rows,
        }
    }

    /// The age of removed rows at which they are purged, if that is to happen within a run.
    pub(crate) fn purge_age(self) -> Option<Duration> {
        (self == Self::Purges).then_some(Duration::from_secs(10))
    }

    /// How long a client thinks between two things that it does, at most.
    pub(crate) fn think_max(self) -> Duration {
        match self {
            Self::Rows | Self::Definitions => Duration::from_millis(150),
            Self::Purges => Duration::from_millis(400),
        }
    }

    /// How long nothing passes between two nodes, at most.
    pub(crate) fn cut_ms_max(self) -> u64 {
        match self {
            Self::Rows | Self::Definitions => 7_000,
            Self::Purges => 2_000,
        }
    }
}
