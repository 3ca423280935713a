//! Rows of last-write-wins tables, as clients see them.

use bytes::Bytes;
use repair::cells::{ListEnd, Row, WriteStamp, list_path};
use repair::version::Expiry;

use crate::plan::Plan;
use crate::plan::fixture::{Fixture, NOW_US, Shown, shown};
use crate::replica::RowCopy;

const NEVER: Expiry = Expiry::Never;

struct Bags {
    fixture: Fixture,
}

impl Bags {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        fixture.define(
            "CREATE TABLE app.sacks (k int PRIMARY KEY, v text, w int, s set<int>, \
             m map<int, text>, l list<text>)",
        );
        Self { fixture }
    }

    fn id(&self, column: &str) -> u32 {
        self.fixture.snapshot.table("app", "sacks").unwrap().column(column).unwrap().id.0
    }

    fn show(&self, selections: &str, row: &Row) -> Shown {
        let text = format!("SELECT {selections} FROM sacks WHERE k = 1");
        let Ok(Plan::ReadRow(plan)) = self.fixture.plan(&text) else { panic!("{text}") };
        let row = RowCopy::Cells(row.clone());
        shown(plan.answer.columns(), |out| plan.answer.write(out, &plan.key, &row).unwrap())
    }
}

fn stamp(timestamp: i64) -> WriteStamp {
    WriteStamp { timestamp, operation: 1 }
}

fn bytes(number: i32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

#[test]
fn a_row_is_its_living_cells_each_with_its_own_time() {
    let bags = Bags::new();
    let mut row = Row::default();
    row.set(bags.id("v"), stamp(5), NEVER, Some("x".into()));
    row.set(bags.id("w"), stamp(7), Expiry::At(NOW_US + 1_500_000), Some(bytes(3)));
    let selections =
        "k, v, w, writetime(v), writetime(w), ttl(v), ttl(w), sibling_count(), context()";
    assert_eq!(bags.show(selections, &row).texts(), ["1 | x | 3 | 5 | 7 | null | 2 | 1 | null"]);
    row.set(bags.id("v"), stamp(6), NEVER, None);
    row.set(bags.id("w"), stamp(8), Expiry::At(NOW_US), Some(bytes(4)));
    row.mark(stamp(1), NEVER);
    let gone = "1 | null | null | null | null | null | null | 1 | null";
    assert_eq!(bags.show(selections, &row).texts(), [gone]);
}

#[test]
fn a_row_lives_by_its_marker_or_by_any_cell() {
    let bags = Bags::new();
    let count = |row: &Row| bags.show("count(*)", row).texts();
    let mut row = Row::default();
    row.mark(stamp(1), Expiry::At(NOW_US));
    assert_eq!(bags.show("k", &row).texts(), [""; 0], "an expired marker is no row");
    assert_eq!(count(&row), ["0"]);
    row.set_element(bags.id("s"), bytes(1), stamp(2), NEVER, Some(Bytes::new()));
    assert_eq!(bags.show("k, v", &row).texts(), ["1 | null"]);
    assert_eq!(count(&row), ["1"]);
    row.delete(2);
    assert_eq!(bags.show("k", &row).texts(), [""; 0]);
    let context = bags.show("sibling_count(), k, context()", &row);
    assert_eq!(context.texts(), ["0 | 1 | null"], "one row tells that there is none");
}

#[test]
fn collections_are_put_together_in_the_order_of_their_types() {
    let bags = Bags::new();
    let mut row = Row::default();
    for (n, number) in (0..).zip([3, -1, 2]) {
        row.set_element(bags.id("s"), bytes(number), stamp(2 + n), NEVER, Some(Bytes::new()));
        let value = Bytes::from(format!("m{number}"));
        row.set_element(bags.id("m"), bytes(number), stamp(2), NEVER, Some(value));
        let path = list_path(stamp(2), u32::try_from(n).unwrap(), ListEnd::Back);
        row.set_element(bags.id("l"), path, stamp(2), NEVER, Some(format!("l{number}").into()));
    }
    let front = list_path(stamp(3), 0, ListEnd::Front);
    row.set_element(bags.id("l"), front, stamp(3), NEVER, Some("first".into()));
    let all = bags.show("s, m, l", &row).texts();
    assert_eq!(all, ["{-1, 2, 3} | {-1: 'm-1', 2: 'm2', 3: 'm3'} | ['first', 'l3', 'l-1', 'l2']"]);
    let parts = bags.show("m[2], s[-1], s[7], l[0], l[4], maxwritetime(s)", &row).texts();
    assert_eq!(parts, ["m2 | -1 | null | first | null | 4"]);
    row.set_element(bags.id("m"), bytes(2), stamp(9), NEVER, None);
    row.reset(bags.id("s"), stamp(9));
    assert_eq!(bags.show("s, m", &row).texts(), ["null | {-1: 'm-1', 3: 'm3'}"]);
}

#[test]
fn a_value_whose_elements_have_their_own_times_has_none() {
    let mut bags = Bags::new();
    let tables = &mut bags.fixture.snapshot.keyspaces.get_mut("app").unwrap().tables;
    let table = std::sync::Arc::make_mut(tables.get_mut("bags").unwrap());
    table.conflict = crate::metadata::Conflict::Lww;
    let table = std::sync::Arc::new(table.clone());
    for (selections, is_refused) in
        [("writetime(s)", true), ("ttl(m)", true), ("maxwritetime(l)", false), ("ttl(v)", false)]
    {
        let text = format!("SELECT {selections} FROM bags WHERE k = 1");
        let Ok(sql::Statement::Select(select)) = sql::parse(&text) else { panic!("{text}") };
        let shown = crate::plan::project::Projection::new(&table, &select.selections);
        assert_eq!(shown.is_err(), is_refused, "{selections}");
    }
}
