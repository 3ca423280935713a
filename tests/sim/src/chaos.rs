//! What goes wrong, and when: drawn from the seed, mended after a while.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use server::clock::Random;
use turmoil::Sim;

use crate::fabric::Fabric;
use crate::host::{Host, NODES, address};
use crate::record::Record;
use crate::writer::{self, WRITERS};

/// The pause between two faults, at most.
const PAUSE_MAX: Duration = Duration::from_millis(1_500);

/// How many faults there are at the same time, at most.
const TROUBLES_MAX: usize = 2;

/// How long a message takes on a link that is slow.
const SLOW_LINK: Duration = Duration::from_millis(700);

/// How long a message takes on any other, at most.
pub(crate) const LATENCY_MAX: Duration = Duration::from_millis(8);

/// How much longer a slow disk takes.
const SLOW_DISK: Duration = Duration::from_millis(300);

/// The faults that are, and when the next one comes.
pub(crate) struct Chaos {
    hosts: Vec<Rc<Host>>,
    fabric: Fabric,
    record: Record,
    random: Random,
    next_at: Duration,
    troubles: Vec<(Duration, Trouble)>,
    /// How many there were.
    pub(crate) count: u32,
}

/// Something that is wrong now.
enum Trouble {
    /// Nothing passes in these directions.
    Cut(Vec<(IpAddr, IpAddr)>),
    /// A node is down.
    Down(u8),
    /// Messages between two nodes take long.
    SlowLink(u8, u8),
    /// The disk of a node takes long.
    SlowDisk(u8),
}

impl Chaos {
    pub(crate) fn new(seed: u64, hosts: Vec<Rc<Host>>, fabric: Fabric, record: Record) -> Self {
        let (random, next_at) = (Random::seeded(!seed), Duration::ZERO);
        Self { hosts, fabric, record, random, next_at, troubles: Vec::new(), count: 0 }
    }

    /// Mends what is due, and lets something go wrong if it is time.
    pub(crate) fn pass_time(&mut self, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        let mut due = Vec::new();
        for (until, trouble) in std::mem::take(&mut self.troubles) {
            if until <= now { due.push(trouble) } else { self.troubles.push((until, trouble)) }
        }
        for trouble in due {
            self.mend(sim, trouble);
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
            self.mend(sim, trouble);
        }
    }

    fn begin(&mut self, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        let (one, other) = self.two();
        let (trouble, most_ms) = match self.random.below(12) {
            0 | 1 => (self.split(now), 7_000),
            2 => (self.cut(vec![(address(one), address(other))], now), 7_000),
            3 | 4 => (self.kill(sim, one), 3_000),
            5 | 6 => (self.cut_power(sim, one), 4_000),
            7 => (self.stop(one, now), 4_000),
            8 => (Some(self.slow_link(sim, one, other)), 3_000),
            9 | 10 => return self.cut_all_power(sim),
            _ => (Some(self.slow_disk(one, now)), 3_000),
        };
        let Some(trouble) = trouble else { return };
        self.count += 1;
        let lasts = self.random.up_to(Duration::from_millis(most_ms));
        self.troubles.push((now + Duration::from_millis(200) + lasts, trouble));
    }

    /// Two different nodes.
    fn two(&self) -> (u8, u8) {
        let one = self.random.below(NODES.into());
        let other = (one + 1 + self.random.below(usize::from(NODES) - 1)) % usize::from(NODES);
        let node = |node| u8::try_from(node).expect("there are few nodes");
        (node(one), node(other))
    }

    /// Parts the nodes into two groups that do not hear each other.
    fn split(&self, now: Duration) -> Option<Trouble> {
        let sides = self.random.next_u64();
        let is_left = |node: &u8| sides >> node & 1 == 0;
        let (left, right): (Vec<u8>, Vec<u8>) = (0..NODES).partition(is_left);
        let pairs = left.iter().flat_map(|one| right.iter().map(|other| (*one, *other)));
        let both = |(one, other)| [(address(one), address(other)), (address(other), address(one))];
        self.cut(pairs.flat_map(both).collect(), now)
    }

    fn cut(&self, ways: Vec<(IpAddr, IpAddr)>, now: Duration) -> Option<Trouble> {
        for (from, to) in &ways {
            self.fabric.cut(*from, *to, now);
        }
        (!ways.is_empty()).then_some(Trouble::Cut(ways))
    }

    /// Ends a node as SIGKILL does: its connections end, and the disk has what it was told.
    fn kill(&self, sim: &mut Sim<'_>, node: u8) -> Option<Trouble> {
        self.is_up(node).then(|| {
            self.record.note_at(sim.elapsed(), format_args!("kill {node}"));
            sim.crash(address(node));
            Trouble::Down(node)
        })
    }

    /// Ends a node as a cut of its power does: nobody is told, and what was not synced is lost.
    fn cut_power(&self, sim: &mut Sim<'_>, node: u8) -> Option<Trouble> {
        self.is_up(node).then(|| {
            let now = sim.elapsed();
            self.record.note_at(now, format_args!("cut the power of {node}"));
            for other in others(node) {
                self.fabric.cut(address(node), other, now);
                self.fabric.cut(other, address(node), now);
            }
            sim.crash(address(node));
            self.hosts[usize::from(node)].lose_power(&self.random);
            Trouble::Down(node)
        })
    }

    /// Cuts the power of the whole cluster. Each node comes back in its own time.
    fn cut_all_power(&mut self, sim: &mut Sim<'_>) {
        self.count += 1;
        for node in 0..NODES {
            if let Some(trouble) = self.cut_power(sim, node) {
                let lasts = self.random.up_to(Duration::from_secs(2));
                self.troubles.push((sim.elapsed() + lasts, trouble));
            }
        }
    }

    /// Ends a node in good order.
    fn stop(&self, node: u8, now: Duration) -> Option<Trouble> {
        self.is_up(node).then(|| {
            self.record.note_at(now, format_args!("stop {node}"));
            self.hosts[usize::from(node)].stop();
            Trouble::Down(node)
        })
    }

    fn slow_link(&self, sim: &mut Sim<'_>, one: u8, other: u8) -> Trouble {
        self.record.note_at(sim.elapsed(), format_args!("slow link {one} {other}"));
        sim.set_link_max_message_latency(address(one), address(other), SLOW_LINK);
        Trouble::SlowLink(one, other)
    }

    fn slow_disk(&self, node: u8, now: Duration) -> Trouble {
        self.record.note_at(now, format_args!("slow disk {node}"));
        self.hosts[usize::from(node)].slow_down(SLOW_DISK);
        Trouble::SlowDisk(node)
    }

    fn is_up(&self, node: u8) -> bool {
        !self
            .troubles
            .iter()
            .any(|(_, trouble)| matches!(trouble, Trouble::Down(it) if *it == node))
    }

    fn mend(&self, sim: &mut Sim<'_>, trouble: Trouble) {
        let now = sim.elapsed();
        match trouble {
            Trouble::Cut(ways) => {
                for (from, to) in &ways {
                    self.fabric.mend(*from, *to, now);
                }
            }
            Trouble::Down(node) => self.start(sim, node),
            Trouble::SlowLink(one, other) => {
                sim.set_link_max_message_latency(address(one), address(other), LATENCY_MAX);
            }
            Trouble::SlowDisk(node) => self.hosts[usize::from(node)].slow_down(Duration::ZERO),
        }
    }

    fn start(&self, sim: &mut Sim<'_>, node: u8) {
        let now = sim.elapsed();
        self.record.note_at(now, format_args!("start {node}"));
        if sim.is_host_running(address(node)) {
            // It was told to stop and still drains; the supervisor is impatient.
            sim.crash(address(node));
        }
        for other in others(node) {
            // Whoever still has a connection to the node before finds that this one does not.
            self.fabric.break_between(address(node), other);
            self.fabric.mend(address(node), other, now);
            self.fabric.mend(other, address(node), now);
        }
        sim.bounce(address(node));
    }
}

/// Everybody but one node.
fn others(node: u8) -> impl Iterator<Item = IpAddr> {
    let nodes = (0..NODES).filter(move |other| *other != node).map(address);
    nodes.chain((0..WRITERS).map(writer::address))
}
