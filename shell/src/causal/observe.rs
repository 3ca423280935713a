//! What the answers to changed statements teach, and what of them is shown.

use std::fmt;
use std::num::NonZeroU32;

use bytes::Bytes;
use driver::{Answer, Column, Row};
use types::Value;

use super::rewrite::KeyPlace;
use super::{Contexts, Reading, RowName, Writing};

/// What was seen of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its context.
    pub(crate) context: Bytes,
    /// How many versions it had.
    pub(crate) versions: u32,
}

/// A row of an answer that is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    /// Which row of the answer.
    pub(crate) place: usize,
    /// Of a row with several versions, which one it is and how many there are.
    pub(crate) sibling: Option<(NonZeroU32, NonZeroU32)>,
}

impl Reading {
    /// Remembers the contexts of the rows of a page, and says which of them are shown.
    pub(crate) fn observe(&self, page: &Answer, contexts: &mut Contexts) -> Vec<Read> {
        let places = self.key_places(&page.columns);
        let name = |row| self.row_name(row, places.as_deref()?);
        let names: Vec<Option<RowName>> = page.rows.iter().map(name).collect();
        let mut shown = Vec::new();
        let mut begin = 0;
        for run in names.chunk_by(|one, next| one.is_some() && one == next) {
            let rows = &page.rows[begin..begin + run.len()];
            if self.shows_absent || versions(&rows[0]) > 0 {
                shown.extend(siblings(rows, begin));
            }
            remember(rows, run[0].as_ref(), contexts);
            begin += run.len();
        }
        shown
    }

    /// Where the columns of the key are.
    fn key_places(&self, columns: &[Column]) -> Option<Vec<usize>> {
        let place = |place: &KeyPlace| match place {
            KeyPlace::FromEnd(distance) => columns.len().checked_sub(*distance),
            KeyPlace::Selected(name) => columns.iter().position(|column| column.name == *name),
        };
        self.key.iter().map(place).collect()
    }

    fn row_name(&self, row: &Row, places: &[usize]) -> Option<RowName> {
        let key = places.iter().map(|place| row.raw(*place).cloned()).collect::<Option<_>>()?;
        Some(RowName { table: self.table.clone(), key })
    }
}

/// Remembers the context of a row, if all versions that it covers are here.
fn remember(rows: &[Row], name: Option<&RowName>, contexts: &mut Contexts) {
    if let (Some(name), Some(context), true) = (name, context(&rows[0]), is_whole(rows)) {
        contexts.remember(name.clone(), Seen { context, versions: versions(&rows[0]) });
    }
}

/// Whether all versions of the row are here.
fn is_whole(rows: &[Row]) -> bool {
    rows.first().is_some_and(|row| rows.len() as u64 >= u64::from(versions(row)))
}

/// The versions of one row, of which the first stands at `begin` of its page.
fn siblings(rows: &[Row], begin: usize) -> impl Iterator<Item = Read> {
    let several = NonZeroU32::new(versions(&rows[0])).filter(|count| count.get() > 1);
    (1..)
        .zip(begin..begin + rows.len())
        .map(move |(number, place)| Read { place, sibling: NonZeroU32::new(number).zip(several) })
}

/// How many versions the row has, as the last column tells.
fn versions(row: &Row) -> u32 {
    let count = row.columns().len().checked_sub(1).and_then(|place| row.value(place).ok()?);
    let count = match count {
        Some(Value::Int(count)) => u32::try_from(count).ok(),
        Some(Value::Bigint(count)) => u32::try_from(count).ok(),
        _ => None,
    };
    count.unwrap_or(1) // A row of a table without contexts.
}

/// The context of the row, as the last but one column tells; none for a row that never was.
fn context(row: &Row) -> Option<Bytes> {
    let place = row.columns().len().checked_sub(2)?;
    row.raw(place).filter(|context| !context.is_empty()).cloned()
}

/// What became of a row by a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// What was to be expected.
    Plain,
    /// Of this many versions that were known, none is left besides what was written.
    Resolved(u32),
    /// The write lives beside others.
    Siblings {
        /// How many versions there are altogether.
        count: u32,
        /// Whether all of them are in the answer that the person asked for.
        are_shown: bool,
    },
    /// This many versions were not removed, for they were not known here.
    Left(u32),
}

impl Writing {
    /// The rows of an answer as versions of the row that was written.
    pub(crate) fn shown(answer: &Answer) -> Vec<Read> {
        let is_none = answer.rows.is_empty();
        if is_none { Vec::new() } else { siblings(&answer.rows, 0).collect() }
    }

    /// Remembers what the answer says of the row, and puts it into a word.
    ///
    /// Where the row has versions that this shell does not show, its context is forgotten: to send
    /// it with the next write would drop them unseen.
    pub(crate) fn observe(
        &self,
        answer: &Answer,
        used: Option<&Seen>,
        contexts: &mut Contexts,
    ) -> Written {
        let Some(row) = answer.rows.first() else { return Written::Plain };
        let versions = versions(row);
        let is_expected = versions <= u32::from(!self.is_removal);
        let are_shown = self.is_shown && is_whole(&answer.rows);
        contexts.forget(&self.row);
        if let Some(context) = context(row)
            && (is_expected || are_shown)
        {
            contexts.remember(self.row.clone(), Seen { context, versions });
        }
        match used {
            _ if !is_expected && self.is_removal => Written::Left(versions),
            _ if !is_expected => Written::Siblings { count: versions, are_shown },
            Some(before) if before.versions > 1 => Written::Resolved(before.versions),
            _ => Written::Plain,
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => Ok(()),
            Self::Resolved(count) => write!(f, "resolved {count} siblings"),
            Self::Siblings { count, are_shown: true } => {
                write!(f, "row now has {count} siblings: write it again to resolve them")
            }
            Self::Siblings { count, are_shown: false } => {
                write!(f, "row now has {count} siblings: read it, then write it to resolve them")
            }
            Self::Left(1) => f.write_str("row still has 1 version that was not read here"),
            Self::Left(count) => {
                write!(f, "row still has {count} versions that were not read here")
            }
        }
    }
}
