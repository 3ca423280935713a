//! What every store engine does: ordered rows in fixed families, changed by atomic batches.
//!
//! The law, which `suite` holds every engine to: a batch is on disk whole or not at all, over all
//! families; a batch committed as [`Durability::Synced`] outlives any crash; readers see whole
//! batches only; a row that cannot be read is an error, never a row that is not there. A merge is a
//! write without a read: readers see the join of all that was merged into a key since it was last
//! put or deleted, in whatever order it came.
//!
//! Callers: everybody reads; only the commit loop and the boot of the identity commit. All calls
//! block; none waits for another reader.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::watch;

use super::merge::merge;

/// A fixed part of the store with an order of keys of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// The rows of all tables, in the order of [`super::keys::RowKey`].
    Rows,
    /// Free: dirty marks live in memory, see [`super::marks`].
    Marks,
    /// Which rows a silent replica has missed.
    Hints,
    /// What this node promised, accepted and learnt of the cluster's metadata.
    Register,
    /// What concerns this node alone: its identity, its leases, the epochs of its peers.
    Local,
}

impl Family {
    /// Every family, in the order of [`Family::index`].
    pub const ALL: [Self; 5] = [Self::Rows, Self::Marks, Self::Hints, Self::Register, Self::Local];

    /// The name under which the family is kept on disk.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Marks => "marks",
            Self::Hints => "hints",
            Self::Register => "register",
            Self::Local => "local",
        }
    }

    /// Where the family stands in [`Family::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Which way a scan walks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// From the first key to the last.
    Forward,
    /// From the last key to the first.
    Reverse,
}

/// What a commit waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// The fsync of the log: the batch outlives a power cut.
    Synced,
    /// Nothing: the batch outlives this process, but a power cut only after the next sync.
    Unsynced,
}

/// Whether the log was found as it was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recovery {
    /// Everything that was ever synced is there.
    Whole,
    /// Something that was synced may be missing: whoever minted dots here must not go on under
    /// the same store id.
    Damaged,
    /// This is what could be read of a damaged store; see [`super::salvage`].
    Salvaged,
}

/// A stretch of keys: from `start` up to, but without, `end`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRange {
    start: Bytes,
    end: Option<Bytes>,
}

impl KeyRange {
    /// All keys.
    pub fn all() -> Self {
        Self { start: Bytes::new(), end: None }
    }

    /// The keys from `start` up to, but without, `end`.
    pub fn between(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: Some(end.into()) }
    }

    /// The keys from `start` on.
    pub fn from(start: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: None }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let end = first_after_prefix(&start);
        Self { start, end }
    }

    /// What is left of the range behind `key`: where the next page of a forward scan begins.
    #[must_use]
    pub fn after(&self, key: &[u8]) -> Self {
        let mut start = Vec::with_capacity(key.len() + 1);
        start.extend_from_slice(key);
        start.push(0);
        Self { start: self.start.clone().max(start.into()), end: self.end.clone() }
    }

    /// What is left of the range in front of `key`: where the next page of a reverse scan begins.
    #[must_use]
    pub fn before(&self, key: &[u8]) -> Self {
        let end = match &self.end {
            Some(end) if end.as_ref() <= key => end.clone(),
            _ => Bytes::copy_from_slice(key),
        };
        Self { start: self.start.clone(), end: Some(end) }
    }

    /// The part of the range that lies in `other` as well.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let ends = self.end.iter().chain(&other.end);
        Self { start: self.start.clone().max(other.start.clone()), end: ends.min().cloned() }
    }

    /// The first key that may be in the range.
    pub fn start(&self) -> &Bytes {
        &self.start
    }

    /// The first key behind the range; none when it has no end.
    pub fn end(&self) -> Option<&Bytes> {
        self.end.as_ref()
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_ref() <= key && self.end.as_ref().is_none_or(|end| key < end.as_ref())
    }

    /// Whether no key can lie in the range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

/// The first key behind all that begin with `prefix`; none for a prefix of nothing but 0xFF.
fn first_after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let kept = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1; // Less than 0xFF by the search above.
    Some(end.into())
}

/// What a batch does to one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Sets its value.
    Put(Bytes),
    /// Joins this operand into its value; see [`repair::cells`].
    Merge(Bytes),
    /// Takes it away.
    Delete,
}

impl Change {
    /// The value or the operand; empty for a deletion.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Put(value) | Self::Merge(value) => value,
            Self::Delete => &[],
        }
    }

    /// What the key holds afterwards, if it held `value` before.
    pub fn applied_to(&self, value: Option<&[u8]>) -> Option<Bytes> {
        match self {
            Self::Put(value) => Some(value.clone()),
            Self::Merge(operand) => Some(merge(value, &[operand]).value.into()),
            Self::Delete => None,
        }
    }
}

/// Changes that reach the disk together. There is one change of a key: a later put or deletion
/// takes the place of an earlier one, a merge is folded into it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    families: [BTreeMap<Bytes, Change>; Family::ALL.len()],
    bytes: usize,
    unreadable: usize,
}

impl Batch {
    /// Sets the value of `key`.
    pub fn put(&mut self, family: Family, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.set(family, key.into(), Change::Put(value.into()));
    }

    /// Joins `operand` into the value of `key`, whatever that is.
    pub fn merge(&mut self, family: Family, key: impl Into<Bytes>, operand: impl Into<Bytes>) {
        let (key, operand) = (key.into(), operand.into());
        let change = match self.families[family.index()].get(&key) {
            None => Change::Merge(operand),
            Some(Change::Merge(first)) => Change::Merge(self.fold(&[&first.clone(), &operand])),
            Some(Change::Put(value)) => Change::Put(self.fold(&[&value.clone(), &operand])),
            Some(Change::Delete) => Change::Put(self.fold(&[&operand])),
        };
        self.set(family, key, change);
    }

    /// Takes `key` away; nothing happens if it is not there.
    pub fn delete(&mut self, family: Family, key: impl Into<Bytes>) {
        self.set(family, key.into(), Change::Delete);
    }

    /// What the batch does to `key`, if anything.
    pub fn get(&self, family: Family, key: &[u8]) -> Option<&Change> {
        self.families[family.index()].get(key)
    }

    /// All changes, by family and key.
    pub fn iter(&self) -> impl Iterator<Item = (Family, &Bytes, &Change)> {
        Family::ALL.into_iter().flat_map(|family| {
            self.families[family.index()].iter().map(move |(key, change)| (family, key, change))
        })
    }

    /// The keys of a family that the batch changes, ascending.
    pub fn keys(&self, family: Family) -> impl Iterator<Item = &Bytes> {
        self.families[family.index()].keys()
    }

    /// How many keys the batch changes.
    pub fn len(&self) -> usize {
        self.families.iter().map(BTreeMap::len).sum()
    }

    /// Whether the batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.families.iter().all(BTreeMap::is_empty)
    }

    /// The bytes of all keys, values and operands.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many values and operands could not be read when they were folded.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    fn fold(&mut self, operands: &[&[u8]]) -> Bytes {
        let merged = merge(None, operands);
        self.unreadable += merged.unreadable;
        merged.value.into()
    }

    fn set(&mut self, family: Family, key: Bytes, change: Change) {
        let key_len = key.len();
        self.bytes += key_len + change.bytes().len();
        if let Some(old) = self.families[family.index()].insert(key, change) {
            self.bytes -= key_len + old.bytes().len();
        }
    }
}

/// Why the store could not do what it was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The disk is (nearly) full; nothing was written.
    #[error("the disk is full: {free_bytes} bytes are free, {kept_bytes} are kept back")]
    NoSpace {
        /// What the disk has left.
        free_bytes: u64,
        /// What must stay free after this commit.
        kept_bytes: u64,
    },
    /// Bytes on disk are not those that were written.
    #[error("the store is damaged: {reason}")]
    Corrupt {
        /// What the engine says of it; never holds row data.
        reason: String,
    },
    /// The operating system refused.
    #[error("the disk failed: {reason}")]
    Io {
        /// How it refused.
        kind: io::ErrorKind,
        /// What the engine says of it.
        reason: String,
    },
    /// The log could not be written or synced: nobody can say what of it is on disk, not even
    /// after a retry that succeeds. The process must stop.
    #[error("the log could not be synced: {reason}")]
    SyncFailed {
        /// What the engine says of it.
        reason: String,
    },
    /// The engine was closed, or its simulated machine has crashed.
    #[error("the store is closed")]
    Closed,
}

impl EngineError {
    /// An error of the operating system while `doing` something.
    pub fn io(error: &io::Error, doing: &str) -> Self {
        Self::Io { kind: error.kind(), reason: format!("{doing}: {error}") }
    }
}

/// What an engine has done since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EngineStats {
    /// Batches that were committed.
    pub commits: u64,
    /// Fsyncs of the log.
    pub log_syncs: u64,
    /// Bytes of keys, values and operands that were put into the log.
    pub log_bytes: u64,
    /// Rows that were read by their key, found or not.
    pub reads: u64,
    /// Rows that scans have shown.
    pub rows_read: u64,
    /// Operands that were joined into values when those were read, flushed or compacted.
    pub operands_merged: u64,
    /// Values and operands that a merge found unreadable, each time it found them.
    pub unreadable_operands: u64,
    /// How often the store was found damaged and salvaged, over all starts.
    pub salvages: u64,
}

/// Counts what is read of [`Family::Rows`]; the other families are small and the node's own.
#[derive(Debug, Default)]
pub(super) struct ReadCounters {
    reads: AtomicU64,
    rows_read: AtomicU64,
}

impl ReadCounters {
    pub(super) fn count_get(&self, family: Family) {
        self.reads.fetch_add(u64::from(family == Family::Rows), Ordering::Relaxed);
    }

    pub(super) fn count_row(&self, family: Family) {
        self.rows_read.fetch_add(u64::from(family == Family::Rows), Ordering::Relaxed);
    }

    pub(super) fn add_to(&self, stats: &mut EngineStats) {
        stats.reads = self.reads.load(Ordering::Relaxed);
        stats.rows_read = self.rows_read.load(Ordering::Relaxed);
    }
}

/// How much room the store takes and has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Space {
    /// Bytes that the store holds, about.
    pub used_bytes: u64,
    /// Bytes that its disk has left.
    pub free_bytes: u64,
}

/// One row as a scan shows it: it returns whether to go on.
pub type Visitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Ordered rows with atomic batches. See the head of this module for the law.
pub trait Engine: Send + Sync + 'static {
    /// The value of `key`.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// Shows the rows of `range` to `visit`, as they were when the scan began, until it breaks.
    ///
    /// `visit` must not call the engine: an engine may hold a lock meanwhile.
    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        order: Order,
        visit: &mut Visitor<'_>,
    ) -> Result<(), EngineError>;

    /// Makes all changes of `batch` at once.
    ///
    /// # Errors
    /// [`EngineError::NoSpace`]: nothing was written and the store goes on. Any other error: the
    /// batch may or may not be on disk, and every later commit fails too.
    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError>;

    /// Takes all rows of `range` away at once, for rows that nobody reads any more.
    ///
    /// Waits for no sync: a power cut may bring all of them back, never some.
    ///
    /// # Errors
    /// As [`Engine::commit`].
    fn remove_range(&self, family: Family, range: &KeyRange) -> Result<(), EngineError>;

    /// Makes everything committed so far outlive a power cut.
    fn sync(&self) -> Result<(), EngineError>;

    /// The number of changes ever committed: grows with every batch and never goes back, but for
    /// what a crash took from an unsynced tail or damage from the log.
    fn sequence(&self) -> u64;

    /// Whether this store was found as it was left.
    fn recovery(&self) -> Recovery;

    /// Forgets damage that was found at opening: the new store id is on disk.
    fn settle(&self) -> Result<(), EngineError>;

    /// Tells how the store is damaged once that was found: whoever meets damage tells everybody.
    /// What is read is sound all the same, or an error.
    fn watch_damage(&self) -> watch::Receiver<Option<String>> {
        watch::channel(None).1 // An engine that cannot be damaged.
    }

    /// Whether there is room for ordinary writes: a reserve is kept for those that must not fail
    /// (deletes, leases, the register) and for compaction.
    ///
    /// # Errors
    /// [`EngineError::NoSpace`] when only the reserve is left.
    fn room(&self) -> Result<(), EngineError>;

    /// How much room the store takes and has.
    fn space(&self) -> Result<Space, EngineError>;

    /// What the engine has done since it was opened.
    fn stats(&self) -> EngineStats;

    /// The first `limit` rows of `range` in `order`.
    fn rows(
        &self,
        family: Family,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
        let mut rows = Vec::new();
        if limit == 0 {
            return Ok(rows);
        }
        self.scan(family, range, order, &mut |key, value| {
            rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use repair::cells::{Expiry, Row, WriteStamp};

    use super::*;

    #[test]
    fn a_range_within_another_holds_the_keys_of_both() {
        let ranges = [
            KeyRange::all(),
            KeyRange::from(&b"b"[..]),
            KeyRange::between(&b"a"[..], &b"c"[..]),
            KeyRange::between(&b"b"[..], &b"d"[..]),
            KeyRange::between(&b"d"[..], &b"e"[..]),
        ];
        for (one, other) in ranges.iter().flat_map(|one| ranges.iter().map(move |two| (one, two))) {
            let both = one.within(other);
            for key in [&b"a"[..], b"b", b"c", b"d", b"e"] {
                assert_eq!(both.contains(key), one.contains(key) && other.contains(key));
            }
        }
    }

    #[test]
    fn prefix_range_holds_exactly_the_keys_with_the_prefix() {
        let range = KeyRange::prefix(&b"a\xff"[..]);
        assert!(range.contains(b"a\xff") && range.contains(b"a\xff\xff\xff"));
        assert!(!range.contains(b"a\xfe\xff") && !range.contains(b"b"));
        assert_eq!(KeyRange::prefix(&b"\xff\xff"[..]).end(), None);
        assert_eq!(KeyRange::prefix(Bytes::new()), KeyRange::all());
    }

    #[test]
    fn pages_of_a_range_neither_repeat_nor_skip_a_key() {
        let range = KeyRange::between(&b"b"[..], &b"d"[..]);
        let rest = range.after(b"b");
        assert!(!rest.contains(b"b") && rest.contains(b"b\0") && !rest.contains(b"d"));
        assert_eq!(range.after(b"a"), range);
        let front = range.before(b"c");
        assert!(front.contains(b"b\xff") && !front.contains(b"c"));
        assert_eq!(range.before(b"e"), range);
        assert!(range.before(b"b").is_empty());
    }

    #[test]
    fn batch_counts_the_bytes_of_what_it_keeps() {
        let mut batch = Batch::default();
        batch.put(Family::Rows, &b"key"[..], &b"longer value"[..]);
        batch.put(Family::Rows, &b"key"[..], &b"v"[..]);
        batch.delete(Family::Marks, &b"gone"[..]);
        assert_eq!((batch.len(), batch.bytes()), (2, 4 + 4));
        assert_eq!(batch.get(Family::Rows, b"key"), Some(&Change::Put(Bytes::from_static(b"v"))));
        assert_eq!(batch.get(Family::Marks, b"gone"), Some(&Change::Delete));
        assert_eq!(batch.get(Family::Hints, b"key"), None);
    }
    fn row(timestamp: i64, value: &'static str) -> (Row, Bytes) {
        let mut row = Row::default();
        let stamp = WriteStamp { timestamp, operation: 1 };
        row.set(1, stamp, Expiry::Never, Some(Bytes::from_static(value.as_bytes())));
        let bytes = row.encode().into();
        (row, bytes)
    }

    #[test]
    fn merges_are_folded_into_what_the_batch_does_already() {
        let ((mut both, older), (newer_row, newer)) = (row(1, "old"), row(2, "new"));
        both.merge(&newer_row);
        let both = Bytes::from(both.encode());
        let change = |fill: &dyn Fn(&mut Batch)| {
            let mut batch = Batch::default();
            fill(&mut batch);
            batch.merge(Family::Rows, "k", older.clone());
            assert_eq!((batch.len(), batch.unreadable()), (1, 0));
            let change = batch.get(Family::Rows, b"k").unwrap().clone();
            assert_eq!(batch.bytes(), 1 + change.bytes().len());
            change
        };
        assert_eq!(change(&|_| ()), Change::Merge(older.clone()));
        let merge = |batch: &mut Batch| batch.merge(Family::Rows, "k", newer.clone());
        assert_eq!(change(&merge), Change::Merge(both.clone()));
        let put = |batch: &mut Batch| batch.put(Family::Rows, "k", newer.clone());
        assert_eq!(change(&put), Change::Put(both));
        let delete = |batch: &mut Batch| batch.delete(Family::Rows, "k");
        assert_eq!(change(&delete), Change::Put(older.clone()));
    }

    #[test]
    fn operands_that_cannot_be_read_are_counted_when_they_are_folded() {
        let mut batch = Batch::default();
        batch.merge(Family::Rows, "k", "?");
        assert_eq!(batch.unreadable(), 0, "nobody has looked at it");
        batch.merge(Family::Rows, "k", row(1, "x").1);
        assert_eq!(batch.unreadable(), 1);
    }
}
