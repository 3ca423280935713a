use bytes::BufMut;
use proptest::prelude::*;

use super::*;
use crate::client::{BODY_BYTES_MAX, frame, hex, ready_codec, receive, receive_one};
use crate::error::ErrorKind;

const OPTIONS_ON_7: &str = "04 00 0007 05 00000000";

fn new_codec() -> FrameCodec {
    FrameCodec::new(BODY_BYTES_MAX)
}

fn decode(codec: &mut FrameCodec, bytes: &[u8]) -> Result<Option<Frame>, FramingError> {
    codec.decode(&mut BytesMut::from(bytes))
}

#[test]
fn header_comes_byte_by_byte() {
    let (mut codec, mut src) = (new_codec(), BytesMut::new());
    for byte in hex(OPTIONS_ON_7) {
        assert_eq!(codec.decode(&mut src), Ok(None));
        src.put_u8(byte);
    }
    let frame = codec.decode(&mut src).unwrap().unwrap();
    assert_eq!((frame.stream, frame.is_traced), (7, false));
    assert_eq!(frame.request, Ok(Request::Options));
    assert!(src.is_empty());
}

#[test]
fn flags_other_than_ours_are_ignored() {
    let frame = receive_one(&hex("04 f2 ffff 05 00000000"));
    assert_eq!((frame.stream, frame.is_traced), (-1, true));
    assert_eq!(frame.request, Ok(Request::Options));
}

/// Python's driver probes with 0x42 and 0x41, Node's with 0x42; older and newer clients exist.
#[test]
fn every_other_version_is_told_ours_on_its_stream() {
    for version in (0..=0x7F).filter(|version| ![1, 2, VERSION].contains(version)) {
        let error = decode(&mut new_codec(), &[version, 0, 1, 2, 5]).unwrap_err();
        assert_eq!(error, FramingError::UnsupportedVersion { version, stream: 0x0102 });
        let (stream, reply) = error.reply().unwrap();
        assert_eq!((stream, reply.kind), (0x0102, ErrorKind::Protocol));
        assert_eq!(
            reply.message,
            format!(
                "Invalid or unsupported protocol version ({version}); \
                 supported versions are (4/v4)"
            )
        );
    }
}

#[test]
fn versions_with_short_streams_are_told_too() {
    for version in [1, 2] {
        let options = [version, 0, 9, 5, 0, 0, 0, 0];
        let error = decode(&mut new_codec(), &options).unwrap_err();
        assert_eq!(error, FramingError::UnsupportedVersion { version, stream: 9 });
    }
}

#[test]
fn other_protocols_are_told_as_well() {
    let error = decode(&mut new_codec(), b"GET / HTTP/1.1\r\n").unwrap_err();
    assert!(matches!(error, FramingError::UnsupportedVersion { version: b'G', .. }));
}

#[test]
fn reply_from_a_client_ends_the_connection() {
    let error = decode(&mut new_codec(), &hex("84 00 0003 02 00000000")).unwrap_err();
    assert_eq!(error, FramingError::NotARequest { stream: 3 });
    assert_eq!(error.reply().unwrap().1.kind, ErrorKind::Protocol);
}

#[test]
fn frames_of_one_read_share_its_memory() {
    let query = frame(opcode::PREPARE, 0, &hex("00000008 53454c45 43542031"));
    let mut src = BytesMut::from(&query.repeat(100)[..]);
    let memory = src.as_ptr_range();
    let mut codec = ready_codec();
    let texts = std::iter::from_fn(|| codec.decode(&mut src).unwrap())
        .map(|frame| match frame.request.unwrap() {
            Request::Prepare(prepare) => prepare.text,
            other => panic!("{other:?}"),
        })
        .collect::<Vec<_>>();
    assert_eq!(texts.len(), 100);
    for text in texts {
        assert_eq!(text, "SELECT 1");
        assert!(memory.contains(&text.as_ptr()));
    }
}

#[test]
fn bad_request_leaves_its_successor_alone() {
    let mut bytes = frame(0x77, 0, b"anything");
    bytes.extend(hex(OPTIONS_ON_7));
    let (frames, error) = receive(&bytes);
    assert_eq!(error, None);
    assert_eq!(frames[0].request, Err(RequestError::UnknownOpcode { opcode: 0x77 }));
    assert_eq!(frames[1].request, Ok(Request::Options));
}

#[test]
fn claimed_length_costs_nothing() {
    let mut codec = FrameCodec::new(16 << 20);
    codec.ready(None);
    let mut src = BytesMut::from(&hex("04 00 0001 07 01000000 0102030405060708090a")[..]);
    let capacity = src.capacity();
    assert_eq!(codec.decode(&mut src), Ok(None));
    assert_eq!((src.len(), src.capacity()), (19, capacity));
}

#[test]
fn too_long_body_is_thrown_away_as_it_comes() {
    let (mut codec, mut src) = (ready_codec(), BytesMut::new());
    let bytes = BODY_BYTES_MAX + 1;
    src.put_slice(&hex("04 00 0005 07"));
    src.put_u32(u32::try_from(bytes).unwrap());
    let frame = codec.decode(&mut src).unwrap().unwrap();
    assert_eq!(frame.stream, 5);
    let error = RequestError::TooLong { bytes, bytes_max: BODY_BYTES_MAX };
    assert_eq!(frame.request, Err(error));

    for sent in [1, 4096, bytes - 4097] {
        src.put_bytes(4, sent);
        if sent == bytes - 4097 {
            src.put_slice(&hex(OPTIONS_ON_7));
            let next = codec.decode(&mut src).unwrap().unwrap();
            assert_eq!((next.stream, next.request), (7, Ok(Request::Options)));
        } else {
            assert_eq!(codec.decode(&mut src), Ok(None));
        }
        assert!(src.is_empty(), "nothing of the long body is kept");
    }
}

#[test]
fn absurd_length_loses_the_frames() {
    for length in ["10000001", "7fffffff", "80000000", "ffffffff"] {
        let bytes = hex(&format!("04 00 0001 07 {length}"));
        let error = decode(&mut ready_codec(), &bytes).unwrap_err();
        assert!(matches!(error, FramingError::TooLong { stream: 1, .. }), "{error}");
    }
}

#[test]
fn stranger_may_send_little() {
    let startup = frame(opcode::STARTUP, 0, &vec![0; STRANGER_BODY_BYTES_MAX]);
    let frame = decode(&mut new_codec(), &startup).unwrap().unwrap();
    assert_eq!(frame.request, Err(RequestError::TrailingBytes { bytes: (64 << 10) - 2 }));

    let error = decode(&mut new_codec(), &hex("04 00 0001 01 00010001")).unwrap_err();
    let [bytes, bytes_max] = [(64 << 10) + 1, 64 << 10];
    assert_eq!(error, FramingError::TooLong { bytes, bytes_max, stream: 1 });
}

#[test]
fn compression_begins_with_ready() {
    let compressed_options = hex("04 01 0001 05 00000005 00000000 00");
    let frame = decode(&mut new_codec(), &compressed_options).unwrap().unwrap();
    let error = RequestError::Compression(CompressionError::NotNegotiated);
    assert_eq!(frame.request, Err(error));
    let frame = decode(&mut ready_codec(), &compressed_options).unwrap().unwrap();
    assert_eq!(frame.request, Ok(Request::Options));
}

#[test]
fn compressed_body_keeps_the_limit_of_a_plain_one() {
    let declared = u32::try_from(BODY_BYTES_MAX + 1).unwrap();
    let body = [&declared.to_be_bytes()[..], &[0; 16]].concat();
    let frame = receive_one(&frame(opcode::QUERY, flag::COMPRESSED, &body));
    let error = CompressionError::TooLong { bytes: BODY_BYTES_MAX + 1, bytes_max: BODY_BYTES_MAX };
    assert_eq!(frame.request, Err(RequestError::Compression(error)));
}

#[test]
fn custom_payload_comes_before_the_body() {
    let body = hex("0002 0001 61 00000002 0102 0001 62 ffffffff  00000003 555345");
    let frame = receive_one(&frame(opcode::PREPARE, flag::PAYLOAD, &body));
    let payload: Payload =
        vec![("a".into(), Some(Bytes::from_static(&[1, 2]))), ("b".into(), None)];
    assert_eq!(frame.payload, payload);
    let Ok(Request::Prepare(prepare)) = frame.request else { panic!("{:?}", frame.request) };
    assert_eq!(prepare.text, "USE");
}

#[test]
fn custom_payload_is_limited() {
    let frame = receive_one(&frame(opcode::OPTIONS, flag::PAYLOAD, &hex("0041")));
    let error = RequestError::TooMany { field: "custom payload", count: 65, count_max: 64 };
    assert_eq!(frame.request, Err(error));
}

#[test]
fn connection_may_end_between_frames_only() {
    let mut src = BytesMut::from(&hex(OPTIONS_ON_7)[..]);
    let mut codec = ready_codec();
    assert!(codec.decode_eof(&mut src).unwrap().is_some());
    assert_eq!(codec.decode_eof(&mut src), Ok(None));
    src.put_u8(4);
    assert_eq!(codec.decode_eof(&mut src), Err(FramingError::Truncated));
    assert_eq!(FramingError::Truncated.reply(), None);

    let mut long = BytesMut::from(&hex("04 00 0001 07 00100001 00")[..]);
    assert!(codec.decode_eof(&mut long).unwrap().is_some());
    assert_eq!(codec.decode_eof(&mut long), Err(FramingError::Truncated));
}

#[test]
fn idle_connection_keeps_no_long_buffer() {
    let long = frame(opcode::AUTH_RESPONSE, 0, &vec![0xFF; BODY_BYTES_MAX - 8]);
    let (mut codec, mut src) = (ready_codec(), BytesMut::with_capacity(2 << 20));
    src.put_slice(&long);
    src.put_slice(&hex(OPTIONS_ON_7)[..6]);
    assert!(codec.decode(&mut src).unwrap().is_some());
    assert_eq!(src[..], hex(OPTIONS_ON_7)[..6]);
    assert!(src.capacity() < 1_024);
}

#[test]
fn long_frames_of_one_read_stay_where_they_are() {
    let one = frame(opcode::AUTH_RESPONSE, 0, &vec![0xFF; KEPT_BODY_BYTES_MAX + 1]);
    let (mut codec, mut src) = (ready_codec(), BytesMut::from(&one.repeat(4)[..]));
    let second = src[one.len()..].as_ptr();
    assert!(codec.decode(&mut src).unwrap().is_some());
    assert_eq!(src.as_ptr(), second);
}

#[test]
fn replies_pass_through_unchanged() {
    let (mut codec, mut dst) = (ready_codec(), BytesMut::new());
    codec.encode(BytesMut::from(&b"one"[..]), &mut dst).unwrap();
    codec.encode(BytesMut::from(&b"two"[..]), &mut dst).unwrap();
    assert_eq!(dst[..], b"onetwo"[..]);
}

proptest! {
    #[test]
    fn frames_do_not_depend_on_how_they_are_cut(
        bodies in prop::collection::vec((0..18_u8, prop::collection::vec(any::<u8>(), 0..60)), 1..20),
        cuts in prop::collection::vec(1..50_usize, 1..20),
    ) {
        let bytes = bodies.iter().flat_map(|(code, body)| frame(*code, 0, body)).collect::<Vec<_>>();
        let (whole, error) = receive(&bytes);
        prop_assert_eq!(error, None);
        prop_assert_eq!(whole.len(), bodies.len());

        let (mut codec, mut src, mut rest) = (ready_codec(), BytesMut::new(), &bytes[..]);
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            src.put_slice(now);
            while let Some(frame) = codec.decode(&mut src).unwrap() {
                pieces.push(frame);
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(pieces, whole);
    }
}
