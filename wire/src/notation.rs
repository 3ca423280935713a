//! The protocol's notations: how numbers, strings and byte strings lie in a body.
//!
//! Names follow the protocol (native protocol v4, §3): a `[string]` has a length of two bytes, a
//! `[long string]` and `[bytes]` of four; negative `[bytes]` are null; all is big-endian.
//!
//! A [`Reader`] goes through one body and never past its end; what it hands out are slices of that
//! body. The `put_*` functions write; what does not fit its length field is cut, at a character's
//! boundary where it is text, so that a frame is always whole. Callers: all other modules. Pure.

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::request::RequestError;
use crate::value::Value;

/// A place in one body.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    whole: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader that stands at the beginning of `body`.
    pub(crate) fn new(body: &'a Bytes) -> Self {
        Self { whole: body, rest: body }
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A slice of this body as a value of its own, which shares the body's memory.
    pub(crate) fn share(&self, part: &'a [u8]) -> Bytes {
        self.whole.slice_ref(part)
    }

    /// Refuses what is left over.
    pub(crate) fn finish(&self) -> Result<(), RequestError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(RequestError::TrailingBytes { bytes }),
        }
    }

    /// The next `length` bytes.
    pub(crate) fn slice(
        &mut self,
        length: usize,
        field: &'static str,
    ) -> Result<&'a [u8], RequestError> {
        let Some((slice, rest)) = self.rest.split_at_checked(length) else {
            return Err(RequestError::Truncated { field, missing: length - self.rest.len() });
        };
        self.rest = rest;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], RequestError> {
        let Some((array, rest)) = self.rest.split_first_chunk() else {
            return Err(RequestError::Truncated { field, missing: N - self.rest.len() });
        };
        self.rest = rest;
        Ok(*array)
    }

    /// A `[byte]`.
    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, RequestError> {
        self.array(field).map(u8::from_be_bytes)
    }

    /// A `[short]`.
    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, RequestError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// An `[int]`.
    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, RequestError> {
        self.array(field).map(i32::from_be_bytes)
    }

    /// A `[long]`.
    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, RequestError> {
        self.array(field).map(i64::from_be_bytes)
    }

    /// A `[short bytes]`.
    pub(crate) fn short_bytes(&mut self, field: &'static str) -> Result<&'a [u8], RequestError> {
        let length = self.u16(field)?;
        self.slice(usize::from(length), field)
    }

    /// A `[bytes]`; any negative length is null.
    pub(crate) fn bytes(&mut self, field: &'static str) -> Result<Option<&'a [u8]>, RequestError> {
        match usize::try_from(self.i32(field)?) {
            Ok(length) => self.slice(length, field).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// A `[string]`, borrowed.
    pub(crate) fn string(&mut self, field: &'static str) -> Result<&'a str, RequestError> {
        let bytes = self.short_bytes(field)?;
        str::from_utf8(bytes).map_err(|_| RequestError::NotUtf8 { field })
    }

    /// A `[string]` that outlives this reader.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<ByteString, RequestError> {
        let bytes = self.short_bytes(field)?;
        self.share_text(bytes, field)
    }

    /// A `[long string]` that outlives this reader.
    pub(crate) fn long_text(&mut self, field: &'static str) -> Result<ByteString, RequestError> {
        let length = self.i32(field)?;
        let length =
            usize::try_from(length).map_err(|_| RequestError::NegativeLength { field, length })?;
        let bytes = self.slice(length, field)?;
        self.share_text(bytes, field)
    }

    fn share_text(&self, bytes: &'a [u8], field: &'static str) -> Result<ByteString, RequestError> {
        ByteString::try_from(self.share(bytes)).map_err(|_| RequestError::NotUtf8 { field })
    }

    /// A `[value]`: −1 is null, −2 is "not set", everything below is an error.
    pub(crate) fn value(&mut self) -> Result<Value<'a>, RequestError> {
        let field = "value";
        match self.i32(field)? {
            -1 => Ok(Value::Null),
            -2 => Ok(Value::Unset),
            length => match usize::try_from(length) {
                Ok(length) => self.slice(length, field).map(Value::Bytes),
                Err(_) => Err(RequestError::NegativeLength { field, length }),
            },
        }
    }
}

/// Appends a `[string]`; past 65 535 bytes it is cut.
pub(crate) fn put_string(out: &mut BytesMut, text: &str) {
    let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
    put_short_bytes(out, text.as_bytes());
}

/// Appends a `[string list]`; past 65 535 strings it is cut.
pub(crate) fn put_strings<S: AsRef<str>>(out: &mut BytesMut, strings: &[S]) {
    let count = saturated_u16(strings.len());
    out.put_u16(count);
    for string in &strings[..usize::from(count)] {
        put_string(out, string.as_ref());
    }
}

/// Appends a `[short bytes]`; past 65 535 bytes it is cut.
pub(crate) fn put_short_bytes(out: &mut BytesMut, bytes: &[u8]) {
    let length = saturated_u16(bytes.len());
    out.put_u16(length);
    out.put_slice(&bytes[..usize::from(length)]);
}

/// Appends a `[bytes]`.
///
/// A body ends far below 2 GiB ([`crate::reply`] sees to that), so a longer one may be cut here.
pub(crate) fn put_bytes(out: &mut BytesMut, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else {
        return out.put_i32(-1);
    };
    let bytes = &bytes[..bytes.len().min(i32::MAX as usize)];
    put_count(out, bytes.len());
    out.put_slice(bytes);
}

/// Appends an `[int]` that counts something.
pub(crate) fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

/// Appends an `[inet]`: an address and a port.
pub(crate) fn put_inet(out: &mut BytesMut, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            out.put_u8(4);
            out.put_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.put_u8(16);
            out.put_slice(&ip.octets());
        }
    }
    out.put_i32(i32::from(address.port()));
}

fn saturated_u16(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_long_text_is_cut_between_two_characters() {
        let mut out = BytesMut::new();
        put_string(&mut out, &"ü".repeat(40_000));
        let body = out.freeze();
        let text = Reader::new(&body).text("text").unwrap();
        assert_eq!(text, "ü".repeat(32_767));
    }

    #[test]
    fn too_many_strings_are_cut_to_a_whole_list() {
        let mut out = BytesMut::new();
        put_strings(&mut out, &vec!["x"; 70_000]);
        assert_eq!(out.len(), 2 + 65_535 * 3);
    }

    #[test]
    fn reader_tells_how_much_is_missing() {
        let body = Bytes::from_static(&[0, 0, 0, 9, 1, 2]);
        let mut reader = Reader::new(&body);
        let error = RequestError::Truncated { field: "statement", missing: 7 };
        assert_eq!(reader.long_text("statement"), Err(error));

        let body = Bytes::from_static(&[0, 0, 0]);
        let error = RequestError::Truncated { field: "page size", missing: 1 };
        assert_eq!(Reader::new(&body).i32("page size"), Err(error));
    }

    #[test]
    fn addresses_of_both_families_carry_their_port() {
        let mut out = BytesMut::new();
        put_inet(&mut out, "127.0.0.1:9042".parse().unwrap());
        assert_eq!(out[..], [4, 127, 0, 0, 1, 0, 0, 0x23, 0x52]);
        out.clear();
        put_inet(&mut out, "[::1]:65535".parse().unwrap());
        assert_eq!(out[..], [16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 255, 255]);
    }
}
