//! `CAST(a AS type)`: numbers into each other, times into each other, what has a text into text.
//!
//! As in Cassandra, which casts as Java does: an integer keeps its lowest bits, a number with a
//! point loses its fraction and, if it is a float, stops at the ends of the type.

use types::{BigInt, CqlType, Decimal, NUMBER_BYTES_MAX, Value, ValueError};

use super::{day_of_ms, instant_ms};
use crate::plan::PlanError;

/// A power of ten with more digits than this is not written out.
const ZEROS_MAX: u32 = 10_000;

enum Number {
    Integer(BigInt),
    Decimal(Decimal),
    Float(f64),
}

/// Whether values of one type can be cast to another.
pub(in crate::plan) fn is_castable(from: &CqlType, to: &CqlType) -> bool {
    let is_text = |kind: &CqlType| matches!(kind, CqlType::Text | CqlType::Ascii);
    let has_text = |kind: &CqlType| {
        is_number(kind)
            || matches!(
                kind,
                CqlType::Ascii
                    | CqlType::Boolean
                    | CqlType::Date
                    | CqlType::Inet
                    | CqlType::Time
                    | CqlType::Timestamp
                    | CqlType::Timeuuid
                    | CqlType::Uuid
            )
    };
    match to {
        _ if from == to => true,
        to if is_text(to) => has_text(from),
        CqlType::Timestamp => matches!(from, CqlType::Timeuuid | CqlType::Date),
        CqlType::Date => matches!(from, CqlType::Timeuuid | CqlType::Timestamp),
        to => is_number(from) && is_number(to),
    }
}

/// Whether the type is one of numbers.
pub(in crate::plan) fn is_number(kind: &CqlType) -> bool {
    matches!(
        kind,
        CqlType::Tinyint
            | CqlType::Smallint
            | CqlType::Int
            | CqlType::Bigint
            | CqlType::Varint
            | CqlType::Decimal
            | CqlType::Float
            | CqlType::Double
    )
}

/// The value as one of another type, to which it [can be cast](is_castable).
pub(in crate::plan) fn cast(
    from: &CqlType,
    to: &CqlType,
    value: &[u8],
) -> Result<Vec<u8>, PlanError> {
    if from == to {
        return Ok(value.to_vec());
    }
    let refused = |source| PlanError::Value { name: format!("CAST(… AS {to})"), source };
    let decoded = Value::decode(from, value).map_err(refused)?;
    let cast = match to {
        CqlType::Text | CqlType::Ascii => Value::Text(decoded.plain().to_string()),
        CqlType::Timestamp => Value::Timestamp(instant_ms(from, value)),
        CqlType::Date => Value::Date(day_of_ms(instant_ms(from, value))),
        to => {
            let value = "a value without a number";
            let mismatch = || refused(ValueError::Mismatch { kind: to.clone(), value });
            Number::of(decoded).ok_or_else(mismatch)?.value(to).map_err(refused)?
        }
    };
    cast.encode(to).map_err(refused)
}

impl Number {
    fn of(value: Value) -> Option<Self> {
        Some(match value {
            Value::Tinyint(number) => Self::Integer(number.into()),
            Value::Smallint(number) => Self::Integer(number.into()),
            Value::Int(number) => Self::Integer(number.into()),
            Value::Bigint(number) => Self::Integer(number.into()),
            Value::Varint(number) => Self::Integer(number),
            Value::Decimal(number) => Self::Decimal(number),
            Value::Float(number) => Self::Float(number.into()),
            Value::Double(number) => Self::Float(number),
            _ => return None,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "a cast loses what the type cannot hold")]
    fn value(self, to: &CqlType) -> Result<Value, ValueError> {
        Ok(match to {
            CqlType::Tinyint => Value::Tinyint(self.bits(to)? as i8),
            CqlType::Smallint => Value::Smallint(self.bits(to)? as i16),
            CqlType::Int => Value::Int(self.bits(to)? as i32),
            CqlType::Bigint => Value::Bigint(self.bits(to)?),
            CqlType::Varint => Value::Varint(self.integer(to)?),
            CqlType::Decimal => Value::Decimal(self.decimal(to)?),
            CqlType::Float => Value::Float(self.float() as f32),
            _ => Value::Double(self.float()),
        })
    }

    /// The lowest bits of the integer part.
    #[expect(clippy::cast_possible_truncation, reason = "floats stop at the ends of the type")]
    fn bits(self, to: &CqlType) -> Result<i64, ValueError> {
        match self {
            Self::Float(number) if *to == CqlType::Bigint => Ok(number as i64),
            Self::Float(number) => Ok(i64::from(number as i32)),
            other => Ok(lowest_bits(&other.integer(to)?)),
        }
    }

    /// The integer part.
    fn integer(self, to: &CqlType) -> Result<BigInt, ValueError> {
        match self {
            Self::Integer(number) => Ok(number),
            Self::Decimal(number) => truncated(number, to),
            Self::Float(number) => {
                let digits = format!("{:.0}", number.trunc());
                digits.parse().map_err(|_| no_number(to))
            }
        }
    }

    fn decimal(self, to: &CqlType) -> Result<Decimal, ValueError> {
        match self {
            Self::Integer(unscaled) => Ok(Decimal { unscaled, scale: 0 }),
            Self::Decimal(number) => Ok(number),
            Self::Float(number) => match Value::parse(&CqlType::Decimal, &format!("{number:?}")) {
                Ok(Value::Decimal(number)) => Ok(number),
                _ => Err(no_number(to)),
            },
        }
    }

    /// The float that is nearest: of any number in decimal digits the parser of floats finds it.
    fn float(self) -> f64 {
        match self {
            Self::Integer(number) => number.to_string().parse().unwrap_or(f64::NAN),
            Self::Decimal(Decimal { unscaled, scale }) => {
                let exponent = i64::from(scale).wrapping_neg();
                format!("{unscaled}e{exponent}").parse().unwrap_or(f64::NAN)
            }
            Self::Float(number) => number,
        }
    }
}

/// A decimal without its fraction.
fn truncated(number: Decimal, to: &CqlType) -> Result<BigInt, ValueError> {
    let Decimal { unscaled, scale } = number;
    let zeros = scale.unsigned_abs();
    // Of fewer digits than stand behind the point none is left.
    if scale > 0 && u64::from(zeros) > unscaled.bits() {
        return Ok(BigInt::default());
    }
    if scale < 0 && zeros > ZEROS_MAX {
        return Err(ValueError::TooManyDigits { kind: to.clone(), max: NUMBER_BYTES_MAX });
    }
    let power = BigInt::from(10).pow(zeros);
    Ok(if scale > 0 { unscaled / power } else { unscaled * power })
}

/// The lowest 64 bits of a number in two's complement.
fn lowest_bits(number: &BigInt) -> i64 {
    let mut bytes = number.to_signed_bytes_le();
    let sign = if bytes.last().is_some_and(|last| *last >= 0x80) { 0xFF } else { 0 };
    bytes.resize(8, sign);
    bytes.first_chunk().copied().map_or(0, i64::from_le_bytes)
}

/// Infinity and NaN are numbers of the float types only.
fn no_number(to: &CqlType) -> ValueError {
    ValueError::Mismatch { kind: to.clone(), value: "infinity or NaN" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_text(from: &str, literal: &str, to: &str) -> Result<String, PlanError> {
        let (from, to): (CqlType, CqlType) = (from.parse().unwrap(), to.parse().unwrap());
        assert!(is_castable(&from, &to), "{from} as {to}");
        let bytes = Value::parse(&from, literal).unwrap().encode(&from).unwrap();
        let cast = cast(&from, &to, &bytes)?;
        Ok(Value::decode(&to, &cast).unwrap().plain().to_string())
    }

    #[test]
    fn casts_are_javas() {
        for (from, literal, to, wanted) in [
            ("bigint", "4294967303", "int", "7"),
            ("int", "300", "tinyint", "44"),
            ("int", "-1", "smallint", "-1"),
            ("varint", "36893488147419103231", "bigint", "-1"),
            ("double", "-1.9", "int", "-1"),
            ("double", "1e300", "bigint", "9223372036854775807"),
            ("double", "NaN", "int", "0"),
            ("double", "70000.5", "smallint", "4464"),
            ("double", "1e20", "varint", "100000000000000000000"),
            ("int", "3", "double", "3.0"),
            ("decimal", "-12.75", "int", "-12"),
            ("decimal", "-12.75", "double", "-12.75"),
            ("decimal", "0.001", "varint", "0"),
            ("double", "0.5", "decimal", "0.5"),
            ("varint", "12", "decimal", "12"),
            ("int", "-3", "text", "-3"),
            ("boolean", "true", "text", "true"),
            ("date", "1970-01-02", "timestamp", "1970-01-02 00:00:00.000+0000"),
            ("timestamp", "-1", "date", "1969-12-31"),
            ("timeuuid", ID, "timestamp", "2024-01-01 00:00:00.123+0000"),
            ("timeuuid", ID, "date", "2024-01-01"),
        ] {
            let cast = as_text(from, literal, to);
            assert_eq!(cast, Ok(wanted.to_owned()), "{literal} from {from} to {to}");
        }
        assert!(!is_castable(&CqlType::Text, &CqlType::Int));
        assert!(!is_castable(&CqlType::Int, &CqlType::Blob));
    }

    const ID: &str = "b4df44b1-a838-11ee-8d52-0242ac120002";

    #[test]
    fn what_no_type_could_hold_is_refused() {
        assert!(as_text("double", "Infinity", "varint").is_err());
        assert!(as_text("double", "NaN", "decimal").is_err());
        assert!(as_text("decimal", "1e2000000000", "varint").is_err());
        assert_eq!(as_text("decimal", "1e-2000000000", "int"), Ok("0".to_owned()));
    }
}
