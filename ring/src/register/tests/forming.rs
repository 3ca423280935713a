//! Three blank seeds become one register, whoever dies in between.

use super::super::flaw::{Flaw, plant};
use super::super::{
    Acceptor, AcceptorState, Call, Prepare, ProposeError, Proposer, Refusal, RegisterValue,
    Request, SeedList, Step, Verdict,
};
use super::search::{prove, refute};
use super::story::Story;
use super::value::{Task, Value, first, id, seeds, store, stores, terms};
use super::world::{Action, Faults, World};

const STATES_MAX: usize = 150_000;

fn two_formations() -> World {
    World::blank(1..=3, 3)
        .client(2, [Task::Form(id(1)), Task::Add(id(10))])
        .client(2, [Task::Form(id(2))])
}

fn wipes(wipes: u32) -> Faults {
    Faults { wipes, ..Faults::default() }
}

/// Three formations, while one seed loses its disk.
fn formations_and_a_lost_disk() -> World {
    World::blank(1..=3, 3)
        .client(1, [Task::Form(id(1))])
        .client(1, [Task::Form(id(2)), Task::Form(id(3))])
        .faults(wipes(1))
}

/// Two formations, while two seeds lose their disks.
fn formations_and_lost_disks() -> World {
    World::blank(1..=3, 3)
        .client(1, [Task::Form(id(1))])
        .client(1, [Task::Form(id(2))])
        .faults(wipes(2))
}

/// Three blank seeds and two clients that would form a register of them.
fn blank() -> Story {
    let world = World::blank(1..=3, 3).client(2, [Task::Form(id(1))]);
    Story::of(world.client(2, [Task::Form(id(2))]).faults(wipes(3)))
}

#[test]
fn two_formations_at_once_make_one_register() {
    prove(two_formations(), STATES_MAX);
}

#[test]
fn a_seed_that_loses_its_disk_does_not_split_the_register() {
    prove(formations_and_a_lost_disk(), STATES_MAX);
}

#[test]
fn seeds_that_lose_most_disks_do_not_split_the_register() {
    prove(formations_and_lost_disks(), STATES_MAX);
}

#[test]
fn formation_without_every_seed_is_noticed() {
    plant(Flaw::FormsWithoutAll, || refute(formations_and_a_lost_disk(), STATES_MAX));
}

#[test]
fn a_forgotten_formation_is_noticed() {
    plant(Flaw::ForgetsFormation, || refute(formations_and_lost_disks(), STATES_MAX));
}

#[test]
fn a_late_seed_delays_formation() {
    let mut story = blank();
    story.starts(0).arrives_at(&[1, 2]);
    assert!(story.is_busy(0) && story.chosen().is_none());
    story.arrives_at(&[3]).arrives_at(&[1]);
    assert_eq!(story.chosen(), Some(&first(id(1), &stores(&[1, 2, 3]))));
}

#[test]
fn a_silent_seed_is_named() {
    let mut story = blank();
    story.starts(0).arrives_at(&[1, 2]);
    let attempts = 2;
    let silent = vec![store(1), store(2), store(3)]; // None of them has heard of the second try.
    let error = ProposeError::NoAgreement { attempts, silent, may_have_applied: false };
    assert_eq!(story.runs_out(0), error);

    let mut story = blank();
    story.starts(0).does(Action::Wake(0)).arrives_at(&[1, 2]);
    let error =
        ProposeError::NoAgreement { attempts, silent: vec![store(3)], may_have_applied: false };
    assert_eq!(story.runs_out(0), error);
}

/// The first proposer dies when one seed has accepted its value.
fn half_formed() -> Story {
    let mut story = blank();
    story.starts(0).arrives_at(&[2, 3]).arrives_at(&[1]);
    assert!(story.is_busy(0) && story.chosen().is_none());
    story
}

#[test]
fn a_value_that_one_seed_accepted_is_completed_by_the_next_proposer() {
    let mut story = half_formed();
    story.starts(1).does(Action::Wake(1)).arrives_at(&[1, 2, 3]);
    assert_eq!(story.chosen(), Some(&first(id(1), &stores(&[1, 2, 3]))));
}

#[test]
fn a_value_that_one_seed_accepted_is_completed_though_another_lost_its_disk() {
    let mut story = half_formed();
    story.does(Action::Wipe(2)).starts(1).does(Action::Wake(1)).arrives_at(&[1, 2, 13]);
    let formed = story.chosen().expect("a register").clone();
    assert_eq!(formed, first(id(1), &stores(&[1, 2, 3])));
    assert!(!formed.acceptors().name(store(13)), "the blank seed is not put in by itself");
}

#[test]
fn formation_begins_anew_when_all_that_accepted_is_lost() {
    let mut story = half_formed();
    story.loses_the_rest().does(Action::Wipe(0)).starts(1).arrives_at(&[11, 2, 3]);
    let formed = first(id(2), &stores(&[11, 2, 3]));
    assert_eq!(story.chosen(), Some(&formed));
    story.repeats_everything();
    assert_eq!(story.chosen(), Some(&formed));
    assert!(story.is_busy(0), "the first proposer's value is refused for ever");
}

#[test]
fn formation_waits_for_the_operator_when_most_seeds_of_a_value_are_lost() {
    let mut story = half_formed();
    story.does(Action::Wipe(1)).does(Action::Wipe(2));
    story.starts(1).arrives_at(&[1, 12, 13]).does(Action::Wake(1)).arrives_at(&[1, 12, 13]);
    let silent = vec![store(2), store(3)];
    let error = ProposeError::NoAgreement { attempts: 2, silent, may_have_applied: false };
    assert_eq!(story.runs_out(1), error);
    assert!(story.chosen().is_none());
}

#[test]
fn formation_waits_for_the_operator_when_most_that_promised_are_lost() {
    let mut story = blank();
    story.starts(0).arrives_at(&[3]).arrives_at(&[1, 2]).loses_the_rest();
    assert!(story.chosen().is_some(), "the third seed promised and heard no more");
    story.does(Action::Wipe(0)).does(Action::Wipe(1)).starts(1).arrives_at(&[3]);
    let lost = ProposeError::SeedsLost { store: store(3), stores: stores(&[1, 2, 3]) };
    assert_eq!(story.error(1), lost);
}

#[test]
fn a_blank_seed_learns_of_the_register_instead_of_forming_one() {
    let mut story = blank();
    story.starts(0).arrives_at(&[1, 2, 3]);
    let formed = story.chosen().expect("a register").clone();
    story.world.faults.spreads = 1;
    story.does(Action::Spread(store(2))).does(Action::Wipe(0)).starts(1).arrives_at(&[2]);
    assert!(!story.is_busy(1));
    assert_eq!(story.world.clients[1].known.as_ref(), Some(&formed));
}

#[test]
fn a_register_is_known_by_gossip_before_it_is_formed_again() {
    let (mut proposer, _) = Proposer::form(seeds(3), stores(&[1, 2, 3]), terms(100, 1, 2));
    let value = first(id(9), &stores(&[4, 5, 6]));
    assert_eq!(proposer.learn(value.clone()), [Step::Chosen { value }]);
    assert!(proposer.is_over());
}

#[test]
fn seeds_with_different_lists_form_nothing() {
    let listed = |names: [&str; 3]| SeedList::new(names.map(String::from)).unwrap();
    let (ours, theirs) = (listed(["a", "b", "c"]), listed(["c", "d", "e"]));
    let (mut proposer, steps) =
        Proposer::<Value>::form(ours.clone(), stores(&[1, 2, 3]), terms(100, 1, 2));
    let mut acceptor = Acceptor::new(store(3), theirs.clone(), AcceptorState::default(), None);
    let Some(Step::Send { request, .. }) = steps.into_iter().nth(2) else {
        panic!("a prepare for the third store");
    };
    let reply = acceptor.on_request(&request);
    let refusal = Verdict::Refused(Refusal::OtherSeeds { seeds: theirs.clone() });
    assert_eq!((&reply.answer.verdict, reply.must_persist), (&refusal, false));
    let error = ProposeError::SeedsDiffer { store: store(3), seeds: theirs };
    assert_eq!(proposer.on_answer(reply.answer), [Step::Failed { error }]);
}

#[test]
fn a_seed_promises_no_formation_that_leaves_seeds_out() {
    let (proposer, _) = Proposer::<Value>::form(seeds(1), stores(&[1]), terms(100, 1, 2));
    let mut acceptor = Acceptor::<Value>::new(store(1), seeds(3), AcceptorState::default(), None);
    for call in [
        Call::Form { seeds: seeds(3), stores: stores(&[1]) },
        Call::Form { seeds: seeds(1), stores: stores(&[1]) },
    ] {
        let request = Request::Prepare(Prepare { ballot: proposer.ballot(), call });
        let refusal = Verdict::Refused(Refusal::OtherSeeds { seeds: seeds(3) });
        assert_eq!(acceptor.on_request(&request).answer.verdict, refusal);
    }
    assert_eq!(acceptor.state(), &AcceptorState::default());
}

#[test]
fn a_seed_remembers_only_so_many_formations() {
    let mut acceptor = Acceptor::<Value>::new(store(1), seeds(3), AcceptorState::default(), None);
    let mut ballot = Proposer::<Value>::form(seeds(1), stores(&[1]), terms(100, 1, 2)).0.ballot();
    let verdicts: Vec<_> = (0..20)
        .map(|third| {
            ballot.counter += 1;
            let call = Call::Form { seeds: seeds(3), stores: stores(&[1, 2, 10 + third]) };
            let request = Request::Prepare(Prepare { ballot, call });
            acceptor.on_request(&request).answer.verdict
        })
        .collect();
    let promised = |verdict: &&Verdict<Value>| matches!(verdict, Verdict::Promise { .. });
    assert_eq!(verdicts.iter().filter(promised).count(), 16);
    assert_eq!(acceptor.state().forming.len(), 16);
}
