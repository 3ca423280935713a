//! Which rows the relations of a WHERE name.

use proptest::prelude::*;
use types::Order;

use crate::plan::fixture::{Fixture, changes_of, one_write};
use crate::plan::{Plan, ReadPartitionPlan};
use crate::store::engine;

fn stretch(fixture: &Fixture, text: &str) -> ReadPartitionPlan {
    match fixture.plan(text) {
        Ok(Plan::ReadPartition(plan)) => *plan,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn order_by_walks_as_declared_or_the_other_way() {
    let mut fixture = Fixture::new();
    fixture.define("CREATE TABLE app.up (p int, c int, d int, PRIMARY KEY (p, c, d))");
    let order = |text: &str| stretch(&fixture, text).order;
    let (forward, reverse) = (engine::Order::Forward, engine::Order::Reverse);
    // In `lines` c descends and d ascends.
    for (by, wanted) in [
        ("lines WHERE p = 1", forward),
        ("lines WHERE p = 1 ORDER BY c DESC", forward),
        ("lines WHERE p = 1 ORDER BY c DESC, d ASC", forward),
        ("lines WHERE p = 1 ORDER BY c", reverse),
        ("lines WHERE p = 1 ORDER BY c ASC, d DESC", reverse),
        ("up WHERE p = 1 ORDER BY c", forward),
        ("up WHERE p = 1 ORDER BY c DESC, d DESC", reverse),
    ] {
        assert_eq!(order(&format!("SELECT * FROM {by}")), wanted, "{by}");
    }
}

#[test]
fn a_row_read_by_its_whole_key_is_no_stretch() {
    let fixture = Fixture::new();
    for text in [
        "SELECT * FROM lines WHERE p = 1 AND c = 1 AND d = 'x' ORDER BY c",
        "SELECT * FROM t WHERE k = 1",
    ] {
        assert!(matches!(fixture.plan(text), Ok(Plan::ReadRow(_))), "{text}");
    }
}

#[test]
fn an_empty_stretch_is_read_without_asking_anybody() {
    let fixture = Fixture::new();
    let plan = stretch(&fixture, "SELECT * FROM lines WHERE p = 1 AND c > 5 AND c < 3");
    assert_eq!(plan.page.next_round(), None);
    let removal = fixture.plan("DELETE FROM lines WHERE p = 1 AND c > 5 AND c < 3");
    assert!(changes_of(removal).writes.is_empty());
}

/// A relation on an `int`.
#[derive(Debug, Clone, Copy)]
enum Relation {
    Equal(i32),
    Bounds(Option<(bool, i32)>, Option<(bool, i32)>),
}

impl Relation {
    fn holds(self, value: i32) -> bool {
        match self {
            Self::Equal(wanted) => value == wanted,
            Self::Bounds(lower, upper) => {
                lower.is_none_or(|(is_in, end)| value > end || (is_in && value == end))
                    && upper.is_none_or(|(is_in, end)| value < end || (is_in && value == end))
            }
        }
    }

    fn text(self, column: &str) -> String {
        let bound = |sign: &str, (is_in, end): (bool, i32)| {
            format!(" AND {column} {sign}{} {end}", if is_in { "=" } else { "" })
        };
        match self {
            Self::Equal(wanted) => format!(" AND {column} = {wanted}"),
            Self::Bounds(lower, upper) => [
                lower.map(|end| bound(">", end)).unwrap_or_default(),
                upper.map(|end| bound("<", end)).unwrap_or_default(),
            ]
            .concat(),
        }
    }
}

fn relation() -> impl Strategy<Value = Relation> {
    let end = || prop::option::of((any::<bool>(), -3..4_i32));
    prop_oneof![
        (-3..4_i32).prop_map(Relation::Equal),
        (end(), end()).prop_map(|(lower, upper)| Relation::Bounds(lower, upper)),
    ]
}

fn table(c: Order, d: Order) -> Fixture {
    let word = |order| if order == Order::Ascending { "ASC" } else { "DESC" };
    let mut fixture = Fixture::new();
    fixture.define(&format!(
        "CREATE TABLE app.x (p int, c int, d int, PRIMARY KEY (p, c, d)) \
         WITH CLUSTERING ORDER BY (c {}, d {})",
        word(c),
        word(d)
    ));
    fixture
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Ascending), Just(Order::Descending)]
}

proptest! {
    #[test]
    fn a_stretch_holds_exactly_the_rows_that_its_relations_name(
        orders in (order(), order()),
        first in relation(),
        second in prop::option::of(relation()),
    ) {
        let fixture = table(orders.0, orders.1);
        // The second column is restricted only behind an equality, as the language has it.
        let second = second.filter(|_| matches!(first, Relation::Equal(_)));
        let both = [first.text("c"), second.map(|it| it.text("d")).unwrap_or_default()].concat();
        let text = format!("SELECT * FROM x WHERE p = 1{both}");
        let range = match fixture.plan(&text).unwrap() {
            Plan::ReadPartition(plan) => plan.page.next_round().map(|round| round.range),
            Plan::ReadRow(plan) => {
                let key = plan.key.as_bytes();
                Some(engine::KeyRange::between(key.clone(), [key.as_ref(), &[0]].concat()))
            }
            other => panic!("{other:?}"),
        };
        for (p, c, d) in rows() {
            let insert = format!("INSERT INTO x (p, c, d) VALUES ({p}, {c}, {d})");
            let write = one_write(fixture.plan(&insert));
            let is_named = p == 1 && first.holds(c) && second.is_none_or(|it| it.holds(d));
            let is_held =
                range.as_ref().is_some_and(|range| range.contains(write.key.as_bytes()));
            prop_assert_eq!(is_held, is_named, "{}: {} {} {}", text, p, c, d);
        }
    }
}

fn rows() -> impl Iterator<Item = (i32, i32, i32)> {
    let values = || -4..5_i32;
    [1, 2]
        .into_iter()
        .flat_map(move |p| values().flat_map(move |c| values().map(move |d| (p, c, d))))
}

/// A relation of one column or of several that follow one another; columns are numbered from 0.
#[derive(Debug, Clone)]
enum Test {
    In(Vec<Vec<i32>>),
    Bounds(Option<(bool, Vec<i32>)>, Option<(bool, Vec<i32>)>),
}

impl Test {
    fn holds(&self, values: &[i32]) -> bool {
        let prefix = |wanted: &[i32]| values[..wanted.len()].to_vec();
        match self {
            Self::In(each) => each.iter().any(|wanted| prefix(wanted) == *wanted),
            Self::Bounds(lower, upper) => {
                let is_above = |(is_in, end): &(bool, Vec<i32>)| {
                    prefix(end) > *end || (*is_in && prefix(end) == *end)
                };
                let is_below = |(is_in, end): &(bool, Vec<i32>)| {
                    prefix(end) < *end || (*is_in && prefix(end) == *end)
                };
                lower.as_ref().is_none_or(is_above) && upper.as_ref().is_none_or(is_below)
            }
        }
    }

    /// The relation on the columns from the `first` on, `width` of them.
    fn text(&self, first: usize, width: usize) -> String {
        let names = |width: usize| format!("({})", COLUMNS[first..first + width].join(", "));
        let tuple = |values: &[i32]| {
            let values: Vec<_> = values.iter().map(i32::to_string).collect();
            format!("({})", values.join(", "))
        };
        let bound = |sign: &str, end: &Option<(bool, Vec<i32>)>| match end {
            None => String::new(),
            Some((is_in, end)) => {
                let sign = format!("{sign}{}", if *is_in { "=" } else { "" });
                format!(" AND {} {sign} {}", names(end.len()), tuple(end))
            }
        };
        match self {
            Self::In(each) => {
                let each: Vec<_> = each.iter().map(|values| tuple(values)).collect();
                format!(" AND {} IN ({})", names(width), each.join(", "))
            }
            Self::Bounds(lower, upper) => [bound(">", lower), bound("<", upper)].concat(),
        }
    }
}

const COLUMNS: [&str; 3] = ["c", "d", "e"];

fn values(width: usize) -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(-1..3_i32, width)
}

/// Choices of some first columns, then perhaps bounds of the others.
fn tests() -> impl Strategy<Value = Vec<(usize, usize, Test)>> {
    let choice = |width: usize| prop::collection::vec(values(width), 0..4).prop_map(Test::In);
    let bounds = |most: usize| {
        let end = move || prop::option::of((any::<bool>(), (1..=most).prop_flat_map(values)));
        (end(), end()).prop_map(|(lower, upper)| Test::Bounds(lower, upper))
    };
    prop_oneof![
        bounds(3).prop_map(|test| vec![(0, 3, test)]),
        (choice(1), bounds(2)).prop_map(|(one, two)| vec![(0, 1, one), (1, 2, two)]),
        (choice(2), bounds(1)).prop_map(|(one, two)| vec![(0, 2, one), (2, 1, two)]),
        (choice(1), choice(2)).prop_map(|(one, two)| vec![(0, 1, one), (1, 2, two)]),
        choice(3).prop_map(|test| vec![(0, 3, test)]),
    ]
}

proptest! {
    #[test]
    fn stretches_of_tuples_hold_exactly_what_they_name_whichever_way_columns_sort(
        orders in (order(), order(), order()), tests in tests(),
    ) {
        let word = |order| if order == Order::Ascending { "ASC" } else { "DESC" };
        let mut fixture = Fixture::new();
        fixture.define(&format!(
            "CREATE TABLE app.x (p int, c int, d int, e int, PRIMARY KEY (p, c, d, e)) \
             WITH CLUSTERING ORDER BY (c {}, d {}, e {})",
            word(orders.0), word(orders.1), word(orders.2)
        ));
        let relations: String =
            tests.iter().map(|(first, width, test)| test.text(*first, *width)).collect();
        let delete = format!("DELETE FROM x WHERE p = 1{relations}");
        let select = format!("SELECT c FROM x WHERE p = 1{relations}");
        let Ok(Plan::ReadPartition(plan)) = fixture.plan(&select) else { panic!("{select}") };
        let mut page = plan.page;
        let mut ranges: Vec<engine::KeyRange> = Vec::new();
        while let Some(round) = page.next_round() {
            prop_assert!(!round.range.is_empty());
            if let Some(before) = ranges.last() {
                prop_assert!(before.end() <= Some(round.range.start()), "in order and apart");
            }
            ranges.push(round.range);
            page.on_rows(Vec::new(), None).unwrap();
        }
        prop_assert!(fixture.plan(&delete).is_ok(), "{}", delete);
        for (c, d, e) in (0..125).map(|n| (n / 25 - 2, n / 5 % 5 - 2, n % 5 - 2)) {
            let row = format!("SELECT c FROM x WHERE p = 1 AND c = {c} AND d = {d} AND e = {e}");
            let Ok(Plan::ReadRow(read)) = fixture.plan(&row) else { panic!("{row}") };
            let key = [c, d, e];
            let is_named = tests.iter().all(|(first, _, test)| test.holds(&key[*first..]));
            let held = ranges.iter().filter(|range| range.contains(read.key.as_bytes())).count();
            prop_assert_eq!(held, usize::from(is_named), "{}: {:?}", &select, key);
        }
    }
}

#[test]
fn combinations_are_bounded() {
    let mut fixture = Fixture::new();
    fixture.limits.in_max = 10;
    let text = |p: &str, c: &str| format!("SELECT v FROM lines WHERE p IN ({p}) AND c IN ({c})");
    assert!(fixture.plan(&text("1, 2", "1, 2, 3, 4, 5")).is_ok());
    let refusal = fixture.plan(&text("1, 2, 3", "1, 2, 3, 4")).unwrap_err();
    assert_eq!(refusal, crate::plan::PlanError::TooManyCombinations { max: 10 });
    assert!(fixture.plan(&text("1, 1, 1, 1", "1, 1, 1, 1")).is_ok(), "no two alike count");
    let refusal = fixture.plan("SELECT v FROM t WHERE k IN (1,2,3,4,5,6,7,8,9,10,11)").unwrap_err();
    assert_eq!(refusal, crate::plan::PlanError::TooManyCombinations { max: 10 });
}

#[test]
fn lists_may_come_with_the_request() {
    use crate::plan::fixture::{Sent, specs};
    let fixture = Fixture::new();
    let text = "SELECT v FROM lines WHERE p IN ? AND (c, d) IN ((?, 'x'), (2, ?))";
    let prepared = fixture.prepare(text).unwrap();
    let names: Vec<_> = specs(prepared.markers()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["in(p)", "c", "d"]);
    assert!(prepared.partition_key().is_empty());
    let list = |values: &[i32]| {
        let count = i32::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        values.iter().fold(count, |list, value| {
            [list, vec![0, 0, 0, 4], value.to_be_bytes().to_vec()].concat()
        })
    };
    let rounds = |ps: &[i32]| {
        let one = 1_i32.to_be_bytes();
        let (ps, y) = (list(ps), Sent::Bytes(b"y"));
        let sent = [Sent::Bytes(&ps), Sent::Bytes(&one), y];
        let Ok(Plan::ReadPartition(plan)) = fixture.plan_with(text, &sent) else { panic!() };
        let mut page = plan.page;
        let mut rounds = 0;
        while page.next_round().is_some() {
            page.on_rows(Vec::new(), None).unwrap();
            rounds += 1;
        }
        rounds
    };
    assert_eq!(rounds(&[7, 3, 7]), 4, "two partitions with two rows each");
    assert_eq!(rounds(&[]), 0, "an empty list names no row");
    for (sent, wanted) in [(Sent::Null, "Invalid null"), (Sent::Unset, "Invalid unset")] {
        let refusal = fixture.plan_with("SELECT v FROM t WHERE k IN ?", &[sent]).unwrap_err();
        assert!(refusal.to_string().contains(wanted), "{refusal}");
    }
}

#[test]
fn tuples_may_come_with_the_request_as_wholes() {
    use crate::plan::fixture::Sent;
    let mut fixture = Fixture::new();
    fixture.define("CREATE TABLE app.pairs_of (p int, c int, d int, PRIMARY KEY (p, c, d))");
    let field = |value: i32| [vec![0, 0, 0, 4], value.to_be_bytes().to_vec()].concat();
    let tuple = |c: i32, d: i32| [field(c), field(d)].concat();
    let rounds = |text: &str, sent: &[u8]| {
        let text = format!("SELECT c FROM pairs_of WHERE p = 1 AND (c, d) {text}");
        let mut page = match fixture.plan_with(&text, &[Sent::Bytes(sent)])? {
            Plan::ReadPartition(plan) => plan.page,
            Plan::ReadRow(plan) => return Ok(vec![plan.key.as_bytes().to_vec()]),
            other => panic!("{other:?}"),
        };
        let mut starts = Vec::new();
        while let Some(round) = page.next_round() {
            starts.push(round.range.start().to_vec());
            page.on_rows(Vec::new(), None).unwrap();
        }
        Ok::<_, crate::plan::PlanError>(starts)
    };
    let row = |c: i32, d: i32| rounds("= ?", &tuple(c, d)).unwrap()[0].clone();
    assert_eq!(rounds("IN (?, (5, 6))", &tuple(1, 2)).unwrap(), [row(1, 2), row(5, 6)]);
    let list =
        [vec![0, 0, 0, 2, 0, 0, 0, 16], tuple(3, 4), vec![0, 0, 0, 16], tuple(1, 2)].concat();
    assert_eq!(rounds("IN ?", &list).unwrap(), [row(1, 2), row(3, 4)]);
    assert_eq!(rounds(">= ?", &tuple(3, 4)).unwrap(), [row(3, 4)]);
    let null = [field(1), vec![0xFF; 4]].concat();
    let refusal = rounds("= ?", &null).unwrap_err();
    assert_eq!(refusal, crate::plan::PlanError::Null { name: "(c, d)".to_owned() });
    assert!(rounds("= ?", &field(1)).is_err(), "a tuple that ends early");
}

#[test]
fn token_bounds_are_those_of_the_ring() {
    let fixture = Fixture::new();
    let tokens = |relations: &str| {
        let text = format!("SELECT v FROM t WHERE {relations}");
        let round = stretch(&fixture, &text).page.next_round();
        round.map(|round| (round.tokens.start().value(), round.tokens.end().value()))
    };
    let (min, max) = (i64::MIN, i64::MAX);
    for (relations, wanted) in [
        ("token(k) > 5 AND token(k) <= 9", Some((6, 9))),
        ("token(k) >= 5", Some((5, max))),
        ("token(k) < 5", Some((min, 4))),
        ("token(k) = 5", Some((5, 5))),
        ("token(k) > 5 AND token(k) < 6", None),
        ("token(k) > 9223372036854775807", None),
        // The end of the last range of a ring that is cut into ranges.
        ("token(k) > 5 AND token(k) <= -9223372036854775808", Some((6, max))),
        ("token(k) >= token(1) AND token(k) <= token(1)", {
            Some((-4_069_959_284_402_364_209, -4_069_959_284_402_364_209))
        }),
    ] {
        assert_eq!(tokens(relations), wanted, "{relations}");
    }
    let both = "SELECT v FROM t WHERE k IN (1, 2) AND token(k) = token(2)";
    let mut page = stretch(&fixture, both).page;
    let round = page.next_round().unwrap();
    assert_eq!(*round.tokens.start(), ring::Token::of_key(&2_i32.to_be_bytes()));
    page.on_rows(Vec::new(), None).unwrap();
    assert_eq!(page.next_round(), None);
}
