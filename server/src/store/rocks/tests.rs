use std::fs;

use repair::cells::{Expiry, Row, WriteStamp};
use tempfile::TempDir;

use super::open::SUCCESSIVE_MERGES_MAX;
use super::*;
use crate::store::suite::{Lab, conformance};

/// A directory with an engine on it; a power cut is a copy of the directory with a shorter log.
struct RocksLab {
    home: TempDir,
    options: RocksOptions,
    engine: Option<RocksEngine>,
    synced_bytes: u64,
}

impl RocksLab {
    fn log_path(&self) -> PathBuf {
        newest_log(self.home.path())
    }

    fn log_bytes(&self) -> u64 {
        fs::metadata(self.log_path()).unwrap().len()
    }

    fn set_options(&mut self, options: RocksOptions) {
        self.options = options;
        self.reopen();
    }

    /// Does something to the closed directory and opens it again.
    fn spoil(&mut self, spoil: impl FnOnce(&Path)) {
        self.engine = None;
        spoil(self.home.path());
        self.reopen();
    }
}

impl Lab for RocksLab {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let options = RocksOptions { floor_bytes: 0, reserve_bytes: 0, ..RocksOptions::default() };
        let engine = Some(RocksEngine::open(home.path(), options.clone()).unwrap());
        let mut lab = Self { home, options, engine, synced_bytes: 0 };
        lab.note_sync();
        lab
    }

    fn engine(&self) -> &dyn Engine {
        self.engine.as_ref().expect("open between two steps")
    }

    fn reopen(&mut self) {
        self.engine = None;
        self.engine = Some(RocksEngine::open(self.home.path(), self.options.clone()).unwrap());
        self.note_sync();
    }

    fn note_sync(&mut self) {
        self.synced_bytes = self.log_bytes();
    }

    fn unsynced_bytes(&self) -> usize {
        usize::try_from(self.log_bytes() - self.synced_bytes).unwrap()
    }

    fn crash(&mut self, kept_bytes: usize) {
        let after = tempfile::tempdir().unwrap();
        // No file may come or go while they are copied.
        self.engine.as_ref().expect("open").db.cancel_all_background_work(true);
        for entry in fs::read_dir(self.home.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), after.path().join(entry.file_name())).unwrap();
        }
        let log = fs::OpenOptions::new().write(true).open(newest_log(after.path())).unwrap();
        log.set_len(self.synced_bytes + kept_bytes as u64).unwrap();
        self.engine = None;
        self.home = after;
        self.reopen();
    }

    fn flush(&mut self) {
        self.engine.as_ref().expect("open").flush().unwrap();
    }

    fn leave_only_the_reserve(&mut self) {
        self.set_options(RocksOptions { reserve_bytes: u64::MAX, ..self.options.clone() });
    }

    fn leave_no_room(&mut self) {
        self.set_options(RocksOptions { floor_bytes: u64::MAX, ..self.options.clone() });
    }

    fn spoil_rows(&mut self) {
        self.engine.as_ref().expect("open").flush().unwrap();
        self.spoil(|home| {
            for path in files(home, "sst") {
                let mut table = fs::read(&path).unwrap();
                let data = table.len() / 2;
                table[..data].iter_mut().for_each(|byte| *byte ^= 0x55);
                fs::write(&path, table).unwrap();
            }
        });
    }

    fn spoil_the_synced_log(&mut self) {
        self.spoil(|home| {
            let path = newest_log(home);
            let mut log = fs::read(&path).unwrap();
            let middle = log.len() / 2;
            log[middle] ^= 1;
            fs::write(&path, log).unwrap();
        });
    }
}

fn files(home: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    found.sort();
    found
}

fn newest_log(home: &Path) -> PathBuf {
    files(home, "log").pop().unwrap()
}

conformance!(RocksLab);

/// A lab with 50 synced rows in its log.
fn lab_with_rows() -> RocksLab {
    let mut lab = RocksLab::new();
    for number in 0..50 {
        lab.put(&format!("{number:02}"), "value");
    }
    lab
}

#[test]
fn log_that_ends_too_early_is_damaged() {
    let mut lab = lab_with_rows();
    lab.spoil(|home| {
        let log = fs::OpenOptions::new().write(true).open(newest_log(home)).unwrap();
        log.set_len(log.metadata().unwrap().len() - 1).unwrap();
    });
    assert_eq!(lab.engine().recovery(), Recovery::Damaged);
    assert_eq!(lab.rows(Family::Rows).len(), 49);
}

#[test]
fn log_that_is_missing_is_damaged() {
    let mut lab = lab_with_rows();
    lab.spoil(|home| fs::remove_file(newest_log(home)).unwrap());
    assert_eq!(lab.engine().recovery(), Recovery::Damaged);
}

#[test]
fn rows_behind_a_damaged_block_of_the_log_are_kept() {
    let mut lab = RocksLab::new();
    for number in 0..50 {
        lab.put(&format!("{number:02}"), &"value".repeat(1000));
    }
    lab.spoil_the_synced_log();
    assert_eq!(lab.engine().recovery(), Recovery::Damaged);
    let kept = lab.rows(Family::Rows).len();
    assert!((35..50).contains(&kept), "{kept} rows");
    assert!(lab.get("00").is_some() && lab.get("49").is_some());
}

#[test]
fn database_whose_manifest_is_damaged_is_an_error() {
    let lab = lab_with_rows();
    let home = lab.home.path().to_owned();
    let RocksLab { home: _kept, engine, .. } = lab;
    drop(engine);
    fs::write(home.join("CURRENT"), "MANIFEST-999999\n").unwrap();
    let refused = RocksEngine::open(&home, RocksOptions::default()).err().unwrap();
    assert!(matches!(refused, EngineError::Corrupt { .. } | EngineError::Io { .. }), "{refused}");
}

/// What one read of the key had to join.
fn operands_read(lab: &RocksLab, key: &str) -> u64 {
    let before = lab.engine().stats().operands_merged;
    lab.get(key).unwrap();
    lab.engine().stats().operands_merged - before
}

#[test]
fn row_under_ten_thousand_blind_writes_stays_short_to_read() {
    let mut lab = RocksLab::new();
    let row = |timestamp: i64| {
        let mut row = Row::default();
        let value = Some(Bytes::copy_from_slice(&timestamp.to_be_bytes()));
        row.set(1, WriteStamp { timestamp, operation: 1 }, Expiry::Never, value);
        Bytes::from(row.encode())
    };
    for timestamp in 0..10_000 {
        lab.merge("hot", &row(timestamp));
        if timestamp % 1_000 == 7 {
            lab.flush();
        }
        if timestamp % 611 == 0 {
            let length = operands_read(&lab, "hot");
            assert!(length <= SUCCESSIVE_MERGES_MAX as u64, "{length} operands of one row");
        }
    }
    assert_eq!(lab.get("hot"), Some(row(9_999)));
    assert_eq!(lab.engine().stats().reads, 10_000_u64.div_ceil(611) + 1);
    lab.flush();
    lab.engine.as_ref().unwrap().db.compact_range_cf(
        lab.engine.as_ref().unwrap().family(Family::Rows),
        None::<&[u8]>,
        None::<&[u8]>,
    );
    assert_eq!(operands_read(&lab, "hot"), 0, "a compaction leaves one value");
}

#[test]
fn no_log_of_its_own_doings_is_left_in_the_directory() {
    let lab = lab_with_rows();
    assert!(!lab.home.path().join("LOG").exists());
}

#[test]
fn zeros_or_rubbish_behind_the_log_are_a_torn_tail() {
    for filler in [0_u8, 0xAB] {
        let mut lab = lab_with_rows();
        lab.spoil(|home| {
            let mut log = fs::read(newest_log(home)).unwrap();
            log.extend([filler; 40]);
            fs::write(newest_log(home), log).unwrap();
        });
        assert_eq!(lab.engine().recovery(), Recovery::Whole);
        assert_eq!(lab.rows(Family::Rows).len(), 50);
    }
}

/// A lab whose last write, over many pages, was not synced; `page` of it was never written.
fn lab_with_torn_write(page: usize) -> RocksLab {
    let mut lab = lab_with_rows();
    lab.note_sync();
    let mut batch = Batch::default();
    (0..20).for_each(|number| batch.put(Family::Rows, format!("torn {number}"), vec![7; 4096]));
    lab.engine().commit(&batch, Durability::Unsynced).unwrap();
    let synced = usize::try_from(lab.synced_bytes).unwrap();
    lab.spoil(|home| {
        let mut log = fs::read(newest_log(home)).unwrap();
        let begin = synced.next_multiple_of(4096) + page * 4096;
        log[begin..begin + 4096].fill(0);
        fs::write(newest_log(home), log).unwrap();
    });
    lab
}

#[test]
fn a_write_that_was_not_synced_may_be_torn_anywhere() {
    for page in [0, 3, 8, 15] {
        let mut lab = lab_with_torn_write(page);
        assert_eq!(lab.engine().recovery(), Recovery::Whole, "page {page}");
        assert_eq!(lab.rows(Family::Rows).len(), 50, "page {page}");
        lab.put("later", "value");
        lab.reopen();
        assert_eq!(lab.engine().recovery(), Recovery::Whole, "page {page}");
    }
}

#[test]
fn a_damaged_last_write_that_was_synced_is_noticed() {
    let mut lab = lab_with_rows();
    lab.spoil(|home| {
        let mut log = fs::read(newest_log(home)).unwrap();
        let last = log.len() - 3;
        log[last] ^= 1;
        fs::write(newest_log(home), log).unwrap();
    });
    assert_eq!(lab.engine().recovery(), Recovery::Damaged);
    assert_eq!(lab.rows(Family::Rows).len(), 49);
}
