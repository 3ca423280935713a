//! How far the log was synced: a number beside the log that betrays a log cut short.
//!
//! A log that ends too early looks like one with a torn tail, which every crash may leave. So the
//! engine notes after each fsync the sequence number that is safe now. The note is overwritten in
//! place, without an fsync of its own: it outlives the process at once and a power cut after some
//! seconds, and it is never ahead of the log. A log found behind its note has lost something that
//! was synced.
//!
//! ```text
//! WATERMARK = "SWM1", sequence u64, crc32 u32 of both        sequence u64::MAX: condemned
//! ```
//!
//! Caller: [`super::rocks`].

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::directory::{read_small, replace};
use super::engine::EngineError;

const NAME: &str = "WATERMARK";
const MAGIC: &[u8; 4] = b"SWM1";
const CONDEMNED: u64 = u64::MAX;

/// The note of how far the log was synced.
#[derive(Debug)]
pub(super) struct Watermark {
    file: File,
    synced: u64,
}

impl Watermark {
    /// Reads the note in `directory`. `is_new` says that there is no log yet; a log without a
    /// readable note is condemned.
    pub(super) fn open(directory: &Path, is_new: bool) -> Result<Self, EngineError> {
        let found = read_small(&directory.join(NAME))?;
        let synced = match found.as_deref().map(decode) {
            Some(Some(synced)) => synced,
            None if is_new => 0,
            None | Some(None) => CONDEMNED,
        };
        // Written anew even when it stands: it must be there, whole and durable, before the log is.
        replace(directory, NAME, &encode(synced))?;
        let file = OpenOptions::new()
            .write(true)
            .open(directory.join(NAME))
            .map_err(|error| EngineError::io(&error, "open the watermark"))?;
        Ok(Self { file, synced })
    }

    /// Whether a log that ends with `sequence` lacks something that was synced.
    pub(super) fn is_above(&self, sequence: u64) -> bool {
        self.synced > sequence
    }

    /// Notes that the log is synced up to `sequence`; a condemned one stays condemned.
    pub(super) fn raise(&mut self, sequence: u64) -> Result<(), EngineError> {
        if sequence <= self.synced {
            return Ok(());
        }
        self.synced = sequence;
        self.write()
    }

    /// Marks the log as damaged, durably, until it is settled.
    pub(super) fn condemn(&mut self) -> Result<(), EngineError> {
        self.synced = CONDEMNED;
        self.write()?;
        self.sync()
    }

    /// Starts again from the log as it is.
    pub(super) fn settle(&mut self, sequence: u64) -> Result<(), EngineError> {
        self.synced = sequence;
        self.write()?;
        self.sync()
    }

    fn write(&self) -> Result<(), EngineError> {
        self.file
            .write_all_at(&encode(self.synced), 0)
            .map_err(|error| EngineError::io(&error, "write the watermark"))
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.file.sync_data().map_err(|error| EngineError::SyncFailed {
            reason: format!("sync of the watermark: {error}"),
        })
    }
}

fn encode(synced: u64) -> [u8; 16] {
    let mut note = [0; 16];
    note[..4].copy_from_slice(MAGIC);
    note[4..12].copy_from_slice(&synced.to_be_bytes());
    let checksum = crc32fast::hash(&note[..12]);
    note[12..].copy_from_slice(&checksum.to_be_bytes());
    note
}

fn decode(note: &[u8]) -> Option<u64> {
    let note: &[u8; 16] = note.try_into().ok()?;
    let synced = u64::from_be_bytes(note[4..12].try_into().expect("eight bytes"));
    (encode(synced) == *note).then_some(synced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_has_its_bytes_for_ever() {
        let golden = [0x53, 0x57, 0x4d, 0x31, 0, 0, 0, 0, 0, 0, 1, 2, 0xc4, 0xae, 0x8e, 0xd8];
        assert_eq!(encode(0x102), golden);
        assert_eq!(decode(&golden), Some(0x102));
    }

    #[test]
    fn unreadable_note_condemns_the_log() {
        let home = tempfile::tempdir().unwrap();
        Watermark::open(home.path(), true).unwrap().raise(7).unwrap();
        let good = std::fs::read(home.path().join(NAME)).unwrap();
        for index in 0..good.len() {
            let mut bad = good.clone();
            bad[index] ^= 1;
            std::fs::write(home.path().join(NAME), bad).unwrap();
            assert!(Watermark::open(home.path(), false).unwrap().is_above(u64::MAX - 1));
        }
        std::fs::remove_file(home.path().join(NAME)).unwrap();
        assert!(Watermark::open(home.path(), false).unwrap().is_above(7));
    }

    #[test]
    fn condemned_log_stays_so_until_it_is_settled() {
        let home = tempfile::tempdir().unwrap();
        let mut note = Watermark::open(home.path(), true).unwrap();
        note.condemn().unwrap();
        note.raise(12).unwrap();
        let mut note = Watermark::open(home.path(), false).unwrap();
        assert!(note.is_above(12));
        note.settle(3).unwrap();
        let note = Watermark::open(home.path(), false).unwrap();
        assert!(note.is_above(2) && !note.is_above(3));
    }
}
