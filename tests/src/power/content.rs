//! The bytes of one file: as they are read now, and as they lie on the disk.
//!
//! A write changes the first and marks pages; a sync copies the marked pages to the second. Without
//! a sync the disk may have written any of the marked pages, and of a page any of its sectors.
//!
//! ```text
//! now      [page 0][page 1'][page 2 ]    written, read by everybody
//! on disk  [page 0][page 1 ]             what a power cut leaves, or with page 1', or with page 2
//! dirty             1        2
//! ```
//!
//! Pure: no I/O, no clock; chance is an argument.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::Chance;

/// What is cached as a whole.
const PAGE: usize = 4096;

/// What a disk writes as a whole.
const SECTOR: usize = 512;

type Page = Arc<[u8; PAGE]>;

/// A file that is cached and lies on a disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    now: Bytes,
    on_disk: Bytes,
    /// Pages that differ between the two, or did at some time since the last sync.
    dirty: BTreeSet<usize>,
}

/// Bytes by pages; a page that is not there is full of zeros.
#[derive(Debug, Clone, Default)]
struct Bytes {
    len: usize,
    pages: Vec<Option<Page>>,
}

impl Content {
    /// How long the file is now.
    pub(super) fn len(&self) -> usize {
        self.now.len
    }

    /// Up to `len` bytes from `offset` on; fewer at the end of the file.
    pub(super) fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        let end = offset.saturating_add(len).min(self.now.len);
        let mut out = Vec::with_capacity(end.saturating_sub(offset));
        let mut at = offset;
        while at < end {
            let (page, from) = (at / PAGE, at % PAGE);
            let to = (end - page * PAGE).min(PAGE);
            match &self.now.pages[page] {
                Some(bytes) => out.extend_from_slice(&bytes[from..to]),
                None => out.resize(out.len() + to - from, 0),
            }
            at = page * PAGE + to;
        }
        out
    }

    /// Writes `bytes` at `offset`, behind the end too.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if end > self.now.len {
            self.now.resize(end);
        }
        let mut at = offset;
        while at < end {
            let (page, from) = (at / PAGE, at % PAGE);
            let to = (end - page * PAGE).min(PAGE);
            let source = &bytes[at - offset..page * PAGE + to - offset];
            self.now.page_mut(page)[from..to].copy_from_slice(source);
            self.dirty.insert(page);
            at = page * PAGE + to;
        }
    }

    /// Cuts the file off, or fills it up with zeros.
    pub(super) fn resize(&mut self, len: usize) {
        let touched = len.min(self.now.len) / PAGE..self.now.pages.len().max(len.div_ceil(PAGE));
        self.now.resize(len);
        self.dirty.extend(touched);
    }

    /// Whether a power cut now could change the file.
    #[cfg(test)]
    pub(super) fn is_synced(&self) -> bool {
        self.dirty.is_empty()
    }

    /// Brings everything to the disk.
    pub(super) fn sync(&mut self) {
        self.on_disk.resize(self.now.len);
        for page in std::mem::take(&mut self.dirty) {
            self.on_disk.take_page(page, &self.now);
        }
    }

    /// The power is gone: what was not synced is lost.
    pub(super) fn lose(&mut self) {
        self.dirty.clear();
        self.now = self.on_disk.clone();
    }

    /// The power is gone, but the disk had written some of the dirty pages: either the first ones,
    /// the last of them only in part, or any. What of the file's growth was written counts.
    pub(super) fn tear(&mut self, chance: &mut Chance) {
        let dirty: Vec<_> = std::mem::take(&mut self.dirty).into_iter().collect();
        let written: Vec<_> = if chance.below(2) == 0 {
            let count = chance.below(dirty.len() + 1);
            dirty[..count].to_vec()
        } else {
            dirty.into_iter().filter(|_| chance.below(2) == 0).collect()
        };
        if self.now.len < self.on_disk.len {
            if chance.below(2) == 0 {
                self.on_disk.resize(self.now.len);
            }
        } else if let Some(last) = written.last() {
            let end = ((last + 1) * PAGE).min(self.now.len);
            self.on_disk.resize(end.max(self.on_disk.len));
        }
        if let Some((last, whole)) = written.split_last() {
            for page in whole {
                self.on_disk.take_page(*page, &self.now);
            }
            let sectors = chance.below(PAGE / SECTOR) + 1;
            self.on_disk.take_sectors(*last, sectors, &self.now);
        }
        self.now = self.on_disk.clone();
    }
}

impl Bytes {
    fn resize(&mut self, len: usize) {
        if len < self.len && !len.is_multiple_of(PAGE) {
            self.page_mut(len / PAGE)[len % PAGE..].fill(0);
        }
        self.pages.resize(len.div_ceil(PAGE), None);
        self.len = len;
    }

    fn page_mut(&mut self, page: usize) -> &mut [u8; PAGE] {
        let bytes = self.pages[page].get_or_insert_with(|| Arc::new([0; PAGE]));
        Arc::make_mut(bytes)
    }

    fn take_page(&mut self, page: usize, from: &Self) {
        if page < self.pages.len() {
            self.pages[page] = from.pages.get(page).cloned().flatten();
        }
    }

    fn take_sectors(&mut self, page: usize, sectors: usize, from: &Self) {
        let source = from.pages.get(page).cloned().flatten().unwrap_or_else(|| [0; PAGE].into());
        if page < self.pages.len() {
            let end = sectors * SECTOR;
            self.page_mut(page)[..end].copy_from_slice(&source[..end]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &Content) -> Vec<u8> {
        content.read(0, usize::MAX)
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let mut chance = Chance::of(1);
        let (mut content, mut plain) = (Content::default(), Vec::<u8>::new());
        for step in 0..2_000_u32 {
            let at = chance.below(5 * PAGE);
            if chance.below(10) == 0 {
                content.resize(at);
                plain.resize(at, 0);
            } else {
                let bytes = vec![step.to_le_bytes()[0]; chance.below(3 * PAGE)];
                content.write(at, &bytes);
                plain.resize(plain.len().max(at + bytes.len()), 0);
                plain[at..at + bytes.len()].copy_from_slice(&bytes);
            }
            if chance.below(4) == 0 {
                content.sync();
            }
            let (from, len) = (chance.below(8 * PAGE), chance.below(3 * PAGE));
            let end = (from + len).min(plain.len());
            assert_eq!(content.read(from, len), plain[from.min(end)..end]);
        }
        content.sync();
        content.lose();
        assert_eq!(all(&content), plain);
    }

    #[test]
    fn a_cut_leaves_exactly_what_was_synced() {
        let mut chance = Chance::of(2);
        let (mut content, mut synced) = (Content::default(), Vec::new());
        for step in 0..500_u32 {
            match chance.below(6) {
                0 => content.resize(chance.below(4 * PAGE)),
                1 => {
                    content.sync();
                    synced = all(&content);
                }
                2 => {
                    content.lose();
                    assert_eq!(all(&content), synced);
                    assert!(content.is_synced());
                }
                _ => {
                    let bytes = vec![step.to_le_bytes()[0]; chance.below(2 * PAGE)];
                    content.write(chance.below(4 * PAGE), &bytes);
                }
            }
        }
    }

    #[test]
    fn a_torn_file_holds_old_or_new_sectors_and_what_was_synced_stays() {
        let mut chance = Chance::of(3);
        let mut kinds = BTreeSet::new();
        for _ in 0..500 {
            let mut content = Content::default();
            content.write(0, &vec![1; 3 * PAGE]);
            content.sync();
            content.write(2 * PAGE, &vec![2; 3 * PAGE]);
            content.tear(&mut chance);
            let torn = all(&content);
            assert!(torn.len() >= 3 * PAGE && torn.len() <= 5 * PAGE);
            assert!(torn[..2 * PAGE].iter().all(|byte| *byte == 1), "nobody wrote there again");
            for sector in torn[2 * PAGE..].chunks(SECTOR) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is never torn");
            }
            kinds.insert((torn.len() / PAGE, torn[2 * PAGE], torn[3 * PAGE - 1]));
        }
        assert!(kinds.contains(&(3, 1, 1)), "nothing was written");
        assert!(kinds.contains(&(5, 2, 2)), "much was written");
        assert!(kinds.contains(&(5, 1, 1)), "a later page was written before an earlier one");
    }
}
