//! The disk as the kernel asks for it.
//!
//! Every request passes one gate: while the power is off it waits, so that nothing which happens after
//! the cut is ever answered, and is refused once its process is dead. Caller: [`super`].

use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::Tear;
use super::content::Content;
use super::disk::{Directory, Disk, Node};
use crate::Chance;

/// Nobody changes the disk but by requests, so the kernel may remember all that it was told.
const FOR_EVER: Duration = Duration::from_hours(24);

const BLOCK: u32 = 4096;
/// What the disk says that it has; the tests never fill it.
const BLOCKS: u64 = 1 << 22;

/// `FALLOC_FL_KEEP_SIZE`: room is asked for, or given back behind the end; no byte changes.
const KEEPS_SIZE: i32 = 1;

/// A disk, and whether it has power.
#[derive(Debug, Default)]
pub(super) struct Powered {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    disk: Disk,
    power: Power,
    /// How many syncs succeed before the first one that fails.
    syncs_left: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Power {
    #[default]
    On,
    /// Requests wait.
    Off,
    /// Requests are refused: whoever made them is dead.
    Refusing,
}

impl Powered {
    /// From now on no request comes back.
    pub(super) fn cut(&self, tear: Tear, chance: &mut Chance) {
        let mut state = self.lock();
        state.power = Power::Off;
        state.disk.cut_power(tear, chance);
    }

    /// Sends the requests away that wait for power, with an error that nobody lives to see.
    pub(super) fn refuse(&self) {
        self.lock().power = Power::Refusing;
        self.changed.notify_all();
    }

    /// Serves again, and syncs again.
    pub(super) fn restore(&self) {
        let mut state = self.lock();
        state.power = Power::On;
        state.syncs_left = None;
    }

    /// Lets so many syncs succeed and fails all that follow.
    pub(super) fn fail_syncs_after(&self, syncs: u64) {
        self.lock().syncs_left = Some(syncs);
    }

    fn sync(&self, number: u64) -> Reply<()> {
        self.run_state(|state| {
            if let Some(left) = &mut state.syncs_left {
                *left = left.checked_sub(1).ok_or(rustix::io::Errno::IO)?;
            }
            state.disk.sync(number)
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out one request.
    fn run<T>(&self, request: impl FnOnce(&mut Disk) -> Result<T, rustix::io::Errno>) -> Reply<T> {
        self.run_state(|state| request(&mut state.disk))
    }

    fn run_state<T>(
        &self,
        request: impl FnOnce(&mut State) -> Result<T, rustix::io::Errno>,
    ) -> Reply<T> {
        let mut state = self.lock();
        while state.power == Power::Off {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.power == Power::Refusing {
            return Err(Errno::EIO);
        }
        request(&mut state).map_err(|error| Errno::from_i32(error.raw_os_error()))
    }
}

type Reply<T> = Result<T, Errno>;

/// What the kernel speaks with.
#[derive(Debug)]
pub(super) struct Server(pub(super) Arc<Powered>);

impl Server {
    fn attributes(disk: &Disk, number: u64) -> Result<FileAttr, rustix::io::Errno> {
        let (kind, size, perm) = match disk.node(number)? {
            Node::File(content) => (FileType::RegularFile, content.len() as u64, 0o644),
            Node::Directory(_) => (FileType::Directory, 0, 0o755),
        };
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        })
    }
}

fn settle(done: Reply<()>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

/// The size or the offset of a request, which the kernel keeps below what a test can hold.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("this is a machine of 64 bits")
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.0.run(|disk| Self::attributes(disk, disk.find(parent.0, name)?));
        match found {
            Ok(attributes) => reply.entry(&FOR_EVER, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.0.run(|disk| Self::attributes(disk, ino.0)) {
            Ok(attributes) => reply.attr(&FOR_EVER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = self.0.run(|disk| {
            if let Some(size) = size {
                disk.file(ino.0)?.resize(index(size));
            }
            Self::attributes(disk, ino.0)
        });
        match changed {
            Ok(attributes) => reply.attr(&FOR_EVER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self.0.run(|disk| {
            let number = disk.make(parent.0, name, Node::Directory(Directory::default()))?;
            Self::attributes(disk, number)
        });
        match made {
            Ok(attributes) => reply.entry(&FOR_EVER, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.0.run(|disk| {
            let number = disk.make(parent.0, name, Node::File(Content::default()))?;
            disk.opened(number);
            Self::attributes(disk, number)
        });
        match made {
            Ok(attributes) => {
                let (generation, flags) = (Generation(0), FopenFlags::empty());
                reply.created(&FOR_EVER, &attributes, generation, FileHandle(0), flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        settle(self.0.run(|disk| disk.unlink(parent.0, name)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        settle(self.0.run(|disk| disk.remove_directory(parent.0, name)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if parent != newparent {
            return reply.error(Errno::EXDEV);
        }
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        settle(self.0.run(|disk| disk.rename(parent.0, name, newname)), reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let opened = self.0.run(|disk| {
            disk.file(ino.0)?;
            disk.opened(ino.0);
            Ok(())
        });
        match opened {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.0.run(|disk| Ok(disk.file(ino.0)?.read(index(offset), size as usize)));
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    /// A write through a descriptor with `O_SYNC` or `O_DSYNC` is followed by an `fsync`, which the
    /// kernel asks for by itself; `sync_file_range` promises nothing and asks for nothing.
    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.0.run(|disk| {
            disk.file(ino.0)?.write(index(offset), data);
            Ok(())
        });
        match written {
            Ok(()) => reply.written(u32::try_from(data.len()).expect("a request is short")),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok(); // It is a `close`, which promises nothing.
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let closed = self.0.run(|disk| {
            disk.closed(ino.0);
            Ok(())
        });
        settle(closed, reply);
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        settle(self.0.sync(ino.0), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        settle(self.0.sync(ino.0), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.0.run(|disk| {
            let entries = disk.names(ino.0)?.iter().map(|(name, number)| {
                let kind = match disk.node(*number)? {
                    Node::File(_) => FileType::RegularFile,
                    Node::Directory(_) => FileType::Directory,
                };
                Ok((*number, kind, name.clone()))
            });
            entries.collect::<Result<Vec<(u64, FileType, OsString)>, rustix::io::Errno>>()
        });
        match listed {
            Ok(mut entries) => {
                // The number of an entry is its place: what is removed meanwhile moves nobody else.
                entries.sort_by_key(|(number, ..)| *number);
                for (number, kind, name) in entries.into_iter().filter(|(it, ..)| *it > offset) {
                    if reply.add(INodeNo(number), number, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(error),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS / 2, BLOCKS / 2, BLOCKS, BLOCKS / 2, BLOCK, 255, BLOCK);
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _offset: u64,
        _length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode == KEEPS_SIZE { reply.ok() } else { reply.error(Errno::EOPNOTSUPP) }
    }
}
