//! The bytes that sort as `varint` and `decimal` values do.
//!
//! ```text
//! varint    80 + n (n bytes; FF and n in four bytes from 120 on), then the fewest bytes of two's
//!           complement; of a negative number 80 + n is inverted, so that longer ones come first
//! decimal   00 negative, 01 zero, 02 positive; then, inverted if negative, the power of ten of
//!           0.ddd… in five bytes, two digits a byte (01 for 00, 64 for 99), and 00
//! ```
//!
//! A decimal keeps its digits, not how many of them are zeros at the end.

use num_bigint::{BigInt, BigUint, Sign};

use super::{KeyError, Reader};
use crate::decimal::{NUMBER_BYTES_MAX, parts, varint};
use crate::{CqlType, Decimal, ValueError};

/// From this length on a number's length takes bytes of its own.
const LONG: usize = 0x78;
/// What stands for such a length.
const LONG_MARK: u8 = 0xFF;

/// How many digits a decimal in a key may have besides zeros at its end, and how many zeros.
pub(super) const DIGITS_MAX: usize = 10_000;
/// The bytes of a decimal that has no more digits.
pub(super) const DECIMAL_BYTES_MAX: usize = 8_305;
/// Up to so many zeros at its end a decimal comes back as an integer.
const ZEROS_MAX: i64 = 64;
/// Makes a power of ten a number that is not negative.
const EXPONENT_BIAS: i64 = 1 << 39;

const NEGATIVE: u8 = 0;
const NOTHING: u8 = 1;
const POSITIVE: u8 = 2;

pub(super) fn put_varint(value: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let number = fewest(varint(value)?);
    let inverted = if is_negative(number) { 0xFF } else { 0 };
    match u8::try_from(number.len()) {
        Ok(len) if number.len() < LONG => out.push((0x80 + len) ^ inverted),
        _ => {
            let len = u32::try_from(number.len()).unwrap_or(u32::MAX);
            out.push(LONG_MARK ^ inverted);
            out.extend(len.to_be_bytes().map(|byte| byte ^ inverted));
        }
    }
    out.extend_from_slice(number);
    Ok(())
}

pub(super) fn take_varint(reader: &mut Reader<'_, '_>, out: &mut Vec<u8>) -> Result<(), KeyError> {
    let kind = || CqlType::Varint;
    let [first] = reader.take()?;
    let inverted = if first < 0x80 { 0xFF } else { 0 };
    let len = match first ^ inverted {
        LONG_MARK => {
            let len = reader.take::<4>()?.map(|byte| byte ^ inverted);
            let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
            if !(LONG..=NUMBER_BYTES_MAX).contains(&len) {
                return Err(KeyError::Form { kind: kind() });
            }
            len
        }
        short @ 0x81..0xF8 => usize::from(short - 0x80),
        _ => return Err(KeyError::Mark { kind: kind(), byte: first }),
    };
    let start = out.len();
    reader.take_len(len, out)?;
    let number = &out[start..];
    if fewest(number).len() != len || is_negative(number) != (inverted == 0xFF) {
        return Err(KeyError::Form { kind: kind() });
    }
    Ok(())
}

/// A number of two's complement without the bytes in front that say nothing.
fn fewest(number: &[u8]) -> &[u8] {
    let needless = number
        .windows(2)
        .take_while(|pair| matches!((pair[0], pair[1]), (0, 0..0x80) | (0xFF, 0x80..)))
        .count();
    &number[needless..]
}

fn is_negative(number: &[u8]) -> bool {
    number.first().is_some_and(|byte| *byte >= 0x80)
}

pub(super) fn put_decimal(value: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let (scale, unscaled) = parts(value)?;
    let too_long = || ValueError::TooManyDigits { kind: CqlType::Decimal, max: DECIMAL_BYTES_MAX };
    if unscaled.len() > DECIMAL_BYTES_MAX {
        return Err(too_long());
    }
    let (sign, mut digits) = BigInt::from_signed_bytes_be(unscaled).to_radix_be(10);
    let len = digits.len();
    let end = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
    digits.truncate(end);
    if digits.len() > DIGITS_MAX || len > 2 * DIGITS_MAX {
        return Err(too_long());
    }
    let inverted = match sign {
        Sign::NoSign => {
            out.push(NOTHING);
            return Ok(());
        }
        Sign::Minus => 0xFF,
        Sign::Plus => 0,
    };
    out.push(if sign == Sign::Minus { NEGATIVE } else { POSITIVE });
    let exponent = i64::try_from(len).unwrap_or(i64::MAX) - i64::from(scale);
    let exponent = (exponent + EXPONENT_BIAS).to_be_bytes();
    let pairs = digits.chunks(2).map(|pair| 1 + pair[0] * 10 + pair.get(1).unwrap_or(&0));
    let bytes = exponent[3..].iter().copied().chain(pairs).chain([0]);
    out.extend(bytes.map(|byte| byte ^ inverted));
    Ok(())
}

pub(super) fn take_decimal(reader: &mut Reader<'_, '_>, out: &mut Vec<u8>) -> Result<(), KeyError> {
    let (sign, inverted) = match reader.take()? {
        [NEGATIVE] => (Sign::Minus, 0xFF),
        [POSITIVE] => (Sign::Plus, 0),
        [NOTHING] => {
            out.extend_from_slice(&[0; 5]);
            return Ok(());
        }
        [byte] => return Err(KeyError::Mark { kind: CqlType::Decimal, byte }),
    };
    let mut exponent = [0; 8];
    exponent[3..].copy_from_slice(&reader.take::<5>()?.map(|byte| byte ^ inverted));
    let exponent = i64::from_be_bytes(exponent) - EXPONENT_BIAS;
    let digits = take_digits(reader, inverted)?;
    let number = shortest(sign, digits, exponent);
    let number = number.ok_or(KeyError::Form { kind: CqlType::Decimal })?;
    number.encode(out).map_err(|_| KeyError::Form { kind: CqlType::Decimal })
}

/// The digits up to and with their end; the first and the last are not zero.
fn take_digits(reader: &mut Reader<'_, '_>, inverted: u8) -> Result<Vec<u8>, KeyError> {
    let form = || KeyError::Form { kind: CqlType::Decimal };
    let mut digits = Vec::new();
    loop {
        match reader.take::<1>()?[0] ^ inverted {
            0 => break,
            pair @ 1..=100 if digits.len() < DIGITS_MAX => {
                digits.extend([(pair - 1) / 10, (pair - 1) % 10]);
            }
            1..=100 => return Err(form()),
            byte => return Err(KeyError::Mark { kind: CqlType::Decimal, byte }),
        }
    }
    let last_pair = digits.last_chunk::<2>().ok_or_else(form)?;
    if digits[0] == 0 || *last_pair == [0, 0] {
        return Err(form());
    }
    digits.pop_if(|digit| *digit == 0);
    Ok(digits)
}

/// 0.ddd… × 10^exponent with few zeros at its end; `None` where no decimal can be that.
fn shortest(sign: Sign, mut digits: Vec<u8>, exponent: i64) -> Option<Decimal> {
    let least = i64::try_from(digits.len()).ok()? - exponent;
    let scale = if (-ZEROS_MAX..0).contains(&least) { 0 } else { least.max(i32::MIN.into()) };
    let len = usize::try_from(scale - least).ok()?.checked_add(digits.len())?;
    if len > 2 * DIGITS_MAX {
        return None;
    }
    digits.resize(len, 0);
    let unscaled = BigInt::from_biguint(sign, BigUint::from_radix_be(&digits, 10)?);
    Some(Decimal { unscaled, scale: scale.try_into().ok()? })
}
