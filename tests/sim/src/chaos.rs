//! What goes wrong, and when: drawn from the seed, mended after a while.

use std::rc::Rc;
use std::time::Duration;

use server::clock::Random;
use server::store::memory::MemoryDisk;
use turmoil::Sim;

use crate::fabric::Fabric;
use crate::host::{Host, NODES};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::record::Record;
use crate::trouble::{Trouble, World};

/// The pause between two faults, at most.
const PAUSE_MAX: Duration = Duration::from_millis(1_200);

/// How many faults there are at the same time, at most.
const TROUBLES_MAX: usize = 3;

/// How long a fault lasts, at least.
const LASTS_MIN: Duration = Duration::from_millis(200);

/// How many rows a run loses, at most.
const LOSSES_MAX: u32 = 3;

/// The faults that are, and when the next one comes.
pub(crate) struct Chaos {
    plan: Plan,
    world: World,
    random: Random,
    next_at: Duration,
    troubles: Vec<(Duration, Trouble)>,
    losses: u32,
    /// A node's disk as it was before, to which it will go back.
    earlier: Option<(u8, MemoryDisk)>,
    /// Whether some disk has gone back.
    was_log_cut: bool,
    /// How many there were.
    pub(crate) count: u32,
}

impl Chaos {
    pub(crate) fn new(
        seed: u64,
        hosts: Vec<Rc<Host>>,
        fabric: Fabric,
        ledger: Rc<Ledger>,
        record: Record,
    ) -> Self {
        let random = Random::seeded(!seed);
        let world = World { hosts, fabric, ledger, record, random: random.clone() };
        Self {
            plan: Plan::of(seed),
            world,
            random,
            next_at: Duration::ZERO,
            troubles: Vec::new(),
            losses: 0,
            earlier: None,
            was_log_cut: false,
            count: 0,
        }
    }

    /// Mends what is due, and lets something go wrong if it is time.
    pub(crate) fn pass_time(&mut self, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        let (due, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.troubles).into_iter().partition(|(until, _)| *until <= now);
        self.troubles = rest;
        for (_, trouble) in due {
            self.world.mend(sim, trouble);
        }
        if now >= self.next_at {
            self.next_at = now + self.random.up_to(PAUSE_MAX);
            if self.troubles.len() < TROUBLES_MAX {
                self.begin(sim);
            }
        }
    }

    /// Mends everything.
    pub(crate) fn end(&mut self, sim: &mut Sim<'_>) {
        for (_, trouble) in std::mem::take(&mut self.troubles) {
            self.world.mend(sim, trouble);
        }
    }

    fn begin(&mut self, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        let (one, other) = self.two();
        let (trouble, most_ms) = match self.random.below(22) {
            0 | 1 => (self.world.split(now), self.plan.cut_ms_max()),
            2 => (self.world.cut_one_way(one, other, now), self.plan.cut_ms_max()),
            3..6 => (self.if_up(one, |world| world.kill(sim, one)), 3_000),
            6..8 => (self.if_up(one, |world| world.cut_power(sim, one)), 4_000),
            8 => (self.if_up(one, |world| world.stop(one, now)), 4_000),
            9 => (Some(self.world.slow_link(sim, one, other)), 3_000),
            10 => return self.cut_all_power(sim),
            11 => (Some(self.world.slow_disk(one, now)), 3_000),
            12 | 13 => (Some(self.world.meddle(one, other, now)), 6_000),
            14 | 15 if self.plan == Plan::Purges => return,
            14 | 15 => (Some(self.world.jump_clock(one, now)), 5_000),
            16 | 17 => (Some(self.world.fill_disk(one, now)), 3_000),
            18 | 19 => (self.cut_log(sim, one), 3_000),
            _ => return self.lose_row(usize::from(one), now),
        };
        let Some(trouble) = trouble else { return };
        self.count += 1;
        let lasts = LASTS_MIN + self.random.up_to(Duration::from_millis(most_ms));
        self.troubles.push((now + lasts, trouble));
    }

    /// Two different nodes.
    fn two(&self) -> (u8, u8) {
        let one = self.random.below(NODES.into());
        let other = (one + 1 + self.random.below(usize::from(NODES) - 1)) % usize::from(NODES);
        let node = |node| u8::try_from(node).expect("there are few nodes");
        (node(one), node(other))
    }

    /// What happens to a node, if it is up.
    fn if_up(&self, node: u8, act: impl FnOnce(&World) -> Trouble) -> Option<Trouble> {
        let is_down = |(_, trouble): &(Duration, Trouble)| trouble.is_down(node);
        (!self.troubles.iter().any(is_down)).then(|| act(&self.world))
    }

    /// Cuts the power of the whole cluster. Each node comes back in its own time.
    fn cut_all_power(&mut self, sim: &mut Sim<'_>) {
        self.count += 1;
        for node in 0..NODES {
            if let Some(trouble) = self.if_up(node, |world| world.cut_power(sim, node)) {
                let lasts = self.random.up_to(Duration::from_secs(2));
                self.troubles.push((sim.elapsed() + lasts, trouble));
            }
        }
    }

    fn lose_row(&mut self, node: usize, now: Duration) {
        if self.losses < LOSSES_MAX && self.world.lose_row(node, now) {
            self.losses += 1;
            self.count += 1;
        }
    }

    /// Ends a node whose disk then loses the end of its log, once a run: what it will go back to is
    /// set aside first.
    fn cut_log(&mut self, sim: &mut Sim<'_>, node: u8) -> Option<Trouble> {
        if self.was_log_cut {
            return None;
        }
        let Some((node, earlier)) = self.earlier.take() else {
            self.earlier = Some((node, self.world.hosts[usize::from(node)].disk().copy()));
            return None;
        };
        if !self.world.may_lose_since(node, &earlier) {
            return None;
        }
        let trouble = self.if_up(node, |world| world.cut_log(sim, node, &earlier));
        self.was_log_cut = trouble.is_some();
        trouble
    }
}
