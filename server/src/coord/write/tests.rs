//! The laws of one write.

use ring::Unavailable;
use types::Consistency;

use super::*;
use crate::coord::sends::tests::{holders, host, kept, send};
use crate::store::identity::EpochError;

fn placed(level: Consistency, reads_first: bool) -> (WriteOp, WriteSteps) {
    WriteOp::place(host(1), &holders(level, &[], &[]), reads_first)
}

fn stamp() -> WriteStep {
    WriteStep::Stamp { missed: Hosts::new() }
}

fn answered(replicas: u32) -> WriteStep {
    WriteStep::Answer(Ok(Footing { replicas, stand_ins: 0 }))
}

fn mended(missed: &[u128]) -> WriteStep {
    WriteStep::Mend(missed.iter().map(|missed| kept(*missed, 1)).collect())
}

fn op(level: Consistency) -> WriteOp {
    placed(level, false).0
}

fn sends() -> Vec<WriteStep> {
    [2, 3].map(|number| WriteStep::Send(send(number))).to_vec()
}

fn timeout(level: Consistency, received: u32, required: u32) -> WriteStep {
    WriteStep::Answer(Err(WriteError::Timeout { level, received, required }))
}

#[test]
fn the_row_is_stamped_here_before_it_is_sent_to_anybody() {
    let (mut op, steps) = placed(Consistency::Quorum, false);
    assert_eq!(steps[..], [stamp()]);
    assert_eq!(op.on_stamped()[..], sends());
}

#[test]
fn the_client_is_answered_when_its_level_is_met_and_only_once() {
    let mut op = op(Consistency::Quorum);
    op.on_stamped();
    assert_eq!(op.on_acknowledged(host(3))[..], [answered(2)]);
    assert_eq!(op.on_acknowledged(host(2))[..], [mended(&[])]);
}

#[test]
fn at_one_the_answer_follows_the_stamp_and_the_row_goes_to_all() {
    let steps = op(Consistency::One).on_stamped();
    let expected: Vec<_> = sends().into_iter().chain([answered(1)]).collect();
    assert_eq!(steps[..], expected);
}

#[test]
fn at_all_every_replica_counts() {
    let mut op = op(Consistency::All);
    op.on_stamped();
    assert!(op.on_acknowledged(host(2)).is_empty());
    assert_eq!(op.on_acknowledged(host(3))[..], [answered(3), mended(&[])]);
}

#[test]
fn when_nobody_is_left_who_could_acknowledge_the_client_does_not_wait() {
    let mut op = op(Consistency::Quorum);
    op.on_stamped();
    assert!(op.on_failed(host(2)).is_empty());
    let ended = [timeout(Consistency::Quorum, 1, 2), mended(&[2, 3])];
    assert_eq!(op.on_failed(host(3))[..], ended);
}

#[test]
fn an_acknowledgement_that_comes_twice_counts_once() {
    let mut op = op(Consistency::All);
    op.on_stamped();
    assert!(op.on_acknowledged(host(2)).is_empty());
    assert!(op.on_acknowledged(host(2)).is_empty());
}

#[test]
fn at_the_deadline_the_counts_are_told() {
    let mut op = op(Consistency::Quorum);
    op.on_stamped();
    let ended = [timeout(Consistency::Quorum, 1, 2), mended(&[2, 3])];
    assert_eq!(op.on_deadline()[..], ended);
}

#[test]
fn a_delete_without_context_reads_first_and_removes_nothing_when_it_cannot() {
    let (mut op, steps) = placed(Consistency::Quorum, true);
    assert_eq!(steps[..], [WriteStep::Read]);
    assert_eq!(op.on_read(false)[..], [timeout(Consistency::Quorum, 0, 2)]);
    let (mut op, _) = placed(Consistency::Quorum, true);
    assert_eq!(op.on_read(true)[..], [stamp()]);
}

#[test]
fn a_replica_that_lacks_the_history_learns_it_once_and_stamps_again() {
    let missing = StampFailure::Row(StampError::MissingHistory);
    let mut op = op(Consistency::Quorum);
    assert_eq!(op.on_stamp_failed(&missing)[..], [WriteStep::Learn]);
    assert_eq!(op.on_learnt(true)[..], [stamp()]);
    assert_eq!(op.on_stamp_failed(&missing)[..], [timeout(Consistency::Quorum, 0, 2)]);
}

#[test]
fn a_history_that_cannot_be_had_ends_the_write_before_anything_is_written() {
    let mut op = op(Consistency::Quorum);
    op.on_stamp_failed(&StampFailure::Row(StampError::MissingHistory));
    assert_eq!(op.on_learnt(false)[..], [timeout(Consistency::Quorum, 0, 2)]);
}

#[test]
fn where_the_store_may_mint_no_dot_nothing_is_written_or_sent() {
    for error in [EpochError::Unconfirmed, EpochError::LeaseUsedUp] {
        let mut op = op(Consistency::Quorum);
        let refused = [WriteStep::Answer(Err(WriteError::NotReady))];
        assert_eq!(op.on_stamp_failed(&StampFailure::Epoch(error))[..], refused);
        assert!(op.on_deadline().is_empty());
    }
    assert!(!WriteError::NotReady.may_have_applied());
}

#[test]
fn what_the_row_refuses_is_told_to_the_client() {
    let full = StampFailure::Row(StampError::TooManySiblings { siblings: 100 });
    let refused = WriteError::Invalid(RowError::TooManySiblings { siblings: 100 });
    let steps = op(Consistency::Quorum).on_stamp_failed(&full);
    assert_eq!(steps[..], [WriteStep::Answer(Err(refused))]);
}

#[test]
fn only_errors_after_the_stamp_leave_a_doubt() {
    let unavailable = Unavailable { level: Consistency::All, required: 3, alive: 2 };
    assert!(!WriteError::from(unavailable).may_have_applied());
    assert!(!WriteError::NoSpace.may_have_applied());
    let level = Consistency::All;
    assert!(WriteError::Timeout { level, received: 1, required: 3 }.may_have_applied());
    assert!(WriteError::Store.may_have_applied());
}

#[test]
fn whoever_is_silent_after_the_answer_is_hinted() {
    let mut op = op(Consistency::One);
    op.on_stamped();
    assert!(op.on_acknowledged(host(3)).is_empty());
    assert_eq!(op.on_deadline()[..], [mended(&[2])]);
}

#[test]
fn a_dead_replica_is_hinted_in_the_batch_of_the_row_itself() {
    let holders = holders(Consistency::Quorum, &[2], &[]);
    let (mut op, steps) = WriteOp::place(host(1), &holders, false);
    assert_eq!(steps[..], [WriteStep::Stamp { missed: [host(2)].into_iter().collect() }]);
    assert_eq!(op.on_stamped()[..], [WriteStep::Send(send(3))]);
    assert_eq!(op.on_acknowledged(host(3))[..], [answered(2), mended(&[])]);
}
