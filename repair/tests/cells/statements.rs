//! Statements at random, and what a coordinator makes of one: operands under keys.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use starling_repair::cells::{Expiry, Ranges, Row, WriteStamp, merge_encoded};

use super::oracle::{Set, Shown, Statement, What};

/// The columns of one value, and the collections.
pub(crate) const VALUES: [u32; 3] = [1, 2, 3];
pub(crate) const COLLECTIONS: [u32; 2] = [8, 9];

/// What a copy stores: a row under its byte, the range tombstones of the partition under nothing.
pub(crate) type Copy = BTreeMap<Vec<u8>, Vec<u8>>;

/// An encoded state and the key that it is merged into.
pub(crate) type Operand = (Vec<u8>, Vec<u8>);

/// Merges an operand as a store does.
pub(crate) fn take_in(copy: &mut Copy, (key, operand): &Operand) {
    let merged = merge_encoded(copy.get(key).map(Vec::as_slice), [operand.as_slice()]);
    copy.insert(key.clone(), merged);
}

/// What a coordinator sends for a statement.
pub(crate) fn operand(statement: &Statement) -> Operand {
    let stamp = WriteStamp { timestamp: statement.timestamp, operation: statement.operation };
    let expiry = statement.ends.map_or(Expiry::Never, Expiry::At);
    match &statement.what {
        What::DeleteRow { row } => {
            let mut deleted = Row::default();
            deleted.delete(statement.timestamp);
            (vec![*row], deleted.encode())
        }
        What::DeleteRange { from, to } => {
            let mut ranges = Ranges::default();
            let bound = |row: u8| Bytes::from(vec![row]);
            ranges.cover(bound(*from), to.map(bound), statement.timestamp);
            (Vec::new(), ranges.encode())
        }
        What::Write { row, inserts, sets } => {
            let mut written = Row::default();
            if *inserts {
                written.mark(stamp, expiry);
            }
            for set in sets {
                write(&mut written, set, stamp, expiry);
            }
            (vec![*row], written.encode())
        }
    }
}

fn write(row: &mut Row, set: &Set, stamp: WriteStamp, expiry: Expiry) {
    let bytes = |text: &String| Bytes::from(text.clone());
    match set {
        Set::Value { column, value } => {
            row.set(*column, stamp, expiry, value.as_ref().map(bytes));
        }
        Set::Collection { column, elements } | Set::Add { column, elements } => {
            if matches!(set, Set::Collection { .. }) {
                row.reset(*column, stamp);
            }
            for (key, value) in elements {
                row.set_element(*column, bytes(key), stamp, expiry, Some(bytes(value)));
            }
        }
        Set::Remove { column, keys } => {
            for key in keys {
                row.set_element(*column, bytes(key), stamp, expiry, None);
            }
        }
    }
}

/// What a reader of a copy sees at `now`, of each row that is there.
pub(crate) fn shown(copy: &Copy, now: i64) -> BTreeMap<u8, Shown> {
    let ranges = copy.get(&Vec::new()).map(|ranges| {
        Ranges::decode(&Bytes::from(ranges.clone())).expect("a copy stores what was written")
    });
    let mut shown = BTreeMap::new();
    for (key, value) in copy.iter().filter(|(key, _)| !key.is_empty()) {
        let value = Bytes::from(value.clone());
        let mut row = Row::decode(&value).expect("a copy stores what was written");
        if let Some(deletion) = ranges.as_ref().and_then(|ranges| ranges.at(key)) {
            row.delete(deletion);
        }
        let row = show(&row, now);
        if row.is_there {
            shown.insert(key[0], row);
        }
    }
    shown
}

fn show(row: &Row, now: i64) -> Shown {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).expect("texts were written");
    let mut shown = Shown { is_there: row.is_living(now), ..Shown::default() };
    for column in VALUES {
        let value = row.cell(column, now).and_then(|cell| cell.value.as_ref());
        shown.values.extend(value.map(|value| (column, text(value))));
    }
    for column in COLLECTIONS {
        let value = |value: &Option<Bytes>| text(value.as_ref().expect("a living element"));
        let elements = row.elements(column, now);
        let elements: BTreeMap<_, _> =
            elements.map(|(path, cell)| (text(path), value(&cell.value))).collect();
        if !elements.is_empty() {
            shown.collections.insert(column, elements);
        }
    }
    shown
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", ""]).prop_map(str::to_owned)
}

fn elements() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(word(), word(), 0..4)
}

fn set() -> impl Strategy<Value = Set> {
    let column = || prop::sample::select(COLLECTIONS.to_vec());
    let keys = || prop::collection::btree_set(word(), 1..3);
    prop_oneof![
        4 => (prop::sample::select(VALUES.to_vec()), prop::option::weighted(0.7, word()))
            .prop_map(|(column, value)| Set::Value { column, value }),
        2 => (column(), elements())
            .prop_map(|(column, elements)| Set::Collection { column, elements }),
        2 => (column(), elements()).prop_map(|(column, elements)| Set::Add { column, elements }),
        1 => (column(), keys()).prop_map(|(column, keys): (u32, BTreeSet<String>)| {
            Set::Remove { column, keys }
        }),
    ]
}

fn column_of(set: &Set) -> u32 {
    match set {
        Set::Value { column, .. }
        | Set::Collection { column, .. }
        | Set::Add { column, .. }
        | Set::Remove { column, .. } => *column,
    }
}

/// What a statement may do to a table with `rows` rows; it names a column once, as CQL demands.
fn what(rows: u8) -> impl Strategy<Value = What> {
    let sets = prop::collection::vec(set(), 0..5).prop_map(|sets| {
        let sets = sets.into_iter().map(|set| (column_of(&set), set));
        sets.collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>()
    });
    prop_oneof![
        8 => (0..rows, any::<bool>(), sets)
            .prop_map(|(row, inserts, sets)| What::Write { row, inserts, sets }),
        1 => (0..rows).prop_map(|row| What::DeleteRow { row }),
        1 => (0..rows, prop::option::of(0..=rows))
            .prop_map(|(from, to)| What::DeleteRange { from, to }),
    ]
}

/// Statements whose timestamps lie among `timestamps`, each with an operation of its own.
pub(crate) fn statements(
    rows: u8,
    timestamps: std::ops::Range<i64>,
) -> impl Strategy<Value = Vec<Statement>> {
    let ends = prop::option::weighted(0.3, 0..6_i64);
    prop::collection::vec((timestamps, any::<u64>(), ends, what(rows)), 1..12).prop_map(
        |statements| {
            let mut seen = BTreeSet::new();
            let new = |operation: &u64| seen.insert(*operation);
            let mut new = new;
            statements
                .into_iter()
                .filter(|(_, operation, ..)| new(operation))
                .map(|(timestamp, operation, ends, what)| Statement {
                    timestamp,
                    operation,
                    ends,
                    what,
                })
                .collect()
        },
    )
}
