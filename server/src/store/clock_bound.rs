//! Below which bound this node may have given write times: the record that keeps its clock from
//! going back over a restart.
//!
//! The bound is on disk before a time near it is given, so a start that gives nothing at or below
//! the bound repeats nothing, wherever the wall clock stands by then.
//!
//! ```text
//! local: "clock-bound" -> version 1 (u8), microseconds since the Unix epoch i64, crc32 u32
//! ```
//!
//! Callers: `node` at its start, `upkeep` renews. No clock: times are arguments.

use bytes::Bytes;

use super::commit::{Mutation, View};
use super::engine::{Batch, Durability, Engine, EngineError, Family};

const KEY: &str = "clock-bound";
const VERSION: u8 = 1;

/// What a hybrid clock starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockStart {
    /// It gives nothing at or below this.
    pub floor_us: i64,
    /// Nor, before a renewal, anything above this.
    pub bound_us: i64,
}

/// Reads the bound and puts one on disk that lies `lease_us` ahead of it and of the wall clock,
/// before the commit loop runs.
///
/// A record that cannot be read is logged and counts as none: the wall clock is then what is left.
///
/// # Errors
/// [`EngineError`]: no time may be given.
pub fn boot(engine: &dyn Engine, wall_us: i64, lease_us: i64) -> Result<ClockStart, EngineError> {
    let found = engine.get(Family::Local, KEY.as_bytes())?;
    let known = found.as_ref().map(|bytes| decode(bytes));
    if known == Some(None) {
        tracing::error!("the bound of write times on disk cannot be read: the wall clock counts");
    }
    let floor_us = known.flatten().unwrap_or(i64::MIN);
    let bound_us = floor_us.max(wall_us).saturating_add(lease_us);
    let mut batch = Batch::default();
    batch.put(Family::Local, KEY, encode(bound_us));
    engine.commit(&batch, Durability::Synced)?;
    Ok(ClockStart { floor_us, bound_us })
}

/// Puts a higher bound on disk; it counts once the commit is answered.
#[derive(Debug, Clone, Copy)]
pub struct RaiseBound {
    /// The bound.
    pub bound_us: i64,
}

impl Mutation for RaiseBound {
    type Answer = ();

    fn size(&self) -> usize {
        KEY.len() + RECORD_BYTES
    }

    fn may_use_reserve(&self) -> bool {
        true
    }

    fn run(self, view: &mut View<'_>) {
        view.put(Family::Local, KEY, encode(self.bound_us));
    }
}

const RECORD_BYTES: usize = 1 + 8 + 4;

fn encode(bound_us: i64) -> Bytes {
    let mut bytes = Vec::with_capacity(RECORD_BYTES);
    bytes.push(VERSION);
    bytes.extend_from_slice(&bound_us.to_be_bytes());
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    bytes.into()
}

fn decode(bytes: &[u8]) -> Option<i64> {
    let (content, checksum) = bytes.split_last_chunk()?;
    if crc32fast::hash(content) != u32::from_be_bytes(*checksum) {
        return None;
    }
    let (&[VERSION], bound) = content.split_first_chunk()? else { return None };
    Some(i64::from_be_bytes(bound.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::super::commit::{Committer, Promise};
    use super::super::memory::MemoryDisk;
    use super::super::open_in_memory;
    use super::*;
    use crate::clock::{Clock, HybridClock, LEASE_US, SystemClock};

    const HOUR_US: i64 = 3_600_000_000;

    #[derive(Debug, Default)]
    struct Wall(AtomicI64);

    impl Clock for Wall {
        fn wall_us(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
        fn now(&self) -> tokio::time::Instant {
            SystemClock.now()
        }
    }

    /// A node's clock and the store that keeps its bound.
    struct Node {
        wall: Arc<Wall>,
        disk: MemoryDisk,
        clock: HybridClock,
        committer: Committer,
    }

    impl Node {
        fn start(wall: Arc<Wall>, disk: MemoryDisk) -> Self {
            let opened = open_in_memory(&disk, &mut || 7).unwrap();
            let start = boot(opened.engine.as_ref(), wall.wall_us(), LEASE_US).unwrap();
            let ticking: Arc<dyn Clock> = Arc::<Wall>::clone(&wall);
            let clock = HybridClock::new(ticking, start.floor_us, start.bound_us);
            let committer = Committer::new(opened, Promise::AfterSync).unwrap();
            Self { wall, disk, clock, committer }
        }

        /// Cuts the power and starts anew.
        fn crash(self) -> Self {
            let Self { wall, disk, clock, committer } = self;
            drop((clock, committer));
            disk.crash(0);
            Self::start(wall, disk)
        }

        fn pass(&self, us: i64) {
            self.wall.0.fetch_add(us, Ordering::Relaxed);
        }

        fn renew(&mut self) {
            if let Some(bound_us) = self.clock.wanted_bound_us() {
                self.committer.run(RaiseBound { bound_us }).unwrap();
                self.clock.raise_bound(bound_us);
            }
        }
    }

    fn node(wall_us: i64) -> Node {
        Node::start(Arc::new(Wall(AtomicI64::new(wall_us))), MemoryDisk::new())
    }

    #[test]
    fn write_times_go_on_rising_when_the_wall_clock_was_set_back_an_hour_before_a_restart() {
        let mut node = node(10 * HOUR_US);
        assert_eq!(node.clock.tick_us(), 10 * HOUR_US);
        node.pass(LEASE_US / 2 + 1);
        node.renew();
        let last = node.clock.tick_us();
        node.pass(-HOUR_US);
        let mut node = node.crash();
        let next = node.clock.tick_us();
        assert!(next > last && next < last + 2 * LEASE_US, "{next} after {last}");
        let times: Vec<_> = (0..1_000).map(|_| node.clock.tick_us()).collect();
        assert!(next < times[0] && times.is_sorted_by(|one, other| one < other));
        node.renew();
        node.pass(2 * HOUR_US);
        node.renew();
        assert_eq!(node.clock.tick_us(), node.wall.wall_us(), "it is right again");
    }

    #[test]
    fn a_bound_that_a_crash_took_was_never_used() {
        let node = node(HOUR_US);
        node.pass(HOUR_US);
        let last = (0..1_000).map(|_| node.clock.tick_us()).last().unwrap();
        assert!(last < HOUR_US + LEASE_US, "the renewal is not on disk");
        assert_eq!(node.clock.wanted_bound_us(), Some(2 * HOUR_US + LEASE_US));
        node.pass(-HOUR_US);
        let node = node.crash();
        assert!(node.clock.tick_us() > last);
    }

    #[test]
    fn an_unreadable_bound_counts_as_none_and_every_bit_is_looked_at() {
        let bytes = encode(HOUR_US);
        assert_eq!(decode(&bytes), Some(HOUR_US));
        assert_eq!(bytes[..9], [1, 0, 0, 0, 0, 0xd6, 0x93, 0xa4, 0]);
        for bit in 0..bytes.len() * 8 {
            let mut spoilt = bytes.to_vec();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&spoilt), None);
        }
        assert_eq!(decode(&[]), None);
        let disk = MemoryDisk::new();
        let mut batch = Batch::default();
        batch.put(Family::Local, KEY, &b"?"[..]);
        disk.open().commit(&batch, Durability::Synced).unwrap();
        let start = boot(&disk.open(), 5, 10).unwrap();
        assert_eq!(start, ClockStart { floor_us: i64::MIN, bound_us: 15 });
        let start = boot(&disk.open(), 5, 10).unwrap();
        assert_eq!(start, ClockStart { floor_us: 15, bound_us: 25 });
    }

    /// Ticks, jumps of the wall clock in both directions, renewals that are late or lost, crashes.
    #[test]
    fn no_time_is_given_twice_or_goes_back_whatever_happens() {
        for seed in 0..200 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut node = node(100 * HOUR_US);
            let mut last = i64::MIN;
            for _ in 0..300 {
                match random.next_u32() % 16 {
                    0 => node = node.crash(),
                    1 => node.pass(i64::from(random.next_u32()) - i64::from(random.next_u32())),
                    2..5 => node.renew(),
                    5 => {
                        // On disk, but the clock has not heard of it.
                        if let Some(bound_us) = node.clock.wanted_bound_us() {
                            node.committer.run(RaiseBound { bound_us }).unwrap();
                        }
                    }
                    _ => {
                        node.pass(i64::from(random.next_u32() % 1_000_000));
                        let next = node.clock.tick_us();
                        assert!(next > last, "seed {seed}: {next} after {last}");
                        last = next;
                    }
                }
            }
        }
    }
}
