//! Copies that hear of statements in any order, many times, and from each other, agree byte for
//! byte, and show what the list of all statements gives.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::oracle::{self, Statement};
use super::statements::{Copy, operand, shown, statements, take_in};

const COPIES: usize = 3;

/// One thing that happens between copies.
#[derive(Clone, Debug)]
enum Event {
    /// The copy hears of a statement, perhaps again.
    Hears { copy: usize, statement: usize },
    /// One copy sends all it has to another.
    Sends { from: usize, to: usize },
}

/// Every copy hears of every statement, or of somebody who did, in an order of its own.
fn events(statements: usize) -> impl Strategy<Value = Vec<Event>> {
    let all = (0..COPIES).flat_map(move |copy| {
        (0..statements).map(move |statement| Event::Hears { copy, statement })
    });
    let again =
        (0..COPIES, 0..statements).prop_map(|(copy, statement)| Event::Hears { copy, statement });
    let sends = (0..COPIES, 0..COPIES).prop_map(|(from, to)| Event::Sends { from, to });
    let more = prop::collection::vec(prop_oneof![1 => again, 2 => sends], 0..8);
    more.prop_flat_map(move |more| Just(all.clone().chain(more).collect::<Vec<_>>()).prop_shuffle())
}

fn schedule(rows: u8, timestamps: std::ops::Range<i64>) -> impl Strategy<Value = Schedule> {
    statements(rows, timestamps).prop_flat_map(|statements| {
        let events = events(statements.len());
        (Just(statements), events)
    })
}

type Schedule = (Vec<Statement>, Vec<Event>);

fn run((statements, events): &Schedule) -> [Copy; COPIES] {
    let operands: Vec<_> = statements.iter().map(operand).collect();
    let mut copies: [Copy; COPIES] = std::array::from_fn(|_| Copy::new());
    for event in events {
        match event {
            Event::Hears { copy, statement } => take_in(&mut copies[*copy], &operands[*statement]),
            Event::Sends { from, to } => {
                for state in copies[*from].clone() {
                    take_in(&mut copies[*to], &state);
                }
            }
        }
    }
    copies
}

fn check(schedule: &Schedule) -> Result<(), TestCaseError> {
    let copies = run(schedule);
    for now in [-1, 0, 3, 6] {
        prop_assert_eq!(shown(&copies[0], now), oracle::shown(&schedule.0, now), "at {}", now);
    }
    prop_assert!(copies.iter().all(|copy| *copy == copies[0]), "copies differ in bytes");
    Ok(())
}

fn hold(cases: u32, schedules: impl Strategy<Value = Schedule>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    if let Err(failure) = runner.run(&schedules, |schedule| check(&schedule)) {
        panic!("{failure}");
    }
}

#[test]
fn cells_of_one_statement_win_or_lose_together_under_equal_timestamps() {
    hold(10_000, schedule(2, 5..6));
}

#[test]
fn copies_agree_and_show_what_all_statements_give_in_any_order_of_arrival() {
    hold(3_000, schedule(2, -2..5));
}

#[test]
fn range_tombstones_cover_what_came_before_and_comes_after_in_any_order_of_arrival() {
    hold(3_000, schedule(6, 0..4));
}

/// The laws above find a merge that breaks them: one that lets each cell win for itself.
#[test]
fn a_merge_that_splits_a_statement_is_caught() {
    use super::oracle::{Set, What};
    let write = |operation, sets: [(u32, &str); 2]| {
        let value = |(column, text): (u32, &str)| Set::Value { column, value: Some(text.into()) };
        let what = What::Write { row: 0, inserts: false, sets: sets.map(value).into() };
        Statement { timestamp: 5, operation, ends: None, what }
    };
    // By their values alone, without the operation, each would win one column.
    let statements = [write(1, [(1, "z"), (2, "a")]), write(2, [(1, "a"), (2, "z")])];
    let whole = oracle::shown(&statements, 0);
    assert_eq!(whole[&0].values.values().collect::<Vec<_>>(), ["a", "z"]);
    let without_operation: Vec<_> =
        statements.iter().map(|one| Statement { operation: 7, ..one.clone() }).collect();
    let mut copy = Copy::new();
    for statement in &without_operation {
        take_in(&mut copy, &operand(statement));
    }
    assert_ne!(shown(&copy, 0), whole);
}

#[test]
fn a_value_ends_at_one_instant_wherever_and_whenever_it_arrived() {
    use super::oracle::{Set, What};
    let write = |timestamp, ends, text: &str| {
        let sets = vec![Set::Value { column: 1, value: Some(text.to_owned()) }];
        let what = What::Write { row: 0, inserts: true, sets };
        Statement { timestamp, operation: 1, ends, what }
    };
    let statements = [write(1, None, "for ever"), write(2, Some(1_000), "until then")];
    let operands = [operand(&statements[0]), operand(&statements[1])];
    for order in [[0, 1], [1, 0]] {
        let mut copy = Copy::new();
        for at in order {
            take_in(&mut copy, &operands[at]);
        }
        assert_eq!(shown(&copy, 999)[&0].values[&1], "until then");
        // What it replaced does not come back, and the row goes with it.
        assert!(shown(&copy, 1_000).is_empty());
        assert_eq!(shown(&copy, 1_000), oracle::shown(&statements, 1_000));
    }
}
