//! The bytes of a stored row and of the range tombstones of a partition.
//!
//! There is one encoding of each value, so that equal rows have equal bytes and equal digests,
//! and decoding refuses every other: it never panics, and allocates no more than the bytes in
//! hand can fill. The high half of the first byte says what it is, the low half its format; a
//! siblings row begins with 0.
//!
//! ```text
//! row     = 11  holds:u8  [deletion:i64 if 1]  stamps  [cell if 2]  column*  crc32:u32
//! stamps  = count:number  (timestamp:i64 operation:u64)*       strictly ascending, each in use
//! column  = id:number  holds:u8  [cell if 1]  [stamp:number if 2]  [elements if 4]    ascending
//! elements = count:number  (length:number path cell)*                                 ascending
//! cell    = (stamp * 4 + kind):number  [instant:i64 if 2]  [length:number value if 1 or 2]
//! kind    = 0 null | 1 value for ever | 2 value that ends             a marker has no value
//!
//! ranges  = 21  (length:number start  covers:u8  [timestamp:i64 if 1])*               crc32:u32
//! ```
//!
//! `stamp` is the place of a write stamp in `stamps`. Integers are big endian, numbers LEB128.
//!
//! Callers: the store's rows, messages between nodes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::ranges::Step;
use super::row::{Column, Marker};
use super::{Cell, Expiry, Ranges, Row, WriteStamp};
use crate::codec::{Malformed, Reader, put_bytes, put_number, seal, unseal};

/// The first byte of a row.
pub(super) const ROW: u8 = 0x11;
/// The first byte of range tombstones.
pub(super) const RANGES: u8 = 0x21;
/// The first byte of a value that holds what could not be read.
pub(super) const POISONED: u8 = 0xF1;

/// What a row or a column holds beside its columns or cells.
const DELETION: u8 = 1;
const MARKER: u8 = 2;
const CELL: u8 = 1;
const RESET: u8 = 2;
const ELEMENTS: u8 = 4;

/// What follows the stamp of a cell.
const NULL: u64 = 0;
const FOR_EVER: u64 = 1;
const ENDS: u64 = 2;

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
    /// Undamaged, and of a format or a kind that is not asked for.
    #[error("unknown format {format:#04x}")]
    UnknownFormat {
        /// The first byte.
        format: u8,
    },
    /// Something that was merged into the value could not be read; what could is still in it.
    #[error("poisoned by something that could not be read")]
    Poisoned,
    /// More bytes than the value has.
    #[error("{len} bytes too many")]
    TrailingBytes {
        /// How many.
        len: usize,
    },
    /// A number is not in its shortest form, or too large.
    #[error("malformed number")]
    Number,
    /// Stamps, columns, elements or steps do not ascend.
    #[error("out of order")]
    OutOfOrder,
    /// A stamp that is not in the row's list, or one in the list that nothing bears.
    #[error("stamps do not fit the cells")]
    Stamps,
    /// A byte says that something is there which is not known, or that nothing is.
    #[error("unknown content {holds:#04x}")]
    UnknownContent {
        /// The byte.
        holds: u8,
    },
    /// Something is there that a deletion of the same value covers.
    #[error("a deleted cell that is still there")]
    Covered,
    /// A step of range tombstones where nothing changes.
    #[error("a step that changes nothing")]
    Redundant,
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

/// The content behind the first byte, if that is `format` and the checksum is right.
pub(super) fn content(bytes: &[u8], format: u8) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(unseal(bytes)?);
    match reader.byte()? {
        found if found == format => Ok(reader),
        POISONED => Err(DecodeError::Poisoned),
        format => Err(DecodeError::UnknownFormat { format }),
    }
}

impl Row {
    /// The row as it is stored and sent. Equal rows have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let stamps: Vec<WriteStamp> = self.stamps().collect::<BTreeSet<_>>().into_iter().collect();
        let mut out = Encoder { bytes: vec![ROW], stamps };
        out.put_holds(&[(DELETION, self.deletion.is_some()), (MARKER, self.marker.is_some())]);
        out.bytes.extend(self.deletion.iter().flat_map(|deletion| deletion.to_be_bytes()));
        out.put_stamps();
        if let Some(Marker { stamp, expiry }) = self.marker {
            out.put_life(stamp, Some(expiry));
        }
        for (id, column) in &self.columns {
            out.put_column(*id, column);
        }
        seal(&mut out.bytes);
        out.bytes
    }

    /// Reads a row from its bytes; its values share them.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but what [`Self::encode`] gives.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = content(bytes, ROW)?;
        let holds = reader.holds(DELETION | MARKER)?;
        let deletion = (holds & DELETION != 0).then(|| reader.instant()).transpose()?;
        let mut decoder = Decoder::new(reader, deletion, bytes)?;
        let marker = (holds & MARKER != 0).then(|| decoder.marker()).transpose()?;
        let columns = decoder.columns()?;
        if !decoder.is_used.iter().all(|is_used| *is_used) {
            return Err(DecodeError::Stamps);
        }
        Ok(Self { deletion, marker, columns })
    }

    /// The stamps of all that the row holds.
    fn stamps(&self) -> impl Iterator<Item = WriteStamp> {
        let of_columns = self.columns.values().flat_map(|column| {
            let cells = column.cell.iter().chain(column.elements.values());
            column.reset.into_iter().chain(cells.map(|cell| cell.stamp))
        });
        self.marker.iter().map(|marker| marker.stamp).chain(of_columns)
    }
}

impl Ranges {
    /// The tombstones as they are stored and sent. Equal ones have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![RANGES];
        for Step { start, deletion } in &self.steps {
            put_bytes(&mut bytes, start);
            bytes.push(deletion.is_some().into());
            bytes.extend(deletion.iter().flat_map(|deletion| deletion.to_be_bytes()));
        }
        seal(&mut bytes);
        bytes
    }

    /// Reads tombstones from their bytes, which they share.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but what [`Self::encode`] gives.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = content(bytes, RANGES)?;
        let mut steps: Vec<Step> = Vec::new();
        while !reader.is_empty() {
            let start = reader.bytes(bytes)?;
            let covers = reader.holds(1)? == 1;
            let deletion = covers.then(|| reader.instant()).transpose()?;
            if steps.last().is_some_and(|last| last.start >= start) {
                return Err(DecodeError::OutOfOrder);
            }
            if steps.last().and_then(|last| last.deletion) == deletion {
                return Err(DecodeError::Redundant);
            }
            steps.push(Step { start, deletion });
        }
        Ok(Self { steps })
    }
}

struct Encoder {
    bytes: Vec<u8>,
    /// Ascending.
    stamps: Vec<WriteStamp>,
}

impl Encoder {
    fn put_holds(&mut self, parts: &[(u8, bool)]) {
        let there = parts.iter().filter(|(_, is_there)| *is_there);
        self.bytes.push(there.fold(0, |holds, (bit, _)| holds | bit));
    }

    fn put_stamps(&mut self) {
        put_number(&mut self.bytes, self.stamps.len() as u64);
        for WriteStamp { timestamp, operation } in &self.stamps {
            self.bytes.extend_from_slice(&timestamp.to_be_bytes());
            self.bytes.extend_from_slice(&operation.to_be_bytes());
        }
    }

    fn put_column(&mut self, id: u32, Column { cell, reset, elements }: &Column) {
        put_number(&mut self.bytes, id.into());
        let parts =
            [(CELL, cell.is_some()), (RESET, reset.is_some()), (ELEMENTS, !elements.is_empty())];
        self.put_holds(&parts);
        if let Some(cell) = cell {
            self.put_cell(cell);
        }
        if let Some(reset) = reset {
            let place = self.place(*reset);
            put_number(&mut self.bytes, place);
        }
        if !elements.is_empty() {
            put_number(&mut self.bytes, elements.len() as u64);
        }
        for (path, cell) in elements {
            put_bytes(&mut self.bytes, path);
            self.put_cell(cell);
        }
    }

    fn put_cell(&mut self, cell: &Cell) {
        self.put_life(cell.stamp, cell.value.as_ref().map(|_| cell.expiry));
        if let Some(value) = &cell.value {
            put_bytes(&mut self.bytes, value);
        }
    }

    /// A stamp and the end of what was written under it; null has none.
    fn put_life(&mut self, stamp: WriteStamp, expiry: Option<Expiry>) {
        let place = self.place(stamp) << 2;
        match expiry {
            None => put_number(&mut self.bytes, place | NULL),
            Some(Expiry::Never) => put_number(&mut self.bytes, place | FOR_EVER),
            Some(Expiry::At(instant)) => {
                put_number(&mut self.bytes, place | ENDS);
                self.bytes.extend_from_slice(&instant.to_be_bytes());
            }
        }
    }

    fn place(&self, stamp: WriteStamp) -> u64 {
        self.stamps.binary_search(&stamp).expect("the list holds all stamps of the row") as u64
    }
}

impl Reader<'_> {
    /// A byte of which only the bits of `known` may be set.
    fn holds(&mut self, known: u8) -> Result<u8, DecodeError> {
        let holds = self.byte()?;
        if holds & !known == 0 { Ok(holds) } else { Err(DecodeError::UnknownContent { holds }) }
    }
}

struct Decoder<'a> {
    reader: Reader<'a>,
    whole: &'a Bytes,
    stamps: Vec<WriteStamp>,
    is_used: Vec<bool>,
}

impl<'a> Decoder<'a> {
    fn new(
        mut reader: Reader<'a>,
        deletion: Option<i64>,
        whole: &'a Bytes,
    ) -> Result<Self, DecodeError> {
        let mut stamps: Vec<WriteStamp> = Vec::new();
        for _ in 0..reader.number()? {
            let (timestamp, operation) = (reader.instant()?, reader.array()?);
            let stamp = WriteStamp { timestamp, operation: u64::from_be_bytes(operation) };
            if deletion >= Some(timestamp) {
                return Err(DecodeError::Covered);
            }
            if stamps.last().is_some_and(|last| *last >= stamp) {
                return Err(DecodeError::OutOfOrder);
            }
            stamps.push(stamp);
        }
        let is_used = vec![false; stamps.len()];
        Ok(Self { reader, whole, stamps, is_used })
    }

    fn columns(&mut self) -> Result<BTreeMap<u32, Column>, DecodeError> {
        let mut columns = Vec::new();
        while !self.reader.is_empty() {
            let id = u32::try_from(self.reader.number()?).map_err(|_| DecodeError::Number)?;
            ascend(&columns, &id)?;
            columns.push((id, self.column()?));
        }
        Ok(columns.into_iter().collect())
    }

    fn column(&mut self) -> Result<Column, DecodeError> {
        let holds = self.reader.holds(CELL | RESET | ELEMENTS)?;
        if holds == 0 {
            return Err(DecodeError::UnknownContent { holds });
        }
        let cell = (holds & CELL != 0).then(|| self.cell()).transpose()?;
        let reset = (holds & RESET != 0).then(|| self.reset()).transpose()?;
        let elements = (holds & ELEMENTS != 0).then(|| self.elements(reset)).transpose()?;
        Ok(Column { cell, reset, elements: elements.unwrap_or_default() })
    }

    fn elements(
        &mut self,
        reset: Option<WriteStamp>,
    ) -> Result<BTreeMap<Bytes, Cell>, DecodeError> {
        let count = self.reader.number()?;
        if count == 0 {
            return Err(DecodeError::UnknownContent { holds: ELEMENTS });
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            let path = self.reader.bytes(self.whole)?;
            ascend(&elements, &path)?;
            let cell = self.cell()?;
            if reset.is_some_and(|reset| cell.stamp < reset) {
                return Err(DecodeError::Covered);
            }
            elements.push((path, cell));
        }
        Ok(elements.into_iter().collect())
    }

    fn reset(&mut self) -> Result<WriteStamp, DecodeError> {
        let place = self.reader.number()?;
        self.stamp(place)
    }

    fn marker(&mut self) -> Result<Marker, DecodeError> {
        match self.life()? {
            (stamp, Some(expiry)) => Ok(Marker { stamp, expiry }),
            (_, None) => Err(DecodeError::UnknownContent { holds: MARKER }),
        }
    }

    fn cell(&mut self) -> Result<Cell, DecodeError> {
        let (stamp, expiry) = self.life()?;
        let value = expiry.map(|_| self.reader.bytes(self.whole)).transpose()?;
        Ok(Cell { stamp, expiry: expiry.unwrap_or(Expiry::Never), value })
    }

    fn life(&mut self) -> Result<(WriteStamp, Option<Expiry>), DecodeError> {
        let number = self.reader.number()?;
        let stamp = self.stamp(number >> 2)?;
        let expiry = match number & 3 {
            NULL => None,
            FOR_EVER => Some(Expiry::Never),
            ENDS => Some(Expiry::At(self.reader.instant()?)),
            _ => return Err(DecodeError::UnknownContent { holds: 3 }),
        };
        Ok((stamp, expiry))
    }

    fn stamp(&mut self, place: u64) -> Result<WriteStamp, DecodeError> {
        let place = usize::try_from(place).map_err(|_| DecodeError::Stamps)?;
        let stamp = *self.stamps.get(place).ok_or(DecodeError::Stamps)?;
        self.is_used[place] = true;
        Ok(stamp)
    }
}

/// Whether `next` may stand behind what was read.
fn ascend<K: Ord, V>(read: &[(K, V)], next: &K) -> Result<(), DecodeError> {
    let ascends = read.last().is_none_or(|(last, _)| last < next);
    if ascends { Ok(()) } else { Err(DecodeError::OutOfOrder) }
}

#[cfg(test)]
mod tests;
