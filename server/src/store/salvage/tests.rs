use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::store::engine::{Batch, Durability, Order, Recovery};

const ROWS: u32 = 20_000;

/// A data directory with rows in several tables and in the log.
struct Home {
    directory: TempDir,
    options: RocksOptions,
}

impl Home {
    /// Even rows lie in one table, odd ones in another, the last hundred in the log alone.
    fn filled() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = RocksOptions { reserve_bytes: 0, floor_bytes: 0, ..RocksOptions::default() };
        let home = Self { directory, options };
        let engine = home.open();
        let put = |numbers: &mut dyn Iterator<Item = u32>| {
            let mut batch = Batch::default();
            numbers.for_each(|number| batch.put(Family::Rows, key(number), value(number)));
            batch.put(Family::Local, "identity", "whose it is");
            batch.put(Family::Register, "vote", "a vote");
            batch.put(Family::Hints, "hint", "a hint");
            engine.commit(&batch, Durability::Synced).unwrap();
        };
        put(&mut (0..ROWS - 100).filter(|number| number % 2 == 0));
        engine.flush().unwrap();
        put(&mut (0..ROWS - 100).filter(|number| number % 2 == 1));
        engine.flush().unwrap();
        put(&mut (ROWS - 100..ROWS));
        drop(engine);
        home
    }

    fn rows(&self) -> PathBuf {
        self.directory.path().join("rows")
    }

    fn salvage(&self) -> Salvage<'_> {
        Salvage::of(self.directory.path(), self.rows(), &self.options)
    }

    fn open(&self) -> RocksEngine {
        self.salvage().open().unwrap()
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let paths = fs::read_dir(self.rows()).unwrap().map(|entry| entry.unwrap().path());
        let has = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
        let mut found: Vec<_> = paths.filter(has).collect();
        found.sort_by_key(|path| fs::metadata(path).unwrap().len());
        found
    }

    fn manifest(&self) -> PathBuf {
        let mut names = fs::read_dir(self.rows()).unwrap().map(|entry| entry.unwrap().path());
        let is_one = |path: &PathBuf| path.to_str().unwrap().contains("/MANIFEST-");
        names.find(is_one).unwrap()
    }

    /// The names in the data directory.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn key(number: u32) -> Vec<u8> {
    format!("{number:08}").into_bytes()
}

fn value(number: u32) -> Vec<u8> {
    // Nothing that a compressor makes short.
    blake3::hash(&number.to_be_bytes()).as_bytes().to_vec()
}

/// All rows, each checked.
fn rows(engine: &RocksEngine) -> BTreeMap<u32, Bytes> {
    let all = engine.rows(Family::Rows, &KeyRange::all(), Order::Forward, usize::MAX).unwrap();
    let read = |(key, found): (Bytes, Bytes)| {
        let number = std::str::from_utf8(&key).unwrap().parse().unwrap();
        assert_eq!(found, value(number), "a row that nobody wrote");
        (number, found)
    };
    all.into_iter().map(read).collect()
}

fn spoil(path: &Path, at: usize, bytes: usize) {
    let mut content = fs::read(path).unwrap();
    content[at..at + bytes].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(path, content).unwrap();
}

fn records(engine: &RocksEngine) -> [Option<Bytes>; 3] {
    [(Family::Local, "identity"), (Family::Register, "vote"), (Family::Hints, "hint")]
        .map(|(family, key)| engine.get(family, key.as_bytes()).unwrap())
}

#[test]
fn a_sound_store_is_opened_as_it_is() {
    let home = Home::filled();
    let engine = home.open();
    assert_eq!(engine.recovery(), Recovery::Whole);
    assert_eq!(rows(&engine).len(), ROWS as usize);
    assert_eq!(home.names(), ["rows"]);
}

#[test]
fn a_damaged_block_costs_its_own_rows_and_no_other() {
    let home = Home::filled();
    let table = home.files("sst").pop().unwrap();
    let middle = usize::try_from(fs::metadata(&table).unwrap().len()).unwrap() / 2;
    spoil(&table, middle, 1);
    let engine = home.open();
    let met = engine.scan(Family::Rows, &KeyRange::all(), Order::Forward, &mut |_, _| {
        std::ops::ControlFlow::Continue(())
    });
    assert!(matches!(met, Err(EngineError::Corrupt { .. })), "{met:?}");
    assert!(engine.watch_damage().borrow().is_some());
    drop(engine);
    let engine = home.open();
    assert_eq!(engine.recovery(), Recovery::Salvaged);
    let left = rows(&engine);
    let lost: Vec<_> = (0..ROWS).filter(|number| !left.contains_key(number)).collect();
    assert!(!lost.is_empty() && lost.len() < 300, "{} rows are lost", lost.len());
    let parity = lost[0] % 2;
    assert!(lost.iter().all(|number| number % 2 == parity), "rows of the other table lie between");
    assert!(records(&engine).iter().all(Option::is_some));
    assert_eq!(home.names(), ["rows", "rows.damaged-1"]);
    assert_eq!(engine.stats().salvages, 1);
}

#[test]
fn several_damaged_blocks_cost_only_theirs() {
    let home = Home::filled();
    let table = home.files("sst").pop().unwrap();
    let len = usize::try_from(fs::metadata(&table).unwrap().len()).unwrap();
    (1..8).for_each(|eighth| spoil(&table, len / 8 * eighth, 1));
    condemn(&home.rows(), "blocks are bad").unwrap();
    let left = rows(&home.open());
    let lost = ROWS as usize - left.len();
    assert!((1..7 * 300).contains(&lost), "{lost} rows are lost");
}

#[test]
fn a_manifest_that_is_gone_costs_no_row() {
    for is_current in [true, false] {
        let home = Home::filled();
        let names = fs::read_dir(home.rows()).unwrap().map(|entry| entry.unwrap().path());
        let gone = if is_current { "CURRENT" } else { "MANIFEST" };
        let is_gone =
            |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(gone);
        names.filter(is_gone).for_each(|path| fs::remove_file(path).unwrap());
        let engine = home.open();
        assert_eq!(engine.recovery(), Recovery::Salvaged, "{gone}");
        assert_eq!(rows(&engine).len(), ROWS as usize, "{gone}: tables and log");
        assert!(records(&engine).iter().all(Option::is_some), "{gone}");
    }
}

#[test]
fn a_manifest_that_is_gone_costs_no_row_of_a_store_without_tables() {
    let directory = tempfile::tempdir().unwrap();
    let options = RocksOptions { reserve_bytes: 0, floor_bytes: 0, ..RocksOptions::default() };
    let home = Home { directory, options };
    let engine = home.open();
    let mut batch = Batch::default();
    batch.put(Family::Rows, key(7), value(7));
    engine.commit(&batch, Durability::Synced).unwrap();
    drop(engine);
    fs::write(home.rows().join("CURRENT"), "MANIFEST-999999\n").unwrap();
    let engine = home.open();
    assert_eq!((engine.recovery(), rows(&engine).len()), (Recovery::Salvaged, 1));
}

/// Of the manifest the last records are missing; so it names tables that are gone or not those that
/// are there.
#[test]
fn a_manifest_that_is_cut_off_costs_no_row() {
    let whole = {
        let home = Home::filled();
        fs::metadata(home.manifest()).unwrap().len()
    };
    for kept in (0..=whole).step_by(usize::try_from(whole / 40).unwrap().max(1)) {
        let home = Home::filled();
        let manifest = fs::OpenOptions::new().write(true).open(home.manifest()).unwrap();
        manifest.set_len(kept).unwrap();
        assert_eq!(rows(&home.open()).len(), ROWS as usize, "{kept} of {whole} bytes are left");
    }
}

#[test]
fn a_table_that_is_cut_off_or_gone_costs_its_own_rows() {
    for kept in [None, Some(0), Some(5_000)] {
        let home = Home::filled();
        let table = home.files("sst").pop().unwrap();
        match kept {
            None => fs::remove_file(&table).unwrap(),
            Some(kept) => {
                fs::OpenOptions::new().write(true).open(&table).unwrap().set_len(kept).unwrap();
            }
        }
        let engine = home.open();
        assert_eq!(engine.recovery(), Recovery::Salvaged, "{kept:?}");
        let left = rows(&engine).len();
        assert!(left >= ROWS as usize / 2, "{kept:?}: {left} rows are left");
    }
}

#[test]
fn a_directory_of_rubbish_becomes_an_empty_store() {
    let home = Home::filled();
    for entry in fs::read_dir(home.rows()).unwrap() {
        fs::write(entry.unwrap().path(), "rubbish").unwrap();
    }
    let engine = home.open();
    assert_eq!(engine.recovery(), Recovery::Salvaged);
    assert!(rows(&engine).is_empty());
}

/// Each time in the state in which a crash between two steps leaves the directory.
#[test]
fn a_crash_at_any_step_is_gone_on_from() {
    let whole = |home: &Home, recovery| {
        let engine = home.open();
        assert_eq!((engine.recovery(), rows(&engine).len()), (recovery, ROWS as usize));
        drop(engine);
        assert_eq!(home.names(), ["rows", "rows.damaged-1"]);
        assert!(!home.rows().join(NOTE).exists());
    };
    // The note is written.
    let home = Home::filled();
    condemn(&home.rows(), "for a test").unwrap();
    whole(&home, Recovery::Salvaged);
    // The new rows are half there.
    let home = Home::filled();
    condemn(&home.rows(), "for a test").unwrap();
    drop(RocksEngine::open(&home.salvage().new, home.options.clone()).unwrap());
    whole(&home, Recovery::Salvaged);
    // Between the two renames.
    let home = Home::filled();
    condemn(&home.rows(), "for a test").unwrap();
    home.salvage().fill().unwrap();
    fs::rename(home.rows(), home.directory.path().join("rows.damaged-1")).unwrap();
    whole(&home, Recovery::Salvaged);
}

#[test]
fn only_the_last_damaged_directory_is_kept() {
    let home = Home::filled();
    for _ in 0..3 {
        condemn(&home.rows(), "for a test").unwrap();
        home.open();
    }
    assert_eq!(home.names(), ["rows", "rows.damaged-3"]);
    assert_eq!(home.open().stats().salvages, 3);
}

#[test]
fn a_long_reason_is_cut_off_where_a_letter_ends() {
    let home = Home::filled();
    condemn(&home.rows(), &"ä".repeat(REASON_MAX)).unwrap();
    let note = read_small(&home.rows().join(NOTE)).unwrap().unwrap();
    assert!(note.len() <= REASON_MAX && std::str::from_utf8(&note).is_ok());
}
