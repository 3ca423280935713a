//! When a read asks one replica more than its level needs, as the table option `speculative_retry`
//! says it.
//!
//! ```text
//! 99p  99PERCENTILE  99.9p     when an answer takes longer than so many of a hundred
//! 50ms                         after so long
//! ALWAYS  NONE  NEVER          at once, or never
//! ```
//!
//! Source: Cassandra, whose words these are; its `MIN()` and `MAX()` of two are refused. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// So many of a hundred thousand: 0 up to all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Percentile(u32);

impl Percentile {
    /// How many thousandths make a percent.
    const THOUSANDTHS: u32 = 1_000;

    /// All of them.
    const ALL: u32 = 100 * Self::THOUSANDTHS;

    /// So many percent.
    ///
    /// # Panics
    /// Above 100.
    pub const fn of(percent: u32) -> Self {
        assert!(percent <= 100, "more than all");
        Self(percent * Self::THOUSANDTHS)
    }

    /// How many of `total` lie below it.
    pub fn below(self, total: u64) -> u64 {
        total.saturating_mul(self.0.min(Self::ALL).into()) / u64::from(Self::ALL)
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / Self::THOUSANDTHS, self.0 % Self::THOUSANDTHS);
        if part == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{}", format!("{whole}.{part:03}").trim_end_matches('0'))
    }
}

/// When a read asks one replica more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SpeculativeRetry {
    /// Where the answer takes longer than answers usually do.
    Percentile(Percentile),
    /// Where the answer takes longer than this.
    After {
        /// In milliseconds.
        ms: u32,
    },
    /// At once.
    Always,
    /// Only where one has failed.
    Never,
}

impl SpeculativeRetry {
    /// Of tables that do not say otherwise.
    pub const DEFAULT: Self = Self::Percentile(Percentile::of(99));
}

impl Default for SpeculativeRetry {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for SpeculativeRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(percentile) => write!(f, "{percentile}p"),
            Self::After { ms } => write!(f, "{ms}ms"),
            Self::Always => f.write_str("ALWAYS"),
            Self::Never => f.write_str("NEVER"),
        }
    }
}

/// A text that says nothing of the kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no speculative retry")]
pub struct NoSpeculativeRetry;

impl FromStr for SpeculativeRetry {
    type Err = NoSpeculativeRetry;

    fn from_str(text: &str) -> Result<Self, NoSpeculativeRetry> {
        let text = text.trim().to_ascii_uppercase();
        match text.as_str() {
            "ALWAYS" => return Ok(Self::Always),
            "NONE" | "NEVER" => return Ok(Self::Never),
            _ => {}
        }
        if let Some(ms) = text.strip_suffix("MS") {
            return milliseconds(ms).map(|ms| Self::After { ms }).ok_or(NoSpeculativeRetry);
        }
        let percent = text.strip_suffix("PERCENTILE").or_else(|| text.strip_suffix('P'));
        percent.and_then(percentile).map(Self::Percentile).ok_or(NoSpeculativeRetry)
    }
}

/// Whole milliseconds; Cassandra's drivers write some with a fraction of zeros.
fn milliseconds(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_zero = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    if is_zero { digits(whole)?.parse().ok() } else { None }
}

fn percentile(text: &str) -> Option<Percentile> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let fraction = digits(fraction)?.trim_end_matches('0');
    if fraction.len() > 3 {
        return None;
    }
    let fraction: u32 = format!("{fraction:0<3}").parse().ok()?;
    let whole: u32 = digits(whole)?.parse().ok()?;
    let thousandths = whole.checked_mul(Percentile::THOUSANDTHS)?.checked_add(fraction)?;
    (thousandths <= Percentile::ALL).then_some(Percentile(thousandths))
}

/// Digits and nothing else.
fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_cassandra_is_read_and_shown_as_cassandra_shows_it() {
        for (text, shown) in [
            ("99p", "99p"),
            ("99PERCENTILE", "99p"),
            ("99.0PERCENTILE", "99p"),
            ("95.50percentile", "95.5p"),
            ("99.999P", "99.999p"),
            ("0p", "0p"),
            ("100p", "100p"),
            ("50ms", "50ms"),
            ("50.0MS", "50ms"),
            ("always", "ALWAYS"),
            ("NONE", "NEVER"),
            ("Never", "NEVER"),
        ] {
            let retry: SpeculativeRetry = text.parse().unwrap();
            assert_eq!(retry.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(retry), "{shown}");
        }
    }

    #[test]
    fn what_cassandra_does_not_say_is_refused() {
        for text in [
            "",
            "p",
            "ms",
            "99",
            "101p",
            "100.001p",
            "99.9999p",
            "-1p",
            "1e2p",
            ".5p",
            "99.p",
            "1.5ms",
            "-5ms",
            "5000000000ms",
            "MIN(99p,50ms)",
            "sometimes",
            "9 9p",
        ] {
            assert_eq!(text.parse::<SpeculativeRetry>(), Err(NoSpeculativeRetry), "{text}");
        }
    }

    #[test]
    fn a_percentile_of_many_is_its_part_of_them() {
        assert_eq!(Percentile::of(99).below(1_000), 990);
        assert_eq!(Percentile::of(0).below(1_000), 0);
        assert_eq!(Percentile::of(100).below(u64::MAX / 100_000), u64::MAX / 100_000);
    }
}
