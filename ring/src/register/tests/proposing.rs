//! What a proposal does with answers, waits and bad changes.

use std::time::Duration;

use super::super::{
    Acceptor, AcceptorState, Acceptors, Answer, BadChange, Ballot, Generation, Pace, ProposeError,
    Proposer, Refusal, RegisterValue, Request, Step, Terms, Verdict, Vote,
};
use super::value::{Rejected, Task, Value, first, id, seeds, store, stores, terms};

/// Three acceptors that hold the first value, and one proposal.
struct Scene {
    acceptors: Vec<Acceptor<Value>>,
    proposer: Proposer<Value>,
    steps: Vec<Step<Value>>,
}

fn held() -> Value {
    first(id(1), &stores(&[1, 2, 3]))
}

fn scene(attempts_max: u32) -> Scene {
    let generation = Generation::FIRST;
    let ballot = Ballot { generation, counter: 5, proposer: store(0), nonce: 0 };
    let state = AcceptorState {
        promised: Some(ballot),
        accepted: Some(Vote { ballot, value: held() }),
        forming: Vec::new(),
    };
    let acceptor = |name| Acceptor::new(store(name), seeds(3), state.clone(), None);
    let terms = Terms { counter: 5, ..terms(100, 1, attempts_max) };
    let (proposer, steps) = Proposer::change(held(), id(10), terms);
    Scene { acceptors: (1..=3).map(acceptor).collect(), proposer, steps }
}

impl Scene {
    /// Delivers what the last steps send to `to`.
    fn answer_of(&mut self, to: u128) -> Answer<Value> {
        let mut sent = self.steps.iter().filter_map(|step| match step {
            Step::Send { to: name, request } if *name == store(to) => Some(request),
            _ => None,
        });
        let request = sent.next_back().expect("a request").clone();
        let index = usize::try_from(to).unwrap() - 1;
        self.acceptors[index].on_request(&request).answer
    }

    /// Goes on until the change is asked for.
    fn prepare(&mut self) -> Value {
        for to in [1, 2] {
            let answer = self.answer_of(to);
            self.after(|proposer| proposer.on_answer(answer));
        }
        match self.steps.last() {
            Some(Step::Change { current: Some(current), .. }) => current.clone(),
            other => panic!("not a change: {other:?}"),
        }
    }

    fn after(&mut self, event: impl FnOnce(&mut Proposer<Value>) -> Vec<Step<Value>>) {
        let steps = event(&mut self.proposer);
        self.steps.extend(steps);
    }

    fn ticket(&self) -> u32 {
        let tickets = self.steps.iter().rev();
        let mut tickets = tickets.filter_map(|step| match step {
            Step::Wake { ticket, .. } => Some(*ticket),
            _ => None,
        });
        tickets.next().expect("a wait")
    }
}

#[test]
fn a_change_needs_two_rounds_with_a_majority() {
    let mut scene = scene(1);
    let current = scene.prepare();
    let next = Task::Add(id(10)).apply(Some(&current), None);
    scene.after(|proposer| proposer.on_changed(next.clone()));
    for to in [1, 3] {
        let answer = scene.answer_of(to);
        assert_eq!(answer.verdict, Verdict::Accepted);
        scene.after(|proposer| proposer.on_answer(answer));
    }
    assert_eq!(scene.steps.last(), Some(&Step::Chosen { value: next.unwrap() }));
    assert!(scene.proposer.is_over());
}

#[test]
fn answers_that_come_twice_count_once() {
    let mut scene = scene(1);
    let answer = scene.answer_of(1);
    for _ in 0..3 {
        assert_eq!(scene.proposer.on_answer(answer.clone()), []);
    }
}

#[test]
fn answers_to_other_ballots_and_from_strangers_change_nothing() {
    let mut scene = scene(2);
    let answer = scene.answer_of(1);
    let before = scene.proposer.clone();
    let stranger = Answer { from: store(9), ..answer.clone() };
    assert_eq!(scene.proposer.on_answer(stranger), []);
    let mut other = answer;
    other.ballot.nonce += 1;
    assert_eq!(scene.proposer.on_answer(other), []);
    assert_eq!(scene.proposer, before);
}

#[test]
fn an_acceptor_answers_a_repeated_request_alike() {
    let mut scene = scene(1);
    let first = scene.answer_of(1);
    let state = scene.acceptors[0].state().clone();
    assert_eq!(scene.answer_of(1), first);
    assert_eq!(scene.acceptors[0].state(), &state);
}

#[test]
fn a_lost_ballot_rests_and_bids_higher() {
    let mut scene = scene(2);
    let higher = Ballot { counter: 40, ..scene.proposer.ballot() };
    for from in [1, 2] {
        let verdict = Verdict::Refused(Refusal::Promised { ballot: higher });
        let answer = Answer { from: store(from), ballot: scene.proposer.ballot(), verdict };
        scene.after(|proposer| proposer.on_answer(answer));
    }
    let Some(Step::Wake { after, ticket }) = scene.steps.last().cloned() else {
        panic!("no rest: {:?}", scene.steps);
    };
    assert!(after < Pace::default().rest_min);
    scene.after(|proposer| proposer.on_wake(ticket));
    assert_eq!(scene.proposer.ballot().counter, 41);
    assert_eq!(scene.proposer.counter(), 41);
}

#[test]
fn rests_are_uneven_and_bounded() {
    let rest = |seed| {
        let terms = Terms { seed, ..terms(100, seed, 30) };
        let (mut proposer, _) = Proposer::change(held(), id(10), terms);
        let mut rests = Vec::new();
        while let Some(rest) = outbid(&mut proposer) {
            rests.push(rest);
        }
        rests
    };
    let (one, other) = (rest(1), rest(2));
    assert_eq!((one.len(), other.len()), (30, 30));
    assert_ne!(one, other);
    assert!(one.iter().all(|rest| *rest <= Pace::default().rest_max));
    assert!(one.iter().any(|rest| *rest > Duration::from_millis(100)), "later rests are longer");
}

/// Refuses the running ballot; the rest that follows, which is slept through.
fn outbid(proposer: &mut Proposer<Value>) -> Option<Duration> {
    let ballot = proposer.ballot();
    let mut steps = Vec::new();
    for from in [1, 2] {
        let refusal =
            Refusal::Promised { ballot: Ballot { counter: ballot.counter + 1, ..ballot } };
        let verdict = Verdict::Refused(refusal);
        steps.extend(proposer.on_answer(Answer { from: store(from), ballot, verdict }));
    }
    let Some(Step::Wake { after, ticket }) = steps.pop() else { return None };
    proposer.on_wake(ticket);
    Some(after)
}

#[test]
fn an_old_wake_up_is_ignored() {
    let mut scene = scene(3);
    let old = scene.ticket();
    scene.after(|proposer| proposer.on_wake(old));
    let before = scene.proposer.clone();
    assert_eq!(scene.proposer.on_wake(old), []);
    assert_eq!(scene.proposer, before);
}

#[test]
fn a_proposal_ends_after_its_attempts_and_names_the_silent() {
    let mut scene = scene(2);
    for _ in 0..2 {
        let answer = scene.answer_of(2);
        scene.after(|proposer| proposer.on_answer(answer));
        let ticket = scene.ticket();
        scene.after(|proposer| proposer.on_wake(ticket));
    }
    let silent = vec![store(1), store(3)];
    let error = ProposeError::NoAgreement { attempts: 2, silent, may_have_applied: false };
    assert!(!error.may_have_applied());
    assert_eq!(scene.steps.last(), Some(&Step::Failed { error }));
    assert_eq!(scene.proposer.give_up(), []);
}

#[test]
fn a_change_that_was_sent_may_have_applied() {
    let mut scene = scene(2);
    let current = scene.prepare();
    let next = Task::Add(id(10)).apply(Some(&current), None);
    scene.after(|proposer| proposer.on_changed(next));
    let error = ProposeError::GivenUp { attempts: 1, may_have_applied: true };
    assert!(error.may_have_applied());
    assert_eq!(scene.proposer.give_up(), [Step::Failed { error }]);
    assert!(scene.proposer.is_over());
}

#[test]
fn a_refused_change_answers_only_once_the_value_is_chosen() {
    let mut scene = scene(1);
    let current = scene.prepare();
    let reject = Rejected::Contains(id(1));
    scene.after(|proposer| proposer.on_changed(Err(reject.clone())));
    assert!(!scene.proposer.is_over());
    for to in [1, 2] {
        let answer = scene.answer_of(to);
        scene.after(|proposer| proposer.on_answer(answer));
    }
    let end = [Step::Learned { value: current }, Step::Rejected { reject }];
    assert!(scene.steps.ends_with(&end));
}

#[test]
fn a_change_that_breaks_its_contract_is_not_sent() {
    let same = || held().acceptors().clone();
    let skips = Value::new(3, same(), vec![id(1), id(10)]);
    let forgets = Value::new(2, same(), vec![id(1), id(11)]);
    let others = Acceptors::formed(stores(&[7, 8, 9]));
    let usurps = Value::new(2, others.clone(), vec![id(1), id(10)]);
    let expected = [
        (skips, BadChange::Epoch { expected: 2, found: 3 }),
        (forgets, BadChange::Forgotten { change: id(10) }),
        (usurps, BadChange::Acceptors { found: others }),
    ];
    for (next, flaw) in expected {
        let mut scene = scene(1);
        scene.prepare();
        let error = ProposeError::BadChange { flaw };
        assert_eq!(scene.proposer.on_changed(Ok(next)), [Step::Failed { error }]);
    }
}

#[test]
fn acceptors_that_lost_a_chosen_value_are_not_believed() {
    let mut scene = scene(1);
    let newer = Task::Add(id(9)).apply(Some(&held()), None).unwrap();
    let terms = Terms { counter: 5, ..terms(100, 1, 1) };
    (scene.proposer, scene.steps) = Proposer::change(newer, id(10), terms);
    for to in [1, 2] {
        let answer = scene.answer_of(to);
        scene.after(|proposer| proposer.on_answer(answer));
    }
    let error = ProposeError::StateLost;
    assert_eq!(scene.steps.last(), Some(&Step::Failed { error }));
}

#[test]
fn a_value_from_gossip_serves_the_next_ballot() {
    let mut scene = scene(2);
    let newer = Task::Replace(id(9), store(3), store(4)).apply(Some(&held()), None).unwrap();
    assert_eq!(scene.proposer.learn(newer.clone()), []);
    assert_eq!(scene.proposer.learn(held()), [], "older news are none");
    let ticket = scene.ticket();
    scene.steps.clear();
    scene.after(|proposer| proposer.on_wake(ticket));
    let asked = scene.steps.iter().filter_map(|step| match step {
        Step::Send { to, request: Request::Prepare(_) } => Some(*to),
        _ => None,
    });
    assert_eq!(asked.collect::<Vec<_>>(), newer.acceptors().now().as_slice());
}
