//! SELECT of one row: plans, and how rows are shown.

use proptest::prelude::*;
use repair::version::{Expiry, Siblings, Version, VersionVector};
use types::{Consistency, CqlType};

use crate::plan::fixture::{
    Fixture, NOW_US, Sent, Shown, dot, one_write, row, shown, specs, version,
};
use crate::plan::{DamagedKey, Plan, PlanError, ReadRowPlan};
use crate::replica::RowCopy;
use crate::store::keys::RowKey;

fn read(fixture: &Fixture, text: &str) -> ReadRowPlan {
    match fixture.plan(text) {
        Ok(Plan::ReadRow(plan)) => *plan,
        other => panic!("{text}: {other:?}"),
    }
}

/// What a client sees of a stored row.
fn show(fixture: &Fixture, text: &str, stored: &Siblings) -> Shown {
    let plan = read(fixture, text);
    let stored = RowCopy::Siblings(stored.clone());
    shown(plan.answer.columns(), |out| plan.answer.write(out, &plan.key, &stored).unwrap())
}

/// The id of a column of `app.t`.
fn id(fixture: &Fixture, column: &str) -> u32 {
    fixture.snapshot.table("app", "t").unwrap().column(column).unwrap().id.0
}

/// Two versions: an old one with both columns, a new one without `w`.
fn two_versions(fixture: &Fixture) -> Siblings {
    let (v, w) = (id(fixture, "v"), id(fixture, "w"));
    let until = Expiry::At(NOW_US + 1_500_000);
    let old = version(1, &[(v, b"old", Expiry::Never), (w, &[0, 0, 0, 7], until)]);
    row(2, vec![old, version(2, &[(v, b"new", until)])])
}

#[test]
fn every_living_version_is_a_row_and_the_newest_comes_first() {
    let fixture = Fixture::new();
    let stored = two_versions(&fixture);
    let all = show(&fixture, "SELECT * FROM t WHERE k = 1", &stored);
    assert_eq!(all.names(), ["k", "tags", "v", "w"]);
    assert_eq!(all.texts(), ["1 | null | new | null", "1 | null | old | 7"]);
    let some = show(&fixture, "SELECT v AS a, k, v FROM t WHERE k = 1", &stored);
    assert_eq!(some.names(), ["a", "k", "v"]);
    assert_eq!(some.texts(), ["new | 1 | new", "old | 1 | old"]);
}

#[test]
fn functions_of_the_row_are_alike_in_all_its_versions() {
    let fixture = Fixture::new();
    let stored = two_versions(&fixture);
    let text = "SELECT sibling_count(), token(k), context() FROM t WHERE k = 1";
    let result = show(&fixture, text, &stored);
    assert_eq!(result.names(), ["sibling_count()", "system.token(k)", "context()"]);
    let kinds: Vec<_> = result.columns.iter().map(|(_, kind)| kind.clone()).collect();
    assert_eq!(kinds, [CqlType::Int, CqlType::Bigint, CqlType::Blob]);
    assert_eq!(result.rows[0], result.rows[1]);
    // The token that Cassandra has for the int 1.
    assert!(result.texts()[0].starts_with("2 | -4069959284402364209 | 0x01"));
}

#[test]
fn functions_of_columns_are_null_where_the_column_is() {
    let fixture = Fixture::new();
    let stored = two_versions(&fixture);
    let text = "SELECT writetime(v), ttl(v), writetime(w), ttl(w) FROM t WHERE k = 1";
    let result = show(&fixture, text, &stored);
    assert_eq!(result.names(), ["writetime(v)", "ttl(v)", "writetime(w)", "ttl(w)"]);
    assert_eq!(result.texts(), ["2 | 2 | null | null", "1 | null | 1 | 2"]);
}

#[test]
fn what_is_over_is_not_shown() {
    let fixture = Fixture::new();
    let (v, w) = (id(&fixture, "v"), id(&fixture, "w"));
    let over = Expiry::At(NOW_US);
    let gone = Version { marker: Some(over), ..version(1, &[(v, b"gone", over)]) };
    let part = version(2, &[(v, b"x", Expiry::Never), (w, &[0; 4], over)]);
    let stored = row(2, vec![gone, part]);
    let result = show(&fixture, "SELECT v, w, ttl(w), sibling_count() FROM t WHERE k = 1", &stored);
    assert_eq!(result.texts(), ["x | null | null | 1"]);
}

#[test]
fn a_row_without_versions_is_shown_to_who_asks_for_its_context() {
    let fixture = Fixture::new();
    for stored in [row(0, vec![]), row(5, vec![])] {
        let silent = show(&fixture, "SELECT sibling_count(), k, v FROM t WHERE k = 1", &stored);
        assert_eq!(silent.rows.len(), 0);
        let text =
            "SELECT sibling_count(), k, v, writetime(v), token(k), context() FROM t WHERE k = 1";
        let shown = show(&fixture, text, &stored);
        assert_eq!(shown.rows.len(), 1);
        assert!(shown.texts()[0].starts_with("0 | 1 | null | null | -4069959284402364209 | 0x01"));
    }
}

#[test]
fn a_write_shows_its_row_whatever_is_left_of_it() {
    let fixture = Fixture::new();
    let plan = one_write(fixture.plan("DELETE FROM t WHERE k = 1 RETURNING *, context()"));
    let answer = plan.returning.unwrap();
    let write = |stored: &Siblings| {
        let stored = RowCopy::Siblings(stored.clone());
        shown(answer.columns(), |out| answer.write(out, &plan.key, &stored).unwrap())
    };
    assert_eq!(write(&two_versions(&fixture)).rows.len(), 2);
    let left = write(&row(3, vec![]));
    assert_eq!(left.rows.len(), 1);
    assert!(left.texts()[0].starts_with("1 | null | null | null | 0x01"));
}

#[test]
fn a_limit_cuts_within_a_row_and_counts_do_not_change() {
    let fixture = Fixture::new();
    let stored = two_versions(&fixture);
    let text = "SELECT v, sibling_count() FROM t WHERE k = 1 LIMIT 1";
    assert_eq!(show(&fixture, text, &stored).texts(), ["new | 2"]);
    let stored = RowCopy::Siblings(stored);
    let bound = "SELECT v FROM t WHERE k = 1 LIMIT ?";
    let prepared = fixture.prepare(bound).unwrap();
    assert_eq!(specs(prepared.markers()), [("[limit]".to_owned(), CqlType::Int)]);
    for (sent, count) in [(Sent::Bytes(&[0, 0, 0, 1]), 1), (Sent::Unset, 2)] {
        let Ok(Plan::ReadRow(plan)) = fixture.plan_with(bound, &[sent]) else { panic!("{sent:?}") };
        let result =
            shown(plan.answer.columns(), |out| plan.answer.write(out, &plan.key, &stored).unwrap());
        assert_eq!(result.rows.len(), count);
    }
}

#[test]
fn count_counts_versions() {
    let fixture = Fixture::new();
    let two = show(&fixture, "SELECT count(*) FROM t WHERE k = 1 LIMIT 1", &two_versions(&fixture));
    assert_eq!((two.names(), two.texts()), (vec!["count"], vec!["2".to_owned()]));
    let none = show(&fixture, "SELECT COUNT(1) AS n FROM t WHERE k = 1", &row(3, vec![]));
    assert_eq!((none.names(), none.texts()), (vec!["n"], vec!["0".to_owned()]));
}

#[test]
fn a_read_carries_what_the_replicas_need() {
    let fixture = Fixture::new();
    let plan = read(&fixture, "SELECT v FROM t WHERE k = 1 USING CONSISTENCY EACH_QUORUM");
    assert_eq!((plan.level, plan.at_least), (Consistency::EachQuorum, None));
    assert_eq!(plan.key.partition_key(), [0, 0, 0, 1]);
    let context = show(&fixture, "SELECT context() FROM t WHERE k = 1", &row(3, vec![]));
    let context = context.rows[0][0].clone().unwrap();
    let text = "SELECT v FROM t WHERE k = 1 USING CONTEXT ?";
    let Ok(Plan::ReadRow(plan)) = fixture.plan_with(text, &[Sent::Bytes(&context)]) else {
        panic!("a read")
    };
    assert_eq!(plan.at_least, Some(VersionVector::from_iter([dot(3)])));
}

#[test]
fn a_paging_state_for_one_row_is_refused() {
    let fixture = Fixture::new();
    let request = crate::plan::BindContext { paging_state: Some(b"anything"), ..fixture.request() };
    for text in ["SELECT v FROM t WHERE k = 1", "SELECT key FROM system.local"] {
        let refusal = fixture.plan_of(text, &[], &request).unwrap_err();
        assert!(refusal.to_string().contains("paging state"), "{refusal}");
    }
}

#[test]
fn a_key_of_another_form_is_an_error_and_not_a_panic() {
    let fixture = Fixture::new();
    let plan = read(&fixture, "SELECT * FROM lines WHERE p = 1 AND c = 2 AND d = 'x'");
    let stored = RowCopy::Siblings(row(1, vec![version(1, &[])]));
    let good = plan.key.as_bytes();
    let bad = [good.slice(..good.len() - 1), [good.as_ref(), &[0]].concat().into()];
    for bytes in bad {
        let key = RowKey::read(bytes.clone()).unwrap();
        let result = std::cell::Cell::new(Ok(()));
        shown(plan.answer.columns(), |out| result.set(plan.answer.write(out, &key, &stored)));
        let damaged = PlanError::Damaged(DamagedKey { len: bytes.len() });
        assert_eq!(result.into_inner(), Err(damaged));
    }
}

/// A version as a test thinks of it: a text in `v`, and when text and row end; none: never.
#[derive(Debug, Clone)]
struct Told {
    write_time: i64,
    value: Option<(String, Option<i64>)>,
    has_marker: bool,
    end: Option<i64>,
}

fn told() -> impl Strategy<Value = Told> {
    let end = || prop::option::of(prop_oneof![Just(NOW_US), Just(NOW_US + 1), 0..2 * NOW_US]);
    let value = prop::option::of(("[a-z]{0,3}", end()));
    (0..4_i64, value, any::<bool>(), end()).prop_map(|(write_time, value, has_marker, end)| Told {
        write_time,
        value,
        has_marker,
        end,
    })
}

impl Told {
    fn lives(end: Option<i64>) -> bool {
        end.is_none_or(|end| end > NOW_US)
    }

    fn value(&self) -> Option<&str> {
        self.value.as_ref().filter(|(_, end)| Self::lives(*end)).map(|(text, _)| text.as_str())
    }

    fn is_living(&self) -> bool {
        self.value().is_some() || (self.has_marker && Self::lives(self.end))
    }

    fn stored(&self, v: u32, counter: u64) -> Version {
        let expiry = |end: Option<i64>| end.map_or(Expiry::Never, Expiry::At);
        let column = self.value.as_ref().map(|(text, end)| (v, text.as_bytes(), expiry(*end)));
        let columns: Vec<_> = column.into_iter().collect();
        let marker = self.has_marker.then(|| expiry(self.end));
        Version { write_time: self.write_time, marker, ..version(counter, &columns) }
    }
}

proptest! {
    /// What is shown of any row, told again without any of its code.
    #[test]
    fn a_row_is_shown_as_its_living_versions(
        told in prop::collection::vec(told(), 0..6), limit in 1..7_usize,
    ) {
        let fixture = Fixture::new();
        let v = id(&fixture, "v");
        let versions = (1..).zip(&told).map(|(counter, told)| told.stored(v, counter)).collect();
        let stored = row(9, versions);
        let mut living: Vec<_> = told.iter().filter(|told| told.is_living()).collect();
        living.sort_by_key(|told| -told.write_time);
        let count = living.len();
        let wanted: Vec<_> = living
            .iter()
            .take(limit)
            .map(|told| {
                let time = told.value().map_or("null".to_owned(), |_| told.write_time.to_string());
                format!("{} | {time} | {count}", told.value().unwrap_or("null"))
            })
            .collect();
        let text = format!(
            "SELECT v, writetime(v), sibling_count() FROM t WHERE k = 1 LIMIT {limit}"
        );
        prop_assert_eq!(show(&fixture, &text, &stored).texts(), wanted);
        let counted = show(&fixture, "SELECT count(*) FROM t WHERE k = 1", &stored);
        prop_assert_eq!(counted.texts(), [count.to_string()]);
    }

    /// Keys of every type come back as they were written.
    #[test]
    fn keys_are_shown_as_they_were_written(
        p: i32, c: i32, d in ".{0,9}", a in ".{0,9}", b: Vec<u8>,
    ) {
        let fixture = Fixture::new();
        let (p_bytes, c_bytes) = (p.to_be_bytes(), c.to_be_bytes());
        let text = "SELECT d, c, p FROM lines WHERE p = ? AND c = ? AND d = ?";
        let sent = [&p_bytes[..], &c_bytes, d.as_bytes()];
        let cells = |text: &str, sent: &[&[u8]]| {
            let sent: Vec<_> = sent.iter().map(|bytes| Sent::Bytes(bytes)).collect();
            let Ok(Plan::ReadRow(plan)) = fixture.plan_with(text, &sent) else { panic!("{text}") };
            let stored = RowCopy::Siblings(row(1, vec![version(1, &[])]));
            let key = RowKey::read(plan.key.as_bytes().clone()).unwrap();
            let result =
                shown(plan.answer.columns(), |out| plan.answer.write(out, &key, &stored).unwrap());
            result.rows[0].iter().flatten().cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(cells(text, &sent), [d.as_bytes(), &c_bytes, &p_bytes]);
        let text = "SELECT a, b FROM pairs WHERE a = ? AND b = ?";
        prop_assert_eq!(cells(text, &[a.as_bytes(), &b]), [a.as_bytes(), &b]);
    }
}
