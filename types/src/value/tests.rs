use proptest::prelude::*;

use super::*;

fn set_of(of: CqlType) -> CqlType {
    CqlType::Set(Box::new(of))
}

#[test]
fn bytes_are_those_of_the_protocol() {
    let id: Uuid = "123e4567-e89b-12d3-a456-426614174000".parse().unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    let int_map = CqlType::Map(Box::new(CqlType::Int), Box::new(CqlType::Boolean));
    for (kind, value, bytes) in [
        (CqlType::Int, Value::Int(-2), &[0xFF, 0xFF, 0xFF, 0xFE][..]),
        (CqlType::Bigint, Value::Bigint(258), &[0, 0, 0, 0, 0, 0, 1, 2]),
        (CqlType::Timestamp, Value::Timestamp(-1), &[0xFF; 8]),
        (CqlType::Boolean, Value::Boolean(true), &[1]),
        (CqlType::Double, Value::Double(-2.0), &[0xC0, 0, 0, 0, 0, 0, 0, 0]),
        (CqlType::Float, Value::Float(1.0), &[0x3F, 0x80, 0, 0]),
        (CqlType::Text, text("é"), &[0xC3, 0xA9]),
        (CqlType::Ascii, text(""), &[]),
        (CqlType::Inet, Value::Inet("127.0.0.1".parse().unwrap()), &[127, 0, 0, 1]),
        (CqlType::Timeuuid, Value::Uuid(id), id.as_bytes()),
        (CqlType::Blob, Value::Blob(Bytes::from_static(&[0, 1])), &[0, 1]),
        (
            set_of(CqlType::Text),
            Value::Set(vec![text("a"), text("bc")]),
            b"\0\0\0\x02\0\0\0\x01a\0\0\0\x02bc",
        ),
        (
            int_map,
            Value::Map(vec![(Value::Int(1), Value::Boolean(false))]),
            b"\0\0\0\x01\0\0\0\x04\0\0\0\x01\0\0\0\x01\0",
        ),
        (CqlType::Frozen(Box::new(set_of(CqlType::Int))), Value::Set(vec![]), &[0; 4]),
        (CqlType::Tinyint, Value::Tinyint(-2), &[0xFE]),
        (CqlType::Smallint, Value::Smallint(-2), &[0xFF, 0xFE]),
        (CqlType::Varint, Value::Varint(0.into()), &[0]),
        (CqlType::Varint, Value::Varint(128.into()), &[0, 0x80]),
        (CqlType::Varint, Value::Varint((-129).into()), &[0xFF, 0x7F]),
        (CqlType::Date, Value::Date(0), &[0x80, 0, 0, 0]),
        (CqlType::Date, Value::Date(i32::MIN), &[0; 4]),
        (CqlType::Time, Value::Time(1), &[0, 0, 0, 0, 0, 0, 0, 1]),
        (
            CqlType::Decimal,
            Value::Decimal(Decimal { unscaled: 150.into(), scale: 2 }),
            &[0, 0, 0, 2, 0, 0x96],
        ),
        (CqlType::Duration, Value::Duration(Duration::new(1, 2, 3).unwrap()), &[2, 4, 6]),
        (
            CqlType::Tuple(vec![CqlType::Tinyint, CqlType::Text, CqlType::Int]),
            Value::Tuple(vec![Some(Value::Tinyint(7)), None, None]),
            b"\0\0\0\x01\x07\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        ),
    ] {
        assert_eq!(value.encode(&kind).as_deref(), Ok(bytes), "{kind}");
        assert_eq!(Value::decode(&kind, bytes), Ok(value), "{kind}");
        assert_eq!(validate(&kind, bytes), Ok(()), "{kind}");
    }
}

fn tuple() -> CqlType {
    CqlType::Tuple(vec![CqlType::Tinyint, CqlType::Smallint])
}

#[test]
fn a_tuple_may_end_early_and_keeps_its_bytes() {
    let short = b"\0\0\0\x01\x07";
    let read = Value::decode(&tuple(), short).unwrap();
    assert_eq!(read, Value::Tuple(vec![Some(Value::Tinyint(7)), None]));
    assert_eq!(collection::normalise(&tuple(), short).unwrap().as_ref(), short);
    let three = Value::Tuple(vec![None, None, None]);
    let error = ValueError::Mismatch { kind: tuple(), value: "a tuple" };
    assert_eq!(three.encode(&tuple()), Err(error));
}

#[test]
fn wrong_bytes_are_refused_by_name() {
    let length = |kind: CqlType, expected, len| ValueError::Length { kind, expected, len };
    let id: Uuid = "550e8400-e29b-41d4-a716-446655440000".parse().unwrap();
    for (kind, bytes, error) in [
        (CqlType::Int, &[0; 3][..], length(CqlType::Int, "4", 3)),
        (CqlType::Int, &[], length(CqlType::Int, "4", 0)),
        (CqlType::Float, &[0; 8], length(CqlType::Float, "4", 8)),
        (CqlType::Bigint, &[0; 9], length(CqlType::Bigint, "8", 9)),
        (CqlType::Boolean, &[], length(CqlType::Boolean, "1", 0)),
        (CqlType::Boolean, &[2], ValueError::NotBoolean { byte: 2 }),
        (CqlType::Tinyint, &[0; 2], length(CqlType::Tinyint, "1", 2)),
        (CqlType::Smallint, &[0], length(CqlType::Smallint, "2", 1)),
        (CqlType::Date, &[0; 3], length(CqlType::Date, "4", 3)),
        (CqlType::Time, &[0xFF; 8], ValueError::NotTimeOfDay { nanos: -1 }),
        (CqlType::Varint, &[], length(CqlType::Varint, "1 or more", 0)),
        (CqlType::Decimal, &[0; 4], length(CqlType::Decimal, "5 or more", 4)),
        (CqlType::Duration, &[0, 0], ValueError::Duration),
        (tuple(), b"\0\0\0\x01\x07\0\0\0\x02\0", ValueError::Truncated { kind: tuple() }),
        (tuple(), b"\0\0\0", ValueError::Truncated { kind: tuple() }),
        (
            tuple(),
            b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0",
            ValueError::Trailing { kind: tuple(), len: 1 },
        ),
        (CqlType::Uuid, &[0; 15], length(CqlType::Uuid, "16", 15)),
        (CqlType::Timeuuid, id.as_bytes(), ValueError::NotTimeBased { version: 4 }),
        (CqlType::Inet, &[0; 5], length(CqlType::Inet, "4 or 16", 5)),
        (CqlType::Text, b"ab\xFF", ValueError::NotUtf8 { at: 2 }),
        (CqlType::Ascii, "aé".as_bytes(), ValueError::NotAscii { at: 1 }),
        (set_of(CqlType::Int), b"\0\0\0\x01\0\0\0\x02\0\0", length(CqlType::Int, "4", 2)),
    ] {
        assert_eq!(Value::decode(&kind, bytes), Err(error.clone()), "{kind}");
        assert_eq!(validate(&kind, bytes), Err(error), "{kind}");
    }
}

#[test]
fn values_of_other_types_are_not_written() {
    let error = Value::Int(1).encode(&CqlType::Bigint).unwrap_err();
    assert_eq!(error, ValueError::Mismatch { kind: CqlType::Bigint, value: "an int" });
    let list = Value::List(vec![Value::Boolean(true)]);
    assert_eq!(
        list.encode(&set_of(CqlType::Boolean)).unwrap_err().to_string(),
        "a list is no set<boolean>"
    );
    let id = Value::Uuid(Uuid::nil());
    assert_eq!(id.encode(&CqlType::Timeuuid), Err(ValueError::NotTimeBased { version: 0 }));
}

#[test]
fn depth_is_bounded() {
    let mut kind = CqlType::Int;
    for _ in 0..=CqlType::DEPTH_MAX {
        kind = CqlType::Frozen(Box::new(kind));
    }
    let bytes = [0; 4];
    assert_eq!(validate(&kind, &bytes), Err(ValueError::TooDeep));
    assert_eq!(Value::decode(&kind, &bytes), Err(ValueError::TooDeep));
    assert_eq!(Value::Int(0).encode(&kind), Err(ValueError::TooDeep));
}

proptest! {
    #[test]
    fn encoded_values_are_read_back((kind, value) in strategy::typed_value()) {
        let bytes = value.encode(&kind).unwrap();
        prop_assert_eq!(validate(&kind, &bytes), Ok(()));
        let read = Value::decode(&kind, &bytes).unwrap();
        // Sets and maps come back in order, so the second round must change nothing.
        prop_assert_eq!(read.encode(&kind).unwrap(), bytes);
    }

    #[test]
    fn scalars_come_back_as_they_were((kind, value) in strategy::typed_scalar()) {
        prop_assert_eq!(Value::decode(&kind, &value.encode(&kind).unwrap()), Ok(value));
    }

    #[test]
    fn any_bytes_are_refused_or_valid_alike(
        kind in strategy::kind(),
        bytes in prop::collection::vec(prop_oneof![Just(0_u8), 0..6_u8, any::<u8>()], 0..40),
    ) {
        let decoded = Value::decode(&kind, &bytes);
        prop_assert_eq!(decoded.clone().err(), validate(&kind, &bytes).err());
        if let Ok(value) = decoded {
            prop_assert!(value.encode(&kind).is_ok());
        }
    }
}
