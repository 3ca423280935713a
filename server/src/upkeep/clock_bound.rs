//! Keeps the bound of write times ahead of them, so that no write waits for its renewal.
//!
//! The rule is [`HybridClock`]'s, the record `store::clock_bound`'s. The bound is looked at several
//! times a lease, also when nobody writes: a first write after a long rest must not bear an old
//! time. A wall clock that jumped ahead wakes the loop at once.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{HybridClock, LEASE_US};
use crate::commits::Commits;
use crate::store::clock_bound::RaiseBound;

const PAUSE: Duration = Duration::from_micros(LEASE_US.unsigned_abs() / 8);

/// Renews the bound for ever.
pub async fn keep(clock: Arc<HybridClock>, commits: Commits) {
    let mut is_failing = false;
    loop {
        if let Some(bound_us) = clock.wanted_bound_us() {
            match commits.submit(RaiseBound { bound_us }).await {
                Ok(()) => {
                    clock.raise_bound(bound_us);
                    is_failing = false;
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "the bound of write times could not be renewed");
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
        }
        tokio::select! {
            biased;
            () = clock.is_held_back() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
