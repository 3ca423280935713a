//! How many replicas an operation waits for.

use std::fmt;
use std::str::FromStr;

/// A consistency level, with Cassandra's names, meaning and codes (native protocol v4, §3).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize,
)]
pub enum Consistency {
    /// Writes only: one node, a stand-in included.
    Any,
    /// One replica.
    One,
    /// Two replicas.
    Two,
    /// Three replicas.
    Three,
    /// More than half of all replicas, over all data centers together.
    Quorum,
    /// Every replica.
    All,
    /// More than half of the replicas in the coordinator's data center.
    LocalQuorum,
    /// More than half of the replicas in every data center.
    EachQuorum,
    /// Conditional operations over all data centers.
    Serial,
    /// Conditional operations within the coordinator's data center.
    LocalSerial,
    /// One replica in the coordinator's data center.
    LocalOne,
}

/// Every level with its protocol code and its name, in the order of the codes.
const LEVELS: [(Consistency, u16, &str); 11] = [
    (Consistency::Any, 0x0, "ANY"),
    (Consistency::One, 0x1, "ONE"),
    (Consistency::Two, 0x2, "TWO"),
    (Consistency::Three, 0x3, "THREE"),
    (Consistency::Quorum, 0x4, "QUORUM"),
    (Consistency::All, 0x5, "ALL"),
    (Consistency::LocalQuorum, 0x6, "LOCAL_QUORUM"),
    (Consistency::EachQuorum, 0x7, "EACH_QUORUM"),
    (Consistency::Serial, 0x8, "SERIAL"),
    (Consistency::LocalSerial, 0x9, "LOCAL_SERIAL"),
    (Consistency::LocalOne, 0xA, "LOCAL_ONE"),
];

impl Consistency {
    /// The level with this protocol code, if there is one.
    pub fn from_code(code: u16) -> Option<Self> {
        LEVELS.iter().find(|row| row.1 == code).map(|row| row.0)
    }

    /// The level's code in the native protocol.
    pub fn code(self) -> u16 {
        LEVELS[self as usize].1
    }

    /// The level's name, in capitals, as CQL and `cqlsh` spell it.
    pub fn name(self) -> &'static str {
        LEVELS[self as usize].2
    }

    /// Every level, in the order of the codes.
    pub fn every() -> impl Iterator<Item = Self> {
        LEVELS.iter().map(|row| row.0)
    }

    /// Whether the level belongs to conditional operations.
    pub fn is_serial(self) -> bool {
        matches!(self, Self::Serial | Self::LocalSerial)
    }

    /// Whether the level counts replicas of the coordinator's data center only.
    pub fn is_local(self) -> bool {
        matches!(self, Self::LocalOne | Self::LocalQuorum | Self::LocalSerial)
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no consistency level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown consistency level {word}")]
pub struct UnknownConsistency {
    /// The word as it was given.
    pub word: String,
}

impl FromStr for Consistency {
    type Err = UnknownConsistency;

    /// Reads a level's name in any case.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        LEVELS
            .iter()
            .find(|row| row.2.eq_ignore_ascii_case(word))
            .map(|row| row.0)
            .ok_or_else(|| UnknownConsistency { word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_lead_back_to_their_level() {
        for level in Consistency::every() {
            assert_eq!(Consistency::from_code(level.code()), Some(level));
            assert_eq!(level.name().to_lowercase().parse(), Ok(level));
        }
        assert_eq!(Consistency::from_code(0xB), None);
        assert!("MOST".parse::<Consistency>().is_err());
    }
}
