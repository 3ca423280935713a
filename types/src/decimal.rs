//! Numbers of any size: `varint`, and `decimal` with a power of ten beside it.
//!
//! A decimal is an integer and how many of its digits stand behind the point. Values that are equal
//! as numbers may be written differently, as 1.0 and 1.00. Nothing here writes out a power of ten
//! that a scale merely claims, and no number has more than [`NUMBER_BYTES_MAX`].
//!
//! ```text
//! varint -1      FF
//! decimal 1.50   00 00 00 02 | 00 96         scale, then the digits 150
//! ```
//!
//! Source: native protocol v4, §6. Callers: [`value`](crate::Value), [`key`](crate::key). Pure.

use std::fmt;
use std::str::FromStr;

use num_bigint::{BigInt, Sign};

use crate::{CqlType, ValueError};

/// How many bytes the digits of a `varint` or `decimal` may take: the work of writing a number in
/// decimal grows with their square.
pub const NUMBER_BYTES_MAX: usize = 1 << 16;

/// How many decimal digits always fit into [`NUMBER_BYTES_MAX`].
const DIGITS_MAX: usize = 157_000;

/// A number with a point: `unscaled` / 10^`scale`. Equal are those written alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The digits.
    pub unscaled: BigInt,
    /// How many of them stand behind the point; below zero, how many zeros follow.
    pub scale: i32,
}

impl Decimal {
    /// Reads the bytes of a `decimal`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ValueError> {
        let (scale, unscaled) = parts(bytes)?;
        Ok(Self { unscaled: BigInt::from_signed_bytes_be(unscaled), scale })
    }

    /// Appends the bytes of the number.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let unscaled = self.unscaled.to_signed_bytes_be();
        check_digits(&CqlType::Decimal, &unscaled)?;
        out.extend_from_slice(&self.scale.to_be_bytes());
        out.extend_from_slice(&unscaled);
        Ok(())
    }
}

/// Checks the bytes of a `decimal`: its scale, and the bytes of its digits.
pub(crate) fn parts(bytes: &[u8]) -> Result<(i32, &[u8]), ValueError> {
    let wrong =
        || ValueError::Length { kind: CqlType::Decimal, expected: "5 or more", len: bytes.len() };
    let (scale, unscaled) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
    if unscaled.is_empty() {
        return Err(wrong());
    }
    check_digits(&CqlType::Decimal, unscaled)?;
    Ok((i32::from_be_bytes(*scale), unscaled))
}

/// Checks the bytes of a `varint`.
pub(crate) fn varint(bytes: &[u8]) -> Result<&[u8], ValueError> {
    if bytes.is_empty() {
        let (kind, expected) = (CqlType::Varint, "1 or more");
        return Err(ValueError::Length { kind, expected, len: 0 });
    }
    check_digits(&CqlType::Varint, bytes)?;
    Ok(bytes)
}

fn check_digits(kind: &CqlType, bytes: &[u8]) -> Result<(), ValueError> {
    if bytes.len() > NUMBER_BYTES_MAX {
        return Err(ValueError::TooManyDigits { kind: kind.clone(), max: NUMBER_BYTES_MAX });
    }
    Ok(())
}

/// Why a text is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// It is not written as one.
    Malformed,
    /// It has too many digits, or its point stands too far away.
    OutOfRange,
}

/// Reads `[-]digits`.
pub(crate) fn parse_varint(text: &str) -> Result<BigInt, NumberError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NumberError::Malformed);
    }
    if digits.len() > DIGITS_MAX {
        return Err(NumberError::OutOfRange);
    }
    BigInt::from_str(text).map_err(|_| NumberError::Malformed)
}

/// Reads `[-]digits[.digits][e[±]digits]`, with digits on one side of the point at least.
pub(crate) fn parse_decimal(text: &str) -> Result<Decimal, NumberError> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let unscaled = parse_varint(&[whole, fraction].concat())?;
    let behind = i64::try_from(fraction.len()).map_err(|_| NumberError::OutOfRange)?;
    let scale = behind.checked_sub(exponent).and_then(|scale| i32::try_from(scale).ok());
    Ok(Decimal { unscaled, scale: scale.ok_or(NumberError::OutOfRange)? })
}

fn parse_exponent(text: &str) -> Result<i64, NumberError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NumberError::Malformed);
    }
    text.parse().map_err(|_| NumberError::OutOfRange)
}

impl fmt::Display for Decimal {
    /// Without an exponent while that takes few zeros, as Java and Python have it: `1.50`, `1E+9`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The most zeros that are written in front of the digits.
        const ZEROS_MAX: i64 = 6;
        if self.unscaled.sign() == Sign::Minus {
            f.write_str("-")?;
        }
        let digits = self.unscaled.magnitude().to_string();
        let behind = i64::from(self.scale);
        let in_front = i64::try_from(digits.len()).unwrap_or(i64::MAX) - behind;
        match usize::try_from(in_front) {
            _ if behind == 0 => f.write_str(&digits),
            _ if behind < 0 || in_front <= -ZEROS_MAX => {
                let (first, rest) = digits.split_at(1);
                let point = if rest.is_empty() { "" } else { "." };
                write!(f, "{first}{point}{rest}E{:+}", in_front - 1)
            }
            Ok(place @ 1..) => write!(f, "{}.{}", &digits[..place], &digits[place..]),
            _ => {
                f.write_str("0.")?;
                (in_front..0).try_for_each(|_| f.write_str("0"))?;
                f.write_str(&digits)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(unscaled: i64, scale: i32) -> Decimal {
        Decimal { unscaled: BigInt::from(unscaled), scale }
    }

    #[test]
    fn decimals_are_written_as_java_and_python_write_them() {
        for (number, text) in [
            (decimal(0, 0), "0"),
            (decimal(0, 2), "0.00"),
            (decimal(0, -3), "0E+3"),
            (decimal(150, 2), "1.50"),
            (decimal(-150, 3), "-0.150"),
            (decimal(-5, 0), "-5"),
            (decimal(5, -9), "5E+9"),
            (decimal(1, 6), "0.000001"),
            (decimal(1, 7), "1E-7"),
            (decimal(12, 8), "1.2E-7"),
            (decimal(123, i32::MAX), "1.23E-2147483645"),
            (decimal(123, i32::MIN), "1.23E+2147483650"),
        ] {
            assert_eq!(number.to_string(), text);
            assert_eq!(parse_decimal(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn other_spellings_are_read() {
        for (text, number) in [
            ("1.", decimal(1, 0)),
            (".5", decimal(5, 1)),
            ("1e3", decimal(1, -3)),
            ("1.50e+1", decimal(150, 1)),
            ("-00.1", decimal(-1, 1)),
        ] {
            assert_eq!(parse_decimal(text), Ok(number), "{text}");
        }
        for text in ["", ".", "-", "e5", "1e", "1e+-5", "1.2.3", "+1", "1 ", "0x1", "NaN"] {
            assert_eq!(parse_decimal(text), Err(NumberError::Malformed), "{text}");
        }
        for text in ["1e2147483649", "1e-2147483648", "1e99999999999999999999"] {
            assert_eq!(parse_decimal(text), Err(NumberError::OutOfRange), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_too_long_are_refused_at_every_door() {
        let text = "9".repeat(DIGITS_MAX);
        let number = parse_varint(&text).unwrap();
        assert!(varint(&number.to_signed_bytes_be()).is_ok());
        assert_eq!(parse_varint(&(text + "9")), Err(NumberError::OutOfRange));
        let bytes = vec![1; NUMBER_BYTES_MAX + 1];
        let error = ValueError::TooManyDigits { kind: CqlType::Varint, max: NUMBER_BYTES_MAX };
        assert_eq!(varint(&bytes), Err(error));
        let bytes = [&[0; 4][..], &bytes].concat();
        let error = ValueError::TooManyDigits { kind: CqlType::Decimal, max: NUMBER_BYTES_MAX };
        assert_eq!(Decimal::decode(&bytes), Err(error));
    }

    proptest! {
        #[test]
        fn shown_decimals_are_read_back(
            digits in prop::collection::vec(any::<u8>(), 0..20), scale: i32, near in -30..30_i32,
        ) {
            for scale in [scale, near] {
                let number = Decimal { unscaled: BigInt::from_signed_bytes_be(&digits), scale };
                // The exponent that is shown may lie outside of what a scale can be read from.
                if let Ok(read) = parse_decimal(&number.to_string()) {
                    prop_assert_eq!(read, number);
                } else {
                    prop_assert!(scale.unsigned_abs() > i32::MAX.unsigned_abs() - 60);
                }
            }
        }
    }
}
