//! What is done with a store that is damaged: whatever can be read of it moves into a new one.
//!
//! ```text
//! rows/DAMAGED        written when damage is found: the next start salvages, whatever else happens
//! rows.new/           what could be read; condemned, so that whoever opens it draws a new store id
//! rows -> rows.damaged-N,  rows.new -> rows
//! ```
//!
//! Laws: nothing that can be read is dropped, and nothing that cannot be read is made up. A crash
//! between any two steps leaves a directory from which the next start goes on: before the first rename
//! the damaged rows are where they were, with their note; between the two renames there are no rows,
//! and the new ones are whole; after the second one the note has left with the damaged rows. The host
//! id stays, for the file `identity` is not touched; the store id does not, because peers may remember
//! dots of it that were lost, and so a seed loses its vote until it is replaced by its new store.
//!
//! The last damaged directory is kept for people to look at. Marks are not copied: they speak of
//! sequence numbers of the old store. Caller: [`super::open`]; [`super::rocks`] writes the note.

mod copy;

use std::fs;
use std::path::{Path, PathBuf};

use super::directory::{read_small, replace, sync_directory};
use super::engine::{Engine as _, EngineError, Family, KeyRange};
use super::rocks::{RocksEngine, RocksOptions};
use copy::Copying;

/// The note in a directory of rows that are damaged; it says how.
const NOTE: &str = "DAMAGED";

/// A reason longer than this is cut off.
const REASON_MAX: usize = 1_000;

/// Notes durably in `rows` that it is damaged.
pub(super) fn condemn(rows: &Path, reason: &str) -> Result<(), EngineError> {
    let end = reason.floor_char_boundary(REASON_MAX);
    replace(rows, NOTE, &reason.as_bytes()[..end])
}

/// How often the rows in this directory were salvaged.
pub(super) fn count(rows: &Path) -> u64 {
    let home = rows.parent().unwrap_or(rows);
    damaged(home).unwrap_or_default().last().map_or(0, |(number, _)| *number)
}

/// The rows of a data directory, and what becomes of them when they are damaged.
pub(super) struct Salvage<'a> {
    home: &'a Path,
    rows: PathBuf,
    new: PathBuf,
    options: &'a RocksOptions,
}

/// What could be copied, and what could not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Salvaged {
    /// Rows and records that were copied.
    pub(super) copied: u64,
    /// Stretches of keys in which something could not be read.
    pub(super) gaps: usize,
}

impl<'a> Salvage<'a> {
    pub(super) fn of(home: &'a Path, rows: PathBuf, options: &'a RocksOptions) -> Self {
        Self { home, rows, new: home.join("rows.new"), options }
    }

    /// Opens the rows, which are salvaged first if they are damaged.
    pub(super) fn open(&self) -> Result<RocksEngine, EngineError> {
        self.resume()?;
        let damage = match read_small(&self.rows.join(NOTE))? {
            Some(reason) => String::from_utf8_lossy(&reason).into_owned(),
            None => match RocksEngine::open(&self.rows, self.options.clone()) {
                Err(EngineError::Corrupt { reason }) => reason,
                opened => return opened,
            },
        };
        self.run(&damage)?;
        RocksEngine::open(&self.rows, self.options.clone())
    }

    /// Ends what a crash between the two renames interrupted.
    fn resume(&self) -> Result<(), EngineError> {
        if !self.rows.exists() && self.new.exists() {
            rename(&self.new, &self.rows)?;
            sync_directory(self.home)?;
        }
        Ok(())
    }

    fn run(&self, reason: &str) -> Result<(), EngineError> {
        tracing::error!(reason, "the store is damaged: salvaging what can be read of it");
        condemn(&self.rows, reason)?;
        let earlier = damaged(self.home)?;
        // The room that they take may be needed now.
        earlier.iter().try_for_each(|(_, path)| remove(path))?;
        remove(&self.new)?;
        let salvaged = self.fill()?;
        let number = earlier.last().map_or(0, |(number, _)| *number) + 1;
        let kept = self.home.join(format!("{DAMAGED}{number}"));
        rename(&self.rows, &kept)?;
        sync_directory(self.home)?;
        rename(&self.new, &self.rows)?;
        sync_directory(self.home)?;
        let Salvaged { copied, gaps } = salvaged;
        tracing::warn!(
            copied, gaps, kept = %kept.display(),
            "the store was salvaged and takes a new store id; where this node is a seed it has no vote \
             until `starling seed replace OLD NEW` names the two"
        );
        Ok(())
    }

    /// Makes the new rows, whole and durable.
    fn fill(&self) -> Result<Salvaged, EngineError> {
        let target = RocksEngine::open(&self.new, self.options.clone())?;
        let mut copying = Copying::new(&target);
        let gaps = match self.damaged_rows() {
            Some(source) => {
                let gaps = copying.copy(&source, &whole())?;
                drop(source);
                self.copy_around(&mut copying, &gaps)?
            }
            None => whole().len(),
        };
        let salvaged = Salvaged { copied: copying.finish()?, gaps };
        target.flush()?;
        target.sync()?;
        target.mark_salvaged()?;
        Ok(salvaged)
    }

    /// The damaged rows as they are or, where they cannot be opened so, what is left of them without
    /// the files that cannot be read.
    fn damaged_rows(&self) -> Option<RocksEngine> {
        let open = || RocksEngine::open_as_it_is(&self.rows, self.options.clone());
        let opened = open().or_else(|error| {
            tracing::warn!(%error, "the damaged rows cannot be opened: leaving files out");
            RocksEngine::leave_unreadable_files_out(&self.rows)?;
            open()
        });
        opened
            .inspect_err(|error| tracing::error!(%error, "nothing of the damaged rows can be read"))
            .ok()
    }

    /// What other files hold of the gaps, which are not seen while a damaged one lies over them.
    /// Returns how many of the gaps had something in them that is lost.
    fn copy_around(
        &self,
        copying: &mut Copying<'_>,
        gaps: &[(Family, KeyRange)],
    ) -> Result<usize, EngineError> {
        if gaps.is_empty() {
            return Ok(0);
        }
        let left_out = RocksEngine::leave_unreadable_files_out(&self.rows);
        let open = || RocksEngine::open_as_it_is(&self.rows, self.options.clone());
        match left_out.and_then(|()| open()) {
            Ok(rest) => drop(copying.copy(&rest, gaps)?),
            Err(error) => tracing::error!(%error, "the files around the damage cannot be read"),
        }
        Ok(gaps.len())
    }
}

/// Everything that is copied.
fn whole() -> Vec<(Family, KeyRange)> {
    let copied = Family::ALL.into_iter().filter(|family| *family != Family::Marks);
    copied.map(|family| (family, KeyRange::all())).collect()
}

/// The names of damaged directories begin so.
const DAMAGED: &str = "rows.damaged-";

/// The damaged directories that are kept, by their numbers.
fn damaged(home: &Path) -> Result<Vec<(u64, PathBuf)>, EngineError> {
    let failed = |error| EngineError::io(&error, &format!("list {}", home.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(home).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix(DAMAGED)).map(str::parse);
        if let Some(Ok(number)) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

fn rename(from: &Path, to: &Path) -> Result<(), EngineError> {
    fs::rename(from, to)
        .map_err(|error| EngineError::io(&error, &format!("rename {}", from.display())))
}

fn remove(path: &Path) -> Result<(), EngineError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(EngineError::io(&error, &format!("remove {}", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
