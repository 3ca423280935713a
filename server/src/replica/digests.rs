//! Digests of what this copy holds: one for each bucket, kept as long as it can be trusted.
//!
//! A digest is always computed from disk. Law: it is trusted while nothing was written to its slice
//! since before its scan began (see [`store::marks`](crate::store::marks)), and no longer than
//! [`DigestOptions::trusted_for`], for rows may vanish without a write. A row that cannot be read has
//! no digest, so that copies which can read it differ; a bucket that cannot be scanned to its end has
//! one that no other node's is equal to.
//!
//! Scans go in short pieces with rests between them, one scan at a time: foreground work never waits
//! for them. Callers: `upkeep/anti_entropy`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use repair::bucket::{Slice, buckets_of, slices_of};
use repair::exchange::PAGE_ROWS_MAX;
use repair::is_sound;
use repair::merkle::{BucketDigest, Digest};
use ring::{HostId, Token};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::store::engine::{Engine, EngineError, Family, KeyRange, Order};
use crate::store::keys::TableLife;
use crate::store::marks::Marks;

/// So many rows are read between two rests, or buckets that have none.
const PIECE: usize = 1_000;

/// What opening a bucket costs, in rows.
const BUCKET_COST: usize = 10;

/// An answer with rows ends with the one that takes it over this size.
const PULL_BYTES_MAX: usize = 1 << 20;

/// Where marks are taken back, so long after the scan, so that this bug shows.
const PLANTED_WINDOW: Duration = Duration::from_millis(20);

/// How digests are kept.
#[derive(Debug, Clone)]
pub struct DigestOptions {
    /// No digest is trusted for longer. Buckets differ in this, by up to a quarter of it, so that they
    /// do not all have to be read at the same time.
    pub trusted_for: Duration,
    /// This node, whose unreadable buckets are like nobody else's.
    pub host: HostId,
    /// Tests plant this bug: marks are taken back when their slices were digested.
    pub clears_marks: bool,
}

/// What a bucket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leaf {
    /// The digest of its rows.
    pub digest: Digest,
    /// How many can be read.
    pub rows: u64,
    /// How many cannot.
    pub unreadable: u64,
}

/// The digests of this copy.
pub struct Digests {
    engine: Arc<dyn Engine>,
    marks: Arc<Marks>,
    clock: Arc<dyn Clock>,
    options: DigestOptions,
    known: Mutex<BTreeMap<(TableLife, u16), Known>>,
    /// Known by the one scan that runs.
    lane: tokio::sync::Mutex<()>,
}

/// The digests of a partition.
enum Known {
    /// Of one without rows, all of one age.
    Empty(Age),
    /// One for each bucket.
    Buckets(Vec<(Leaf, Age)>),
}

/// When a digest was computed.
#[derive(Clone, Copy)]
struct Age {
    /// The sequence number of the store before the scan.
    sequence: u64,
    at: Instant,
}

/// Digests of rows in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowDigests {
    /// Keys and digests.
    pub rows: Vec<(Bytes, Digest)>,
    /// The last key where there may be more behind it.
    pub until: Option<Bytes>,
}

/// Rows that were asked for by their digests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundRows {
    /// Keys and stored values.
    pub rows: Vec<(Bytes, Bytes)>,
    /// The last key that was looked at where there may be more behind it.
    pub until: Option<Bytes>,
}

impl std::fmt::Debug for Digests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digests").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Digests {
    /// No digests yet of what `engine` holds.
    pub fn new(
        engine: Arc<dyn Engine>,
        marks: Arc<Marks>,
        clock: Arc<dyn Clock>,
        options: DigestOptions,
    ) -> Self {
        let lane = tokio::sync::Mutex::default();
        Self { engine, marks, clock, options, known: Mutex::default(), lane }
    }

    /// The buckets of a partition of a life of a table, whose number and tokens these are. Those whose
    /// digests cannot be trusted, or are older than `age_max`, are read from disk.
    pub async fn leaves(
        &self,
        life: TableLife,
        partition: u16,
        tokens: &RangeInclusive<Token>,
        age_max: Duration,
    ) -> Vec<Leaf> {
        let _lane = self.lane.lock().await;
        let mut held = self.take(life, partition, tokens);
        let is_unknown = slices_of(tokens)
            .zip(&held)
            .all(|(slice, (_, age))| !self.is_trusted(life, slice, *age, age_max));
        if is_unknown && let Some(age) = self.found_empty(life, tokens) {
            let count = held.len();
            self.keep(life, partition, vec![(Leaf::default(), Some(age)); count]);
            return vec![Leaf::default(); count];
        }
        let mut pause = Pause::new(self.clock.as_ref());
        for (at, (slice, tokens)) in slices_of(tokens).zip(buckets_of(tokens)).enumerate() {
            if self.is_trusted(life, slice, held[at].1, age_max) {
                continue;
            }
            let age = Age { sequence: self.engine.sequence(), at: self.clock.now() };
            let before = held[at].0;
            let scanned = self.scan(life.range_of_tokens(&tokens), &mut pause).await;
            let leaf = scanned.unwrap_or_else(|error| self.unscannable(slice, &error));
            if leaf.unreadable > before.unreadable {
                let count = leaf.unreadable;
                tracing::error!(table = life.table, count, "rows cannot be read: to be mended");
            }
            held[at] = (leaf, Some(age));
        }
        if self.options.clears_marks {
            tokio::time::sleep(PLANTED_WINDOW).await;
            slices_of(tokens).for_each(|slice| self.marks.clear(life, slice));
        }
        let leaves = held.iter().map(|(leaf, _)| *leaf).collect();
        self.keep(life, partition, held);
        leaves
    }

    /// How many rows are known that cannot be read.
    pub fn unreadable(&self) -> u64 {
        let held = self.known();
        let leaves = held.values().filter_map(|held| match held {
            Known::Empty(_) => None,
            Known::Buckets(leaves) => Some(leaves.iter().map(|(leaf, _)| leaf.unreadable)),
        });
        leaves.flatten().sum()
    }

    /// Forgets tables that are gone.
    pub fn retain(&self, is_kept: impl Fn(TableLife) -> bool) {
        self.known().retain(|(life, _), _| is_kept(*life));
        self.marks.retain(is_kept);
    }

    /// The digests of the first rows that can be read in these ranges, which ascend.
    pub async fn rows(&self, ranges: &[KeyRange]) -> RowDigests {
        let mut page = RowDigests::default();
        self.visit(ranges, |key, value| {
            if page.rows.len() == PAGE_ROWS_MAX {
                page.until = page.rows.last().map(|(key, _)| key.clone());
                return ControlFlow::Break(());
            }
            if is_sound(value) {
                page.rows.push((Bytes::copy_from_slice(key), Digest::of_row(key, value)));
            }
            ControlFlow::Continue(())
        })
        .await;
        page
    }

    /// The first rows in these ranges, which ascend, that have one of the wanted digests.
    pub async fn find(
        &self,
        ranges: &[KeyRange],
        wanted: &BTreeSet<Digest>,
        keys_only: bool,
    ) -> FoundRows {
        let mut found = FoundRows::default();
        let mut bytes = 0;
        self.visit(ranges, |key, value| {
            if bytes >= PULL_BYTES_MAX {
                found.until = found.rows.last().map(|(key, _)| key.clone());
                return ControlFlow::Break(());
            }
            if is_sound(value) && wanted.contains(&Digest::of_row(key, value)) {
                let value = if keys_only { &[] } else { value };
                bytes += key.len() + value.len();
                found.rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            }
            ControlFlow::Continue(())
        })
        .await;
        found
    }

    /// The row under a key as it is stored; none where it cannot be read.
    pub fn row(&self, key: &[u8]) -> Option<Bytes> {
        self.engine.get(Family::Rows, key).ok().flatten().filter(|value| is_sound(value))
    }

    fn is_trusted(
        &self,
        life: TableLife,
        slice: Slice,
        age: Option<Age>,
        age_max: Duration,
    ) -> bool {
        age.is_some_and(|Age { sequence, at }| {
            let age = self.clock.now().saturating_duration_since(at);
            self.marks.newest(life, slice..=slice) <= sequence
                && age < age_max
                && age < self.trusted_for(slice)
        })
    }

    /// Between three quarters of the option and all of it, always the same for one slice.
    fn trusted_for(&self, slice: Slice) -> Duration {
        let longest = self.options.trusted_for;
        // Neighbours lie far from each other.
        let part = u32::from(slice.number().wrapping_mul(40_503)) % 1_024;
        longest.saturating_sub(longest / 4 * part / 1_024)
    }

    /// Since when a partition holds nothing, if it does: most partitions of most tables, and one look
    /// instead of one for each bucket.
    fn found_empty(&self, life: TableLife, tokens: &RangeInclusive<Token>) -> Option<Age> {
        let age = Age { sequence: self.engine.sequence(), at: self.clock.now() };
        let range = life.range_of_tokens(tokens);
        let first = self.engine.rows(Family::Rows, &range, Order::Forward, 1);
        first.is_ok_and(|rows| rows.is_empty()).then_some(age)
    }

    async fn scan(&self, range: KeyRange, pause: &mut Pause<'_>) -> Result<Leaf, EngineError> {
        let (mut digest, mut unreadable) = (BucketDigest::default(), 0);
        let mut rest = Some(range);
        pause.after(BUCKET_COST).await;
        while let Some(range) = rest {
            let (mut last, mut seen) = (None, 0);
            self.engine.scan(Family::Rows, &range, Order::Forward, &mut |key, value| {
                if is_sound(value) {
                    digest.push(Digest::of_row(key, value));
                } else {
                    unreadable += 1;
                }
                seen += 1;
                if seen < PIECE {
                    return ControlFlow::Continue(());
                }
                last = Some(Bytes::copy_from_slice(key));
                ControlFlow::Break(())
            })?;
            rest = last.map(|last| range.after(&last));
            pause.after(seen).await;
        }
        Ok(Leaf { digest: digest.finish(), rows: digest.rows(), unreadable })
    }

    fn unscannable(&self, slice: Slice, error: &EngineError) -> Leaf {
        tracing::error!(%error, "a stretch of rows cannot be read to its end");
        let host = self.options.host.0.into_bytes();
        let digest = Digest::of_row(&host, &slice.number().to_be_bytes());
        Leaf { digest, rows: 0, unreadable: 1 }
    }

    /// Shows the rows of ranges in pieces. A range that cannot be read to its end ends there.
    async fn visit(
        &self,
        ranges: &[KeyRange],
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) {
        let mut pause = Pause::new(self.clock.as_ref());
        for range in ranges {
            let mut rest = Some(range.clone());
            pause.after(BUCKET_COST).await;
            while let Some(range) = rest {
                let (mut last, mut seen, mut flow) = (None, 0, ControlFlow::Continue(()));
                let scan =
                    self.engine.scan(Family::Rows, &range, Order::Forward, &mut |key, it| {
                        flow = visit(key, it);
                        seen += 1;
                        if flow.is_continue() && seen < PIECE {
                            return ControlFlow::Continue(());
                        }
                        last = Some(Bytes::copy_from_slice(key));
                        ControlFlow::Break(())
                    });
                if let Err(error) = scan {
                    tracing::error!(%error, "a stretch of rows cannot be read to its end");
                }
                if flow.is_break() {
                    return;
                }
                rest = last.map(|last| range.after(&last));
                pause.after(seen).await;
            }
        }
    }

    /// The digests that are known of a partition, one for each bucket.
    fn take(
        &self,
        life: TableLife,
        partition: u16,
        tokens: &RangeInclusive<Token>,
    ) -> Vec<(Leaf, Option<Age>)> {
        let count = slices_of(tokens).len();
        match self.known().remove(&(life, partition)) {
            Some(Known::Buckets(leaves)) if leaves.len() == count => {
                leaves.into_iter().map(|(leaf, age)| (leaf, Some(age))).collect()
            }
            Some(Known::Empty(age)) => vec![(Leaf::default(), Some(age)); count],
            _ => vec![(Leaf::default(), None); count],
        }
    }

    fn keep(&self, life: TableLife, partition: u16, leaves: Vec<(Leaf, Option<Age>)>) {
        let leaves: Option<Vec<_>> =
            leaves.into_iter().map(|(leaf, age)| age.map(|age| (leaf, age))).collect();
        let Some(leaves) = leaves else { return };
        let is_empty = leaves.iter().all(|(leaf, _)| *leaf == Leaf::default());
        let oldest = leaves.iter().map(|(_, age)| *age).min_by_key(|age| (age.sequence, age.at));
        let held = match oldest {
            // Most partitions of most tables: their digests take no room.
            Some(age) if is_empty => Known::Empty(age),
            _ => Known::Buckets(leaves),
        };
        self.known().insert((life, partition), held);
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<(TableLife, u16), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rests between pieces of a scan, each as long as the piece took.
struct Pause<'a> {
    clock: &'a dyn Clock,
    since: Instant,
    cost: usize,
}

impl<'a> Pause<'a> {
    fn new(clock: &'a dyn Clock) -> Self {
        Self { clock, since: clock.now(), cost: 0 }
    }

    async fn after(&mut self, cost: usize) {
        self.cost += cost;
        if self.cost < PIECE {
            return;
        }
        let worked = self.clock.now().saturating_duration_since(self.since);
        if worked < Duration::from_millis(1) {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(worked.min(REST_MAX)).await;
        }
        (self.cost, self.since) = (0, self.clock.now());
    }
}

/// No rest is longer, however long a busy machine or a pause of the process made the work look.
const REST_MAX: Duration = Duration::from_millis(50);
