//! Rows and range tombstones for tests: few timestamps, operations and columns, so that they meet.

use bytes::Bytes;
use proptest::prelude::*;

use super::{Expiry, Ranges, Row, WriteStamp};

/// A stamp.
pub(super) fn at(timestamp: i64, operation: u64) -> WriteStamp {
    WriteStamp { timestamp, operation }
}

/// A value, or null.
pub(super) fn text(value: impl Into<Option<&'static str>>) -> Option<Bytes> {
    value.into().map(|value| Bytes::from_static(value.as_bytes()))
}

/// One thing that a statement may do to a row.
#[derive(Clone, Debug)]
enum Act {
    Mark(WriteStamp, Expiry),
    Set(u32, WriteStamp, Expiry, Option<Bytes>),
    SetElement(u32, Bytes, WriteStamp, Expiry, Option<Bytes>),
    Reset(u32, WriteStamp),
    Delete(i64),
}

fn stamp() -> impl Strategy<Value = WriteStamp> {
    let timestamp = prop_oneof![8 => -2..6_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let operation = prop_oneof![8 => 0..3_u64, 1 => Just(u64::MAX)];
    (timestamp, operation).prop_map(|(timestamp, operation)| at(timestamp, operation))
}

fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![2 => Just(Expiry::Never), 1 => (0..4_i64).prop_map(Expiry::At)]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..3).prop_map(Bytes::from)
}

fn act() -> impl Strategy<Value = Act> {
    let value = || prop::option::weighted(0.8, bytes());
    let column = || prop_oneof![4 => 0..3_u32, 1 => Just(u32::MAX)];
    prop_oneof![
        1 => (stamp(), expiry()).prop_map(|(stamp, expiry)| Act::Mark(stamp, expiry)),
        3 => (column(), stamp(), expiry(), value())
            .prop_map(|(column, stamp, expiry, value)| Act::Set(column, stamp, expiry, value)),
        3 => (column(), bytes(), stamp(), expiry(), value()).prop_map(
            |(column, path, stamp, expiry, value)| Act::SetElement(column, path, stamp, expiry, value)
        ),
        1 => (column(), stamp()).prop_map(|(column, stamp)| Act::Reset(column, stamp)),
        1 => (-3..5_i64).prop_map(Act::Delete),
    ]
}

/// Rows that some statements have left.
pub(super) fn row() -> impl Strategy<Value = Row> {
    prop::collection::vec(act(), 0..8).prop_map(|acts| {
        let mut row = Row::default();
        for act in acts {
            match act {
                Act::Mark(stamp, expiry) => row.mark(stamp, expiry),
                Act::Set(column, stamp, expiry, value) => row.set(column, stamp, expiry, value),
                Act::SetElement(column, path, stamp, expiry, value) => {
                    row.set_element(column, path, stamp, expiry, value);
                }
                Act::Reset(column, stamp) => row.reset(column, stamp),
                Act::Delete(timestamp) => row.delete(timestamp),
            }
        }
        row
    })
}

/// Range tombstones that some deletions have left.
pub(super) fn ranges() -> impl Strategy<Value = Ranges> {
    let bound = || prop::collection::vec(0..3_u8, 0..3).prop_map(Bytes::from);
    let cover = (bound(), prop::option::weighted(0.8, bound()), -2..4_i64);
    prop::collection::vec(cover, 0..6).prop_map(|covers| {
        let mut ranges = Ranges::default();
        for (start, end, timestamp) in covers {
            ranges.cover(start, end, timestamp);
        }
        ranges
    })
}
