//! Random schedules of registers with five seats: everything is late, lost and repeated, disks are
//! lost and their seats replaced, and in the end the register must still work.

use std::collections::BTreeSet;

use super::super::flaw::{Flaw, plant};
use super::super::{ChangeId, RegisterValue};
use super::laws::Broken;
use super::value::{Task, Value, first, id, stores};
use super::world::{Action, Breakage, Faults, Hearing, World};
use crate::StoreId;

const SEEDS: u64 = 400;
const STEPS: u32 = 400;
const ATTEMPTS_MAX: u32 = 6;

/// A run: the world, and what the schedule has not delivered yet.
struct Run {
    world: World,
    random: Random,
    handled: BTreeSet<u64>,
    changes: u128,
}

impl Run {
    fn new(world: World, seed: u64) -> Self {
        Self { world, random: Random(seed), handled: BTreeSet::new(), changes: 1_000 }
    }

    /// Random steps, with faults.
    fn disturb(&mut self) -> Result<(), Broken> {
        for _ in 0..STEPS {
            let action = match self.random.below(100) {
                0..55 => self.fresh(),
                55..65 => self.any_sent(),
                65..75 => self.any_late(),
                75..83 => self.any_client(Action::Wake),
                83..95 => self.any_client(Action::Start),
                95..97 => self.any_crash(),
                97..99 => self.any_spread(),
                _ => self.any_wipe(),
            };
            if let Some(action) = action {
                self.world.act(action)?;
            }
            self.give_work();
        }
        Ok(())
    }

    /// Everything sent arrives, everything chosen spreads, until each client is done.
    fn settle(&mut self) -> Result<(), Broken> {
        for _ in 0..10_000 {
            if self.world.clients.iter().all(|client| client.is_idle()) {
                return Ok(());
            }
            while let Some(sent) = self.next_unhandled() {
                self.world.act(Action::Deliver { sent, hearing: Hearing::Now })?;
            }
            self.spread_all()?;
            let client = self.random.index(self.world.clients.len());
            let action = match self.world.clients[client].proposer {
                Some(_) => Action::Wake(client),
                None => Action::Start(client),
            };
            self.world.act(action)?;
        }
        Err("the clients never came to rest".into())
    }

    /// The first client does `task` and must succeed.
    fn must_do(&mut self, task: &Task) -> Result<Value, Broken> {
        for _ in 0..20 {
            self.world.clients[0].change(|client| client.give(task.clone()));
            self.settle()?;
            if self.world.clients[0].last_error.is_none() {
                let newest = self.world.chosen.newest().cloned();
                return newest.ok_or_else(|| "nothing was chosen".into());
            }
        }
        Err(format!("{task:?} failed: {:?}", self.world.clients[0].last_error))
    }

    /// Puts the stores that live at the seats in the places of those that were lost.
    fn replace_the_lost(&mut self) -> Result<(), Broken> {
        loop {
            let value = self.must_do(&Task::Read)?;
            let voters = value.acceptors().now();
            let lost = voters.as_slice().iter().find(|store| !self.world.seats.contains(store));
            let new = self.world.seats.iter().find(|store| !voters.contains(**store));
            let (Some(&lost), Some(&new)) = (lost, new) else { return Ok(()) };
            let task = Task::Replace(self.fresh_change(), lost, new);
            self.must_do(&task)?;
        }
    }

    fn give_work(&mut self) {
        let client = self.random.index(self.world.clients.len());
        if !self.world.clients[client].is_idle() {
            return;
        }
        let change = self.fresh_change();
        let task = match self.random.below(8) {
            _ if self.world.clients[client].known.is_none() => Task::Form(change),
            0..4 => Task::Add(change),
            4 => Task::AddUnless(change, id(change.0 - 3)),
            5 => Task::Read,
            _ => match self.any_replacement() {
                Some((old, new)) => Task::Replace(change, old, new),
                None => Task::Add(change),
            },
        };
        self.world.clients[client].change(|client| client.give(task));
    }

    /// A store that lost its seat, and the one that has it now; or just two of them.
    fn any_replacement(&mut self) -> Option<(StoreId, StoreId)> {
        let voters = self.world.chosen.newest()?.acceptors().now().clone();
        let old = voters.as_slice()[self.random.index(voters.as_slice().len())];
        let outside: Vec<_> =
            self.world.stores.keys().filter(|store| !voters.contains(**store)).collect();
        (!outside.is_empty()).then(|| (old, *outside[self.random.index(outside.len())]))
    }

    fn fresh_change(&mut self) -> ChangeId {
        self.changes += 1;
        id(self.changes)
    }

    fn next_unhandled(&mut self) -> Option<u64> {
        let sent = self.world.sent.keys().find(|sent| !self.handled.contains(sent)).copied()?;
        self.handled.insert(sent);
        Some(sent)
    }

    /// A request that was not delivered yet: it arrives or is lost.
    fn fresh(&mut self) -> Option<Action> {
        let fresh: Vec<_> =
            self.world.sent.keys().filter(|sent| !self.handled.contains(sent)).copied().collect();
        let sent = *fresh.get(self.random.index(fresh.len()))?;
        self.handled.insert(sent);
        let hearing = match self.random.below(20) {
            0..13 => Hearing::Now,
            13..17 => Hearing::Late,
            17..19 => Hearing::Never,
            _ => return None,
        };
        Some(Action::Deliver { sent, hearing })
    }

    fn any_sent(&mut self) -> Option<Action> {
        let nth = self.random.index(self.world.sent.len());
        let sent = *self.world.sent.keys().nth(nth)?;
        Some(Action::Deliver { sent, hearing: Hearing::Now })
    }

    fn any_late(&mut self) -> Option<Action> {
        let nth = self.random.index(self.world.late.len());
        self.world.late.keys().nth(nth).map(|late| Action::Hear { late: *late })
    }

    fn any_client(&mut self, action: fn(usize) -> Action) -> Option<Action> {
        let client = self.random.index(self.world.clients.len());
        let is_busy = self.world.clients[client].proposer.is_some();
        let action = action(client);
        (is_busy == matches!(action, Action::Wake(_))).then_some(action)
    }

    fn any_crash(&mut self) -> Option<Action> {
        let again = self.random.below(2) == 0;
        let client = self.random.index(self.world.clients.len());
        let may = self.world.faults.crashes > 0 && self.world.clients[client].proposer.is_some();
        may.then_some(Action::Crash { client, again })
    }

    fn any_wipe(&mut self) -> Option<Action> {
        let seat = self.random.index(self.world.seats.len());
        (self.world.faults.wipes > 0).then_some(Action::Wipe(seat))
    }

    fn any_spread(&mut self) -> Option<Action> {
        self.world.chosen.newest()?;
        let nth = self.random.index(self.world.stores.len());
        self.world.faults.spreads += 1;
        self.world.stores.keys().nth(nth).map(|store| Action::Spread(*store))
    }

    fn spread_all(&mut self) -> Result<(), Broken> {
        let Some(newest) = self.world.chosen.newest().cloned() else { return Ok(()) };
        let names: Vec<_> = self.world.stores.keys().copied().collect();
        for store in names {
            self.world.faults.spreads += 1;
            self.world.act(Action::Spread(store))?;
        }
        for number in 0..self.world.clients.len() {
            self.world.gossip(number, &newest)?;
        }
        Ok(())
    }
}

/// Marsaglia's xorshift, 64 bits.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len.max(1) as u64)).unwrap()
    }
}

fn formed() -> World {
    let value = first(id(1), &stores(&[1, 2, 3, 4, 5]));
    let mut world = World::blank(1..=7, 5).holding(&value, &[1, 2, 3]);
    for _ in 0..4 {
        world = world.client(ATTEMPTS_MAX, []);
    }
    world.faults(Faults { crashes: 20, ..Faults::default() })
}

fn blank() -> World {
    let mut world = World::blank(1..=5, 5);
    for _ in 0..3 {
        world = world.client(ATTEMPTS_MAX, []);
    }
    world
}

/// Runs `story` over many seeds; the first broken law, with its seed.
fn run_seeds(seeds: u64, story: impl Fn(u64) -> Result<(), Broken>) -> Result<(), Broken> {
    (1..=seeds).try_for_each(|seed| story(seed).map_err(|law| format!("SEED={seed}: {law}")))
}

/// Changes, replacements, reads and crashes on a formed register, then one more change.
fn change_at_random(world: World, seed: u64) -> Result<(), Broken> {
    let mut run = Run::new(world, seed);
    run.disturb()?;
    run.settle()?;
    let last = run.fresh_change();
    run.must_do(&Task::Add(last)).map(|_| ())
}

/// Formation while up to `wipes` seeds lose their disks; then the register must form, and every
/// lost store be replaced, twice.
fn form_at_random(wipes: u32, seed: u64) -> Result<(), Broken> {
    let faults = Faults { wipes, crashes: 20, ..Faults::default() };
    let mut run = Run::new(blank().faults(faults), seed);
    run.disturb()?;
    run.settle()?;
    if run.world.chosen.newest().is_none() {
        let change = run.fresh_change();
        run.must_do(&Task::Form(change))?;
    }
    run.spread_all()?;
    run.replace_the_lost()?;
    run.world.faults.wipes = 1;
    run.disturb()?;
    run.settle()?;
    run.replace_the_lost()
}

#[test]
fn five_acceptors_keep_every_law_in_random_schedules() {
    run_seeds(SEEDS, |seed| change_at_random(formed(), seed)).unwrap();
}

#[test]
fn five_seeds_form_one_register_and_replace_what_is_lost() {
    run_seeds(SEEDS, |seed| form_at_random(2, seed)).unwrap();
}

#[test]
fn random_schedules_notice_what_is_planted() {
    for flaw in [
        Flaw::NewMajorityAlone,
        Flaw::NewerAcceptorsIgnored,
        Flaw::AppliesTwice,
        Flaw::RejectsByUnchosen,
        Flaw::BreaksPromise,
    ] {
        let noticed =
            plant(flaw, || run_seeds(10 * SEEDS, |seed| change_at_random(formed(), seed)));
        println!("{flaw:?}: {}", noticed.expect_err("the planted flaw was not noticed"));
    }
}

#[test]
fn random_schedules_notice_a_blank_store_under_its_old_name() {
    let faults = Faults { wipes: 2, ..Faults::default() };
    let world = formed().faults(faults).broken_by(Breakage::WipedKeepsName);
    run_seeds(SEEDS, |seed| change_at_random(world.clone(), seed)).unwrap_err();
}
