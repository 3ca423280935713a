use std::collections::BTreeMap;
use std::num::NonZeroU64;

use bytes::Bytes;
use proptest::prelude::*;
use types::CqlType;

use super::super::samples::{columns, dot, expiry, minter, never, row, siblings, vector, version};
use super::super::{Column, ColumnChange, SiblingLimits};
use super::*;

const NOW: i64 = 1_000;

fn context(dots: &[Dot]) -> VersionVector {
    dots.iter().copied().collect()
}

fn write(context_dots: &[Dot], change: Change) -> Write {
    let context = context(context_dots);
    Write { context, change, now: NOW, write_time: NOW, limits: SiblingLimits::default() }
}

fn insert(text: &str) -> Change {
    let columns = [never(1, text.as_bytes())].into_iter().collect();
    Change::Insert { columns, marker: Expiry::Never }
}

fn update<const LEN: usize>(changes: [(u32, ColumnChange); LEN]) -> Change {
    Change::Update(changes.into_iter().collect())
}

fn set(text: &str) -> ColumnChange {
    ColumnChange::Set { value: Bytes::copy_from_slice(text.as_bytes()), expiry: Expiry::Never }
}

/// A serialized set of texts.
fn texts(texts: &[&str]) -> Bytes {
    let length = |len| u32::try_from(len).unwrap().to_be_bytes();
    let element = |text: &&str| [&length(text.len()), text.as_bytes()].concat();
    let elements: Vec<u8> = texts.iter().flat_map(element).collect();
    [&length(texts.len()), elements.as_slice()].concat().into()
}

/// Carries out a write by store 1, whose first fresh epoch is 101.
fn stamped(local: &Siblings, write: &Write) -> Stamped {
    stamp(Some(local), write, &mut minter(1)).unwrap()
}

fn refused(local: &Siblings, write: &Write) -> StampError {
    stamp(Some(local), write, &mut minter(1)).unwrap_err()
}

/// The columns of the version that a write made.
fn made(stamped: &Stamped) -> Vec<(u32, &[u8], Expiry)> {
    let dot = stamped.dot.unwrap();
    let version = stamped.row.versions().iter().find(|version| version.dot == dot).unwrap();
    version.columns.iter().map(|column| (column.id, column.value, column.expiry)).collect()
}

fn with_columns<'a>(dot: Dot, columns: impl IntoIterator<Item = Column<'a>>) -> Version {
    Version { columns: columns.into_iter().collect(), ..version(dot, "") }
}

/// A row of `count` versions, all of store 2, and its context.
fn crowd(count: u64) -> (Siblings, Dot) {
    let versions = (1..=count).map(|counter| version(dot(2, 1, counter), &counter.to_string()));
    (row([dot(2, 1, count)], versions), dot(2, 1, count))
}

// Later writes of one batch.

#[test]
fn a_later_write_of_a_batch_replaces_what_the_earlier_one_made_and_nothing_else() {
    // The store has stamped this row before, so all dots are of one actor, and a context with the
    // last of them would cover the first too.
    let theirs = || version(dot(1, 101, 1), "theirs");
    let local = row([dot(1, 101, 1)], [theirs()]);
    let first = stamped(&local, &write(&[], insert("first")));
    let own = [first.dot.unwrap()];
    assert_eq!(own, [dot(1, 101, 2)]);
    let next =
        |change| stamp_after(Some(&first.row), &write(&[], change), &own, &mut minter(1)).unwrap();
    for change in [insert("second"), update([(1, set("second"))])] {
        let second = next(change);
        assert_eq!((second.row.versions().len(), second.replaced), (2, 1));
        assert_eq!(second.row.versions()[0], theirs());
        assert_eq!(made(&second), [(1, &b"second"[..], Expiry::Never)]);
    }
    let removed = next(Change::Remove);
    assert_eq!((removed.row.versions(), removed.replaced), (&[theirs()][..], 1));
}

#[test]
fn a_later_update_of_a_batch_starts_from_what_the_earlier_write_made() {
    let local = row([dot(2, 1, 9)], [version(dot(2, 1, 9), "newer clock")]);
    let first = stamped(&local, &Write { write_time: 1, ..write(&[], insert("first")) });
    let own = [first.dot.unwrap()];
    let change = write(&[], update([(2, set("second"))]));
    let second = stamp_after(Some(&first.row), &change, &own, &mut minter(1)).unwrap();
    let columns = [(1, &b"first"[..], Expiry::Never), (2, b"second", Expiry::Never)];
    assert_eq!(made(&second), columns);
    assert_eq!(second.row.versions().len(), 2);
}

// Versions: what goes, what stays.

#[test]
fn a_write_without_context_replaces_nothing() {
    let local = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "theirs")]);
    let done = stamped(&local, &write(&[], insert("mine")));
    assert_eq!((done.row.versions().len(), done.replaced), (2, 0));
    assert_eq!(done.dot, Some(dot(1, 101, 1)));
}

#[test]
fn a_write_replaces_what_its_context_covers_and_nothing_else() {
    let versions = [version(dot(2, 1, 1), "seen"), version(dot(3, 1, 1), "unseen")];
    let local = row([dot(2, 1, 1), dot(3, 1, 1)], versions);
    let done = stamped(&local, &write(&[dot(2, 1, 1)], insert("mine")));
    let dots: Vec<Dot> = done.row.versions().iter().map(|version| version.dot).collect();
    assert_eq!(dots, [dot(1, 101, 1), dot(3, 1, 1)]);
    assert_eq!(done.replaced, 1);
}

#[test]
fn inserts_and_removals_take_in_a_context_that_the_replica_has_not_seen() {
    let local = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "old")]);
    for change in [insert("mine"), Change::Remove] {
        let done = stamped(&local, &write(&[dot(2, 1, 3), dot(3, 1, 1)], change));
        assert!(done.row.vector().includes(&context(&[dot(2, 1, 3), dot(3, 1, 1)])));
        assert_eq!(done.replaced, 1);
    }
}

#[test]
fn a_row_that_is_not_there_is_as_one_that_nobody_wrote() {
    let write = write(&[], insert("first"));
    let none = stamp(None, &write, &mut minter(1)).unwrap();
    assert_eq!(none, stamped(&Siblings::default(), &write));
    assert_eq!(none.row.vector(), &context(&[dot(1, 101, 1)]));
}

#[test]
fn writers_of_one_row_get_different_dots_from_one_store() {
    let mut minter = minter(1);
    let mut row = None;
    for counter in 1..=5 {
        let done = stamp(row.as_ref(), &write(&[], insert("x")), &mut minter).unwrap();
        assert_eq!(done.dot, Some(dot(1, 101, counter)));
        row = Some(done.row);
    }
    assert_eq!(row.unwrap().versions().len(), 5);
}

#[test]
fn a_repeated_write_leaves_a_sibling_and_says_so() {
    let local = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "old")]);
    let write = write(&[dot(2, 1, 1)], insert("new"));
    let first = stamped(&local, &write);
    assert!(!first.has_equal_sibling);
    let again = stamped(&first.row, &write);
    assert_eq!((again.row.versions().len(), again.has_equal_sibling), (2, true));
}

#[test]
fn a_counter_at_its_end_is_an_error() {
    let full = Dot { counter: NonZeroU64::MAX, ..dot(1, 7, 1) };
    let overflow = StampError::Counter(CounterOverflow { actor: full.actor });
    assert_eq!(refused(&row([full], []), &write(&[], insert("x"))), overflow);
}

// UPDATE.

#[test]
fn an_update_with_a_context_that_the_replica_lacks_asks_for_history() {
    let local = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "old")]);
    for seen in [dot(2, 1, 2), dot(3, 1, 1)] {
        let write = write(&[seen], update([(1, set("x"))]));
        assert_eq!(refused(&local, &write), StampError::MissingHistory);
        let nowhere = stamp(None, &write, &mut minter(1));
        assert_eq!(nowhere, Err(StampError::MissingHistory));
    }
}

#[test]
fn an_update_keeps_the_other_columns_of_its_base_and_their_expiries() {
    let later = Expiry::At(NOW + 1);
    let columns = [never(1, b"a"), Column { id: 2, value: b"b", expiry: later }, never(4, b"d")];
    let local = row([dot(2, 1, 1)], [with_columns(dot(2, 1, 1), columns)]);
    let changes = update([(1, set("A")), (3, set("C")), (4, ColumnChange::Clear)]);
    let done = stamped(&local, &write(&[dot(2, 1, 1)], changes));
    let never = Expiry::Never;
    assert_eq!(made(&done), [(1, &b"A"[..], never), (2, b"b", later), (3, b"C", never)]);
    assert_eq!((done.row.versions().len(), done.replaced), (1, 1));
}

#[test]
fn a_base_is_what_is_to_be_seen_of_it() {
    let over = Expiry::At(NOW);
    let columns = [Column { id: 1, value: b"over", expiry: over }, never(2, b"b")];
    let local = row([dot(2, 1, 1)], [with_columns(dot(2, 1, 1), columns)]);
    let done = stamped(&local, &write(&[dot(2, 1, 1)], update([(3, set("c"))])));
    assert_eq!(made(&done), [(2, &b"b"[..], Expiry::Never), (3, b"c", Expiry::Never)]);
}

#[test]
fn an_expired_version_is_no_base() {
    let expired = Version { marker: Some(Expiry::At(NOW)), ..with_columns(dot(2, 1, 1), []) };
    let older = Version { write_time: -5, ..version(dot(3, 1, 1), "older") };
    let local = row([dot(2, 1, 1), dot(3, 1, 1)], [expired, older]);
    let done = stamped(&local, &write(&[dot(2, 1, 1)], update([(2, set("b"))])));
    assert_eq!(made(&done), [(1, &b"older"[..], Expiry::Never), (2, b"b", Expiry::Never)]);
    assert_eq!((done.replaced, done.row.versions().len()), (1, 2));
}

#[test]
fn an_update_without_context_starts_from_the_newest_and_becomes_its_sibling() {
    let newest = Version { write_time: 9, ..version(dot(2, 1, 1), "newest") };
    let local = row([dot(2, 1, 1), dot(3, 1, 2)], [newest, version(dot(3, 1, 2), "older")]);
    for seen in [&[][..], &[dot(3, 1, 1)]] {
        let done = stamped(&local, &write(seen, update([(2, set("b"))])));
        assert_eq!(made(&done), [(1, &b"newest"[..], Expiry::Never), (2, b"b", Expiry::Never)]);
        assert_eq!((done.replaced, done.row.versions().len()), (0, 3));
    }
}

#[test]
fn an_update_of_nothing_is_a_version_that_its_columns_keep_alive() {
    let done = stamped(&Siblings::default(), &write(&[], update([(1, set("x"))])));
    assert_eq!(done.row.versions()[0].marker, None);
    assert_eq!(made(&done), [(1, &b"x"[..], Expiry::Never)]);
}

#[test]
fn an_update_takes_the_marker_of_its_base() {
    for marker in [None, Some(Expiry::Never), Some(Expiry::At(NOW + 5))] {
        let base = Version { marker, ..version(dot(2, 1, 1), "x") };
        let done =
            stamped(&row([dot(2, 1, 1)], [base]), &write(&[dot(2, 1, 1)], update([(1, set("y"))])));
        assert_eq!(done.row.versions()[0].marker, marker);
    }
}

#[test]
fn an_update_over_several_versions_names_the_columns_in_which_they_differ() {
    let one = with_columns(dot(2, 1, 1), [never(1, b"a"), never(2, b"b"), never(4, b"d")]);
    let other = with_columns(dot(3, 1, 1), [never(1, b"a"), never(2, b"B"), never(3, b"c")]);
    let local = row([dot(2, 1, 1), dot(3, 1, 1)], [one, other]);
    let both = [dot(2, 1, 1), dot(3, 1, 1)];
    let differ = refused(&local, &write(&both, update([(1, set("x"))])));
    assert_eq!(differ, StampError::BasesDiffer { columns: vec![2, 3, 4] });
    let resolving = update([(2, set("x")), (3, ColumnChange::Clear), (4, set("z"))]);
    let done = stamped(&local, &write(&both, resolving));
    let never = Expiry::Never;
    assert_eq!(made(&done), [(1, &b"a"[..], never), (2, b"x", never), (4, b"z", never)]);
    assert_eq!((done.replaced, done.row.versions().len()), (2, 1));
}

#[test]
fn of_equal_values_with_different_expiries_the_latest_counts() {
    let at =
        |number, expiry| with_columns(dot(number, 1, 1), [Column { id: 1, value: b"a", expiry }]);
    let (soon, later) = (Expiry::At(NOW + 1), Expiry::At(NOW + 2));
    let local = row([dot(2, 1, 1), dot(3, 1, 1)], [at(2, later), at(3, soon)]);
    let both = [dot(2, 1, 1), dot(3, 1, 1)];
    let done = stamped(&local, &write(&both, update([(2, set("b"))])));
    assert_eq!(made(&done)[0], (1, &b"a"[..], later));
}

#[test]
fn a_version_without_marker_goes_with_its_last_column_but_its_dot_stays() {
    let local = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "x")]);
    let clear = || update([(1, ColumnChange::Clear)]);
    let done = stamped(&local, &write(&[dot(2, 1, 1)], clear()));
    assert_eq!(done.dot, Some(dot(1, 101, 1)));
    let vector = [dot(1, 101, 1), dot(2, 1, 1)].into_iter().collect();
    assert_eq!(done.row, Siblings::from_parts(vector, vec![], NOW).unwrap());
    let marked = Version { marker: Some(Expiry::Never), ..version(dot(2, 1, 1), "x") };
    let done = stamped(&row([dot(2, 1, 1)], [marked]), &write(&[dot(2, 1, 1)], clear()));
    assert_eq!((made(&done).len(), done.row.removed_at()), (0, 0));
}

// Sets.

fn set_column(elements: &[&str], expiry: Expiry) -> Siblings {
    let column = Column { id: 1, value: &texts(elements), expiry };
    row([dot(2, 1, 1)], [with_columns(dot(2, 1, 1), [column])])
}

fn set_add(elements: &[&str], expiry: Expiry) -> Change {
    update([(1, ColumnChange::SetAdd { elements: texts(elements), of: CqlType::Text, expiry })])
}

fn set_remove(elements: &[&str]) -> Change {
    update([(1, ColumnChange::SetRemove { elements: texts(elements), of: CqlType::Text })])
}

#[test]
fn elements_are_added_to_and_taken_from_the_set_of_the_base() {
    let local = set_column(&["b", "d"], Expiry::Never);
    for (change, elements) in [
        (set_add(&["a", "b"], Expiry::Never), &["a", "b", "d"][..]),
        (set_remove(&["a", "b"]), &["d"]),
    ] {
        let done = stamped(&local, &write(&[dot(2, 1, 1)], change));
        assert_eq!(made(&done), [(1, &texts(elements)[..], Expiry::Never)]);
    }
    let done = stamped(&Siblings::default(), &write(&[], set_add(&["a"], Expiry::Never)));
    assert_eq!(made(&done), [(1, &texts(&["a"])[..], Expiry::Never)]);
}

#[test]
fn a_set_without_elements_is_null() {
    let local = set_column(&["a"], Expiry::Never);
    let done = stamped(&local, &write(&[dot(2, 1, 1)], set_remove(&["a", "b"])));
    assert!(done.row.is_tombstone());
}

#[test]
fn a_set_never_goes_before_one_of_its_elements() {
    let (soon, later) = (Expiry::At(NOW + 1), Expiry::At(NOW + 2));
    for (own, added, wanted) in
        [(soon, later, later), (later, soon, later), (Expiry::Never, soon, Expiry::Never)]
    {
        let local = set_column(&["a"], own);
        let done = stamped(&local, &write(&[dot(2, 1, 1)], set_add(&["b"], added)));
        assert_eq!(made(&done), [(1, &texts(&["a", "b"])[..], wanted)]);
        let done = stamped(&set_column(&["a", "b"], own), &write(&[], set_remove(&["b"])));
        assert_eq!(made(&done), [(1, &texts(&["a"])[..], own)]);
    }
}

#[test]
fn an_expired_set_is_empty() {
    let local = set_column(&["old"], Expiry::At(NOW));
    let done = stamped(&local, &write(&[dot(2, 1, 1)], set_add(&["new"], Expiry::Never)));
    assert_eq!(made(&done), [(1, &texts(&["new"])[..], Expiry::Never)]);
}

#[test]
fn different_sets_of_several_bases_are_a_conflict_like_any_other() {
    let sets = [(2, ["a"]), (3, ["b"])]
        .map(|(number, elements)| with_columns(dot(number, 1, 1), [never(1, &texts(&elements))]));
    let local = row([dot(2, 1, 1), dot(3, 1, 1)], sets);
    let write = write(&[dot(2, 1, 1), dot(3, 1, 1)], set_add(&["c"], Expiry::Never));
    assert_eq!(refused(&local, &write), StampError::BasesDiffer { columns: vec![1] });
}

#[test]
fn a_column_that_holds_no_set_is_an_error_that_names_it() {
    let local = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "no set")]);
    for change in [set_add(&["a"], Expiry::Never), set_remove(&["a"])] {
        let error = refused(&local, &write(&[dot(2, 1, 1)], change));
        assert!(matches!(error, StampError::Set { column: 1, .. }), "{error}");
    }
}

// DELETE.

#[test]
fn a_removal_drops_what_its_context_covers_and_leaves_a_dot_without_a_version() {
    let versions = [version(dot(2, 1, 1), "seen"), version(dot(3, 1, 1), "unseen")];
    let local = row([dot(2, 1, 1), dot(3, 1, 1)], versions);
    let done = stamped(&local, &write(&[dot(2, 1, 1)], Change::Remove));
    assert_eq!((done.dot, done.replaced, done.changed), (Some(dot(1, 101, 1)), 1, true));
    assert_eq!(done.row.vector(), &context(&[dot(1, 101, 1), dot(2, 1, 1), dot(3, 1, 1)]));
    assert_eq!(done.row.versions(), [version(dot(3, 1, 1), "unseen")]);
    assert_eq!(done.row.removed_at(), NOW);
}

#[test]
fn a_repeated_removal_changes_nothing_and_mints_nothing() {
    let local = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "x")]);
    let first = stamped(&local, &write(&[dot(2, 1, 1)], Change::Remove));
    for seen in [&[dot(2, 1, 1)][..], &[dot(2, 1, 1), dot(1, 101, 1)]] {
        let later = Write { write_time: NOW + 7, ..write(seen, Change::Remove) };
        let mut elsewhere = minter(3);
        let again = stamp(Some(&first.row), &later, &mut elsewhere).unwrap();
        assert_eq!((again.changed, again.replaced, again.dot), (false, 0, None));
        assert_eq!((again.row, elsewhere.epochs.0), (first.row.clone(), 100));
    }
}

#[test]
fn a_removal_by_somebody_who_has_read_nothing_does_nothing() {
    let local = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "x")]);
    let done = stamped(&local, &write(&[], Change::Remove));
    assert_eq!((done.changed, done.dot, done.row), (false, None, local));
    let nowhere = stamp(None, &write(&[], Change::Remove), &mut minter(1)).unwrap();
    assert!(!nowhere.changed && nowhere.dot.is_none() && nowhere.row.is_unwritten());
}

#[test]
fn a_removal_where_the_row_is_unknown_leaves_a_tombstone() {
    let removal = write(&[dot(2, 1, 1)], Change::Remove);
    let done = stamp(None, &removal, &mut minter(1)).unwrap();
    let vector = context(&[dot(1, 101, 1), dot(2, 1, 1)]);
    assert_eq!(done.row, Siblings::from_parts(vector, vec![], NOW).unwrap());
    assert!(done.changed);
}

#[test]
fn a_removal_counts_on_where_its_store_has_stamped_the_row_before() {
    let local = row([dot(1, 7, 1)], [version(dot(1, 7, 1), "x")]);
    let done = stamped(&local, &write(&[dot(1, 7, 1)], Change::Remove));
    assert_eq!(done.row.vector(), &context(&[dot(1, 7, 2)]));
    let again = stamped(&done.row, &write(&[dot(1, 7, 2)], insert("y")));
    assert_eq!(again.dot, Some(dot(1, 7, 3)));
}

#[test]
fn a_removal_that_knows_more_of_the_store_than_its_copy_takes_a_fresh_epoch() {
    let local = row([dot(1, 7, 1)], [version(dot(1, 7, 1), "x")]);
    let done = stamped(&local, &write(&[dot(1, 7, 2)], Change::Remove));
    assert_eq!(done.row.vector(), &context(&[dot(1, 7, 2), dot(1, 101, 1)]));
}

/// Two copies of a row: one where it was removed by somebody who had read it, and one that missed
/// the removal.
fn removed_at_one_of_two() -> (Siblings, Siblings) {
    let columns = [never(1, b"theirs"), never(2, b"deleted")];
    let missed = row([dot(2, 1, 1)], [with_columns(dot(2, 1, 1), columns)]);
    let removal = write(&[dot(2, 1, 1)], Change::Remove);
    let removed = stamp(Some(&missed), &removal, &mut minter(2)).unwrap().row;
    assert!(removed.is_tombstone());
    (removed, missed)
}

#[test]
fn an_update_by_somebody_who_knows_of_a_removal_never_brings_deleted_columns_back() {
    // Were the removal without a dot, the copy that missed it would include all that the writer
    // has seen, and the UPDATE would start from the deleted version.
    let (removed, missed) = removed_at_one_of_two();
    let update =
        Write { context: removed.vector().clone(), ..write(&[], update([(1, set("mine"))])) };
    assert_eq!(refused(&missed, &update), StampError::MissingHistory);
    let mut learnt = missed;
    learnt.merge(&removed);
    let done = stamped(&learnt, &update);
    assert_eq!(made(&done), [(1, &b"mine"[..], Expiry::Never)]);
    assert_eq!(done.row.versions().len(), 1);
}

#[test]
fn a_copy_that_missed_a_removal_does_not_include_the_context_of_its_client() {
    // Were the removal without a dot, this copy could answer the client's next read, with the row
    // that the client has just deleted.
    let (removed, mut missed) = removed_at_one_of_two();
    assert!(!missed.vector().includes(removed.vector()));
    missed.merge(&removed);
    assert!(missed.vector().includes(removed.vector()));
    assert!(missed.is_tombstone());
}

// Limits.

#[test]
fn a_write_that_leaves_25_versions_is_warned_of() {
    assert!(!stamped(&crowd(23).0, &write(&[], insert("x"))).is_crowded);
    assert!(stamped(&crowd(24).0, &write(&[], insert("x"))).is_crowded);
}

#[test]
fn a_write_that_leaves_more_than_100_versions_is_refused_and_takes_no_epoch() {
    assert_eq!(stamped(&crowd(99).0, &write(&[], insert("x"))).row.versions().len(), 100);
    let mut minter = minter(1);
    for change in [insert("x"), update([(1, set("x"))])] {
        let error = stamp(Some(&crowd(100).0), &write(&[], change), &mut minter).unwrap_err();
        assert_eq!(error, StampError::TooManySiblings { siblings: 100 });
        let text = "row has 100 siblings: read context(), then write USING CONTEXT";
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(minter.epochs.0, 100);
}

#[test]
fn a_write_that_leaves_no_more_than_there_were_is_never_refused() {
    let (local, newest) = crowd(120);
    for (seen, left) in [(dot(2, 1, 1), 120), (dot(2, 1, 2), 119), (newest, 1)] {
        let done = stamped(&local, &write(&[seen], insert("x")));
        assert_eq!(done.row.versions().len(), left);
    }
}

#[test]
fn a_removal_is_never_refused() {
    let (local, _) = crowd(150);
    let done = stamped(&local, &write(&[dot(2, 1, 10)], Change::Remove));
    assert_eq!((done.row.versions().len(), done.is_crowded), (140, true));
}

// Any write of any row, against the rules spelt out once more over plain maps.

type Plain = BTreeMap<u32, (Vec<u8>, Expiry)>;

fn plain(version: &Version) -> Plain {
    let columns = version.columns.iter().filter(|column| !column.expiry.is_over(NOW));
    columns.map(|column| (column.id, (column.value.to_vec(), column.expiry))).collect()
}

/// What UPDATE makes of these bases, or the columns that it should have set.
fn plain_update(
    bases: &[&Version],
    changes: &BTreeMap<u32, Option<(&'static str, Expiry)>>,
) -> Result<Plain, Vec<u32>> {
    let mut updated = Plain::new();
    let mut differ = Vec::new();
    for id in 0..10 {
        if let Some(change) = changes.get(&id) {
            updated.extend(change.map(|(text, expiry)| (id, (text.as_bytes().to_vec(), expiry))));
            continue;
        }
        let found: Vec<_> = bases.iter().map(|base| plain(base).remove(&id)).collect();
        let value = |column: &Option<(Vec<u8>, Expiry)>| column.clone().map(|(value, _)| value);
        if found.iter().any(|column| value(column) != value(&found[0])) {
            differ.push(id);
        } else if let Some(column) = found.into_iter().flatten().max_by_key(|column| column.1) {
            updated.insert(id, column);
        }
    }
    if differ.is_empty() { Ok(updated) } else { Err(differ) }
}

fn shifted(row: &Siblings) -> Siblings {
    // The samples' times are 0 to 30: the middle of them becomes "now".
    let late = |expiry| match expiry {
        Expiry::At(instant) => Expiry::At(instant + NOW - 10),
        Expiry::Never => Expiry::Never,
    };
    let versions = row.versions().iter().map(|version| {
        let columns = version.columns.iter();
        let columns = columns.map(|column| Column { expiry: late(column.expiry), ..column });
        Version { marker: version.marker.map(late), columns: columns.collect(), ..version.clone() }
    });
    let mut versions: Vec<Version> = versions.collect();
    versions.sort();
    Siblings::from_parts(row.vector().clone(), versions, row.removed_at()).unwrap()
}

fn changes() -> impl Strategy<Value = BTreeMap<u32, Option<(&'static str, Expiry)>>> {
    let value = prop::option::of((prop::sample::select(vec!["", "a", "b"]), expiry()));
    let late = value.prop_map(|value| {
        value.map(|(text, expiry)| match expiry {
            Expiry::At(instant) => (text, Expiry::At(instant + NOW + 1)),
            Expiry::Never => (text, Expiry::Never),
        })
    });
    prop::collection::btree_map(1..4_u32, late, 0..3)
}

proptest! {
    #[test]
    fn updates_follow_the_rules(
        local in siblings(), seen in vector(), changes in changes(), seen_all in any::<bool>(),
    ) {
        let local = shifted(&local);
        let mut context = seen;
        if seen_all {
            context = local.vector().clone();
        }
        let change = Change::Update(changes.iter().map(|(&id, change)| (id, match change {
            Some((text, expiry)) =>
                ColumnChange::Set { value: Bytes::from_static(text.as_bytes()), expiry: *expiry },
            None => ColumnChange::Clear,
        })).collect());
        let write = Write { context: context.clone(), ..write(&[], change) };
        let outcome = stamp(Some(&local), &write, &mut minter(1));
        if context.dots().any(|dot| !local.vector().covers(dot)) {
            prop_assert_eq!(outcome, Err(StampError::MissingHistory));
            return Ok(());
        }
        let is_seen = |version: &&Version| version.is_living(NOW) && context.covers(version.dot);
        let mut bases: Vec<&Version> = local.versions().iter().filter(is_seen).collect();
        if bases.is_empty() {
            let living = local.versions().iter().filter(|version| version.is_living(NOW));
            let newest = living.min_by_key(|version| (-version.write_time, (*version).clone()));
            bases.extend(newest);
        }
        match (outcome, plain_update(&bases, &changes)) {
            (Ok(done), Ok(columns)) => {
                let dot = done.dot.unwrap();
                let kept = |version: &&Version| !context.covers(version.dot);
                let stayed: Vec<_> = local.versions().iter().filter(kept).cloned().collect();
                let mut left = done.row.versions().to_vec();
                let made = left.iter().position(|version| version.dot == dot);
                let made = made.map(|at| left.remove(at));
                prop_assert_eq!(left, stayed);
                prop_assert!(done.row.vector().covers(dot));
                let marker = bases.iter().filter_map(|base| base.marker).max();
                if let Some(made) = made {
                    prop_assert_eq!(plain(&made), columns);
                    prop_assert_eq!(made.marker, marker);
                } else {
                    prop_assert!(columns.is_empty());
                    prop_assert!(marker.is_none_or(|marker| marker.is_over(NOW)));
                }
            }
            (Err(StampError::BasesDiffer { columns }), Err(differ)) => {
                prop_assert_eq!(columns, differ);
            }
            (outcome, wanted) => prop_assert!(false, "{:?} instead of {:?}", outcome, wanted),
        }
    }

    #[test]
    fn no_write_loses_what_its_context_does_not_cover(
        local in siblings(), context in vector(), columns in columns(), is_removal in any::<bool>(),
    ) {
        let insert = Change::Insert { columns, marker: Expiry::Never };
        let change = if is_removal { Change::Remove } else { insert };
        let done = stamped(&local, &Write { context: context.clone(), ..write(&[], change) });
        let (gone, kept): (Vec<_>, Vec<_>) =
            local.versions().iter().partition(|version| context.covers(version.dot));
        prop_assert_eq!(done.replaced, gone.len());
        prop_assert!(kept.iter().all(|version| done.row.versions().contains(version)));
        prop_assert_eq!(done.row.versions().len(), kept.len() + usize::from(!is_removal));
        prop_assert!(done.row.vector().includes(local.vector()));
        prop_assert!(done.row.vector().includes(&context));
        prop_assert_eq!(done.changed, done.row != local);
        let is_new = |dot| !local.vector().covers(dot) && !context.covers(dot);
        prop_assert_eq!(done.dot.is_some(), done.changed);
        prop_assert!(done.dot.is_none_or(|dot| is_new(dot) && done.row.vector().covers(dot)));
    }
}
