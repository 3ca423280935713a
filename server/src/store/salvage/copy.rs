//! Copying what can be read from one engine to another.
//!
//! A scan ends at the first block that it cannot read. So each range is read from its begin up to the
//! damage and from its end back to it; what lies between is cut in two, the widest gaps first, until the
//! halves are read or nothing more comes of it.
//!
//! ```text
//! a b c │ damage │ d e │ damage │ f g        from both ends: a b c, g f
//!       └─ cut ──┴─────┴────────┘            then from both ends of each half: d e
//! ```
//!
//! Law: each row is copied at most once, and as it was read. Caller: [`super`].

use std::collections::VecDeque;
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::store::engine::{Batch, Durability, Engine, EngineError, Family, KeyRange, Order};

/// Rows are written when there are so many bytes of them.
const BATCH_BYTES: usize = 1 << 20;

/// How often a gap is cut in two while nothing comes of it: one that lies in one damaged block.
const FRUITLESS_MAX: u32 = 6;

/// How many gaps are cut in all: a store without a readable block is given up after these.
const CUTS_MAX: usize = 100_000;

/// How many bytes behind their common beginning tell where the middle of two keys is.
const MIDDLE_BYTES: usize = 8;

/// A copy under way.
pub(super) struct Copying<'a> {
    target: &'a dyn Engine,
    batch: Batch,
    /// How many rows were copied.
    taken: u64,
    cuts_left: usize,
}

/// A stretch of keys to be copied, and how often it was cut since the last row came out of it.
struct Open {
    range: KeyRange,
    fruitless: u32,
}

impl<'a> Copying<'a> {
    pub(super) fn new(target: &'a dyn Engine) -> Self {
        Self { target, batch: Batch::default(), taken: 0, cuts_left: CUTS_MAX }
    }

    /// Copies what `source` can read of these ranges. Returns what it cannot.
    ///
    /// # Errors
    /// Those of the target.
    pub(super) fn copy(
        &mut self,
        source: &dyn Engine,
        ranges: &[(Family, KeyRange)],
    ) -> Result<Vec<(Family, KeyRange)>, EngineError> {
        let mut all = Vec::new();
        for (family, range) in ranges {
            let mut gaps = Vec::new();
            let mut open = VecDeque::from([Open { range: range.clone(), fruitless: 0 }]);
            while let Some(Open { range, fruitless }) = open.pop_front() {
                let before = self.taken;
                let Some(gap) = self.copy_from_both_ends(source, *family, &range)? else {
                    continue;
                };
                let fruitless = if self.taken > before { 0 } else { fruitless + 1 };
                match halves(&gap).filter(|_| fruitless <= FRUITLESS_MAX && self.cuts_left > 0) {
                    Some(halves) => {
                        self.cuts_left -= 1;
                        open.extend(halves.map(|range| Open { range, fruitless }));
                    }
                    None => gaps.push(gap),
                }
            }
            all.extend(joined(gaps).into_iter().map(|gap| (*family, gap)));
        }
        Ok(all)
    }

    /// Writes what is left and returns how much was copied.
    pub(super) fn finish(mut self) -> Result<u64, EngineError> {
        self.write()?;
        Ok(self.taken)
    }

    /// Returns what lies between the first damage and the last.
    fn copy_from_both_ends(
        &mut self,
        source: &dyn Engine,
        family: Family,
        range: &KeyRange,
    ) -> Result<Option<KeyRange>, EngineError> {
        let Some(rest) = self.copy_up_to_damage(source, family, range, Order::Forward)? else {
            return Ok(None);
        };
        self.copy_up_to_damage(source, family, &rest, Order::Reverse)
    }

    /// Returns what is left of the range where the scan met damage.
    fn copy_up_to_damage(
        &mut self,
        source: &dyn Engine,
        family: Family,
        range: &KeyRange,
        order: Order,
    ) -> Result<Option<KeyRange>, EngineError> {
        let mut last = None;
        let mut failure = None;
        let read = source.scan(family, range, order, &mut |key, value| {
            last = Some(Bytes::copy_from_slice(key));
            match self.take(family, key, value) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        Ok(read.err().map(|_| match (last, order) {
            (None, _) => range.clone(),
            (Some(last), Order::Forward) => range.after(&last),
            (Some(last), Order::Reverse) => range.before(&last),
        }))
    }

    fn take(&mut self, family: Family, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        self.batch.put(family, key, value);
        self.taken += 1;
        if self.batch.bytes() >= BATCH_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), EngineError> {
        let batch = std::mem::take(&mut self.batch);
        self.target.commit(&batch, Durability::Unsynced)
    }
}

/// The same stretches, those that touch as one.
fn joined(mut gaps: Vec<KeyRange>) -> Vec<KeyRange> {
    gaps.sort_by(|one, other| one.start().cmp(other.start()));
    let mut joined: Vec<KeyRange> = Vec::new();
    for gap in gaps {
        match joined.last_mut() {
            Some(last) if last.end() == Some(gap.start()) => {
                let start = last.start().clone();
                *last = match gap.end() {
                    Some(end) => KeyRange::between(start, end.clone()),
                    None => KeyRange::from(start),
                };
            }
            _ => joined.push(gap),
        }
    }
    joined
}

/// The two halves of a range, none of them empty; none where it is too narrow to be cut.
fn halves(range: &KeyRange) -> Option<[KeyRange; 2]> {
    let start = range.start();
    let middle = middle(start, range.end().map(AsRef::as_ref))?;
    let front = KeyRange::between(start.clone(), middle.clone());
    let back = match range.end() {
        Some(end) => KeyRange::between(middle, end.clone()),
        None => KeyRange::from(middle),
    };
    Some([front, back])
}

/// A key between two, about in the middle; the end of all keys is a long row of 0xFF.
fn middle(start: &[u8], end: Option<&[u8]>) -> Option<Bytes> {
    let digit = |key: &[u8], at: usize| key.get(at).copied().unwrap_or(0);
    let end_digit = |at: usize| end.map_or(u8::MAX, |end| digit(end, at));
    let longest = start.len().max(end.map_or(0, <[u8]>::len));
    let common = (0..=longest).find(|at| digit(start, *at) != end_digit(*at))?;
    let number = |digit: &dyn Fn(usize) -> u8| {
        (common..common + MIDDLE_BYTES).fold(0_u128, |sum, at| sum << 8 | u128::from(digit(at)))
    };
    let middle = u128::midpoint(number(&|at| digit(start, at)), number(&end_digit));
    let bytes = middle.to_be_bytes();
    let key = [&start[..common.min(start.len())], &bytes[16 - MIDDLE_BYTES..]].concat();
    let is_within = key.as_slice() > start && end.is_none_or(|end| key.as_slice() < end);
    is_within.then(|| key.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_middle_lies_between_its_ends() {
        let cases: [(&[u8], Option<&[u8]>); 6] = [
            (b"", None),
            (b"a", None),
            (b"a", Some(b"c")),
            (b"abc", Some(b"abd")),
            (b"a\0\0\0\x01", Some(b"a\0\0\0\x02")),
            (b"aaaaaaaaaaaaaaaa", Some(b"b")),
        ];
        for (start, end) in cases {
            let middle = middle(start, end).unwrap();
            assert!(
                *start < *middle && end.is_none_or(|end| *middle < *end),
                "{start:?} {middle:?}"
            );
        }
        assert_eq!(middle(b"a", Some(b"a\0")), None);
        assert_eq!(middle(b"a", Some(b"a")), None);
    }

    #[test]
    fn stretches_that_touch_are_joined() {
        let between = |start: &'static str, end: &'static str| KeyRange::between(start, end);
        let gaps = vec![between("c", "d"), between("a", "b"), between("b", "c"), between("x", "y")];
        assert_eq!(joined(gaps), [between("a", "d"), between("x", "y")]);
        assert_eq!(joined(vec![KeyRange::from("b"), between("a", "b")]), [KeyRange::from("a")]);
        let range = KeyRange::all();
        assert_eq!(joined(halves(&range).unwrap().to_vec()), [range]);
    }

    #[test]
    fn halves_hold_the_keys_of_the_whole() {
        let range = KeyRange::between(&b"a"[..], &b"q"[..]);
        let [front, back] = halves(&range).unwrap();
        for key in [&b"a"[..], b"f", b"i", b"j", b"p\xff"] {
            assert!(front.contains(key) ^ back.contains(key));
        }
        assert!(!back.contains(b"q"));
    }
}
