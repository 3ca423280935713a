//! The engine on RocksDB.
//!
//! The write-ahead log is read so that a torn tail, which any crash may leave, is accepted, and
//! damage before a synced point is noticed: by RocksDB where a record is spoilt or a whole log is
//! missing, by the [`super::watermark`] where the log or the manifest merely ends too early. A damaged log is
//! read as far as it can be and reported as [`Recovery::Damaged`] until the node has taken a new
//! store id. Damage of tables is noted on disk by whoever meets it first, for the next start to
//! salvage what can be read ([`super::salvage`]); until then all that is read is sound or an error.
//!
//! Rows take merges, by the operator of [`super::merge`]: RocksDB does not check at opening that
//! the operator is the one that the rows were written with, so their formats tell.
//!
//! One block cache and one budget for memtables serve all families. Commits come from one thread;
//! reads run inline on any. Callers: [`super::open`] by way of [`super::salvage`].

mod leave_out;
mod open;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rocksdb::{ColumnFamily, DB, ErrorKind, ReadOptions, WriteBatch, WriteOptions, properties};
use tokio::sync::watch;

use super::engine::{
    Batch, Change, Durability, Engine, EngineError, EngineStats, Family, KeyRange, Order,
    ReadCounters, Recovery, Space, Visitor,
};
use super::merge::MergeCounters;
use super::salvage;
use super::watermark::Watermark;
use open::Reading;

/// How much memory and disk RocksDB may take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RocksOptions {
    /// Blocks of tables in memory, with their indexes and filters; memtables are counted in it.
    pub cache_bytes: usize,
    /// Rows in memory that are not in tables yet, over all families.
    pub memtable_bytes: usize,
    /// Files that are held open.
    pub open_files_max: u16,
    /// Logs on disk whose rows are not in tables yet: what a start has to read.
    pub log_bytes_max: u64,
    /// Below this much free disk ordinary writes are refused.
    pub reserve_bytes: u64,
    /// Below this much free disk every write is refused, so that the log never meets a full disk.
    pub floor_bytes: u64,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            memtable_bytes: 32 << 20,
            open_files_max: 512,
            log_bytes_max: 64 << 20,
            reserve_bytes: 256 << 20,
            floor_bytes: 64 << 20,
        }
    }
}

/// RocksDB behind the [`Engine`] trait.
pub struct RocksEngine {
    db: DB,
    path: PathBuf,
    options: RocksOptions,
    recovery: Mutex<Recovery>,
    log: Mutex<Log>,
    reads: ReadCounters,
    merges: Arc<MergeCounters>,
    damage: watch::Sender<Option<String>>,
    salvages: u64,
}

/// The end of the log: what one commit at a time may touch.
struct Log {
    watermark: Watermark,
    /// Why the log can be trusted no more.
    failure: Option<String>,
    stats: EngineStats,
}

impl RocksEngine {
    /// Opens the database in `path`, which is made when it is missing.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] when some of its files cannot be read or are not there; a damaged log
    /// is no error but [`Engine::recovery`]'s answer.
    pub fn open(path: &Path, options: RocksOptions) -> Result<Self, EngineError> {
        std::fs::create_dir_all(path)
            .map_err(|error| EngineError::io(&error, &format!("make {}", path.display())))?;
        let is_new = !path.join("CURRENT").exists();
        if is_new && leave_out::holds_tables(path)? {
            return Err(EngineError::Corrupt { reason: "the file CURRENT is missing".to_owned() });
        }
        let mut watermark = Watermark::open(path, is_new)?;
        watermark.check_manifest(path)?;
        let merges = Arc::<MergeCounters>::default();
        let db = open::open(path, &options, &merges, &mut watermark)?;
        watermark.watch_manifest(path)?;
        let recovery = watermark.judge(db.latest_sequence_number());
        if recovery == Recovery::Damaged {
            watermark.condemn()?;
        }
        Ok(Self::new(db, path, options, merges, watermark, recovery))
    }

    /// Opens a damaged database for reading alone, so that nothing of it is lost.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] also where there are more tables than it knows of.
    pub(super) fn open_as_it_is(path: &Path, options: RocksOptions) -> Result<Self, EngineError> {
        let merges = Arc::<MergeCounters>::default();
        let db = open::open_db(path, &options, &merges, Reading::AsItIs).map_err(read_error)?;
        leave_out::refuse_strays(&db, path)?;
        let watermark = Watermark::open(path, false)?;
        Ok(Self::new(db, path, options, merges, watermark, Recovery::Damaged))
    }

    fn new(
        db: DB,
        path: &Path,
        options: RocksOptions,
        merges: Arc<MergeCounters>,
        watermark: Watermark,
        recovery: Recovery,
    ) -> Self {
        Self {
            db,
            path: path.to_owned(),
            options,
            recovery: Mutex::new(recovery),
            log: Mutex::new(Log { watermark, failure: None, stats: EngineStats::default() }),
            reads: ReadCounters::default(),
            merges,
            damage: watch::Sender::default(),
            salvages: salvage::count(path),
        }
    }

    /// Says durably that this is what could be read of a damaged store.
    pub(super) fn mark_salvaged(&self) -> Result<(), EngineError> {
        self.log().watermark.mark_salvaged()
    }

    /// Writes what is only in memory and in the log into tables.
    pub fn flush(&self) -> Result<(), EngineError> {
        Family::ALL
            .into_iter()
            .try_for_each(|family| self.db.flush_cf(self.family(family)))
            .map_err(|error| self.noted(read_error(error)))
    }

    /// Notes damage, on disk and for whoever waits, when it is met for the first time.
    fn noted(&self, error: EngineError) -> EngineError {
        if let EngineError::Corrupt { reason } = &error {
            self.damage.send_if_modified(|known| {
                let is_news = known.is_none();
                if is_news {
                    tracing::error!(reason, "the store is damaged");
                    if let Err(error) = salvage::condemn(&self.path, reason) {
                        tracing::error!(%error, "the damage could not be noted");
                    }
                    *known = Some(reason.clone());
                }
                is_news
            });
        }
        error
    }

    fn family(&self, family: Family) -> &ColumnFamily {
        self.db.cf_handle(family.name()).expect("every family was opened with the database")
    }

    fn write_batch(&self, batch: &Batch) -> WriteBatch {
        let mut out = WriteBatch::with_capacity_bytes(batch.bytes() + 16 * batch.len());
        for (family, key, change) in batch.iter() {
            match change {
                Change::Put(value) => out.put_cf(self.family(family), key, value),
                Change::Merge(operand) => out.merge_cf(self.family(family), key, operand),
                Change::Delete => out.delete_cf(self.family(family), key),
            }
        }
        out
    }

    /// A key behind every one of the family.
    fn behind_all(&self, family: Family) -> Result<Vec<u8>, EngineError> {
        let last = self.rows(family, &KeyRange::all(), Order::Reverse, 1)?;
        Ok(last.first().map_or_else(Vec::new, |(key, _)| [key.as_ref(), &[0]].concat()))
    }

    /// Whether `bytes` more leave `kept_bytes` of the disk free.
    fn room_for(&self, bytes: usize, kept_bytes: u64) -> Result<(), EngineError> {
        let free_bytes = self.free_bytes()?;
        if free_bytes < kept_bytes.saturating_add(bytes as u64) {
            return Err(EngineError::NoSpace { free_bytes, kept_bytes });
        }
        Ok(())
    }

    fn free_bytes(&self) -> Result<u64, EngineError> {
        let disk = rustix::fs::statvfs(&self.path)
            .map_err(|error| EngineError::io(&error.into(), "ask how full the disk is"))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for RocksEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.reads.count_get(family);
        let found = self.db.get_pinned_cf(self.family(family), key);
        let found = found.map_err(|error| self.noted(read_error(error)))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        order: Order,
        visit: &mut Visitor<'_>,
    ) -> Result<(), EngineError> {
        if range.is_empty() {
            return Ok(());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(range.start().to_vec());
        if let Some(end) = range.end() {
            options.set_iterate_upper_bound(end.to_vec());
        }
        let mut rows = self.db.raw_iterator_cf_opt(self.family(family), options);
        match order {
            Order::Forward => rows.seek_to_first(),
            Order::Reverse => rows.seek_to_last(),
        }
        while let Some((key, value)) = rows.item() {
            self.reads.count_row(family);
            if visit(key, value).is_break() {
                return Ok(());
            }
            match order {
                Order::Forward => rows.next(),
                Order::Reverse => rows.prev(),
            }
        }
        // An iterator ends in the same way behind the last row and before an unreadable one.
        rows.status().map_err(|error| self.noted(read_error(error)))
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError> {
        let mut log = self.log();
        log.check()?;
        self.room_for(batch.bytes(), self.options.floor_bytes)?;
        let mut how = WriteOptions::default();
        how.set_sync(durability == Durability::Synced);
        let written = self.db.write_opt(self.write_batch(batch), &how);
        written.map_err(|error| self.noted(log.fail(&error)))?;
        log.stats.commits += 1;
        log.stats.log_bytes += batch.bytes() as u64;
        self.merges.note_unreadable(batch.unreadable());
        if durability == Durability::Synced {
            log.synced_up_to(self.db.latest_sequence_number())?;
        }
        Ok(())
    }

    fn remove_range(&self, family: Family, range: &KeyRange) -> Result<(), EngineError> {
        let end = match range.end() {
            Some(end) => end.to_vec(),
            None => self.behind_all(family)?,
        };
        let mut log = self.log();
        log.check()?;
        if *range.start() >= end {
            return Ok(());
        }
        self.room_for(range.start().len() + end.len(), self.options.floor_bytes)?;
        let how = WriteOptions::default();
        let family = self.family(family);
        let removed = self.db.delete_range_cf_opt(family, range.start().to_vec(), end, &how);
        removed.map_err(|error| self.noted(log.fail(&error)))
    }

    fn sync(&self) -> Result<(), EngineError> {
        let mut log = self.log();
        log.check()?;
        self.db.flush_wal(true).map_err(|error| self.noted(log.fail(&error)))?;
        log.synced_up_to(self.db.latest_sequence_number())
    }

    fn sequence(&self) -> u64 {
        self.db.latest_sequence_number()
    }

    fn recovery(&self) -> Recovery {
        *self.recovery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch_damage(&self) -> watch::Receiver<Option<String>> {
        self.damage.subscribe()
    }

    fn settle(&self) -> Result<(), EngineError> {
        self.log().watermark.settle(self.db.latest_sequence_number())?;
        *self.recovery.lock().unwrap_or_else(PoisonError::into_inner) = Recovery::Whole;
        Ok(())
    }

    fn room(&self) -> Result<(), EngineError> {
        self.room_for(0, self.options.reserve_bytes)
    }

    fn space(&self) -> Result<Space, EngineError> {
        let mut used_bytes = 0_u64;
        for family in Family::ALL {
            for property in [properties::TOTAL_SST_FILES_SIZE, properties::SIZE_ALL_MEM_TABLES] {
                let bytes = self.db.property_int_value_cf(self.family(family), property);
                used_bytes = used_bytes.saturating_add(bytes.map_err(read_error)?.unwrap_or(0));
            }
        }
        Ok(Space { used_bytes, free_bytes: self.free_bytes()? })
    }

    fn stats(&self) -> EngineStats {
        let mut stats = self.log().stats;
        self.reads.add_to(&mut stats);
        self.merges.add_to(&mut stats);
        stats.salvages = self.salvages;
        stats
    }
}

impl Log {
    /// Refuses to go on after a failure: the next sync could succeed without the lost pages.
    fn check(&self) -> Result<(), EngineError> {
        match &self.failure {
            Some(reason) => Err(EngineError::SyncFailed { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// A compaction that met damage ends all writes too; nothing of this one was written then.
    fn fail(&mut self, error: &rocksdb::Error) -> EngineError {
        let reason = error.to_string();
        self.failure = Some(reason.clone());
        match error.kind() {
            ErrorKind::Corruption => EngineError::Corrupt { reason },
            _ => EngineError::SyncFailed { reason },
        }
    }

    fn synced_up_to(&mut self, sequence: u64) -> Result<(), EngineError> {
        self.stats.log_syncs += 1;
        self.watermark.raise(sequence).inspect_err(|error| {
            self.failure = Some(error.to_string());
        })
    }
}

fn read_error(error: rocksdb::Error) -> EngineError {
    let kind = error.kind();
    let reason = error.into_string();
    match kind {
        ErrorKind::Corruption => EngineError::Corrupt { reason },
        // The manifest names a file that is not there; the crate does not tell the kinds of these.
        ErrorKind::IOError if reason.contains("No such file") => EngineError::Corrupt { reason },
        ErrorKind::ShutdownInProgress => EngineError::Closed,
        _ => EngineError::Io { kind: std::io::ErrorKind::Other, reason },
    }
}

#[cfg(test)]
mod tests;
