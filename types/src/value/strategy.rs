//! Types and values for property tests.

use std::net::IpAddr;

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use crate::date::NANOS_PER_DAY;
use crate::{BigInt, CqlType, Decimal, Duration, Value};

/// Any type without parameters.
pub(crate) fn scalar_kind() -> impl Strategy<Value = CqlType> + Clone {
    prop::sample::select(vec![
        CqlType::Ascii,
        CqlType::Bigint,
        CqlType::Blob,
        CqlType::Boolean,
        CqlType::Double,
        CqlType::Float,
        CqlType::Int,
        CqlType::Inet,
        CqlType::Timestamp,
        CqlType::Timeuuid,
        CqlType::Text,
        CqlType::Uuid,
        CqlType::Tinyint,
        CqlType::Smallint,
        CqlType::Varint,
        CqlType::Decimal,
        CqlType::Date,
        CqlType::Time,
        CqlType::Duration,
    ])
}

/// Any type whose values can be compared, so that sets of it can be written.
pub(crate) fn ordered_kind() -> impl Strategy<Value = CqlType> {
    kind().prop_filter("a type with an order", CqlType::is_ordered)
}

/// Any type. No set and no key of a map holds a duration.
pub(crate) fn kind() -> impl Strategy<Value = CqlType> {
    let has_keys = |kind: &CqlType| match kind {
        CqlType::Set(of) | CqlType::Map(of, _) => of.is_ordered(),
        _ => true,
    };
    scalar_kind().prop_recursive(3, 8, 2, move |inner| {
        let fields = prop::collection::vec(inner.clone(), 1..4);
        let inner = inner.prop_map(Box::new);
        prop_oneof![
            fields.prop_map(CqlType::Tuple),
            inner.clone().prop_map(CqlType::List),
            inner.clone().prop_map(CqlType::Set),
            inner.clone().prop_map(CqlType::Frozen),
            (inner.clone(), inner).prop_map(|(key, value)| CqlType::Map(key, value)),
        ]
        .prop_filter("a set of values with an order", has_keys)
    })
}

/// A value of `kind`, never NaN, and often close to other values of the type.
pub(crate) fn value(kind: &CqlType) -> BoxedStrategy<Value> {
    let number = prop_oneof![any::<i64>(), -2..3_i64, Just(i64::MIN), Just(i64::MAX)];
    match kind {
        CqlType::Ascii => "[\\x00\\x01a-c]{0,4}".prop_map(Value::Text).boxed(),
        CqlType::Text => "[\\x00\\x01a-c'ÿ𝄞]{0,4}".prop_map(Value::Text).boxed(),
        CqlType::Blob => {
            prop::collection::vec(prop::sample::select(vec![0, 1, 2, 127, 128, 254, 255]), 0..5)
                .prop_map(|bytes: Vec<u8>| Value::Blob(Bytes::from(bytes)))
                .boxed()
        }
        CqlType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        CqlType::Bigint => number.prop_map(Value::Bigint).boxed(),
        CqlType::Timestamp => number.prop_map(Value::Timestamp).boxed(),
        CqlType::Int => prop_oneof![any::<i32>(), -2..3].prop_map(Value::Int).boxed(),
        CqlType::Double => prop_oneof![any::<f64>(), -2.0..2.0_f64, Just(0.0), Just(-0.0)]
            .prop_map(Value::Double)
            .boxed(),
        CqlType::Float => prop_oneof![any::<f32>(), -2.0..2.0_f32, Just(0.0), Just(-0.0)]
            .prop_map(Value::Float)
            .boxed(),
        CqlType::Inet => any::<IpAddr>().prop_map(Value::Inet).boxed(),
        CqlType::Uuid => uuid().prop_map(Value::Uuid).boxed(),
        CqlType::Timeuuid => uuid()
            .prop_map(|id| {
                let mut bytes = id.into_bytes();
                bytes[6] = bytes[6] & 0x0F | 0x10;
                Value::Uuid(Uuid::from_bytes(bytes))
            })
            .boxed(),
        CqlType::Frozen(inner) => value(inner),
        CqlType::List(of) => prop::collection::vec(value(of), 0..4).prop_map(Value::List).boxed(),
        CqlType::Set(of) => prop::collection::vec(value(of), 0..4).prop_map(Value::Set).boxed(),
        CqlType::Map(key, of) => {
            prop::collection::vec((value(key), value(of)), 0..4).prop_map(Value::Map).boxed()
        }
        CqlType::Tinyint => any::<i8>().prop_map(Value::Tinyint).boxed(),
        CqlType::Smallint => prop_oneof![any::<i16>(), -2..3_i16].prop_map(Value::Smallint).boxed(),
        CqlType::Varint => integer().prop_map(Value::Varint).boxed(),
        CqlType::Decimal => (integer(), prop_oneof![-40..40_i32, -2..3_i32])
            .prop_map(|(unscaled, scale)| Value::Decimal(Decimal { unscaled, scale }))
            .boxed(),
        CqlType::Date => prop_oneof![any::<i32>(), -2..3_i32].prop_map(Value::Date).boxed(),
        CqlType::Time => (0..NANOS_PER_DAY).prop_map(Value::Time).boxed(),
        CqlType::Duration => (0..i32::MAX, 0..400_i32, any::<i64>())
            .prop_map(|(months, days, nanos)| {
                let sign = if nanos < 0 { -1 } else { 1 };
                Duration::new(sign * months, sign * days, nanos)
            })
            .prop_map(|duration| Value::Duration(duration.expect("parts of one sign")))
            .boxed(),
        CqlType::Tuple(of) => {
            let fields: Vec<_> = of.iter().map(|of| prop::option::of(value(of))).collect();
            fields.prop_map(Value::Tuple).boxed()
        }
    }
}

/// Any integer, often a power of two or of ten, or close to one.
fn integer() -> impl Strategy<Value = BigInt> {
    let bytes = prop::collection::vec(any::<u8>(), 0..12);
    let power = |base: u32| {
        move |(exponent, near, sign): (u32, i32, i32)| {
            (BigInt::from(base).pow(exponent) + near) * sign
        }
    };
    let sign = prop::sample::select(vec![-1, 1]);
    prop_oneof![
        bytes.prop_map(|bytes| BigInt::from_signed_bytes_be(&bytes)),
        (0..1_200_u32, -1..2_i32, sign.clone()).prop_map(power(2)),
        (0..40_u32, -1..2_i32, sign).prop_map(power(10)),
        (-200..200_i32).prop_map(BigInt::from),
    ]
}

/// Any UUID, often one that differs from others in few bytes.
fn uuid() -> impl Strategy<Value = Uuid> {
    let bytes = prop::sample::select(vec![0x00, 0x10, 0x1F, 0x40, 0x7F, 0x80, 0xFF]);
    prop_oneof![
        any::<[u8; 16]>().prop_map(Uuid::from_bytes),
        prop::array::uniform16(bytes).prop_map(Uuid::from_bytes),
    ]
}

/// A type and a value of it.
pub(crate) fn typed_value() -> impl Strategy<Value = (CqlType, Value)> {
    kind().prop_flat_map(|kind| value(&kind).prop_map(move |value| (kind.clone(), value)))
}

/// A type without parameters and a value of it.
pub(crate) fn typed_scalar() -> impl Strategy<Value = (CqlType, Value)> {
    scalar_kind().prop_flat_map(|kind| value(&kind).prop_map(move |value| (kind.clone(), value)))
}
