//! Which stretches of a partition were deleted, and when.
//!
//! [`Ranges`] is a step function from clustering bytes to the timestamp of the newest deletion
//! there, kept in its shortest form: neighbouring steps differ. The merge takes the later of two at
//! every place, so it is a join, and equal functions have equal bytes.
//!
//! ```text
//! cover [b, d) @3, cover [c, end) @5           b: 3   c: 5
//! at:   a none, b 3, c 5, d 5 …
//! ```
//!
//! Callers: DELETE of a partition or a stretch of one; reads, which fold it into the rows below.
//! Pure.

use bytes::Bytes;

/// From here to the next step, the newest deletion is this one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Step {
    pub(super) start: Bytes,
    pub(super) deletion: Option<i64>,
}

/// The range tombstones of one partition. The default covers nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ranges {
    /// Ascending by start; the first is a deletion, and no two neighbours are equal.
    pub(super) steps: Vec<Step>,
}

impl Ranges {
    /// Deletes what lies from `start` up to, but without, `end`, as it was up to and at
    /// `timestamp`. The bounds are the clustering part of row keys; without an end it is the
    /// partition's.
    pub fn cover(&mut self, start: Bytes, end: Option<Bytes>, timestamp: i64) {
        if end.as_ref().is_some_and(|end| *end <= start) {
            return;
        }
        let mut steps = vec![Step { start, deletion: Some(timestamp) }];
        steps.extend(end.map(|end| Step { start: end, deletion: None }));
        self.merge(&Self { steps });
    }

    /// Up to which timestamp the row with these clustering bytes is deleted.
    pub fn at(&self, clustering: &[u8]) -> Option<i64> {
        let behind = self.steps.partition_point(|step| step.start.as_ref() <= clustering);
        self.steps[..behind].last()?.deletion
    }

    /// Takes in all that `other` covers: a join.
    pub fn merge(&mut self, other: &Self) {
        let (mut mine, mut theirs) = (self.steps.iter().peekable(), other.steps.iter().peekable());
        let (mut in_mine, mut in_theirs) = (None, None);
        let mut merged = Vec::with_capacity(self.steps.len() + other.steps.len());
        while let Some(start) = first_start(mine.peek(), theirs.peek()) {
            if let Some(step) = mine.next_if(|step| step.start == start) {
                in_mine = step.deletion;
            }
            if let Some(step) = theirs.next_if(|step| step.start == start) {
                in_theirs = step.deletion;
            }
            push(&mut merged, Step { start, deletion: in_mine.max(in_theirs) });
        }
        self.steps = merged;
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

fn first_start(mine: Option<&&Step>, theirs: Option<&&Step>) -> Option<Bytes> {
    mine.into_iter().chain(theirs).map(|step| &step.start).min().cloned()
}

/// Appends a step, unless all goes on as before.
fn push(steps: &mut Vec<Step>, step: Step) {
    if steps.last().and_then(|last| last.deletion) != step.deletion {
        steps.push(step);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::ranges;
    use super::*;

    fn covered(covers: &[(&'static str, Option<&'static str>, i64)]) -> Ranges {
        let mut ranges = Ranges::default();
        for (start, end, timestamp) in covers {
            ranges.cover((*start).into(), end.map(Bytes::from), *timestamp);
        }
        ranges
    }

    #[test]
    fn a_stretch_is_covered_from_its_start_up_to_its_end() {
        let ranges = covered(&[("b", Some("d"), 3)]);
        assert_eq!(ranges.at(b"a\xff"), None);
        assert_eq!(ranges.at(b"b"), Some(3));
        assert_eq!(ranges.at(b"c\xff"), Some(3));
        assert_eq!(ranges.at(b"d"), None);
        let whole = covered(&[("", None, -5)]);
        assert_eq!((whole.at(b""), whole.at(b"\xff\xff")), (Some(-5), Some(-5)));
    }

    #[test]
    fn an_empty_stretch_covers_nothing() {
        assert!(covered(&[("b", Some("b"), 3), ("c", Some("b"), 3)]).is_empty());
    }

    #[test]
    fn the_later_deletion_counts_at_every_place() {
        let ranges = covered(&[("a", Some("d"), 3), ("b", Some("c"), 5), ("c", None, 1)]);
        let at = ["a", "b", "c", "d"].map(|key| ranges.at(key.as_bytes()));
        assert_eq!(at, [Some(3), Some(5), Some(3), Some(1)]);
    }

    #[test]
    fn neighbours_of_one_time_become_one_stretch() {
        let pieces = covered(&[("c", Some("d"), 3), ("a", Some("b"), 3), ("b", Some("c"), 3)]);
        assert_eq!(pieces, covered(&[("a", Some("d"), 3)]));
    }

    #[test]
    fn what_a_later_deletion_covers_leaves_no_trace() {
        let ranges = covered(&[("b", Some("c"), 3), ("d", None, 4), ("", None, 4)]);
        assert_eq!(ranges, covered(&[("", None, 4)]));
    }

    proptest! {
        #[test]
        fn merge_is_a_join(a in ranges(), b in ranges(), c in ranges()) {
            let merged = |one: &Ranges, other: &Ranges| {
                let mut merged = one.clone();
                merged.merge(other);
                merged
            };
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a.clone());
            prop_assert_eq!(merged(&a, &Ranges::default()), a);
        }
    }
}
