use proptest::prelude::*;

use super::super::samples::{at, row, text};
use super::*;

const NEVER: Expiry = Expiry::Never;

fn values(row: &Row, column: u32) -> Vec<(&[u8], &[u8])> {
    let value = |cell: &'_ Cell| cell.value.clone().unwrap();
    assert!(row.elements(column, 0).all(|(_, cell)| !value(cell).is_empty()));
    row.elements(column, 0)
        .map(|(path, cell)| (path.as_ref(), cell.value.as_deref().unwrap()))
        .collect()
}

fn value(row: &Row, column: u32) -> Option<Bytes> {
    row.cell(column, 0).and_then(|cell| cell.value.clone())
}

#[test]
fn the_later_stamp_wins_whatever_arrives_first() {
    for order in [[1, 0, 2], [2, 1, 0], [0, 2, 1]] {
        let mut row = Row::default();
        for write in order {
            let (stamp, text) = [(at(4, 9), "a"), (at(5, 1), "b"), (at(5, 2), "c")]
                .map(|(stamp, value)| (stamp, text(value)))[write]
                .clone();
            row.set(7, stamp, NEVER, text);
        }
        assert_eq!(value(&row, 7), text("c"));
    }
}

#[test]
fn under_one_stamp_null_wins_then_the_greater_value_then_the_later_end() {
    let stamp = at(5, 1);
    let mut row = Row::default();
    row.set(7, stamp, Expiry::At(90), text("a"));
    row.set(7, stamp, NEVER, text("a"));
    row.set(7, stamp, Expiry::At(99), text("a"));
    assert_eq!(row.cell(7, 0).unwrap().expiry, NEVER);
    row.set(7, stamp, Expiry::At(50), text("b"));
    row.set(7, stamp, NEVER, text("a"));
    assert_eq!((value(&row, 7), row.cell(7, 50)), (text("b"), None));
    row.set(7, stamp, NEVER, None);
    row.set(7, stamp, NEVER, text("z"));
    assert_eq!(value(&row, 7), None);
}

#[test]
fn a_deletion_covers_everything_up_to_its_timestamp_whatever_the_operation() {
    let mut row = Row::default();
    row.mark(at(5, u64::MAX), NEVER);
    row.set(1, at(5, u64::MAX), NEVER, text("old"));
    row.set(2, at(6, 0), NEVER, text("new"));
    row.reset(3, at(5, 7));
    row.set_element(3, Bytes::from_static(b"p"), at(5, 7), NEVER, text("old"));
    row.delete(5);
    row.set(4, at(5, 9), NEVER, text("late"));
    row.mark(at(4, 0), NEVER);
    let mut left = Row::default();
    left.delete(5);
    left.set(2, at(6, 0), NEVER, text("new"));
    assert_eq!(row, left);
    row.delete(4);
    assert_eq!((row.clone(), row.deletion()), (left, Some(5)));
    row.delete(6);
    assert!(!row.is_living(0) && !row.is_unwritten());
}

#[test]
fn an_overwritten_collection_keeps_what_the_same_statement_put_into_it() {
    let path = |text: &'static str| Bytes::from_static(text.as_bytes());
    let mut row = Row::default();
    row.set_element(3, path("older"), at(5, 1), NEVER, text("x"));
    row.set_element(3, path("own"), at(5, 2), NEVER, text("x"));
    row.set_element(3, path("newer"), at(5, 3), NEVER, text("x"));
    row.reset(3, at(5, 2));
    row.set_element(3, path("late"), at(5, 1), NEVER, text("x"));
    row.reset(3, at(4, 9));
    assert_eq!(values(&row, 3), [(&b"newer"[..], &b"x"[..]), (b"own", b"x")]);
    // The reset of a collection is none of another column, and none of a single value.
    row.set_element(4, path("a"), at(1, 1), NEVER, text("y"));
    row.set(3, at(1, 1), NEVER, text("z"));
    assert_eq!((values(&row, 4).len(), value(&row, 3)), (1, text("z")));
}

#[test]
fn a_row_lives_by_its_marker_or_by_any_cell() {
    let mut row = Row::default();
    assert!(!row.is_living(0) && row.is_unwritten());
    row.set(1, at(5, 1), NEVER, None);
    assert!(!row.is_living(0) && !row.is_unwritten());
    row.mark(at(5, 1), Expiry::At(50));
    assert!(row.is_living(49) && !row.is_living(50));
    row.set_element(2, Bytes::new(), at(5, 1), Expiry::At(60), text(""));
    assert!(row.is_living(59) && !row.is_living(60));
}

#[test]
fn a_row_without_marker_or_value_takes_away_only() {
    let mut row = Row::default();
    row.delete(3);
    row.set(1, at(5, 1), NEVER, None);
    row.reset(2, at(5, 1));
    row.set_element(2, Bytes::new(), at(5, 1), NEVER, None);
    assert!(row.is_removal());
    let (mut marked, mut set) = (row.clone(), row.clone());
    marked.mark(at(5, 1), Expiry::At(6));
    set.set(3, at(5, 1), NEVER, text(""));
    row.set_element(2, Bytes::new(), at(6, 1), NEVER, text(""));
    assert!(!marked.is_removal() && !set.is_removal() && !row.is_removal());
}

#[test]
fn an_expired_cell_stays_and_hides_what_it_replaced() {
    let mut row = Row::default();
    row.set(1, at(5, 1), NEVER, text("old"));
    row.set(1, at(6, 1), Expiry::At(100), text("short"));
    assert_eq!(row.cell(1, 99).unwrap().value, text("short"));
    assert_eq!(row.cell(1, 100), None);
    let before = row.clone();
    row.set(1, at(5, 1), NEVER, text("old"));
    assert_eq!(row, before);
}

proptest! {
    #[test]
    fn merge_is_a_join(a in row(), b in row(), c in row()) {
        let merged = |one: &Row, other: &Row| {
            let mut merged = one.clone();
            merged.merge(other);
            merged
        };
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
        prop_assert_eq!(merged(&Row::default(), &a), a);
    }
}
