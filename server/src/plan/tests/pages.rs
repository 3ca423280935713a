//! Partitions page by page.

use std::num::NonZeroU32;

use bytes::Bytes;
use proptest::prelude::*;
use repair::version::{Expiry, Siblings};

use crate::plan::fixture::{Fixture, NOW_US, hex, one_write, row, shown, small, version};
use crate::plan::{BindContext, Page, PageOp, Plan, PlanError, ReadPartitionPlan, SealError};
use crate::replica::RowCopy;
use crate::store::engine::{KeyRange, Order};

/// A partition of `app.lines` as a replica holds it.
struct Stored {
    fixture: Fixture,
    /// In the order of the keys.
    rows: Vec<(Bytes, Siblings)>,
}

impl Stored {
    /// Rows with c = 0, 1, … and so many versions each, whose `v` is `c.version`.
    fn new(versions: &[usize]) -> Self {
        let fixture = Fixture::new();
        let v = fixture.snapshot.table("app", "lines").unwrap().column("v").unwrap().id.0;
        let stored = |(c, count): (usize, &usize)| {
            let insert = format!("INSERT INTO lines (p, c, d) VALUES (1, {c}, 'x')");
            let write = one_write(fixture.plan(&insert));
            let one = |n: usize| {
                let value = format!("{c}.{n}");
                version(n as u64 + 1, &[(v, value.as_bytes(), Expiry::Never)])
            };
            (write.key.as_bytes().clone(), row(9, (0..*count).map(one).collect()))
        };
        let mut rows: Vec<_> = versions.iter().enumerate().map(stored).collect();
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        Self { fixture, rows }
    }

    /// What a round answers: at most `round_max` rows, and where the next one begins.
    fn answer(
        &self,
        range: &KeyRange,
        order: Order,
        round_max: usize,
    ) -> (Vec<(Bytes, RowCopy)>, Option<Bytes>) {
        let inside = self.rows.iter().filter(|(key, _)| range.contains(key)).cloned();
        let mut rows: Vec<_> = inside.map(|(key, row)| (key, RowCopy::Siblings(row))).collect();
        if order == Order::Reverse {
            rows.reverse();
        }
        let resume_after = rows.get(round_max.wrapping_sub(1)).map(|(key, _)| key.clone());
        rows.truncate(round_max);
        (rows, resume_after)
    }

    /// One page and how many rounds it took, each of which may be cut short by `round_max`.
    fn page(&self, text: &str, size: u32, state: Option<&[u8]>, round_max: usize) -> (Page, usize) {
        let page_size = NonZeroU32::new(size);
        let request = BindContext { page_size, paging_state: state, ..self.fixture.request() };
        let Ok(Plan::ReadPartition(plan)) = self.fixture.plan_of(text, &[], &request) else {
            panic!("{text}")
        };
        let ReadPartitionPlan { order, mut page, .. } = *plan;
        let mut rounds = 0;
        while let Some(round) = page.next_round() {
            assert!(round.rows_max > 0 && !round.range.is_empty());
            let most = round_max.min(round.rows_max as usize);
            let (rows, resume_after) = self.answer(&round.range, order, most);
            page.on_rows(rows, resume_after).unwrap();
            rounds += 1;
            assert!(rounds < 1_000, "rounds without end");
        }
        (page.finish(), rounds)
    }

    /// The texts of all pages.
    fn pages(&self, text: &str, size: u32, round_max: usize) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut state: Option<Vec<u8>> = None;
        loop {
            let (page, _) = self.page(text, size, state.as_deref(), round_max);
            pages.push(texts(&page));
            assert!(pages.len() < 1_000, "pages without end");
            state = page.paging_state().map(<[u8]>::to_vec);
            if state.is_none() {
                return pages;
            }
        }
    }
}

fn texts(page: &Page) -> Vec<String> {
    shown(page.columns(), |out| page.write(out).unwrap()).texts()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pages_together_are_the_partition_and_never_split_a_row(
        versions in prop::collection::vec(0..5_usize, 0..12),
        size in small(),
        limit in prop::option::of(small()),
        is_reverse: bool,
        round_max in 1..6_usize,
    ) {
        let stored = Stored::new(&versions);
        let limit_text = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
        // In `lines` c descends, so the order as declared is from the greatest to the least.
        let by = if is_reverse { "ASC" } else { "DESC" };
        let text = format!("SELECT v FROM lines WHERE p = 1 ORDER BY c {by}{limit_text}");
        let pages = stored.pages(&text, size, round_max);

        let mut numbers: Vec<usize> = (0..versions.len()).collect();
        if !is_reverse {
            numbers.reverse();
        }
        let newest_first = |c: usize| (0..versions[c]).rev().map(move |n| format!("{c}.{n}"));
        let all = numbers.into_iter().flat_map(newest_first);
        let all: Vec<_> = all.take(limit.map_or(usize::MAX, |limit| limit as usize)).collect();
        prop_assert_eq!(pages.concat(), all);

        let row_of = |text: &String| text.split('.').next().unwrap().to_owned();
        for (at, page) in pages.iter().enumerate() {
            let is_one_row = page.iter().all(|text| row_of(text) == row_of(&page[0]));
            prop_assert!(page.len() <= size as usize || is_one_row, "{:?}", page);
            if let (Some(last), Some(next)) = (page.last(), pages.get(at + 1).and_then(|it| it.first())) {
                prop_assert_ne!(row_of(last), row_of(next), "a row on two pages");
            }
            // Without a round that was cut short, only the last page may be empty.
            prop_assert!(!page.is_empty() || at + 1 == pages.len() || round_max < 2);
        }
    }

    #[test]
    fn count_reads_to_the_end_and_has_one_page(
        versions in prop::collection::vec(0..5_usize, 0..12), size in small(), round_max in 1..6_usize,
    ) {
        let stored = Stored::new(&versions);
        let pages = stored.pages("SELECT count(*) FROM lines WHERE p = 1 LIMIT 3", size, round_max);
        prop_assert_eq!(pages, [[versions.iter().sum::<usize>().to_string()]]);
    }
}

#[test]
fn a_page_that_holds_everything_has_no_successor() {
    let stored = Stored::new(&[1; 10]);
    let text = "SELECT v FROM lines WHERE p = 1";
    for (size, pages) in [(10, 1), (9, 2), (5, 2), (4, 3)] {
        assert_eq!(stored.pages(text, size, 100).len(), pages, "pages of {size}");
    }
    let (_, rounds) = stored.page(text, 10, None, 100);
    assert_eq!(rounds, 1, "one row more than fits is asked for");
}

#[test]
fn a_page_is_no_longer_than_the_server_allows() {
    let mut stored = Stored::new(&[1; 10]);
    stored.fixture.limits.page_rows_max = 3;
    assert_eq!(stored.pages("SELECT v FROM lines WHERE p = 1", 100, 100).len(), 4);
    let request = BindContext { page_size: None, ..stored.fixture.request() };
    let text = "SELECT v FROM lines WHERE p = 1";
    let Ok(Plan::ReadPartition(plan)) = stored.fixture.plan_of(text, &[], &request) else {
        panic!("a stretch")
    };
    assert_eq!(plan.page.next_round().unwrap().rows_max, 4, "also for who asks for no pages");
}

#[test]
fn a_page_of_great_values_ends_early() {
    let mut stored = Stored::new(&[1; 4]);
    let v = stored.fixture.snapshot.table("app", "lines").unwrap().column("v").unwrap().id.0;
    let great = vec![b'x'; 3 << 20];
    for (_, row_) in &mut stored.rows {
        *row_ = row(1, vec![version(1, &[(v, &great, Expiry::Never)])]);
    }
    let pages = stored.pages("SELECT v FROM lines WHERE p = 1", 100, 100);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn a_page_among_tombstones_ends_after_many_rounds_and_has_a_successor() {
    let stored = Stored::new(&[0; 100]);
    let text = "SELECT v FROM lines WHERE p = 1";
    let (page, rounds) = stored.page(text, 10, None, 1);
    assert_eq!((rounds, texts(&page).len()), (64, 0));
    let (page, rounds) = stored.page(text, 10, page.paging_state(), 1);
    assert!(page.paging_state().is_none() && rounds <= 37);
}

#[test]
fn a_paging_state_belongs_to_its_statement_and_its_partition() {
    let stored = Stored::new(&[1; 10]);
    let text = "SELECT v FROM lines WHERE p = 1";
    let (page, _) = stored.page(text, 3, None, 100);
    let state = page.paging_state().unwrap().to_vec();
    let open = |text: &str, state: &[u8], now_us| {
        let request = BindContext { paging_state: Some(state), now_us, ..stored.fixture.request() };
        stored.fixture.plan_of(text, &[], &request).map(|_| ())
    };
    assert_eq!(open(text, &state, NOW_US), Ok(()));
    assert_eq!(open("select  v  from app.lines\nwhere p=1;", &state, NOW_US), Err(forged()));
    for foreign in [
        "SELECT v FROM lines WHERE p = 2",
        "SELECT v FROM lines WHERE p = 1 AND c > 0",
        "SELECT v, c FROM lines WHERE p = 1",
        "SELECT v FROM lines WHERE p = 1 ORDER BY c ASC",
        "SELECT v FROM lines WHERE p = 1 LIMIT 9",
    ] {
        assert_eq!(open(foreign, &state, NOW_US), Err(forged()), "{foreign}");
    }
    for at in 0..state.len() {
        let mut flipped = state.clone();
        flipped[at] ^= 1 << (at % 8);
        assert_eq!(open(text, &flipped, NOW_US), Err(forged()), "byte {at}");
        assert_eq!(open(text, &state[..at], NOW_US), Err(forged()), "cut to {at}");
    }
    let late = NOW_US + stored.fixture.limits.sealed_age_max_us + 1;
    let expired = PlanError::BadPagingState { source: SealError::Expired };
    assert_eq!(open(text, &state, late), Err(expired));
}

fn forged() -> PlanError {
    PlanError::BadPagingState { source: SealError::Forged }
}

#[test]
fn a_paging_state_has_its_bytes_for_ever() {
    let stored = Stored::new(&[1; 3]);
    let (page, _) = stored.page("SELECT v FROM lines WHERE p = 1 LIMIT 3", 2, None, 100);
    assert_eq!(hex(page.paging_state().unwrap()), GOLDEN_STATE);
}

/// Head, one row left of LIMIT, the clustering columns of the second row, MAC.
const GOLDEN_STATE: &str = concat!(
    "010100060a24181e4000",
    "00000001",
    "017ffffffe780001",
    "e6174df1441b7fd8b2a2cf91623fe08e"
);

#[test]
fn a_key_that_cannot_be_read_is_an_error_and_not_a_panic() {
    let stored = Stored::new(&[]);
    let Ok(Plan::ReadPartition(plan)) = stored.fixture.plan("SELECT v FROM lines WHERE p = 1")
    else {
        panic!("a stretch")
    };
    let mut page: PageOp = plan.page;
    let stored = RowCopy::Siblings(row(1, vec![version(1, &[])]));
    page.on_rows(vec![(Bytes::from_static(b"short"), stored)], None).unwrap();
    let page = page.finish();
    let result = std::cell::Cell::new(Ok(()));
    shown(page.columns(), |out| result.set(page.write(out)));
    assert!(result.into_inner().is_err());
}
