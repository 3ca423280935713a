//! The laws of one read.

use repair::version::{Actor, Dot};
use ring::StoreId;
use std::num::NonZeroU64;

use super::*;
use crate::coord::sends::tests::{holders, host};

/// What somebody has seen who has seen the `counter`-th write of a store.
fn seen(counter: u64) -> VersionVector {
    let actor = Actor { store: StoreId(7), epoch: 1 };
    [Dot { actor, counter: NonZeroU64::new(counter).unwrap() }].into_iter().collect()
}

/// A removed row whose vector counts so many writes.
fn row(counter: u64) -> RowCopy {
    RowCopy::Siblings(Siblings::from_parts(seen(counter), Vec::new(), 1).unwrap())
}

/// A read of a row with replicas 1, 2 and 3, some of them dead, some of those with a stand-in.
fn op_with(
    level: Consistency,
    dead: &[u128],
    stand_ins: &[(u128, u128)],
    at_least: Option<VersionVector>,
) -> (ReadOp, ReadSteps) {
    let placed = holders(level, dead, stand_ins);
    let is_alive = |replica: &HostId| !placed.dead.contains(replica);
    ReadOp::ask(Asking {
        replicas: placed.replicas.iter().copied().filter(is_alive).collect(),
        stand_ins: placed.stand_ins.iter().map(|stand_in| stand_in.host).collect(),
        others: [host(7)].into_iter().collect(),
        tally: placed.tally,
        write_quorum: (level == Consistency::All)
            .then(|| holders(Consistency::Quorum, &[], &[]).tally),
        conflict: Conflict::Siblings,
        at_least,
    })
}

fn op(level: Consistency) -> (ReadOp, ReadSteps) {
    op_with(level, &[], &[], None)
}

fn ask_row(number: u128) -> ReadStep {
    ReadStep::AskRow { of: host(number), as_stand_in: number > 3 }
}

fn ask_digest(number: u128) -> ReadStep {
    ReadStep::AskDigest { of: host(number) }
}

fn repair(number: u128, row: RowCopy) -> ReadStep {
    ReadStep::Repair { to: host(number), row }
}

fn repair_later(number: u128, row: RowCopy) -> ReadStep {
    ReadStep::RepairLater { to: host(number), row }
}

fn found(row: RowCopy, replicas: u32, stand_ins: u32) -> ReadStep {
    ReadStep::Answer(Ok(FoundRow { row, footing: Footing { replicas, stand_ins } }))
}

fn timeout(level: Consistency, received: u32, required: u32) -> ReadStep {
    ReadStep::Answer(Err(ReadError::Timeout { level, received, required }))
}

fn nothing() -> RowCopy {
    RowCopy::new(Conflict::Siblings)
}

#[test]
fn only_as_many_replicas_are_asked_as_the_level_needs_and_one_of_them_for_the_row() {
    assert_eq!(op(Consistency::One).1[..], [ask_row(1)]);
    assert_eq!(op(Consistency::Quorum).1[..], [ask_row(1), ask_digest(2)]);
    assert_eq!(op(Consistency::All).1[..], [ask_row(1), ask_digest(2), ask_digest(3)]);
}

#[test]
fn a_digest_of_the_same_row_is_enough() {
    for row_comes_first in [true, false] {
        let (mut op, _) = op(Consistency::Quorum);
        let digest = row(2).digest();
        let steps = if row_comes_first {
            assert!(op.on_row(host(1), Some(row(2))).is_empty());
            op.on_digest(host(2), digest)
        } else {
            assert!(op.on_digest(host(2), digest).is_empty());
            op.on_row(host(1), Some(row(2)))
        };
        assert_eq!(steps[..], [found(row(2), 2, 0)]);
    }
}

#[test]
fn a_row_that_nobody_has_is_empty() {
    let (mut one, _) = op(Consistency::One);
    assert_eq!(one.on_row(host(1), None)[..], [found(nothing(), 1, 0)]);
    let (mut quorum, _) = op(Consistency::Quorum);
    quorum.on_row(host(1), None);
    let steps = quorum.on_digest(host(2), nothing().digest());
    assert_eq!(steps[..], [found(nothing(), 2, 0)]);
}

#[test]
fn whose_digest_is_another_one_is_asked_for_the_row_and_the_stale_one_is_repaired_first() {
    let (mut op, _) = op(Consistency::Quorum);
    op.on_row(host(1), Some(row(2)));
    assert_eq!(op.on_digest(host(2), row(5).digest())[..], [ask_row(2)]);
    assert_eq!(op.on_row(host(2), Some(row(5)))[..], [repair(1, row(5))]);
    assert_eq!(op.on_repaired(host(1), true)[..], [found(row(5), 2, 0)]);
    assert!(op.on_deadline().is_empty());
}

#[test]
fn a_digest_of_less_is_found_and_its_replica_repaired_too() {
    let (mut op, _) = op(Consistency::Quorum);
    op.on_row(host(1), Some(row(5)));
    op.on_digest(host(2), nothing().digest());
    assert_eq!(op.on_row(host(2), None)[..], [repair(2, row(5))]);
}

#[test]
fn what_a_write_quorum_has_is_answered_before_the_last_one_is_repaired() {
    let (mut op, _) = op(Consistency::All);
    op.on_row(host(1), Some(row(5)));
    op.on_digest(host(2), row(5).digest());
    assert_eq!(op.on_digest(host(3), row(2).digest())[..], [ask_row(3)]);
    let steps = op.on_row(host(3), Some(row(2)));
    assert_eq!(steps[..], [found(row(5), 3, 0), repair_later(3, row(5))]);
}

#[test]
fn a_repair_that_fails_leaves_the_read_without_an_answer_and_tells_who_has_the_row() {
    for is_late in [true, false] {
        let (mut op, _) = op(Consistency::Quorum);
        op.on_row(host(1), Some(row(2)));
        op.on_digest(host(2), row(5).digest());
        op.on_row(host(2), Some(row(5)));
        let steps = if is_late { op.on_deadline() } else { op.on_repaired(host(1), false) };
        assert_eq!(steps[..], [timeout(Consistency::Quorum, 1, 2)]);
    }
}

#[test]
fn at_one_whoever_is_behind_is_repaired_after_the_answer() {
    let (mut op, _) = op_with(Consistency::One, &[], &[], Some(seen(5)));
    assert_eq!(op.on_row(host(1), Some(row(4)))[..], [ask_row(2), ask_row(3), ask_row(7)]);
    let steps = op.on_row(host(3), Some(row(5)));
    assert_eq!(steps[..], [found(row(5), 2, 0), repair_later(1, row(5))]);
}

#[test]
fn another_replica_is_asked_for_the_row_where_one_fails() {
    let (mut op, _) = op(Consistency::Quorum);
    assert_eq!(op.on_failed(host(1))[..], [ask_row(3)]);
    op.on_digest(host(2), row(1).digest());
    assert_eq!(op.on_row(host(3), Some(row(1)))[..], [found(row(1), 2, 0)]);
}

#[test]
fn a_replica_that_gives_a_digest_and_no_row_is_replaced() {
    let (mut op, _) = op(Consistency::Quorum);
    op.on_row(host(1), Some(row(2)));
    op.on_digest(host(2), row(5).digest());
    assert_eq!(op.on_failed(host(2))[..], [ask_row(3)]);
    assert_eq!(op.on_row(host(3), Some(row(2)))[..], [found(row(2), 2, 0)]);
}

#[test]
fn too_few_answers_are_a_timeout_with_the_counts() {
    let (mut op, _) = op(Consistency::All);
    op.on_row(host(1), None);
    op.on_failed(host(2));
    assert_eq!(op.on_failed(host(3))[..], [timeout(Consistency::All, 1, 3)]);
}

#[test]
fn a_slow_replica_has_another_one_asked_too() {
    let (mut op, _) = op(Consistency::One);
    assert_eq!(op.on_slow()[..], [ask_row(2)]);
    assert_eq!(op.on_row(host(2), None)[..], [found(nothing(), 1, 0)]);
    assert!(op.on_row(host(1), None).is_empty());
}

#[test]
fn a_stand_in_counts_with_what_it_holds_and_the_answer_says_so() {
    let (mut op, steps) = op_with(Consistency::Quorum, &[2, 3], &[(2, 8), (3, 9)], None);
    assert_eq!(steps[..], [ask_row(1), ask_row(8)]);
    op.on_row(host(1), Some(row(2)));
    assert_eq!(op.on_row(host(8), Some(row(2)))[..], [found(row(2), 1, 1)]);
}

#[test]
fn that_a_stand_in_has_no_such_row_never_counts() {
    let (mut op, _) = op_with(Consistency::Quorum, &[2, 3], &[(2, 8), (3, 9)], None);
    op.on_row(host(1), None);
    assert_eq!(op.on_row(host(8), None)[..], [ask_row(9)]);
    assert_eq!(op.on_row(host(9), None)[..], [timeout(Consistency::Quorum, 1, 2)]);
}

#[test]
fn nobody_repairs_a_stand_in() {
    let (mut op, _) = op_with(Consistency::Quorum, &[2, 3], &[(2, 8), (3, 9)], None);
    op.on_row(host(1), Some(row(5)));
    assert_eq!(op.on_row(host(8), Some(row(2)))[..], [found(row(5), 1, 1)]);
}

#[test]
fn a_replica_is_repaired_with_what_a_stand_in_holds() {
    let (mut op, _) = op_with(Consistency::Quorum, &[2, 3], &[(2, 8), (3, 9)], None);
    op.on_row(host(1), Some(row(2)));
    assert_eq!(op.on_row(host(8), Some(row(5)))[..], [repair(1, row(5))]);
    assert_eq!(op.on_repaired(host(1), true)[..], [found(row(5), 1, 1)]);
}

#[test]
fn a_context_is_answered_by_a_node_that_stood_in_too() {
    let (mut op, _) = op_with(Consistency::One, &[], &[], Some(seen(5)));
    op.on_row(host(1), Some(row(4)));
    op.on_row(host(2), None);
    op.on_row(host(3), None);
    let repairs = [1, 2, 3].map(|number| repair_later(number, row(5)));
    let steps = op.on_row(host(7), Some(row(5)));
    assert_eq!(steps[..], [&[found(row(5), 3, 0)][..], &repairs].concat());
}

#[test]
fn a_context_that_nobody_has_seen_is_a_clear_failure() {
    for last_fails in [true, false] {
        let (mut op, _) = op_with(Consistency::One, &[], &[], Some(seen(5)));
        op.on_row(host(1), Some(row(4)));
        op.on_row(host(2), None);
        op.on_row(host(7), None);
        let behind = ReadError::Behind { level: Consistency::One, received: 1, required: 1 };
        let steps =
            if last_fails { op.on_failed(host(3)) } else { op.on_row(host(3), Some(row(3))) };
        assert_eq!(steps[..], [ReadStep::Answer(Err(behind))]);
    }
}

#[test]
fn nothing_is_asked_or_answered_after_the_answer() {
    let (mut op, _) = op(Consistency::One);
    op.on_row(host(1), None);
    assert!(op.on_failed(host(2)).is_empty());
    assert!(op.on_slow().is_empty());
    assert!(op.on_row(host(3), Some(row(1))).is_empty());
    assert!(op.on_repaired(host(3), true).is_empty());
    assert!(op.on_deadline().is_empty());
}
