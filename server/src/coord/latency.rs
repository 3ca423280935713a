//! How fast other nodes answer, and what follows from it: whom a read asks first, and when it asks
//! one replica more.
//!
//! Each peer has a histogram for rows and one for stretches of rows; counts are halved every few
//! seconds, so the last ones weigh most and a peer that is not asked is forgotten. One that was asked
//! and says nothing is as slow as its silence is long, before its first answer tells.
//!
//! ```text
//! 1 ms, 1.2 ms     equal: they share the reads
//! 1 ms, 300 ms     the slow one comes last, and first now and then, to see whether it still is
//! ```
//!
//! Laws: equal peers are never told apart by chance alone; a slow one is asked seldom, and never is
//! it forgotten; spare requests are a bounded part of the reads, however slow everybody becomes.
//! Callers: `drive`. Pure: the time is handed in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ring::HostId;

use crate::metadata::{Percentile, SpeculativeRetry};

/// After so long what was counted weighs half.
const HALF_LIFE: Duration = Duration::from_secs(5);

/// Fewer answers than this say nothing.
const ANSWERS_MIN: u32 = 20;

/// A slow peer that was not asked for so long comes first once.
const FORGIVEN_AFTER: Duration = Duration::from_secs(5);

/// A peer is slow that takes more than twice as long as the fastest, and this beyond.
const SLACK: Duration = Duration::from_millis(2);

/// No peer counts as slow before this: timers are no finer.
const PATIENCE_MIN: Duration = Duration::from_millis(1);

/// What part of its answers says how fast a peer is.
const TYPICAL: Percentile = Percentile::of(90);

/// One spare request for so many reads, as a rule.
const READS_A_SPARE: i64 = 10;

/// So many spare requests may be sent at once after a rest.
const SPARES_MAX: i64 = 100;

/// How many peers are remembered.
const PEERS_MAX: usize = 4_096;

/// What a peer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One row.
    Row,
    /// A stretch of rows, which takes longer.
    Stretch,
}

/// How fast each peer answers.
#[derive(Debug)]
pub struct Latencies {
    peers: ArcSwap<BTreeMap<HostId, Arc<Mutex<Peer>>>>,
    /// Spare requests that may be sent, in parts of [`READS_A_SPARE`].
    budget: AtomicI64,
    /// Spare requests that were sent.
    pub spares: AtomicU64,
    /// Spare requests that were answered before their read was over.
    pub spares_won: AtomicU64,
}

#[derive(Debug)]
struct Peer {
    asked_at: Instant,
    /// How many questions it has not answered yet.
    open: u32,
    /// When it last answered, or was asked the first of these.
    silent_since: Instant,
    rows: Histogram,
    stretches: Histogram,
}

impl Peer {
    fn new(now: Instant) -> Self {
        let (rows, stretches) = (Histogram::new(now), Histogram::new(now));
        Self { asked_at: now, open: 0, silent_since: now, rows, stretches }
    }

    fn ask(&mut self, now: Instant) {
        self.asked_at = now;
        if self.open == 0 {
            self.silent_since = now;
        }
        self.open = self.open.saturating_add(1);
    }

    fn answer(&mut self, now: Instant) {
        self.open = self.open.saturating_sub(1);
        self.silent_since = now;
    }

    /// How long it says nothing although it was asked.
    fn silence(&self, now: Instant) -> Duration {
        let silence = now.saturating_duration_since(self.silent_since);
        if self.open == 0 { Duration::ZERO } else { silence }
    }

    fn of(&mut self, kind: Kind) -> &mut Histogram {
        match kind {
            Kind::Row => &mut self.rows,
            Kind::Stretch => &mut self.stretches,
        }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            peers: ArcSwap::default(),
            budget: AtomicI64::new(SPARES_MAX * READS_A_SPARE),
            spares: AtomicU64::new(0),
            spares_won: AtomicU64::new(0),
        }
    }
}

impl Latencies {
    /// A peer is asked now.
    pub fn note_asked(&self, host: HostId, now: Instant) {
        self.with(host, now, |peer| peer.ask(now));
    }

    /// A peer that was asked has answered after `took`, or was given up then.
    pub fn note(&self, host: HostId, kind: Kind, took: Duration, now: Instant) {
        self.with(host, now, |peer| {
            peer.answer(now);
            peer.of(kind).note(took, now);
        });
    }

    /// A peer that was asked has answered what says nothing of its speed.
    pub fn note_refused(&self, host: HostId, now: Instant) {
        self.with(host, now, |peer| peer.answer(now));
    }

    /// Puts slow ones of these, who are equal otherwise, behind the others; equal ones keep their
    /// order.
    pub fn fast_first(&self, hosts: &mut [HostId], now: Instant) {
        if hosts.len() < 2 {
            return;
        }
        let typical = |host: &HostId| self.percentile(*host, Kind::Row, TYPICAL, now);
        let best = hosts.iter().filter_map(typical).min().unwrap_or_default();
        let rank = |host: &HostId| {
            let took = typical(host).unwrap_or_default().max(self.silence(*host, now));
            if took > 2 * best + SLACK { took } else { Duration::ZERO }
        };
        hosts.sort_by_cached_key(rank);
        // Among the fast ones, whoever is to be tried again would be asked by chance only.
        if let Some(at) = hosts.iter().position(|host| self.is_forgiven(*host, now)) {
            hosts[..=at].rotate_right(1);
        }
    }

    /// How long a read waits for these peers before it asks one replica more; none where it never
    /// does.
    ///
    /// `usual`: while too little is known.
    pub fn patience(
        &self,
        retry: SpeculativeRetry,
        hosts: &[HostId],
        kind: Kind,
        usual: Duration,
        now: Instant,
    ) -> Option<Duration> {
        match retry {
            SpeculativeRetry::Never => None,
            SpeculativeRetry::Always => Some(Duration::ZERO),
            SpeculativeRetry::After { ms } => Some(Duration::from_millis(ms.into())),
            SpeculativeRetry::Percentile(part) => {
                // The fastest one's: whoever takes longer may be slow itself, and another is not.
                let known = hosts.iter().filter_map(|host| self.percentile(*host, kind, part, now));
                Some(known.min().unwrap_or(usual).clamp(PATIENCE_MIN, usual.max(PATIENCE_MIN)))
            }
        }
    }

    /// A read begins, which may pay for a part of a spare request.
    pub fn earn(&self) {
        let full = SPARES_MAX * READS_A_SPARE;
        if self.budget.load(Ordering::Relaxed) < full {
            self.budget.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a spare request may be sent, which is paid for then.
    pub fn spend(&self) -> bool {
        let paid = |budget: i64| (budget >= READS_A_SPARE).then_some(budget - READS_A_SPARE);
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid).is_ok()
    }

    /// How long a peer takes in this part of all cases; none while too little is known.
    fn percentile(
        &self,
        host: HostId,
        kind: Kind,
        part: Percentile,
        now: Instant,
    ) -> Option<Duration> {
        let peers = self.peers.load();
        lock(peers.get(&host)?).of(kind).percentile(part, now)
    }

    fn silence(&self, host: HostId, now: Instant) -> Duration {
        let peers = self.peers.load();
        peers.get(&host).map_or(Duration::ZERO, |peer| lock(peer).silence(now))
    }

    /// Whether a peer that may be slow is to be tried again.
    fn is_forgiven(&self, host: HostId, now: Instant) -> bool {
        let peers = self.peers.load();
        let asked_at = peers.get(&host).map(|peer| lock(peer).asked_at);
        asked_at.is_some_and(|asked| now.saturating_duration_since(asked) >= FORGIVEN_AFTER)
    }

    fn with(&self, host: HostId, now: Instant, act: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.peers.load().get(&host) {
            return act(&mut lock(peer));
        }
        self.peers.rcu(|peers| {
            let mut peers = BTreeMap::clone(peers);
            if peers.len() < PEERS_MAX {
                peers.entry(host).or_insert_with(|| Arc::new(Mutex::new(Peer::new(now))));
            }
            peers
        });
        if let Some(peer) = self.peers.load().get(&host) {
            act(&mut lock(peer));
        }
    }
}

fn lock(peer: &Mutex<Peer>) -> std::sync::MutexGuard<'_, Peer> {
    peer.lock().expect("nothing panics while it holds this lock")
}

/// Durations by size: four buckets for each doubling, from 64 µs to beyond a minute.
#[derive(Debug)]
struct Histogram {
    counts: [u32; BUCKETS],
    total: u32,
    halved_at: Instant,
}

const BUCKETS: usize = 84;

/// The upper end of the first bucket is `1 << FIRST_OCTAVE` µs.
const FIRST_OCTAVE: u32 = 6;

impl Histogram {
    fn new(now: Instant) -> Self {
        Self { counts: [0; BUCKETS], total: 0, halved_at: now }
    }

    fn note(&mut self, took: Duration, now: Instant) {
        self.forget(now);
        let count = &mut self.counts[bucket_of(took)];
        *count = count.saturating_add(1);
        self.total = self.total.saturating_add(1);
    }

    fn percentile(&mut self, part: Percentile, now: Instant) -> Option<Duration> {
        self.forget(now);
        if self.total < ANSWERS_MIN {
            return None;
        }
        let mut below = part.below(self.total.into());
        for (bucket, count) in self.counts.iter().enumerate() {
            match below.checked_sub(u64::from(*count)) {
                Some(rest) => below = rest,
                None => return Some(end_of(bucket)),
            }
        }
        Some(end_of(BUCKETS - 1))
    }

    /// Halves what was counted, once for each half-life that has passed.
    fn forget(&mut self, now: Instant) {
        let halvings = now.saturating_duration_since(self.halved_at).as_millis();
        let halvings = u32::try_from(halvings / HALF_LIFE.as_millis()).unwrap_or(u32::MAX);
        if halvings == 0 {
            return;
        }
        for count in &mut self.counts {
            *count = count.checked_shr(halvings).unwrap_or(0);
        }
        self.total = self.counts.iter().fold(0, |total, count| total.saturating_add(*count));
        self.halved_at += HALF_LIFE * halvings;
    }
}

fn bucket_of(took: Duration) -> usize {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let Some(octave) = us.max(1).ilog2().checked_sub(FIRST_OCTAVE) else { return 0 };
    let quarter = (us >> (octave + FIRST_OCTAVE - 2)) & 3;
    let bucket = 1 + u64::from(octave) * 4 + quarter;
    usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

/// The least duration that is longer than all of a bucket.
fn end_of(bucket: usize) -> Duration {
    let (octave, quarter) = (bucket / 4, bucket as u64 % 4);
    Duration::from_micros((4 + quarter) << (FIRST_OCTAVE as usize - 2 + octave))
}

#[cfg(test)]
mod tests;
