//! How many bytes of rows the exchanges of this node may move in a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;

/// So long may be spent at once after a rest.
const BURST: Duration = Duration::from_secs(1);

/// A rate that all exchanges share.
#[derive(Debug)]
pub(super) struct Budget {
    clock: Arc<dyn Clock>,
    bytes_per_second: u64,
    /// When all that was spent is paid for.
    paid_at: Mutex<Option<Instant>>,
}

impl Budget {
    pub(super) fn new(clock: Arc<dyn Clock>, bytes_per_second: u64) -> Self {
        Self { clock, bytes_per_second: bytes_per_second.max(1), paid_at: Mutex::default() }
    }

    /// Waits until bytes that were moved are within the rate.
    pub(super) async fn spend(&self, bytes: u64) {
        let wait = self.debt(bytes).saturating_sub(BURST);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// How long from now all is paid for.
    fn debt(&self, bytes: u64) -> Duration {
        let now = self.clock.now();
        let price = u128::from(bytes) * 1_000_000 / u128::from(self.bytes_per_second);
        let price = Duration::from_micros(u64::try_from(price).unwrap_or(u64::MAX));
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let paid = paid_at.map_or(now, |paid| paid.max(now)) + price;
        *paid_at = Some(paid);
        paid.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    /// A clock that stands still.
    #[derive(Debug)]
    struct Still(Instant);

    impl Clock for Still {
        fn wall_us(&self) -> i64 {
            0
        }

        fn now(&self) -> Instant {
            self.0
        }
    }

    #[test]
    fn what_is_moved_is_paid_for_at_the_rate() {
        let budget = Budget::new(Arc::new(Still(SystemClock.now())), 1_000);
        assert_eq!(budget.debt(500), Duration::from_millis(500));
        assert_eq!(budget.debt(2_500), Duration::from_secs(3));
        assert_eq!(budget.debt(0), Duration::from_secs(3));
    }
}
