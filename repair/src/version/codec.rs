//! The bytes of a stored row and of a vector.
//!
//! There is one encoding of each value, so that equal rows have equal bytes and equal digests,
//! and decoding refuses every other: it never panics, and allocates no more than the bytes in
//! hand can fill.
//!
//! ```text
//! row     = format:u8=1  vector  removed_at:i64  count:number  version*  crc32:u32
//! version = actor's index in the vector:number  counter:number  write_time:i64  marker
//!           length:number  columns                     strictly ascending as versions are
//! marker  = 0 | 1 (for ever) | 2 instant:i64
//! vector  = count:number  (store:u128  epoch:number  counter:number)*   ascending by actor
//! ```
//!
//! The checksum is over all bytes before it; formats to come keep it in the last four bytes, so
//! that damage is told from a newer format. A vector by itself bears neither: what carries it does.
//!
//! Callers: the store's rows, messages between nodes, client contexts. Pure.

use std::num::NonZeroU64;

use bytes::Bytes;
use ring::StoreId;

use super::{Actor, Column, Columns, Dot, Expiry, Siblings, Version, VersionVector};
use crate::codec::{Malformed, Reader, put_number, seal, unseal};

/// The format that this build writes, and the only one so far.
const FORMAT: u8 = 1;

/// Why bytes are not what they should be. Nothing was taken from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("truncated")]
    Truncated,
    /// The bytes were changed since they were written.
    #[error("damaged: checksum {stored:08x} is stored, {computed:08x} computed")]
    Damaged {
        /// What the last four bytes say.
        stored: u32,
        /// What the bytes before them give.
        computed: u32,
    },
    /// Undamaged, and of a format that this build does not know.
    #[error("unknown format {format}")]
    UnknownFormat {
        /// The first byte.
        format: u8,
    },
    /// More bytes than the value has.
    #[error("{len} bytes too many")]
    TrailingBytes {
        /// How many.
        len: usize,
    },
    /// A number is not in its shortest form, or too large.
    #[error("malformed number")]
    Number,
    /// The actors of a vector do not ascend.
    #[error("actors out of order")]
    ActorsOutOfOrder,
    /// A counter of zero.
    #[error("a counter of zero")]
    ZeroCounter,
    /// The time of a removal is before the Unix epoch.
    #[error("a removal before 1970")]
    NegativeRemoval,
    /// The versions of a row do not ascend.
    #[error("versions out of order")]
    VersionsOutOfOrder,
    /// The dot of a version is not in the row's vector.
    #[error("a version that its vector does not cover")]
    UncoveredDot,
    /// The marker of a version is none of the known ones.
    #[error("unknown marker {marker}")]
    UnknownMarker {
        /// The byte.
        marker: u8,
    },
    /// The columns of a version do not ascend.
    #[error("columns out of order")]
    ColumnsOutOfOrder,
}

impl Siblings {
    /// The row as it is stored and sent. Equal rows have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let columns: usize = self.versions().iter().map(|v| 48 + v.columns.as_bytes().len()).sum();
        let mut bytes = Vec::with_capacity(24 + 32 * self.vector().len() + columns);
        bytes.push(FORMAT);
        put_vector(&mut bytes, self.vector());
        bytes.extend_from_slice(&self.removed_at().to_be_bytes());
        put_number(&mut bytes, self.versions().len() as u64);
        for version in self.versions() {
            put_version(&mut bytes, version, self.vector());
        }
        seal(&mut bytes);
        bytes
    }

    /// Reads a row from its bytes; its columns share them.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but what [`Self::encode`] gives.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(unseal(bytes)?);
        let format = reader.byte()?;
        if format != FORMAT {
            return Err(DecodeError::UnknownFormat { format });
        }
        let vector = reader.vector()?;
        let removed_at = reader.instant()?;
        let count = reader.number()?;
        let mut versions = Vec::new();
        for _ in 0..count {
            versions.push(reader.version(&vector, bytes)?);
        }
        reader.finish()?;
        Self::from_parts(vector, versions, removed_at)
    }
}

impl VersionVector {
    /// The vector's bytes, without format or checksum. Equal vectors have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + 32 * self.len());
        put_vector(&mut bytes, self);
        bytes
    }

    /// Reads a vector from its bytes.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but what [`Self::encode`] gives.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let vector = reader.vector()?;
        reader.finish()?;
        Ok(vector)
    }
}

impl TryFrom<Bytes> for VersionVector {
    type Error = DecodeError;

    fn try_from(bytes: Bytes) -> Result<Self, DecodeError> {
        Self::decode(&bytes)
    }
}

impl From<VersionVector> for Bytes {
    fn from(vector: VersionVector) -> Self {
        vector.encode().into()
    }
}

impl From<Malformed> for DecodeError {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Truncated => Self::Truncated,
            Malformed::Damaged { stored, computed } => Self::Damaged { stored, computed },
            Malformed::TrailingBytes { len } => Self::TrailingBytes { len },
            Malformed::Number => Self::Number,
        }
    }
}

fn put_vector(bytes: &mut Vec<u8>, vector: &VersionVector) {
    put_number(bytes, vector.len() as u64);
    for Dot { actor, counter } in vector.dots() {
        bytes.extend_from_slice(&actor.store.0.to_be_bytes());
        put_number(bytes, actor.epoch);
        put_number(bytes, counter.get());
    }
}

fn put_version(bytes: &mut Vec<u8>, version: &Version, vector: &VersionVector) {
    let actor = vector.place(version.dot.actor).expect("a row's vector covers its versions");
    put_number(bytes, actor as u64);
    put_number(bytes, version.dot.counter.get());
    bytes.extend_from_slice(&version.write_time.to_be_bytes());
    match version.marker {
        None => bytes.push(0),
        Some(Expiry::Never) => bytes.push(1),
        Some(Expiry::At(instant)) => {
            bytes.push(2);
            bytes.extend_from_slice(&instant.to_be_bytes());
        }
    }
    put_number(bytes, version.columns.as_bytes().len() as u64);
    bytes.extend_from_slice(version.columns.as_bytes());
}

impl<'a> Reader<'a> {
    /// One column; its order among others is for the caller to check.
    pub(super) fn column(&mut self) -> Result<Column<'a>, DecodeError> {
        let id = u32::try_from(self.number()?).map_err(|_| DecodeError::Number)?;
        let length = self.number()?;
        let expiry = if length & 1 == 1 { Expiry::At(self.instant()?) } else { Expiry::Never };
        Ok(Column { id, value: self.take(length >> 1)?, expiry })
    }

    fn version(&mut self, vector: &VersionVector, whole: &Bytes) -> Result<Version, DecodeError> {
        let index = usize::try_from(self.number()?).map_err(|_| DecodeError::UncoveredDot)?;
        let actor = vector.at(index).ok_or(DecodeError::UncoveredDot)?.actor;
        let dot = Dot { actor, counter: self.counter()? };
        let write_time = self.instant()?;
        let marker = self.marker()?;
        let length = self.number()?;
        let columns = Columns::decode(whole.slice_ref(self.take(length)?))?;
        Ok(Version { dot, write_time, marker, columns })
    }

    fn marker(&mut self) -> Result<Option<Expiry>, DecodeError> {
        match self.byte()? {
            0 => Ok(None),
            1 => Ok(Some(Expiry::Never)),
            2 => Ok(Some(Expiry::At(self.instant()?))),
            marker => Err(DecodeError::UnknownMarker { marker }),
        }
    }

    fn vector(&mut self) -> Result<VersionVector, DecodeError> {
        let mut vector = VersionVector::default();
        for _ in 0..self.number()? {
            let store = StoreId(u128::from_be_bytes(self.array()?));
            let actor = Actor { store, epoch: self.number()? };
            vector.push(Dot { actor, counter: self.counter()? })?;
        }
        Ok(vector)
    }

    fn counter(&mut self) -> Result<NonZeroU64, DecodeError> {
        NonZeroU64::new(self.number()?).ok_or(DecodeError::ZeroCounter)
    }
}

#[cfg(test)]
mod tests;
