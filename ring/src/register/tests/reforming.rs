//! A majority is lost for ever, and the operator begins a new generation by force.

use super::super::{
    Acceptor, AcceptorState, ProposeError, Proposer, Refusal, RegisterValue, Step, Verdict, Vote,
};
use super::search::prove;
use super::story::Story;
use super::value::{Task, Value, first, id, seeds, store, stores, terms};
use super::world::{Action, World};

const STATES_MAX: usize = 100_000;

/// Stores 1 and 2, which chose the first value, are gone; 3 slept, 4 and 5 are new.
fn bereft() -> World {
    let mut world = World::blank(1..=5, 3).holding(&first(id(1), &stores(&[1, 2, 3])), &[1, 2]);
    world.stores.retain(|store, _| store.0 > 2);
    world
}

fn reform(change: u128) -> Task {
    Task::Reform(id(change), stores(&[3, 4, 5]))
}

#[test]
fn a_reform_goes_on_from_the_cached_value() {
    let world = bereft().client(2, [reform(30), Task::Add(id(10))]);
    prove(world.client(1, [Task::Add(id(11))]), STATES_MAX);
}

#[test]
fn two_reforms_with_the_same_acceptors_make_one_generation() {
    let world = bereft().client(2, [reform(30), Task::Add(id(10))]);
    prove(world.client(2, [reform(31)]), STATES_MAX);
}

#[test]
fn a_reform_needs_every_new_acceptor() {
    let mut story = Story::of(bereft().client(2, [reform(30)]));
    story.starts(0).arrives_at(&[3, 4]);
    assert!(story.is_busy(0));
    story.arrives_at(&[5]).arrives_at(&[4]);
    let reformed = story.chosen().expect("a new generation").clone();
    assert_eq!(reformed.acceptors().now(), &stores(&[3, 4, 5]));
    assert_eq!((reformed.version().generation.number, reformed.epoch()), (1, 2));
}

#[test]
fn a_reform_keeps_what_a_survivor_accepted() {
    let old = first(id(1), &stores(&[1, 2, 3]));
    let world = World::blank(1..=5, 3).holding(&old, &[1, 2, 3]);
    let mut story = Story::of(world.client(1, [Task::Add(id(10))]).client(1, [reform(30)]));
    story.starts(0).arrives_at(&[1, 3]).loses_the_rest();
    assert_eq!(story.chosen().unwrap().epoch(), 2, "chosen, though the second client missed it");
    story.world.stores.retain(|store, _| store.0 > 2);
    story.starts(1).arrives_at(&[3, 4, 5]);
    assert_eq!(story.chosen().unwrap().changes, [id(1), id(10), id(30)]);
}

#[test]
fn a_reform_that_comes_second_fails_and_says_so() {
    let world = bereft().client(2, [reform(30)]).client(2, [reform(31)]);
    let mut story = Story::of(world);
    story.starts(0).arrives_at(&[3, 4, 5]).starts(1).arrives_at(&[3]);
    let generation = story.chosen().unwrap().version().generation;
    assert_eq!(story.error(1), ProposeError::AlreadyReformed { generation });
}

#[test]
fn a_reform_outbids_one_that_died() {
    let world = bereft().client(2, [reform(31)]).client(2, [reform(30)]);
    let mut story = Story::of(world);
    story.starts(0).arrives_at(&[3]).loses_the_rest();
    story.starts(1).arrives_at(&[3, 4, 5]).does(Action::Wake(1));
    story.arrives_at(&[3, 4, 5]);
    let generation = story.chosen().expect("a new generation").version().generation;
    assert_eq!((generation.number, generation.reform), (2, id(30)));
}

#[test]
fn a_reform_asked_for_again_is_done_once() {
    let mut story = Story::of(bereft().client(2, [reform(30), reform(30)]));
    story.starts(0).arrives_at(&[3, 4, 5]).starts(0).arrives_at(&[3, 4, 5]);
    assert!(!story.is_busy(0));
    assert_eq!(story.chosen().unwrap().changes, [id(1), id(30)]);
}

#[test]
fn an_older_generation_is_refused_by_all_who_know_the_newer() {
    let old = first(id(1), &stores(&[1, 2, 3]));
    let mut story = Story::of(bereft().client(2, [reform(30)]));
    story.starts(0).arrives_at(&[3, 4, 5]);
    let reformed = story.chosen().expect("a new generation").clone();

    let (mut laggard, steps) = Proposer::change(old, id(40), terms(200, 7, 3));
    let vote = Vote { ballot: laggard.ballot(), value: first(id(1), &stores(&[1, 2, 3])) };
    let state = AcceptorState { accepted: Some(vote), ..AcceptorState::default() };
    let mut informed = Acceptor::<Value>::new(store(1), seeds(3), state, None);
    informed.learn(&reformed);
    let Some(Step::Send { request, .. }) = steps.into_iter().next() else {
        panic!("a prepare for the first store");
    };
    let answer = informed.on_request(&request).answer;
    assert_eq!(answer.verdict, Verdict::Refused(Refusal::Behind { value: reformed.clone() }));
    let steps = laggard.on_answer(answer);
    assert_eq!(steps[0], Step::Learned { value: reformed.clone() });
    assert_eq!(laggard.ballot().generation, reformed.version().generation);
}
