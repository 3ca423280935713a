//! A disk with a journaling file system: files and directories as they are seen now, and as a power
//! cut would leave them.
//!
//! ```text
//! fsync, fdatasync of a file     its bytes and its length are on the disk; its name need not be
//! fsync of a directory           its names are on the disk; the bytes behind them need not be
//! create, rename, unlink         seen at once, on the disk with the next fsync of the directory
//! ```
//!
//! Law: names reach the disk in the order in which they were changed, and a rename as a whole; bytes
//! in any order; names and bytes independently. This is less than ext4 and XFS promise, and what POSIX
//! does. A rename from one directory to another is refused, for it would tie two directories together.
//!
//! Pure: no I/O, no clock; chance is an argument. Caller: [`super::serve`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use rustix::io::Errno;

use super::content::Content;
use crate::Chance;

/// The number of the directory that everything lies in.
pub(super) const ROOT: u64 = 1;

/// A file or a directory, by a number that is never used again.
#[derive(Debug)]
pub(super) enum Node {
    File(Content),
    Directory(Directory),
}

/// The names in a directory.
#[derive(Debug, Default)]
pub(super) struct Directory {
    names: Names,
    on_disk: Names,
    /// What happened since the last sync, in order.
    journal: Vec<Change>,
}

type Names = BTreeMap<OsString, u64>;

/// Names that are set or taken away together.
#[derive(Debug, Clone)]
struct Change(Vec<(OsString, Option<u64>)>);

/// What a power cut leaves of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tear {
    /// Nothing.
    Clean,
    /// Whatever the disk had written by itself: some pages, and some of the changes of names.
    Torn,
}

/// All files and directories of one disk.
#[derive(Debug)]
pub(super) struct Disk {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// How often each file is open.
    open: BTreeMap<u64, usize>,
    /// Nodes that lost a name and may be nobody's by now.
    nameless: BTreeSet<u64>,
}

impl Default for Disk {
    fn default() -> Self {
        let root = Node::Directory(Directory::default());
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            open: BTreeMap::new(),
            nameless: BTreeSet::new(),
        }
    }
}

impl Disk {
    pub(super) fn node(&self, number: u64) -> Result<&Node, Errno> {
        self.nodes.get(&number).ok_or(Errno::NOENT)
    }

    pub(super) fn file(&mut self, number: u64) -> Result<&mut Content, Errno> {
        match self.nodes.get_mut(&number) {
            Some(Node::File(content)) => Ok(content),
            Some(Node::Directory(_)) => Err(Errno::ISDIR),
            None => Err(Errno::NOENT),
        }
    }

    /// The node of this name.
    pub(super) fn find(&self, parent: u64, name: &OsStr) -> Result<u64, Errno> {
        self.names(parent)?.get(name).copied().ok_or(Errno::NOENT)
    }

    /// The names in a directory.
    pub(super) fn names(&self, number: u64) -> Result<&Names, Errno> {
        match self.node(number)? {
            Node::Directory(directory) => Ok(&directory.names),
            Node::File(_) => Err(Errno::NOTDIR),
        }
    }

    /// Makes a file or a directory.
    pub(super) fn make(&mut self, parent: u64, name: &OsStr, node: Node) -> Result<u64, Errno> {
        if self.names(parent)?.contains_key(name) {
            return Err(Errno::EXIST);
        }
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.change(parent, vec![(name.to_owned(), Some(number))])?;
        Ok(number)
    }

    /// Takes a name of a file away.
    pub(super) fn unlink(&mut self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.find(parent, name)?;
        if matches!(self.node(number)?, Node::Directory(_)) {
            return Err(Errno::ISDIR);
        }
        self.forget(parent, name, number)
    }

    /// Takes an empty directory away.
    pub(super) fn remove_directory(&mut self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.find(parent, name)?;
        if !self.names(number)?.is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        self.forget(parent, name, number)
    }

    /// Gives a node another name, in the place of what has that name now.
    pub(super) fn rename(&mut self, parent: u64, old: &OsStr, new: &OsStr) -> Result<(), Errno> {
        let number = self.find(parent, old)?;
        if let Ok(replaced) = self.find(parent, new) {
            if self.names(replaced).is_ok_and(|names| !names.is_empty()) {
                return Err(Errno::NOTEMPTY);
            }
            self.nameless.insert(replaced);
        }
        self.change(parent, vec![(old.to_owned(), None), (new.to_owned(), Some(number))])
    }

    pub(super) fn opened(&mut self, number: u64) {
        *self.open.entry(number).or_default() += 1;
    }

    pub(super) fn closed(&mut self, number: u64) {
        if let Some(count) = self.open.get_mut(&number) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&number);
            }
        }
    }

    /// Brings the bytes of a file, or the names of a directory, to the disk.
    pub(super) fn sync(&mut self, number: u64) -> Result<(), Errno> {
        match self.nodes.get_mut(&number) {
            Some(Node::File(content)) => content.sync(),
            Some(Node::Directory(directory)) => {
                directory.journal.clear();
                directory.on_disk.clone_from(&directory.names);
                self.drop_nameless();
            }
            None => return Err(Errno::NOENT),
        }
        Ok(())
    }

    /// The power is gone. What is left is what everybody sees from now on.
    pub(super) fn cut_power(&mut self, tear: Tear, chance: &mut Chance) {
        for node in self.nodes.values_mut() {
            match (node, tear) {
                (Node::File(content), Tear::Clean) => content.lose(),
                (Node::File(content), Tear::Torn) => content.tear(chance),
                (Node::Directory(directory), Tear::Clean) => directory.lose(0),
                (Node::Directory(directory), Tear::Torn) => {
                    directory.lose(chance.below(directory.journal.len() + 1));
                }
            }
        }
        self.open.clear();
        self.nameless = self.nodes.keys().copied().collect();
        self.drop_nameless();
    }

    fn forget(&mut self, parent: u64, name: &OsStr, number: u64) -> Result<(), Errno> {
        self.nameless.insert(number);
        self.change(parent, vec![(name.to_owned(), None)])
    }

    fn change(&mut self, parent: u64, names: Vec<(OsString, Option<u64>)>) -> Result<(), Errno> {
        match self.nodes.get_mut(&parent) {
            Some(Node::Directory(directory)) => directory.change(Change(names)),
            Some(Node::File(_)) => return Err(Errno::NOTDIR),
            None => return Err(Errno::NOENT),
        }
        Ok(())
    }

    /// Drops what nobody can come back to: it has no name, now or on the disk, and is not open.
    fn drop_nameless(&mut self) {
        loop {
            let mut named = BTreeSet::from([ROOT]);
            for node in self.nodes.values() {
                if let Node::Directory(directory) = node {
                    named.extend(directory.reachable());
                }
            }
            let is_kept = |number: &u64| named.contains(number) || self.open.contains_key(number);
            let gone: Vec<_> = self.nameless.iter().copied().filter(|it| !is_kept(it)).collect();
            if gone.is_empty() {
                return;
            }
            for number in gone {
                self.nameless.remove(&number);
                if let Some(Node::Directory(directory)) = self.nodes.remove(&number) {
                    self.nameless.extend(directory.reachable());
                }
            }
        }
    }
}

impl Directory {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.journal.push(change);
    }

    /// Loses all that was not synced, but for the first `written` changes.
    fn lose(&mut self, written: usize) {
        for change in self.journal.drain(..).take(written) {
            change.apply(&mut self.on_disk);
        }
        self.names.clone_from(&self.on_disk);
    }

    /// What has a name here, or may have one after a power cut.
    fn reachable(&self) -> impl Iterator<Item = u64> {
        let changed = self.journal.iter().flat_map(|change| &change.0);
        let changed = changed.filter_map(|(_, number)| *number);
        self.names.values().chain(self.on_disk.values()).copied().chain(changed)
    }
}

impl Change {
    fn apply(&self, names: &mut Names) {
        for (name, number) in &self.0 {
            match number {
                Some(number) => names.insert(name.clone(), *number),
                None => names.remove(name),
            };
        }
    }
}

#[cfg(test)]
mod tests;
