//! A value in memory, and the native protocol's bytes of it.
//!
//! The bytes carry no type of their own, so every function here takes the [`CqlType`] beside them.
//! All of them are total: bytes come from clients and disks, and wrong ones end in a [`ValueError`].
//! Null is the absence of a value and stays outside; an empty value is legal for `text`, `ascii` and
//! `blob` only.
//!
//! ```text
//! int 7              00 00 00 07
//! set<text> {a, bc}  00 00 00 02 | 00 00 00 01 61 | 00 00 00 02 62 63
//! date 1970-01-01    80 00 00 00
//! ```
//!
//! Source: native protocol v4, §6. Callers: the binder, the shell, the tests.

use std::net::IpAddr;

use bytes::Bytes;
use uuid::Uuid;

use num_bigint::BigInt;

use crate::collection::{self, elements};
use crate::date::NANOS_PER_DAY;
use crate::tuple::{fields, put_null};
use crate::{CqlType, Decimal, Duration, decimal};

/// A value of some type. `text` and `ascii` share a form, and so do `uuid` and `timeuuid`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A `bigint`.
    Bigint(i64),
    /// A `blob`.
    Blob(Bytes),
    /// A `boolean`.
    Boolean(bool),
    /// A `double`.
    Double(f64),
    /// A `float`.
    Float(f32),
    /// An `int`.
    Int(i32),
    /// An `inet`.
    Inet(IpAddr),
    /// A `text` or an `ascii`.
    Text(String),
    /// A `timestamp`: milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// A `uuid` or a `timeuuid`.
    Uuid(Uuid),
    /// A `list`.
    List(Vec<Value>),
    /// A `set`: in the order of the element type and without doubles when it was read from a table.
    Set(Vec<Value>),
    /// A `map`: in the order of the key type and without doubles when it was read from a table.
    Map(Vec<(Value, Value)>),
    /// A `tinyint`.
    Tinyint(i8),
    /// A `smallint`.
    Smallint(i16),
    /// A `varint`.
    Varint(BigInt),
    /// A `decimal`.
    Decimal(Decimal),
    /// A `date`: days since 1970-01-01.
    Date(i32),
    /// A `time`: nanoseconds since midnight, less than a day's.
    Time(i64),
    /// A `duration`.
    Duration(Duration),
    /// A `tuple`: one for each field, `None` for null.
    Tuple(Vec<Option<Value>>),
}

/// Why bytes are no value of a type, or a value is not of a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A value of fixed size has another.
    #[error("{kind} takes {expected} bytes, not {len}")]
    Length {
        /// The type.
        kind: CqlType,
        /// The lengths it may have.
        expected: &'static str,
        /// The length given.
        len: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("text is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// The first wrong byte, counted from 0.
        at: usize,
    },
    /// Bytes outside US-ASCII.
    #[error("ascii text has another character at byte {at}")]
    NotAscii {
        /// The first wrong byte, counted from 0.
        at: usize,
    },
    /// A boolean that is neither 0 nor 1.
    #[error("boolean is 0 or 1, not {byte}")]
    NotBoolean {
        /// The byte given.
        byte: u8,
    },
    /// A timeuuid of another version than 1.
    #[error("timeuuid takes a uuid of version 1, not {version}")]
    NotTimeBased {
        /// The version given.
        version: u8,
    },
    /// A time that lies on no day.
    #[error("time is 0 to {} nanoseconds, not {nanos}", NANOS_PER_DAY - 1)]
    NotTimeOfDay {
        /// The time given.
        nanos: i64,
    },
    /// Bytes that are no duration: three numbers of one sign.
    #[error("duration takes months, days and nanoseconds of one sign")]
    Duration,
    /// A number that is too long to be written in decimal.
    #[error("{kind} of more than {max} bytes")]
    TooManyDigits {
        /// The type.
        kind: CqlType,
        /// The most there may be.
        max: usize,
    },
    /// Values that have no order where they need one.
    #[error("{kind} has no order")]
    NoOrder {
        /// The type.
        kind: CqlType,
    },
    /// A collection or tuple that ends before all its elements were there.
    #[error("{kind} ends inside an element")]
    Truncated {
        /// The type of the collection.
        kind: CqlType,
    },
    /// A collection or tuple with bytes after its last element.
    #[error("{kind} has {len} bytes after its last element")]
    Trailing {
        /// The type of the collection.
        kind: CqlType,
        /// How many bytes are left.
        len: usize,
    },
    /// A collection with a negative number of elements.
    #[error("{kind} has {count} elements")]
    NegativeCount {
        /// The type of the collection.
        kind: CqlType,
        /// The number given.
        count: i32,
    },
    /// Null inside a collection.
    #[error("null inside {kind}")]
    NullElement {
        /// The type of the collection.
        kind: CqlType,
    },
    /// A value of another type.
    #[error("{value} is no {kind}")]
    Mismatch {
        /// The type wanted.
        kind: CqlType,
        /// The value's own form: `int`, `a set`…
        value: &'static str,
    },
    /// A collection or an element of more than 2³¹ - 1 elements or bytes.
    #[error("{kind} is too large to be written")]
    TooLarge {
        /// The type of the collection.
        kind: CqlType,
    },
    /// More levels than [`CqlType::DEPTH_MAX`].
    #[error("type nested deeper than {} levels", CqlType::DEPTH_MAX)]
    TooDeep,
}

/// Checks that `bytes` are a value of `kind`, as a bound value must be.
pub fn validate(kind: &CqlType, bytes: &[u8]) -> Result<(), ValueError> {
    validate_at(kind, bytes, 0)
}

fn validate_at(kind: &CqlType, bytes: &[u8], depth: usize) -> Result<(), ValueError> {
    if depth > CqlType::DEPTH_MAX {
        return Err(ValueError::TooDeep);
    }
    match kind {
        CqlType::Frozen(inner) => validate_at(inner, bytes, depth + 1),
        CqlType::List(of) | CqlType::Set(of) => {
            elements(kind, bytes)?.try_for_each(|element| validate_at(of, element?, depth + 1))
        }
        CqlType::Map(key, value) => {
            let mut sides = [key, value].into_iter().cycle();
            elements(kind, bytes)?.try_for_each(|element| {
                let side = sides.next().expect("a cycle has no end");
                validate_at(side, element?, depth + 1)
            })
        }
        CqlType::Tuple(_) => fields(kind, bytes).try_for_each(|field| {
            let (of, field) = field?;
            field.map_or(Ok(()), |field| validate_at(of, field, depth + 1))
        }),
        scalar => validate_scalar(scalar, bytes),
    }
}

fn validate_scalar(kind: &CqlType, bytes: &[u8]) -> Result<(), ValueError> {
    match kind {
        CqlType::Text => text(bytes).map(drop),
        CqlType::Ascii => ascii(bytes).map(drop),
        CqlType::Boolean => boolean(bytes).map(drop),
        CqlType::Int | CqlType::Float | CqlType::Date => fixed::<4>(kind, bytes).map(drop),
        CqlType::Bigint | CqlType::Timestamp | CqlType::Double => fixed::<8>(kind, bytes).map(drop),
        CqlType::Uuid | CqlType::Timeuuid => uuid(kind, bytes).map(drop),
        CqlType::Inet => inet(bytes).map(drop),
        CqlType::Tinyint => fixed::<1>(kind, bytes).map(drop),
        CqlType::Smallint => fixed::<2>(kind, bytes).map(drop),
        CqlType::Time => time(bytes).map(drop),
        CqlType::Varint => decimal::varint(bytes).map(drop),
        CqlType::Decimal => decimal::parts(bytes).map(drop),
        CqlType::Duration => Duration::decode(bytes).map(drop),
        _ => Ok(()), // A blob may be anything; collections do not come here.
    }
}

impl Value {
    /// Reads the bytes of a value of `kind`.
    pub fn decode(kind: &CqlType, bytes: &[u8]) -> Result<Self, ValueError> {
        Self::decode_at(kind, bytes, 0)
    }

    fn decode_at(kind: &CqlType, bytes: &[u8], depth: usize) -> Result<Self, ValueError> {
        if depth > CqlType::DEPTH_MAX {
            return Err(ValueError::TooDeep);
        }
        Ok(match kind {
            CqlType::Ascii => Self::Text(ascii(bytes)?.to_owned()),
            CqlType::Text => Self::Text(text(bytes)?.to_owned()),
            CqlType::Bigint => Self::Bigint(i64::from_be_bytes(fixed(kind, bytes)?)),
            CqlType::Timestamp => Self::Timestamp(i64::from_be_bytes(fixed(kind, bytes)?)),
            CqlType::Int => Self::Int(i32::from_be_bytes(fixed(kind, bytes)?)),
            CqlType::Double => Self::Double(f64::from_be_bytes(fixed(kind, bytes)?)),
            CqlType::Float => Self::Float(f32::from_be_bytes(fixed(kind, bytes)?)),
            CqlType::Blob => Self::Blob(Bytes::copy_from_slice(bytes)),
            CqlType::Boolean => Self::Boolean(boolean(bytes)?),
            CqlType::Inet => Self::Inet(inet(bytes)?),
            CqlType::Uuid | CqlType::Timeuuid => Self::Uuid(uuid(kind, bytes)?),
            CqlType::List(of) => Self::List(Self::decode_each(kind, of, bytes, depth)?),
            CqlType::Set(of) => Self::Set(Self::decode_each(kind, of, bytes, depth)?),
            CqlType::Map(key, value) => {
                Self::Map(Self::decode_pairs(kind, (key, value), bytes, depth)?)
            }
            CqlType::Frozen(inner) => Self::decode_at(inner, bytes, depth + 1)?,
            CqlType::Tinyint => Self::Tinyint(i8::from_be_bytes(fixed(kind, bytes)?)),
            CqlType::Smallint => Self::Smallint(i16::from_be_bytes(fixed(kind, bytes)?)),
            CqlType::Varint => Self::Varint(BigInt::from_signed_bytes_be(decimal::varint(bytes)?)),
            CqlType::Decimal => Self::Decimal(Decimal::decode(bytes)?),
            CqlType::Date => {
                Self::Date((u32::from_be_bytes(fixed(kind, bytes)?) ^ EPOCH_DAY).cast_signed())
            }
            CqlType::Time => Self::Time(time(bytes)?),
            CqlType::Duration => Self::Duration(Duration::decode(bytes)?),
            CqlType::Tuple(of) => Self::Tuple(Self::decode_fields(kind, of.len(), bytes, depth)?),
        })
    }

    /// The fields of a tuple; those that are missing at its end are null.
    fn decode_fields(
        kind: &CqlType,
        len: usize,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Vec<Option<Self>>, ValueError> {
        let values = fields(kind, bytes).map(|field| {
            let (of, field) = field?;
            field.map(|field| Self::decode_at(of, field, depth + 1)).transpose()
        });
        let mut values = values.collect::<Result<Vec<_>, _>>()?;
        values.resize(len, None);
        Ok(values)
    }

    fn decode_each(
        kind: &CqlType,
        of: &CqlType,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Vec<Self>, ValueError> {
        elements(kind, bytes)?.map(|element| Self::decode_at(of, element?, depth + 1)).collect()
    }

    fn decode_pairs(
        kind: &CqlType,
        (key, value): (&CqlType, &CqlType),
        bytes: &[u8],
        depth: usize,
    ) -> Result<Vec<(Self, Self)>, ValueError> {
        let mut pairs = Vec::new();
        let mut elements = elements(kind, bytes)?;
        while let Some(first) = elements.next() {
            let first = Self::decode_at(key, first?, depth + 1)?;
            let second =
                elements.next().unwrap_or(Err(ValueError::Truncated { kind: kind.clone() }));
            pairs.push((first, Self::decode_at(value, second?, depth + 1)?));
        }
        Ok(pairs)
    }

    /// The bytes of the value as one of `kind`, sets and maps in order and without doubles (of two
    /// equal keys of a map the later value stays).
    pub fn encode(&self, kind: &CqlType) -> Result<Vec<u8>, ValueError> {
        let mut out = Vec::new();
        self.encode_at(kind, 0, &mut out)?;
        Ok(match kind.thawed() {
            CqlType::List(_) | CqlType::Set(_) | CqlType::Map(..) | CqlType::Tuple(_) => {
                collection::normalise(kind, &out)?.into_owned()
            }
            _ => out,
        })
    }

    fn encode_at(&self, kind: &CqlType, depth: usize, out: &mut Vec<u8>) -> Result<(), ValueError> {
        if depth > CqlType::DEPTH_MAX {
            return Err(ValueError::TooDeep);
        }
        match (kind, self) {
            (CqlType::Frozen(inner), _) => return self.encode_at(inner, depth + 1, out),
            (CqlType::Text, Self::Text(text)) => out.extend_from_slice(text.as_bytes()),
            (CqlType::Ascii, Self::Text(text)) => {
                out.extend_from_slice(ascii(text.as_bytes())?.as_bytes());
            }
            (CqlType::Bigint, Self::Bigint(number))
            | (CqlType::Timestamp, Self::Timestamp(number)) => {
                out.extend_from_slice(&number.to_be_bytes());
            }
            (CqlType::Int, Self::Int(number)) => out.extend_from_slice(&number.to_be_bytes()),
            (CqlType::Double, Self::Double(number)) => out.extend_from_slice(&number.to_be_bytes()),
            (CqlType::Float, Self::Float(number)) => out.extend_from_slice(&number.to_be_bytes()),
            (CqlType::Blob, Self::Blob(bytes)) => out.extend_from_slice(bytes),
            (CqlType::Boolean, Self::Boolean(claim)) => out.push(u8::from(*claim)),
            (CqlType::Inet, Self::Inet(IpAddr::V4(address))) => {
                out.extend_from_slice(&address.octets());
            }
            (CqlType::Inet, Self::Inet(IpAddr::V6(address))) => {
                out.extend_from_slice(&address.octets());
            }
            (CqlType::Uuid | CqlType::Timeuuid, Self::Uuid(id)) => {
                uuid(kind, id.as_bytes())?;
                out.extend_from_slice(id.as_bytes());
            }
            (CqlType::List(of), Self::List(values)) | (CqlType::Set(of), Self::Set(values)) => {
                collection::put_count(kind, values.len(), out)?;
                for value in values {
                    value.encode_element(kind, of, depth, out)?;
                }
            }
            (CqlType::Map(key, value), Self::Map(pairs)) => {
                collection::put_count(kind, pairs.len(), out)?;
                for pair in pairs {
                    pair.0.encode_element(kind, key, depth, out)?;
                    pair.1.encode_element(kind, value, depth, out)?;
                }
            }
            (CqlType::Tinyint, Self::Tinyint(number)) => out.extend(number.to_be_bytes()),
            (CqlType::Smallint, Self::Smallint(number)) => out.extend(number.to_be_bytes()),
            (CqlType::Varint, Self::Varint(number)) => {
                out.extend_from_slice(decimal::varint(&number.to_signed_bytes_be())?);
            }
            (CqlType::Decimal, Self::Decimal(number)) => number.encode(out)?,
            (CqlType::Date, Self::Date(days)) => {
                out.extend((days.cast_unsigned() ^ EPOCH_DAY).to_be_bytes());
            }
            (CqlType::Time, Self::Time(nanos)) => {
                out.extend(time(&nanos.to_be_bytes())?.to_be_bytes());
            }
            (CqlType::Duration, Self::Duration(duration)) => duration.encode(out),
            (CqlType::Tuple(of), Self::Tuple(values)) if values.len() <= of.len() => {
                for (value, of) in values.iter().zip(of) {
                    match value {
                        Some(value) => value.encode_element(kind, of, depth, out)?,
                        None => put_null(out),
                    }
                }
            }
            _ => return Err(ValueError::Mismatch { kind: kind.clone(), value: self.form() }),
        }
        Ok(())
    }

    /// Writes the value as an element of type `of` of a collection of type `kind`.
    fn encode_element(
        &self,
        kind: &CqlType,
        of: &CqlType,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        collection::put_element(kind, out, |out| self.encode_at(of, depth + 1, out))
    }

    /// What errors call the value.
    fn form(&self) -> &'static str {
        match self {
            Self::Bigint(_) => "a bigint",
            Self::Blob(_) => "a blob",
            Self::Boolean(_) => "a boolean",
            Self::Double(_) => "a double",
            Self::Float(_) => "a float",
            Self::Int(_) => "an int",
            Self::Inet(_) => "an inet",
            Self::Text(_) => "a text",
            Self::Timestamp(_) => "a timestamp",
            Self::Uuid(_) => "a uuid",
            Self::List(_) => "a list",
            Self::Set(_) => "a set",
            Self::Map(_) => "a map",
            Self::Tinyint(_) => "a tinyint",
            Self::Smallint(_) => "a smallint",
            Self::Varint(_) => "a varint",
            Self::Decimal(_) => "a decimal",
            Self::Date(_) => "a date",
            Self::Time(_) => "a time",
            Self::Duration(_) => "a duration",
            Self::Tuple(_) => "a tuple",
        }
    }
}

/// The bytes of the day 1970-01-01: days are counted from the first that can be written.
const EPOCH_DAY: u32 = 1 << 31;

fn text(bytes: &[u8]) -> Result<&str, ValueError> {
    std::str::from_utf8(bytes).map_err(|error| ValueError::NotUtf8 { at: error.valid_up_to() })
}

fn ascii(bytes: &[u8]) -> Result<&str, ValueError> {
    match bytes.iter().position(|byte| !byte.is_ascii()) {
        Some(at) => Err(ValueError::NotAscii { at }),
        None => text(bytes),
    }
}

fn boolean(bytes: &[u8]) -> Result<bool, ValueError> {
    match fixed(&CqlType::Boolean, bytes)? {
        [0] => Ok(false),
        [1] => Ok(true),
        [byte] => Err(ValueError::NotBoolean { byte }),
    }
}

fn time(bytes: &[u8]) -> Result<i64, ValueError> {
    let nanos = i64::from_be_bytes(fixed(&CqlType::Time, bytes)?);
    if (0..NANOS_PER_DAY).contains(&nanos) {
        Ok(nanos)
    } else {
        Err(ValueError::NotTimeOfDay { nanos })
    }
}

fn inet(bytes: &[u8]) -> Result<IpAddr, ValueError> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(bytes).map(IpAddr::from).map_err(|_| ValueError::Length {
        kind: CqlType::Inet,
        expected: "4 or 16",
        len: bytes.len(),
    })
}

fn uuid(kind: &CqlType, bytes: &[u8]) -> Result<Uuid, ValueError> {
    let id = Uuid::from_bytes(fixed(kind, bytes)?);
    let version = id.as_bytes()[6] >> 4;
    if *kind == CqlType::Timeuuid && version != 1 {
        return Err(ValueError::NotTimeBased { version });
    }
    Ok(id)
}

/// The bytes of a type whose values all have `N` of them.
pub(crate) fn fixed<const N: usize>(kind: &CqlType, bytes: &[u8]) -> Result<[u8; N], ValueError> {
    bytes.try_into().map_err(|_| ValueError::Length {
        kind: kind.clone(),
        expected: match N {
            1 => "1",
            2 => "2",
            4 => "4",
            8 => "8",
            _ => "16",
        },
        len: bytes.len(),
    })
}

#[cfg(test)]
pub(crate) mod strategy;
#[cfg(test)]
mod tests;
