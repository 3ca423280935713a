use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use types::{CqlType, Value};

use super::super::samples::expiry;
use super::*;

fn list_of(numbers: &[i32]) -> Bytes {
    encoded(&CqlType::List(Box::new(CqlType::Int)), &Value::List(ints(numbers)))
}

fn set_of(numbers: &BTreeSet<i32>) -> Bytes {
    let numbers: Vec<i32> = numbers.iter().copied().collect();
    encoded(&CqlType::Set(Box::new(CqlType::Int)), &Value::Set(ints(&numbers)))
}

fn map_of(entries: &BTreeMap<i32, i32>) -> Bytes {
    let pairs = entries.iter().map(|(&key, &value)| (Value::Int(key), Value::Int(value)));
    let kind = CqlType::Map(Box::new(CqlType::Int), Box::new(CqlType::Int));
    encoded(&kind, &Value::Map(pairs.collect()))
}

fn ints(numbers: &[i32]) -> Vec<Value> {
    numbers.iter().copied().map(Value::Int).collect()
}

fn encoded(kind: &CqlType, value: &Value) -> Bytes {
    value.encode(kind).unwrap().into()
}

/// The only column after a change: its bytes and its expiry; none where it is null.
fn after(
    before: Option<(&Bytes, Expiry)>,
    change: ColumnChange,
) -> Result<Option<(Bytes, Expiry)>, StampError> {
    let before = before.map(|(value, expiry)| Column { id: 7, value, expiry });
    let columns = changed(before.into_iter().collect(), &BTreeMap::from([(7, change)]))?;
    let one = columns.iter().next();
    Ok(one.map(|column| (Bytes::copy_from_slice(column.value), column.expiry)))
}

/// What is stored of a collection: none if it is empty.
fn stored(bytes: Bytes, expiry: Expiry) -> Option<(Bytes, Expiry)> {
    (bytes[..] != [0; 4]).then_some((bytes, expiry))
}

/// The expiry of a collection after something came into it.
fn longest(before: Option<Expiry>, added: Expiry) -> Expiry {
    before.map_or(added, |own| own.max(added))
}

fn numbers() -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(-2..3_i32, 0..5)
}

fn entries() -> impl Strategy<Value = BTreeMap<i32, i32>> {
    prop::collection::btree_map(-2..3_i32, 0..3_i32, 0..5)
}

#[test]
fn a_place_that_the_list_does_not_have_is_refused_by_name() {
    let three = list_of(&[1, 2, 3]);
    for (before, index, len) in [(Some(&three), 3, 3), (Some(&three), -1, 3), (None, 0, 0)] {
        for element in [None, Some(Bytes::from_static(&[0, 0, 0, 9]))] {
            let places = BTreeMap::from([(index, element)]);
            let change = ColumnChange::ListPut { places, of: CqlType::Int, expiry: Expiry::Never };
            let refused = after(before.map(|list| (list, Expiry::Never)), change);
            assert_eq!(refused, Err(StampError::ListIndex { column: 7, index, len }));
        }
    }
}

#[test]
fn a_column_that_holds_another_thing_is_an_error_that_names_it() {
    let (no_list, of) = (Bytes::from_static(b"no list"), CqlType::Int);
    let (end, expiry) = (ListEnd::Back, Expiry::Never);
    for change in [
        ColumnChange::ListAdd { elements: list_of(&[1]), end, of: of.clone(), expiry },
        ColumnChange::ListRemove { elements: list_of(&[1]), of: of.clone() },
        ColumnChange::ListPut { places: BTreeMap::new(), of: of.clone(), expiry },
        ColumnChange::MapPut {
            removed: set_of(&BTreeSet::new()),
            entries: map_of(&BTreeMap::new()),
            of: (of.clone(), of),
            expiry,
        },
    ] {
        let error = after(Some((&no_list, Expiry::Never)), change).unwrap_err();
        assert!(matches!(error, StampError::Set { column: 7, .. }), "{error}");
    }
}

proptest! {
    #[test]
    fn lists_grow_at_both_ends_and_go_as_a_whole(
        old in prop::option::of((numbers(), expiry())),
        new in numbers(),
        is_front in any::<bool>(),
        later in expiry(),
    ) {
        let old = old.filter(|(numbers, _)| !numbers.is_empty());
        let bytes = old.as_ref().map(|(numbers, own)| (list_of(numbers), *own));
        let before = || bytes.as_ref().map(|(list, own)| (list, *own));
        let numbers = old.as_ref().map(|(numbers, _)| numbers.clone()).unwrap_or_default();
        let own = old.as_ref().map(|(_, own)| *own);

        let end = if is_front { ListEnd::Front } else { ListEnd::Back };
        let (elements, of) = (list_of(&new), CqlType::Int);
        let add = ColumnChange::ListAdd { elements, end, of, expiry: later };
        let joined = if is_front { [&new[..], &numbers] } else { [&numbers[..], &new] }.concat();
        prop_assert_eq!(after(before(), add), Ok(stored(list_of(&joined), longest(own, later))));

        let remove = ColumnChange::ListRemove { elements: list_of(&new), of: CqlType::Int };
        let rest: Vec<_> = numbers.iter().copied().filter(|it| !new.contains(it)).collect();
        let wanted = own.and_then(|own| stored(list_of(&rest), own));
        prop_assert_eq!(after(before(), remove), Ok(wanted));
    }

    #[test]
    fn places_are_those_of_the_list_as_it_was(
        numbers in numbers().prop_filter("a list with elements", |it| !it.is_empty()),
        picks in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(5..9_i32)), 0..4),
        own in expiry(),
        later in expiry(),
    ) {
        let mut wanted: Vec<Option<i32>> = numbers.iter().copied().map(Some).collect();
        let mut places = BTreeMap::new();
        for (pick, number) in picks {
            let place = pick.index(numbers.len());
            let bytes = number.map(|it| Bytes::copy_from_slice(&it.to_be_bytes()));
            wanted[place] = number;
            places.insert(i32::try_from(place).unwrap(), bytes);
        }
        let puts = places.values().any(Option::is_some);
        let put = ColumnChange::ListPut { places, of: CqlType::Int, expiry: later };
        let kept = if puts { longest(Some(own), later) } else { own };
        let wanted: Vec<i32> = wanted.into_iter().flatten().collect();
        let after = after(Some((&list_of(&numbers), own)), put);
        prop_assert_eq!(after, Ok(stored(list_of(&wanted), kept)));
    }

    #[test]
    fn maps_lose_keys_then_gain_entries_and_go_as_a_whole(
        old in prop::option::of((entries(), expiry())),
        put in entries(),
        gone in prop::collection::btree_set(-2..3_i32, 0..4),
        later in expiry(),
    ) {
        let old = old.filter(|(entries, _)| !entries.is_empty());
        let bytes = old.as_ref().map(|(entries, own)| (map_of(entries), *own));
        let change = ColumnChange::MapPut {
            removed: set_of(&gone),
            entries: map_of(&put),
            of: (CqlType::Int, CqlType::Int),
            expiry: later,
        };
        let own = old.as_ref().map(|(_, own)| *own);
        let mut wanted = old.map(|(entries, _)| entries).unwrap_or_default();
        wanted.retain(|key, _| !gone.contains(key));
        wanted.extend(put.clone());
        let kept = if put.is_empty() { own.unwrap_or(Expiry::Never) } else { longest(own, later) };
        let after = after(bytes.as_ref().map(|(map, own)| (map, *own)), change);
        prop_assert_eq!(after, Ok(stored(map_of(&wanted), kept)));
    }
}
