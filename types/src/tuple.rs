//! Tuples as bytes: a value or null for each field.
//!
//! Fields that are missing at the end are null.
//!
//! ```text
//! tuple<int, text> (7, null)    00 00 00 04 | 00 00 00 07 | FF FF FF FF
//! ```
//!
//! Source: native protocol v4, §6. Callers: [`value`](crate::Value), [`key`](crate::key),
//! [`collection`](crate::collection). Pure.

use crate::{CqlType, ValueError};

/// The fields of a serialized tuple with their types, `None` for null; a tuple that ends early has
/// fewer.
///
/// After an error there is no more field.
pub fn fields<'a>(kind: &'a CqlType, bytes: &'a [u8]) -> Fields<'a> {
    let of = match kind.thawed() {
        CqlType::Tuple(of) => of.as_slice(),
        _ => &[],
    };
    Fields { kind, of, rest: bytes }
}

/// A walk over the fields of a tuple; see [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    kind: &'a CqlType,
    of: &'a [CqlType],
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a CqlType, Option<&'a [u8]>), ValueError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.take();
        if item.is_err() {
            (self.of, self.rest) = (&[], &[]);
        }
        Some(item)
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self) -> Result<(&'a CqlType, Option<&'a [u8]>), ValueError> {
        let truncated = || ValueError::Truncated { kind: self.kind.clone() };
        let Some((of, others)) = self.of.split_first() else {
            let (kind, len) = (self.kind.clone(), self.rest.len());
            return Err(ValueError::Trailing { kind, len });
        };
        self.of = others;
        let (len, rest) = self.rest.split_first_chunk::<4>().ok_or_else(truncated)?;
        let len = i32::from_be_bytes(*len);
        if len < 0 {
            self.rest = rest;
            return Ok((of, None));
        }
        let len = usize::try_from(len).map_err(|_| truncated())?;
        let (field, rest) = rest.split_at_checked(len).ok_or_else(truncated)?;
        self.rest = rest;
        Ok((of, Some(field)))
    }
}

/// Appends null in the place of a field.
pub(crate) fn put_null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i32).to_be_bytes());
}
