//! The only place where time and randomness are read.
//!
//! Everything else in the server is handed a [`Clock`] and a [`Random`], so that a simulation can
//! run whole nodes under one virtual clock and one seed, and a test can let a clock jump.
//! Law: [`HybridClock`] never gives the same stamp twice and never goes back, also when the wall
//! clock does. Source: Kulkarni et al., *Logical Physical Clocks* (2014), with the logical part
//! folded into the microseconds.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
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

/// Write times: microseconds since the Unix epoch, each greater than the last.
#[derive(Debug)]
pub struct HybridClock {
    clock: Arc<dyn Clock>,
    last_us: AtomicI64,
}

impl HybridClock {
    /// A hybrid clock over `clock` that gives nothing at or below `floor_us`.
    pub fn new(clock: Arc<dyn Clock>, floor_us: i64) -> Self {
        Self { clock, last_us: AtomicI64::new(floor_us) }
    }

    /// The next write time.
    pub fn tick_us(&self) -> i64 {
        let wall = self.clock.wall_us();
        let next = |last: i64| Some(wall.max(last.saturating_add(1)));
        match self.last_us.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(last) | Err(last) => wall.max(last.saturating_add(1)),
        }
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

    #[derive(Debug)]
    struct Stopped;

    impl Clock for Stopped {
        fn wall_us(&self) -> i64 {
            100
        }
        fn now(&self) -> Instant {
            SystemClock.now()
        }
    }

    #[test]
    fn write_times_rise_while_the_wall_clock_stands_or_lies_behind() {
        let hybrid = HybridClock::new(Arc::new(Stopped), 500);
        assert_eq!([hybrid.tick_us(), hybrid.tick_us(), hybrid.tick_us()], [501, 502, 503]);
        let hybrid = HybridClock::new(Arc::new(Stopped), 0);
        assert_eq!([hybrid.tick_us(), hybrid.tick_us()], [100, 101]);
    }
}
