//! Types and values for property tests.

use std::net::IpAddr;

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use crate::{CqlType, Value};

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
    ])
}

/// Any type.
pub(crate) fn kind() -> impl Strategy<Value = CqlType> {
    scalar_kind().prop_recursive(3, 8, 2, |inner| {
        let inner = inner.prop_map(Box::new);
        prop_oneof![
            inner.clone().prop_map(CqlType::List),
            inner.clone().prop_map(CqlType::Set),
            inner.clone().prop_map(CqlType::Frozen),
            (inner.clone(), inner).prop_map(|(key, value)| CqlType::Map(key, value)),
        ]
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
    }
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
