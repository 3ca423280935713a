//! Rows of one partition, merged from the pages of several replicas.
//!
//! A replica that gave as many rows as it was asked for may have more; of what lies beyond its last
//! row nothing is known. So only rows up to the least of those last keys are merged; the next round
//! begins behind it. Without this a deleted row of one replica could be shown because the replica
//! that deleted it had not come so far ("short read").
//!
//! Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use crate::replica::{ReplicaPage, RowCopy};
use crate::store::engine::Order;

/// What the replicas have together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergedPage {
    /// Keys and merged rows, tombstones too.
    pub rows: Vec<(Bytes, RowCopy)>,
    /// Where the next round begins: behind this key; none at the end of the partition.
    pub resume_after: Option<Bytes>,
}

/// Merges one round of pages, which all run in `order`.
pub fn merge_pages(pages: Vec<ReplicaPage>, order: Order) -> MergedPage {
    let compare = |one: &Bytes, other: &Bytes| match order {
        Order::Forward => one.cmp(other),
        Order::Reverse => other.cmp(one),
    };
    let ends = pages.iter().filter(|page| page.has_more);
    let ends = ends.filter_map(|page| page.rows.last().map(|(key, _)| key.clone()));
    let known_to = ends.min_by(compare);
    let mut merged: BTreeMap<Bytes, RowCopy> = BTreeMap::new();
    for (key, row) in pages.into_iter().flat_map(|page| page.rows) {
        if known_to.as_ref().is_none_or(|end| compare(&key, end) != Ordering::Greater) {
            match merged.entry(key) {
                Entry::Vacant(place) => drop(place.insert(row)),
                Entry::Occupied(mut known) => known.get_mut().merge(&row),
            }
        }
    }
    let mut rows: Vec<_> = merged.into_iter().collect();
    if order == Order::Reverse {
        rows.reverse();
    }
    MergedPage { rows, resume_after: known_to }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Conflict;

    fn page(keys: &[&'static str], has_more: bool) -> ReplicaPage {
        let rows =
            keys.iter().map(|key| (Bytes::from(*key), RowCopy::new(Conflict::Siblings))).collect();
        ReplicaPage { heads: Vec::new(), rows, has_more }
    }

    fn keys(page: &MergedPage) -> Vec<&[u8]> {
        page.rows.iter().map(|(key, _)| &key[..]).collect()
    }

    #[test]
    fn rows_beyond_the_first_full_page_are_left_for_the_next_round() {
        let merged = merge_pages(
            vec![page(&["a", "b"], true), page(&["a", "c", "d"], false)],
            Order::Forward,
        );
        assert_eq!(keys(&merged), [b"a", b"b"]);
        assert_eq!(merged.resume_after, Some(Bytes::from("b")));
    }

    #[test]
    fn a_reverse_round_ends_at_the_greatest_last_key() {
        let merged =
            merge_pages(vec![page(&["d", "c"], true), page(&["d", "a"], true)], Order::Reverse);
        assert_eq!(keys(&merged), [b"d", b"c"]);
        assert_eq!(merged.resume_after, Some(Bytes::from("c")));
    }

    #[test]
    fn pages_that_reach_the_end_are_merged_whole() {
        let merged = merge_pages(vec![page(&["a"], false), page(&["b"], false)], Order::Forward);
        assert_eq!(keys(&merged), [b"a", b"b"]);
        assert_eq!(merged.resume_after, None);
    }
}
