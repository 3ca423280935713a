//! Rows of a stretch of keys, merged from the pages of several replicas.
//!
//! A replica that gave as many rows as it was asked for may have more; of what lies beyond its last
//! row nothing is known. So only rows up to the least of those last keys are merged; the next round
//! begins behind it. Without this a deleted row of one replica could be shown because the replica
//! that deleted it had not come so far ("short read").
//!
//! Pages of last-write-wins tables carry the range tombstones of every partition that they touch.
//! Merged over the replicas they are folded into the merged rows: so a row that one replica has is
//! deleted by a range tombstone that only another one has. Whoever is behind is brought up to date with
//! such rows: a row travels with the tombstones that cover it.
//!
//! Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use repair::cells::Ranges;

use crate::replica::{ReplicaPage, RowCopy};
use crate::store::engine::Order;

/// What the replicas have together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergedPage {
    /// Keys and merged rows, tombstones too.
    pub rows: Vec<(Bytes, RowCopy)>,
    /// Where the next round begins: behind this key; none at the end of the stretch.
    pub resume_after: Option<Bytes>,
}

/// Merges one round of pages, which all run in `order`.
pub fn merge_pages(pages: Vec<ReplicaPage>, order: Order) -> MergedPage {
    let compare = |one: &Bytes, other: &Bytes| match order {
        Order::Forward => one.cmp(other),
        Order::Reverse => other.cmp(one),
    };
    let ends = pages.iter().filter(|page| page.has_more).filter_map(last_key);
    let known_to = ends.min_by(compare);
    let mut heads: BTreeMap<Bytes, Ranges> = BTreeMap::new();
    let mut merged: BTreeMap<Bytes, RowCopy> = BTreeMap::new();
    for page in pages {
        for (prefix, ranges) in page.heads {
            heads.entry(prefix).or_default().merge(&ranges);
        }
        for (key, row) in page.rows {
            if known_to.as_ref().is_none_or(|end| compare(&key, end) != Ordering::Greater) {
                merge_row(&mut merged, key, row);
            }
        }
    }
    for (key, row) in &mut merged {
        cover(key, row, &heads);
    }
    let mut rows: Vec<_> = merged.into_iter().collect();
    if order == Order::Reverse {
        rows.reverse();
    }
    MergedPage { rows, resume_after: known_to }
}

/// The merged rows that a page lacks or has in another state, as far as the round goes.
pub(super) fn behind(page: &ReplicaPage, merged: &MergedPage) -> Vec<(Bytes, RowCopy)> {
    let heads: BTreeMap<Bytes, Ranges> = page.heads.iter().cloned().collect();
    let rows: BTreeMap<&Bytes, &RowCopy> = page.rows.iter().map(|(key, row)| (key, row)).collect();
    let is_behind = |(key, row): &&(Bytes, RowCopy)| match rows.get(key) {
        None => !row.is_unwritten(),
        Some(RowCopy::Siblings(own)) => row.as_siblings() != Some(own),
        Some(own) => {
            let mut own = RowCopy::clone(own);
            cover(key, &mut own, &heads);
            own != *row
        }
    };
    merged.rows.iter().filter(is_behind).cloned().collect()
}

/// How far a page that has more behind it has come: to its last row. One without rows is a forward
/// page that has come over partitions of which nothing but range tombstones is left.
fn last_key(page: &ReplicaPage) -> Option<Bytes> {
    let row = page.rows.last().map(|(key, _)| key);
    row.or(page.heads.last().map(|(prefix, _)| prefix)).cloned()
}

fn merge_row(merged: &mut BTreeMap<Bytes, RowCopy>, key: Bytes, row: RowCopy) {
    match merged.entry(key) {
        Entry::Vacant(place) => drop(place.insert(row)),
        Entry::Occupied(mut known) => known.get_mut().merge(&row),
    }
}

/// Deletes what of the row a range tombstone of its partition covers.
fn cover(key: &Bytes, row: &mut RowCopy, heads: &BTreeMap<Bytes, Ranges>) {
    let RowCopy::Cells(row) = row else { return };
    // No prefix begins with another one, so the last head before the row is its own or none is.
    let head = heads.range::<Bytes, _>(..=key).next_back();
    let Some((prefix, ranges)) = head.filter(|(prefix, _)| key.starts_with(prefix)) else { return };
    if let Some(timestamp) = ranges.at(&key[prefix.len()..]) {
        row.delete(timestamp);
    }
}

#[cfg(test)]
mod tests;
