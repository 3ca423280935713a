//! How RocksDB is opened: its options, and how its log is read.
//!
//! ```text
//! strictly ── fails ──> up to the damage, changing nothing ──> skipping what cannot be read
//!                            where does it end?                     does anything lie behind?
//! ```
//!
//! Caller: [`super`], and [`super::leave_out`].

use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    ErrorKind, InfoLogger, LogLevel, Options, WriteBufferManager,
};

use super::{RocksOptions, leave_out, read_error};
use crate::store::engine::{EngineError, Family};
use crate::store::merge::{MergeCounters, OPERATOR};
use crate::store::watermark::Watermark;

/// So many operands of one key in a row may lie in a memtable; the next one is joined with them.
pub(super) const SUCCESSIVE_MERGES_MAX: usize = 32;

/// How the log is read at opening.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// A torn tail is accepted, damage is an error.
    Strict,
    /// All in front of the first damage is taken, and nothing is changed on disk.
    UpToDamage,
    /// As [`Reading::Salvage`], and nothing is changed on disk.
    AsItIs,
    /// Every record that can be read is taken, but for the rest of a damaged block: what lies
    /// behind it was acknowledged too. Some rows may then be older than others, which is what a
    /// new store id and an exchange with the peers make good; no batch is ever half there.
    Salvage,
}

/// Opens the database in `path`, whatever its log looks like.
///
/// # Errors
/// [`EngineError::Corrupt`] where it is not the log alone that is damaged.
pub(super) fn open(
    path: &Path,
    options: &RocksOptions,
    merges: &Arc<MergeCounters>,
    watermark: &mut Watermark,
) -> Result<DB, EngineError> {
    match open_db(path, options, merges, Reading::Strict) {
        Err(error) if error.kind() == ErrorKind::Corruption => {
            open_with_damaged_log(path, options, merges, watermark, &error)
        }
        opened => opened.map_err(read_error),
    }
}

/// Opens a database whose log could not be read strictly, with what can be read of the log.
///
/// A power cut may leave any pages of the last write, which was not synced: then nothing that can be
/// read lies behind what cannot. Where something does, or the note says that more was synced, the damage
/// concerns what was promised, and the watermark is condemned before logs are removed.
fn open_with_damaged_log(
    path: &Path,
    options: &RocksOptions,
    merges: &Arc<MergeCounters>,
    watermark: &mut Watermark,
    error: &rocksdb::Error,
) -> Result<DB, EngineError> {
    let look = |reading| open_db(path, options, merges, reading).ok();
    let end = look(Reading::UpToDamage).map(|db| db.latest_sequence_number());
    let all = look(Reading::AsItIs);
    let is_torn = end.is_some_and(|end| !watermark.is_above(end))
        && end == all.as_ref().map(DB::latest_sequence_number);
    if is_torn {
        tracing::info!(%error, "the log ends in a write that was not synced and is torn");
    } else {
        tracing::error!(%error, "the log is damaged: reading what is left of it");
        watermark.condemn()?;
        if let Some(db) = all {
            leave_out::refuse_strays(&db, path)?;
        }
    }
    open_db(path, options, merges, Reading::Salvage).map_err(read_error)
}

pub(super) fn open_db(
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
    if matches!(reading, Reading::UpToDamage | Reading::AsItIs) {
        return DB::open_cf_descriptors_read_only(&whole, path, families, false);
    }
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
    // RocksDB crashes where a database whose logs are tracked is opened to be read without tracking.
    whole.set_track_and_verify_wals_in_manifest(reading != Reading::Salvage);
    whole.set_wal_recovery_mode(match reading {
        Reading::Strict => DBRecoveryMode::TolerateCorruptedTailRecords,
        Reading::UpToDamage => DBRecoveryMode::PointInTime,
        Reading::Salvage | Reading::AsItIs => DBRecoveryMode::SkipAnyCorruptedRecord,
    });
}

pub(super) fn set_house(whole: &mut Options, options: &RocksOptions) {
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
pub(super) fn set_merge(own: &mut Options, merges: &Arc<MergeCounters>) {
    let merges = Arc::clone(merges);
    own.set_merge_operator_associative(OPERATOR, move |_, base, operands| {
        Some(merges.merge(base, operands))
    });
    own.set_max_successive_merges(SUCCESSIVE_MERGES_MAX);
}
