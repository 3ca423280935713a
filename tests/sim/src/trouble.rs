//! One fault at a time: how it begins and how it is mended.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use server::clock::Random;
use server::store::engine::Family;
use server::store::memory::{MemoryDisk, Room};
use turmoil::Sim;

use crate::copies;
use crate::fabric::Fabric;
use crate::host::{Host, NODES, address};
use crate::ledger::Ledger;
use crate::record::Record;
use crate::writer::{self, WRITERS};

/// How long a message takes on a link that is slow.
const SLOW_LINK: Duration = Duration::from_millis(700);

/// How long a message takes on any other, at most.
pub(crate) const LATENCY_MAX: Duration = Duration::from_millis(8);

/// How much longer a slow disk takes.
const SLOW_DISK: Duration = Duration::from_millis(300);

/// How far a wall clock jumps.
const JUMP_US: i64 = 3_600_000_000;

/// Something that is wrong now.
pub(crate) enum Trouble {
    /// Nothing passes in these directions.
    Cut(Vec<(IpAddr, IpAddr)>),
    /// A node is down.
    Down(u8),
    /// Messages between two nodes take long.
    SlowLink(u8, u8),
    /// The disk of a node takes long.
    SlowDisk(u8),
    /// Messages between two nodes come twice and out of order.
    Meddled(u8, u8),
    /// The wall clock of a node is wrong by so many microseconds.
    ClockAhead(u8, i64),
    /// The disk of a node takes no rows.
    FullDisk(u8),
}

impl Trouble {
    /// Whether the node is down.
    pub(crate) fn is_down(&self, node: u8) -> bool {
        matches!(self, Self::Down(it) if *it == node)
    }
}

/// What faults are made in.
pub(crate) struct World {
    pub(crate) hosts: Vec<Rc<Host>>,
    pub(crate) fabric: Fabric,
    pub(crate) ledger: Rc<Ledger>,
    pub(crate) record: Record,
    pub(crate) random: Random,
}

impl World {
    /// Parts the nodes into two groups that do not hear each other.
    pub(crate) fn split(&self, now: Duration) -> Option<Trouble> {
        let sides = self.random.next_u64();
        let is_left = |node: &u8| sides >> node & 1 == 0;
        let (left, right): (Vec<u8>, Vec<u8>) = (0..NODES).partition(is_left);
        let pairs = left.iter().flat_map(|one| right.iter().map(|other| (*one, *other)));
        let both = |(one, other)| [(address(one), address(other)), (address(other), address(one))];
        self.cut(pairs.flat_map(both).collect(), now)
    }

    pub(crate) fn cut_one_way(&self, from: u8, to: u8, now: Duration) -> Option<Trouble> {
        self.cut(vec![(address(from), address(to))], now)
    }

    fn cut(&self, ways: Vec<(IpAddr, IpAddr)>, now: Duration) -> Option<Trouble> {
        for (from, to) in &ways {
            self.fabric.cut(*from, *to, now);
        }
        (!ways.is_empty()).then_some(Trouble::Cut(ways))
    }

    /// Ends a node as SIGKILL does: its connections end, and the disk has what it was told.
    pub(crate) fn kill(&self, sim: &mut Sim<'_>, node: u8) -> Trouble {
        self.record.note_at(sim.elapsed(), format_args!("kill {node}"));
        sim.crash(address(node));
        Trouble::Down(node)
    }

    /// Ends a node as a cut of its power does: nobody is told, and what was not synced is lost.
    pub(crate) fn cut_power(&self, sim: &mut Sim<'_>, node: u8) -> Trouble {
        let now = sim.elapsed();
        self.record.note_at(now, format_args!("cut the power of {node}"));
        for other in others(node) {
            self.fabric.cut(address(node), other, now);
            self.fabric.cut(other, address(node), now);
        }
        sim.crash(address(node));
        self.host(node).lose_power(&self.random);
        Trouble::Down(node)
    }

    /// Ends a node in good order.
    pub(crate) fn stop(&self, node: u8, now: Duration) -> Trouble {
        self.record.note_at(now, format_args!("stop {node}"));
        self.host(node).stop();
        Trouble::Down(node)
    }

    pub(crate) fn slow_link(&self, sim: &mut Sim<'_>, one: u8, other: u8) -> Trouble {
        self.record.note_at(sim.elapsed(), format_args!("slow link {one} {other}"));
        sim.set_link_max_message_latency(address(one), address(other), SLOW_LINK);
        Trouble::SlowLink(one, other)
    }

    pub(crate) fn slow_disk(&self, node: u8, now: Duration) -> Trouble {
        self.record.note_at(now, format_args!("slow disk {node}"));
        self.host(node).slow_down(SLOW_DISK);
        Trouble::SlowDisk(node)
    }

    /// Doubles and holds back messages between two nodes.
    pub(crate) fn meddle(&self, one: u8, other: u8, now: Duration) -> Trouble {
        self.record.note_at(now, format_args!("meddle {one} {other}"));
        self.fabric.meddle(address(one), address(other), true);
        Trouble::Meddled(one, other)
    }

    /// Sets the wall clock of a node an hour ahead or back.
    pub(crate) fn jump_clock(&self, node: u8, now: Duration) -> Trouble {
        let by_us = if self.random.below(2) == 0 { JUMP_US } else { -JUMP_US };
        self.record.note_at(now, format_args!("clock of {node} jumps by {by_us}"));
        self.host(node).jump(by_us);
        Trouble::ClockAhead(node, by_us)
    }

    /// Leaves a node nothing but its reserve, or nothing at all.
    pub(crate) fn fill_disk(&self, node: u8, now: Duration) -> Trouble {
        let room = if self.random.below(3) == 0 { Room::None } else { Room::ReserveOnly };
        self.record.note_at(now, format_args!("full disk {node}: {room:?}"));
        self.host(node).set_room(room);
        Trouble::FullDisk(node)
    }

    /// Takes a row from the disk of a node behind its back; whether there was one to take.
    ///
    /// No row loses more than one copy in a run, and none the only copy of something: what was
    /// acknowledged by one node alone is where that node has it, and nowhere else.
    pub(crate) fn lose_row(&self, node: usize, now: Duration) -> bool {
        let Some(metadata) = copies::metadata(&self.hosts) else { return false };
        let rows = copies::rows(&self.hosts[node]).into_keys();
        let may_go: Vec<_> = rows
            .filter_map(|key| Some((copies::row_of(&metadata, &key)?, key)))
            .filter(|(row, _)| !self.ledger.is_weakened(*row))
            .filter(|(_, key)| copies::is_held_elsewhere(&metadata, &self.hosts, node, key))
            .collect();
        let Some((row, key)) = may_go.get(self.random.below(may_go.len())) else { return false };
        self.record.note_at(now, format_args!("{node} loses {} {}", row.0.name(), row.1));
        self.hosts[node].disk().lose(Family::Rows, key);
        self.ledger.weaken(*row);
        true
    }

    /// Whether no row loses its second copy in this run, and none the only copy of something, when
    /// a disk goes back to what it was.
    pub(crate) fn may_lose_since(&self, node: u8, earlier: &MemoryDisk) -> bool {
        let Some(metadata) = copies::metadata(&self.hosts) else { return false };
        let node = usize::from(node);
        copies::changed(&self.hosts[node], earlier).iter().all(|key| {
            copies::row_of(&metadata, key).is_some_and(|row| !self.ledger.is_weakened(row))
                && copies::is_held_elsewhere(&metadata, &self.hosts, node, key)
        })
    }

    /// Ends a node, and cuts its log short: what it had synced since is gone.
    pub(crate) fn cut_log(&self, sim: &mut Sim<'_>, node: u8, earlier: &MemoryDisk) -> Trouble {
        self.record.note_at(sim.elapsed(), format_args!("cut the log of {node}"));
        sim.crash(address(node));
        let metadata = copies::metadata(&self.hosts);
        for key in copies::changed(self.host(node), earlier) {
            let row = metadata.as_ref().and_then(|metadata| copies::row_of(metadata, &key));
            if let Some(row) = row {
                self.ledger.weaken(row);
            }
        }
        self.host(node).disk().lose_since(earlier);
        Trouble::Down(node)
    }

    pub(crate) fn mend(&self, sim: &mut Sim<'_>, trouble: Trouble) {
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
            Trouble::SlowDisk(node) => self.host(node).slow_down(Duration::ZERO),
            Trouble::Meddled(one, other) => {
                self.fabric.meddle(address(one), address(other), false);
            }
            Trouble::ClockAhead(node, by_us) => self.host(node).jump(-by_us),
            Trouble::FullDisk(node) => self.host(node).set_room(Room::Ample),
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
        // On a disk without any room a node does not start: its supervisor waits for room.
        self.host(node).set_room(Room::Ample);
        sim.bounce(address(node));
    }

    fn host(&self, node: u8) -> &Host {
        &self.hosts[usize::from(node)]
    }
}

/// Everybody but one node.
fn others(node: u8) -> impl Iterator<Item = IpAddr> {
    let nodes = (0..NODES).filter(move |other| *other != node).map(address);
    nodes.chain((0..WRITERS).map(writer::address))
}
