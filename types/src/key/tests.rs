use std::cmp::Ordering;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::value::strategy;
use crate::{BigInt, Decimal, Value};

fn key_of(kind: &CqlType, bytes: &[u8], order: Order) -> Vec<u8> {
    let mut out = Vec::new();
    encode_component(kind, bytes, order, &mut out).unwrap();
    out
}

/// Cassandra's order of two decoded values, written as its comparators say it.
fn slow_order(kind: &CqlType, left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Bigint(a), Value::Bigint(b))
        | (Value::Timestamp(a), Value::Timestamp(b))
        | (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) | (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Blob(a), Value::Blob(b)) => a.cmp(b),
        (Value::Double(a), Value::Double(b)) => slow_float_order(*a, *b),
        (Value::Float(a), Value::Float(b)) => slow_float_order(f64::from(*a), f64::from(*b)),
        (Value::Inet(a), Value::Inet(b)) => octets(a).cmp(&octets(b)),
        (Value::Uuid(a), Value::Uuid(b)) if *kind == CqlType::Timeuuid => {
            let signed =
                |id: &Uuid| id.as_bytes()[8..].iter().map(|b| b.cast_signed()).collect::<Vec<_>>();
            time(a).cmp(&time(b)).then(signed(a).cmp(&signed(b)))
        }
        (Value::Uuid(a), Value::Uuid(b)) => {
            let version = |id: &Uuid| id.as_bytes()[6] >> 4;
            let by_time = if version(a) == 1 { time(a).cmp(&time(b)) } else { Ordering::Equal };
            version(a).cmp(&version(b)).then(by_time).then(a.as_bytes().cmp(b.as_bytes()))
        }
        (Value::List(a), Value::List(b)) | (Value::Set(a), Value::Set(b)) => {
            let (CqlType::List(of) | CqlType::Set(of)) = kind.thawed() else { panic!("{kind}") };
            slow_sequence_order(a.iter().map(|v| (&**of, v)), b.iter().map(|v| (&**of, v)))
        }
        (Value::Map(a), Value::Map(b)) => {
            let CqlType::Map(key, of) = kind.thawed() else { panic!("{kind}") };
            let flat = |pairs: &'_ [(Value, Value)]| {
                pairs.iter().flat_map(|(k, v)| [k.clone(), v.clone()]).collect::<Vec<_>>()
            };
            let (a, b) = (flat(a), flat(b));
            let kinds = || [&**key, &**of].into_iter().cycle();
            slow_sequence_order(kinds().zip(&a), kinds().zip(&b))
        }
        (Value::Tinyint(a), Value::Tinyint(b)) => a.cmp(b),
        (Value::Smallint(a), Value::Smallint(b)) => a.cmp(b),
        (Value::Varint(a), Value::Varint(b)) => a.cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => slow_decimal_order(a, b),
        (Value::Tuple(a), Value::Tuple(b)) => {
            let CqlType::Tuple(of) = kind.thawed() else { panic!("{kind}") };
            let pairs = of.iter().zip(a.iter().zip(b));
            let orders = pairs.map(|(of, pair)| match pair {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Less,
                (Some(_), None) => Ordering::Greater,
                (Some(a), Some(b)) => slow_order(of, a, b),
            });
            orders.fold(Ordering::Equal, Ordering::then)
        }
        other => panic!("{other:?}"),
    }
}

/// By value: both are brought to as many digits behind the point.
fn slow_decimal_order(a: &Decimal, b: &Decimal) -> Ordering {
    let scale = a.scale.max(b.scale);
    let aligned = |it: &Decimal| {
        let missing = (scale - it.scale).unsigned_abs();
        &it.unscaled * BigInt::from(10).pow(missing)
    };
    aligned(a).cmp(&aligned(b))
}

fn slow_sequence_order<'a>(
    left: impl Iterator<Item = (&'a CqlType, &'a Value)>,
    mut right: impl Iterator<Item = (&'a CqlType, &'a Value)>,
) -> Ordering {
    for (kind, a) in left {
        let Some((_, b)) = right.next() else { return Ordering::Greater };
        let order = slow_order(kind, a, b);
        if order.is_ne() {
            return order;
        }
    }
    if right.next().is_some() { Ordering::Less } else { Ordering::Equal }
}

/// By value; -0 before 0.
fn slow_float_order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap().then(b.is_sign_negative().cmp(&a.is_sign_negative()))
}

fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}

/// The 60 bits of time in a UUID, digit by digit.
fn time(id: &Uuid) -> u64 {
    let digits = id.simple().to_string();
    let time = [&digits[13..16], &digits[8..12], &digits[..8]].concat();
    u64::from_str_radix(&time, 16).unwrap()
}

/// A type and three values of it.
fn three() -> impl Strategy<Value = (CqlType, [Value; 3])> {
    strategy::ordered_kind().prop_flat_map(|kind| {
        let value = strategy::value(&kind);
        [value.clone(), value.clone(), value].prop_map(move |values| (kind.clone(), values))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn bytes_sort_as_values_do((kind, values) in three()) {
        let bytes = values.map(|value| value.encode(&kind).unwrap());
        for (left, right) in [(0, 1), (1, 2), (0, 2), (0, 0)] {
            let [a, b] = [left, right].map(|place| &bytes[place]);
            // Decoded again, because encoding put sets and maps in order.
            let decode = |bytes| Value::decode(&kind, bytes).unwrap();
            let wanted = slow_order(&kind, &decode(a), &decode(b));
            let of = |bytes, order| key_of(&kind, bytes, order);
            prop_assert_eq!(of(a, Order::Ascending).cmp(&of(b, Order::Ascending)), wanted);
            prop_assert_eq!(of(a, Order::Descending).cmp(&of(b, Order::Descending)), wanted.reverse());
        }
    }

    #[test]
    fn keys_are_read_back_and_no_key_begins_another(
        (kind, values) in three(),
        is_descending in any::<bool>(),
        rest in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let order = if is_descending { Order::Descending } else { Order::Ascending };
        let values = values.map(|value| value.encode(&kind).unwrap());
        let keys = values.clone().map(|bytes| key_of(&kind, &bytes, order));
        for (bytes, key) in values.iter().zip(&keys) {
            let stored = [&key[..], &rest].concat();
            let mut input = &stored[..];
            let read = decode_component(&kind, order, &mut input).unwrap();
            prop_assert_eq!(input, &rest);
            // Of decimals that are equal as numbers one comes back.
            let decode = |bytes| Value::decode(&kind, bytes).unwrap();
            prop_assert!(slow_order(&kind, &decode(&read), &decode(bytes)).is_eq());
            prop_assert!(&read == bytes || kind.to_string().contains("decimal"));
            prop_assert_eq!(&key_of(&kind, &read, order), key);
            for other in &keys {
                prop_assert!(!other.starts_with(key) || other == key);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        kind in strategy::kind(),
        bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..40),
    ) {
        for order in [Order::Ascending, Order::Descending] {
            let mut input = &bytes[..];
            if let Ok(value) = decode_component(&kind, order, &mut input) {
                // What was read leads back to the same bytes.
                let key = &bytes[..bytes.len() - input.len()];
                prop_assert_eq!(key_of(&kind, &value, order), key);
            }
        }
    }
}

fn key_of_literal(kind: &CqlType, text: &str) -> Vec<u8> {
    let value = Value::parse(kind, text).unwrap();
    key_of(kind, &value.encode(kind).unwrap(), Order::Ascending)
}

#[test]
fn decimals_of_any_scale_sort_by_number() {
    let ascending = [
        "-1e2147483648",
        "-1e2147483647",
        "-1e10",
        "-100",
        "-99.9",
        "-1e-2147483647",
        "0",
        "1e-2147483647",
        "9e-2147483647",
        "1e-10",
        "0.1",
        "0.11",
        "0.2",
        "1",
        "1.01",
        "9",
        "10",
        "11",
        "1e10",
        "1e2147483647",
        "9.99e2147483648",
    ];
    let keys = ascending.map(|text| key_of_literal(&CqlType::Decimal, text));
    assert!(keys.is_sorted_by(|a, b| a < b), "{keys:x?}");
    for (text, back) in [
        ("1.50", "1.5"),
        ("100", "100"),
        ("100.000", "100"),
        ("1e2", "100"),
        ("-0e7", "0"),
        ("1e64", &format!("1{}", "0".repeat(64))),
        ("1e65", "1E+65"),
        ("10e2147483648", "1.0E+2147483649"), // No scale is small enough for one digit.
        ("1e-2147483647", "1E-2147483647"),
    ] {
        let key = key_of_literal(&CqlType::Decimal, text);
        let read = decode_component(&CqlType::Decimal, Order::Ascending, &mut &key[..]).unwrap();
        assert_eq!(Value::decode(&CqlType::Decimal, &read).unwrap().to_string(), back, "{text}");
    }
}

#[test]
fn decimals_too_long_to_be_sorted_are_refused() {
    let digits = "9".repeat(number::DIGITS_MAX);
    let decimal = |text: &str| Value::parse(&CqlType::Decimal, text).unwrap();
    let refused = |text: &str| {
        let bytes = decimal(text).encode(&CqlType::Decimal).unwrap();
        encode_component(&CqlType::Decimal, &bytes, Order::Ascending, &mut Vec::new())
    };
    assert_eq!(refused(&digits), Ok(()));
    let kind = CqlType::Decimal;
    let error = ValueError::TooManyDigits { kind, max: number::DECIMAL_BYTES_MAX };
    assert_eq!(refused(&format!("{digits}9")), Err(error.clone()));
    assert_eq!(refused(&format!("{digits}{}", "0".repeat(60_000))), Err(error));
    assert_eq!(refused(&format!("{digits}{}", "0".repeat(9_000))), Ok(()));
}

#[test]
fn a_tuple_without_its_last_fields_is_one_with_nulls() {
    let kind = CqlType::Tuple(vec![CqlType::Tinyint, CqlType::Tinyint]);
    let short = key_of(&kind, b"\0\0\0\x01\x07", Order::Ascending);
    let full = key_of(&kind, b"\0\0\0\x01\x07\xFF\xFF\xFF\xFF", Order::Ascending);
    assert_eq!(short, full);
    assert_eq!(short, [1, 0x87, 0]);
}

#[test]
fn a_duration_is_no_key() {
    let list = CqlType::List(Box::new(CqlType::Duration));
    let value = b"\0\0\0\x01\0\0\0\x03\0\0\0";
    let error = encode_component(&list, value, Order::Ascending, &mut Vec::new());
    assert_eq!(error, Err(ValueError::NoOrder { kind: CqlType::Duration }));
    let error = decode_component(&CqlType::Duration, Order::Ascending, &mut &[0; 3][..]);
    assert_eq!(error, Err(KeyError::NoOrder { kind: CqlType::Duration }));
}

#[test]
fn floats_sort_from_minus_infinity_to_nan() {
    let ascending = [
        f64::NEG_INFINITY,
        f64::MIN,
        -1.0,
        -f64::MIN_POSITIVE,
        -0.0,
        0.0,
        1.0,
        f64::MAX,
        f64::INFINITY,
        f64::NAN,
        -f64::NAN,
    ];
    let doubles =
        ascending.map(|number| key_of(&CqlType::Double, &number.to_be_bytes(), Order::Ascending));
    assert!(doubles.is_sorted_by(|a, b| a < b), "{doubles:x?}");
    let floats =
        [f32::NEG_INFINITY, f32::MIN, -0.0, 0.0, f32::MAX, f32::INFINITY, f32::NAN, -f32::NAN]
            .map(|number| key_of(&CqlType::Float, &number.to_be_bytes(), Order::Ascending));
    assert!(floats.is_sorted_by(|a, b| a < b), "{floats:x?}");
    for number in ascending {
        let key = key_of(&CqlType::Double, &number.to_be_bytes(), Order::Descending);
        let back = decode_component(&CqlType::Double, Order::Descending, &mut &key[..]);
        assert_eq!(back.unwrap(), number.to_be_bytes());
    }
}

/// The bytes are stored: they may never change.
#[test]
fn stored_keys_are_these() {
    let id = Uuid::parse_str("123e4567-e89b-12d3-a456-426614174000").unwrap();
    let random = Uuid::parse_str("550e8400-e29b-41d4-a716-446655440000").unwrap();
    let set = CqlType::Frozen(Box::new(CqlType::Set(Box::new(CqlType::Boolean))));
    for (kind, bytes, order, key) in [
        (CqlType::Int, &[0, 0, 0, 5][..], Order::Ascending, &[0x80, 0, 0, 5][..]),
        (CqlType::Int, &[0, 0, 0, 5], Order::Descending, &[0x7F, 0xFF, 0xFF, 0xFA]),
        (
            CqlType::Bigint,
            &[0xFF; 8],
            Order::Ascending,
            &[0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ),
        (CqlType::Timestamp, &[0; 8], Order::Ascending, &[0x80, 0, 0, 0, 0, 0, 0, 0]),
        (CqlType::Boolean, &[1], Order::Ascending, &[1]),
        (CqlType::Text, b"a\0b", Order::Ascending, b"a\0\xFFb\0\x01"),
        (CqlType::Blob, b"", Order::Ascending, b"\0\x01"),
        (CqlType::Ascii, b"", Order::Descending, b"\xFF\xFE"),
        (CqlType::Inet, &[10, 0, 0, 1], Order::Ascending, &[10, 0, 0xFF, 0, 0xFF, 1, 0, 1]),
        (CqlType::Double, &[0; 8], Order::Ascending, &[0x7F, 0xF0, 0, 0, 0, 0, 0, 1]),
        (CqlType::Float, &[0; 4], Order::Ascending, &[0x7F, 0x80, 0, 1]),
        (
            CqlType::Uuid,
            id.as_bytes(),
            Order::Ascending,
            b"\x12\xd3\xe8\x9b\x12\x3e\x45\x67\xa4\x56\x42\x66\x14\x17\x40\0",
        ),
        (
            CqlType::Uuid,
            random.as_bytes(),
            Order::Ascending,
            b"\x45\x50\xe8\x40\x0e\x29\xb1\xd4\xa7\x16\x44\x66\x55\x44\0\0",
        ),
        (
            CqlType::Timeuuid,
            id.as_bytes(),
            Order::Ascending,
            b"\x12\xd3\xe8\x9b\x12\x3e\x45\x67\x24\xd6\xc2\xe6\x94\x97\xc0\x80",
        ),
        (CqlType::Tinyint, &[0xFF], Order::Ascending, &[0x7F]),
        (CqlType::Smallint, &[1, 2], Order::Descending, &[0x7E, 0xFD]),
        (CqlType::Date, &[0x80, 0, 0, 1], Order::Ascending, &[0x80, 0, 0, 1]),
        (CqlType::Time, &[0, 0, 0, 0, 0, 0, 0, 9], Order::Ascending, &[0, 0, 0, 0, 0, 0, 0, 9]),
        (CqlType::Varint, &[0], Order::Ascending, &[0x81, 0]),
        (CqlType::Varint, &[1, 0], Order::Ascending, &[0x82, 1, 0]),
        (CqlType::Varint, &[0xFF], Order::Ascending, &[0x7E, 0xFF]),
        (CqlType::Varint, &[0xFF, 0x7F], Order::Descending, &[0x82, 0, 0x80]),
        (CqlType::Decimal, b"\0\0\0\x02\0", Order::Ascending, &[1]),
        (
            CqlType::Decimal, // 12.3
            b"\0\0\0\x01\x7B",
            Order::Ascending,
            &[2, 0x80, 0, 0, 0, 2, 13, 31, 0],
        ),
        (
            CqlType::Decimal, // -12.3
            b"\0\0\0\x01\x85",
            Order::Ascending,
            &[0, 0x7F, 0xFF, 0xFF, 0xFF, 0xFD, !13, !31, 0xFF],
        ),
        (set, b"\0\0\0\x02\0\0\0\x01\0\0\0\0\x01\x01", Order::Ascending, &[1, 0, 1, 1, 0]),
    ] {
        assert_eq!(key_of(&kind, bytes, order), key, "{kind}");
    }
    let mut partition = Vec::new();
    encode_bytes(b"k\0", &mut partition);
    assert_eq!(partition, b"k\0\xFF\0\x01");
    assert_eq!(decode_bytes(&mut &partition[..]).unwrap(), b"k\0");
}

#[test]
fn broken_keys_are_refused_by_name() {
    let read =
        |kind: CqlType, mut input: &[u8]| decode_component(&kind, Order::Ascending, &mut input);
    let list = CqlType::List(Box::new(CqlType::Int));
    assert_eq!(read(CqlType::Int, &[1, 2, 3]), Err(KeyError::Truncated));
    assert_eq!(read(CqlType::Text, b"ab"), Err(KeyError::Truncated));
    assert_eq!(read(CqlType::Text, b"a\0"), Err(KeyError::Truncated));
    assert_eq!(read(CqlType::Text, b"a\0\x02"), Err(KeyError::Escape { byte: 2 }));
    assert_eq!(read(list.clone(), &[7]), Err(KeyError::Mark { kind: list, byte: 7 }));
    let map = CqlType::Map(Box::new(CqlType::Boolean), Box::new(CqlType::Boolean));
    assert_eq!(read(map, &[1, 0, 0]), Err(KeyError::Truncated));
    let form = |kind| Err(KeyError::Form { kind });
    assert_eq!(read(CqlType::Varint, &[0x82, 0, 1]), form(CqlType::Varint)); // One byte too long.
    assert_eq!(read(CqlType::Varint, &[0x81, 0xFF]), form(CqlType::Varint)); // Of the other sign.
    assert_eq!(read(CqlType::Varint, &[0xFF, 0xFF, 0, 0, 0]), form(CqlType::Varint)); // Longer than any.
    assert_eq!(read(CqlType::Varint, &[0xFF, 0, 0, 1, 0]), Err(KeyError::Truncated));
    let one = [2, 0x80, 0, 0, 0, 1];
    for digits in [&[0][..], &[2, 0], &[11, 1, 0]] {
        let key = [&one[..], digits].concat();
        assert_eq!(read(CqlType::Decimal, &key), form(CqlType::Decimal), "{digits:?}");
    }
    let far = [2, 0xFF, 0, 0, 0, 1, 11, 0];
    assert_eq!(read(CqlType::Decimal, &far), form(CqlType::Decimal));
    let mark = Err(KeyError::Mark { kind: CqlType::Decimal, byte: 102 });
    assert_eq!(read(CqlType::Decimal, &[&one[..], &[102]].concat()), mark);
}

#[test]
fn refused_values_leave_the_key_as_it_was() {
    let mut out = vec![7];
    let list = CqlType::List(Box::new(CqlType::Int));
    let value = [0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 9];
    let error = encode_component(&list, &value, Order::Descending, &mut out);
    assert!(matches!(error, Err(ValueError::Length { len: 1, .. })));
    assert_eq!(out, [7]);
}
