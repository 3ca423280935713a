//! The slow oracle: a list of all statements, carried out from the first to the last whenever
//! somebody asks. It knows nothing of cells, merges or encodings.
//!
//! Statements are carried out in the order of their timestamps, those of one timestamp in the order
//! of their operations, and deletions of rows and stretches after all others of their timestamp.
//! So each statement wins or loses as a whole: whatever it wrote is there unless a later one took
//! its place.

use std::collections::{BTreeMap, BTreeSet};

/// What a statement does. Rows are named by a byte, columns by a number.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// INSERT or UPDATE of one row.
    Write { row: u8, inserts: bool, sets: Vec<Set> },
    /// DELETE of one row.
    DeleteRow { row: u8 },
    /// DELETE of the rows from the first to, but without, the last.
    DeleteRange { from: u8, to: Option<u8> },
}

/// What a statement does to one column.
#[derive(Clone, Debug)]
pub(crate) enum Set {
    /// `column = value`, or null.
    Value { column: u32, value: Option<String> },
    /// `column = {…}` of a collection; empty is null.
    Collection { column: u32, elements: BTreeMap<String, String> },
    /// `column = column + {…}`.
    Add { column: u32, elements: BTreeMap<String, String> },
    /// `column = column - {…}`.
    Remove { column: u32, keys: BTreeSet<String> },
}

/// A statement.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) timestamp: i64,
    pub(crate) operation: u64,
    /// From when on what it wrote is not to be seen.
    pub(crate) ends: Option<i64>,
    pub(crate) what: What,
}

/// When something ends, if it does.
type Ends = Option<i64>;

/// A value and when it ends.
type Timed = (String, Ends);

/// A row as a reader sees it: whether it is there, its values, its collections.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) is_there: bool,
    pub(crate) values: BTreeMap<u32, String>,
    pub(crate) collections: BTreeMap<u32, BTreeMap<String, String>>,
}

/// That a row was inserted, and when that ends.
struct Marker {
    ends: Ends,
}

#[derive(Default)]
struct Row {
    marker: Option<Marker>,
    values: BTreeMap<u32, Timed>,
    collections: BTreeMap<u32, BTreeMap<String, Timed>>,
}

/// What a reader sees at `now`, of each row that is there.
pub(crate) fn shown(statements: &[Statement], now: i64) -> BTreeMap<u8, Shown> {
    let mut in_order: Vec<&Statement> = statements.iter().collect();
    let deletes = |what: &What| !matches!(what, What::Write { .. });
    in_order.sort_by_key(|one| (one.timestamp, deletes(&one.what), one.operation));
    let mut rows: BTreeMap<u8, Row> = BTreeMap::new();
    for statement in in_order {
        match &statement.what {
            What::DeleteRow { row } => drop(rows.remove(row)),
            What::DeleteRange { from, to } => {
                rows.retain(|row, _| row < from || to.is_some_and(|to| *row >= to));
            }
            What::Write { row, inserts, sets } => {
                let row = rows.entry(*row).or_default();
                if *inserts {
                    row.marker = Some(Marker { ends: statement.ends });
                }
                for set in sets {
                    carry_out(row, set, statement.ends);
                }
            }
        }
    }
    let shown = rows.into_iter().map(|(key, row)| (key, show(row, now)));
    shown.filter(|(_, row)| row.is_there).collect()
}

fn carry_out(row: &mut Row, set: &Set, ends: Option<i64>) {
    let timed = |elements: &BTreeMap<String, String>| {
        let timed = |(key, value): (&String, &String)| (key.clone(), (value.clone(), ends));
        elements.iter().map(timed).collect::<BTreeMap<_, _>>()
    };
    match set {
        Set::Value { column, value: None } => drop(row.values.remove(column)),
        Set::Value { column, value: Some(value) } => {
            row.values.insert(*column, (value.clone(), ends));
        }
        Set::Collection { column, elements } => {
            row.collections.insert(*column, timed(elements));
        }
        Set::Add { column, elements } => {
            row.collections.entry(*column).or_default().extend(timed(elements));
        }
        Set::Remove { column, keys } => {
            row.collections.entry(*column).or_default().retain(|key, _| !keys.contains(key));
        }
    }
}

fn show(row: Row, now: i64) -> Shown {
    let lives = |ends: Option<i64>| ends.is_none_or(|ends| now < ends);
    let values = row.values.into_iter().filter(|(_, (_, ends))| lives(*ends));
    let values: BTreeMap<_, _> = values.map(|(column, (value, _))| (column, value)).collect();
    let mut collections = BTreeMap::new();
    for (column, elements) in row.collections {
        let living = elements.into_iter().filter(|(_, (_, ends))| lives(*ends));
        let living: BTreeMap<_, _> = living.map(|(key, (value, _))| (key, value)).collect();
        if !living.is_empty() {
            collections.insert(column, living);
        }
    }
    let has_marker = row.marker.is_some_and(|marker| lives(marker.ends));
    let is_there = has_marker || !values.is_empty() || !collections.is_empty();
    Shown { is_there, values, collections }
}
