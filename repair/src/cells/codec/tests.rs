use proptest::prelude::*;

use super::super::samples::{at, ranges, row, text};
use super::super::{Kind, kind_of, merge_encoded};
use super::*;
use crate::version::Siblings;

/// A row with every shape that the format has.
fn every_shape() -> Row {
    let mut row = Row::default();
    let path = |path: &'static [u8]| Bytes::from_static(path);
    row.delete(-1);
    row.mark(at(1_600_000_000_000_000, 7), Expiry::At(1_800_000_000_000_000));
    row.set(1, at(1_600_000_000_000_000, 7), Expiry::Never, text("text"));
    row.set(2, at(1_600_000_000_000_000, 7), Expiry::Never, text(""));
    row.set(300, at(1_600_000_000_000_001, u64::MAX), Expiry::At(-5), text("ends"));
    row.set(301, at(i64::MAX, 0), Expiry::Never, None);
    row.reset(302, at(5, 5));
    row.reset(303, at(5, 5));
    row.set_element(303, path(b""), at(5, 5), Expiry::Never, Some(Bytes::new()));
    row.set_element(303, path(b"a"), at(5, 6), Expiry::At(9), text("b"));
    row.set_element(303, path(b"gone"), at(6, 0), Expiry::Never, None);
    row.set_element(u32::MAX, path(&[0; 130]), at(0, 0), Expiry::Never, text("long path"));
    row
}

fn every_step() -> Ranges {
    let mut ranges = Ranges::default();
    ranges.cover(Bytes::from_static(b"b"), Some(Bytes::from_static(b"d")), -3);
    ranges.cover(Bytes::from_static(b"c"), Some(Bytes::from_static(&[b'c'; 130])), i64::MAX);
    ranges.cover(Bytes::from_static(b"x"), None, 1_600_000_000_000_000);
    ranges
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.concat()
}

/// The bytes of a golden file: hexadecimal digits, lines starting with `#` left out.
fn golden(text: &str) -> Vec<u8> {
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The bytes with the checksum that belongs to them.
fn sealed(content: &[u8]) -> Bytes {
    let mut bytes = content.to_vec();
    seal(&mut bytes);
    bytes.into()
}

#[test]
fn rows_are_written_as_they_were_in_format_1() {
    let bytes = golden(include_str!("../../../golden/cells_row_1.hex"));
    assert_eq!(hex(&every_shape().encode()), hex(&bytes));
    assert_eq!(Row::decode(&bytes.into()), Ok(every_shape()));
    let bytes = golden(include_str!("../../../golden/cells_unwritten_1.hex"));
    assert_eq!(hex(&Row::default().encode()), hex(&bytes));
    assert_eq!(Row::decode(&bytes.into()), Ok(Row::default()));
}

#[test]
fn ranges_are_written_as_they_were_in_format_1() {
    let bytes = golden(include_str!("../../../golden/cells_ranges_1.hex"));
    assert_eq!(hex(&every_step().encode()), hex(&bytes));
    assert_eq!(Ranges::decode(&bytes.into()), Ok(every_step()));
}

#[test]
fn poisoned_values_are_written_as_they_were_in_format_1() {
    let bytes = golden(include_str!("../../../golden/cells_poisoned_1.hex"));
    let (row, ranges) = (every_shape().encode(), every_step().encode());
    let operands = [&b"not a row"[..], &row, &ranges, &[], b"neither"];
    assert_eq!(hex(&merge_encoded(None, operands)), hex(&bytes));
    assert_eq!(Row::decode(&bytes.into()), Err(DecodeError::Poisoned));
}

#[test]
fn the_first_byte_tells_what_a_value_is() {
    let poisoned = merge_encoded(Some(b"?"), []);
    let values = [
        (Siblings::default().encode(), Kind::Siblings),
        (every_shape().encode(), Kind::Row),
        (every_step().encode(), Kind::Ranges),
        (poisoned, Kind::Poisoned),
    ];
    for (value, kind) in &values {
        assert_eq!(kind_of(value), Some(*kind));
    }
    let [siblings, row, ranges, poisoned] = values.map(|(value, _)| Bytes::from(value));
    assert_eq!((kind_of(&[]), kind_of(&[0x31])), (None, None));
    let unknown = |format| Err(DecodeError::UnknownFormat { format });
    assert_eq!(Row::decode(&ranges), unknown(RANGES).map(|()| Row::default()));
    assert_eq!(Row::decode(&siblings), unknown(1).map(|()| Row::default()));
    assert_eq!(Ranges::decode(&row), unknown(ROW).map(|()| Ranges::default()));
    assert_eq!(Ranges::decode(&poisoned), Err(DecodeError::Poisoned));
    Siblings::decode(&row).unwrap_err();
}

#[test]
fn any_flipped_bit_is_damage() {
    for bytes in [every_shape().encode(), every_step().encode()] {
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = Bytes::from(flipped);
            let refused = [
                Row::decode(&flipped).map(|_| ()).unwrap_err(),
                Ranges::decode(&flipped).map(|_| ()).unwrap_err(),
            ];
            for refused in refused {
                assert!(matches!(refused, DecodeError::Damaged { .. }), "bit {bit}: {refused}");
            }
        }
    }
}

#[test]
fn every_shorter_value_is_refused_or_another_one() {
    let bytes = every_shape().encode();
    for len in 0..bytes.len() - 4 {
        Row::decode(&bytes[..len].to_vec().into()).unwrap_err();
        // A row ends behind any column, but then lacks what its last stamps belong to.
        Row::decode(&sealed(&bytes[..len])).unwrap_err();
    }
    let bytes = every_step().encode();
    for len in 0..bytes.len() - 4 {
        Ranges::decode(&bytes[..len].to_vec().into()).unwrap_err();
        if let Ok(shorter) = Ranges::decode(&sealed(&bytes[..len])) {
            assert_ne!(shorter, every_step());
        }
    }
}

#[test]
fn a_row_shares_the_bytes_that_it_was_read_from() {
    let bytes = Bytes::from(every_shape().encode());
    let row = Row::decode(&bytes).unwrap();
    let value = row.cell(1, 0).unwrap().value.as_ref().unwrap();
    let (path, _) = row.elements(u32::MAX, 0).next().unwrap();
    assert!(bytes.as_ptr_range().contains(&value.as_ptr()));
    assert!(bytes.as_ptr_range().contains(&path.as_ptr()));
}

#[test]
fn claimed_counts_are_refused_before_they_cost_anything() {
    let huge = |head: &[u8]| {
        let mut bytes = head.to_vec();
        put_number(&mut bytes, u64::MAX);
        sealed(&bytes)
    };
    assert_eq!(Row::decode(&huge(&[ROW, 0])), Err(DecodeError::Truncated));
    let one_stamp = [&[ROW, 0, 1][..], &[0; 16]].concat();
    let elements = [&one_stamp[..], &[7, ELEMENTS]].concat();
    assert_eq!(Row::decode(&huge(&elements)), Err(DecodeError::Truncated));
    let path = [&elements[..], &[1]].concat();
    assert_eq!(Row::decode(&huge(&path)), Err(DecodeError::Truncated));
    assert_eq!(Ranges::decode(&huge(&[RANGES])), Err(DecodeError::Truncated));
}

#[test]
fn other_spellings_of_a_row_are_refused() {
    let stamp = |timestamp: i64, operation: u64| {
        [timestamp.to_be_bytes(), operation.to_be_bytes()].concat()
    };
    let row = |deletion: Option<i64>, stamps: &[Vec<u8>], rest: &[u8]| {
        let mut bytes = vec![ROW, deletion.is_some().into()];
        bytes.extend(deletion.iter().flat_map(|deletion| deletion.to_be_bytes()));
        bytes.push(u8::try_from(stamps.len()).unwrap());
        bytes.extend(stamps.concat());
        bytes.extend_from_slice(rest);
        Row::decode(&sealed(&bytes)).map(|_| ())
    };
    let (first, second) = (|| stamp(5, 1), || stamp(5, 2));
    // Column 7 with the null cell of the stamp at place 0, or 1.
    let (null, later) = ([7, CELL, 0], [7, CELL, 4]);
    row(None, &[first()], &null).unwrap();
    row(None, &[first(), second()], &[7, CELL | RESET, 0, 1]).unwrap();
    for (refused, error) in [
        (row(None, &[second(), first()], &[&null[..], &later].concat()), DecodeError::OutOfOrder),
        (row(None, &[first(), first()], &null), DecodeError::OutOfOrder),
        (row(Some(5), &[first()], &null), DecodeError::Covered),
        (row(None, &[first(), second()], &null), DecodeError::Stamps),
        (row(None, &[first()], &later), DecodeError::Stamps),
        (row(None, &[first()], &[&null[..], &null].concat()), DecodeError::OutOfOrder),
        (row(None, &[first()], &[7, 0]), DecodeError::UnknownContent { holds: 0 }),
        (row(None, &[first()], &[7, 8]), DecodeError::UnknownContent { holds: 8 }),
        (row(None, &[first()], &[7, CELL, 3]), DecodeError::UnknownContent { holds: 3 }),
        (row(None, &[first()], &[7, ELEMENTS, 0]), DecodeError::UnknownContent { holds: ELEMENTS }),
        (
            // The element under the empty path is older than the reset.
            row(None, &[first(), second()], &[7, RESET | ELEMENTS, 1, 1, 0, 0]),
            DecodeError::Covered,
        ),
        (row(None, &[first()], &[7, ELEMENTS, 2, 0, 0, 0, 0]), DecodeError::OutOfOrder),
        (row(None, &[first()], &[0xff, 0xff, 0xff, 0xff, 0x10, CELL, 0]), DecodeError::Number),
    ] {
        assert_eq!(refused, Err(error));
    }
    let marker = [&[ROW, MARKER, 1][..], &first(), &[0]].concat();
    let refused = Row::decode(&sealed(&marker));
    assert_eq!(refused, Err(DecodeError::UnknownContent { holds: MARKER }));
}

#[test]
fn other_spellings_of_ranges_are_refused() {
    let refused = |content: &[u8]| Ranges::decode(&sealed(&[&[RANGES], content].concat()));
    let step = |start: u8, timestamp: i64| [&[1, start, 1][..], &timestamp.to_be_bytes()].concat();
    refused(&[step(1, 5), step(2, 4)].concat()).unwrap();
    assert_eq!(refused(&[step(1, 5), step(2, 5)].concat()), Err(DecodeError::Redundant));
    assert_eq!(refused(&[1, 1, 0]), Err(DecodeError::Redundant));
    assert_eq!(refused(&[step(2, 5), step(1, 4)].concat()), Err(DecodeError::OutOfOrder));
    assert_eq!(refused(&[1, 1, 2]), Err(DecodeError::UnknownContent { holds: 2 }));
}

proptest! {
    #[test]
    fn rows_come_back_from_their_bytes(row in row()) {
        prop_assert_eq!(Row::decode(&row.encode().into()), Ok(row));
    }

    #[test]
    fn ranges_come_back_from_their_bytes(ranges in ranges()) {
        prop_assert_eq!(Ranges::decode(&ranges.encode().into()), Ok(ranges));
    }

    #[test]
    fn a_changed_byte_under_a_right_checksum_is_refused_or_another_row(
        row in row(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let bytes = row.encode();
        let mut content = bytes[..bytes.len() - 4].to_vec();
        let at = at.index(content.len());
        prop_assume!(content[at] != byte);
        content[at] = byte;
        let bytes = sealed(&content);
        if let Ok(other) = Row::decode(&bytes) {
            prop_assert_ne!(&other, &row);
            prop_assert_eq!(other.encode(), bytes);
        }
    }
}

#[test]
fn fuzz_whatever_is_read_is_written_back_alike() {
    bolero::check!().for_each(|input: &[u8]| {
        let row = sealed(&[&[ROW], input].concat());
        for bytes in [Bytes::copy_from_slice(input), sealed(input), row] {
            if let Ok(row) = Row::decode(&bytes) {
                assert_eq!(row.encode(), bytes);
            }
        }
        let ranges = sealed(&[&[RANGES], input].concat());
        if let Ok(read) = Ranges::decode(&ranges) {
            assert_eq!(read.encode(), ranges);
        }
        let poisoned = sealed(&[&[POISONED], input].concat());
        for bytes in [Bytes::copy_from_slice(input), ranges, poisoned] {
            let merged = merge_encoded(Some(&bytes), [&bytes[..]]);
            assert_eq!(merge_encoded(None, [&merged[..], &bytes]), merged);
        }
    });
}
