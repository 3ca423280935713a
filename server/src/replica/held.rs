//! How much this node holds for others, and how much it may.
//!
//! A node stands in for dead replicas only while what it holds for them stays below a bound: past it
//! it refuses, and is not counted. The sum is kept from the rows' sizes as they come and go, and
//! taken anew from disk by hand-over; in between a row that is written again counts again.

use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of rows that this node holds for others.
#[derive(Debug)]
pub struct Held {
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Held {
    /// Nothing is held yet, and at most this may be.
    pub fn up_to(bytes_max: u64) -> Self {
        Self { bytes: AtomicU64::new(0), bytes_max }
    }

    /// Takes so many bytes more, if there is room.
    pub fn admit(&self, bytes: usize) -> bool {
        let more = |held: u64| held.checked_add(bytes as u64).filter(|sum| *sum <= self.bytes_max);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Says how many there are.
    pub fn set(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// How many there are, about.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_its_bound_a_node_stands_in_no_more_until_rows_have_gone() {
        let held = Held::up_to(10);
        assert!(held.admit(6));
        assert!(!held.admit(5));
        assert!(held.admit(4));
        held.set(3);
        assert!(held.admit(7));
        assert_eq!(held.bytes(), 10);
    }
}
