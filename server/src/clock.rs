//! The only place where time and randomness are read.
//!
//! Everything else in the server is handed a [`Clock`] and a [`Random`], so that a simulation can
//! run whole nodes under one virtual clock and one seed, and a test can let a clock jump.
//! Law: [`HybridClock`] never gives the same stamp twice and never goes back, also when the wall
//! clock does or the node restarts. Source: Kulkarni et al., *Logical Physical Clocks* (2014), with the logical part
//! folded into the microseconds.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Where a node reads the time.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Microseconds since the Unix epoch, as the wall clock shows them; may go back.
    fn wall_us(&self) -> i64;

    /// The monotonic clock, for deadlines.
    fn now(&self) -> Instant;
}

/// The operating system's clocks.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one reader of the wall clock")]
    fn wall_us(&self) -> i64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one reader of the monotonic clock")]
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// How far ahead of the time the bound of write times is put, in microseconds.
pub const LEASE_US: i64 = 4_000_000;

/// The end of the lease into which the clock does not follow the wall clock but counts: so many
/// write times are left when a renewal is late.
const RESERVE_US: i64 = LEASE_US / 8;

/// Write times: microseconds since the Unix epoch, each greater than the last, over restarts too.
///
/// All of them lie below a bound that is on disk, and after a start all lie above the one found
/// there. The bound is renewed in the background when half of its lease is left; nobody waits for
/// that: up to the bound the clock follows the wall clock, and where that is further ahead (it was
/// set, or the disk is slow) it counts up below the bound until the renewal is on disk.
///
/// ```text
/// last given ──── wall clock ────────┊ bound - reserve ┊ bound
///                 follows the wall up to here   then counts
/// ```
///
/// Only a disk that has synced nothing for as many writes as the reserve has microseconds lets it
/// count on past the bound; what such a node minted could come again after a crash.
#[derive(Debug)]
pub struct HybridClock {
    clock: Arc<dyn Clock>,
    last_us: AtomicI64,
    bound_us: AtomicI64,
    held_back: Notify,
}

impl HybridClock {
    /// A hybrid clock over `clock` that gives nothing at or below `floor_us`; `bound_us` is on
    /// disk.
    pub fn new(clock: Arc<dyn Clock>, floor_us: i64, bound_us: i64) -> Self {
        let (last_us, bound_us) = (AtomicI64::new(floor_us), AtomicI64::new(bound_us));
        Self { clock, last_us, bound_us, held_back: Notify::new() }
    }

    /// The next write time.
    pub fn tick_us(&self) -> i64 {
        let wall = self.clock.wall_us();
        let reach = self.bound_us.load(Ordering::Acquire).saturating_sub(RESERVE_US);
        if wall > reach {
            self.held_back.notify_one();
        }
        let next = |last: i64| Some(wall.min(reach).max(last.saturating_add(1)));
        match self.last_us.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(last) | Err(last) => wall.min(reach).max(last.saturating_add(1)),
        }
    }

    /// The bound to put on disk now; none while more than half of the lease is left.
    pub fn wanted_bound_us(&self) -> Option<i64> {
        let now = self.clock.wall_us().max(self.last_us.load(Ordering::Acquire));
        let left = self.bound_us.load(Ordering::Acquire).saturating_sub(now);
        (left < LEASE_US / 2).then_some(now.saturating_add(LEASE_US))
    }

    /// Takes in a bound that is on disk.
    pub fn raise_bound(&self, bound_us: i64) {
        self.bound_us.fetch_max(bound_us, Ordering::AcqRel);
    }

    /// Waits until the bound holds the clock back behind the wall clock.
    pub async fn is_held_back(&self) {
        self.held_back.notified().await;
    }
}

/// Where a node draws its randomness: identities, jitter, choices between equal peers.
#[derive(Clone)]
pub struct Random(Arc<Mutex<StdRng>>);

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    /// Randomness from the operating system.
    pub fn system() -> Self {
        Self::from_rng(StdRng::from_rng(&mut rand::rng()))
    }

    /// Randomness that a seed fixes.
    pub fn seeded(seed: u64) -> Self {
        Self::from_rng(StdRng::seed_from_u64(seed))
    }

    fn from_rng(rng: StdRng) -> Self {
        Self(Arc::new(Mutex::new(rng)))
    }

    /// Sixteen random bytes.
    pub fn next_u128(&self) -> u128 {
        let mut rng = self.0.lock().expect("drawing a number does not panic");
        u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())
    }

    /// Eight random bytes.
    pub fn next_u64(&self) -> u64 {
        self.0.lock().expect("drawing a number does not panic").next_u64()
    }

    /// A number below `bound`; 0 where that is 0.
    pub fn below(&self, bound: usize) -> usize {
        let drawn = self.next_u64().checked_rem(bound as u64).unwrap_or(0);
        usize::try_from(drawn).expect("what is below a length is a length")
    }

    /// A duration between nothing and `most`, evenly spread.
    pub fn up_to(&self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(if nanos == 0 { 0 } else { self.next_u64() % nanos })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wall clock that a test sets.
    #[derive(Debug)]
    struct Wall(AtomicI64);

    impl Clock for Wall {
        fn wall_us(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
        fn now(&self) -> Instant {
            SystemClock.now()
        }
    }

    fn clock(wall_us: i64, floor_us: i64, bound_us: i64) -> (Arc<Wall>, HybridClock) {
        let wall = Arc::new(Wall(AtomicI64::new(wall_us)));
        (Arc::clone(&wall), HybridClock::new(wall, floor_us, bound_us))
    }

    #[test]
    fn write_times_rise_while_the_wall_clock_stands_or_lies_behind() {
        let (_, hybrid) = clock(100, 500, LEASE_US);
        assert_eq!([hybrid.tick_us(), hybrid.tick_us(), hybrid.tick_us()], [501, 502, 503]);
        let (wall, hybrid) = clock(100, 0, LEASE_US);
        assert_eq!([hybrid.tick_us(), hybrid.tick_us()], [100, 101]);
        wall.0.store(50, Ordering::Relaxed);
        assert_eq!(hybrid.tick_us(), 102);
    }

    #[test]
    fn a_wall_clock_that_jumped_ahead_is_followed_only_when_the_bound_is_on_disk() {
        let (wall, hybrid) = clock(100, 0, LEASE_US);
        assert_eq!(hybrid.wanted_bound_us(), None);
        wall.0.store(3_600_000_000, Ordering::Relaxed);
        let reach = LEASE_US - RESERVE_US;
        assert_eq!([hybrid.tick_us(), hybrid.tick_us()], [reach, reach + 1]);
        let bound = hybrid.wanted_bound_us().unwrap();
        assert_eq!(bound, 3_600_000_000 + LEASE_US);
        assert_eq!(hybrid.tick_us(), reach + 2, "nobody waits");
        hybrid.raise_bound(bound);
        assert_eq!((hybrid.tick_us(), hybrid.wanted_bound_us()), (3_600_000_000, None));
        hybrid.raise_bound(bound - 1);
        assert_eq!(hybrid.bound_us.load(Ordering::Relaxed), bound, "a bound never goes back");
    }

    #[test]
    fn a_lease_is_renewed_when_half_of_it_is_left() {
        let (wall, hybrid) = clock(0, 0, LEASE_US);
        wall.0.store(LEASE_US / 2, Ordering::Relaxed);
        assert_eq!(hybrid.wanted_bound_us(), None);
        wall.0.store(LEASE_US / 2 + 1, Ordering::Relaxed);
        assert_eq!(hybrid.wanted_bound_us(), Some(LEASE_US / 2 + 1 + LEASE_US));
    }

    #[test]
    fn a_hundred_thousand_writes_during_a_stall_of_the_disk_stay_below_the_bound() {
        let (wall, hybrid) = clock(LEASE_US - 1, 0, LEASE_US);
        let mut last = 0;
        for step in 0..100_000 {
            wall.0.store(LEASE_US + step * 50, Ordering::Relaxed);
            let next = hybrid.tick_us();
            assert!(last < next && next < LEASE_US, "{next} after {last}");
            last = next;
        }
    }

    #[test]
    fn times_given_to_several_threads_are_all_different() {
        let (_, hybrid) = clock(100, 0, LEASE_US);
        let times: Vec<i64> = std::thread::scope(|scope| {
            let ticks = || (0..1_000).map(|_| hybrid.tick_us()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ticks)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let different: std::collections::BTreeSet<_> = times.iter().collect();
        assert_eq!(different.len(), times.len());
    }
}
