//! The engine on RocksDB.
//!
//! The write-ahead log is read so that a torn tail, which any crash may leave, is accepted, and
//! damage before a synced point is noticed: by RocksDB where a record is spoilt or a whole log is
//! missing, by the [`super::watermark`] where the log merely ends too early. A damaged log is
//! read as far as it can be and reported as [`Recovery::Damaged`] until the node has taken a new
//! store id.
//!
//! Rows take merges, by the operator of [`super::merge`]: RocksDB does not check at opening that
//! the operator is the one that the rows were written with, so their formats tell.
//!
//! One block cache and one budget for memtables serve all families. Commits come from one thread;
//! reads run inline on any. Callers: [`super::open`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, ErrorKind, InfoLogger, LogLevel, Options, ReadOptions, WriteBatch,
    WriteBufferManager, WriteOptions, properties,
};

use super::engine::{
    Batch, Change, Durability, Engine, EngineError, EngineStats, Family, KeyRange, Order,
    ReadCounters, Recovery, Space, Visitor,
};
use super::merge::{MergeCounters, OPERATOR};
use super::watermark::Watermark;

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

/// So many operands of one key in a row may lie in a memtable; the next one is joined with them.
const SUCCESSIVE_MERGES_MAX: usize = 32;

/// RocksDB behind the [`Engine`] trait.
pub struct RocksEngine {
    db: DB,
    path: PathBuf,
    options: RocksOptions,
    recovery: Mutex<Recovery>,
    log: Mutex<Log>,
    reads: ReadCounters,
    merges: Arc<MergeCounters>,
}

/// The end of the log: what one commit at a time may touch.
struct Log {
    watermark: Watermark,
    /// Why the log can be trusted no more.
    failure: Option<String>,
    stats: EngineStats,
}

/// How the log is read at opening.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// A torn tail is accepted, damage is an error.
    Strict,
    /// Every record that can be read is taken, but for the rest of a damaged block: what lies
    /// behind it was acknowledged too. Some rows may then be older than others, which is what a
    /// new store id and an exchange with the peers make good; no batch is ever half there.
    Salvage,
}

impl RocksEngine {
    /// Opens the database in `path`, which is made when it is missing.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] when its tables cannot be read at all; a damaged log is no error
    /// but [`Engine::recovery`]'s answer.
    pub fn open(path: &Path, options: RocksOptions) -> Result<Self, EngineError> {
        std::fs::create_dir_all(path)
            .map_err(|error| EngineError::io(&error, &format!("make {}", path.display())))?;
        let is_new = !path.join("CURRENT").exists();
        let mut watermark = Watermark::open(path, is_new)?;
        let merges = Arc::<MergeCounters>::default();
        let db = match open_db(path, &options, &merges, Reading::Strict) {
            Err(error) if error.kind() == ErrorKind::Corruption => {
                tracing::error!(%error, "the log is damaged: reading what is left of it");
                watermark.condemn()?;
                open_db(path, &options, &merges, Reading::Salvage)
            }
            opened => opened,
        }
        .map_err(read_error)?;
        let is_damaged = watermark.is_above(db.latest_sequence_number());
        let recovery = if is_damaged { Recovery::Damaged } else { Recovery::Whole };
        if is_damaged {
            watermark.condemn()?;
        }
        Ok(Self {
            db,
            path: path.to_owned(),
            options,
            recovery: Mutex::new(recovery),
            log: Mutex::new(Log { watermark, failure: None, stats: EngineStats::default() }),
            reads: ReadCounters::default(),
            merges,
        })
    }

    /// Writes what is only in memory and in the log into tables.
    pub fn flush(&self) -> Result<(), EngineError> {
        Family::ALL
            .into_iter()
            .try_for_each(|family| self.db.flush_cf(self.family(family)))
            .map_err(read_error)
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
        let found = self.db.get_pinned_cf(self.family(family), key).map_err(read_error)?;
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
        rows.status().map_err(read_error)
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError> {
        let mut log = self.log();
        log.check()?;
        self.room_for(batch.bytes(), self.options.floor_bytes)?;
        let mut how = WriteOptions::default();
        how.set_sync(durability == Durability::Synced);
        let written = self.db.write_opt(self.write_batch(batch), &how);
        written.map_err(|error| log.fail(&error))?;
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
        removed.map_err(|error| log.fail(&error))
    }

    fn sync(&self) -> Result<(), EngineError> {
        let mut log = self.log();
        log.check()?;
        self.db.flush_wal(true).map_err(|error| log.fail(&error))?;
        log.synced_up_to(self.db.latest_sequence_number())
    }

    fn sequence(&self) -> u64 {
        self.db.latest_sequence_number()
    }

    fn recovery(&self) -> Recovery {
        *self.recovery.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn fail(&mut self, error: &rocksdb::Error) -> EngineError {
        let reason = error.to_string();
        self.failure = Some(reason.clone());
        EngineError::SyncFailed { reason }
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
        ErrorKind::ShutdownInProgress => EngineError::Closed,
        _ => EngineError::Io { kind: std::io::ErrorKind::Other, reason },
    }
}

fn open_db(
    path: &Path,
    options: &RocksOptions,
    merges: &Arc<MergeCounters>,
    reading: Reading,
) -> Result<DB, rocksdb::Error> {
    let cache = Cache::new_hyper_clock_cache(options.cache_bytes, 0);
    let memtables = WriteBufferManager::new_write_buffer_manager_with_cache(
        options.memtable_bytes,
        false,
        cache.clone(),
    );
    let mut whole = Options::default();
    whole.set_write_buffer_manager(&memtables);
    set_log(&mut whole, options, reading);
    set_house(&mut whole, options);
    let families = Family::ALL.map(|family| {
        let mut own = family_options(family, options, &cache);
        if family == Family::Rows {
            set_merge(&mut own, merges);
        }
        ColumnFamilyDescriptor::new(family.name(), own)
    });
    let db = DB::open_cf_descriptors(&whole, path, families)?;
    let rows = db.cf_handle(Family::Rows.name()).expect("it was opened with the database");
    // Also where the value below the chain lies on disk: one read for so many blind writes of one
    // row, after which it lies in the memtable. The crate has no other way to say so.
    db.set_options_cf(rows, &[("strict_max_successive_merges", "true")])?;
    Ok(db)
}

fn set_log(whole: &mut Options, options: &RocksOptions, reading: Reading) {
    // A recycled log holds old records behind its end, which look like a damaged tail.
    whole.set_recycle_log_file_num(0);
    whole.set_max_total_wal_size(options.log_bytes_max);
    whole.set_use_fsync(false); // fdatasync: nobody needs the log's time stamps.
    whole.set_track_and_verify_wals_in_manifest(reading == Reading::Strict);
    whole.set_wal_recovery_mode(match reading {
        Reading::Strict => DBRecoveryMode::TolerateCorruptedTailRecords,
        Reading::Salvage => DBRecoveryMode::SkipAnyCorruptedRecord,
    });
}

fn set_house(whole: &mut Options, options: &RocksOptions) {
    whole.create_if_missing(true);
    whole.create_missing_column_families(true);
    whole.set_paranoid_checks(true);
    whole.set_max_open_files(i32::from(options.open_files_max));
    whole.set_max_background_jobs(2);
    whole.set_bytes_per_sync(1 << 20);
    whole.set_stats_dump_period_sec(0);
    whole.set_stats_persist_period_sec(0);
    whole.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, log_line));
}

/// RocksDB's warnings concern its own pace; its errors concern the operator.
fn log_line(level: LogLevel, line: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "rocksdb", "{line}"),
        LogLevel::Warn => tracing::info!(target: "rocksdb", "{line}"),
        LogLevel::Debug | LogLevel::Info | LogLevel::Header => {}
    }
}

fn family_options(family: Family, options: &RocksOptions, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut own = Options::default();
    own.set_block_based_table_factory(&blocks);
    own.set_compression_type(DBCompressionType::Lz4);
    own.set_bottommost_compression_type(DBCompressionType::Zstd);
    own.set_write_buffer_size(match family {
        Family::Rows => (options.memtable_bytes / 2).max(1 << 20),
        _ => (options.memtable_bytes / 8).max(1 << 20),
    });
    own
}

/// Lets the family join operands: the result of some of them is an operand again, so that chains
/// are folded by flushes and compactions, and in memory before they grow long.
fn set_merge(own: &mut Options, merges: &Arc<MergeCounters>) {
    let merges = Arc::clone(merges);
    own.set_merge_operator_associative(OPERATOR, move |_, base, operands| {
        Some(merges.merge(base, operands))
    });
    own.set_max_successive_merges(SUCCESSIVE_MERGES_MAX);
}

#[cfg(test)]
mod tests;
