//! The data directory of a node: who serves it, and small files that are replaced as a whole.
//!
//! The lock belongs to an open file, so it ends with the process, however that ends. A file is
//! replaced by `write aside, fsync, rename, fsync of the directory`: after a crash at any moment
//! it holds the old content or the new one.
//!
//! Callers: [`super::open`], [`super::identity`], and [`super::rocks`] for its watermark.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::engine::EngineError;

/// Where small files live that must never be seen half written.
pub trait Directory: Send + 'static {
    /// The content of the file, if it is there.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, EngineError>;

    /// Replaces the file, durably, by one with this content.
    ///
    /// # Errors
    /// [`EngineError::Io`]: the old file is still there. [`EngineError::SyncFailed`]: nobody can
    /// say which of the two is.
    fn replace(&self, name: &str, content: &[u8]) -> Result<(), EngineError>;
}

/// Why a data directory cannot be had.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// Another process serves it.
    #[error("{} is in use by {}", path.display(), holder(*pid))]
    Held {
        /// The data directory.
        path: PathBuf,
        /// The process that holds it, if it has said so yet.
        pid: Option<u32>,
    },
    /// The operating system refused.
    #[error("cannot open the data directory {}: {reason}", path.display())]
    Io {
        /// The data directory.
        path: PathBuf,
        /// How it refused.
        kind: io::ErrorKind,
        /// Its own words.
        reason: String,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// A data directory that this process holds until the value is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// Open for as long as the lock must hold.
    _lock: File,
}

impl DataDirectory {
    /// Takes the directory, which is made when it is missing.
    ///
    /// # Errors
    /// [`DirectoryError::Held`] with the process that holds it.
    pub fn lock(path: &Path) -> Result<Self, DirectoryError> {
        let refused = |error: io::Error| DirectoryError::Io {
            path: path.to_owned(),
            kind: error.kind(),
            reason: error.to_string(),
        };
        fs::create_dir_all(path).map_err(refused)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(refused)?;
        match file.try_lock() {
            Ok(()) => sign(&mut file).map_err(refused)?,
            Err(TryLockError::WouldBlock) => {
                return Err(DirectoryError::Held { path: path.to_owned(), pid: signer(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        Ok(Self { path: path.to_owned(), _lock: file })
    }

    /// The data directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the engine keeps the rows.
    pub fn rows_path(&self) -> PathBuf {
        self.path.join("rows")
    }
}

/// Writes into the lock file who holds it.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Who holds the lock file, as far as it can be read.
fn signer(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

impl Directory for DataDirectory {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, EngineError> {
        read_small(&self.path.join(name))
    }

    fn replace(&self, name: &str, content: &[u8]) -> Result<(), EngineError> {
        replace(&self.path, name, content)
    }
}

/// No small file is longer; a longer one is read up to here and then found to be damaged.
const SMALL_BYTES_MAX: u64 = 64 * 1024;

/// The content of a small file, if it is there.
pub(super) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, EngineError> {
    let failed = |error: io::Error| EngineError::io(&error, &format!("read {}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut content = Vec::new();
    file.take(SMALL_BYTES_MAX).read_to_end(&mut content).map_err(failed)?;
    Ok(Some(content))
}

/// Replaces the file `name` in `directory`, durably; see [`Directory::replace`].
pub(super) fn replace(directory: &Path, name: &str, content: &[u8]) -> Result<(), EngineError> {
    let aside = directory.join(format!("{name}.new"));
    let failed = |error: io::Error| EngineError::io(&error, &format!("write {}", aside.display()));
    let mut file = File::create(&aside).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.sync_all().map_err(|error| unsynced(&error, &aside))?;
    fs::rename(&aside, directory.join(name)).map_err(failed)?;
    sync_directory(directory)
}

/// Makes the names in `directory` durable.
pub(super) fn sync_directory(directory: &Path) -> Result<(), EngineError> {
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(|error| unsynced(&error, directory))
}

fn unsynced(error: &io::Error, path: &Path) -> EngineError {
    EngineError::SyncFailed { reason: format!("{}: {error}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_holder_is_told_who_holds_the_directory() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("made/when/missing");
        let held = DataDirectory::lock(&path).unwrap();
        let refused = DataDirectory::lock(&path).unwrap_err();
        let pid = std::process::id();
        assert_eq!(refused, DirectoryError::Held { path: path.clone(), pid: Some(pid) });
        assert!(refused.to_string().ends_with(&format!("is in use by process {pid}")));
        drop(held);
        DataDirectory::lock(&path).unwrap();
    }

    #[test]
    fn replaced_file_is_read_whole_and_nothing_stays_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let directory = DataDirectory::lock(home.path()).unwrap();
        assert_eq!(directory.read("identity").unwrap(), None);
        directory.replace("identity", b"the first, longer content").unwrap();
        directory.replace("identity", b"second").unwrap();
        assert_eq!(directory.read("identity").unwrap().unwrap(), b"second");
        let mut names: Vec<_> = fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["identity", "lock"]);
    }

    #[test]
    fn file_that_cannot_be_written_is_an_error_and_the_old_one_stays() {
        let home = tempfile::tempdir().unwrap();
        let directory = DataDirectory::lock(home.path()).unwrap();
        directory.replace("identity", b"old").unwrap();
        fs::create_dir(home.path().join("identity.new")).unwrap();
        let refused = directory.replace("identity", b"new").unwrap_err();
        assert!(matches!(refused, EngineError::Io { .. }), "{refused}");
        assert_eq!(directory.read("identity").unwrap().unwrap(), b"old");
    }
}
