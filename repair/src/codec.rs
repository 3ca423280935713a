//! Reading and writing the numbers, lengths and checksums that all stored formats are made of.
//!
//! Integers are big endian. A number is an unsigned LEB128 of at most ten bytes, in its shortest
//! form. A sealed value ends with the CRC-32 of all bytes before it, in every format there will
//! be, so that damage is told from a newer format.
//!
//! Callers: the codecs of `version` and `cells`. Pure; never panics on bytes, allocates nothing
//! that bytes merely claim.

use bytes::Bytes;

/// What is wrong with bytes whatever they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// They end too early.
    Truncated,
    /// They were changed since they were sealed.
    Damaged { stored: u32, computed: u32 },
    /// There are more than the value has.
    TrailingBytes { len: usize },
    /// A number is not in its shortest form, or too large.
    Number,
}

/// Appends the checksum of all that stands in `bytes`.
pub(crate) fn seal(bytes: &mut Vec<u8>) {
    let checksum = crc32fast::hash(bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
}

/// The bytes before the checksum, if it is right.
pub(crate) fn unseal(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let (content, stored) = bytes.split_last_chunk().ok_or(Malformed::Truncated)?;
    let stored = u32::from_be_bytes(*stored);
    let computed = crc32fast::hash(content);
    if stored == computed { Ok(content) } else { Err(Malformed::Damaged { stored, computed }) }
}

/// Appends a number, seven bits a byte, the lowest first.
pub(crate) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// Appends a length and as many bytes.
pub(crate) fn put_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    put_number(bytes, value.len() as u64);
    bytes.extend_from_slice(value);
}

/// Reads values one after the other, and nothing past the end.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn instant(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed::Number);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                let is_shortest = byte != 0 || shift == 0;
                return if is_shortest { Ok(number) } else { Err(Malformed::Number) };
            }
        }
        Err(Malformed::Number)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(crate) fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    pub(crate) fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A length and as many bytes, shared with `whole`, which the reader reads a part of.
    pub(crate) fn bytes(&mut self, whole: &Bytes) -> Result<Bytes, Malformed> {
        let length = self.number()?;
        Ok(whole.slice_ref(self.take(length)?))
    }

    pub(crate) fn finish(self) -> Result<(), Malformed> {
        match self.rest.len() {
            0 => Ok(()),
            len => Err(Malformed::TrailingBytes { len }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_their_shortest_form_only() {
        let read = |bytes: &[u8]| Reader::new(bytes).number();
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            assert_eq!(read(&bytes), Ok(number));
        }
        assert_eq!(read(&[0x80, 0x00]), Err(Malformed::Number));
        assert_eq!(read(&[0xff; 10]), Err(Malformed::Number));
        assert_eq!(read(&[0x80; 11]), Err(Malformed::Number));
        assert_eq!(read(&[0xff; 9]), Err(Malformed::Truncated));
    }

    #[test]
    fn bytes_are_unsealed_only_under_their_checksum() {
        let mut bytes = b"content".to_vec();
        seal(&mut bytes);
        assert_eq!(unseal(&bytes), Ok(&b"content"[..]));
        bytes[0] ^= 1;
        assert!(matches!(unseal(&bytes), Err(Malformed::Damaged { .. })));
        assert_eq!(unseal(&[1, 2, 3]), Err(Malformed::Truncated));
    }
}
