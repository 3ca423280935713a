//! A search through every schedule of a world, depth first, each state once.
//!
//! Schedules that differ in nothing a law could see are searched once:
//! * a promise that nobody hears, or for a ballot that nobody runs any more, only makes a store
//!   refuse what it might as well never have been sent;
//! * a refusal for a higher promise, unheard, is a slow answer: the client wakes up instead;
//! * acceptances are heard together, as soon as they are enough.

use std::collections::BTreeSet;

use super::super::flaw::{Flaw, is_planted};
use super::super::{Answer, Refusal, Request, Verdict};
use super::laws::Broken;
use super::shared::hash_of;
use super::value::Value;
use super::world::{Action, Hearing, World};

/// A broken law and the way to it.
#[derive(Debug)]
pub(super) struct Counterexample {
    pub(super) law: Broken,
    pub(super) trace: Vec<Action>,
}

struct Frame {
    world: World,
    actions: Vec<Action>,
    taken: Option<Action>,
}

impl Frame {
    fn new(world: World) -> Self {
        let actions = actions(&world);
        Self { world, actions, taken: None }
    }
}

/// The number of states from `start`, if no law is broken in any.
///
/// Panics if there are more than `states_max`: a search that stops early proves nothing.
pub(super) fn search(start: World, states_max: usize) -> Result<usize, Box<Counterexample>> {
    let mut seen = BTreeSet::from([hash_of(&start)]);
    let mut path = vec![Frame::new(start)];
    while let Some(frame) = path.last_mut() {
        let Some(action) = frame.actions.pop() else {
            path.pop();
            continue;
        };
        let mut world = frame.world.clone();
        let outcome = world.act(action);
        frame.taken = Some(action);
        if let Err(law) = outcome {
            let trace = path.into_iter().filter_map(|frame| frame.taken).collect();
            return Err(Box::new(Counterexample { law, trace }));
        }
        forget_the_dead(&mut world);
        if seen.insert(hash_of(&world)) {
            assert!(seen.len() <= states_max, "more than {states_max} states");
            path.push(Frame::new(world));
        }
    }
    Ok(seen.len())
}

/// Searches `start`, which must keep every law, and says how many states it has.
pub(super) fn prove(start: World, states_max: usize) {
    match search(start, states_max) {
        Ok(states) => println!("{states} states"),
        Err(found) => panic!("{}\n{:#?}", found.law, found.trace),
    }
}

/// Searches `start`, in which some law must break, and says which.
pub(super) fn refute(start: World, states_max: usize) {
    let found = search(start, states_max).expect_err("the planted flaw was not noticed");
    println!("{} ({} steps)", found.law, found.trace.len());
}

/// Drops what no delivery can make anything of any more: prepares and answers of ballots that
/// nobody runs, and accepts that their store has accepted or promised to refuse.
fn forget_the_dead(world: &mut World) {
    let live: BTreeSet<_> = world.clients.iter().filter_map(|client| client.ballot()).collect();
    world.late.retain(|_, answer| live.contains(&answer.ballot));
    let World { sent, stores, breakage, .. } = world;
    sent.retain(|_, message| {
        let (to, request) = &**message;
        let state = stores.get(to).map(|disk| disk.acceptor.state());
        match (request, state) {
            (Request::Prepare(prepare), Some(_)) => live.contains(&prepare.ballot),
            (Request::Accept(accept), Some(state)) => {
                let held = state.accepted.as_ref().map(|vote| vote.ballot);
                let is_done = held >= Some(accept.ballot) || state.promised > Some(accept.ballot);
                !is_done || breakage.is_some() || is_planted(Flaw::BreaksPromise)
            }
            (_, None) => breakage.is_some(),
        }
    });
}

fn actions(world: &World) -> Vec<Action> {
    let mut actions = deliveries(world);
    for (number, client) in world.clients.iter().enumerate() {
        let Some(proposer) = &client.proposer else {
            actions.extend(client.has_more().then_some(Action::Start(number)));
            continue;
        };
        if !proposer.is_spent() || client.has_more() {
            actions.push(Action::Wake(number));
        }
        if world.faults.crashes > 0 {
            actions.push(Action::Crash { client: number, again: true });
            if client.has_more() {
                actions.push(Action::Crash { client: number, again: false });
            }
        }
        if can_hear_enough(world, number) {
            actions.push(Action::HearAll(number));
        }
    }
    if world.faults.wipes > 0 {
        actions.extend((0..world.seats.len()).map(Action::Wipe));
    }
    for (store, disk) in &world.stores {
        if world.faults.restarts > 0 && disk.synced != *disk.acceptor.state() {
            actions.push(Action::Restart(*store));
        }
        if world.faults.spreads > 0
            && world.chosen.newest().is_some_and(|newest| !disk.knows(newest))
        {
            actions.push(Action::Spread(*store));
        }
    }
    actions
}

fn deliveries(world: &World) -> Vec<Action> {
    let mut actions = Vec::new();
    for (sent, message) in &world.sent {
        let (to, request) = &**message;
        let Some(disk) = world.stores.get(to) else { continue };
        let mut acceptor = disk.acceptor.clone();
        let answer = acceptor.on_request(request).answer;
        let (hearing, is_news) = match (request, &answer.verdict) {
            (_, Verdict::Refused(Refusal::Promised { .. })) => continue,
            (Request::Accept(_), Verdict::Accepted) => {
                let is_news =
                    is_awaited(world, &answer) && !world.late.contains_key(&hash_of(&answer));
                (Hearing::Late, is_news || acceptor != disk.acceptor)
            }
            _ => (Hearing::Now, is_awaited(world, &answer)),
        };
        if is_news {
            actions.push(Action::Deliver { sent: *sent, hearing });
        }
    }
    actions
}

/// Whether the answer would mean anything to a client.
fn is_awaited(world: &World, answer: &Answer<Value>) -> bool {
    world.clients.iter().any(|client| match &client.proposer {
        Some(proposer) if proposer.ballot() == answer.ballot => {
            let mut told = proposer.clone();
            !told.on_answer(answer.clone()).is_empty() || told != *proposer
        }
        _ => false,
    })
}

/// Whether the acceptances on their way to a client decide its ballot.
fn can_hear_enough(world: &World, number: usize) -> bool {
    let Some(mut proposer) = world.clients[number].proposer.clone() else { return false };
    let mut answers = world.late.values();
    answers.any(|answer| !proposer.on_answer((**answer).clone()).is_empty())
}
