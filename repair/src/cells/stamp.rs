//! The order of writes to one cell, and the places of list elements that follow from it.
//!
//! Callers: the planner, once for each statement. Pure.

use bytes::Bytes;

/// Which statement wrote something. The greater of two stamps wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WriteStamp {
    /// When, in microseconds since the Unix epoch: as the client says, or the coordinator's
    /// clock. Any number is legal, also one before 1970.
    pub timestamp: i64,
    /// Which of the statements of that microsecond: drawn at random once for each statement;
    /// later statements of a batch have greater ones.
    pub operation: u64,
}

/// At which end of a list an element is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListEnd {
    /// Behind all that were added with a lower stamp.
    Back,
    /// In front of all that were added with a lower stamp.
    Front,
}

/// The length of every path that [`list_path`] makes.
pub const LIST_PATH_LEN: usize = 1 + 8 + 8 + 4;

const SIGN: u64 = 1 << 63;

/// The path of the list element that a statement adds as its `index`-th, in the list's order.
///
/// Elements of the front stand before those of the back. Later statements stand further out; the
/// elements of one statement stand in the order of their index, at both ends. Shape:
///
/// ```text
/// end u8 (0 front, 1 back) | timestamp u64, sign flipped | operation u64 | index u32
///                            both inverted for the front
/// ```
pub fn list_path(stamp: WriteStamp, index: u32, at: ListEnd) -> Bytes {
    let timestamp = stamp.timestamp.cast_unsigned() ^ SIGN;
    let (end, timestamp, operation) = match at {
        ListEnd::Back => (1, timestamp, stamp.operation),
        ListEnd::Front => (0, !timestamp, !stamp.operation),
    };
    let mut path = Vec::with_capacity(LIST_PATH_LEN);
    path.push(end);
    path.extend_from_slice(&timestamp.to_be_bytes());
    path.extend_from_slice(&operation.to_be_bytes());
    path.extend_from_slice(&index.to_be_bytes());
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(timestamp: i64, operation: u64, index: u32, at: ListEnd) -> Bytes {
        list_path(WriteStamp { timestamp, operation }, index, at)
    }

    #[test]
    fn stamps_are_ordered_by_timestamp_then_operation() {
        let stamp = |timestamp, operation| WriteStamp { timestamp, operation };
        assert!(stamp(-1, 9) < stamp(0, 0) && stamp(0, 0) < stamp(0, u64::MAX));
    }

    #[test]
    fn a_path_has_its_bytes_for_ever() {
        let back = path(-2, 3, 4, ListEnd::Back);
        let front = path(-2, 3, 4, ListEnd::Front);
        let golden =
            [1, 127, 255, 255, 255, 255, 255, 255, 254, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4];
        assert_eq!(back[..], golden);
        let golden =
            [0, 128, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 252, 0, 0, 0, 4];
        assert_eq!(front[..], golden);
        assert_eq!((back.len(), front.len()), (LIST_PATH_LEN, LIST_PATH_LEN));
    }

    #[test]
    fn later_statements_stand_further_out_and_their_elements_in_order() {
        use ListEnd::{Back, Front};
        let in_order = [
            path(i64::MAX, u64::MAX, 0, Front),
            path(7, 2, 0, Front),
            path(7, 2, 1, Front),
            path(7, 1, 0, Front),
            path(7, 1, u32::MAX, Front),
            path(-3, 1, 0, Front),
            path(i64::MIN, 0, 5, Front),
            path(i64::MIN, 0, 5, Back),
            path(-3, 1, 0, Back),
            path(7, 1, 0, Back),
            path(7, 1, 1, Back),
            path(7, 2, 0, Back),
            path(i64::MAX, u64::MAX, 0, Back),
        ];
        assert!(in_order.is_sorted_by(|one, next| one < next));
    }
}
