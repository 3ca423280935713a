//! A hint: that a replica has missed writes of a row, and up to when.
//!
//! A hint is a key, not a copy. It lies on one node that has the row, beside it; what is delivered is
//! the row as it is then. So hints are bounded by distinct rows, however often those are written.
//!
//! ```text
//! key    host of the replica, 16 bytes | key of the row
//! value  format:u8=1 | sequence:u64     the keeper's store, when the last missed write reached it
//! ```
//!
//! Law: a hint is forgotten only if it still bears the sequence number that was read before the row
//! was: a write that was missed since has raised it (compare and delete).
//!
//! Source: Dynamo §4.6. Callers: the commit loop, which keeps hints; hand-over, which delivers them.
//! Pure.

use ring::HostId;
use uuid::Uuid;

/// The version byte of the form that is written, and the only one so far.
const FORMAT: u8 = 1;

/// How many bytes of a hint's key are the host.
const HOST_LEN: usize = 16;

/// How many bytes a hint's value has.
const VALUE_LEN: usize = 9;

/// That `host` has missed writes of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hint<'a> {
    /// The replica that has missed them.
    pub host: HostId,
    /// The key of the row in the store.
    pub row: &'a [u8],
    /// The sequence number of the keeper's store for the last of them.
    pub sequence: u64,
}

/// Why bytes are no hint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HintError {
    /// The key is too short to name a host.
    #[error("a hint's key of {len} bytes")]
    Key {
        /// How long it is.
        len: usize,
    },
    /// The value is not of the form that this build knows.
    #[error("a hint's value of {len} bytes in format {format}")]
    Value {
        /// How long it is.
        len: usize,
        /// Its first byte; 0 where it has none.
        format: u8,
    },
}

impl<'a> Hint<'a> {
    /// The key under which it lies; those of one host lie together, in the order of the rows.
    pub fn key(&self) -> Vec<u8> {
        [self.host.0.as_bytes(), self.row].concat()
    }

    /// The value that lies there.
    pub fn value(&self) -> [u8; VALUE_LEN] {
        let mut value = [FORMAT; VALUE_LEN];
        value[1..].copy_from_slice(&self.sequence.to_be_bytes());
        value
    }

    /// What the keys of all hints for one host begin with.
    pub fn prefix(host: HostId) -> [u8; HOST_LEN] {
        *host.0.as_bytes()
    }

    /// Reads a hint as it lies in the store.
    ///
    /// # Errors
    /// [`HintError`] for anything but what [`Self::key`] and [`Self::value`] give.
    pub fn read(key: &'a [u8], value: &[u8]) -> Result<Self, HintError> {
        let (host, row) =
            key.split_at_checked(HOST_LEN).ok_or(HintError::Key { len: key.len() })?;
        let host = Uuid::from_slice(host).map_err(|_| HintError::Key { len: key.len() })?;
        let format = value.first().copied().unwrap_or(0);
        let sequence = value.split_first_chunk::<1>().and_then(|(_, rest)| rest.try_into().ok());
        let sequence = sequence.filter(|_| format == FORMAT).map(u64::from_be_bytes);
        let wrong = HintError::Value { len: value.len(), format };
        Ok(Self { host: HostId(host), row, sequence: sequence.ok_or(wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hint_has_its_bytes_for_ever() {
        let host = HostId(Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10));
        let hint = Hint { host, row: b"row", sequence: 0x0102 };
        let key = [&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], &b"row"[..]].concat();
        assert_eq!((hint.key(), hint.value()), (key, [1, 0, 0, 0, 0, 0, 0, 1, 2]));
        assert!(hint.key().starts_with(&Hint::prefix(host)));
    }

    #[test]
    fn bytes_that_are_no_hint_are_refused() {
        assert_eq!(Hint::read(&[0; 15], &[1; 9]), Err(HintError::Key { len: 15 }));
        for (len, format) in [(0, 0), (8, 1), (10, 1), (9, 2)] {
            let value = &vec![format; len][..];
            let wrong = HintError::Value { len: value.len(), format };
            assert_eq!(Hint::read(&[0; 20], value), Err(wrong));
        }
    }

    proptest! {
        #[test]
        fn a_hint_is_read_back_as_it_was_written(
            host: u128,
            row in prop::collection::vec(any::<u8>(), 0..40),
            sequence: u64,
        ) {
            let hint = Hint { host: HostId(Uuid::from_u128(host)), row: &row, sequence };
            let (key, value) = (hint.key(), hint.value());
            prop_assert_eq!(Hint::read(&key, &value), Ok(hint));
        }
    }
}
