//! A formed register of three: two clients change it, and everything that can go wrong does.

use super::super::flaw::{Flaw, plant};
use super::search::{prove, refute};
use super::value::{Task, first, id, stores};
use super::world::{Breakage, Faults, World};

const STATES_MAX: usize = 200_000;

/// Three stores, of which the third slept through formation.
fn register() -> World {
    World::blank(1..=3, 3).holding(&first(id(1), &stores(&[1, 2, 3])), &[1, 2])
}

fn two_changes() -> World {
    register().client(2, [Task::Add(id(10))]).client(2, [Task::Add(id(11))])
}

fn change_and_its_rival() -> World {
    register().client(1, [Task::Add(id(10))]).client(2, [Task::AddUnless(id(11), id(10))])
}

fn change_by_one_who_crashes() -> World {
    let faults = Faults { crashes: 1, ..Faults::default() };
    register()
        .client(1, [Task::Add(id(10)), Task::Add(id(12))])
        .client(1, [Task::Add(id(11))])
        .faults(faults)
}

fn change_and_reads() -> World {
    register().client(2, [Task::Add(id(10))]).client(1, [Task::Read, Task::Read])
}

#[test]
fn two_changes_at_once_form_one_chain() {
    prove(two_changes(), STATES_MAX);
}

#[test]
fn a_change_whose_proposer_crashed_is_made_once() {
    prove(change_by_one_who_crashes(), STATES_MAX);
}

#[test]
fn a_read_misses_nothing_that_was_chosen_or_read_before_it() {
    prove(change_and_reads(), STATES_MAX);
}

#[test]
fn a_change_is_refused_only_because_of_what_is_chosen() {
    prove(change_and_its_rival(), STATES_MAX);
}

#[test]
fn a_restarted_acceptor_that_synced_has_forgotten_nothing() {
    let faults = Faults { restarts: 1, ..Faults::default() };
    prove(two_changes().faults(faults), STATES_MAX);
}

#[test]
fn an_acceptance_that_was_not_synced_is_noticed() {
    let faults = Faults { restarts: 1, ..Faults::default() };
    refute(two_changes().faults(faults).broken_by(Breakage::AnswersBeforeSync), STATES_MAX);
}

#[test]
fn a_blank_store_under_its_old_name_is_noticed() {
    let faults = Faults { wipes: 1, ..Faults::default() };
    refute(two_changes().faults(faults).broken_by(Breakage::WipedKeepsName), STATES_MAX);
}

#[test]
fn a_ballot_used_twice_is_noticed() {
    refute(change_by_one_who_crashes().broken_by(Breakage::ReusesBallots), STATES_MAX);
}

#[test]
fn a_broken_promise_is_noticed() {
    plant(Flaw::BreaksPromise, || refute(two_changes(), STATES_MAX));
}

#[test]
fn a_change_applied_twice_is_noticed() {
    plant(Flaw::AppliesTwice, || refute(two_changes(), STATES_MAX));
}

#[test]
fn a_refusal_because_of_an_unchosen_value_is_noticed() {
    plant(Flaw::RejectsByUnchosen, || refute(change_and_its_rival(), STATES_MAX));
}

#[test]
fn a_read_of_an_unchosen_value_is_noticed() {
    plant(Flaw::ReadsUnchosen, || refute(change_and_reads(), STATES_MAX));
}
