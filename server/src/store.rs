//! Ordered rows on one disk, changed in atomic batches that are acknowledged only after their fsync.
//!
//! One [`engine::Engine`] holds all rows of a node. Reads go to it directly, from any thread;
//! every change goes through the one commit loop of [`commit`], which gathers what waits into one
//! batch with one fsync. [`identity`] says whose store this is and deals out the epochs under
//! which its dots are minted.
//!
//! ```text
//! data_dir/lock        held by the process that serves it
//!          identity    host id, store id, lease of epochs
//!          rows/       RocksDB: rows, marks, hints, register, local
//!              WATERMARK   the log was synced at least up to here
//!              DAMAGED     damage was found: the next start salvages what can be read
//!          rows.damaged-3/ what was salvaged last, for people to look at
//! ```
//!
//! Callers: `replica` reads and commits rows, `metadata` keeps its register here, `node` opens and
//! closes it. No clock; randomness is an argument.

pub mod clock_bound;
pub mod commit;
pub mod directory;
pub mod engine;
pub mod identity;
pub mod keys;
pub mod marks;
pub mod memory;
mod merge;
pub mod peer_epochs;
pub mod rocks;
mod salvage;
#[cfg(test)]
mod suite;
mod watermark;

use std::path::Path;
use std::sync::Arc;

use directory::{DataDirectory, DirectoryError};
use engine::{Engine, EngineError};
use identity::{Identity, IdentityError};
use memory::MemoryDisk;
use rocks::RocksOptions;
use salvage::Salvage;

/// A store that is open: the rows, and whose they are.
pub struct Opened {
    /// The rows; shared by everybody who reads.
    pub engine: Arc<dyn Engine>,
    /// Whose store it is; belongs to the commit loop from now on.
    pub identity: Identity,
}

/// Why a data directory cannot be served.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory itself cannot be had.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The rows cannot be read.
    #[error("the store cannot be opened: {0}")]
    Engine(#[from] EngineError),
    /// It cannot be said whose store it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl OpenError {
    /// Whether the store is damaged, so that the next start salvages it.
    pub fn is_damage(&self) -> bool {
        use IdentityError::Engine;
        matches!(self, Self::Identity(Engine(EngineError::Corrupt { .. })))
    }
}

/// Opens the store in the data directory `path`, which is made when it is missing. A damaged store is
/// salvaged: it is opened with what could be read of it, under a new store id.
///
/// The directory stays locked for as long as the identity lives. `fresh` gives 128 random bits.
///
/// # Errors
/// [`DirectoryError::Held`] while another process serves the directory,
/// [`IdentityError::NewerFormat`] when a later release wrote it; the rest are errors of the disk.
pub fn open(
    path: &Path,
    options: &RocksOptions,
    fresh: &mut dyn FnMut() -> u128,
) -> Result<Opened, OpenError> {
    let directory = DataDirectory::lock(path)?;
    identity::refuse_newer_format(&directory)?;
    let salvage = Salvage::of(directory.path(), directory.rows_path(), options);
    let engine: Arc<dyn Engine> = Arc::new(salvage.open()?);
    let identity = Identity::boot(engine.as_ref(), Box::new(directory), fresh)?;
    Ok(Opened { engine, identity })
}

/// Opens the store on a simulated disk, for tests of whole nodes.
pub fn open_in_memory(
    disk: &MemoryDisk,
    fresh: &mut dyn FnMut() -> u128,
) -> Result<Opened, OpenError> {
    identity::refuse_newer_format(disk)?;
    let engine: Arc<dyn Engine> = Arc::new(disk.open());
    let identity = Identity::boot(engine.as_ref(), Box::new(disk.clone()), fresh)?;
    Ok(Opened { engine, identity })
}

#[cfg(test)]
mod tests {
    use super::commit::{CommitError, Committer, Mutation, Promise, View};
    use super::engine::Family;
    use super::identity::{Origin, Renewal};
    use super::*;

    struct Put(u32);

    impl Mutation for Put {
        type Answer = ();

        fn size(&self) -> usize {
            8
        }

        fn run(self, view: &mut View<'_>) {
            view.put(Family::Rows, self.0.to_be_bytes().to_vec(), &b"value"[..]);
        }
    }

    fn open_at(path: &Path, drawn: u128) -> Result<Committer, OpenError> {
        let opened = open(path, &RocksOptions::default(), &mut || drawn)?;
        Ok(Committer::new(opened, Promise::AfterSync)?)
    }

    fn write(committer: &mut Committer) -> Result<(), CommitError> {
        (0..10).try_for_each(|number| committer.run(Put(number)))
    }

    #[test]
    fn second_process_is_told_who_serves_the_directory() {
        let home = tempfile::tempdir().unwrap();
        let serving = open_at(home.path(), 1).unwrap();
        let refused = open_at(home.path(), 2).err().unwrap();
        assert!(matches!(refused, OpenError::Directory(DirectoryError::Held { .. })), "{refused}");
        drop(serving);
        assert_eq!(open_at(home.path(), 3).unwrap().standing().origin, Origin::Kept);
    }

    #[test]
    fn log_cut_short_costs_the_store_its_id_and_the_node_not_its_name() {
        let home = tempfile::tempdir().unwrap();
        let mut committer = open_at(home.path(), 1).unwrap();
        write(&mut committer).unwrap();
        let old = committer.standing();
        drop(committer);
        let mut logs: Vec<_> = std::fs::read_dir(home.path().join("rows"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|found| found == "log"))
            .collect();
        logs.sort();
        let log = std::fs::OpenOptions::new().write(true).open(logs.last().unwrap()).unwrap();
        log.set_len(log.metadata().unwrap().len() - 20).unwrap();
        let new = open_at(home.path(), 2).unwrap().standing();
        let (reason, retired) = (Renewal::LogDamaged, Some(old.store));
        assert_eq!((new.host, new.origin), (old.host, Origin::Drawn { reason, retired }));
        assert_ne!(new.store, old.store);
        assert_eq!(open_at(home.path(), 3).unwrap().standing().origin, Origin::Kept);
    }

    #[test]
    fn emptied_directory_of_rows_costs_the_store_its_id() {
        let home = tempfile::tempdir().unwrap();
        let old = open_at(home.path(), 1).unwrap().standing();
        std::fs::remove_dir_all(home.path().join("rows")).unwrap();
        let new = open_at(home.path(), 2).unwrap().standing();
        assert_eq!(new.host, old.host);
        let (reason, retired) = (Renewal::RecordMissing, Some(old.store));
        assert_eq!(new.origin, Origin::Drawn { reason, retired });
    }
}
