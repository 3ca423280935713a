use proptest::prelude::*;

use super::super::samples::{at, ranges, row, text};
use super::super::{Expiry, WriteStamp};
use super::*;

fn one(stamp: WriteStamp, value: &'static str) -> Row {
    let mut row = Row::default();
    row.set(1, stamp, Expiry::Never, text(value));
    row
}

/// The bytes with one bit that is not as it was.
fn damaged(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[3] ^= 1;
    bytes
}

#[test]
fn readable_values_are_merged_as_rows_are() {
    let (older, newer) = (one(at(1, 1), "old"), one(at(2, 1), "new"));
    for (base, operand) in [(&older, &newer), (&newer, &older)] {
        let merged = merge_counted(Some(&base.encode()), [&operand.encode()[..]]);
        assert_eq!(merged, Merged { value: newer.encode(), unreadable: 0 });
    }
    assert_eq!(merge_encoded(None, []), Row::default().encode());
}

#[test]
fn what_cannot_be_read_poisons_and_everything_is_kept() {
    let (first, second) = (one(at(1, 1), "old"), one(at(2, 1), "new"));
    let spoilt = damaged(one(at(3, 1), "lost").encode());
    let operands = [first.encode(), spoilt.clone(), second.encode()];
    let merged = merge_counted(None, operands.iter().map(Vec::as_slice));
    assert_eq!(merged.unreadable, 1);
    let value = Bytes::from(merged.value);
    assert_eq!(Row::decode(&value), Err(DecodeError::Poisoned));
    assert_eq!(kind_of(&value), Some(Kind::Poisoned));
    let salvaged = salvage(&value);
    assert_eq!(salvaged.row, Some(second));
    assert_eq!(salvaged.unreadable, BTreeSet::from([spoilt.into()]));
}

#[test]
fn values_kept_unread_are_all_there() {
    let row = one(at(1, 1), "x").encode();
    let value = poison([&row[..], b"?"]);
    let kept = [row.into(), Bytes::from_static(b"?")];
    assert_eq!(salvage(&value), Salvaged { unreadable: kept.into(), ..Salvaged::default() });
}

#[test]
fn a_good_copy_merged_into_a_poisoned_value_keeps_what_was_readable() {
    let spoilt = damaged(one(at(3, 1), "lost").encode());
    let mut own = one(at(2, 1), "own");
    own.set(2, at(2, 1), Expiry::Never, text("only here"));
    let poisoned = merge_encoded(Some(&own.encode()), [&spoilt[..]]);
    let copy = one(at(3, 1), "lost");
    let merged = Bytes::from(merge_encoded(Some(&poisoned), [&copy.encode()[..]]));
    assert_eq!(Row::decode(&merged), Err(DecodeError::Poisoned), "nobody has mended it");
    own.merge(&copy);
    let mended = salvage(&merged).row.unwrap();
    assert_eq!(mended, own);
    assert_eq!(Row::decode(&mended.encode().into()), Ok(own));
}

#[test]
fn values_of_two_kinds_under_one_key_poison_it() {
    let mut tombstone = Ranges::default();
    tombstone.cover(Bytes::new(), None, 5);
    let (row, ranges) = (one(at(1, 1), "x").encode(), tombstone.encode());
    let value = Bytes::from(merge_encoded(Some(&row), [&ranges[..]]));
    assert_eq!(Row::decode(&value), Err(DecodeError::Poisoned));
    assert_eq!(Ranges::decode(&value), Err(DecodeError::Poisoned));
    assert_eq!(merge_encoded(Some(&ranges), [&row[..]]), value);
    let siblings = crate::version::Siblings::default().encode();
    let value = merge_encoded(Some(&siblings), [&row[..]]);
    assert_eq!(salvage(&value).unreadable, BTreeSet::from([siblings.into()]));
}

#[test]
fn a_value_poisoned_a_thousand_times_over_is_read_without_depth() {
    let mut nested = Row::default().encode();
    for _ in 0..1000 {
        let mut outer = vec![POISONED, HOLDS_ROW];
        put_bytes(&mut outer, &nested);
        seal(&mut outer);
        nested = outer;
    }
    let merged = merge_encoded(Some(&nested), []);
    assert_eq!(salvage(&merged).unreadable, BTreeSet::from([nested.into()]));
}

/// Values as a store may hold them, the worst included.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let good = || {
        prop_oneof![4 => row().prop_map(|row| row.encode()),
        1 => ranges().prop_map(|ranges| ranges.encode())]
    };
    let spoilt =
        (good(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        });
    let noise = prop::collection::vec(any::<u8>(), 0..12);
    let poisoned = prop::collection::vec(prop_oneof![good(), noise.clone()], 1..4)
        .prop_map(|values| merge_encoded(None, values.iter().map(Vec::as_slice)));
    prop_oneof![6 => good(), 1 => spoilt, 1 => noise, 1 => poisoned]
}

proptest! {
    #[test]
    fn any_order_and_any_grouping_give_the_same_bytes(
        values in prop::collection::vec(value(), 1..6),
        order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
        split in 0..6_usize,
    ) {
        let merge = |values: &[&[u8]]| merge_encoded(None, values.iter().copied());
        let in_order: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let whole = merge(&in_order);
        let shuffled: Vec<&[u8]> =
            order.iter().filter_map(|at| values.get(*at)).map(Vec::as_slice).collect();
        prop_assert_eq!(&merge(&shuffled), &whole);
        prop_assert_eq!(&merge_encoded(Some(shuffled[0]), shuffled[1..].iter().copied()), &whole);
        let (left, right) = shuffled.split_at(split.min(shuffled.len() - 1).max(1).min(shuffled.len()));
        let mut parts = vec![merge(left)];
        if !right.is_empty() {
            parts.push(merge(right));
        }
        parts.push(parts[0].clone());
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(&merge(&parts), &whole);
    }

    #[test]
    fn merging_rows_and_merging_their_bytes_are_one(a in row(), b in row()) {
        let bytes = merge_encoded(Some(&a.encode()), [&b.encode()[..]]);
        let mut merged = a;
        merged.merge(&b);
        prop_assert_eq!(bytes, merged.encode());
    }
}
