//! The bytes that sort as values do: the keys of stored rows.
//!
//! The encodings compare, byte by byte, as Cassandra compares values of the type; bitwise inverted
//! they compare the other way round, for `DESC`. No encoding is a prefix of another of the same type
//! and order, so components may stand one after the other and be read back. Null has no encoding.
//!
//! ```text
//! int, bigint, timestamp   big endian, sign flipped
//! text, ascii, blob, inet  each 00 becomes 00 FF; then 00 01
//! boolean                  00 or 01
//! tinyint, smallint        as int; date and time as they are
//! varint                   length and sign, then the fewest bytes
//! decimal                  sign, power of ten, then two digits a byte
//! float, double            IEEE bits in numeric order; every NaN after infinity
//! uuid                     version, then (version 1) time or (others) the bits in order, then node
//! timeuuid                 time, then the last 8 bytes, each as a signed number
//! frozen collections       01 before each element, 00 at the end
//! tuples                   01 before each field, 00 for null
//! ```
//!
//! Values that compare as equal have one key, and what is read back is one form of them: of numbers
//! the shortest (1.50 comes back as 1.5), of tuples the one with all fields.
//!
//! Source: the comparators of Cassandra's `db.marshal` types. Callers: `store::keys`, the order of
//! sets and maps in [`collection`](crate::collection).

mod number;

use uuid::Uuid;

use crate::collection::elements;
use crate::tuple::{fields, put_null};
use crate::value::fixed;
use crate::{CqlType, ValueError};

/// Which way a clustering column sorts.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, serde::Serialize, serde::Deserialize,
)]
pub enum Order {
    /// `ASC`: smaller values first.
    #[default]
    Ascending,
    /// `DESC`: greater values first.
    Descending,
}

/// Why bytes are no key that this module wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key ends inside a component.
    #[error("key ends inside a component")]
    Truncated,
    /// A 00 that is followed by neither FF nor 01.
    #[error("byte {byte:#04x} after a zero in a key")]
    Escape {
        /// The byte that follows.
        byte: u8,
    },
    /// A byte that stands for nothing where it stands.
    #[error("byte {byte:#04x} begins no {kind} in a key")]
    Mark {
        /// The type read.
        kind: CqlType,
        /// The byte found.
        byte: u8,
    },
    /// A value that is written as this module does not write it.
    #[error("a {kind} in a key is not in its only form")]
    Form {
        /// The type read.
        kind: CqlType,
    },
    /// A type whose values are no keys.
    #[error("{kind} has no order")]
    NoOrder {
        /// The type.
        kind: CqlType,
    },
    /// More levels than [`CqlType::DEPTH_MAX`].
    #[error("type nested deeper than {} levels", CqlType::DEPTH_MAX)]
    TooDeep,
}

/// The byte that stands for a zero byte after a zero byte.
const ZERO: u8 = 0xFF;
/// The byte that ends a string of bytes after a zero byte.
const END: u8 = 0x01;
/// The byte before an element of a collection or a field; a zero byte ends the collection, and
/// stands for a field that is null.
const ELEMENT: u8 = 0x01;

/// Appends the key bytes of `value`, a value of `kind`, to `out`.
///
/// # Errors
/// As [`validate`](crate::validate) for lengths; `out` is then as it was.
pub fn encode_component(
    kind: &CqlType,
    value: &[u8],
    order: Order,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let start = out.len();
    if let Err(error) = put(kind, value, 0, out) {
        out.truncate(start);
        return Err(error);
    }
    if order == Order::Descending {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(())
}

/// Reads back one component of `kind` from the front of `input`: the value's bytes.
pub fn decode_component(
    kind: &CqlType,
    order: Order,
    input: &mut &[u8],
) -> Result<Vec<u8>, KeyError> {
    let inverted = if order == Order::Descending { 0xFF } else { 0 };
    let mut reader = Reader { input, inverted };
    let mut value = Vec::new();
    take(kind, 0, &mut reader, &mut value)?;
    Ok(value)
}

/// Appends `bytes`, escaped and terminated, to `out`: the form of a whole partition key.
pub fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let mut pieces = bytes.split(|byte| *byte == 0);
    out.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.extend_from_slice(&[0, ZERO]);
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(&[0, END]);
}

/// Reads back what [`encode_bytes`] wrote from the front of `input`.
pub fn decode_bytes(input: &mut &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut value = Vec::new();
    Reader { input, inverted: 0 }.take_bytes(&mut value)?;
    Ok(value)
}

fn put(kind: &CqlType, value: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if depth > CqlType::DEPTH_MAX {
        return Err(ValueError::TooDeep);
    }
    match kind {
        CqlType::Int => {
            let number = u32::from_be_bytes(fixed(kind, value)?);
            out.extend_from_slice(&(number ^ SIGN_32).to_be_bytes());
        }
        CqlType::Bigint | CqlType::Timestamp => {
            let number = u64::from_be_bytes(fixed(kind, value)?);
            out.extend_from_slice(&(number ^ SIGN_64).to_be_bytes());
        }
        CqlType::Float => {
            let bits = u32::from_be_bytes(fixed(kind, value)?);
            let ordered = if bits < SIGN_32 { bits ^ SIGN_32 } else { !bits };
            out.extend_from_slice(&ordered.wrapping_sub(NANS_32).to_be_bytes());
        }
        CqlType::Double => {
            let bits = u64::from_be_bytes(fixed(kind, value)?);
            let ordered = if bits < SIGN_64 { bits ^ SIGN_64 } else { !bits };
            out.extend_from_slice(&ordered.wrapping_sub(NANS_64).to_be_bytes());
        }
        CqlType::Boolean => out.extend_from_slice(&fixed::<1>(kind, value)?),
        CqlType::Uuid => {
            let (high, low) = halves(fixed(kind, value)?);
            out.extend_from_slice(&version_first(high).to_be_bytes());
            out.extend_from_slice(&low.to_be_bytes());
        }
        CqlType::Timeuuid => {
            let (high, low) = halves(fixed(kind, value)?);
            out.extend_from_slice(&time_first(high).to_be_bytes());
            out.extend_from_slice(&(low ^ SIGN_8X8).to_be_bytes());
        }
        CqlType::Ascii | CqlType::Text | CqlType::Blob | CqlType::Inet => encode_bytes(value, out),
        CqlType::Frozen(inner) => put(inner, value, depth + 1, out)?,
        CqlType::List(of) | CqlType::Set(of) => put_elements(kind, (of, of), value, depth, out)?,
        CqlType::Map(key, of) => put_elements(kind, (key, of), value, depth, out)?,
        CqlType::Tinyint => out.push(fixed::<1>(kind, value)?[0] ^ SIGN_8),
        CqlType::Smallint => {
            let number = u16::from_be_bytes(fixed(kind, value)?);
            out.extend_from_slice(&(number ^ SIGN_16).to_be_bytes());
        }
        CqlType::Date => out.extend_from_slice(&fixed::<4>(kind, value)?),
        CqlType::Time => out.extend_from_slice(&fixed::<8>(kind, value)?),
        CqlType::Varint => number::put_varint(value, out)?,
        CqlType::Decimal => number::put_decimal(value, out)?,
        CqlType::Duration => return Err(ValueError::NoOrder { kind: kind.clone() }),
        CqlType::Tuple(of) => put_fields(kind, of.len(), value, depth, out)?,
    }
    Ok(())
}

/// Writes all fields of a tuple, be they missing in its bytes.
fn put_fields(
    kind: &CqlType,
    len: usize,
    value: &[u8],
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let mut missing = len;
    for field in fields(kind, value) {
        missing -= 1;
        match field? {
            (of, Some(field)) => {
                out.push(ELEMENT);
                put(of, field, depth + 1, out)?;
            }
            (_, None) => out.push(0),
        }
    }
    out.resize(out.len() + missing, 0);
    Ok(())
}

/// Writes the elements of a collection: those at even places are of the first type, the others of
/// the second.
fn put_elements(
    kind: &CqlType,
    (even, odd): (&CqlType, &CqlType),
    value: &[u8],
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    for (place, element) in elements(kind, value)?.enumerate() {
        out.push(ELEMENT);
        put(if place % 2 == 0 { even } else { odd }, element?, depth + 1, out)?;
    }
    out.push(0);
    Ok(())
}

fn take(
    kind: &CqlType,
    depth: usize,
    reader: &mut Reader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    if depth > CqlType::DEPTH_MAX {
        return Err(KeyError::TooDeep);
    }
    match kind {
        CqlType::Int => {
            out.extend_from_slice(&(u32::from_be_bytes(reader.take()?) ^ SIGN_32).to_be_bytes());
        }
        CqlType::Bigint | CqlType::Timestamp => {
            out.extend_from_slice(&(u64::from_be_bytes(reader.take()?) ^ SIGN_64).to_be_bytes());
        }
        CqlType::Float => {
            let ordered = u32::from_be_bytes(reader.take()?).wrapping_add(NANS_32);
            let bits = if ordered >= SIGN_32 { ordered ^ SIGN_32 } else { !ordered };
            out.extend_from_slice(&bits.to_be_bytes());
        }
        CqlType::Double => {
            let ordered = u64::from_be_bytes(reader.take()?).wrapping_add(NANS_64);
            let bits = if ordered >= SIGN_64 { ordered ^ SIGN_64 } else { !ordered };
            out.extend_from_slice(&bits.to_be_bytes());
        }
        CqlType::Boolean => out.extend_from_slice(&reader.take::<1>()?),
        CqlType::Uuid => {
            let (high, low) = halves(reader.take()?);
            out.extend_from_slice(&version_back(high).to_be_bytes());
            out.extend_from_slice(&low.to_be_bytes());
        }
        CqlType::Timeuuid => {
            let (high, low) = halves(reader.take()?);
            out.extend_from_slice(&time_back(high).to_be_bytes());
            out.extend_from_slice(&(low ^ SIGN_8X8).to_be_bytes());
        }
        CqlType::Ascii | CqlType::Text | CqlType::Blob | CqlType::Inet => reader.take_bytes(out)?,
        CqlType::Frozen(inner) => take(inner, depth + 1, reader, out)?,
        CqlType::List(of) | CqlType::Set(of) => take_elements(kind, &[of], depth, reader, out)?,
        CqlType::Map(key, of) => take_elements(kind, &[key, of], depth, reader, out)?,
        CqlType::Tinyint => out.push(reader.take::<1>()?[0] ^ SIGN_8),
        CqlType::Smallint => {
            out.extend_from_slice(&(u16::from_be_bytes(reader.take()?) ^ SIGN_16).to_be_bytes());
        }
        CqlType::Date => out.extend_from_slice(&reader.take::<4>()?),
        CqlType::Time => out.extend_from_slice(&reader.take::<8>()?),
        CqlType::Varint => number::take_varint(reader, out)?,
        CqlType::Decimal => number::take_decimal(reader, out)?,
        CqlType::Duration => return Err(KeyError::NoOrder { kind: kind.clone() }),
        CqlType::Tuple(of) => {
            for of in of {
                if reader.has_element(kind)? {
                    take_element(of, depth, reader, out)?;
                } else {
                    put_null(out);
                }
            }
        }
    }
    Ok(())
}

/// Reads the elements of a collection, each made of one value (list, set) or two (map).
fn take_elements(
    kind: &CqlType,
    of: &[&CqlType],
    depth: usize,
    reader: &mut Reader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut count = 0_i32;
    while reader.has_element(kind)? {
        count = count.checked_add(1).ok_or(KeyError::Truncated)?;
        take_element(of[0], depth, reader, out)?;
        for side in &of[1..] {
            if !reader.has_element(kind)? {
                return Err(KeyError::Truncated);
            }
            take_element(side, depth, reader, out)?;
        }
    }
    out[start..start + 4].copy_from_slice(&count.to_be_bytes());
    Ok(())
}

fn take_element(
    of: &CqlType,
    depth: usize,
    reader: &mut Reader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    take(of, depth + 1, reader, out)?;
    let len = i32::try_from(out.len() - start - 4).map_err(|_| KeyError::Truncated)?;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

/// The front of a key, seen through the inversion of its order.
struct Reader<'a, 'b> {
    input: &'a mut &'b [u8],
    inverted: u8,
}

impl Reader<'_, '_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], KeyError> {
        let (front, rest) = self.input.split_first_chunk::<N>().ok_or(KeyError::Truncated)?;
        *self.input = rest;
        Ok(front.map(|byte| byte ^ self.inverted))
    }

    /// Reads so many bytes as they stand, if they are there.
    fn take_len(&mut self, len: usize, out: &mut Vec<u8>) -> Result<(), KeyError> {
        let (front, rest) = self.input.split_at_checked(len).ok_or(KeyError::Truncated)?;
        *self.input = rest;
        out.extend(front.iter().map(|byte| byte ^ self.inverted));
        Ok(())
    }

    /// Reads escaped bytes up to and with their end.
    fn take_bytes(&mut self, out: &mut Vec<u8>) -> Result<(), KeyError> {
        loop {
            match self.take()? {
                [0] => match self.take()? {
                    [ZERO] => out.push(0),
                    [END] => return Ok(()),
                    [byte] => return Err(KeyError::Escape { byte }),
                },
                [byte] => out.push(byte),
            }
        }
    }

    fn has_element(&mut self, kind: &CqlType) -> Result<bool, KeyError> {
        match self.take()? {
            [ELEMENT] => Ok(true),
            [0] => Ok(false),
            [byte] => Err(KeyError::Mark { kind: kind.clone(), byte }),
        }
    }
}

const SIGN_8: u8 = 1 << 7;
const SIGN_16: u16 = 1 << 15;
const SIGN_32: u32 = 1 << 31;
const SIGN_64: u64 = 1 << 63;
/// The sign of each of eight bytes.
const SIGN_8X8: u64 = 0x8080_8080_8080_8080;
/// How many NaNs of a sign there are. Those with the sign bit would come before everything; taking
/// away their number moves them behind everything, and leaves the rest in order.
const NANS_32: u32 = (1 << 23) - 1;
const NANS_64: u64 = (1 << 52) - 1;
/// The version of a UUID, the 13th of its hexadecimal digits.
const VERSION: u64 = 0xF000;

fn halves(bytes: [u8; 16]) -> (u64, u64) {
    Uuid::from_bytes(bytes).as_u64_pair()
}

/// The high half of a UUID with its version in front, and behind it what orders that version: of 1
/// the time, its greatest part first, of others the remaining bits as they stand.
fn version_first(high: u64) -> u64 {
    if high & VERSION == 0x1000 {
        return time_first(high);
    }
    (high & VERSION) << 48 | (high >> 16) << 12 | (high & 0x0FFF)
}

fn version_back(key: u64) -> u64 {
    if key >> 60 == 1 {
        return time_back(key);
    }
    (key >> 48) & VERSION | (key >> 12 << 16) | (key & 0x0FFF)
}

/// `low-mid-version_and_high` of a time based UUID as `version_and_high, mid, low`.
fn time_first(high: u64) -> u64 {
    high << 48 | (high & 0xFFFF_0000) << 16 | high >> 32
}

fn time_back(key: u64) -> u64 {
    key << 32 | (key >> 16) & 0xFFFF_0000 | key >> 48
}

#[cfg(test)]
mod tests;
