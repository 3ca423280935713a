//! When the last trace of a removed row may go.
//!
//! A tombstone keeps a late copy of what it removed from rising again, so it may only go when no such
//! copy can come any more. Law: a row is purged when two confirmations, at least the age apart, have
//! found that all its replicas hold these very bytes, and that no member holds a hint or a copy for
//! others in its partition; and states that were read or made longer ago than half of the age are taken
//! by nobody. So whatever was under way at the first confirmation is refused by the second.
//!
//! ```text
//! all hold T ──── the age ────> all hold T still: purged        a replica that missed the purge
//! first noted                   (unchanged in between)          sends T again, and all begins anew
//! ```
//!
//! What is over counts as removed from the instant at which it is over. A row is purged whole or not at
//! all. Age alone is not enough: a read repair that left before T reached all may arrive afterwards.
//!
//! Callers: `upkeep/purge` in the server. Pure: `now` is an argument.

use bytes::Bytes;

use crate::cells::{self, Kind, Ranges, kind_of};
use crate::merkle::{DIGEST_LEN, Digest};
use crate::version::Siblings;

/// The version byte of a stored confirmation, and the only one so far.
const FORMAT: u8 = 1;

/// Whether nothing of a stored value is to be seen at `now`, in microseconds since the Unix epoch: of
/// range tombstones there never is. What cannot be read is not removed.
pub fn is_removed(value: &Bytes, now: i64) -> bool {
    match kind_of(value) {
        Some(Kind::Siblings) => Siblings::decode(value)
            .is_ok_and(|row| !row.is_unwritten() && row.living(now).next().is_none()),
        Some(Kind::Row) => cells::Row::decode(value).is_ok_and(|row| !row.is_living(now)),
        Some(Kind::Ranges) => Ranges::decode(value).is_ok(),
        Some(Kind::Poisoned) | None => false,
    }
}

/// That all replicas held a removed row, and since when they are known to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Confirmed {
    /// The row as they held it.
    pub digest: Digest,
    /// When that was first found, in microseconds since the Unix epoch.
    pub since: i64,
}

/// What follows from another confirmation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is the first of this state: note it.
    Note,
    /// The first one is not long ago.
    Wait,
    /// The row may go.
    Purge,
}

/// Why bytes are no confirmation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a confirmation of {len} bytes cannot be read")]
pub struct ConfirmedError {
    /// How many there are.
    pub len: usize,
}

impl Confirmed {
    /// What follows when all replicas hold `digest` at `now`, and `known` was noted before; `age` in
    /// microseconds.
    pub fn verdict(known: Option<Self>, digest: Digest, now: i64, age: i64) -> Verdict {
        match known {
            Some(known) if known.digest == digest => {
                if now.saturating_sub(known.since) >= age {
                    Verdict::Purge
                } else {
                    Verdict::Wait
                }
            }
            _ => Verdict::Note,
        }
    }

    /// The stored form: format, digest, time.
    pub fn encode(&self) -> Vec<u8> {
        [&[FORMAT][..], self.digest.as_bytes(), &self.since.to_be_bytes()].concat()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`ConfirmedError`] for anything but what [`Self::encode`] gives.
    pub fn decode(bytes: &[u8]) -> Result<Self, ConfirmedError> {
        let read = || {
            let (format, rest) = bytes.split_first()?;
            let (digest, since) = rest.split_first_chunk::<DIGEST_LEN>()?;
            let since = i64::from_be_bytes(since.try_into().ok()?);
            let confirmed = Self { digest: Digest::from_bytes(*digest), since };
            (*format == FORMAT).then_some(confirmed)
        };
        read().ok_or(ConfirmedError { len: bytes.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::{Expiry, Row, WriteStamp};

    fn digest(row: &[u8]) -> Digest {
        Digest::of_row(b"key", row)
    }

    #[test]
    fn only_the_second_confirmation_of_the_same_bytes_purges_and_not_before_the_age() {
        let known = Confirmed { digest: digest(b"t"), since: 1_000 };
        let verdict = |known, row, now| Confirmed::verdict(known, digest(row), now, 500);
        assert_eq!(verdict(None, b"t", 9_999), Verdict::Note);
        assert_eq!(verdict(Some(known), b"t", 1_499), Verdict::Wait);
        assert_eq!(verdict(Some(known), b"t", 1_500), Verdict::Purge);
        assert_eq!(verdict(Some(known), b"u", 9_999), Verdict::Note, "it has changed since");
        assert_eq!(verdict(Some(known), b"t", 0), Verdict::Wait, "the clock went back");
        assert_eq!(verdict(Some(known), b"t", i64::MIN), Verdict::Wait);
    }

    #[test]
    fn a_confirmation_has_its_bytes_for_ever() {
        let confirmed = Confirmed { digest: Digest::from_bytes([7; 16]), since: 0x0102 };
        let golden = [&[1][..], &[7; 16], &[0, 0, 0, 0, 0, 0, 1, 2]].concat();
        assert_eq!(confirmed.encode(), golden);
        assert_eq!(Confirmed::decode(&golden), Ok(confirmed));
        for len in [0, 1, 24, 26] {
            assert_eq!(Confirmed::decode(&vec![1; len]), Err(ConfirmedError { len }));
        }
        assert!(Confirmed::decode(&[2; 25]).is_err());
    }

    #[test]
    fn a_row_is_removed_when_nothing_of_it_is_to_be_seen() {
        let stamp = WriteStamp { timestamp: 5, operation: 1 };
        let row = |change: &dyn Fn(&mut Row)| {
            let mut row = Row::default();
            change(&mut row);
            Bytes::from(row.encode())
        };
        let value = || Some(Bytes::from_static(b"v"));
        let living = row(&|row| row.set(1, stamp, Expiry::Never, value()));
        let expiring = row(&|row| row.set(1, stamp, Expiry::At(100), value()));
        let null = row(&|row| row.set(1, stamp, Expiry::Never, None));
        let deleted = row(&|row| row.delete(9));
        assert!(!is_removed(&living, i64::MAX));
        assert!(!is_removed(&expiring, 99) && is_removed(&expiring, 100));
        assert!(is_removed(&null, 0) && is_removed(&deleted, 0));
        let mut ranges = Ranges::default();
        ranges.cover(Bytes::new(), None, 3);
        assert!(is_removed(&ranges.encode().into(), 0));
        assert!(!is_removed(&Bytes::from_static(b"\xf1 nothing"), 0));
        assert!(!is_removed(&Bytes::new(), 0));
    }

    #[test]
    fn a_row_of_versions_is_removed_when_none_lives() {
        use std::num::NonZeroU64;

        use ring::StoreId;

        use crate::version::{Actor, Columns, Dot, Version, VersionVector};

        let actor = Actor { store: StoreId(1), epoch: 1 };
        let dot = Dot { actor, counter: NonZeroU64::MIN };
        let version = |marker| {
            let columns = Columns::default();
            Version { dot, write_time: 1, marker: Some(marker), columns }
        };
        let row = |versions: Vec<Version>| {
            let vector = VersionVector::from_iter([dot]);
            Bytes::from(Siblings::from_parts(vector, versions, 0).unwrap().encode())
        };
        assert!(is_removed(&row(Vec::new()), 0));
        assert!(!is_removed(&row(vec![version(Expiry::Never)]), i64::MAX));
        let expiring = row(vec![version(Expiry::At(100))]);
        assert!(!is_removed(&expiring, 99) && is_removed(&expiring, 100));
        assert!(!is_removed(&Siblings::default().encode().into(), 0), "nobody ever wrote it");
    }
}
