use proptest::prelude::*;

use super::super::samples::{dot, never, siblings, vector, version};
use super::*;

/// A row with every shape that the format has.
fn every_shape() -> Siblings {
    let vector = [dot(1, 0, 1), dot(1, 300, 5), dot(u128::MAX, u64::MAX, u64::MAX)];
    let columns = [
        never(1, b"text"),
        Column { id: 7, value: b"", expiry: Expiry::At(1_700_000_000_000_000) },
        never(u32::MAX, &[0; 64]),
    ];
    let full = Version {
        dot: dot(1, 300, 5),
        write_time: 1_600_000_000_000_000,
        marker: Some(Expiry::At(1_800_000_000_000_000)),
        columns: columns.into_iter().collect(),
    };
    let bare = Version {
        dot: dot(u128::MAX, u64::MAX, u64::MAX),
        write_time: -1,
        marker: Some(Expiry::Never),
        columns: Columns::default(),
    };
    let versions = vec![version(dot(1, 300, 1), "a"), version(dot(1, 300, 1), "b"), full, bare];
    let row = Siblings::from_parts(vector.into_iter().collect(), versions, 1_500_000_000_000_000);
    row.unwrap()
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
    let checksum = crc32fast::hash(content);
    [content, &checksum.to_be_bytes()].concat().into()
}

#[test]
fn rows_are_written_as_they_were_in_format_1() {
    let bytes = golden(include_str!("../../../golden/row_1.hex"));
    assert_eq!(hex(&every_shape().encode()), hex(&bytes));
    assert_eq!(Siblings::decode(&bytes.into()), Ok(every_shape()));
}

#[test]
fn unwritten_rows_and_tombstones_are_written_as_they_were_in_format_1() {
    let bytes = golden(include_str!("../../../golden/unwritten_1.hex"));
    assert_eq!(hex(&Siblings::default().encode()), hex(&bytes));
    let bytes = golden(include_str!("../../../golden/tombstone_1.hex"));
    let tombstone = Siblings::from_parts([dot(2, 3, 4)].into_iter().collect(), vec![], 5).unwrap();
    assert_eq!(hex(&tombstone.encode()), hex(&bytes));
    assert_eq!(Siblings::decode(&bytes.into()), Ok(tombstone));
}

#[test]
fn vectors_are_written_as_they_always_were() {
    let bytes = golden(include_str!("../../../golden/vector.hex"));
    assert_eq!(hex(&every_shape().vector().encode()), hex(&bytes));
    assert_eq!(VersionVector::decode(&bytes), Ok(every_shape().vector().clone()));
}

#[test]
fn any_flipped_bit_is_damage() {
    let bytes = every_shape().encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let refused = Siblings::decode(&flipped.into()).unwrap_err();
        assert!(matches!(refused, DecodeError::Damaged { .. }), "bit {bit}: {refused}");
    }
}

#[test]
fn every_shorter_row_is_refused() {
    let bytes = every_shape().encode();
    for len in 0..bytes.len() {
        Siblings::decode(&bytes[..len].to_vec().into()).unwrap_err();
        if len < bytes.len() - 4 {
            let cut = Siblings::decode(&sealed(&bytes[..len]));
            assert_eq!(cut, Err(DecodeError::Truncated), "length {len}");
        }
    }
}

#[test]
fn an_undamaged_row_of_another_format_is_named() {
    let refused = Siblings::decode(&sealed(&[2, 1, 2, 3]));
    assert_eq!(refused, Err(DecodeError::UnknownFormat { format: 2 }));
}

#[test]
fn a_row_shares_the_bytes_that_it_was_read_from() {
    let bytes = Bytes::from(every_shape().encode());
    let row = Siblings::decode(&bytes).unwrap();
    for version in row.versions().iter().filter(|version| !version.columns.is_empty()) {
        assert!(bytes.as_ptr_range().contains(&version.columns.as_bytes().as_ptr()));
    }
}

#[test]
fn claimed_counts_are_refused_before_they_cost_anything() {
    let mut huge = Vec::new();
    put_number(&mut huge, u64::MAX);
    assert_eq!(VersionVector::decode(&huge), Err(DecodeError::Truncated));
    let unwritten = Siblings::default().encode();
    let versions = [&unwritten[..unwritten.len() - 5], &huge].concat();
    assert_eq!(Siblings::decode(&sealed(&versions)), Err(DecodeError::Truncated));
}

#[test]
fn other_spellings_of_a_vector_are_refused() {
    let entry = |store: u128, rest: &[u8]| [&store.to_be_bytes(), rest].concat();
    let vector = |entries: &[Vec<u8>]| {
        let count = u8::try_from(entries.len()).unwrap();
        VersionVector::decode(&[&[count], entries.concat().as_slice()].concat())
    };
    vector(&[entry(1, &[1, 1]), entry(2, &[1, 1])]).unwrap();
    for (refused, error) in [
        (vector(&[entry(2, &[1, 1]), entry(1, &[1, 1])]), DecodeError::ActorsOutOfOrder),
        (vector(&[entry(1, &[1, 1]), entry(1, &[1, 2])]), DecodeError::ActorsOutOfOrder),
        (vector(&[entry(1, &[1, 0])]), DecodeError::ZeroCounter),
        (vector(&[entry(1, &[1, 0x81, 0])]), DecodeError::Number),
        (vector(&[entry(1, &[1, 1, 9])]), DecodeError::TrailingBytes { len: 1 }),
    ] {
        assert_eq!(refused, Err(error));
    }
}

proptest! {
    #[test]
    fn rows_come_back_from_their_bytes(row in siblings()) {
        prop_assert_eq!(Siblings::decode(&row.encode().into()), Ok(row));
    }

    #[test]
    fn vectors_come_back_from_their_bytes(vector in vector()) {
        prop_assert_eq!(VersionVector::decode(&vector.encode()), Ok(vector));
    }

    #[test]
    fn a_changed_byte_under_a_right_checksum_is_refused_or_another_row(
        row in siblings(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let bytes = row.encode();
        let mut content = bytes[..bytes.len() - 4].to_vec();
        let at = at.index(content.len());
        prop_assume!(content[at] != byte);
        content[at] = byte;
        let bytes = sealed(&content);
        if let Ok(other) = Siblings::decode(&bytes) {
            prop_assert_ne!(&other, &row);
            prop_assert_eq!(other.encode(), bytes);
        }
    }
}

#[test]
fn fuzz_whatever_is_read_is_written_back_alike() {
    bolero::check!().for_each(|input: &[u8]| {
        if let Ok(vector) = VersionVector::decode(input) {
            assert_eq!(vector.encode(), input);
        }
        for bytes in [Bytes::copy_from_slice(input), sealed(input), sealed(&[&[1], input].concat())]
        {
            if let Ok(row) = Siblings::decode(&bytes) {
                assert_eq!(row.encode(), bytes);
            }
        }
        if let Ok(columns) = Columns::decode(Bytes::copy_from_slice(input)) {
            assert_eq!(columns.iter().collect::<Columns>(), columns);
        }
    });
}
