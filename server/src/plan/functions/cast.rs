//! `CAST(a AS type)`: numbers into each other, and what has a text into text.
//!
//! As in Cassandra, which casts as Java does: an integer keeps its lowest bits, a decimal number
//! loses its fraction and stops at the ends of the type.

use types::{CqlType, Value};

use super::instant_ms;
use crate::plan::PlanError;

#[derive(Debug, Clone, Copy)]
enum Number {
    Integer(i64),
    Decimal(f64),
}

/// Whether values of one type can be cast to another.
pub(in crate::plan) fn is_castable(from: &CqlType, to: &CqlType) -> bool {
    let is_number = |kind: &CqlType| {
        matches!(kind, CqlType::Int | CqlType::Bigint | CqlType::Float | CqlType::Double)
    };
    let has_text = |kind: &CqlType| {
        is_number(kind)
            || matches!(
                kind,
                CqlType::Ascii
                    | CqlType::Boolean
                    | CqlType::Inet
                    | CqlType::Timestamp
                    | CqlType::Timeuuid
                    | CqlType::Uuid
            )
    };
    match to {
        _ if from == to => true,
        CqlType::Text | CqlType::Ascii => has_text(from),
        CqlType::Timestamp => *from == CqlType::Timeuuid,
        to => is_number(from) && is_number(to),
    }
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
    let value = match (Value::decode(from, value).map_err(refused)?, to) {
        (value, CqlType::Text | CqlType::Ascii) => Value::Text(value.plain().to_string()),
        (_, CqlType::Timestamp) => Value::Timestamp(instant_ms(from, value)),
        (value, to) => match number(&value) {
            Some(number) => number.value(to),
            None => value,
        },
    };
    value.encode(to).map_err(refused)
}

fn number(value: &Value) -> Option<Number> {
    Some(match value {
        Value::Int(number) => Number::Integer((*number).into()),
        Value::Bigint(number) => Number::Integer(*number),
        Value::Float(number) => Number::Decimal((*number).into()),
        Value::Double(number) => Number::Decimal(*number),
        _ => return None,
    })
}

impl Number {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a cast loses what the type cannot hold, as Java's does"
    )]
    fn value(self, to: &CqlType) -> Value {
        match (self, to) {
            (Self::Integer(number), CqlType::Int) => Value::Int(number as i32),
            (Self::Integer(number), CqlType::Float) => Value::Float(number as f32),
            (Self::Integer(number), CqlType::Double) => Value::Double(number as f64),
            (Self::Integer(number), _) => Value::Bigint(number),
            (Self::Decimal(number), CqlType::Int) => Value::Int(number as i32),
            (Self::Decimal(number), CqlType::Bigint) => Value::Bigint(number as i64),
            (Self::Decimal(number), CqlType::Float) => Value::Float(number as f32),
            (Self::Decimal(number), _) => Value::Double(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_are_javas() {
        let id = uuid::Uuid::parse_str("b4df44b1-a838-11ee-8d52-0242ac120002").unwrap();
        for (from, value, to, wanted) in [
            (CqlType::Bigint, Value::Bigint(1 << 32 | 7), CqlType::Int, Value::Int(7)),
            (CqlType::Double, Value::Double(-1.9), CqlType::Int, Value::Int(-1)),
            (CqlType::Double, Value::Double(1e300), CqlType::Bigint, Value::Bigint(i64::MAX)),
            (CqlType::Double, Value::Double(f64::NAN), CqlType::Int, Value::Int(0)),
            (CqlType::Int, Value::Int(3), CqlType::Double, Value::Double(3.0)),
            (CqlType::Int, Value::Int(-3), CqlType::Text, Value::Text("-3".to_owned())),
            (CqlType::Boolean, Value::Boolean(true), CqlType::Text, Value::Text("true".to_owned())),
            (
                CqlType::Timeuuid,
                Value::Uuid(id),
                CqlType::Timestamp,
                Value::Timestamp(1_704_067_200_123),
            ),
        ] {
            assert!(is_castable(&from, &to), "{from} as {to}");
            let bytes = cast(&from, &to, &value.encode(&from).unwrap()).unwrap();
            assert_eq!(Value::decode(&to, &bytes), Ok(wanted), "{from} as {to}");
        }
        assert!(!is_castable(&CqlType::Text, &CqlType::Int));
        assert!(!is_castable(&CqlType::Int, &CqlType::Blob));
    }
}
