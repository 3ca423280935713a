//! How far the log was synced, and how long the manifest is: a note beside them that betrays what was
//! cut short.
//!
//! A log that ends too early looks like one with a torn tail, which every crash may leave; a manifest
//! that ends too early looks like an older one, and what only its end names would be removed as rubbish.
//! So the engine notes after each fsync the sequence number that is safe now, and how long the manifest
//! is; a longer manifest is synced before it is noted. The note is overwritten in place, without an
//! fsync of its own: it outlives the process at once and a power cut after some seconds, and it is never
//! ahead of what it speaks of. A log or a manifest found behind its note has lost something.
//!
//! ```text
//! WATERMARK = "SWM2", sequence u64, number and length of the manifest u64, crc32 u32 of all before
//!             "SWM1", sequence u64, crc32 u32                        read still, and written no more
//! sequence u64::MAX: condemned    u64::MAX - 1: salvaged
//! ```
//!
//! Caller: [`super::rocks`].

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::directory::{read_small, replace};
use super::engine::{EngineError, Recovery};

const NAME: &str = "WATERMARK";
const MAGIC: &[u8; 4] = b"SWM2";
const MAGIC_OF_SEQUENCE: &[u8; 4] = b"SWM1";
const NOTE_BYTES: usize = 4 + 8 + 8 + 8 + 4;
const CONDEMNED: u64 = u64::MAX;
/// A log behind which there was another one, of a damaged store.
const SALVAGED: u64 = u64::MAX - 1;

/// The note of how far the log was synced.
#[derive(Debug)]
pub(super) struct Watermark {
    file: File,
    synced: u64,
    manifest: ManifestMark,
    /// The manifest that is written now.
    watched: Option<File>,
}

/// Which manifest there was, and how long it was at least; 0 and 0: none is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct ManifestMark {
    number: u64,
    len: u64,
}

impl Watermark {
    /// Reads the note in `directory`. `is_new` says that there is no log yet; a log without a
    /// readable note is condemned.
    pub(super) fn open(directory: &Path, is_new: bool) -> Result<Self, EngineError> {
        let found = read_small(&directory.join(NAME))?;
        let (synced, manifest) = match found.as_deref().map(decode) {
            Some(Some(note)) => note,
            None if is_new => (0, ManifestMark::default()),
            None | Some(None) => (CONDEMNED, ManifestMark::default()),
        };
        // Written anew even when it stands: it must be there, whole and durable, before the log is.
        replace(directory, NAME, &encode(synced, manifest))?;
        let file = OpenOptions::new()
            .write(true)
            .open(directory.join(NAME))
            .map_err(|error| EngineError::io(&error, "open the watermark"))?;
        Ok(Self { file, synced, manifest, watched: None })
    }

    /// Refuses a manifest that is older or shorter than the one that was noted.
    pub(super) fn check_manifest(&self, directory: &Path) -> Result<(), EngineError> {
        let found = current_manifest(directory)?;
        let is_behind = found.is_some_and(|(_, found)| {
            let noted = self.manifest;
            found.number < noted.number || found.number == noted.number && found.len < noted.len
        });
        if is_behind {
            return Err(EngineError::Corrupt { reason: "the manifest is cut off".to_owned() });
        }
        Ok(())
    }

    /// Notes from now on how long the manifest is.
    pub(super) fn watch_manifest(&mut self, directory: &Path) -> Result<(), EngineError> {
        if let Some((file, found)) = current_manifest(directory)? {
            self.watched = Some(file);
            self.manifest = ManifestMark { len: 0, ..found };
            self.note_manifest()?;
            self.write()?;
        }
        Ok(())
    }

    fn note_manifest(&mut self) -> Result<(), EngineError> {
        let Some(manifest) = &self.watched else { return Ok(()) };
        let failed = |error: std::io::Error| EngineError::io(&error, "look at the manifest");
        let len = manifest.metadata().map_err(failed)?.len();
        if len > self.manifest.len {
            // What was written and not synced yet may be gone after a power cut, but not the note.
            manifest.sync_data().map_err(|error| EngineError::SyncFailed {
                reason: format!("sync of the manifest: {error}"),
            })?;
            self.manifest.len = len;
        }
        Ok(())
    }

    /// Whether a log that ends with `sequence` lacks something that was synced.
    pub(super) fn is_above(&self, sequence: u64) -> bool {
        self.synced > sequence
    }

    /// What is to be thought of a log that ends with `sequence`.
    pub(super) fn judge(&self, sequence: u64) -> Recovery {
        match self.synced {
            SALVAGED => Recovery::Salvaged,
            _ if self.is_above(sequence) => Recovery::Damaged,
            _ => Recovery::Whole,
        }
    }

    /// Notes that the log is synced up to `sequence`; a condemned one stays condemned.
    pub(super) fn raise(&mut self, sequence: u64) -> Result<(), EngineError> {
        if sequence <= self.synced {
            return Ok(());
        }
        self.note_manifest()?;
        self.synced = sequence;
        self.write()
    }

    /// Marks the log as damaged, durably, until it is settled.
    pub(super) fn condemn(&mut self) -> Result<(), EngineError> {
        self.synced = CONDEMNED;
        self.write()?;
        self.sync()
    }

    /// Marks the log, durably, as that of a salvaged store, until it is settled.
    pub(super) fn mark_salvaged(&mut self) -> Result<(), EngineError> {
        self.synced = SALVAGED;
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
            .write_all_at(&encode(self.synced, self.manifest), 0)
            .map_err(|error| EngineError::io(&error, "write the watermark"))
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.file.sync_data().map_err(|error| EngineError::SyncFailed {
            reason: format!("sync of the watermark: {error}"),
        })
    }
}

/// The manifest that counts; none where there is none yet, or its name cannot be read.
fn current_manifest(directory: &Path) -> Result<Option<(File, ManifestMark)>, EngineError> {
    let Some(current) = read_small(&directory.join("CURRENT"))? else { return Ok(None) };
    let name = std::str::from_utf8(&current).unwrap_or_default().trim_end();
    let number = name.strip_prefix("MANIFEST-").and_then(|number| number.parse().ok());
    let (Some(number), Ok(file)) = (number, File::open(directory.join(name))) else {
        return Ok(None); // The engine says what is wrong with it.
    };
    let len = file.metadata().map_err(|error| EngineError::io(&error, "look at the manifest"))?;
    Ok(Some((file, ManifestMark { number, len: len.len() })))
}

fn encode(synced: u64, manifest: ManifestMark) -> [u8; NOTE_BYTES] {
    let mut note = [0; NOTE_BYTES];
    note[..4].copy_from_slice(MAGIC);
    note[4..12].copy_from_slice(&synced.to_be_bytes());
    note[12..20].copy_from_slice(&manifest.number.to_be_bytes());
    note[20..28].copy_from_slice(&manifest.len.to_be_bytes());
    let checksum = crc32fast::hash(&note[..28]);
    note[28..].copy_from_slice(&checksum.to_be_bytes());
    note
}

fn decode(note: &[u8]) -> Option<(u64, ManifestMark)> {
    let (body, checksum) = note.split_last_chunk::<4>()?;
    if crc32fast::hash(body).to_be_bytes() != *checksum {
        return None;
    }
    let (magic, numbers) = body.split_first_chunk::<4>()?;
    let (numbers, rest) = numbers.as_chunks::<8>();
    match (magic, numbers, rest) {
        (MAGIC, [synced, number, len], []) => {
            let [number, len] = [number, len].map(|bytes| u64::from_be_bytes(*bytes));
            Some((u64::from_be_bytes(*synced), ManifestMark { number, len }))
        }
        (MAGIC_OF_SEQUENCE, [synced], []) => {
            Some((u64::from_be_bytes(*synced), ManifestMark::default()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_has_its_bytes_for_ever() {
        let old = [0x53, 0x57, 0x4d, 0x31, 0, 0, 0, 0, 0, 0, 1, 2, 0xc4, 0xae, 0x8e, 0xd8];
        assert_eq!(decode(&old), Some((0x102, ManifestMark::default())));
        let manifest = ManifestMark { number: 0x304, len: 0x506 };
        let note = encode(0x102, manifest);
        assert_eq!(
            note[..28],
            *b"SWM2\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\x03\x04\0\0\0\0\0\0\x05\x06"
        );
        assert_eq!(decode(&note), Some((0x102, manifest)));
    }

    #[test]
    fn manifest_that_was_cut_off_or_exchanged_for_an_older_one_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| std::fs::write(home.path().join(name), content);
        let mut note = Watermark::open(home.path(), true).unwrap();
        write("CURRENT", "MANIFEST-000007\n").unwrap();
        write("MANIFEST-000007", "some records").unwrap();
        note.watch_manifest(home.path()).unwrap();
        let check = || {
            // Opening the note writes it anew, so the first one must not be used afterwards.
            let note = Watermark::open(home.path(), false).unwrap();
            note.check_manifest(home.path())
        };
        let raise = |to: u64| {
            let mut note = Watermark::open(home.path(), false).unwrap();
            note.watch_manifest(home.path()).unwrap();
            note.raise(to).unwrap();
        };
        assert_eq!(check(), Ok(()));
        write("MANIFEST-000007", "some records and more").unwrap();
        assert_eq!(check(), Ok(()), "nothing was synced since");
        raise(1);
        assert_eq!(check(), Ok(()));
        write("MANIFEST-000007", "some records").unwrap();
        assert!(check().is_err(), "it was longer when the log was synced");
        write("CURRENT", "MANIFEST-000006\n").unwrap();
        write("MANIFEST-000006", "an older one, and a longer one").unwrap();
        assert!(check().is_err());
        write("CURRENT", "MANIFEST-000008\n").unwrap();
        write("MANIFEST-000008", "").unwrap();
        assert_eq!(check(), Ok(()), "a newer one");
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
    fn salvaged_log_says_so_until_it_is_settled() {
        let home = tempfile::tempdir().unwrap();
        Watermark::open(home.path(), true).unwrap().mark_salvaged().unwrap();
        let mut note = Watermark::open(home.path(), false).unwrap();
        note.raise(12).unwrap();
        assert_eq!(note.judge(12), Recovery::Salvaged);
        note.settle(12).unwrap();
        assert_eq!((note.judge(12), note.judge(11)), (Recovery::Whole, Recovery::Damaged));
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
