//! One result row: what each selection is worth in it.

use std::borrow::Cow;

use repair::cells;
use repair::version::{Expiry, Version};
use types::CqlType;
use types::collection::{elements, normalise};

use super::{Answer, RowCells};
use crate::metadata::ColumnKind;
use crate::plan::PlanError;
use crate::plan::functions::cast;
use crate::plan::project::{Of, Shown, is_collection};
use crate::replica::RowCopy;

const US_PER_SECOND: i64 = 1_000_000;

/// What a result row is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum View<'a> {
    /// A version of a row of a siblings table.
    Version(&'a Version),
    /// A row of a table of last-write-wins.
    Cells(&'a cells::Row),
    /// Nothing lives.
    Nothing,
}

/// A result row and what it shares with the others of its row.
pub(super) struct Line<'a> {
    pub(super) answer: &'a Answer,
    pub(super) cells: &'a RowCells,
    pub(super) version: View<'a>,
}

impl<'a> View<'a> {
    /// The result rows of a stored row, newest first; what it still holds of `dropped` columns
    /// does not keep it alive.
    pub(super) fn living(
        row: &'a RowCopy,
        dropped: &[u32],
        now: i64,
    ) -> Box<dyn Iterator<Item = Self> + 'a> {
        match row {
            RowCopy::Siblings(row) => Box::new(row.living(now).map(Self::Version)),
            RowCopy::Cells(row) => {
                let living = row.is_living_without(dropped, now).then_some(Self::Cells(row));
                Box::new(living.into_iter())
            }
        }
    }

    /// How many they are.
    pub(super) fn count(row: &RowCopy, dropped: &[u32], now: i64) -> usize {
        match row {
            RowCopy::Siblings(row) => row.living(now).len(),
            RowCopy::Cells(row) => usize::from(row.is_living_without(dropped, now)),
        }
    }
}

impl Line<'_> {
    /// Appends the cell of a selection.
    pub(super) fn write(
        &self,
        shown: &Shown,
        out: &mut wire::RowsWriter<'_>,
    ) -> Result<(), PlanError> {
        out.cell(self.cell(&shown.of)?.as_deref());
        Ok(())
    }

    /// The value of a selection; none is null.
    pub(super) fn value(&self, shown: &Shown) -> Result<Option<Vec<u8>>, PlanError> {
        Ok(self.cell(&shown.of)?.map(Cow::into_owned))
    }

    fn cell(&self, of: &Of) -> Result<Option<Cow<'_, [u8]>>, PlanError> {
        let known = |bytes: &'_ Vec<u8>| Cow::Owned(bytes.clone());
        Ok(match of {
            Of::Partition(at) => self.cells.partition.get(*at).map(known),
            Of::Clustering(at) => self.cells.clustering.get(*at).map(known),
            Of::Regular(id) => self.column(*id),
            Of::Context => self.cells.context.as_ref().map(known),
            Of::SiblingCount => Some(Cow::Owned(self.cells.siblings.to_be_bytes().to_vec())),
            Of::Token => Some(Cow::Owned(self.cells.token.to_be_bytes().to_vec())),
            Of::WriteTime(id) => {
                self.write_time(*id).map(|time| Cow::Owned(time.to_be_bytes().to_vec()))
            }
            Of::Ttl(id) => {
                let left = self.expiry(*id).and_then(|expiry| self.seconds_left(expiry));
                left.map(|left| Cow::Owned(left.to_be_bytes().to_vec()))
            }
            Of::Term(at) => self.term(*at).map(Cow::Borrowed),
            Of::Call(function, arguments) => {
                let values = arguments.iter().map(|shown| self.value(shown));
                let values = values.collect::<Result<Vec<_>, _>>()?;
                function.call(&values, &self.answer.calls)?.map(Cow::Owned)
            }
            Of::Cast(shown, to) => match self.cell(&shown.of)? {
                Some(value) => Some(Cow::Owned(cast(&shown.kind, to, &value)?)),
                None => None,
            },
            Of::Element(shown, key) => {
                let (Some(collection), Some(key)) = (self.cell(&shown.of)?, self.term(*key)) else {
                    return Ok(None);
                };
                element(&shown.kind, &collection, key)?.map(Cow::Owned)
            }
        })
    }

    fn term(&self, at: usize) -> Option<&[u8]> {
        self.answer.terms.get(at)?.as_deref()
    }

    /// The living value of a column.
    fn column(&self, id: u32) -> Option<Cow<'_, [u8]>> {
        let now = self.answer.now_us;
        match self.version {
            View::Version(version) => {
                version.columns.get(id, now).map(|column| Cow::Borrowed(column.value))
            }
            View::Cells(row) => match self.kind(id).filter(|kind| is_collection(kind)) {
                Some(kind) => assembled(kind, row, id, now).map(Cow::Owned),
                None => row.cell(id, now)?.value.as_deref().map(Cow::Borrowed),
            },
            View::Nothing => None,
        }
    }

    fn kind(&self, id: u32) -> Option<&CqlType> {
        let columns = &self.answer.projection.table.columns;
        let is_it = |column: &&crate::metadata::Column| {
            column.kind == ColumnKind::Regular && column.id.0 == id
        };
        columns.iter().find(is_it).map(|column| &column.ty)
    }

    /// When the column was written: in a version all of them at once; of a collection that is made
    /// of elements, the last of them.
    fn write_time(&self, id: u32) -> Option<i64> {
        let now = self.answer.now_us;
        match self.version {
            View::Version(version) => version.columns.get(id, now).map(|_| version.write_time),
            View::Cells(row) => {
                let cells = row.elements(id, now).map(|(_, cell)| cell).chain(row.cell(id, now));
                cells.map(|cell| cell.stamp.timestamp).max()
            }
            View::Nothing => None,
        }
    }

    fn expiry(&self, id: u32) -> Option<Expiry> {
        let now = self.answer.now_us;
        match self.version {
            View::Version(version) => version.columns.get(id, now).map(|column| column.expiry),
            View::Cells(row) => row.cell(id, now).map(|cell| cell.expiry),
            View::Nothing => None,
        }
    }

    /// The seconds until something ends, rounded up: what still lives has at least one.
    fn seconds_left(&self, expiry: Expiry) -> Option<i32> {
        let Expiry::At(instant) = expiry else { return None };
        let left_us = instant.saturating_sub(self.answer.now_us);
        let seconds = left_us.saturating_add(US_PER_SECOND - 1) / US_PER_SECOND;
        Some(i32::try_from(seconds).unwrap_or(i32::MAX))
    }
}

/// A collection put together from its living elements, in the order of its type; none is null.
fn assembled(kind: &CqlType, row: &cells::Row, id: u32, now: i64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 4];
    let mut count = 0_i32;
    let mut put = |part: &[u8]| {
        // Values that came through the protocol are no longer than this.
        let len = i32::try_from(part.len()).unwrap_or(i32::MAX);
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(part);
    };
    for (path, cell) in row.elements(id, now) {
        count = count.saturating_add(1);
        let value = cell.value.as_deref().unwrap_or_default();
        match kind {
            CqlType::Set(_) => put(path),
            CqlType::Map(..) => {
                put(path);
                put(value);
            }
            _ => put(value),
        }
    }
    if count == 0 {
        return None;
    }
    bytes[..4].copy_from_slice(&count.to_be_bytes());
    // Elements that are none of the type, as after a change of it, are shown as they are.
    Some(normalise(kind, &bytes).map(Cow::into_owned).unwrap_or(bytes))
}

/// The element of a collection under a key: of a map its value, of a set itself, of a list the one
/// at this place.
fn element(kind: &CqlType, collection: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, PlanError> {
    let refused = |source| PlanError::Value { name: "an element".to_owned(), source };
    let mut each = elements(kind, collection).map_err(refused)?;
    match kind.thawed() {
        CqlType::List(_) => {
            let at = key.try_into().map_or(-1, i32::from_be_bytes);
            let at = usize::try_from(at).ok();
            let found = at.and_then(|at| each.nth(at)).transpose().map_err(refused)?;
            Ok(found.map(<[u8]>::to_vec))
        }
        CqlType::Map(..) => {
            while let Some(found) = each.next().transpose().map_err(refused)? {
                let value = each.next().transpose().map_err(refused)?;
                if found == key {
                    return Ok(value.map(<[u8]>::to_vec));
                }
            }
            Ok(None)
        }
        _ => {
            let found = each.find(|element| element.as_ref().is_ok_and(|it| *it == key));
            Ok(found.transpose().map_err(refused)?.map(<[u8]>::to_vec))
        }
    }
}
