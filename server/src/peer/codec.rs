//! One frame: length, checksum, head, body.
//!
//! ```text
//! [length u32][crc32 of it][crc32 u32][head length u32][head: postcard][body]      big endian
//! ```
//! `length` counts everything after itself, `crc32` covers everything after itself. The length has a
//! checksum of its own, or a flipped bit in it would make its reader wait for bytes that nobody sends.
//! Memory grows as bytes arrive, never by what a length claims.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::Decoder;

use super::message::{Body, Head};

/// A frame as it was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Who asks or answers what.
    pub head: Head,
    /// Keys and rows: a slice of the bytes that were received.
    pub body: Bytes,
}

/// Why a connection's bytes are no frames. The connection ends.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The other side announced more than is allowed.
    #[error("a frame of {len} bytes, at most {max} are allowed")]
    TooLong {
        /// What it announced.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// The checksum does not fit the bytes.
    #[error("a frame with a wrong checksum")]
    Checksum,
    /// The head cannot be read.
    #[error("a frame with a malformed head")]
    Malformed,
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl CodecError {
    /// Whether the bytes are not those that were sent.
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::Checksum | Self::Malformed)
    }
}

const LENGTH: usize = 4;
const CHECKSUM: usize = 4;
const HEAD_LENGTH: usize = 4;

/// Reads frames of at most `bytes_max` bytes.
#[derive(Debug, Clone)]
pub(super) struct FrameDecoder {
    pub(super) bytes_max: usize,
}

impl Decoder for FrameDecoder {
    type Item = Frame;
    type Error = CodecError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        if bytes.len() < LENGTH + CHECKSUM {
            return Ok(None);
        }
        let len = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        if bytes[LENGTH..LENGTH + CHECKSUM] != length_checksum(&bytes[..LENGTH]) {
            return Err(CodecError::Checksum);
        }
        if len > self.bytes_max {
            return Err(CodecError::TooLong { len, max: self.bytes_max });
        }
        if bytes.len() < LENGTH + len {
            return Ok(None);
        }
        let mut frame = bytes.split_to(LENGTH + len).freeze();
        if len < CHECKSUM {
            return Err(CodecError::Malformed);
        }
        frame.advance(LENGTH + CHECKSUM);
        read(frame).map(Some)
    }
}

fn length_checksum(length: &[u8]) -> [u8; CHECKSUM] {
    crc32fast::hash(length).to_be_bytes()
}

fn read(mut frame: Bytes) -> Result<Frame, CodecError> {
    if frame.len() < CHECKSUM + HEAD_LENGTH {
        return Err(CodecError::Malformed);
    }
    if frame.get_u32() != crc32fast::hash(&frame) {
        return Err(CodecError::Checksum);
    }
    let head_len = frame.get_u32() as usize;
    if head_len > frame.len() {
        return Err(CodecError::Malformed);
    }
    let head = frame.split_to(head_len);
    let (head, rest) = postcard::take_from_bytes(&head).map_err(|_| CodecError::Malformed)?;
    if rest.is_empty() { Ok(Frame { head, body: frame }) } else { Err(CodecError::Malformed) }
}

/// More than any head needs.
const HEAD_BYTES_MAX: usize = 1 << 10;

/// How many bytes a body has.
pub(super) fn body_len(body: &Body) -> usize {
    body.iter().map(Bytes::len).sum()
}

/// Whether a frame with this body is certain to be within `bytes_max`.
pub(super) fn fits(body: &Body, bytes_max: usize) -> bool {
    body_len(body).saturating_add(HEAD_BYTES_MAX) <= bytes_max
}

/// Appends a frame to `out`; whoever calls has seen that the body [`fits`].
pub(super) fn write(head: &Head, body: &Body, out: &mut BytesMut) {
    let start = out.len();
    out.put_bytes(0, LENGTH + CHECKSUM + CHECKSUM + HEAD_LENGTH);
    let head_start = out.len();
    postcard::to_io(head, out.writer()).expect("writing to memory does not fail");
    let head_len = out.len() - head_start;
    for piece in body {
        out.put_slice(piece);
    }
    let frame = &mut out[start..];
    let len = frame.len() - LENGTH;
    put_u32(frame, len);
    let (length, rest) = frame.split_at_mut(LENGTH);
    rest[..CHECKSUM].copy_from_slice(&length_checksum(length));
    let rest = &mut rest[CHECKSUM..];
    put_u32(&mut rest[CHECKSUM..], head_len);
    let checksum = crc32fast::hash(&rest[CHECKSUM..]);
    rest[..CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
}

fn put_u32(out: &mut [u8], value: usize) {
    let value = u32::try_from(value).expect("senders keep frames below 4 GiB");
    out[..4].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::message::{Answer, Request};
    use super::*;

    fn decoder() -> FrameDecoder {
        FrameDecoder { bytes_max: 1 << 20 }
    }

    fn frame(id: u64, body: &[u8]) -> (Head, BytesMut) {
        let request = Request::Apply { made_us: -5, missed: Vec::new(), as_stand_in: true };
        let head = Head::Request { id, epoch: 9, wait_ms: 100, request };
        let mut out = BytesMut::new();
        write(&head, &Body::from_iter([Bytes::copy_from_slice(body)]), &mut out);
        (head, out)
    }

    #[test]
    fn an_answer_keeps_its_bytes() {
        let head = Head::Answer { id: 1, epoch: 2, answer: Answer::Applied };
        let mut out = BytesMut::new();
        write(&head, &Body::new(), &mut out);
        assert_eq!(
            out[..],
            [0, 0, 0, 16, 0x3c, 0xf3, 0xcf, 0x78, 0xc1, 0x89, 0x2a, 0x7d, 0, 0, 0, 4, 3, 1, 2, 5]
        );
    }

    #[test]
    fn a_length_beyond_the_bound_ends_the_connection() {
        let len = [255; 4];
        let bytes = [len, crc32fast::hash(&len).to_be_bytes()].concat();
        let mut bytes = BytesMut::from(&bytes[..]);
        assert!(matches!(decoder().decode(&mut bytes), Err(CodecError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn frames_come_back_however_they_are_cut(
            ids in prop::collection::vec(any::<u64>(), 1..5),
            body in prop::collection::vec(any::<u8>(), 0..50),
            cut in 1_usize..40,
        ) {
            let written: Vec<_> = ids.iter().map(|id| frame(*id, &body)).collect();
            let stream: Vec<u8> = written.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
            let mut arrived = BytesMut::new();
            let mut heads = Vec::new();
            for piece in stream.chunks(cut) {
                arrived.extend_from_slice(piece);
                while let Some(frame) = decoder().decode(&mut arrived).unwrap() {
                    prop_assert_eq!(&frame.body[..], &body[..]);
                    heads.push(frame.head);
                }
            }
            prop_assert_eq!(heads, written.into_iter().map(|(head, _)| head).collect::<Vec<_>>());
        }

        #[test]
        fn a_flipped_bit_is_noticed(at in 0_usize..40, bit in 0_u8..8) {
            let (_, mut bytes) = frame(7, b"0123456789");
            prop_assume!(at < bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decoder().decode(&mut bytes).is_err());
        }
    }
}
