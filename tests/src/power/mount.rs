//! Something that is mounted, and is so no longer than the test that needs it.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::wait;

/// How long whoever used a mount may take to let go of it.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);

/// A mounted directory; unmounted with this value, or when this process ends, however that ends.
#[derive(Debug)]
pub struct Mounted {
    place: PathBuf,
    /// Waits for the end of its input, and unmounts what is still there then. It is in a process group
    /// of its own, so that what kills the whole test does not kill it.
    guard: Child,
}

impl Mounted {
    /// Takes over what is mounted at `place`.
    pub fn guard(place: &Path) -> Result<Self> {
        let script = r#"cat > /dev/null; umount -l "$0" 2> /dev/null"#;
        let guard = Command::new("sh")
            .args(["-c", script])
            .arg(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the guard of a mount")?;
        Ok(Self { place: place.to_owned(), guard })
    }

    /// A file system in memory with room for so many bytes, mounted at `place`.
    ///
    /// # Errors
    /// Without the right to mount: only root has it.
    pub fn tmpfs(place: &Path, bytes: u64) -> Result<Self> {
        std::fs::create_dir_all(place)?;
        let options = std::ffi::CString::new(format!("size={bytes}"))?;
        mount("starling-test", place, "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
            .with_context(|| format!("cannot mount a tmpfs at {}: root may", place.display()))?;
        Self::guard(place)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The kernel gives back the files of a dead process a moment after its end.
        let unmounted = wait::until_ok("the end of a mount", RELEASE_LIMIT, || {
            Ok(unmount(&self.place, UnmountFlags::empty())?)
        });
        if unmounted.is_err() {
            // Somebody still uses it: their requests fail from now on, and nobody finds it any more.
            let _ = unmount(&self.place, UnmountFlags::FORCE);
            let _ = unmount(&self.place, UnmountFlags::DETACH);
        }
        drop(self.guard.stdin.take());
        if let Err(error) = self.guard.wait() {
            eprintln!("the guard of {}: {error}", self.place.display());
        }
    }
}
