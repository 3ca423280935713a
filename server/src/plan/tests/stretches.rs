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
