//! What a statement writes into a table of last-write-wins: cells, tombstones, ranges.
//!
//! Nothing of it needs the row as it is, but for places of a list and values in it: those edits wait
//! in [`ListEdits`] until the row was read at the statement's level. Law: all cells of one statement
//! carry one stamp, so they win or lose together.
//!
//! Callers: `insert`, `update`, `delete`; `changes` when the row is there. Pure.

use bytes::Bytes;
use repair::cells::{self, Ranges, Row, WriteStamp};
use repair::version::{Expiry, ListEnd};
use types::CqlType;
use types::collection::elements;

use super::PlanError;
use super::assign::{Edit, Edited, place_of};
use super::key::Stretch;
use crate::store::keys::PartitionPrefix;

/// The stamp of a statement, and when what it writes ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ink {
    pub(super) stamp: WriteStamp,
    pub(super) expiry: Expiry,
}

/// The cells of one statement for each of its rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub(super) row: Row,
    pub(super) lists: ListEdits,
}

/// Edits of lists that need to know what is in them.
#[derive(Debug, Clone, Default)]
pub(super) struct ListEdits(Vec<ListEdit>);

#[derive(Debug, Clone)]
struct ListEdit {
    column: u32,
    ink: Ink,
    kind: ListEditKind,
}

#[derive(Debug, Clone)]
enum ListEditKind {
    /// Another element, or none, at a place.
    Put { place: i32, value: Option<Bytes> },
    /// None of these values is left.
    Remove(Vec<Bytes>),
}

impl Written {
    /// Whether there is nothing to write, nor to read for.
    pub(super) fn is_empty(&self) -> bool {
        self.row.is_unwritten() && self.lists.is_empty()
    }

    /// Adds what becomes of one column.
    pub(super) fn edit(&mut self, edited: Edited<'_>, ink: Ink) -> Result<(), PlanError> {
        let Edited { column, edits } = edited;
        let refused = |source| PlanError::Value { name: column.name.clone(), source };
        let mut appended = 0;
        for edit in edits {
            let mut pen = Pen { row: &mut self.row, id: column.id.0, ink, appended };
            if let Some(kind) = pen.write(&column.ty, edit).map_err(refused)? {
                self.lists.0.push(ListEdit { column: column.id.0, ink, kind });
            } else {
                appended = pen.appended;
            }
        }
        Ok(())
    }
}

/// Writes the cells of one column.
struct Pen<'a> {
    row: &'a mut Row,
    id: u32,
    ink: Ink,
    /// How many elements of a list were written: each has a path of its own.
    appended: u32,
}

impl Pen<'_> {
    /// Writes an edit; answers with what has to wait for the row.
    fn write(
        &mut self,
        kind: &CqlType,
        edit: Edit,
    ) -> Result<Option<ListEditKind>, types::ValueError> {
        match (kind, edit) {
            (CqlType::Set(_) | CqlType::Map(..) | CqlType::List(_), Edit::Clear) => {
                self.row.reset(self.id, self.ink.stamp);
            }
            (CqlType::Set(_) | CqlType::Map(..), Edit::Set(all)) => {
                self.row.reset(self.id, self.ink.stamp);
                self.put_all(kind, &all)?;
            }
            (CqlType::List(_), Edit::Set(all)) => {
                self.row.reset(self.id, self.ink.stamp);
                self.extend(kind, ListEnd::Back, &all)?;
            }
            (_, Edit::Clear) => self.row.set(self.id, self.ink.stamp, Expiry::Never, None),
            (_, Edit::Set(value)) => {
                self.row.set(self.id, self.ink.stamp, self.ink.expiry, Some(value));
            }
            (_, Edit::Add(some)) => self.put_all(kind, &some)?,
            (CqlType::List(_), Edit::Remove(values)) => {
                let each = elements(kind, &values)?;
                let each = each.map(|value| value.map(|value| values.slice_ref(value)));
                return Ok(Some(ListEditKind::Remove(each.collect::<Result<_, _>>()?)));
            }
            (_, Edit::Remove(keys)) => {
                let keys_kind = match kind {
                    CqlType::Map(key, _) => &CqlType::Set(key.clone()),
                    other => other,
                };
                for key in elements(keys_kind, &keys)? {
                    self.element(keys.slice_ref(key?), None);
                }
            }
            (_, Edit::Extend(end, some)) => self.extend(kind, end, &some)?,
            (CqlType::List(_), Edit::Put { at, value }) => {
                let place = place_of(&at).unwrap_or(-1);
                return Ok(Some(ListEditKind::Put { place, value }));
            }
            (_, Edit::Put { at, value }) => self.element(at, value),
        }
        Ok(None)
    }

    /// All elements of a set, or all entries of a map.
    fn put_all(&mut self, kind: &CqlType, all: &Bytes) -> Result<(), types::ValueError> {
        let mut each = elements(kind, all)?;
        while let Some(key) = each.next() {
            let key = all.slice_ref(key?);
            let value = match kind {
                CqlType::Map(..) => each.next().transpose()?.map(|value| all.slice_ref(value)),
                _ => Some(Bytes::new()),
            };
            self.element(key, value);
        }
        Ok(())
    }

    /// All elements of a list, behind or before those that are there.
    fn extend(
        &mut self,
        kind: &CqlType,
        end: ListEnd,
        some: &Bytes,
    ) -> Result<(), types::ValueError> {
        for value in elements(kind, some)? {
            let path = cells::list_path(self.ink.stamp, self.appended, end_of(end));
            self.appended = self.appended.saturating_add(1);
            self.element(path, Some(some.slice_ref(value?)));
        }
        Ok(())
    }

    fn element(&mut self, path: Bytes, value: Option<Bytes>) {
        let expiry = if value.is_some() { self.ink.expiry } else { Expiry::Never };
        self.row.set_element(self.id, path, self.ink.stamp, expiry, value);
    }
}

impl ListEdits {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The cells of all edits, given the row as it was read.
    ///
    /// # Errors
    /// [`PlanError::ListIndex`] for a place that a list does not have.
    pub(super) fn write(&self, before: &Row, now_us: i64, out: &mut Row) -> Result<(), PlanError> {
        for ListEdit { column, ink, kind } in &self.0 {
            let elements: Vec<_> = before.elements(*column, now_us).collect();
            match kind {
                ListEditKind::Put { place, value } => {
                    let found = usize::try_from(*place).ok().and_then(|place| elements.get(place));
                    let (path, _) =
                        found.ok_or(PlanError::ListIndex { index: *place, len: elements.len() })?;
                    let expiry = if value.is_some() { ink.expiry } else { Expiry::Never };
                    let path = Bytes::clone(path);
                    out.set_element(*column, path, ink.stamp, expiry, value.clone());
                }
                ListEditKind::Remove(values) => {
                    let is_gone = |value: &Option<Bytes>| {
                        value.as_ref().is_some_and(|value| values.contains(value))
                    };
                    for (path, _) in elements.iter().filter(|(_, cell)| is_gone(&cell.value)) {
                        let path = Bytes::clone(path);
                        out.set_element(*column, path, ink.stamp, Expiry::Never, None);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The range tombstone over a stretch of a partition, and the partition.
pub(super) fn removed(stretch: &Stretch, timestamp: i64) -> Option<(PartitionPrefix, Ranges)> {
    let Stretch::Partition { partition, clustering, .. } = stretch else { return None };
    let mut ranges = Ranges::default();
    ranges.cover(clustering.start().clone(), clustering.end().cloned(), timestamp);
    Some((partition.clone(), ranges))
}

/// The partition that a stretch lies in; none of a scan.
pub(super) fn partition_of(stretch: &Stretch) -> Option<PartitionPrefix> {
    match stretch {
        Stretch::Partition { partition, .. } => Some(partition.clone()),
        Stretch::Scan { .. } => None,
    }
}

fn end_of(end: ListEnd) -> cells::ListEnd {
    match end {
        ListEnd::Front => cells::ListEnd::Front,
        ListEnd::Back => cells::ListEnd::Back,
    }
}
