//! Damage to one file of a data directory, as disks and people do it.
//!
//! ```text
//! flip       one bit                     a disk, a bus, memory
//! copy       4 KiB over other 4 KiB      a write that went astray
//! truncate   everything from a place on  a file system that lost its mind
//! ```

use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::Chance;

/// How many bytes go astray together.
const CHUNK: usize = 4096;

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// One bit is another one.
    Flip,
    /// A chunk lies over another one.
    Copy,
    /// The end is missing.
    Truncate,
}

/// The kinds of files of a data directory; `rows` holds all but the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rows in tables.
    Table,
    /// Rows in the log.
    Log,
    /// Which tables there are.
    Manifest,
    /// Which manifest counts.
    Current,
    /// How the store was configured.
    Options,
    /// How far the log was synced.
    Watermark,
    /// Whose store it is.
    Identity,
}

/// Every kind.
pub const KINDS: [Kind; 7] = [
    Kind::Table,
    Kind::Log,
    Kind::Manifest,
    Kind::Current,
    Kind::Options,
    Kind::Watermark,
    Kind::Identity,
];

/// What was done, for whoever reads of a test that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    damage: Damage,
    file: PathBuf,
    at: usize,
    sound: Vec<u8>,
}

impl Done {
    /// Gives the file its sound bytes back, if it is still there: a table that nobody has read since.
    pub fn undo(&self) -> Result<()> {
        let is_table = self.file.extension().is_some_and(|found| found == "sst");
        match OpenOptions::new().write(true).open(&self.file) {
            Ok(file) if is_table => {
                file.write_all_at(&self.sound, 0)?;
                Ok(file.sync_all()?)
            }
            _ => Ok(()), // Every other file is read at each start.
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { damage, file, at, sound } = self;
        write!(f, "{damage:?} of {} at {at} of {}", file.display(), sound.len())
    }
}

impl Kind {
    fn is_of(self, name: &str) -> bool {
        let ends_in = |extension| Path::new(name).extension().is_some_and(|it| it == extension);
        match self {
            Self::Table => ends_in("sst"),
            Self::Log => ends_in("log"),
            Self::Manifest => name.starts_with("MANIFEST-"),
            Self::Current => name == "CURRENT",
            Self::Options => name.starts_with("OPTIONS-"),
            Self::Watermark => name == "WATERMARK",
            Self::Identity => name == "identity",
        }
    }

    /// The files of this kind, which hold something.
    fn files(self, data: &Path) -> Result<Vec<PathBuf>> {
        let directory = if self == Self::Identity { data.to_owned() } else { data.join("rows") };
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let is_one = entry.file_name().to_str().is_some_and(|name| self.is_of(name));
            if is_one && entry.metadata()?.len() > 0 {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Damages one file of this kind in the data directory; none where there is no such file.
pub fn damage(data: &Path, kind: Kind, chance: &mut Chance) -> Result<Option<Done>> {
    let files = kind.files(data)?;
    if files.is_empty() {
        return Ok(None);
    }
    let file = chance.of_these(&files).clone();
    let sound = fs::read(&file)?;
    let length = sound.len();
    let mut damage = *chance.of_these(&[Damage::Flip, Damage::Copy, Damage::Truncate]);
    if length < 2 * CHUNK && damage == Damage::Copy {
        damage = Damage::Flip;
    }
    let at = chance.below(length);
    let handle = OpenOptions::new().write(true).open(&file).context("cannot damage the file")?;
    match damage {
        Damage::Flip => {
            handle.write_all_at(&[sound[at] ^ 1 << chance.below(8)], at as u64)?;
        }
        Damage::Copy => {
            let from = chance.below(length - CHUNK);
            let at = at.min(length - CHUNK);
            handle.write_all_at(&sound[from..from + CHUNK], at as u64)?;
        }
        Damage::Truncate => handle.set_len(at as u64)?,
    }
    handle.sync_all()?;
    Ok(Some(Done { damage, file, at, sound }))
}

/// Flips a bit in the middle of the largest table: in a block of rows, which is a small part of it.
pub fn flip_in_largest_table(data: &Path) -> Result<()> {
    let mut tables = Kind::Table.files(data)?;
    tables.sort_by_key(|path| fs::metadata(path).map_or(0, |metadata| metadata.len()));
    let table = tables.pop().context("there is no table")?;
    let content = fs::read(&table)?;
    let middle = content.len() / 2;
    let handle = OpenOptions::new().write(true).open(&table)?;
    handle.write_all_at(&[content[middle] ^ 1], middle as u64)?;
    Ok(handle.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_changes_one_file_of_its_kind_and_no_other() {
        let home = tempfile::tempdir().unwrap();
        let rows = home.path().join("rows");
        fs::create_dir(&rows).unwrap();
        let sound: Vec<u8> = (0..20_000_u32).flat_map(u32::to_be_bytes).collect();
        let paths = [rows.join("1.sst"), rows.join("2.sst"), rows.join("3.log")];
        for seed in 0..100 {
            for path in &paths {
                fs::write(path, &sound).unwrap();
            }
            let done = damage(home.path(), Kind::Table, &mut Chance::of(seed)).unwrap();
            let changed: Vec<_> =
                paths.iter().filter(|path| fs::read(path).unwrap() != sound).collect();
            let done = done.unwrap();
            // A chunk may have been copied over one like it: over itself.
            assert!(changed.is_empty() && done.damage == Damage::Copy || changed == [&done.file]);
            assert!(done.file.extension().unwrap() == "sst", "{done}");
            done.undo().unwrap();
            assert!(paths.iter().all(|path| fs::read(path).unwrap() == sound));
        }
        let none = damage(home.path(), Kind::Manifest, &mut Chance::of(1)).unwrap();
        assert_eq!(none, None);
    }
}
