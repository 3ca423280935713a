//! Lists, sets and maps as bytes: walked, put into canonical form, and changed.
//!
//! A stored set or map is in the order of its element or key type and holds each once, so that equal
//! collections have equal bytes. A collection that is not frozen has no empty value: empty is null,
//! here `None`.
//!
//! Source: native protocol v4, §6; CQL's operations on collections. Callers: the binder, the stamping
//! of `SET c = c + {…}`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::key::{self, Order};
use crate::tuple::{fields, put_null};
use crate::value::validate;
use crate::{CqlType, ValueError};

/// The elements of a serialized list or set, or the keys and values of a map in turn.
///
/// Nothing is allocated by the count that the bytes claim; after an error there is no more element.
///
/// # Errors
/// [`ValueError::Truncated`] and [`ValueError::NegativeCount`] for the count itself; the elements
/// bring their own.
pub fn elements<'a>(kind: &'a CqlType, bytes: &'a [u8]) -> Result<Elements<'a>, ValueError> {
    let kind = kind.thawed();
    let Some((count, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(ValueError::Truncated { kind: kind.clone() });
    };
    let count = i32::from_be_bytes(*count);
    let left = u64::try_from(count)
        .map_err(|_| ValueError::NegativeCount { kind: kind.clone(), count })?;
    let left = if matches!(kind, CqlType::Map(..)) { left * 2 } else { left };
    Ok(Elements { kind, left, rest })
}

/// A walk over the elements of a collection; see [`elements`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    kind: &'a CqlType,
    left: u64,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    fn take(&mut self) -> Result<&'a [u8], ValueError> {
        let truncated = || ValueError::Truncated { kind: self.kind.clone() };
        let (len, rest) = self.rest.split_first_chunk::<4>().ok_or_else(truncated)?;
        let len = usize::try_from(i32::from_be_bytes(*len))
            .map_err(|_| ValueError::NullElement { kind: self.kind.clone() })?;
        let (element, rest) = rest.split_at_checked(len).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(element)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], ValueError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                self.take()
            }
            None if self.rest.is_empty() => return None,
            None => Err(ValueError::Trailing { kind: self.kind.clone(), len: self.rest.len() }),
        };
        if item.is_err() {
            (self.left, self.rest) = (0, &[]);
        }
        Some(item)
    }
}

/// A checked value of `kind` in canonical form: sets and maps at every depth in order and without
/// doubles (of two equal keys of a map the later value stays). Everything else stays as it is.
pub fn normalise<'a>(kind: &CqlType, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, ValueError> {
    validate(kind, bytes)?;
    if !has_order(kind) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut out = Vec::with_capacity(bytes.len());
    put_normal(kind, bytes, &mut out)?;
    Ok(Cow::Owned(out))
}

/// The elements that are in either of two sets of elements of type `of`.
pub fn union(
    of: &CqlType,
    left: Option<&[u8]>,
    right: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, ValueError> {
    let kind = CqlType::Set(Box::new(of.clone()));
    let mut joined = sorted(&kind, of, left)?;
    joined.append(&mut sorted(&kind, of, right)?);
    serialized(&kind, &joined)
}

/// The elements of one set that are not in another, both of elements of type `of`.
pub fn difference(
    of: &CqlType,
    from: Option<&[u8]>,
    without: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, ValueError> {
    let kind = CqlType::Set(Box::new(of.clone()));
    let mut rest = sorted(&kind, of, from)?;
    for key in sorted(&kind, of, without)?.keys() {
        rest.remove(key);
    }
    serialized(&kind, &rest)
}

/// The elements of two lists, one after the other. CQL's `l + […]` and `[…] + l`.
pub fn concat(
    of: &CqlType,
    front: Option<&[u8]>,
    back: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, ValueError> {
    let kind = CqlType::List(Box::new(of.clone()));
    let mut list = listed(&kind, front)?;
    list.append(&mut listed(&kind, back)?);
    list_of(&kind, &list)
}

/// The elements of one list that are equal to none of another: CQL's `l - […]`.
pub fn without(
    of: &CqlType,
    from: Option<&[u8]>,
    gone: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, ValueError> {
    let kind = CqlType::List(Box::new(of.clone()));
    let gone: BTreeSet<&[u8]> = listed(&kind, gone)?.into_iter().collect();
    let mut list = listed(&kind, from)?;
    list.retain(|element| !gone.contains(element));
    list_of(&kind, &list)
}

/// A list with other elements at some places, counted from 0, and none of those that become `None`:
/// CQL's `l[i] = …` and `DELETE l[i]`. All places are those of the list as it was.
///
/// # Errors
/// [`ListError::Index`] for the first place that the list does not have; it is then unchanged.
pub fn with_places(
    of: &CqlType,
    list: Option<&[u8]>,
    changes: &BTreeMap<i32, Option<Bytes>>,
) -> Result<Option<Vec<u8>>, ListError> {
    let kind = CqlType::List(Box::new(of.clone()));
    let mut list: Vec<Option<&[u8]>> = listed(&kind, list)?.into_iter().map(Some).collect();
    let len = list.len();
    for (&index, change) in changes {
        let place = usize::try_from(index).ok().and_then(|place| list.get_mut(place));
        *place.ok_or(ListError::Index { index, len })? = change.as_deref();
        if let Some(element) = change {
            validate(of, element)?;
        }
    }
    Ok(list_of(&kind, &list.into_iter().flatten().collect::<Vec<_>>())?)
}

/// Why a list does not change at some places.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The list has no such place.
    #[error("List index {index} out of bound, list has size {len}")]
    Index {
        /// The place asked for.
        index: i32,
        /// How many elements there are.
        len: usize,
    },
    /// The list is none, or an element is none of its type.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// A map with the entries of another: CQL's `m + {…}` and `m[k] = …`.
pub fn merged(
    (key, of): (&CqlType, &CqlType),
    map: Option<&[u8]>,
    entries: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, ValueError> {
    let kind = CqlType::Map(Box::new(key.clone()), Box::new(of.clone()));
    let mut joined = checked_pairs(&kind, (key, of), map)?;
    joined.append(&mut checked_pairs(&kind, (key, of), entries)?);
    map_of(&kind, &joined)
}

/// A map without the entries whose keys are in a set: CQL's `m - {…}` and `DELETE m[k]`.
pub fn without_keys(
    (key, of): (&CqlType, &CqlType),
    map: Option<&[u8]>,
    gone: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, ValueError> {
    let kind = CqlType::Map(Box::new(key.clone()), Box::new(of.clone()));
    let mut rest = checked_pairs(&kind, (key, of), map)?;
    for key in sorted(&CqlType::Set(Box::new(key.clone())), key, gone)?.keys() {
        rest.remove(key);
    }
    map_of(&kind, &rest)
}

/// The serialized collection of one element (list, set), or of a key and its value (map).
pub fn of_one(kind: &CqlType, element: &[&[u8]]) -> Result<Vec<u8>, ValueError> {
    let mut out = Vec::new();
    put_count(kind, 1, &mut out)?;
    element.iter().try_for_each(|part| put_bytes(kind, part, &mut out))?;
    Ok(out)
}

/// The elements of a list.
fn listed<'a>(kind: &'a CqlType, list: Option<&'a [u8]>) -> Result<Vec<&'a [u8]>, ValueError> {
    let Some(list) = list else { return Ok(Vec::new()) };
    validate(kind, list)?;
    elements(kind, list)?.collect()
}

/// A list of the elements; `None` when there are none.
fn list_of(kind: &CqlType, elements: &[&[u8]]) -> Result<Option<Vec<u8>>, ValueError> {
    if elements.is_empty() {
        return Ok(None);
    }
    let mut out = Vec::new();
    put_count(kind, elements.len(), &mut out)?;
    elements.iter().try_for_each(|element| put_bytes(kind, element, &mut out))?;
    Ok(Some(out))
}

/// The entries of a map in canonical form, each under the order of its key.
type Pairs = BTreeMap<Vec<u8>, (Vec<u8>, Vec<u8>)>;

fn checked_pairs(
    kind: &CqlType,
    of: (&CqlType, &CqlType),
    map: Option<&[u8]>,
) -> Result<Pairs, ValueError> {
    let Some(map) = map else { return Ok(Pairs::new()) };
    validate(kind, map)?;
    pairs(kind, of, map)
}

/// The entries of a map of valid bytes.
fn pairs(
    kind: &CqlType,
    (of_keys, of_values): (&CqlType, &CqlType),
    map: &[u8],
) -> Result<Pairs, ValueError> {
    let mut pairs = Pairs::new();
    let mut elements = elements(kind, map)?;
    while let Some(key) = elements.next() {
        let (order, key) = normal_element(of_keys, key?)?;
        let value = elements.next().unwrap_or(Err(ValueError::Truncated { kind: kind.clone() }))?;
        let mut normal = Vec::with_capacity(value.len());
        put_normal(of_values, value, &mut normal)?;
        pairs.insert(order, (key, normal));
    }
    Ok(pairs)
}

/// A map of the entries; `None` when there are none.
fn map_of(kind: &CqlType, pairs: &Pairs) -> Result<Option<Vec<u8>>, ValueError> {
    if pairs.is_empty() {
        return Ok(None);
    }
    let mut out = Vec::new();
    put_map(kind, pairs, &mut out)?;
    Ok(Some(out))
}

fn put_map(kind: &CqlType, pairs: &Pairs, out: &mut Vec<u8>) -> Result<(), ValueError> {
    put_count(kind, pairs.len(), out)?;
    for (key, value) in pairs.values() {
        put_bytes(kind, key, out)?;
        put_bytes(kind, value, out)?;
    }
    Ok(())
}

/// The elements of a set in canonical form, each under its key.
type Sorted = BTreeMap<Vec<u8>, Vec<u8>>;

fn sorted(kind: &CqlType, of: &CqlType, set: Option<&[u8]>) -> Result<Sorted, ValueError> {
    let Some(set) = set else { return Ok(Sorted::new()) };
    validate(kind, set)?;
    elements(kind, set)?.map(|element| normal_element(of, element?)).collect()
}

/// An element's key and its canonical bytes.
fn normal_element(of: &CqlType, element: &[u8]) -> Result<(Vec<u8>, Vec<u8>), ValueError> {
    let mut normal = Vec::with_capacity(element.len());
    put_normal(of, element, &mut normal)?;
    let mut key = Vec::with_capacity(normal.len() + 2);
    key::encode_component(of, &normal, Order::Ascending, &mut key)?;
    Ok((key, normal))
}

/// A set of the elements; `None` when there are none.
fn serialized(kind: &CqlType, elements: &Sorted) -> Result<Option<Vec<u8>>, ValueError> {
    if elements.is_empty() {
        return Ok(None);
    }
    let mut out = Vec::new();
    put_set(kind, elements, &mut out)?;
    Ok(Some(out))
}

fn put_set(kind: &CqlType, elements: &Sorted, out: &mut Vec<u8>) -> Result<(), ValueError> {
    put_count(kind, elements.len(), out)?;
    elements.values().try_for_each(|element| put_bytes(kind, element, out))
}

/// Whether the bytes of a type have an order that a client may have got wrong.
fn has_order(kind: &CqlType) -> bool {
    match kind.thawed() {
        CqlType::Set(_) | CqlType::Map(..) => true,
        CqlType::List(of) => has_order(of),
        CqlType::Tuple(of) => of.iter().any(has_order),
        _ => false,
    }
}

/// Writes valid bytes in canonical form. The depth is that of `kind`, which was checked.
fn put_normal(kind: &CqlType, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match kind.thawed() {
        CqlType::Set(of) => {
            let sorted: Sorted = elements(kind, bytes)?
                .map(|element| normal_element(of, element?))
                .collect::<Result<_, _>>()?;
            put_set(kind, &sorted, out)
        }
        CqlType::Map(key, value) => put_map(kind, &pairs(kind, (key, value), bytes)?, out),
        CqlType::List(of) => {
            let list = elements(kind, bytes)?;
            put_count(kind, list.clone().count(), out)?;
            for element in list {
                let element = element?;
                put_element(kind, out, |out| put_normal(of, element, out))?;
            }
            Ok(())
        }
        CqlType::Tuple(_) => fields(kind, bytes).try_for_each(|field| {
            if let (of, Some(field)) = field? {
                put_element(kind, out, |out| put_normal(of, field, out))?;
            } else {
                put_null(out);
            }
            Ok(())
        }),
        _ => {
            out.extend_from_slice(bytes);
            Ok(())
        }
    }
}

/// Writes the number of elements of a collection.
pub(crate) fn put_count(kind: &CqlType, count: usize, out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.extend_from_slice(&length(kind, count)?);
    Ok(())
}

/// Writes one element of a collection of type `kind`: its length, and what `write` adds to `out`.
pub(crate) fn put_element(
    kind: &CqlType,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), ValueError>,
) -> Result<(), ValueError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let len = length(kind, out.len() - start - 4)?;
    out[start..start + 4].copy_from_slice(&len);
    Ok(())
}

fn put_bytes(kind: &CqlType, element: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.extend_from_slice(&length(kind, element.len())?);
    out.extend_from_slice(element);
    Ok(())
}

fn length(kind: &CqlType, len: usize) -> Result<[u8; 4], ValueError> {
    let len = i32::try_from(len).map_err(|_| ValueError::TooLarge { kind: kind.clone() })?;
    Ok(len.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;
    use crate::value::strategy;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(texts: &[&str]) -> Vec<u8> {
        serial(&texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>())
    }

    /// A collection of these elements in the order given.
    fn serial(elements: &[&[u8]]) -> Vec<u8> {
        let mut out = u32::try_from(elements.len()).unwrap().to_be_bytes().to_vec();
        for element in elements {
            out.extend_from_slice(&u32::try_from(element.len()).unwrap().to_be_bytes());
            out.extend_from_slice(element);
        }
        out
    }

    fn texts() -> CqlType {
        CqlType::Set(Box::new(CqlType::Text))
    }

    #[test]
    fn sets_become_sorted_and_unique() {
        let normal = normalise(&texts(), &set(&["b", "", "a", "b"])).unwrap().into_owned();
        assert_eq!(normal, set(&["", "a", "b"]));
    }

    #[test]
    fn maps_are_sorted_by_key_and_the_later_value_stays() {
        let kind = CqlType::Map(Box::new(CqlType::Text), Box::new(texts()));
        let (yx, z) = (set(&["y", "x"]), set(&["z"]));
        let mut given = serial(&[b"b", &z, b"a", &z, b"a", &yx]);
        given[3] = 3; // Pairs, not elements.
        let mut wanted = serial(&[b"a", &set(&["x", "y"]), b"b", &z]);
        wanted[3] = 2;
        assert_eq!(normalise(&kind, &given).unwrap().into_owned(), wanted);
    }

    #[test]
    fn order_is_that_of_the_type_not_of_the_bytes() {
        let kind = CqlType::Frozen(Box::new(CqlType::Set(Box::new(CqlType::Int))));
        let (one, minus) = (1_i32.to_be_bytes(), (-1_i32).to_be_bytes());
        let normal = normalise(&kind, &serial(&[&one, &minus])).unwrap().into_owned();
        assert_eq!(normal, serial(&[&minus, &one]));
    }

    #[test]
    fn lists_keep_order_and_doubles() {
        let kind = CqlType::List(Box::new(CqlType::Text));
        let list = set(&["b", "a", "b"]);
        assert_eq!(normalise(&kind, &list), Ok(Cow::Borrowed(&list[..])));
    }

    #[test]
    fn empty_sets_are_null() {
        let (a, none) = (set(&["a"]), set(&[]));
        assert_eq!(union(&CqlType::Text, None, Some(&none)), Ok(None));
        assert_eq!(difference(&CqlType::Text, Some(&a), Some(&a)), Ok(None));
        assert_eq!(difference(&CqlType::Text, None, Some(&a)), Ok(None));
        assert_eq!(union(&CqlType::Text, Some(&a), None), Ok(Some(a)));
    }

    #[test]
    fn lying_bytes_are_refused_without_allocating_what_they_claim() {
        let (kind, text) = (texts(), texts());
        let refused = |bytes: &[u8]| normalise(&kind, bytes).unwrap_err();
        let mut huge = set(&["a"]);
        huge[0] = 0x7F;
        let mut trailing = set(&["a"]);
        trailing.extend_from_slice(b"xy");
        assert_eq!(refused(&[]), ValueError::Truncated { kind: text.clone() });
        assert_eq!(refused(&huge), ValueError::Truncated { kind: text.clone() });
        assert_eq!(refused(&trailing), ValueError::Trailing { kind: text.clone(), len: 2 });
        assert_eq!(
            refused(&[0xFF; 4]),
            ValueError::NegativeCount { kind: text.clone(), count: -1 }
        );
        assert_eq!(
            refused(&[0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]),
            ValueError::NullElement { kind: text.clone() }
        );
        assert_eq!(refused(&[0, 0, 0, 1, 0, 0, 0, 9, 1]), ValueError::Truncated { kind: text });
        assert_eq!(refused(&serial(&[&[0xFF]])), ValueError::NotUtf8 { at: 0 });
    }

    /// The elements of a set of texts by another road.
    fn members(set: Option<&[u8]>) -> BTreeSet<String> {
        let Some(set) = set else { return BTreeSet::new() };
        let Value::Set(values) = Value::decode(&texts(), set).unwrap() else { panic!("no set") };
        values.iter().map(|value| value.plain().to_string()).collect()
    }

    fn list_kind() -> CqlType {
        CqlType::List(Box::new(CqlType::Int))
    }

    fn list(numbers: &[i32]) -> Option<Vec<u8>> {
        let values = numbers.iter().copied().map(Value::Int).collect();
        (!numbers.is_empty()).then(|| Value::List(values).encode(&list_kind()).unwrap())
    }

    fn map(entries: &BTreeMap<i32, bool>) -> Option<Vec<u8>> {
        let pairs = entries.iter().map(|(&key, &of)| (Value::Int(key), Value::Boolean(of)));
        let kind = CqlType::Map(Box::new(CqlType::Int), Box::new(CqlType::Boolean));
        (!entries.is_empty()).then(|| Value::Map(pairs.collect()).encode(&kind).unwrap())
    }

    #[test]
    fn places_that_a_list_does_not_have_are_refused() {
        let change = |index| BTreeMap::from([(index, None)]);
        for index in [-1, 2, i32::MIN, i32::MAX] {
            let error = with_places(&CqlType::Int, list(&[7, 8]).as_deref(), &change(index));
            assert_eq!(error, Err(ListError::Index { index, len: 2 }));
        }
        let error = with_places(&CqlType::Int, None, &change(0)).unwrap_err();
        assert_eq!(error.to_string(), "List index 0 out of bound, list has size 0");
        let wrong = BTreeMap::from([(0, Some(Bytes::from_static(b"x")))]);
        let error = with_places(&CqlType::Int, list(&[7]).as_deref(), &wrong);
        assert!(matches!(error, Err(ListError::Value(ValueError::Length { len: 1, .. }))));
    }

    #[test]
    fn a_collection_of_one_has_the_bytes_of_any_other() {
        let seven = 7_i32.to_be_bytes();
        assert_eq!(of_one(&list_kind(), &[&seven]).ok(), list(&[7]));
        let kind = CqlType::Map(Box::new(CqlType::Int), Box::new(CqlType::Boolean));
        assert_eq!(of_one(&kind, &[&seven, &[1]]).ok(), map(&BTreeMap::from([(7, true)])));
    }

    proptest! {
        #[test]
        fn lists_change_as_vectors_do(
            one in prop::collection::vec(-2..3_i32, 0..6),
            other in prop::collection::vec(-2..3_i32, 0..6),
            places in prop::collection::btree_map(-1..7_i32, prop::option::of(-9..9_i32), 0..4),
        ) {
            let (left, right) = (list(&one), list(&other));
            let joined = concat(&CqlType::Int, left.as_deref(), right.as_deref()).unwrap();
            prop_assert_eq!(joined, list(&[&one[..], &other].concat()));
            let rest = without(&CqlType::Int, left.as_deref(), right.as_deref()).unwrap();
            let wanted: Vec<_> = one.iter().copied().filter(|it| !other.contains(it)).collect();
            prop_assert_eq!(rest, list(&wanted));

            let changes = places.iter().map(|(&place, number)| {
                (place, number.map(|number| Bytes::copy_from_slice(&number.to_be_bytes())))
            });
            let changed = with_places(&CqlType::Int, left.as_deref(), &changes.collect());
            let is_here = |place: i32| place >= 0 && usize::try_from(place).unwrap() < one.len();
            if let Some(&index) = places.keys().find(|place| !is_here(**place)) {
                prop_assert_eq!(changed, Err(ListError::Index { index, len: one.len() }));
            } else {
                let at = |place: usize| i32::try_from(place).unwrap();
                let wanted = one.iter().enumerate().filter_map(|(place, &before)| {
                    places.get(&at(place)).copied().unwrap_or(Some(before))
                });
                prop_assert_eq!(changed.unwrap(), list(&wanted.collect::<Vec<_>>()));
            }
        }

        #[test]
        fn maps_change_as_trees_do(
            one in prop::collection::btree_map(-3..3_i32, any::<bool>(), 0..6),
            other in prop::collection::btree_map(-3..3_i32, any::<bool>(), 0..6),
        ) {
            let of = (&CqlType::Int, &CqlType::Boolean);
            let joined = merged(of, map(&one).as_deref(), map(&other).as_deref()).unwrap();
            let mut wanted = one.clone();
            wanted.extend(other.clone());
            prop_assert_eq!(joined, map(&wanted));
            let keys = Value::Set(other.keys().copied().map(Value::Int).collect());
            let keys = keys.encode(&CqlType::Set(Box::new(CqlType::Int))).unwrap();
            let rest = without_keys(of, map(&one).as_deref(), Some(&keys)).unwrap();
            let mut wanted = one;
            wanted.retain(|key, _| !other.contains_key(key));
            prop_assert_eq!(rest, map(&wanted));
        }

        #[test]
        fn union_and_difference_are_those_of_sets(
            left in prop::collection::vec("[a-c]{0,2}", 0..8),
            right in prop::collection::vec("[a-c]{0,2}", 0..8),
        ) {
            let bytes = |texts: &[String]| set(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            let (a, b) = (bytes(&left), bytes(&right));
            let (left, right) = (members(Some(&a)), members(Some(&b)));
            let joined = union(&CqlType::Text, Some(&a), Some(&b)).unwrap();
            prop_assert_eq!(members(joined.as_deref()), &left | &right);
            let parted = difference(&CqlType::Text, Some(&a), Some(&b)).unwrap();
            prop_assert_eq!(members(parted.as_deref()), &left - &right);
            // What comes out is canonical.
            for set in [joined, parted].into_iter().flatten() {
                prop_assert_eq!(normalise(&texts(), &set).unwrap().into_owned(), set);
            }
        }

        #[test]
        fn normalising_twice_changes_nothing((kind, value) in strategy::typed_value()) {
            let once = value.encode(&kind).unwrap();
            prop_assert_eq!(normalise(&kind, &once).unwrap().into_owned(), once);
        }
    }
}
