//! Small rows for the tests, by hand and at random.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use proptest::prelude::*;
use ring::StoreId;

use super::{
    Actor, Column, Columns, Dot, EpochSource, Expiry, Minter, SafeRule, Siblings, Version,
    VersionVector,
};

/// Epochs after a given one.
#[derive(Debug)]
pub(super) struct Epochs(pub(super) u64);

impl EpochSource for Epochs {
    fn next_epoch(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// The store of this number; its first fresh epoch is 101.
pub(super) fn minter(number: u128) -> Minter<Epochs> {
    Minter { store: store(number), epochs: Epochs(100), rule: SafeRule }
}

pub(super) fn store(number: u128) -> StoreId {
    StoreId(number)
}

pub(super) fn dot(number: u128, epoch: u64, counter: u64) -> Dot {
    let counter = NonZeroU64::new(counter).expect("a dot counts from one");
    Dot { actor: Actor { store: store(number), epoch }, counter }
}

/// A column without expiry.
pub(super) fn never(id: u32, value: &[u8]) -> Column<'_> {
    Column { id, value, expiry: Expiry::Never }
}

/// A version with one text in column 1 and no marker, written at its counter's time.
pub(super) fn version(dot: Dot, text: &str) -> Version {
    let write_time = i64::try_from(dot.counter.get()).expect("a small counter");
    let columns = [never(1, text.as_bytes())].into_iter().collect();
    Version { dot, write_time, marker: None, columns }
}

pub(super) fn row(
    vector: impl IntoIterator<Item = Dot>,
    versions: impl IntoIterator<Item = Version>,
) -> Siblings {
    let versions = versions.into_iter().collect();
    Siblings::from_parts(vector.into_iter().collect(), versions, 0).expect("a sound row")
}

fn actor() -> impl Strategy<Value = Actor> {
    (0..3_u128, 0..2_u64).prop_map(|(number, epoch)| Actor { store: store(number), epoch })
}

/// A vector over few actors with small counters, so that vectors often meet.
pub(super) fn vector() -> impl Strategy<Value = VersionVector> {
    let counters = prop::collection::btree_map(actor(), 1..4_u64, 0..4);
    counters.prop_map(|counters: BTreeMap<Actor, u64>| {
        counters.into_iter().map(|(a, counter)| dot(a.store.0, a.epoch, counter)).collect()
    })
}

pub(super) fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![Just(Expiry::Never), (0..4_i64).prop_map(|tens| Expiry::At(tens * 10))]
}

pub(super) fn columns() -> impl Strategy<Value = Columns> {
    let value = prop::sample::select(vec!["", "a", "b"]);
    prop::collection::btree_map(1..4_u32, (value, expiry()), 0..3).prop_map(|columns| {
        let column = |(id, (value, expiry)): (&u32, &(&'static str, Expiry))| Column {
            id: *id,
            value: value.as_bytes(),
            expiry: *expiry,
        };
        columns.iter().map(column).collect()
    })
}

/// What a version holds beside its dot.
fn content() -> impl Strategy<Value = (i64, Option<Expiry>, Columns)> {
    (0..4_i64, prop::option::of(expiry()), columns())
}

/// Any sound row over few actors: some dots of its vector have a version, some even two.
pub(super) fn siblings() -> impl Strategy<Value = Siblings> {
    let parts = (vector(), 0..3_i64).prop_flat_map(|(vector, removed_at)| {
        let dots: Vec<Dot> = vector
            .dots()
            .flat_map(|newest| {
                (1..=newest.counter.get())
                    .map(move |c| dot(newest.actor.store.0, newest.actor.epoch, c))
            })
            .collect();
        let living =
            prop::collection::vec((prop::sample::select(one_at_least(&dots)), content()), 0..5);
        (Just(vector), living, Just(removed_at))
    });
    parts.prop_map(|(vector, living, removed_at)| {
        let mut versions: Vec<Version> = living
            .into_iter()
            .filter(|(dot, _)| vector.covers(*dot))
            .map(|(dot, (write_time, marker, columns))| Version {
                dot,
                write_time,
                marker,
                columns,
            })
            .collect();
        versions.sort();
        versions.dedup();
        Siblings::from_parts(vector, versions, removed_at).expect("a sound row")
    })
}

/// The dots, or one that no vector here covers: there is no choice among none.
fn one_at_least(dots: &[Dot]) -> Vec<Dot> {
    if dots.is_empty() { vec![dot(9, 9, 9)] } else { dots.to_vec() }
}
