//! What a client may be refused, and what a refusal says of the write.
//!
//! ```text
//! read     unavailable, read timeout, overloaded, bootstrapping
//! write    unavailable, write timeout, overloaded, bootstrapping; invalid where the context is old
//! ```
//!
//! An unavailable or overloaded cluster has done nothing; after a timeout the write may live on.
//! The numbers must fit: too few are alive or have answered, and the level says how many it needs.
//! Tables have three replicas in one data center. Pure.

use types::Consistency;

use super::Fate;
use crate::cql::{Refusal, Reply};

const UNAVAILABLE: i32 = 0x1000;
const OVERLOADED: i32 = 0x1001;
const BOOTSTRAPPING: i32 = 0x1002;
const WRITE_TIMEOUT: i32 = 0x1100;
const READ_TIMEOUT: i32 = 0x1200;
const INVALID: i32 = 0x2200;

/// What the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Rows.
    Read,
    /// A change of rows.
    Write,
}

/// What became of a write that was answered so.
pub fn fate(reply: &Reply) -> Fate {
    match reply {
        Reply::Refused(refusal) => match refusal.code {
            UNAVAILABLE | OVERLOADED | BOOTSTRAPPING | INVALID => Fate::Refused,
            _ => Fate::Open,
        },
        _ => Fate::Acknowledged,
    }
}

/// Why no client should hear this; none where it may.
pub fn objection(asked: Asked, level: Consistency, refusal: &Refusal) -> Option<String> {
    let needed = needed(level);
    let fits = |(first, second): (i32, i32)| match refusal.code {
        UNAVAILABLE => first == needed && second < first,
        _ => second == needed && first < second,
    };
    let is_allowed = match (asked, refusal.code) {
        (_, OVERLOADED | BOOTSTRAPPING) => true,
        (_, UNAVAILABLE) | (Asked::Read, READ_TIMEOUT) | (Asked::Write, WRITE_TIMEOUT) => {
            refusal.counts.is_some_and(fits)
        }
        (Asked::Write, INVALID) => refusal.message.contains("expired context"),
        _ => false,
    };
    (!is_allowed).then(|| format!("{asked:?} at {level} refused with {refusal:?}"))
}

/// How many of three replicas a level needs.
fn needed(level: Consistency) -> i32 {
    match level {
        Consistency::Any | Consistency::One | Consistency::LocalOne => 1,
        Consistency::Three | Consistency::All => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: i32, message: &str, counts: Option<(i32, i32)>) -> Refusal {
        Refusal { code, message: message.to_owned(), counts }
    }

    fn is_allowed(asked: Asked, code: i32, counts: Option<(i32, i32)>) -> bool {
        objection(asked, Consistency::Quorum, &refusal(code, "", counts)).is_none()
    }

    #[test]
    fn numbers_must_fit_the_level() {
        assert!(is_allowed(Asked::Write, UNAVAILABLE, Some((2, 1))));
        assert!(!is_allowed(Asked::Write, UNAVAILABLE, Some((2, 2))), "enough were alive");
        assert!(!is_allowed(Asked::Write, UNAVAILABLE, Some((1, 0))), "the level needs two");
        assert!(!is_allowed(Asked::Write, UNAVAILABLE, None));
        assert!(is_allowed(Asked::Read, READ_TIMEOUT, Some((1, 2))));
        assert!(!is_allowed(Asked::Read, READ_TIMEOUT, Some((2, 2))), "enough had answered");
    }

    #[test]
    fn a_read_never_ends_as_a_write_does_and_nobody_sees_an_inner_error() {
        assert!(!is_allowed(Asked::Read, WRITE_TIMEOUT, Some((1, 2))));
        assert!(!is_allowed(Asked::Write, READ_TIMEOUT, Some((1, 2))));
        assert!(!is_allowed(Asked::Write, 0x0000, None));
        assert!(is_allowed(Asked::Write, OVERLOADED, None));
    }

    #[test]
    fn only_a_context_that_is_too_old_is_invalid() {
        let level = Consistency::One;
        let old = refusal(INVALID, "expired context: read the row again", None);
        assert_eq!(objection(Asked::Write, level, &old), None);
        assert!(objection(Asked::Read, level, &old).is_some());
        assert!(objection(Asked::Write, level, &refusal(INVALID, "syntax", None)).is_some());
    }

    #[test]
    fn a_refusal_says_whether_the_write_may_live_on() {
        let of = |code| fate(&Reply::Refused(refusal(code, "", None)));
        for code in [UNAVAILABLE, OVERLOADED, BOOTSTRAPPING, INVALID] {
            assert_eq!(of(code), Fate::Refused);
        }
        assert_eq!((of(WRITE_TIMEOUT), of(0x0000)), (Fate::Open, Fate::Open));
        assert_eq!(fate(&Reply::Void), Fate::Acknowledged);
    }
}
