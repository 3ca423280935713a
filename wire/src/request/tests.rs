use super::*;
use crate::client::{frame, hex, receive_one, request};
use crate::value::Value;

fn params(body: &str) -> Result<QueryParams, RequestError> {
    match request(opcode::QUERY, &format!("00000001 51 {body}"))? {
        Request::Query(query) => Ok(query.params),
        other => panic!("{other:?}"),
    }
}

fn plain(consistency: Consistency) -> QueryParams {
    QueryParams {
        consistency,
        values: Values::default(),
        skip_metadata: false,
        page_size: None,
        paging_state: None,
        serial_consistency: None,
        timestamp_us: None,
    }
}

fn truncated(field: &'static str, missing: usize) -> RequestError {
    RequestError::Truncated { field, missing }
}

#[test]
fn startup_holds_known_and_unknown_options() {
    let body = "0003 000b 43514c5f56455253494f4e 0005 342e302e30 \
                000b 434f4d5052455353494f4e 0003 4c5a34 \
                0001 78 0000";
    let Ok(Request::Startup(startup)) = request(opcode::STARTUP, body) else { panic!() };
    assert_eq!(startup.cql_version(), Some("4.0.0"));
    assert_eq!(startup.compression(), Ok(Some(Compression::Lz4)));
    assert_eq!(startup.option("x"), Some(""));
    assert_eq!(startup.option("y"), None);
}

#[test]
fn startup_may_name_no_unknown_compression() {
    let body = "0001 000b 434f4d5052455353494f4e 0006 736e61707079";
    let Ok(Request::Startup(startup)) = request(opcode::STARTUP, body) else { panic!() };
    let error = RequestError::UnknownCompression { name: "snappy".into() };
    assert_eq!(startup.compression(), Err(error));
    assert_eq!(startup.cql_version(), None);
}

#[test]
fn startup_is_limited() {
    let error = RequestError::TooMany { field: "STARTUP", count: 65, count_max: 64 };
    assert_eq!(request(opcode::STARTUP, "0041"), Err(error));
    assert_eq!(request(opcode::STARTUP, "0040"), Err(truncated("name of an option", 2)));
}

#[test]
fn options_have_no_body() {
    assert_eq!(request(opcode::OPTIONS, ""), Ok(Request::Options));
    let error = RequestError::TrailingBytes { bytes: 1 };
    assert_eq!(request(opcode::OPTIONS, "00"), Err(error));
}

#[test]
fn register_takes_each_event_once() {
    let status = "000d 5354415455535f4348414e4745";
    let body = format!("0002 {status} {status}");
    let events = BTreeSet::from([EventKind::StatusChange]);
    assert_eq!(request(opcode::REGISTER, &body), Ok(Request::Register { events }));
    let error = RequestError::UnknownEvent { name: "x".into() };
    assert_eq!(request(opcode::REGISTER, "0001 0001 78"), Err(error));
}

#[test]
fn auth_response_may_be_null() {
    let body = "00000003 007500";
    let token = Some(Bytes::from_static(&[0, b'u', 0]));
    assert_eq!(request(opcode::AUTH_RESPONSE, body), Ok(Request::AuthResponse { token }));
    let request = request(opcode::AUTH_RESPONSE, "ffffffff");
    assert_eq!(request, Ok(Request::AuthResponse { token: None }));
}

/// What `cqlsh` sends with everything: page size, serial consistency, timestamp.
#[test]
fn params_of_cqlsh() {
    let expected = QueryParams {
        page_size: NonZeroU32::new(100),
        serial_consistency: Some(Consistency::Serial),
        timestamp_us: Some(0x0006_0000_0000_0001),
        ..plain(Consistency::One)
    };
    assert_eq!(params("0001 34 00000064 0008 0006000000000001"), Ok(expected));
}

#[test]
fn every_part_of_params_at_once() {
    let mut params =
        params("0004 7f 0001 0001 6b 00000001 09 00000002 00000003 aabbcc 0009 ffffffffffffffff")
            .unwrap();
    let values = std::mem::take(&mut params.values);
    let expected = QueryParams {
        skip_metadata: true,
        page_size: NonZeroU32::new(2),
        paging_state: Some(Bytes::from_static(&[0xAA, 0xBB, 0xCC])),
        serial_consistency: Some(Consistency::LocalSerial),
        timestamp_us: Some(-1),
        ..plain(Consistency::Quorum)
    };
    assert_eq!(params, expected);
    let bound = values.iter().next().unwrap();
    assert_eq!((bound.name, bound.value), (Some("k"), Value::Bytes(&[9])));
    assert!(values.is_named());
}

#[test]
fn names_without_values_mean_nothing() {
    assert_eq!(params("0001 40"), Ok(plain(Consistency::One)));
}

#[test]
fn page_size_below_one_means_no_pages() {
    for size in ["00000000", "ffffffff", "80000000"] {
        assert_eq!(params(&format!("0001 04 {size}")), Ok(plain(Consistency::One)));
    }
}

#[test]
fn params_that_do_not_fit_are_named() {
    assert_eq!(params("00"), Err(truncated("consistency", 1)));
    assert_eq!(params("000b 00"), Err(RequestError::UnknownConsistency { code: 11 }));
    assert_eq!(params("0001"), Err(truncated("flags", 1)));
    assert_eq!(params("0001 80 0000"), Err(RequestError::UnknownFlags { flags: 0x80 }));
    assert_eq!(params("0001 01 0001 00000004 aabb"), Err(truncated("value", 2)));
    let error = RequestError::NegativeLength { field: "value", length: -3 };
    assert_eq!(params("0001 01 0001 fffffffd"), Err(error));
    let error = RequestError::NotUtf8 { field: "name of a value" };
    assert_eq!(params("0001 41 0001 0001 ff ffffffff"), Err(error));
    assert_eq!(params("0001 08 7fffffff"), Err(truncated("paging state", 0x7FFF_FFFF)));
    assert_eq!(params("0001 10 00ff"), Err(RequestError::UnknownConsistency { code: 255 }));
    assert_eq!(params("0001 20 00"), Err(truncated("timestamp", 7)));
    assert_eq!(params("0001 00 00"), Err(RequestError::TrailingBytes { bytes: 1 }));
}

#[test]
fn statement_is_utf8_of_a_true_length() {
    let error = RequestError::NotUtf8 { field: "statement" };
    assert_eq!(request(opcode::PREPARE, "00000002 c328"), Err(error));
    let error = RequestError::NegativeLength { field: "statement", length: -1 };
    assert_eq!(request(opcode::PREPARE, "ffffffff"), Err(error));
    assert_eq!(request(opcode::PREPARE, "00000005 41"), Err(truncated("statement", 4)));
}

#[test]
fn batch_mixes_texts_and_ids() {
    let body = "01 0002 \
                00 00000003 555345 0000 \
                01 0002 beef 0002 ffffffff 00000001 07 \
                0006 30 0008 0000000000000005";
    let Ok(Request::Batch(batch)) = request(opcode::BATCH, body) else { panic!() };
    assert_eq!(batch.kind, BatchKind::Unlogged);
    assert_eq!(batch.consistency, Consistency::LocalQuorum);
    assert_eq!(batch.serial_consistency, Some(Consistency::Serial));
    assert_eq!(batch.timestamp_us, Some(5));
    let [text, prepared] = &batch.statements[..] else { panic!() };
    assert_eq!(text.statement, Statement::Text("USE".into()));
    assert!(text.values.is_empty());
    assert_eq!(prepared.statement, Statement::Prepared(Bytes::from_static(&[0xBE, 0xEF])));
    let values = prepared.values.iter().map(|bound| bound.value).collect::<Vec<_>>();
    assert_eq!(values, [Value::Null, Value::Bytes(&[7])]);
}

#[test]
fn batch_may_be_empty() {
    let Ok(Request::Batch(batch)) = request(opcode::BATCH, "00 0000 0001 00") else { panic!() };
    assert_eq!((batch.kind, batch.statements.len()), (BatchKind::Logged, 0));
}

#[test]
fn batches_that_do_not_fit_are_named() {
    let batch = |body| request(opcode::BATCH, body);
    assert_eq!(batch("03 0000 0001 00"), Err(RequestError::UnknownBatchKind { kind: 3 }));
    assert_eq!(batch("00 0001 02"), Err(RequestError::UnknownStatementKind { kind: 2 }));
    assert_eq!(batch("00 0000 0001 40"), Err(RequestError::NamedBatchValues));
    assert_eq!(batch("00 0000 0001 a0"), Err(RequestError::UnknownFlags { flags: 0x80 }));
    assert_eq!(batch("00 ffff"), Err(truncated("kind of statement", 1)));
}

// What broke an earlier implementation of the protocol in another crate.

#[test]
fn length_of_all_ones_does_not_wrap_around() {
    let (frames, error) = crate::client::receive(&hex("04 00 0001 07 ffffffff"));
    assert!(frames.is_empty());
    assert!(matches!(error, Some(crate::FramingError::TooLong { bytes: 0xFFFF_FFFF, .. })));
}

#[test]
fn custom_payload_is_not_read_as_a_statement() {
    let body = hex("0001 0001 78 00000001 00  00000003 555345 0001 00");
    let frame = receive_one(&frame(opcode::QUERY, 0x04, &body));
    assert!(matches!(frame.request, Ok(Request::Query(query)) if query.text == "USE"));
}

#[test]
fn lying_long_string_is_an_error() {
    for length in ["00000001", "7fffffff", "80000000", "ffffffff"] {
        assert!(request(opcode::QUERY, length).is_err(), "{length}");
        assert!(request(opcode::BATCH, &format!("00 0001 00 {length}")).is_err(), "{length}");
    }
}

#[test]
fn forty_thousand_values_are_a_positive_number() {
    let nulls = "ffffffff".repeat(40_000);
    let values = params(&format!("0001 01 9c40 {nulls}")).unwrap().values;
    assert_eq!(values.len(), 40_000);
    assert_eq!(values.iter().len(), 40_000);
    assert!(values.iter().all(|bound| bound.value == Value::Null));
}

#[test]
fn skipped_metadata_is_remembered() {
    assert!(params("0001 02").unwrap().skip_metadata);
    assert!(!params("0001 00").unwrap().skip_metadata);
}
