//! Compressed bodies.
//!
//! LZ4 in the protocol's form (native protocol v4, §5): the length of the plain body as four
//! bytes, big-endian, then one raw LZ4 block. Once `STARTUP` has named an algorithm every frame of
//! that connection may be compressed, or may not: its flag says which.
//!
//! The law: a block of n bytes is given room for less than 255 n, the most that LZ4 can make of
//! it, and never more than the limit of a body; so memory follows the bytes that arrived.
//!
//! Callers: `frame` for requests, `reply` for replies. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use lz4_flex::block;

/// A body shorter than this is sent as it is: there is little to win.
const PLAIN_BYTES_MAX: usize = 512;

/// The most plain bytes that one byte of an LZ4 block can stand for.
const LZ4_RATIO_MAX: usize = 255;

/// An algorithm that a client may ask for in `STARTUP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// LZ4 blocks.
    Lz4,
}

/// Why a compressed body cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// The frame is marked as compressed, but `STARTUP` named no algorithm.
    #[error("frame is compressed, but STARTUP named no compression")]
    NotNegotiated,
    /// The body is too short for the length that comes first.
    #[error("compressed body of {bytes} bytes has no room for its plain length")]
    NoLength {
        /// Length of the body as it came.
        bytes: usize,
    },
    /// The plain body would be longer than the limit.
    #[error("compressed body declares {bytes} plain bytes; the limit is {bytes_max}")]
    TooLong {
        /// The declared length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// No block of this length can hold that much.
    #[error("compressed body of {packed} bytes cannot hold the {bytes} that it declares")]
    Implausible {
        /// Length of the block.
        packed: usize,
        /// The declared length.
        bytes: usize,
    },
    /// The block is damaged, or holds more or less than it declares.
    #[error("compressed body does not unpack to the {bytes} bytes that it declares")]
    Damaged {
        /// The declared length.
        bytes: usize,
    },
}

impl Compression {
    /// The algorithm's name, as `SUPPORTED` and `STARTUP` spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
        }
    }

    /// The algorithm of this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Lz4].into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// The plain bytes of a compressed body, at most `bytes_max`.
    pub(crate) fn unpack(self, body: &[u8], bytes_max: usize) -> Result<Bytes, CompressionError> {
        let Self::Lz4 = self;
        let Some((length, packed)) = body.split_first_chunk() else {
            return Err(CompressionError::NoLength { bytes: body.len() });
        };
        let bytes = u32::from_be_bytes(*length) as usize;
        if bytes > bytes_max {
            return Err(CompressionError::TooLong { bytes, bytes_max });
        }
        if bytes > packed.len().saturating_mul(LZ4_RATIO_MAX) {
            return Err(CompressionError::Implausible { packed: packed.len(), bytes });
        }
        let mut plain = vec![0; bytes];
        match block::decompress_into(packed, &mut plain) {
            Ok(unpacked) if unpacked == bytes => Ok(plain.into()),
            _ => Err(CompressionError::Damaged { bytes }),
        }
    }

    /// Compresses what stands in `out` from `begin` on, where that makes it shorter.
    ///
    /// Returns whether it did.
    pub(crate) fn pack(self, out: &mut BytesMut, begin: usize) -> bool {
        let Self::Lz4 = self;
        let plain = &out[begin..];
        if plain.len() < PLAIN_BYTES_MAX {
            return false;
        }
        let packed = block::compress(plain);
        let Ok(length) = u32::try_from(plain.len()) else {
            return false;
        };
        if packed.len() + size_of_val(&length) >= plain.len() {
            return false;
        }
        out.truncate(begin);
        out.put_u32(length);
        out.put_slice(&packed);
        true
    }
}

#[cfg(test)]
mod tests {
    use cassandra_protocol::compression::Compression as Oracle;
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 1 << 20;

    fn lz4(body: &[u8]) -> Result<Bytes, CompressionError> {
        Compression::Lz4.unpack(body, MAX)
    }

    #[test]
    fn declared_length_is_refused_before_memory_is_taken() {
        let huge = [0xFF, 0xFF, 0xFF, 0xFF, 0x10, b'x'];
        assert_eq!(
            lz4(&huge),
            Err(CompressionError::TooLong { bytes: 0xFFFF_FFFF, bytes_max: MAX })
        );
        let bomb = [0, 0x0F, 0xFF, 0xFF, 0x10, b'x'];
        assert_eq!(lz4(&bomb), Err(CompressionError::Implausible { packed: 2, bytes: 0xF_FFFF }));
        assert_eq!(lz4(&[0, 0, 0]), Err(CompressionError::NoLength { bytes: 3 }));
    }

    #[test]
    fn block_holds_exactly_what_it_declares() {
        let mut body = Oracle::Lz4.encode(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        assert_eq!(lz4(&body).unwrap(), [b'a'; 30][..]);
        body[3] = 31;
        assert_eq!(lz4(&body), Err(CompressionError::Damaged { bytes: 31 }));
        body[3] = 29;
        assert_eq!(lz4(&body), Err(CompressionError::Damaged { bytes: 29 }));
    }

    #[test]
    fn most_that_a_block_can_hold_is_let_through() {
        let body = Oracle::Lz4.encode(&vec![0; MAX]).unwrap();
        assert!(body.len() < MAX / 250, "the block is near the greatest ratio");
        assert_eq!(lz4(&body).unwrap().len(), MAX);
    }

    #[test]
    fn short_or_random_bodies_stay_plain() {
        let mut out = BytesMut::from(&[7; PLAIN_BYTES_MAX - 1][..]);
        assert!(!Compression::Lz4.pack(&mut out, 0));
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        });
        let mut out = noise.take(4_096).collect::<BytesMut>();
        let before = out.clone();
        assert!(!Compression::Lz4.pack(&mut out, 0));
        assert_eq!(out, before);
    }

    proptest! {
        #[test]
        fn other_implementations_packed_bytes_unpack(plain: Vec<u8>) {
            let body = Oracle::Lz4.encode(&plain).unwrap();
            prop_assert_eq!(lz4(&body).unwrap(), plain);
        }

        #[test]
        fn other_implementations_unpack_our_packed_bytes(pattern: [u8; 7], times in 100..5_000_usize) {
            let plain = pattern.repeat(times);
            let mut out = BytesMut::from(&b"head"[..]);
            out.extend_from_slice(&plain);
            prop_assert!(Compression::Lz4.pack(&mut out, 4));
            prop_assert_eq!(&out[..4], b"head");
            prop_assert_eq!(Oracle::Lz4.decode(out[4..].to_vec()).unwrap(), plain);
        }

        #[test]
        fn no_bytes_make_unpacking_panic(body: Vec<u8>) {
            if let Ok(plain) = lz4(&body) {
                prop_assert!(plain.len() <= body.len() * LZ4_RATIO_MAX);
            }
        }
    }
}
