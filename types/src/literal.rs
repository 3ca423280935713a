//! Values as CQL writes them, and back.
//!
//! Source: CQL's constants. Callers: the binder for the literals of statements, the shell for what it
//! shows, the tests.

use std::fmt::{self, Write};
use std::net::IpAddr;

use bytes::Bytes;
use uuid::Uuid;

use crate::date::{ShownDate, ShownTime};
use crate::decimal::{NumberError, parse_decimal, parse_varint};
use crate::timestamp::{self, Shown};
use crate::{CqlType, Duration, Value, date};

/// Why a text is no literal of a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LiteralError {
    /// The text is not written as values of the type are.
    #[error("'{text}' is no {kind}")]
    Malformed {
        /// The type wanted.
        kind: CqlType,
        /// The text, or its beginning.
        text: String,
    },
    /// A number that the type cannot hold.
    #[error("{text} is out of the range of {kind}")]
    OutOfRange {
        /// The type wanted.
        kind: CqlType,
        /// The number, or its beginning.
        text: String,
    },
    /// Collections and tuples are made of literals, not one themselves.
    #[error("{kind} is written with its elements")]
    Collection {
        /// The type wanted.
        kind: CqlType,
    },
}

/// How much of a wrong text an error repeats, in characters.
const SHOWN_MAX: usize = 64;

impl Value {
    /// Reads the text of a constant of `kind`, without the quotes that some types wear in CQL.
    ///
    /// A timestamp may be a number of milliseconds or a date with time and zone; without a zone it is
    /// in UTC. A date may be the number of days since 2³¹ days before 1970, a time the nanoseconds
    /// since midnight. Floats know `NaN`, `Infinity` and `-Infinity`.
    pub fn parse(kind: &CqlType, text: &str) -> Result<Self, LiteralError> {
        let malformed = || LiteralError::Malformed { kind: kind.clone(), text: shortened(text) };
        let value = match kind {
            CqlType::Text => Some(Self::Text(text.to_owned())),
            CqlType::Ascii => text.is_ascii().then(|| Self::Text(text.to_owned())),
            CqlType::Blob => parse_blob(text).map(Self::Blob),
            CqlType::Boolean => parse_boolean(text).map(Self::Boolean),
            CqlType::Int => parse_number(kind, text)?.map(Self::Int),
            CqlType::Bigint => parse_number(kind, text)?.map(Self::Bigint),
            CqlType::Double => parse_double(text).map(Self::Double),
            #[expect(clippy::cast_possible_truncation, reason = "a float literal is rounded")]
            CqlType::Float => parse_double(text).map(|number| Self::Float(number as f32)),
            CqlType::Inet => text.parse::<IpAddr>().ok().map(Self::Inet),
            CqlType::Timestamp => match timestamp::parse(text) {
                None => parse_number(kind, text)?.map(Self::Timestamp),
                moment => moment.map(Self::Timestamp),
            },
            CqlType::Uuid => parse_uuid(text).map(Self::Uuid),
            CqlType::Timeuuid => {
                parse_uuid(text).filter(|id| id.as_bytes()[6] >> 4 == 1).map(Self::Uuid)
            }
            CqlType::Frozen(inner) => return Self::parse(inner, text),
            CqlType::Tinyint => parse_number(kind, text)?.map(Self::Tinyint),
            CqlType::Smallint => parse_number(kind, text)?.map(Self::Smallint),
            CqlType::Varint => large(kind, text, parse_varint(text))?.map(Self::Varint),
            CqlType::Decimal => large(kind, text, parse_decimal(text))?.map(Self::Decimal),
            CqlType::Date => match date::parse(text) {
                None => parse_number::<u32>(kind, text)?
                    .map(|days| Self::Date((days ^ 1 << 31).cast_signed())),
                days => days.map(Self::Date),
            },
            CqlType::Time => match date::parse_time(text) {
                None => match parse_number(kind, text)? {
                    Some(nanos) if !(0..date::NANOS_PER_DAY).contains(&nanos) => {
                        return Err(out_of_range(kind, text));
                    }
                    nanos => nanos.map(Self::Time),
                },
                nanos => nanos.map(Self::Time),
            },
            CqlType::Duration => Duration::parse(text).map(Self::Duration),
            CqlType::List(_) | CqlType::Set(_) | CqlType::Map(..) | CqlType::Tuple(_) => {
                return Err(LiteralError::Collection { kind: kind.clone() });
            }
        };
        value.ok_or_else(malformed)
    }

    /// The value as a table shows it: a text, timestamp or address that stands alone without quotes.
    pub fn plain(&self) -> Plain<'_> {
        Plain(self)
    }
}

/// A value without the quotes of its literal; see [`Value::plain`].
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a>(&'a Value);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Text(text) => f.write_str(text),
            Value::Inet(address) => write!(f, "{address}"),
            Value::Timestamp(ms) => match Shown::new(*ms) {
                Some(shown) => write!(f, "{shown}"),
                None => write!(f, "{ms}"),
            },
            Value::Date(days) => write!(f, "{}", ShownDate(*days)),
            Value::Time(nanos) => write!(f, "{}", ShownTime(*nanos)),
            other => write!(f, "{other}"),
        }
    }
}

impl fmt::Display for Value {
    /// The value as a CQL literal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bigint(number) => write!(f, "{number}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Boolean(claim) => write!(f, "{claim}"),
            Self::Double(number) => write_float(f, number, number.is_infinite()),
            Self::Float(number) => write_float(f, number, number.is_infinite()),
            Self::Uuid(id) => write!(f, "{id}"),
            Self::Blob(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Inet(address) => write!(f, "'{address}'"),
            Self::Timestamp(ms) => match Shown::new(*ms) {
                Some(shown) => write!(f, "'{shown}'"),
                None => write!(f, "{ms}"), // Years of more than four digits have no other literal.
            },
            Self::List(values) => {
                write_listed(f, ('[', ']'), values, |f, value| write!(f, "{value}"))
            }
            Self::Set(values) => {
                write_listed(f, ('{', '}'), values, |f, value| write!(f, "{value}"))
            }
            Self::Map(pairs) => {
                write_listed(f, ('{', '}'), pairs, |f, (key, value)| write!(f, "{key}: {value}"))
            }
            Self::Tinyint(number) => write!(f, "{number}"),
            Self::Smallint(number) => write!(f, "{number}"),
            Self::Varint(number) => write!(f, "{number}"),
            Self::Decimal(number) => write!(f, "{number}"),
            Self::Date(days) => write!(f, "'{}'", ShownDate(*days)),
            Self::Time(nanos) => write!(f, "'{}'", ShownTime(*nanos)),
            Self::Duration(duration) => write!(f, "{duration}"),
            Self::Tuple(fields) => write_listed(f, ('(', ')'), fields, |f, field| match field {
                Some(field) => write!(f, "{field}"),
                None => f.write_str("null"),
            }),
        }
    }
}

/// A float in the fewest digits that lead back to it, NaN and infinity by CQL's names.
fn write_float(
    f: &mut fmt::Formatter<'_>,
    number: &(impl fmt::Debug + PartialOrd + Default),
    is_infinite: bool,
) -> fmt::Result {
    match number.partial_cmp(&Default::default()) {
        Some(side) if is_infinite => {
            f.write_str(if side.is_gt() { "Infinity" } else { "-Infinity" })
        }
        _ => write!(f, "{number:?}"), // Of NaN this is `NaN`.
    }
}

fn write_listed<T>(
    f: &mut fmt::Formatter<'_>,
    (open, close): (char, char),
    items: &[T],
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_char(open)?;
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    f.write_char(close)
}

fn parse_blob(text: &str) -> Option<Bytes> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    if odd.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

fn parse_boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    text.eq_ignore_ascii_case("false").then_some(false)
}

/// An integer: `None` if the text is none, an error if it is one that the type cannot hold.
fn parse_number<N: std::str::FromStr>(
    kind: &CqlType,
    text: &str,
) -> Result<Option<N>, LiteralError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| out_of_range(kind, text))
}

/// A number of any size: as [`parse_number`] has it.
fn large<N>(
    kind: &CqlType,
    text: &str,
    number: Result<N, NumberError>,
) -> Result<Option<N>, LiteralError> {
    match number {
        Ok(number) => Ok(Some(number)),
        Err(NumberError::Malformed) => Ok(None),
        Err(NumberError::OutOfRange) => Err(out_of_range(kind, text)),
    }
}

fn out_of_range(kind: &CqlType, text: &str) -> LiteralError {
    LiteralError::OutOfRange { kind: kind.clone(), text: shortened(text) }
}

fn parse_double(text: &str) -> Option<f64> {
    let (sign, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    if magnitude.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    if magnitude.eq_ignore_ascii_case("infinity") {
        return Some(sign * f64::INFINITY);
    }
    let is_number = magnitude.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if is_number { magnitude.parse::<f64>().ok().map(|number| sign * number) } else { None }
}

fn parse_uuid(text: &str) -> Option<Uuid> {
    // Of all the forms that the crate reads only the one with hyphens has this length.
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::strategy;
    use crate::{BigInt, Decimal};
    use proptest::prelude::*;

    #[test]
    fn literals_of_drivers_are_read() {
        let id = "550e8400-e29b-41d4-a716-446655440000";
        for (kind, text, value) in [
            (CqlType::Int, "-7", Value::Int(-7)),
            (CqlType::Bigint, "9223372036854775807", Value::Bigint(i64::MAX)),
            (CqlType::Double, "1.5e-09", Value::Double(1.5e-9)),
            (CqlType::Double, "3", Value::Double(3.0)),
            (CqlType::Double, "-infinity", Value::Double(f64::NEG_INFINITY)),
            (CqlType::Float, "0.1", Value::Float(0.1)),
            (CqlType::Boolean, "TRUE", Value::Boolean(true)),
            (CqlType::Blob, "0x01fF", Value::Blob(Bytes::from_static(&[1, 255]))),
            (CqlType::Blob, "0X", Value::Blob(Bytes::new())),
            (CqlType::Inet, "::1", Value::Inet("::1".parse().unwrap())),
            (CqlType::Timestamp, "1296705900000", Value::Timestamp(1_296_705_900_000)),
            (CqlType::Timestamp, "2011-02-03 04:05+0000", Value::Timestamp(1_296_705_900_000)),
            (CqlType::Uuid, id, Value::Uuid(id.parse().unwrap())),
            (CqlType::Tinyint, "-128", Value::Tinyint(-128)),
            (CqlType::Smallint, "32767", Value::Smallint(i16::MAX)),
            (
                CqlType::Varint,
                "-18446744073709551616",
                Value::Varint(BigInt::from(-(1_i128 << 64))),
            ),
            (CqlType::Decimal, "1.50", Value::Decimal(Decimal { unscaled: 150.into(), scale: 2 })),
            (CqlType::Date, "2024-02-29", Value::Date(19_782)),
            (CqlType::Date, "2147483648", Value::Date(0)),
            (CqlType::Date, "0", Value::Date(i32::MIN)),
            (CqlType::Time, "08:12:54.1", Value::Time(29_574_100_000_000)),
            (CqlType::Time, "86399999999999", Value::Time(86_399_999_999_999)),
            (
                CqlType::Duration,
                "-2h",
                Value::Duration(Duration::new(0, 0, -7_200_000_000_000).unwrap()),
            ),
            (CqlType::Text, "it's", Value::Text("it's".to_owned())),
            (CqlType::Frozen(Box::new(CqlType::Int)), "1", Value::Int(1)),
        ] {
            assert_eq!(Value::parse(&kind, text), Ok(value), "{kind} {text}");
        }
        assert!(matches!(Value::parse(&CqlType::Float, "nan"), Ok(Value::Float(n)) if n.is_nan()));
    }

    #[test]
    fn refusals_name_the_type_and_the_text() {
        for (kind, text, refusal) in [
            (CqlType::Int, "2147483648", "2147483648 is out of the range of int"),
            (CqlType::Int, "+1", "'+1' is no int"),
            (CqlType::Tinyint, "128", "128 is out of the range of tinyint"),
            (CqlType::Smallint, "-32769", "-32769 is out of the range of smallint"),
            (CqlType::Varint, "1.0", "'1.0' is no varint"),
            (CqlType::Decimal, "NaN", "'NaN' is no decimal"),
            (CqlType::Decimal, "1e9999999999", "1e9999999999 is out of the range of decimal"),
            (CqlType::Date, "4294967296", "4294967296 is out of the range of date"),
            (CqlType::Date, "2023-02-29", "'2023-02-29' is no date"),
            (CqlType::Time, "86400000000000", "86400000000000 is out of the range of time"),
            (CqlType::Time, "-1", "-1 is out of the range of time"),
            (CqlType::Time, "24:00:00", "'24:00:00' is no time"),
            (CqlType::Duration, "1d1y", "'1d1y' is no duration"),
            (CqlType::Tuple(vec![CqlType::Int]), "(1)", "tuple<int> is written with its elements"),
            (CqlType::Int, "1.0", "'1.0' is no int"),
            (CqlType::Double, "inf", "'inf' is no double"),
            (CqlType::Double, "--1", "'--1' is no double"),
            (CqlType::Blob, "0x1", "'0x1' is no blob"),
            (CqlType::Blob, "12", "'12' is no blob"),
            (CqlType::Ascii, "é", "'é' is no ascii"),
            (CqlType::Timestamp, "yesterday", "'yesterday' is no timestamp"),
            (
                CqlType::Uuid,
                "550e8400e29b41d4a716446655440000",
                "'550e8400e29b41d4a716446655440000' is no uuid",
            ),
            (
                CqlType::Timeuuid,
                "550e8400-e29b-41d4-a716-446655440000",
                "'550e8400-e29b-41d4-a716-446655440000' is no timeuuid",
            ),
            (CqlType::Set(Box::new(CqlType::Int)), "{}", "set<int> is written with its elements"),
        ] {
            assert_eq!(Value::parse(&kind, text).unwrap_err().to_string(), refusal);
        }
    }

    #[test]
    fn values_are_shown_as_literals_and_plain() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (value, literal, plain) in [
            (text("it's"), "'it''s'", "it's"),
            (Value::Blob(Bytes::from_static(&[0, 171])), "0x00ab", "0x00ab"),
            (Value::Double(1.0), "1.0", "1.0"),
            (Value::Double(1e300), "1e300", "1e300"),
            (Value::Float(f32::NEG_INFINITY), "-Infinity", "-Infinity"),
            (Value::Double(f64::NAN), "NaN", "NaN"),
            (Value::Timestamp(0), "'1970-01-01 00:00:00.000+0000'", "1970-01-01 00:00:00.000+0000"),
            (Value::Timestamp(i64::MAX), "9223372036854775807", "9223372036854775807"),
            (Value::Inet("::1".parse().unwrap()), "'::1'", "::1"),
            (Value::Set(vec![text("a"), text("b")]), "{'a', 'b'}", "{'a', 'b'}"),
            (Value::List(vec![]), "[]", "[]"),
            (Value::Map(vec![(text("k"), Value::Int(1))]), "{'k': 1}", "{'k': 1}"),
            (Value::Tuple(vec![Some(text("a")), None]), "('a', null)", "('a', null)"),
            (Value::Date(0), "'1970-01-01'", "1970-01-01"),
            (Value::Time(1), "'00:00:00.000000001'", "00:00:00.000000001"),
        ] {
            assert_eq!(value.to_string(), literal);
            assert_eq!(value.plain().to_string(), plain);
        }
    }

    proptest! {
        #[test]
        fn shown_values_are_read_back((kind, value) in strategy::typed_scalar()) {
            let plain = value.plain().to_string();
            prop_assert_eq!(Value::parse(&kind, &plain), Ok(value));
        }
    }
}
