//! The values that a client binds to a statement's markers.
//!
//! [`Values`] is one slice of the request's buffer. Reading a request checks every length and name
//! in it once; after that [`Values::iter`] walks it without an allocation and without an error.
//! What the bytes of a value mean depends on the marker's type and is the business of `types`.
//!
//! Callers: `request` reads them, `plan` in `server` binds them. Pure.

use bytes::Bytes;
use bytestring::ByteString;

use crate::notation::Reader;
use crate::request::RequestError;

/// A frame's custom payload, as it came: names with a value, or with null.
pub type Payload = Vec<(ByteString, Option<Bytes>)>;

/// What is bound to one marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value<'a> {
    /// Null: the column is to be empty.
    Null,
    /// Not set: the column is to stay as it is.
    Unset,
    /// The value in the encoding of the marker's type.
    Bytes(&'a [u8]),
}

/// One bound value, and the marker's name where the client gave one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BoundValue<'a> {
    /// The name after the colon of a `:name` marker; `None` where values go by position.
    pub name: Option<&'a str>,
    /// What is bound to it.
    pub value: Value<'a>,
}

/// The values bound to one statement, in the order in which they came: at most 65 535.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Values {
    count: u16,
    is_named: bool,
    bytes: Bytes,
}

impl Values {
    /// How many values there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether each value comes with the name of its marker.
    pub fn is_named(&self) -> bool {
        self.is_named
    }

    /// The values in order, read as they are asked for.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = BoundValue<'_>> {
        let mut reader = Reader::new(&self.bytes);
        (0..self.count).map(move |_| {
            read_one(&mut reader, self.is_named).expect("`read` has been through all values")
        })
    }

    /// Reads a count and that many values, with a name before each if `is_named`.
    pub(crate) fn read(reader: &mut Reader<'_>, is_named: bool) -> Result<Self, RequestError> {
        let count = reader.u16("count of values")?;
        let begin = reader.rest();
        for _ in 0..count {
            read_one(reader, is_named)?;
        }
        let taken = begin.len() - reader.rest().len();
        Ok(Self { count, is_named, bytes: reader.share(&begin[..taken]) })
    }
}

fn read_one<'a>(reader: &mut Reader<'a>, is_named: bool) -> Result<BoundValue<'a>, RequestError> {
    let name = if is_named { Some(reader.string("name of a value")?) } else { None };
    Ok(BoundValue { name, value: reader.value()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_unset_and_empty_are_three_values() {
        let body = Bytes::from_static(&[
            0, 3, 255, 255, 255, 255, 255, 255, 255, 254, 0, 0, 0,
            0, // Then what follows them:
            9,
        ]);
        let mut reader = Reader::new(&body);
        let values = Values::read(&mut reader, false).unwrap();
        assert_eq!(
            values.iter().map(|bound| bound.value).collect::<Vec<_>>(),
            [Value::Null, Value::Unset, Value::Bytes(&[])]
        );
        assert_eq!(reader.rest(), [9]);
    }

    #[test]
    fn values_are_slices_of_the_body() {
        let body = Bytes::from(vec![0, 1, 0, 1, b'k', 0, 0, 0, 2, 7, 8]);
        let values = Values::read(&mut Reader::new(&body), true).unwrap();
        let bound = values.iter().next().unwrap();
        assert_eq!(bound, BoundValue { name: Some("k"), value: Value::Bytes(&[7, 8]) });
        let Value::Bytes(bytes) = bound.value else { unreachable!() };
        assert_eq!(bytes.as_ptr(), body[9..].as_ptr());
    }
}
