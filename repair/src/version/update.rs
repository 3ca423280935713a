//! What UPDATE makes of a row: its base, and the columns it sets.
//!
//! The base is the living version that the writer's context covers. Where it covers several, the
//! columns that the statement does not set must have the same value in all of them; of different
//! expiries the latest counts, so that nothing goes before its time. Where it covers none, the
//! base is the newest living version there is, and the write becomes its sibling; without one, an
//! empty row.
//!
//! Callers: [`stamp`](super::stamp()). Pure.

use std::collections::BTreeMap;

use smallvec::SmallVec;
use types::collection::{self, ListError};

use super::columns::ColumnsWriter;
use super::{
    Column, ColumnChange, Columns, Dot, Expiry, ListEnd, Siblings, StampError, Version, Write,
};

/// The marker and the columns of the new version.
pub(super) fn update(
    row: &Siblings,
    changes: &BTreeMap<u32, ColumnChange>,
    write: &Write,
    own: &[Dot],
) -> Result<(Option<Expiry>, Columns), StampError> {
    let bases = bases(row, write, own);
    let marker = bases.iter().filter_map(|base| base.marker).max();
    let columns = match bases.as_slice() {
        [] => Vec::new(),
        [base] => base.columns.living(write.now).collect(),
        _ => agreed(&bases, changes, write.now)?,
    };
    Ok((marker, changed(columns, changes)?))
}

/// The versions that the statement starts from.
fn bases<'a>(row: &'a Siblings, write: &Write, own: &[Dot]) -> SmallVec<[&'a Version; 4]> {
    let living = || row.living(write.now);
    let is_seen = |dot| write.context.covers(dot) || own.contains(&dot);
    let covered = living().filter(|version| is_seen(version.dot));
    let covered: SmallVec<[&Version; 4]> = covered.collect();
    if covered.is_empty() { living().take(1).collect() } else { covered }
}

/// The columns of several bases, those left out that the statement sets anew.
fn agreed<'a>(
    bases: &[&'a Version],
    changes: &BTreeMap<u32, ColumnChange>,
    now: i64,
) -> Result<Vec<Column<'a>>, StampError> {
    let is_kept = |id| changes.get(&id).is_none_or(ColumnChange::needs_base);
    let mut found = BTreeMap::<u32, SmallVec<[Column<'a>; 4]>>::new();
    for base in bases {
        for column in base.columns.living(now).filter(|column| is_kept(column.id)) {
            found.entry(column.id).or_default().push(column);
        }
    }
    let differs = |columns: &[Column<'_>]| {
        columns.len() < bases.len() || columns.iter().any(|c| c.value != columns[0].value)
    };
    let columns: Vec<u32> =
        found.iter().filter(|(_, same)| differs(same)).map(|(&id, _)| id).collect();
    if !columns.is_empty() {
        return Err(StampError::BasesDiffer { columns });
    }
    Ok(found.into_values().filter_map(|same| same.into_iter().max_by_key(|c| c.expiry)).collect())
}

/// The base's columns with the changes carried out; both ascend by id.
fn changed(
    base: Vec<Column<'_>>,
    changes: &BTreeMap<u32, ColumnChange>,
) -> Result<Columns, StampError> {
    let mut writer = ColumnsWriter::default();
    let mut base = base.into_iter().peekable();
    for (&id, change) in changes {
        while let Some(column) = base.next_if(|column| column.id < id) {
            writer.push(column);
        }
        let before = base.next_if(|column| column.id == id);
        put_changed(&mut writer, id, before, change)?;
    }
    base.for_each(|column| writer.push(column));
    Ok(writer.finish())
}

fn put_changed(
    writer: &mut ColumnsWriter,
    id: u32,
    before: Option<Column<'_>>,
    change: &ColumnChange,
) -> Result<(), StampError> {
    let (value, expiry) = match change {
        ColumnChange::Clear => return Ok(()),
        ColumnChange::Set { value, expiry } => {
            writer.push(Column { id, value, expiry: *expiry });
            return Ok(());
        }
        // What leaves a collection leaves its expiry alone.
        ColumnChange::SetAdd { expiry, .. }
        | ColumnChange::ListAdd { expiry, .. }
        | ColumnChange::ListPut { expiry, .. }
        | ColumnChange::MapPut { expiry, .. }
            if change.adds() =>
        {
            let longest = before.map_or(*expiry, |column| column.expiry.max(*expiry));
            (collection(id, before, change)?, longest)
        }
        _ => {
            let own = before.map_or(Expiry::Never, |column| column.expiry);
            (collection(id, before, change)?, own)
        }
    };
    if let Some(value) = value {
        writer.push(Column { id, value: &value, expiry });
    }
    Ok(())
}

/// The collection that a change leaves; none without elements.
fn collection(
    id: u32,
    before: Option<Column<'_>>,
    change: &ColumnChange,
) -> Result<Option<Vec<u8>>, StampError> {
    let before = before.map(|column| column.value);
    let refused = |source| StampError::Set { column: id, source };
    match change {
        ColumnChange::Clear | ColumnChange::Set { .. } => Ok(None),
        ColumnChange::SetAdd { elements, of, .. } => {
            collection::union(of, before, Some(elements)).map_err(refused)
        }
        ColumnChange::SetRemove { elements, of } => {
            collection::difference(of, before, Some(elements)).map_err(refused)
        }
        ColumnChange::ListAdd { elements, end: ListEnd::Front, of, .. } => {
            collection::concat(of, Some(elements), before).map_err(refused)
        }
        ColumnChange::ListAdd { elements, end: ListEnd::Back, of, .. } => {
            collection::concat(of, before, Some(elements)).map_err(refused)
        }
        ColumnChange::ListRemove { elements, of } => {
            collection::without(of, before, Some(elements)).map_err(refused)
        }
        ColumnChange::ListPut { places, of, .. } => collection::with_places(of, before, places)
            .map_err(|error| match error {
                ListError::Index { index, len } => StampError::ListIndex { column: id, index, len },
                ListError::Value(source) => refused(source),
            }),
        ColumnChange::MapPut { removed, entries, of: (key, value), .. } => {
            let of = (key, value);
            let rest = collection::without_keys(of, before, Some(removed)).map_err(refused)?;
            collection::merged(of, rest.as_deref(), Some(entries)).map_err(refused)
        }
    }
}

#[cfg(test)]
mod tests;
