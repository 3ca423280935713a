//! The laws of one read.

use repair::version::{Actor, Dot};
use ring::{StoreId, Strategy};
use std::num::NonZeroU64;
use types::Consistency;
use uuid::Uuid;

use super::*;

fn host(number: u128) -> HostId {
    HostId(Uuid::from_u128(number))
}

fn tally(level: Consistency) -> Tally {
    let strategy = Strategy::Simple { replication_factor: 3 };
    Tally::new(level, &strategy, "dc", [1, 2, 3].map(|number| (host(number), "dc")))
}

/// What somebody has seen who has seen the `counter`-th write of a store.
fn seen(counter: u64) -> VersionVector {
    let actor = Actor { store: StoreId(7), epoch: 1 };
    [Dot { actor, counter: NonZeroU64::new(counter).unwrap() }].into_iter().collect()
}

/// A removed row whose vector counts so many writes.
fn row(counter: u64) -> RowCopy {
    RowCopy::Siblings(Siblings::from_parts(seen(counter), Vec::new(), 1).unwrap())
}

fn op(level: Consistency, at_least: Option<VersionVector>) -> (ReadOp, ReadSteps) {
    ReadOp::ask(&[1, 2, 3].map(host), tally(level), Conflict::Siblings, at_least)
}

fn asks(hosts: &[u128]) -> Vec<ReadStep> {
    hosts.iter().map(|number| ReadStep::Ask { of: host(*number) }).collect()
}

#[test]
fn only_as_many_replicas_are_asked_as_the_level_needs() {
    assert_eq!(op(Consistency::One, None).1[..], asks(&[1]));
    assert_eq!(op(Consistency::Quorum, None).1[..], asks(&[1, 2]));
    assert_eq!(op(Consistency::All, None).1[..], asks(&[1, 2, 3]));
}

#[test]
fn the_answer_is_the_merge_of_all_that_counted() {
    let (mut op, _) = op(Consistency::Quorum, None);
    assert!(op.on_row(host(1), Some(&row(2))).is_empty());
    assert_eq!(op.on_row(host(2), Some(&row(5)))[..], [ReadStep::Answer(Ok(row(5)))]);
}

#[test]
fn a_row_that_nobody_has_is_empty() {
    let (mut op, _) = op(Consistency::One, None);
    assert_eq!(
        op.on_row(host(1), None)[..],
        [ReadStep::Answer(Ok(RowCopy::new(Conflict::Siblings)))]
    );
}

#[test]
fn another_replica_is_asked_for_each_that_fails() {
    let (mut op, _) = op(Consistency::Quorum, None);
    assert_eq!(op.on_failed(host(1))[..], asks(&[3]));
    op.on_row(host(2), None);
    assert_eq!(op.on_row(host(3), Some(&row(1)))[..], [ReadStep::Answer(Ok(row(1)))]);
}

#[test]
fn too_few_answers_are_a_timeout_with_the_counts() {
    let (mut op, _) = op(Consistency::All, None);
    op.on_row(host(1), None);
    op.on_failed(host(2));
    let timeout = ReadError::Timeout { level: Consistency::All, received: 1, required: 3 };
    assert_eq!(op.on_failed(host(3))[..], [ReadStep::Answer(Err(timeout))]);
}

#[test]
fn a_slow_replica_has_another_one_asked_too() {
    let (mut op, _) = op(Consistency::One, None);
    assert_eq!(op.on_slow()[..], asks(&[2]));
    assert_eq!(
        op.on_row(host(2), None)[..],
        [ReadStep::Answer(Ok(RowCopy::new(Conflict::Siblings)))]
    );
    assert!(op.on_row(host(1), None).is_empty());
}

#[test]
fn a_context_is_answered_only_by_a_state_that_includes_it() {
    let (mut op, _) = op(Consistency::One, Some(seen(5)));
    assert_eq!(op.on_row(host(1), Some(&row(4)))[..], asks(&[2, 3]));
    assert_eq!(op.on_row(host(3), Some(&row(5)))[..], [ReadStep::Answer(Ok(row(5)))]);
}

#[test]
fn a_context_that_nobody_has_seen_is_a_clear_failure() {
    let (mut op, _) = op(Consistency::One, Some(seen(5)));
    op.on_row(host(1), Some(&row(4)));
    op.on_row(host(2), None);
    let behind = ReadError::Behind { level: Consistency::One, received: 1, required: 1 };
    assert_eq!(op.on_row(host(3), Some(&row(3)))[..], [ReadStep::Answer(Err(behind))]);
}

#[test]
fn nothing_is_asked_or_answered_after_the_answer() {
    let (mut op, _) = op(Consistency::One, None);
    op.on_row(host(1), None);
    assert!(op.on_failed(host(2)).is_empty());
    assert!(op.on_slow().is_empty());
    assert!(op.on_row(host(3), Some(&row(1))).is_empty());
    assert!(op.on_deadline().is_empty());
}

#[test]
fn a_context_whose_last_witness_fails_is_a_clear_failure_too() {
    let (mut op, _) = op(Consistency::One, Some(seen(5)));
    op.on_row(host(1), Some(&row(4)));
    op.on_failed(host(3));
    let behind = ReadError::Behind { level: Consistency::One, received: 1, required: 1 };
    assert_eq!(op.on_failed(host(2))[..], [ReadStep::Answer(Err(behind))]);
}
