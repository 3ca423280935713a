//! A disk whose power can be cut: a file system in this process, which forgets what was not synced.
//!
//! SIGKILL never proves durability, for the page cache outlives the process. This one does: what its
//! [`disk`] was not asked to sync is gone after [`PowerDisk::cut`], or torn as real disks tear it.
//!
//! ```text
//! node ── write, fsync ──> kernel ── /dev/fuse ──> serve ──> disk (in memory): now | on disk
//! cut:  requests wait, the disk is what was synced │ SIGKILL │ requests are refused, mounted anew
//! ```
//!
//! Law: the cut is one instant. A write that was answered before it was synced before it or is lost,
//! and nothing that is answered after it reaches the disk. Nothing stays mounted: not after a panic,
//! and not after this process was killed, for a guard of its own waits for its end.
//!
//! It needs `/dev/fuse` and root, and says so where it lacks one of them.

mod content;
mod disk;
mod mount;
mod serve;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use fuser::{BackgroundSession, Config, MountOption};

pub use disk::Tear;
pub use mount::Mounted;

use crate::Chance;
use serve::{Powered, Server};

/// What the file system calls itself.
const NAME: &str = "starling-power";

/// A directory on a disk of its own, whose power can be cut.
#[derive(Debug)]
pub struct PowerDisk {
    place: PathBuf,
    powered: Arc<Powered>,
    chance: Chance,
    session: Option<Session>,
}

/// The disk while it can be reached.
#[derive(Debug)]
struct Session {
    mounted: Mounted,
    serving: BackgroundSession,
}

impl PowerDisk {
    /// An empty disk, mounted at `place`, which is made when it is missing.
    ///
    /// # Errors
    /// Without `/dev/fuse`, or without the right to mount.
    pub fn mount(place: &Path, chance: Chance) -> Result<Self> {
        std::fs::create_dir_all(place)?;
        let powered = Arc::<Powered>::default();
        let mut disk = Self { place: place.to_owned(), powered, chance, session: None };
        disk.attach()?;
        Ok(disk)
    }

    /// Cuts the power. Whoever uses the disk now is stuck until [`PowerDisk::restore`], and must be
    /// killed by `kill`, which need not wait for its end.
    pub fn cut(&mut self, tear: Tear, kill: impl FnOnce() -> Result<()>) -> Result<()> {
        self.powered.cut(tear, &mut self.chance);
        let killed = kill();
        self.powered.refuse();
        killed
    }

    /// Gives the power back, once everybody is dead who used the disk before.
    pub fn restore(&mut self) -> Result<()> {
        self.detach()?;
        self.powered.restore();
        self.attach()
    }

    /// Lets so many syncs succeed and fails all that follow, until [`PowerDisk::restore`]. What they
    /// were to sync is read back all the same until the power is cut, as from the cache of a kernel.
    pub fn fail_syncs_after(&self, syncs: u64) {
        self.powered.fail_syncs_after(syncs);
    }

    fn attach(&mut self) -> Result<()> {
        ensure!(Path::new("/dev/fuse").exists(), "/dev/fuse is missing: this kernel has no FUSE");
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName(NAME.to_owned())];
        let server = Server(Arc::clone(&self.powered));
        let place = &self.place;
        let serving = fuser::spawn_mount(server, place, &config).with_context(|| {
            format!("cannot mount at {}: root may, with /dev/fuse", place.display())
        })?;
        let mounted = Mounted::guard(place)?;
        self.session = Some(Session { mounted, serving });
        Ok(())
    }

    fn detach(&mut self) -> Result<()> {
        let Some(Session { mounted, serving }) = self.session.take() else { return Ok(()) };
        drop(mounted);
        match serving.join() {
            // It was still in use, and was taken away all the same.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => Ok(()),
            ended => ended.context("the power disk ended with an error"),
        }
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        // Whoever is stuck must not stay so.
        self.powered.refuse();
        if let Err(error) = self.detach() {
            eprintln!("{}: {error:#}", self.place.display());
        }
    }
}

#[cfg(test)]
mod tests;
