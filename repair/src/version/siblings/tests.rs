use proptest::prelude::*;

use super::super::Column;
use super::super::samples::{dot, never, row, siblings, version};
use super::*;

fn merged(one: &Siblings, other: &Siblings) -> Siblings {
    let mut row = one.clone();
    row.merge(other);
    row
}

#[test]
fn a_version_that_the_other_has_not_seen_survives() {
    let a = row([dot(1, 1, 1)], [version(dot(1, 1, 1), "a")]);
    let b = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "b")]);
    let both = [version(dot(1, 1, 1), "a"), version(dot(2, 1, 1), "b")];
    assert_eq!(merged(&a, &b), row([dot(1, 1, 1), dot(2, 1, 1)], both));
}

#[test]
fn a_version_that_the_other_has_replaced_goes() {
    let old = row([dot(1, 1, 1)], [version(dot(1, 1, 1), "old")]);
    let new = row([dot(1, 1, 1), dot(2, 1, 1)], [version(dot(2, 1, 1), "new")]);
    assert_eq!(merged(&old, &new), new);
    assert_eq!(merged(&new, &old), new);
}

#[test]
fn a_removal_wins_over_all_that_it_covers() {
    let old = row([dot(1, 1, 1)], [version(dot(1, 1, 1), "old")]);
    let gone = row([dot(1, 1, 1), dot(2, 1, 1)], []);
    assert_eq!(merged(&old, &gone), gone);
    assert_eq!(merged(&gone, &old), gone);
    assert!(gone.is_tombstone());
}

#[test]
fn equal_content_under_two_dots_never_collapses() {
    // Three copies: r under two dots, and a write that replaced the second of them. A merge that
    // kept one version of each content would give another row for another order.
    let x = row([dot(1, 1, 1)], [version(dot(1, 1, 1), "r")]);
    let y = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "r")]);
    let z = row([dot(2, 1, 2)], [version(dot(2, 1, 2), "w")]);
    assert_eq!(merged(&x, &y).versions().len(), 2);
    let left = [version(dot(1, 1, 1), "r"), version(dot(2, 1, 2), "w")];
    let wanted = row([dot(1, 1, 1), dot(2, 1, 2)], left);
    for [p, q, r] in [[&x, &y, &z], [&y, &z, &x], [&z, &x, &y], [&x, &z, &y]] {
        assert_eq!(merged(&merged(p, q), r), wanted);
        assert_eq!(merged(p, &merged(q, r)), wanted);
    }
}

#[test]
fn of_two_contents_of_one_dot_both_stay_until_the_dot_is_replaced() {
    let x = row([dot(1, 1, 1)], [version(dot(1, 1, 1), "x")]);
    let y = row([dot(1, 1, 1)], [version(dot(1, 1, 1), "y")]);
    let mut both = x.clone();
    assert_eq!(both.merge(&y), Merged { changed: true, duplicate_dots: 1 });
    assert_eq!(both.versions(), [version(dot(1, 1, 1), "x"), version(dot(1, 1, 1), "y")]);
    assert_eq!(both.merge(&y), Merged { changed: false, duplicate_dots: 0 });
    let new = row([dot(1, 1, 1), dot(2, 1, 1)], [version(dot(2, 1, 1), "new")]);
    assert_eq!(merged(&both, &new), new);
}

#[test]
fn the_later_removal_counts() {
    let at = |time| Siblings::from_parts([dot(1, 1, 1)].into_iter().collect(), vec![], time);
    let (early, late) = (at(5).unwrap(), at(9).unwrap());
    assert_eq!(merged(&early, &late), late);
    assert_eq!(merged(&late, &early), late);
    assert_eq!(at(-1), Err(DecodeError::NegativeRemoval));
}

#[test]
fn the_living_come_newest_first_and_by_dot_among_equals() {
    let at = |dot, write_time| Version { write_time, ..version(dot, "x") };
    let versions = [at(dot(1, 1, 1), 5), at(dot(2, 1, 1), 9), at(dot(3, 1, 1), 5)];
    let row = row([dot(1, 1, 1), dot(2, 1, 1), dot(3, 1, 1)], versions);
    let order: Vec<Dot> = row.living(0).map(|version| version.dot).collect();
    assert_eq!(order, [dot(2, 1, 1), dot(1, 1, 1), dot(3, 1, 1)]);
}

#[test]
fn a_version_lives_while_its_marker_or_a_column_does() {
    let columns = |expiry| [Column { expiry, ..never(1, b"x") }].into_iter().collect::<Columns>();
    let living = |marker, columns| {
        let version = Version { dot: dot(1, 1, 1), write_time: 0, marker, columns };
        [9, 10, 19, 20].map(|now| version.is_living(now))
    };
    let (ten, twenty) = (Expiry::At(10), Expiry::At(20));
    assert_eq!(living(None, Columns::default()), [false; 4]);
    assert_eq!(living(Some(Expiry::Never), Columns::default()), [true; 4]);
    assert_eq!(living(Some(ten), Columns::default()), [true, false, false, false]);
    assert_eq!(living(Some(ten), columns(twenty)), [true, true, true, false]);
    assert_eq!(living(Some(twenty), columns(ten)), [true, true, true, false]);
    assert_eq!(living(None, columns(Expiry::Never)), [true; 4]);
}

#[test]
fn expired_versions_are_hidden_from_the_living_only() {
    let expired = Version { marker: Some(Expiry::At(10)), ..version(dot(1, 1, 1), "x") };
    let expired = Version { columns: Columns::default(), ..expired };
    let row = row([dot(1, 1, 1)], [expired]);
    assert_eq!((row.living(10).len(), row.versions().len()), (0, 1));
    assert!(!row.is_tombstone());
}

#[test]
fn parts_that_make_no_row_are_refused() {
    let parts = |vector: &[Dot], versions: &[Version]| {
        Siblings::from_parts(vector.iter().copied().collect(), versions.to_vec(), 0)
    };
    let (one, two) = (version(dot(1, 1, 1), "x"), version(dot(1, 1, 2), "x"));
    let uncovered = parts(&[dot(1, 1, 1)], &[one.clone(), two.clone()]);
    assert_eq!(uncovered, Err(DecodeError::UncoveredDot));
    for versions in [[two.clone(), one.clone()], [one.clone(), one.clone()]] {
        assert_eq!(parts(&[dot(1, 1, 2)], &versions), Err(DecodeError::VersionsOutOfOrder));
    }
    parts(&[dot(1, 1, 2)], &[one, two]).unwrap();
}

proptest! {
    #[test]
    fn merge_is_a_join(a in siblings(), b in siblings(), c in siblings()) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a);
    }

    #[test]
    fn merge_says_whether_it_changed_the_row(a in siblings(), b in siblings()) {
        let mut row = a.clone();
        let outcome = row.merge(&b);
        prop_assert_eq!(outcome.changed, row != a);
        prop_assert_eq!(row.merge(&b), Merged::default());
    }

    #[test]
    fn a_merged_row_is_sound(a in siblings(), b in siblings()) {
        let row = merged(&a, &b);
        let parts = (row.vector.clone(), row.versions.clone(), row.removed_at);
        prop_assert_eq!(Siblings::from_parts(parts.0, parts.1, parts.2), Ok(row));
    }
}
