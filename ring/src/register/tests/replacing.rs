//! One acceptor takes the place of another while others, who may not know it, go on.

use super::super::flaw::{Flaw, plant};
use super::super::{Acceptor, AcceptorState, Refusal, RegisterValue, Verdict};
use super::search::{prove, refute};
use super::story::Story;
use super::value::{Task, Value, first, id, seeds, store, stores};
use super::world::{Action, Faults, World};

const STATES_MAX: usize = 150_000;

/// Three acceptors, of which the third slept, and two newcomers.
fn register() -> World {
    World::blank(1..=5, 3).holding(&first(id(1), &stores(&[1, 2, 3])), &[1, 2])
}

fn replacement() -> Task {
    Task::Replace(id(20), store(3), store(4))
}

fn replacement_and_change() -> World {
    register().client(1, [replacement()]).client(2, [Task::Add(id(10))])
}

/// One goes on with the new acceptors, which the other has not heard of.
fn replacement_and_laggard() -> World {
    register().client(1, [replacement(), Task::Add(id(11))]).client(1, [Task::Add(id(10))])
}

fn two_replacements_and_change() -> World {
    register()
        .client(1, [replacement()])
        .client(1, [Task::Replace(id(21), store(2), store(5))])
        .client(1, [Task::Add(id(10))])
}

#[test]
fn a_replacement_and_a_change_form_one_chain() {
    prove(replacement_and_change(), STATES_MAX);
}

#[test]
fn a_proposer_that_lags_behind_a_replacement_misses_nothing() {
    prove(replacement_and_laggard(), STATES_MAX);
}

#[test]
fn two_replacements_and_a_change_form_one_chain() {
    prove(two_replacements_and_change(), 2 * STATES_MAX);
}

#[test]
fn newer_acceptors_are_learned_from_older_ones() {
    let world = register().client(1, [replacement(), Task::Add(id(11))]);
    let world = world.client(2, [Task::Add(id(10))]);
    let mut story = Story::of(world.faults(Faults { spreads: 1, ..Faults::default() }));
    story.starts(0).arrives_at(&[1, 2]).does(Action::Spread(store(3)));
    prove(story.world, STATES_MAX);
}

#[test]
fn a_majority_of_the_new_acceptors_alone_is_noticed() {
    plant(Flaw::NewMajorityAlone, || refute(replacement_and_change(), STATES_MAX));
}

#[test]
fn a_proposer_that_ignores_newer_acceptors_is_noticed() {
    plant(Flaw::NewerAcceptorsIgnored, || refute(replacement_and_laggard(), STATES_MAX));
}

#[test]
fn a_replacement_of_unsettled_acceptors_is_noticed() {
    plant(Flaw::ReplacesUnsettled, || refute(two_replacements_and_change(), STATES_MAX));
}

#[test]
fn a_dead_acceptor_is_replaced_by_the_others() {
    let mut story = Story::of(register().client(3, [replacement(), Task::Add(id(10))]));
    story.starts(0).arrives_at(&[1, 2]);
    assert_eq!(story.chosen().unwrap().acceptors().now(), &stores(&[1, 2, 4]));
    story.starts(0).arrives_at(&[1, 4]);
    assert_eq!(story.chosen().unwrap().epoch(), 3, "the newcomer votes");
}

#[test]
fn a_proposer_told_of_newer_acceptors_starts_again_with_them() {
    let world = register().client(3, [replacement()]).client(3, [Task::Add(id(10))]);
    let mut story = Story::of(world.faults(Faults { spreads: 1, ..Faults::default() }));
    story.starts(0).arrives_at(&[1, 2]).does(Action::Spread(store(3)));
    story.starts(1).arrives_at(&[3]);
    let known = story.world.clients[1].known.as_ref().expect("a cached value");
    assert_eq!(known.acceptors().now(), &stores(&[1, 2, 4]), "the removed store told of it");
    story.arrives_at(&[4]).does(Action::Wake(1)).arrives_at(&[2, 4]);
    assert_eq!(story.chosen().unwrap().changes, [id(1), id(20), id(10)]);
}

#[test]
fn a_store_that_no_value_names_has_no_vote() {
    let mut story = Story::of(register().client(1, [Task::Add(id(10))]));
    story.starts(0);
    let mut blank = Acceptor::<Value>::new(store(9), seeds(3), AcceptorState::default(), None);
    for message in story.world.sent.values() {
        let reply = blank.on_request(&message.1);
        assert_eq!(reply.answer.verdict, Verdict::Refused(Refusal::NotNamed));
        assert!(!reply.must_persist);
    }
    assert_eq!(blank.state(), &AcceptorState::default());
}
