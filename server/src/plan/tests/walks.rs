//! Any SELECT, page by page, against a model that knows nothing of keys, rounds or states.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use bytes::Bytes;
use proptest::prelude::*;
use repair::version::Expiry;
use ring::Token;

use crate::plan::fixture::{Fixture, row, shown, small, version};
use crate::plan::{BindContext, Page, Plan, ReadPartitionPlan};
use crate::replica::RowCopy;
use crate::store::engine::{KeyRange, Order};

/// One row of `app.lines (p, c DESC, d ASC)`: its key, and how many versions live.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    p: i32,
    c: i32,
    d: String,
    versions: usize,
}

/// Which rows, and in what order.
#[derive(Debug, Clone)]
enum Which {
    /// All, by token.
    All,
    /// Those of the partitions whose tokens lie behind that of this one.
    Behind(i32),
    /// Those of some partitions, by their values.
    Partitions(Vec<i32>),
    /// Those of one partition, either way.
    Partition(i32, bool),
    /// Those of some partitions with some values of `c`.
    Lines(Vec<i32>, Vec<i32>),
    /// Those of one partition behind a value of `(c, d)`, either way.
    Above(i32, (i32, String), bool),
}

#[derive(Debug, Clone)]
struct Query {
    which: Which,
    is_distinct: bool,
    per_partition: Option<u32>,
    limit: Option<u32>,
}

/// The rows as replicas hold them, and what it costs to read them.
struct Stored {
    fixture: Fixture,
    rows: Vec<(Bytes, RowCopy)>,
}

impl Stored {
    fn new(model: &BTreeSet<Row>) -> Self {
        let fixture = Fixture::new();
        let v = fixture.snapshot.table("app", "lines").unwrap().column("v").unwrap().id.0;
        let stored = |Row { p, c, d, versions }: &Row| {
            let text = format!("SELECT v FROM lines WHERE p = {p} AND c = {c} AND d = '{d}'");
            let Ok(Plan::ReadRow(read)) = fixture.plan(&text) else { panic!("{text}") };
            let one = |n: usize| {
                let value = format!("{p}.{c}.{d}.{n}");
                version(n as u64 + 1, &[(v, value.as_bytes(), Expiry::Never)])
            };
            let row = row(9, (0..*versions).map(one).collect());
            (read.key.as_bytes().clone(), RowCopy::Siblings(row))
        };
        let mut rows: Vec<_> = model.iter().map(stored).collect();
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
        let inside = self.rows.iter().filter(|(key, _)| range.contains(key));
        let mut rows: Vec<_> = inside.cloned().collect();
        if order == Order::Reverse {
            rows.reverse();
        }
        let resume_after = rows.get(round_max.wrapping_sub(1)).map(|(key, _)| key.clone());
        rows.truncate(round_max);
        (rows, resume_after)
    }

    /// One page, and how many rows were read for it.
    fn page(&self, text: &str, size: u32, state: Option<&[u8]>, round_max: usize) -> (Page, usize) {
        let page_size = NonZeroU32::new(size);
        let request = BindContext { page_size, paging_state: state, ..self.fixture.request() };
        let plan = self.fixture.plan_of(text, &[], &request);
        let Ok(Plan::ReadPartition(plan)) = plan else { panic!("{text}: {plan:?}") };
        let ReadPartitionPlan { order, mut page, .. } = *plan;
        let (mut rounds, mut read) = (0, 0);
        while let Some(round) = page.next_round() {
            assert!(round.rows_max > 0 && !round.range.is_empty() && !round.tokens.is_empty());
            let most = round_max.min(round.rows_max as usize);
            let (rows, resume_after) = self.answer(&round.range, order, most);
            for (key, _) in &rows {
                let token = crate::store::keys::RowKey::read(key.clone()).unwrap().token();
                assert!(round.tokens.contains(&token), "rows lie where the round says");
            }
            read += rows.len();
            page.on_rows(rows, resume_after).unwrap();
            rounds += 1;
            assert!(rounds < 2_000, "rounds without end");
        }
        (page.finish(), read)
    }

    /// The texts of all pages, and how many rows were read for them.
    fn pages(&self, text: &str, size: u32, round_max: usize) -> (Vec<Vec<String>>, usize) {
        let (mut pages, mut read) = (Vec::new(), 0);
        let mut state: Option<Vec<u8>> = None;
        loop {
            let (page, rows) = self.page(text, size, state.as_deref(), round_max);
            read += rows;
            pages.push(shown(page.columns(), |out| page.write(out).unwrap()).texts());
            assert!(pages.len() < 2_000, "pages without end");
            state = page.paging_state().map(<[u8]>::to_vec);
            if state.is_none() {
                return (pages, read);
            }
        }
    }
}

impl Which {
    fn text(&self) -> String {
        let list =
            |values: &[i32]| values.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
        let order = |is_reverse: bool| if is_reverse { " ORDER BY c ASC" } else { "" };
        match self {
            Self::All => String::new(),
            Self::Behind(p) => format!(" WHERE token(p) > token({p})"),
            Self::Partitions(ps) => format!(" WHERE p IN ({})", list(ps)),
            Self::Partition(p, is_reverse) => format!(" WHERE p = {p}{}", order(*is_reverse)),
            Self::Lines(ps, cs) => format!(" WHERE p IN ({}) AND c IN ({})", list(ps), list(cs)),
            Self::Above(p, (c, d), is_reverse) => {
                format!(" WHERE p = {p} AND (c, d) > ({c}, '{d}'){}", order(*is_reverse))
            }
        }
    }

    fn has(&self, row: &Row) -> bool {
        match self {
            Self::All => true,
            Self::Behind(p) => token(row.p) > token(*p),
            Self::Partitions(ps) => ps.contains(&row.p),
            Self::Partition(p, _) => row.p == *p,
            Self::Lines(ps, cs) => ps.contains(&row.p) && cs.contains(&row.c),
            Self::Above(p, (c, d), _) => row.p == *p && (row.c, &row.d) > (*c, d),
        }
    }

    /// The rows in the order of the answer.
    fn rows(&self, model: &BTreeSet<Row>) -> Vec<Row> {
        let mut rows: Vec<Row> = model.iter().filter(|row| self.has(row)).cloned().collect();
        let is_scan = matches!(self, Self::All | Self::Behind(_));
        rows.sort_by(|one, other| {
            let partition =
                if is_scan { token(one.p).cmp(&token(other.p)) } else { one.p.cmp(&other.p) };
            partition.then(other.c.cmp(&one.c)).then(one.d.cmp(&other.d))
        });
        if matches!(self, Self::Partition(_, true) | Self::Above(_, _, true)) {
            rows.reverse();
        }
        rows
    }
}

fn token(p: i32) -> Token {
    Token::of_key(&p.to_be_bytes())
}

impl Query {
    fn text(&self) -> String {
        let selections = if self.is_distinct { "DISTINCT p" } else { "v" };
        let limit = |words: &str, limit: Option<u32>| {
            limit.map(|limit| format!(" {words} {limit}")).unwrap_or_default()
        };
        [
            format!("SELECT {selections} FROM lines{}", self.which.text()),
            limit("PER PARTITION LIMIT", self.per_partition),
            limit("LIMIT", self.limit),
        ]
        .concat()
    }

    fn answer(&self, model: &BTreeSet<Row>) -> Vec<String> {
        let rows = self.which.rows(model);
        let versions = |row: &Row| {
            let Row { p, c, d, versions } = row.clone();
            (0..versions).rev().map(move |n| (p, format!("{p}.{c}.{d}.{n}"))).collect::<Vec<_>>()
        };
        let mut answer: Vec<(i32, String)> = rows.iter().flat_map(versions).collect();
        let most = if self.is_distinct { Some(1) } else { self.per_partition };
        if let Some(most) = most {
            let mut kept: Vec<(i32, String)> = Vec::new();
            for one in answer {
                if kept.iter().filter(|(p, _)| *p == one.0).count() < most as usize {
                    kept.push(one);
                }
            }
            answer = kept;
        }
        let limit = self.limit.map_or(usize::MAX, |limit| limit as usize);
        let show = |(p, v): (i32, String)| if self.is_distinct { p.to_string() } else { v };
        answer.into_iter().take(limit).map(show).collect()
    }
}

fn model() -> impl Strategy<Value = BTreeSet<Row>> {
    let versions = prop_oneof![3 => Just(0_usize), 5 => Just(1), 1 => 2..4_usize];
    let row = (0..4_i32, -2..3_i32, "[a-c]", versions);
    let row = row.prop_map(|(p, c, d, versions)| Row { p, c, d, versions });
    prop::collection::vec(row, 0..40).prop_map(|rows| {
        let mut keys = BTreeSet::new();
        rows.into_iter().filter(|row| keys.insert((row.p, row.c, row.d.clone()))).collect()
    })
}

fn which() -> impl Strategy<Value = Which> {
    let some = |values: std::ops::Range<i32>| prop::collection::vec(values, 0..5);
    prop_oneof![
        Just(Which::All),
        (0..5_i32).prop_map(Which::Behind),
        some(0..6).prop_map(Which::Partitions),
        (0..5_i32, any::<bool>()).prop_map(|(p, is_reverse)| Which::Partition(p, is_reverse)),
        (some(0..5), some(-3..3)).prop_map(|(ps, cs)| Which::Lines(ps, cs)),
        (0..4_i32, (-2..3_i32, "[a-c]"), any::<bool>())
            .prop_map(|(p, bound, is_reverse)| Which::Above(p, bound, is_reverse)),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let limits = (prop::option::of(small()), prop::option::of(small()));
    (which(), any::<bool>(), limits).prop_map(|(which, is_distinct, (per_partition, limit))| {
        let by_partition = matches!(which, Which::All | Which::Behind(_) | Which::Partitions(_));
        let is_distinct = is_distinct && by_partition;
        let per_partition = per_partition.filter(|_| !is_distinct);
        Query { which, is_distinct, per_partition, limit }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn pages_together_are_the_answer(
        model in model(), query in query(), size in small(), round_max in 1..7_usize,
    ) {
        let stored = Stored::new(&model);
        let text = query.text();
        let (pages, _) = stored.pages(&text, size, round_max);
        prop_assert_eq!(pages.concat(), query.answer(&model), "{}", text);
        let row_of = |text: &String| text.rsplit_once('.').map(|(row, _)| row.to_owned());
        for (at, page) in pages.iter().enumerate() {
            let is_one_row = page.iter().all(|text| row_of(text) == row_of(&page[0]));
            prop_assert!(page.len() <= size as usize || is_one_row, "{}: {:?}", text, page);
            if let (Some(last), Some(next)) =
                (page.last(), pages.get(at + 1).and_then(|page| page.first()))
            {
                let is_split = row_of(last).is_some() && row_of(last) == row_of(next);
                prop_assert!(!is_split, "{}: a row on two pages", text);
            }
        }
    }

    #[test]
    fn aggregates_are_of_all_rows_and_have_one_page(
        model in model(), which in which(), size in small(), round_max in 1..7_usize,
    ) {
        let stored = Stored::new(&model);
        let rows = which.rows(&model);
        let living: Vec<&Row> =
            rows.iter().flat_map(|row| std::iter::repeat_n(row, row.versions)).collect();
        let sum: i32 = living.iter().map(|row| row.c).sum();
        let mean = i32::try_from(living.len()).ok().and_then(|count| sum.checked_div(count));
        let of = |value: Option<i32>| value.map_or("null".to_owned(), |value| value.to_string());
        let wanted = [
            of(living.first().map(|row| row.p)),
            living.len().to_string(),
            sum.to_string(),
            mean.unwrap_or(0).to_string(),
            of(living.iter().map(|row| row.c).min()),
            living.iter().map(|row| row.d.as_str()).max().unwrap_or("null").to_owned(),
        ];
        let text = format!(
            "SELECT p, count(*), sum(c), avg(c), min(c), max(d) FROM lines{}", which.text()
        );
        let (pages, read) = stored.pages(&text, size, round_max);
        prop_assert_eq!(pages, [[wanted.join(" | ")]], "{}", text);
        prop_assert_eq!(read, rows.len(), "each row is read once");
    }
}

/// Of each page one row more is read than is shown, which tells whether there is another page.
#[test]
fn a_page_costs_its_rows_and_one_more() {
    let line = |c: i32| Row { p: 1, c, d: "a".to_owned(), versions: 1 };
    let stored = Stored::new(&(0..1_000).map(line).collect());
    for (size, pages) in [(1, 1_000), (10, 100), (99, 11), (1_000, 1)] {
        let (found, read) = stored.pages("SELECT v FROM lines WHERE p = 1", size, usize::MAX);
        assert_eq!((found.len(), read), (pages, 1_000 + pages - 1), "pages of {size}");
    }
}

/// A partition of which enough was shown is left: its other rows are not read one by one.
#[test]
fn distinct_partitions_are_found_without_reading_all_of_them() {
    let line = |n: i32| Row { p: n / 1_000, c: n % 1_000, d: "a".to_owned(), versions: 1 };
    let stored = Stored::new(&(0..4_000).map(line).collect());
    for text in ["SELECT DISTINCT p FROM lines", "SELECT p FROM lines PER PARTITION LIMIT 1"] {
        let (pages, read) = stored.pages(text, 100, usize::MAX);
        assert_eq!(pages.concat().len(), 4, "{text}");
        assert!(read < 120, "{text}: {read} rows read for 4");
    }
}

#[test]
fn a_state_names_its_values_and_outlives_a_truncate() {
    let line = |n: i32| Row { p: n % 4, c: n, d: "a".to_owned(), versions: 1 };
    let mut stored = Stored::new(&(0..40).map(line).collect());
    let state_of = |stored: &Stored, text: &str| {
        stored.page(text, 3, None, usize::MAX).0.paging_state().unwrap().to_vec()
    };
    let refuses = |stored: &Stored, text: &str, state: &[u8]| {
        let request = BindContext { paging_state: Some(state), ..stored.fixture.request() };
        stored.fixture.plan_of(text, &[], &request).is_err()
    };
    let some = "SELECT v FROM lines WHERE p IN (0, 1) AND c IN (0, 1, 4, 5, 8, 9)";
    let state = state_of(&stored, some);
    assert!(!refuses(&stored, some, &state));
    assert!(refuses(&stored, &some.replace("8, 9", "8, 10"), &state));
    assert!(refuses(&stored, &some.replace("(0, 1)", "(0, 2)"), &state));
    let behind = "SELECT v FROM lines WHERE token(p) >= -9000000000000000000";
    let state = state_of(&stored, behind);
    assert!(refuses(&stored, &behind.replace(">=", ">"), &state));

    let table = |stored: &mut Stored| {
        let tables = &mut stored.fixture.snapshot.keyspaces.get_mut("app").unwrap().tables;
        std::sync::Arc::make_mut(tables.get_mut("lines").unwrap()).epoch += 1;
    };
    table(&mut stored);
    let (page, read) = stored.page(behind, 3, Some(&state), usize::MAX);
    assert_eq!((read, page.paging_state()), (0, None), "the rows of the ended life are gone");
}
