//! A simulated disk and the engine on it: rows in memory, with a log that can lose its tail.
//!
//! A commit is encoded as one record at the end of a log; only a sync makes the log durable.
//! [`MemoryDisk::crash`] cuts the log anywhere behind what was synced, in the middle of a record
//! too, and the next [`MemoryDisk::open`] reads what is left, record by record: so a torn batch is
//! all or nothing because its checksum says so, not by decree.
//!
//! ```text
//! synced rows | record | record | rec…     a cut here loses the third batch whole
//! record = length u32, crc32 u32, { family u8, key length u32, key, kind u8, [length u32, value] }
//! kind   = 0 delete | 1 put | 2 merge
//! ```
//!
//! Faults on demand: full disk, unreadable rows, values that vanish, failing syncs, damage, files
//! that cannot be replaced. Deterministic; no I/O, no clock. Callers: tests, simulated nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::{Buf, BufMut, Bytes};

use super::directory::Directory;
use super::engine::{
    Batch, Change, Durability, Engine, EngineError, EngineStats, Family, KeyRange, Order,
    ReadCounters, Recovery, Space, Visitor,
};
use super::merge::MergeCounters;

type Rows = [BTreeMap<Bytes, Bytes>; Family::ALL.len()];

/// How much room a simulated disk has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Room {
    /// Enough for everything.
    #[default]
    Ample,
    /// Only the reserve: ordinary writes are refused, the others go on.
    ReserveOnly,
    /// None: every commit is refused.
    None,
}

/// A disk that outlives the engines which are opened on it, one after the other.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<RwLock<State>>);

#[derive(Default)]
struct State {
    /// Which opening is the living one; engines of an earlier one are closed.
    opening: u64,
    visible: Rows,
    synced: Rows,
    log: Log,
    files: BTreeMap<String, Bytes>,
    faults: Faults,
    is_damaged: bool,
    stats: EngineStats,
    reads: ReadCounters,
    merges: MergeCounters,
}

/// The records behind the last sync.
#[derive(Default)]
struct Log {
    unsynced: Vec<u8>,
    sequence: u64,
    synced_sequence: u64,
    /// A sync has failed: nothing may be trusted until the disk is opened again.
    is_broken: bool,
}

#[derive(Default)]
struct Faults {
    room: Room,
    reads_fail: bool,
    syncs_fail: bool,
    replaces_fail: bool,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the store on it, as a process does at its start; an engine opened earlier is closed.
    pub fn open(&self) -> MemoryEngine {
        let mut state = self.write();
        state.opening += 1;
        state.log.is_broken = false;
        state.stats = EngineStats::default();
        state.reads = ReadCounters::default();
        state.merges = MergeCounters::default();
        MemoryEngine { disk: self.clone(), opening: state.opening }
    }

    /// Cuts the power: of what was not synced the first `kept_bytes` of the log survive.
    pub fn crash(&self, kept_bytes: usize) {
        let mut state = self.write();
        state.opening += 1;
        let State { visible, synced, log, merges, .. } = &mut *state;
        log.unsynced.truncate(kept_bytes);
        visible.clone_from(synced);
        log.sequence = log.synced_sequence;
        let mut rest = log.unsynced.as_slice();
        while let Some(batch) = decode(&mut rest) {
            log.sequence += batch.len() as u64;
            apply(visible, &batch, merges);
        }
        // What recovery has read is its own from now on, and is written anew.
        synced.clone_from(visible);
        log.synced_sequence = log.sequence;
        log.unsynced.clear();
    }

    /// How many bytes of the log a crash could take.
    pub fn unsynced_bytes(&self) -> usize {
        self.read_state().log.unsynced.len()
    }

    /// Sets how much room there is.
    pub fn set_room(&self, room: Room) {
        self.write().faults.room = room;
    }

    /// Lets every read of rows fail, or succeed again.
    pub fn set_reads_fail(&self, fail: bool) {
        self.write().faults.reads_fail = fail;
    }

    /// Lets the next syncs fail: what they should have made durable is in the log, unsynced, and
    /// the engine takes no further commit.
    pub fn set_syncs_fail(&self, fail: bool) {
        self.write().faults.syncs_fail = fail;
    }

    /// Lets the replacing of files fail, or succeed again.
    pub fn set_replaces_fail(&self, fail: bool) {
        self.write().faults.replaces_fail = fail;
    }

    /// Spoils the log before its synced end: the next opening finds [`Recovery::Damaged`].
    pub fn damage(&self) {
        self.write().is_damaged = true;
    }

    /// A second disk with the content that this one has now, for tests of restored backups.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = self.read_state();
        Self(Arc::new(RwLock::new(State {
            visible: state.visible.clone(),
            synced: state.visible.clone(),
            log: Log {
                sequence: state.log.sequence,
                synced_sequence: state.log.sequence,
                ..Log::default()
            },
            files: state.files.clone(),
            ..State::default()
        })))
    }

    /// All that readers would see of a family, for those who compare disks.
    pub fn content(&self, family: Family) -> BTreeMap<Bytes, Bytes> {
        self.read_state().visible[family.index()].clone()
    }

    /// Takes a value away behind the back of whoever has the disk open. What the log still has of
    /// it would come back with the log.
    pub fn lose(&self, family: Family, key: &[u8]) {
        let mut state = self.write();
        state.visible[family.index()].remove(key);
        state.synced[family.index()].remove(key);
    }

    /// Cuts the log where it ended when `earlier` was copied, although it had been synced further:
    /// the next opening finds [`Recovery::Damaged`].
    pub fn lose_since(&self, earlier: &Self) {
        let before = earlier.read_state().visible.clone();
        let mut state = self.write();
        state.opening += 1;
        state.log.unsynced.clear();
        state.visible.clone_from(&before);
        state.synced = before;
        state.is_damaged = true;
    }

    /// Takes a file away, if it is there.
    pub fn remove_file(&self, name: &str) {
        self.write().files.remove(name);
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory for MemoryDisk {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.read_state().files.get(name).map(|content| content.to_vec()))
    }

    fn replace(&self, name: &str, content: &[u8]) -> Result<(), EngineError> {
        let mut state = self.write();
        if state.faults.syncs_fail {
            return Err(sync_failed());
        }
        if state.faults.replaces_fail {
            return Err(injected());
        }
        state.files.insert(name.to_owned(), Bytes::copy_from_slice(content));
        Ok(())
    }
}

/// The engine on a [`MemoryDisk`], from one opening to the next crash or opening.
pub struct MemoryEngine {
    disk: MemoryDisk,
    opening: u64,
}

impl MemoryEngine {
    fn for_read(&self) -> Result<RwLockReadGuard<'_, State>, EngineError> {
        let state = self.disk.read_state();
        if state.opening != self.opening {
            return Err(EngineError::Closed);
        }
        if state.faults.reads_fail {
            return Err(injected());
        }
        Ok(state)
    }

    fn for_write(&self) -> Result<RwLockWriteGuard<'_, State>, EngineError> {
        let state = self.disk.write();
        if state.opening != self.opening {
            return Err(EngineError::Closed);
        }
        if state.log.is_broken {
            return Err(sync_failed());
        }
        Ok(state)
    }
}

impl Engine for MemoryEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let state = self.for_read()?;
        state.reads.count_get(family);
        Ok(state.visible[family.index()].get(key).cloned())
    }

    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        order: Order,
        visit: &mut Visitor<'_>,
    ) -> Result<(), EngineError> {
        let state = self.for_read()?;
        if range.is_empty() {
            return Ok(());
        }
        let start = range.start().clone();
        let rows = &state.visible[family.index()];
        let within = match range.end() {
            Some(end) => rows.range(start..end.clone()),
            None => rows.range(start..),
        };
        let mut show = |(key, value): (&Bytes, &Bytes)| {
            state.reads.count_row(family);
            visit(key, value).is_break()
        };
        // Whether the visitor broke off makes no difference here.
        match order {
            Order::Forward => within.into_iter().any(&mut show),
            Order::Reverse => within.rev().any(&mut show),
        };
        Ok(())
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError> {
        let mut state = self.for_write()?;
        let state = &mut *state;
        if state.faults.room == Room::None {
            return Err(no_space());
        }
        encode(batch, &mut state.log.unsynced);
        state.log.sequence += batch.len() as u64;
        state.stats.log_bytes += batch.bytes() as u64;
        if durability == Durability::Synced {
            state.sync()?;
        }
        apply(&mut state.visible, batch, &state.merges);
        state.merges.note_unreadable(batch.unreadable());
        state.stats.commits += 1;
        Ok(())
    }

    fn remove_range(&self, family: Family, range: &KeyRange) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        for (key, _) in self.rows(family, range, Order::Forward, usize::MAX)? {
            batch.delete(family, key);
        }
        let mut state = self.for_write()?;
        let state = &mut *state;
        if state.faults.room == Room::None {
            return Err(no_space());
        }
        encode(&batch, &mut state.log.unsynced);
        state.log.sequence += batch.len() as u64;
        apply(&mut state.visible, &batch, &state.merges);
        Ok(())
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.for_write()?.sync()
    }

    fn sequence(&self) -> u64 {
        self.disk.read_state().log.sequence
    }

    fn recovery(&self) -> Recovery {
        if self.disk.read_state().is_damaged { Recovery::Damaged } else { Recovery::Whole }
    }

    fn settle(&self) -> Result<(), EngineError> {
        self.for_write()?.is_damaged = false;
        Ok(())
    }

    fn room(&self) -> Result<(), EngineError> {
        if self.for_write()?.faults.room == Room::Ample { Ok(()) } else { Err(no_space()) }
    }

    fn space(&self) -> Result<Space, EngineError> {
        let state = self.for_read()?;
        let rows = state.visible.iter().flatten();
        let used_bytes = rows.map(|(key, value)| (key.len() + value.len()) as u64).sum();
        let free_bytes = if state.faults.room == Room::Ample { u64::MAX } else { 0 };
        Ok(Space { used_bytes, free_bytes })
    }

    fn stats(&self) -> EngineStats {
        let state = self.disk.read_state();
        let mut stats = state.stats;
        state.reads.add_to(&mut stats);
        state.merges.add_to(&mut stats);
        stats
    }
}

impl State {
    /// Makes the log durable: all its records are in `synced` from now on.
    fn sync(&mut self) -> Result<(), EngineError> {
        if self.faults.syncs_fail {
            self.log.is_broken = true;
            return Err(sync_failed());
        }
        let records = std::mem::take(&mut self.log.unsynced);
        let mut rest = records.as_slice();
        while let Some(batch) = decode(&mut rest) {
            // Counted when it became visible.
            apply(&mut self.synced, &batch, &MergeCounters::default());
        }
        self.log.synced_sequence = self.log.sequence;
        self.stats.log_syncs += 1;
        Ok(())
    }
}

fn apply(rows: &mut Rows, batch: &Batch, merges: &MergeCounters) {
    for (family, key, change) in batch.iter() {
        let rows = &mut rows[family.index()];
        match change {
            Change::Put(value) => rows.insert(key.clone(), value.clone()),
            Change::Delete => rows.remove(key),
            Change::Merge(operand) => {
                let merged = merges.merge(rows.get(key).map(Bytes::as_ref), [operand.as_ref()]);
                rows.insert(key.clone(), merged.into())
            }
        };
    }
}

/// Length and checksum in front of a record's changes.
const RECORD_HEAD: usize = 8;

/// What a change of a record does.
const DELETE: u8 = 0;
const PUT: u8 = 1;
const MERGE: u8 = 2;

fn encode(batch: &Batch, log: &mut Vec<u8>) {
    let head = log.len();
    log.put_bytes(0, RECORD_HEAD);
    for (family, key, change) in batch.iter() {
        log.put_u8(u8::try_from(family.index()).expect("there are five families"));
        put_length(log, key.len());
        log.put_slice(key);
        log.put_u8(match change {
            Change::Delete => DELETE,
            Change::Put(_) => PUT,
            Change::Merge(_) => MERGE,
        });
        if let Change::Put(value) | Change::Merge(value) = change {
            put_length(log, value.len());
            log.put_slice(value);
        }
    }
    let body = &log[head + RECORD_HEAD..];
    let (checksum, length) = (crc32fast::hash(body), body.len());
    let mut head = &mut log[head..head + RECORD_HEAD];
    put_length(&mut head, length);
    head.put_u32(checksum);
}

fn put_length(out: &mut impl BufMut, length: usize) {
    out.put_u32(u32::try_from(length).expect("a batch in memory is smaller than 4 GiB"));
}

/// The next record, unless it is torn.
fn decode(log: &mut &[u8]) -> Option<Batch> {
    let (length, checksum) = (log.try_get_u32().ok()?, log.try_get_u32().ok()?);
    let mut body = log.split_off(..usize::try_from(length).ok()?)?;
    if crc32fast::hash(body) != checksum {
        return None;
    }
    let mut batch = Batch::default();
    while body.has_remaining() {
        let family = Family::ALL[usize::from(body.get_u8())];
        let key = take_bytes(&mut body);
        match body.get_u8() {
            DELETE => batch.delete(family, key),
            PUT => batch.put(family, key, take_bytes(&mut body)),
            _ => batch.merge(family, key, take_bytes(&mut body)),
        }
    }
    Some(batch)
}

/// A length and as many bytes: they are there, for the checksum of the record is right.
fn take_bytes(body: &mut &[u8]) -> Bytes {
    let length = body.get_u32() as usize;
    body.copy_to_bytes(length)
}

fn no_space() -> EngineError {
    EngineError::NoSpace { free_bytes: 0, kept_bytes: 1 }
}

fn injected() -> EngineError {
    EngineError::Io { kind: std::io::ErrorKind::Other, reason: "injected".to_owned() }
}

fn sync_failed() -> EngineError {
    EngineError::SyncFailed { reason: "injected".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::{Lab, conformance};

    struct MemoryLab {
        disk: MemoryDisk,
        engine: Option<MemoryEngine>,
    }

    impl Lab for MemoryLab {
        fn new() -> Self {
            let disk = MemoryDisk::new();
            let engine = Some(disk.open());
            Self { disk, engine }
        }

        fn engine(&self) -> &dyn Engine {
            self.engine.as_ref().expect("open between two steps")
        }

        fn reopen(&mut self) {
            self.engine = None;
            self.engine = Some(self.disk.open());
        }

        fn unsynced_bytes(&self) -> usize {
            self.disk.unsynced_bytes()
        }

        fn crash(&mut self, kept_bytes: usize) {
            self.disk.crash(kept_bytes);
            self.engine = Some(self.disk.open());
        }

        fn leave_only_the_reserve(&mut self) {
            self.disk.set_room(Room::ReserveOnly);
        }

        fn leave_no_room(&mut self) {
            self.disk.set_room(Room::None);
        }

        fn spoil_rows(&mut self) {
            self.disk.set_reads_fail(true);
        }

        fn spoil_the_synced_log(&mut self) {
            self.disk.damage();
            self.reopen();
        }
    }

    conformance!(MemoryLab);

    #[test]
    fn failed_sync_ends_all_commits_and_its_batch_may_be_lost() {
        let disk = MemoryDisk::new();
        let engine = disk.open();
        let mut batch = Batch::default();
        batch.put(Family::Rows, &b"k"[..], &b"v"[..]);
        disk.set_syncs_fail(true);
        let failed = engine.commit(&batch, Durability::Synced).unwrap_err();
        assert!(matches!(failed, EngineError::SyncFailed { .. }));
        disk.set_syncs_fail(false);
        assert_eq!(engine.commit(&batch, Durability::Synced), Err(failed.clone()));
        assert_eq!(engine.sync(), Err(failed));
        assert_eq!(engine.get(Family::Rows, b"k"), Ok(None));
        disk.crash(0);
        assert_eq!(engine.get(Family::Rows, b"k"), Err(EngineError::Closed));
        assert_eq!(disk.open().get(Family::Rows, b"k"), Ok(None));
    }

    #[test]
    fn record_with_a_spoilt_byte_is_a_torn_one() {
        let mut batch = Batch::default();
        batch.put(Family::Rows, &b"key"[..], &b"value"[..]);
        batch.delete(Family::Marks, &b"gone"[..]);
        batch.merge(Family::Rows, &b"merged"[..], &b"operand"[..]);
        let mut record = Vec::new();
        encode(&batch, &mut record);
        assert_eq!(decode(&mut record.as_slice()), Some(batch));
        for index in 0..record.len() {
            let mut bad = record.clone();
            bad[index] ^= 1;
            assert_eq!(decode(&mut bad.as_slice()), None);
        }
    }

    #[test]
    fn a_value_that_the_disk_lost_is_gone_for_readers_and_after_a_crash() {
        let disk = MemoryDisk::new();
        let engine = disk.open();
        let mut batch = Batch::default();
        batch.put(Family::Rows, &b"k"[..], &b"1"[..]);
        batch.put(Family::Rows, &b"other"[..], &b"2"[..]);
        engine.commit(&batch, Durability::Synced).unwrap();
        disk.lose(Family::Rows, b"k");
        assert_eq!(engine.get(Family::Rows, b"k"), Ok(None));
        disk.crash(0);
        let left: Vec<_> = disk.content(Family::Rows).into_keys().collect();
        assert_eq!(left, [&b"other"[..]]);
    }

    #[test]
    fn a_log_cut_short_before_its_synced_end_is_noticed() {
        let disk = MemoryDisk::new();
        let engine = disk.open();
        let mut batch = Batch::default();
        batch.put(Family::Rows, &b"k"[..], &b"1"[..]);
        engine.commit(&batch, Durability::Synced).unwrap();
        let earlier = disk.copy();
        batch.put(Family::Rows, &b"k"[..], &b"2"[..]);
        engine.commit(&batch, Durability::Synced).unwrap();
        disk.lose_since(&earlier);
        assert_eq!(engine.get(Family::Rows, b"k"), Err(EngineError::Closed));
        let engine = disk.open();
        assert_eq!(engine.get(Family::Rows, b"k"), Ok(Some(Bytes::from_static(b"1"))));
        assert_eq!(engine.recovery(), Recovery::Damaged);
    }

    #[test]
    fn copy_of_a_disk_goes_its_own_way() {
        let disk = MemoryDisk::new();
        let engine = disk.open();
        let mut batch = Batch::default();
        batch.put(Family::Rows, &b"k"[..], &b"1"[..]);
        engine.commit(&batch, Durability::Synced).unwrap();
        let copy = disk.copy();
        batch.put(Family::Rows, &b"k"[..], &b"2"[..]);
        engine.commit(&batch, Durability::Synced).unwrap();
        assert_eq!(copy.open().get(Family::Rows, b"k"), Ok(Some(Bytes::from_static(b"1"))));
    }
}
