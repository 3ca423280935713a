//! What clients carry around without being able to look inside or to change it: contexts and paging
//! states.
//!
//! ```text
//! format u8 | key id u8 | made i64, µs since the Unix epoch | content | MAC 16 bytes
//!                         big endian                                    keyed blake3
//! ```
//!
//! The MAC covers all that stands before it, and what the content is for: its purpose, and the row
//! or the statement that it belongs to. So a context of one row is none of another, and a paging
//! state is no context. Any node of the cluster seals and opens with the [`Secrets`] of the
//! register; through a rotation the previous one still opens.
//!
//! Law: bytes that this cluster did not make, or made for something else, never get further than
//! [`open`]: a context with a made-up counter would silence all later writes of its row. What is
//! too old is refused as well: the traces of a deleted row are kept for `gc.age`, and a context
//! lives for half of it. The same bound holds forwards, since a clock that is wrong by more would
//! make contexts that outlive those traces.
//!
//! Callers: `using` for contexts that come, `answer` for those that go, `page` for paging states.
//! Pure.

use blake3::Hasher;

use crate::metadata::{Secret, Secrets};

/// The format that this build writes, and the only one so far.
const FORMAT: u8 = 1;
/// Format, key id and time.
const HEAD_BYTES: usize = 1 + 1 + 8;
const MAC_BYTES: usize = 16;

/// What sealed bytes are for. Each has a number of its own under the MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What a client has seen of a row; belongs to the row's stored key, table and all.
    Context = 1,
    /// Where the next page begins; belongs to the statement and the stretch of rows that it reads.
    Paging = 2,
}

/// Why sealed bytes are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not made by this cluster, or for something else, or changed since.
    #[error("malformed, forged or foreign")]
    Forged,
    /// Older than they may be.
    #[error("expired")]
    Expired,
    /// Made by a clock so far ahead that nobody can say how old they are.
    #[error("made in the future: a clock of the cluster is wrong")]
    FromTheFuture,
}

/// Who opens, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opener<'a> {
    /// The keys.
    pub(super) secrets: &'a Secrets,
    /// The wall clock, in microseconds since the Unix epoch.
    pub(super) now_us: i64,
    /// How old sealed bytes may be, and how far ahead the clock that made them.
    pub(super) age_max_us: i64,
}

/// Seals `content`, made at `made_us`, for `subject`.
pub(super) fn seal(
    secret: &Secret,
    purpose: Purpose,
    subject: &[u8],
    made_us: i64,
    content: &[u8],
) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(HEAD_BYTES + content.len() + MAC_BYTES);
    sealed.extend_from_slice(&[FORMAT, secret.id]);
    sealed.extend_from_slice(&made_us.to_be_bytes());
    sealed.extend_from_slice(content);
    let mac = mac(secret, purpose, subject, &sealed);
    sealed.extend_from_slice(&mac);
    sealed
}

impl Opener<'_> {
    /// The content of what was sealed for `subject`.
    ///
    /// # Errors
    /// [`SealError`]; who made the bytes is checked before when.
    pub(super) fn open<'s>(
        &self,
        purpose: Purpose,
        subject: &[u8],
        sealed: &'s [u8],
    ) -> Result<&'s [u8], SealError> {
        let (covered, claimed) = sealed.split_last_chunk::<MAC_BYTES>().ok_or(SealError::Forged)?;
        let (head, content) = covered.split_first_chunk::<HEAD_BYTES>().ok_or(SealError::Forged)?;
        let [format, key_id, made_us @ ..] = *head;
        let secret = self.secret(key_id).ok_or(SealError::Forged)?;
        if format != FORMAT || !is_same(claimed, &mac(secret, purpose, subject, covered)) {
            return Err(SealError::Forged);
        }
        let age_us = self.now_us.saturating_sub(i64::from_be_bytes(made_us));
        if age_us > self.age_max_us {
            return Err(SealError::Expired);
        }
        if age_us < self.age_max_us.saturating_neg() {
            return Err(SealError::FromTheFuture);
        }
        Ok(content)
    }

    fn secret(&self, id: u8) -> Option<&Secret> {
        let previous = self.secrets.previous.as_ref();
        std::iter::once(&self.secrets.current).chain(previous).find(|secret| secret.id == id)
    }
}

/// The MAC of `covered`, which begins with the head, for `subject`.
fn mac(secret: &Secret, purpose: Purpose, subject: &[u8], covered: &[u8]) -> [u8; MAC_BYTES] {
    let mut hasher = Hasher::new_keyed(&secret.key);
    hasher.update(&[purpose as u8]);
    // With its length in front, no end of a subject can pass for the beginning of what follows.
    hasher.update(&(subject.len() as u64).to_be_bytes());
    hasher.update(subject);
    hasher.update(covered);
    let mut mac = [0; MAC_BYTES];
    hasher.finalize_xof().fill(&mut mac);
    mac
}

/// Whether both are equal, in a time that does not tell where they differ.
fn is_same(one: &[u8; MAC_BYTES], other: &[u8; MAC_BYTES]) -> bool {
    one.iter().zip(other).fold(0, |differences, (one, other)| differences | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::fixture::hex;

    const HOUR_US: i64 = 3_600_000_000;
    const GOLDEN_MAC: &str = "064287b93a4f78e3201308392d89c39f";

    fn secret(id: u8) -> Secret {
        Secret { id, key: [id; 32] }
    }

    fn secrets() -> Secrets {
        Secrets { current: secret(2), previous: Some(secret(1)) }
    }

    fn open(sealed: &[u8], subject: &[u8], now_us: i64) -> Result<Vec<u8>, SealError> {
        let secrets = secrets();
        let opener = Opener { secrets: &secrets, now_us, age_max_us: HOUR_US };
        opener.open(Purpose::Context, subject, sealed).map(<[u8]>::to_vec)
    }

    #[test]
    fn sealed_bytes_are_what_they_were() {
        let sealed = seal(&secret(2), Purpose::Context, b"row", 1_000_000, b"seen");
        let (head, content, mac) = ("010200000000000f4240", "7365656e", GOLDEN_MAC);
        assert_eq!(hex(&sealed), [head, content, mac].concat());
    }

    #[test]
    fn the_secret_before_a_rotation_still_opens_and_an_older_one_does_not() {
        let sealed = |id| seal(&secret(id), Purpose::Context, b"row", 0, b"seen");
        assert_eq!(open(&sealed(1), b"row", 0), Ok(b"seen".to_vec()));
        assert_eq!(open(&sealed(3), b"row", 0), Err(SealError::Forged));
        let stranger = Secret { id: 2, key: [9; 32] };
        let foreign = seal(&stranger, Purpose::Context, b"row", 0, b"seen");
        assert_eq!(open(&foreign, b"row", 0), Err(SealError::Forged), "another cluster's");
    }

    #[test]
    fn age_counts_both_ways() {
        let sealed = seal(&secret(2), Purpose::Context, b"row", 10 * HOUR_US, b"");
        assert_eq!(open(&sealed, b"row", 11 * HOUR_US), Ok(vec![]));
        assert_eq!(open(&sealed, b"row", 11 * HOUR_US + 1), Err(SealError::Expired));
        assert_eq!(open(&sealed, b"row", 9 * HOUR_US), Ok(vec![]));
        assert_eq!(open(&sealed, b"row", 9 * HOUR_US - 1), Err(SealError::FromTheFuture));
        assert_eq!(
            open(&sealed, b"other", i64::MAX),
            Err(SealError::Forged),
            "first who, then when"
        );
    }

    #[test]
    fn a_paging_state_is_no_context() {
        let sealed = seal(&secret(2), Purpose::Paging, b"row", 0, b"seen");
        assert_eq!(open(&sealed, b"row", 0), Err(SealError::Forged));
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened(
            subject: Vec<u8>, content: Vec<u8>, made_us: i64, id in 1..=2_u8,
        ) {
            let sealed = seal(&secret(id), Purpose::Context, &subject, made_us, &content);
            prop_assert_eq!(open(&sealed, &subject, made_us), Ok(content));
        }

        #[test]
        fn any_flip_cut_or_growth_is_refused(
            subject: Vec<u8>, content: Vec<u8>, at: prop::sample::Index, bit in 0..8_u8, more: u8,
        ) {
            let sealed = seal(&secret(2), Purpose::Context, &subject, 0, &content);
            let at = at.index(sealed.len());
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            prop_assert_eq!(open(&flipped, &subject, 0), Err(SealError::Forged));
            prop_assert_eq!(open(&sealed[..at], &subject, 0), Err(SealError::Forged));
            let longer = [sealed.as_slice(), &[more]].concat();
            prop_assert_eq!(open(&longer, &subject, 0), Err(SealError::Forged));
        }

        #[test]
        fn what_was_sealed_for_another_subject_is_refused(
            one in prop::collection::vec(0..3_u8, 0..4),
            other in prop::collection::vec(0..3_u8, 0..4),
            content in prop::collection::vec(0..3_u8, 0..4),
        ) {
            prop_assume!(one != other);
            let sealed = seal(&secret(2), Purpose::Context, &one, 0, &content);
            prop_assert_eq!(open(&sealed, &other, 0), Err(SealError::Forged));
        }
    }
}
