//! One row: the newest cell of every column and element, and what was deleted.
//!
//! Law: everything that a deletion covers is dropped at once, so a row has one form; and the
//! deletion that covers it stays, so nothing that was dropped can come back with a later merge.
//!
//! ```text
//! deletion @4          covers the marker, cells and resets up to timestamp 4
//! marker   @5          the row is there, also without columns
//! 7: cell  @6          a column of one value
//! 8: reset @5          a collection that was overwritten: covers elements of lower stamps
//!    path a: cell @5   its elements, each under its path
//! ```
//!
//! Callers: the planner, the merge, the answers to reads. Pure: `now` is an argument.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use super::{Expiry, WriteStamp};

/// What one statement made of one column or element.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cell {
    /// The statement.
    pub stamp: WriteStamp,
    /// When the value ends; null has no end.
    pub expiry: Expiry,
    /// The serialized value; none is null, or a removed element.
    pub value: Option<Bytes>,
}

impl Cell {
    /// Whether there is a value to be seen at `now`.
    pub fn is_living(&self, now: i64) -> bool {
        self.value.is_some() && !self.expiry.is_over(now)
    }

    fn new(stamp: WriteStamp, expiry: Expiry, value: Option<Bytes>) -> Self {
        let expiry = if value.is_some() { expiry } else { Expiry::Never };
        Self { stamp, expiry, value }
    }

    /// Which of two cells of one place counts: the greater rank.
    fn rank(&self) -> (WriteStamp, bool, &Option<Bytes>, Expiry) {
        (self.stamp, self.value.is_none(), &self.value, self.expiry)
    }
}

/// That a row was inserted: it is there until then, also when all its columns are null.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Marker {
    pub(super) stamp: WriteStamp,
    pub(super) expiry: Expiry,
}

/// What is known of one column: of its one value, or of a collection.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Column {
    pub(super) cell: Option<Cell>,
    pub(super) reset: Option<WriteStamp>,
    pub(super) elements: BTreeMap<Bytes, Cell>,
}

impl Column {
    fn is_empty(&self) -> bool {
        self.cell.is_none() && self.reset.is_none() && self.elements.is_empty()
    }

    fn is_living(&self, now: i64) -> bool {
        self.cell.iter().chain(self.elements.values()).any(|cell| cell.is_living(now))
    }

    /// Drops what a deletion at `timestamp` covers.
    fn delete(&mut self, timestamp: i64) {
        let stays = |stamp: WriteStamp| stamp.timestamp > timestamp;
        self.cell.take_if(|cell| !stays(cell.stamp));
        self.reset.take_if(|reset| !stays(*reset));
        self.elements.retain(|_, cell| stays(cell.stamp));
    }
}

/// One row of a last-write-wins table. The default is a row of which nothing is known.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Row {
    pub(super) deletion: Option<i64>,
    pub(super) marker: Option<Marker>,
    pub(super) columns: BTreeMap<u32, Column>,
}

impl Row {
    /// Says that the row is there until `expiry`, whatever its columns hold: INSERT does.
    pub fn mark(&mut self, stamp: WriteStamp, expiry: Expiry) {
        if !self.covers(stamp) {
            self.marker = self.marker.max(Some(Marker { stamp, expiry }));
        }
    }

    /// Sets a column of one value; none is null.
    pub fn set(&mut self, column: u32, stamp: WriteStamp, expiry: Expiry, value: Option<Bytes>) {
        if self.covers(stamp) {
            return;
        }
        let cell = Cell::new(stamp, expiry, value);
        let known = &mut self.columns.entry(column).or_default().cell;
        if known.as_ref().is_none_or(|known| known.rank() < cell.rank()) {
            *known = Some(cell);
        }
    }

    /// Sets the element of a collection under `path`; without a value it is removed.
    pub fn set_element(
        &mut self,
        column: u32,
        path: Bytes,
        stamp: WriteStamp,
        expiry: Expiry,
        value: Option<Bytes>,
    ) {
        let reset = self.columns.get(&column).and_then(|column| column.reset);
        if self.covers(stamp) || reset.is_some_and(|reset| stamp < reset) {
            return;
        }
        let cell = Cell::new(stamp, expiry, value);
        match self.columns.entry(column).or_default().elements.entry(path) {
            Entry::Vacant(place) => {
                place.insert(cell);
            }
            Entry::Occupied(mut known) if known.get().rank() < cell.rank() => {
                known.insert(cell);
            }
            Entry::Occupied(_) => {}
        }
    }

    /// Empties a collection, for what the same statement puts into it: covers the elements of
    /// lower stamps.
    pub fn reset(&mut self, column: u32, stamp: WriteStamp) {
        if self.covers(stamp) {
            return;
        }
        let column = self.columns.entry(column).or_default();
        if column.reset < Some(stamp) {
            column.reset = Some(stamp);
            column.elements.retain(|_, cell| cell.stamp >= stamp);
        }
    }

    /// Deletes the row as it was up to and at `timestamp`; also for a range tombstone over it.
    pub fn delete(&mut self, timestamp: i64) {
        if self.deletion >= Some(timestamp) {
            return;
        }
        self.deletion = Some(timestamp);
        self.marker.take_if(|marker| marker.stamp.timestamp <= timestamp);
        self.columns.retain(|_, column| {
            column.delete(timestamp);
            !column.is_empty()
        });
    }

    /// Takes in all that `other` knows: a join.
    pub fn merge(&mut self, other: &Self) {
        if let Some(timestamp) = other.deletion {
            self.delete(timestamp);
        }
        if let Some(Marker { stamp, expiry }) = other.marker {
            self.mark(stamp, expiry);
        }
        for (id, column) in &other.columns {
            if let Some(Cell { stamp, expiry, value }) = &column.cell {
                self.set(*id, *stamp, *expiry, value.clone());
            }
            if let Some(stamp) = column.reset {
                self.reset(*id, stamp);
            }
            for (path, Cell { stamp, expiry, value }) in &column.elements {
                self.set_element(*id, path.clone(), *stamp, *expiry, value.clone());
            }
        }
    }

    /// Whether nothing is known of the row, not even a deletion.
    pub fn is_unwritten(&self) -> bool {
        self.deletion.is_none() && self.marker.is_none() && self.columns.is_empty()
    }

    /// Whether what is known takes away only: deletions, overwritten collections, nulls.
    pub fn is_removal(&self) -> bool {
        let sets = |column: &Column| {
            column.cell.iter().chain(column.elements.values()).any(|cell| cell.value.is_some())
        };
        self.marker.is_none() && !self.columns.values().any(sets)
    }

    /// Whether the row is to be seen at `now`: its marker or one of its cells lives.
    pub fn is_living(&self, now: i64) -> bool {
        self.is_living_without(&[], now)
    }

    /// Whether the row is to be seen at `now` in a table that these columns were dropped from.
    pub fn is_living_without(&self, dropped: &[u32], now: i64) -> bool {
        let mut columns = self.columns.iter().filter(|(id, _)| !dropped.contains(id));
        self.marker.is_some_and(|marker| !marker.expiry.is_over(now))
            || columns.any(|(_, column)| column.is_living(now))
    }

    /// The value of a column of one value, unless it is null or over at `now`.
    pub fn cell(&self, column: u32, now: i64) -> Option<&Cell> {
        let cell = self.columns.get(&column)?.cell.as_ref();
        cell.filter(|cell| cell.is_living(now))
    }

    /// The elements of a collection that are to be seen at `now`, ascending by path.
    pub fn elements(&self, column: u32, now: i64) -> impl Iterator<Item = (&Bytes, &Cell)> {
        let elements = self.columns.get(&column).into_iter().flat_map(|column| &column.elements);
        elements.filter(move |(_, cell)| cell.is_living(now))
    }

    /// Up to which timestamp the row is deleted.
    pub fn deletion(&self) -> Option<i64> {
        self.deletion
    }

    /// Whether the deletion of the row covers what was written under `stamp`.
    fn covers(&self, stamp: WriteStamp) -> bool {
        self.deletion >= Some(stamp.timestamp)
    }
}

#[cfg(test)]
mod tests;
