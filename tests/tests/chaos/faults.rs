//! What goes wrong, and how it is made good again.

use std::time::Duration;

use anyhow::Result;
use starling_tests::proxy::Condition;
use starling_tests::{Chance, Cluster};

use super::NODES;

/// A fault that lasts for a while.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed(usize),
    Paused(usize),
    /// These two are parted from the other three.
    Parted(usize, usize),
    /// The others do not hear this one, and it hears them.
    Unheard(usize),
    /// This one does not hear the others, and they hear it.
    Deaf(usize),
    /// The first does not reach the second.
    OneWay(usize, usize),
    HalfOpen(usize, usize),
    Slow(usize, usize),
    /// All that this one says and hears.
    Narrow(usize),
    Corrupting(usize, usize),
    Reset(usize),
}

/// Who makes things go wrong, one after the other, as chance will have it.
pub(crate) struct Nemesis {
    chance: Chance,
    /// What has not happened yet in this round of all kinds.
    kinds: Vec<usize>,
    fault: Option<Fault>,
}

const KINDS: usize = 11;

impl Nemesis {
    pub(crate) fn new(chance: Chance) -> Self {
        Self { chance, kinds: Vec::new(), fault: None }
    }

    /// Makes something go wrong.
    pub(crate) fn strike(&mut self, cluster: &mut Cluster) -> Result<()> {
        let fault = self.draw();
        eprintln!("fault: {fault:?}");
        self.fault = Some(fault);
        let others = |node: usize| (0..NODES).filter(move |other| *other != node);
        let links = || cluster.links();
        match fault {
            Fault::Killed(node) => cluster.node(node).kill()?,
            Fault::Paused(node) => cluster.node(node).pause()?,
            Fault::Parted(a, b) => {
                let rest: Vec<_> = (0..NODES).filter(|node| *node != a && *node != b).collect();
                links().part(&[&[a, b], &rest]);
            }
            Fault::Unheard(node) => {
                others(node).for_each(|other| links().set(node, other, &Condition::cut()));
            }
            Fault::Deaf(node) => {
                others(node).for_each(|other| links().set(other, node, &Condition::cut()));
            }
            Fault::OneWay(a, b) => links().set(a, b, &Condition::cut()),
            Fault::HalfOpen(a, b) => links().set(a, b, &Condition::half_open()),
            Fault::Slow(a, b) => {
                let slow = Condition::slow(Duration::from_millis(300));
                links().set_between(a, b, &slow.with_jitter(Duration::from_millis(200)));
            }
            Fault::Narrow(node) => others(node)
                .for_each(|other| links().set_between(node, other, &Condition::narrow(30_000))),
            Fault::Corrupting(a, b) => links().set_between(a, b, &Condition::corrupting(5_000)),
            Fault::Reset(node) => others(node).for_each(|other| {
                links().reset(node, other);
                links().reset(other, node);
            }),
        }
        Ok(())
    }

    /// Makes it good again.
    pub(crate) fn relent(&mut self, cluster: &mut Cluster) -> Result<()> {
        match self.fault.take() {
            Some(Fault::Killed(node)) => cluster.node(node).start()?,
            Some(Fault::Paused(node)) => cluster.node(node).resume()?,
            Some(_) => cluster.links().heal(),
            None => {}
        }
        Ok(())
    }

    /// Makes all good, and waits until every node serves.
    pub(crate) fn heal(&mut self, cluster: &mut Cluster) -> Result<()> {
        self.relent(cluster)?;
        cluster.links().heal();
        cluster.wait_ready()
    }

    /// All kinds come before one comes again.
    fn draw(&mut self) -> Fault {
        if self.kinds.is_empty() {
            self.kinds = (0..KINDS).collect();
        }
        let at = self.chance.below(self.kinds.len());
        let kind = self.kinds.swap_remove(at);
        let a = self.chance.below(NODES);
        let b = (a + 1 + self.chance.below(NODES - 1)) % NODES;
        match kind {
            0 => Fault::Killed(a),
            1 => Fault::Paused(a),
            2 => Fault::Parted(a, b),
            3 => Fault::Unheard(a),
            4 => Fault::Deaf(a),
            5 => Fault::OneWay(a, b),
            6 => Fault::HalfOpen(a, b),
            7 => Fault::Slow(a, b),
            8 => Fault::Narrow(a),
            9 => Fault::Corrupting(a, b),
            _ => Fault::Reset(a),
        }
    }
}
