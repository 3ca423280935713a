//! The laws of merging pages.

use repair::cells::{Expiry, Row, WriteStamp};
use repair::version::Siblings;

use super::*;

fn page(keys: &[&'static str], has_more: bool) -> ReplicaPage {
    let row = || RowCopy::Siblings(Siblings::default());
    let rows = keys.iter().map(|key| (Bytes::from(*key), row())).collect();
    ReplicaPage { heads: Vec::new(), rows, has_more }
}

fn keys(page: &MergedPage) -> Vec<&[u8]> {
    page.rows.iter().map(|(key, _)| &key[..]).collect()
}

#[test]
fn rows_beyond_the_first_full_page_are_left_for_the_next_round() {
    let merged =
        merge_pages(vec![page(&["a", "b"], true), page(&["a", "c", "d"], false)], Order::Forward);
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

/// A row that was inserted at that time.
fn inserted(timestamp: i64) -> RowCopy {
    let mut row = Row::default();
    row.mark(WriteStamp { timestamp, operation: 0 }, Expiry::Never);
    RowCopy::Cells(row)
}

/// A page of one partition, `p`, with a range tombstone of rows from `b` up to `d`.
fn covered(rows: &[(&'static str, i64)], deletion: Option<i64>) -> ReplicaPage {
    let heads = deletion.map(|timestamp| {
        let mut ranges = Ranges::default();
        ranges.cover(Bytes::from("b"), Some(Bytes::from("d")), timestamp);
        (Bytes::from("p"), ranges)
    });
    let row = |(key, timestamp): &(&'static str, i64)| (Bytes::from(*key), inserted(*timestamp));
    let (heads, rows) = (heads.into_iter().collect(), rows.iter().map(row).collect());
    ReplicaPage { heads, rows, has_more: false }
}

fn living(page: &MergedPage) -> Vec<&[u8]> {
    let living = |row: &RowCopy| matches!(row, RowCopy::Cells(row) if row.is_living(0));
    page.rows.iter().filter(|(_, row)| living(row)).map(|(key, _)| &key[..]).collect()
}

#[test]
fn a_row_of_one_replica_is_hidden_by_a_range_tombstone_of_another() {
    for order in [Order::Forward, Order::Reverse] {
        let mut rows = vec![("pa", 5), ("pb", 5), ("pc", 7), ("pd", 5)];
        let mut shown = vec![&b"pa"[..], b"pc", b"pd"];
        if order == Order::Reverse {
            rows.reverse();
            shown.reverse();
        }
        let merged = merge_pages(vec![covered(&rows, None), covered(&[], Some(6))], order);
        assert_eq!(living(&merged), shown);
        assert_eq!(merged.rows.len(), 4, "what is hidden is looked at all the same");
    }
}

#[test]
fn a_range_tombstone_covers_no_other_partition() {
    let other = covered(&[("ob", 5), ("qb", 5)], None);
    let merged = merge_pages(vec![other, covered(&[], Some(6))], Order::Forward);
    assert_eq!(living(&merged), [b"ob", b"qb"]);
}

#[test]
fn a_forward_page_of_nothing_but_range_tombstones_is_gone_on_from_behind_them() {
    let page = ReplicaPage { has_more: true, ..covered(&[], Some(6)) };
    let merged = merge_pages(vec![page, covered(&[("qb", 5)], None)], Order::Forward);
    assert_eq!(merged, MergedPage { rows: Vec::new(), resume_after: Some(Bytes::from("p")) });
}

#[test]
fn whoever_lacks_a_merged_row_or_has_another_state_of_it_is_behind() {
    let stamp = |timestamp| WriteStamp { timestamp, operation: 1 };
    let cell = |timestamp| {
        let mut row = Row::default();
        row.set(1, stamp(timestamp), Expiry::Never, Some(Bytes::from_static(b"v")));
        RowCopy::Cells(row)
    };
    let page = |rows: &[(&'static str, i64)]| ReplicaPage {
        rows: rows.iter().map(|(key, time)| (Bytes::from(*key), cell(*time))).collect(),
        ..ReplicaPage::default()
    };
    let pages = [page(&[("a", 1), ("b", 2)]), page(&[("b", 3), ("c", 1)])];
    let merged = merge_pages(pages.to_vec(), Order::Forward);
    let of = |page| behind(page, &merged);
    assert_eq!(of(&pages[0]), [("b".into(), cell(3)), ("c".into(), cell(1))]);
    assert_eq!(of(&pages[1]), [("a".into(), cell(1))]);
    assert_eq!(of(&page(&[("a", 1), ("b", 3), ("c", 1)])), []);
}

#[test]
fn a_row_travels_with_the_range_tombstone_that_covers_it() {
    let mut row = Row::default();
    let stamp = WriteStamp { timestamp: 1, operation: 1 };
    row.set(1, stamp, Expiry::Never, Some(Bytes::from_static(b"v")));
    let mut ranges = Ranges::default();
    ranges.cover(Bytes::new(), None, 5);
    let living =
        ReplicaPage { rows: vec![("pk".into(), RowCopy::Cells(row))], ..ReplicaPage::default() };
    let covered = ReplicaPage { heads: vec![("p".into(), ranges)], ..ReplicaPage::default() };
    let merged = merge_pages(vec![living.clone(), covered.clone()], Order::Forward);
    let mut deleted = Row::default();
    deleted.delete(5);
    assert_eq!(behind(&living, &merged), [("pk".into(), RowCopy::Cells(deleted.clone()))]);
    let both = ReplicaPage { heads: covered.heads, ..living };
    assert_eq!(behind(&both, &merged), [], "its own range tombstone covers the row");
}
