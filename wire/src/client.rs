//! The other end of the connection, for tests.

use bytes::{BufMut, BytesMut};
use tokio_util::codec::Decoder;

use crate::compress::Compression;
use crate::frame::{Frame, FrameCodec, FramingError};
use crate::request::{Request, RequestError};

/// The limit of bodies in tests.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// Bytes as people write them: `04 00 00ff`.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits = text.split_whitespace().collect::<String>();
    assert!(digits.len().is_multiple_of(2), "two digits a byte: {text}");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// A request frame on stream 1 around `body`.
pub(crate) fn frame(opcode: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![4, flags, 0, 1, opcode];
    bytes.put_u32(u32::try_from(body.len()).unwrap());
    bytes.put_slice(body);
    bytes
}

/// A codec of a connection that is ready and has agreed on LZ4.
pub(crate) fn ready_codec() -> FrameCodec {
    let mut codec = FrameCodec::new(BODY_BYTES_MAX);
    codec.ready(Some(Compression::Lz4));
    codec
}

/// All frames of a connection that is ready, and why it cannot go on, if so.
pub(crate) fn receive(bytes: &[u8]) -> (Vec<Frame>, Option<FramingError>) {
    let (mut codec, mut src) = (ready_codec(), BytesMut::from(bytes));
    let mut frames = Vec::new();
    loop {
        match codec.decode(&mut src) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

/// The one frame that `bytes` hold.
pub(crate) fn receive_one(bytes: &[u8]) -> Frame {
    let (mut frames, error) = receive(bytes);
    assert_eq!(error, None);
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

/// What a server makes of a request with this body.
pub(crate) fn request(opcode: u8, body: &str) -> Result<Request, RequestError> {
    receive_one(&frame(opcode, 0, &hex(body))).request
}
