//! The columns of one version, as they are stored.
//!
//! A [`Columns`] is a checked slice of bytes: made once, shared by reference count, read without
//! copying. A column that is not in it is null. Expired columns stay in it, since merges and
//! digests never look at a clock; a reader passes its `now` and does not see them.
//!
//! ```text
//! columns = column*                                    strictly ascending by id
//! column  = id:number  (length * 2 + expires):number  [instant:i64 if expires]  value
//! ```
//!
//! Callers: the planner and the replica build them, reads iterate over them. Pure.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::DecodeError;
use crate::codec::{Reader, put_number};

/// When something ends. The later of two is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Expiry {
    /// At an instant, in microseconds since the Unix epoch.
    At(i64),
    /// Not until it is replaced or removed.
    Never,
}

impl Expiry {
    /// Whether it is over at `now`: from its very instant on.
    pub fn is_over(self, now: i64) -> bool {
        matches!(self, Self::At(instant) if instant <= now)
    }
}

/// One column that is not null.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column<'a> {
    /// The column's id in its table.
    pub id: u32,
    /// The serialized value; may be empty, as an empty text is.
    pub value: &'a [u8],
    /// When the column becomes null.
    pub expiry: Expiry,
}

/// The columns of a version that are not null, ascending by id. Collect [`Column`]s to make one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Bytes", into = "Bytes")]
pub struct Columns(Bytes);

impl Columns {
    /// Reads columns from their bytes, which they then share.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but what [`Self::as_bytes`] gives.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&bytes);
        let mut last = None;
        while !reader.is_empty() {
            let id = reader.column()?.id;
            if last.is_some_and(|last| last >= id) {
                return Err(DecodeError::ColumnsOutOfOrder);
            }
            last = Some(id);
        }
        Ok(Self(bytes))
    }

    /// The bytes of all columns. Equal columns have equal bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Whether every column is null.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All columns, also expired ones, ascending by id.
    pub fn iter(&self) -> ColumnsIter<'_> {
        ColumnsIter { reader: Reader::new(&self.0) }
    }

    /// The columns that are not over at `now`, ascending by id.
    pub fn living(&self, now: i64) -> impl Iterator<Item = Column<'_>> {
        self.iter().filter(move |column| !column.expiry.is_over(now))
    }

    /// The column with this id, unless it is null or over at `now`.
    pub fn get(&self, id: u32, now: i64) -> Option<Column<'_>> {
        let found = self.iter().take_while(|column| column.id <= id).find(|column| column.id == id);
        found.filter(|column| !column.expiry.is_over(now))
    }

    /// Whether both hold the same values at `now`, whatever their expiries.
    pub fn reads_as(&self, other: &Self, now: i64) -> bool {
        let values = |columns| Self::living(columns, now).map(|column| (column.id, column.value));
        self == other || values(self).eq(values(other))
    }
}

impl fmt::Debug for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl TryFrom<Bytes> for Columns {
    type Error = DecodeError;

    fn try_from(bytes: Bytes) -> Result<Self, DecodeError> {
        Self::decode(bytes)
    }
}

impl From<Columns> for Bytes {
    fn from(columns: Columns) -> Self {
        columns.0
    }
}

/// Takes columns in any order; of two with the same id the later one counts.
impl<'a> FromIterator<Column<'a>> for Columns {
    fn from_iter<I: IntoIterator<Item = Column<'a>>>(columns: I) -> Self {
        let mut columns: Vec<_> = columns.into_iter().collect();
        columns.sort_by_key(|column| column.id);
        let mut writer = ColumnsWriter::default();
        for (at, column) in columns.iter().enumerate() {
            if columns.get(at + 1).is_none_or(|next| next.id != column.id) {
                writer.push(*column);
            }
        }
        writer.finish()
    }
}

impl<'a> IntoIterator for &'a Columns {
    type Item = Column<'a>;
    type IntoIter = ColumnsIter<'a>;

    fn into_iter(self) -> ColumnsIter<'a> {
        self.iter()
    }
}

/// Walks over [`Columns`] without copying.
#[derive(Debug, Clone)]
pub struct ColumnsIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for ColumnsIter<'a> {
    type Item = Column<'a>;

    fn next(&mut self) -> Option<Column<'a>> {
        if self.reader.is_empty() {
            return None;
        }
        Some(self.reader.column().expect("columns are checked when they are made"))
    }
}

/// Writes columns one after the other.
#[derive(Default)]
pub(super) struct ColumnsWriter {
    bytes: Vec<u8>,
    last: Option<u32>,
}

impl ColumnsWriter {
    /// Adds a column whose id must be greater than those before it.
    pub(super) fn push(&mut self, column: Column<'_>) {
        assert!(self.last.is_none_or(|last| last < column.id), "columns are pushed in order");
        self.last = Some(column.id);
        let length = (column.value.len() as u64) << 1;
        put_number(&mut self.bytes, column.id.into());
        match column.expiry {
            Expiry::Never => put_number(&mut self.bytes, length),
            Expiry::At(instant) => {
                put_number(&mut self.bytes, length | 1);
                self.bytes.extend_from_slice(&instant.to_be_bytes());
            }
        }
        self.bytes.extend_from_slice(column.value);
    }

    pub(super) fn finish(self) -> Columns {
        Columns(self.bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{columns, never};
    use super::*;

    #[test]
    fn columns_come_back_in_order_and_the_later_of_two_counts() {
        let made: Columns =
            [never(9, b"nine"), never(2, b"old"), never(2, b"new")].into_iter().collect();
        assert_eq!(made.iter().collect::<Vec<_>>(), [never(2, b"new"), never(9, b"nine")]);
    }

    #[test]
    fn a_column_is_hidden_from_its_very_instant_on() {
        let column = Column { id: 1, value: b"x", expiry: Expiry::At(100) };
        let made: Columns = [column].into_iter().collect();
        assert_eq!(made.get(1, 99), Some(column));
        assert_eq!(made.get(1, 100), None);
        assert_eq!(made.living(100).count(), 0);
        assert_eq!(made.iter().count(), 1);
    }

    #[test]
    fn columns_read_alike_whatever_their_expiries() {
        let short: Columns =
            [Column { id: 1, value: b"x", expiry: Expiry::At(100) }].into_iter().collect();
        let long: Columns = [never(1, b"x")].into_iter().collect();
        assert!(short.reads_as(&long, 99));
        assert!(!short.reads_as(&long, 100));
    }

    #[test]
    fn columns_out_of_order_are_refused() {
        for bytes in [&[2, 0, 1, 0][..], &[2, 0, 2, 0]] {
            let refused = Columns::decode(Bytes::copy_from_slice(bytes));
            assert_eq!(refused, Err(DecodeError::ColumnsOutOfOrder));
        }
    }

    #[test]
    fn a_claimed_length_beyond_the_bytes_is_refused() {
        let mut bytes = vec![1];
        put_number(&mut bytes, u64::MAX - 1);
        assert_eq!(Columns::decode(bytes.into()), Err(DecodeError::Truncated));
    }

    proptest! {
        #[test]
        fn columns_are_what_their_bytes_say(columns in columns()) {
            prop_assert_eq!(Columns::decode(columns.as_bytes().clone()).unwrap(), columns.clone());
            prop_assert_eq!(columns.iter().collect::<Columns>(), columns);
        }
    }
}
