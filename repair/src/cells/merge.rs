//! Joining values in their stored form: what the store does with a write, without reading first.
//!
//! Law: a join that is total. Any operands in any order, grouped in any way, some of them merged
//! before, give the same bytes. Bytes that cannot be read poison the value: it then holds all of
//! them beside what could be read, is refused by every decoder, and stays poisoned until somebody
//! [`salvage`]s it with the help of another copy.
//!
//! ```text
//! poisoned = F1  holds:u8  [row if 1]  [ranges if 2]  (length:number operand)*  crc32:u32
//! row, ranges = length:number and the value as it is stored; operands strictly ascending
//! ```
//!
//! Values of two kinds under one key poison it too: nobody could say which of them is meant.
//!
//! Callers: the store's merge operator and its batches. Pure; never panics, whatever the bytes.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::codec::{POISONED, RANGES, content};
use super::{DecodeError, Ranges, Row};
use crate::codec::{put_bytes, seal};

const HOLDS_ROW: u8 = 1;
const HOLDS_RANGES: u8 = 2;
const BOTH: u8 = HOLDS_ROW | HOLDS_RANGES;

/// What a stored value is, by its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A row of a siblings table.
    Siblings,
    /// A row of a last-write-wins table.
    Row,
    /// The range tombstones of a partition of a last-write-wins table.
    Ranges,
    /// Something that could not be read, and what could.
    Poisoned,
}

/// What the first byte of a stored value says that it is; its checksum is not looked at.
pub fn kind_of(value: &[u8]) -> Option<Kind> {
    match value.first()? >> 4 {
        0x0 => Some(Kind::Siblings),
        0x1 => Some(Kind::Row),
        0x2 => Some(Kind::Ranges),
        0xF => Some(Kind::Poisoned),
        _ => None,
    }
}

/// A merged value, and what was found on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merged {
    /// The value to store.
    pub value: Vec<u8>,
    /// How many of the values that were merged could not be read.
    pub unreadable: usize,
}

/// Joins `operands` into `base`. Nothing at all gives a row of which nothing is known.
pub fn merge_encoded<'a>(
    base: Option<&'a [u8]>,
    operands: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<u8> {
    merge_counted(base, operands).value
}

/// Joins `operands` into `base`, and counts what cannot be read; see [`merge_encoded`].
pub fn merge_counted<'a>(
    base: Option<&'a [u8]>,
    operands: impl IntoIterator<Item = &'a [u8]>,
) -> Merged {
    let mut salvaged = Salvaged::default();
    let mut unreadable = 0;
    for bytes in base.into_iter().chain(operands) {
        unreadable += usize::from(!salvaged.take_in(bytes));
    }
    Merged { value: salvaged.encode(), unreadable }
}

/// Keeps `values` as they are, without looking into them: what is left to do where reading them
/// failed in a way that should be impossible.
pub fn poison<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let unreadable = values.into_iter().map(Bytes::copy_from_slice).collect();
    Salvaged { unreadable, ..Salvaged::default() }.encode()
}

/// What can be read of a value, poisoned or not.
///
/// Merge the row of another copy into it and store that, and the row is mended.
pub fn salvage(value: &[u8]) -> Salvaged {
    let mut salvaged = Salvaged::default();
    salvaged.take_in(value);
    salvaged
}

/// What was read of values, and what could not be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Salvaged {
    /// The readable rows, merged.
    pub row: Option<Row>,
    /// The readable range tombstones, merged.
    pub ranges: Option<Ranges>,
    /// What could not be read, as it was found.
    pub unreadable: BTreeSet<Bytes>,
}

impl Salvaged {
    /// Joins one value; returns whether it could be read.
    fn take_in(&mut self, bytes: &[u8]) -> bool {
        let bytes = Bytes::copy_from_slice(bytes);
        let decoded = match bytes.first() {
            Some(&RANGES) => Ranges::decode(&bytes).map(|ranges| self.join_ranges(ranges)),
            Some(&POISONED) => Self::decode(&bytes).map(|other| self.join(other)),
            _ => Row::decode(&bytes).map(|row| self.join_row(row)),
        };
        if decoded.is_err() {
            self.unreadable.insert(bytes);
        }
        decoded.is_ok()
    }

    fn join(&mut self, other: Self) {
        other.row.into_iter().for_each(|row| self.join_row(row));
        other.ranges.into_iter().for_each(|ranges| self.join_ranges(ranges));
        self.unreadable.extend(other.unreadable);
    }

    fn join_row(&mut self, row: Row) {
        match &mut self.row {
            Some(mine) => mine.merge(&row),
            None => self.row = Some(row),
        }
    }

    fn join_ranges(&mut self, ranges: Ranges) {
        match &mut self.ranges {
            Some(mine) => mine.merge(&ranges),
            None => self.ranges = Some(ranges),
        }
    }

    /// The value to store: poisoned unless everything in it is of one kind and was read.
    fn encode(&self) -> Vec<u8> {
        if self.unreadable.is_empty() {
            match (&self.row, &self.ranges) {
                (Some(row), None) => return row.encode(),
                (None, Some(ranges)) => return ranges.encode(),
                (None, None) => return Row::default().encode(),
                (Some(_), Some(_)) => {}
            }
        }
        let mut bytes = vec![POISONED, self.holds()];
        if let Some(row) = &self.row {
            put_bytes(&mut bytes, &row.encode());
        }
        if let Some(ranges) = &self.ranges {
            put_bytes(&mut bytes, &ranges.encode());
        }
        for operand in &self.unreadable {
            put_bytes(&mut bytes, operand);
        }
        seal(&mut bytes);
        bytes
    }

    fn holds(&self) -> u8 {
        u8::from(self.row.is_some()) * HOLDS_ROW + u8::from(self.ranges.is_some()) * HOLDS_RANGES
    }

    /// Reads a poisoned value; anything but what [`Self::encode`] gives is refused.
    fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = content(bytes, POISONED)?;
        let holds = reader.byte()?;
        if holds & !BOTH != 0 {
            return Err(DecodeError::UnknownContent { holds });
        }
        let mut salvaged = Self::default();
        if holds & HOLDS_ROW != 0 {
            salvaged.row = Some(Row::decode(&reader.bytes(bytes)?)?);
        }
        if holds & HOLDS_RANGES != 0 {
            salvaged.ranges = Some(Ranges::decode(&reader.bytes(bytes)?)?);
        }
        while !reader.is_empty() {
            let operand = reader.bytes(bytes)?;
            if salvaged.unreadable.last().is_some_and(|last| *last >= operand) {
                return Err(DecodeError::OutOfOrder);
            }
            salvaged.unreadable.insert(operand);
        }
        let is_poisoned = !salvaged.unreadable.is_empty() || salvaged.holds() == BOTH;
        if is_poisoned { Ok(salvaged) } else { Err(DecodeError::Redundant) }
    }
}

#[cfg(test)]
mod tests;
