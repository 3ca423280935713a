//! A simulated host: the node, and what of it outlives a crash.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use server::clock::{Clock, Random};
use server::config::{Config, Planted};
use server::node::{Environment, Pace, Threads, run_on};
use server::store::memory::{MemoryDisk, Room};
use server::store::open_in_memory;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fabric::Fabric;
use crate::plan::Plan;

/// How many nodes there are.
pub(crate) const NODES: u8 = 5;

/// The nodes that agree on the metadata; the first of them all.
const SEEDS: u8 = 3;

/// Few, for there are few rows.
const PARTITIONS: u32 = 8;

/// The start of the simulation, in microseconds since the Unix epoch.
const EPOCH_US: i64 = 1_790_000_000_000_000;

/// How far the wall clock of a node may be from the true time.
const SKEW_MAX: Duration = Duration::from_millis(200);

/// How long a disk takes for a group of commits, at most.
const SYNC_MAX: Duration = Duration::from_millis(3);

/// The time between two rounds of anti-entropy, and how long a digest is trusted: short, so that a
/// run need not wait for a row to be missed that vanished.
const REPAIR_INTERVAL: Duration = Duration::from_secs(5);
const SCRUB_INTERVAL: Duration = Duration::from_secs(10);

/// What a node says that finds its disk full.
const FULL: &str = "the disk is full";

/// How long a supervisor waits before it starts a node again.
const RESTART: Duration = Duration::from_millis(500);

/// The address of a node.
pub(crate) fn address(node: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, node + 1).into()
}

/// What of a node outlives its process.
pub(crate) struct Host {
    node: u8,
    seed: u64,
    planted: Planted,
    fabric: Fabric,
    disk: MemoryDisk,
    starts: Cell<u64>,
    clock: Arc<HostClock>,
    /// Much more than [`SYNC_MAX`] while the disk is slow, in milliseconds.
    slowness: watch::Sender<Duration>,
    stop: watch::Sender<bool>,
}

impl Host {
    pub(crate) fn new(node: u8, seed: u64, planted: Planted, fabric: Fabric) -> Rc<Self> {
        let skew = i64::try_from(2 * SKEW_MAX.as_micros()).expect("it is short");
        let skew_us = seed.rotate_left(u32::from(node) * 8).cast_signed() % skew / 2;
        Rc::new(Self {
            node,
            seed,
            planted,
            fabric,
            disk: MemoryDisk::new(),
            starts: Cell::new(0),
            clock: Arc::new(HostClock { skew_us: AtomicI64::new(skew_us) }),
            slowness: watch::Sender::new(Duration::ZERO),
            stop: watch::Sender::new(false),
        })
    }

    /// Runs the node until it is told to stop; called for each of its starts. One that finds its disk
    /// full does not start, and is started again as a supervisor would.
    pub(crate) async fn run(self: Rc<Self>) -> turmoil::Result {
        loop {
            match self.start().await {
                Err(error) if error.to_string().contains(FULL) => tokio::time::sleep(RESTART).await,
                ended => return ended,
            }
        }
    }

    async fn start(&self) -> turmoil::Result {
        self.starts.set(self.starts.get() + 1);
        let mut stop = self.stop.subscribe();
        stop.mark_unchanged();
        let random = self.random();
        let opened = open_in_memory(&self.disk, &mut || random.next_u128())?;
        let environment = self.environment(random);
        let stopped = async move {
            // The sender lives as long as the host.
            let _ = stop.changed().await;
        };
        Ok(run_on(self.config(), "simulated", opened, environment, stopped).await?)
    }

    /// Tells the node to end in good order.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Cuts the power of a host whose node runs no more: of what its disk was told and has not
    /// synced, as much survives as `random` says.
    pub(crate) fn lose_power(&self, random: &Random) {
        self.disk.crash(random.below(self.disk.unsynced_bytes() + 1));
    }

    /// What the node has on disk.
    pub(crate) fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    /// Fills the disk of the node, or makes room.
    pub(crate) fn set_room(&self, room: Room) {
        self.disk.set_room(room);
    }

    /// Sets the wall clock ahead by so much, or back; the monotonic clock goes on.
    pub(crate) fn jump(&self, by_us: i64) {
        self.clock.skew_us.fetch_add(by_us, Ordering::Relaxed);
    }

    /// Lets every group of commits take so much longer.
    pub(crate) fn slow_down(&self, by: Duration) {
        self.slowness.send_replace(by);
    }

    /// Another sequence for each host and each of its starts.
    fn random(&self) -> Random {
        let start = self.starts.get() << 8 | u64::from(self.node);
        Random::seeded(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ start)
    }

    fn environment(&self, random: Random) -> Environment {
        let (slowness, disk) = (self.slowness.subscribe(), random.clone());
        let pace = Pace::new(move || *slowness.borrow() + disk.up_to(SYNC_MAX));
        Environment {
            clock: self.clock.clone(),
            random,
            network: Arc::new(self.fabric.of(address(self.node))),
            threads: Threads::None { pace },
        }
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        let seed = |node| SocketAddr::new(address(node), config.internode.port).to_string();
        config.cluster.seeds = (0..SEEDS).map(seed).collect();
        config.cluster.nodes_min = u32::from(NODES);
        config.cluster.partitions = PARTITIONS;
        config.listen.address = address(self.node);
        config.listen.insecure = true;
        config.timeouts.write = Duration::from_secs(1);
        config.timeouts.read = Duration::from_secs(2);
        config.timeouts.metadata = Duration::from_secs(4);
        config.repair.interval = REPAIR_INTERVAL;
        config.repair.scrub_interval = SCRUB_INTERVAL;
        if let Some(age) = Plan::of(self.seed).purge_age() {
            config.gc.age = age;
        }
        config.testing.planted = self.planted;
        config
    }
}

/// A host's clock: the simulated time, and how wrong the wall clock is.
#[derive(Debug)]
struct HostClock {
    skew_us: AtomicI64,
}

impl Clock for HostClock {
    fn wall_us(&self) -> i64 {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default().as_micros();
        let skew_us = self.skew_us.load(Ordering::Relaxed);
        EPOCH_US + skew_us + i64::try_from(elapsed).expect("a simulation is short")
    }

    #[expect(clippy::disallowed_methods, reason = "the simulated clock of the host's runtime")]
    fn now(&self) -> Instant {
        Instant::now()
    }
}
