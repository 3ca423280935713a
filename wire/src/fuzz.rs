//! Bytes from nowhere: none of them makes the codec panic, or take more memory than arrived.

use bolero::check;
use bytes::BytesMut;
use tokio_util::codec::Decoder;

use crate::client::{BODY_BYTES_MAX, frame, ready_codec};
use crate::error::ErrorReply;
use crate::frame::{Frame, FrameCodec};
use crate::reply::ReplyWriter;
use crate::request::{Request, RequestError};
use crate::value::Values;

const ITERATIONS: usize = 100_000;

/// Uses all that a request offers, and answers it.
fn serve(frame: &Frame, replies: &mut BytesMut) {
    let writer = ReplyWriter::new(replies, frame.stream).with_payload(&frame.payload);
    match &frame.request {
        Ok(request) => {
            walk(request);
            writer.void();
        }
        Err(error) => writer.error(&ErrorReply::from(error.clone())),
    }
}

fn walk(request: &Request) {
    match request {
        Request::Startup(startup) => drop(startup.compression()),
        Request::Query(query) => walk_values(&query.params.values),
        Request::Execute(execute) => walk_values(&execute.params.values),
        Request::Batch(batch) => {
            batch.statements.iter().for_each(|statement| walk_values(&statement.values));
        }
        _ => {}
    }
}

fn walk_values(values: &Values) {
    assert_eq!(values.iter().count(), values.len());
    assert!(values.iter().all(|bound| bound.name.is_some() == values.is_named()));
}

/// Runs a whole connection over `bytes`.
fn converse(mut codec: FrameCodec, bytes: &[u8]) {
    let (mut src, mut replies) = (BytesMut::from(bytes), BytesMut::new());
    let capacity = src.capacity();
    while let Ok(Some(frame)) = codec.decode(&mut src) {
        serve(&frame, &mut replies);
        replies.clear();
    }
    assert!(src.capacity() <= capacity, "the buffer grows only with what is received");
}

#[test]
fn any_bytes_from_a_stranger() {
    check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        converse(FrameCodec::new(BODY_BYTES_MAX), bytes);
    });
}

#[test]
fn any_body_of_any_request() {
    check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        let Some((&[opcode, flags], body)) = bytes.split_first_chunk() else { return };
        converse(ready_codec(), &frame(opcode % 18, flags, body));
    });
}

/// A well-formed request of each kind.
fn good_frames() -> Vec<Vec<u8>> {
    let params = b"\0\x04\x7f\0\x02\0\x01k\0\0\0\x01\x09\0\x01l\xff\xff\xff\xff\
                   \0\0\0\x02\0\0\0\x01\xab\0\x08\0\0\0\0\0\0\0\x05";
    let query = [&b"\0\0\0\x03USE"[..], params].concat();
    let execute = [&b"\0\x02id"[..], params].concat();
    let batch = b"\0\0\x02\0\0\0\0\x01Q\0\x01\0\0\0\x01\x07\x01\0\x02id\0\0\0\x01\x30\0\x08\
                  \0\0\0\0\0\0\0\x05";
    vec![
        frame(0x01, 0, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0"),
        frame(0x07, 0, &query),
        frame(0x07, 4, &[&b"\0\x01\0\x01p\0\0\0\x01x"[..], &query].concat()),
        frame(0x09, 0, b"\0\0\0\x01Q"),
        frame(0x0A, 0, &execute),
        frame(0x0B, 0, b"\0\x01\0\x0dSCHEMA_CHANGE"),
        frame(0x0D, 0, batch),
        frame(0x0F, 0, b"\0\0\0\x01t"),
    ]
}

#[test]
fn mutated_frames() {
    check!().with_iterations(ITERATIONS).with_type::<(u8, Vec<(u8, u8)>)>().for_each(
        |(which, mutations)| {
            let frames = good_frames();
            let mut bytes = frames[usize::from(*which) % frames.len()].clone();
            for (at, byte) in mutations.iter().take(3) {
                let at = usize::from(*at) % bytes.len();
                bytes[at] = *byte;
            }
            converse(ready_codec(), &bytes);
        },
    );
}

#[test]
fn good_frames_are_good() {
    for bytes in good_frames() {
        let frame = ready_codec().decode(&mut BytesMut::from(&bytes[..])).unwrap().unwrap();
        assert!(frame.request.is_ok(), "{frame:?}");
    }
}

#[test]
fn every_shortened_body_is_refused_as_too_short() {
    for good in good_frames() {
        let (opcode, flags, body) = (good[4], good[1], &good[9..]);
        for end in 0..body.len() {
            let bytes = frame(opcode, flags, &body[..end]);
            let frame = ready_codec().decode(&mut BytesMut::from(&bytes[..])).unwrap().unwrap();
            assert!(matches!(frame.request, Err(RequestError::Truncated { .. })), "{frame:?}");
        }
    }
}

#[test]
fn every_lengthened_body_is_refused_as_too_long() {
    for good in good_frames() {
        let bytes = frame(good[4], good[1], &[&good[9..], &[0]].concat());
        let frame = ready_codec().decode(&mut BytesMut::from(&bytes[..])).unwrap().unwrap();
        assert_eq!(frame.request, Err(RequestError::TrailingBytes { bytes: 1 }));
    }
}
