//! Leaving the files of a database out that cannot be read, and its manifest where that is damaged.
//!
//! RocksDB's repair reads every table, moves those aside that have an unreadable block, turns the logs
//! into tables and writes a new manifest. It learns of families from tables alone, and drops what the
//! logs hold of others: so each family is given a table first, from a database of the same make that
//! holds nothing but the deletion of a key that no family has.
//!
//! Caller: [`crate::store::salvage`], which takes a new store id whatever comes of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{DB, Options};

use super::open::{Reading, open_db, set_house, set_merge};
use super::{RocksEngine, RocksOptions, read_error};
use crate::store::engine::{EngineError, Family};

/// Where the tables for the families are made.
const DONOR: &str = "donor";

/// The last bytes of every table.
const TABLE_END: [u8; 8] = 0x88e2_41b7_85f4_cff7_u64.to_le_bytes();

/// A key that no family has.
const NO_KEY: &[u8] = b"";

impl RocksEngine {
    /// Makes of the closed database in `rows` one that can be opened and read, of what can be read.
    pub(in crate::store) fn leave_unreadable_files_out(rows: &Path) -> Result<(), EngineError> {
        let options = RocksOptions::default();
        let donor = rows.join(DONOR);
        clear(&donor)?;
        for (number, table) in (next_number(rows)?..).zip(make_tables(&donor, &options)?) {
            let place = rows.join(format!("{number:06}.sst"));
            fs::copy(&table, &place).map_err(|error| failed(&error, &place))?;
        }
        clear(&donor)?;
        let mut how = Options::default();
        set_house(&mut how, &options);
        set_merge(&mut how, &Arc::default());
        DB::repair(&how, rows).map_err(read_error)
    }
}

/// Refuses a database with whole tables that its manifest does not name: opening it for writing would
/// remove them. They are what a manifest that was cut off has forgotten.
pub(super) fn refuse_strays(db: &DB, rows: &Path) -> Result<(), EngineError> {
    let named: BTreeSet<_> =
        db.live_files().map_err(read_error)?.into_iter().map(|file| file.name).collect();
    for path in list(rows)?.into_iter().filter(|path| is_table(path)) {
        let name = path.file_name().map_or_else(String::new, |name| format!("/{}", name.display()));
        if !named.contains(&name) && is_whole(&path)? {
            let reason = format!("the manifest does not name the table {name}");
            return Err(EngineError::Corrupt { reason });
        }
    }
    Ok(())
}

/// Whether a table was written to its end; a flush that a crash interrupted leaves half a one.
fn is_whole(table: &Path) -> Result<bool, EngineError> {
    let content = fs::read(table).map_err(|error| failed(&error, table))?;
    Ok(content.ends_with(&TABLE_END))
}

/// Whether the directory holds tables or manifests.
pub(super) fn holds_tables(rows: &Path) -> Result<bool, EngineError> {
    let names = list(rows)?;
    Ok(names.iter().any(|path| number_of(path).is_some() || is_manifest(path)))
}

/// One table for each family.
fn make_tables(donor: &Path, options: &RocksOptions) -> Result<Vec<PathBuf>, EngineError> {
    let db = open_db(donor, options, &Arc::default(), Reading::Strict).map_err(read_error)?;
    for family in Family::ALL {
        let family = db.cf_handle(family.name()).expect("it was opened with the database");
        db.delete_cf(family, NO_KEY).and_then(|()| db.flush_cf(family)).map_err(read_error)?;
    }
    drop(db);
    Ok(list(donor)?.into_iter().filter(|path| is_table(path)).collect())
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|found| found == "sst")
}

/// A number that no table or log of the directory has.
fn next_number(rows: &Path) -> Result<u64, EngineError> {
    Ok(list(rows)?.iter().filter_map(|path| number_of(path)).max().unwrap_or(0) + 1)
}

/// The number of a table or a log.
fn number_of(path: &Path) -> Option<u64> {
    let is_numbered = path.extension().is_some_and(|found| found == "sst" || found == "log");
    path.file_stem().filter(|_| is_numbered)?.to_str()?.parse().ok()
}

fn is_manifest(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"MANIFEST-"))
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, EngineError> {
    fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(|error| failed(&error, directory))
}

fn clear(directory: &Path) -> Result<(), EngineError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed(&error, directory))
        }
        _ => Ok(()),
    }
}

fn failed(error: &std::io::Error, path: &Path) -> EngineError {
    EngineError::io(error, &format!("salvage {}", path.display()))
}
