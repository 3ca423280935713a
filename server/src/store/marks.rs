//! When each slice of a table was last written: what tells that a digest is out of date.
//!
//! The commit loop itself raises the marks, from the batch that it has committed and before anybody
//! is answered, so that no write can forget its mark. Law: a digest holds the sequence number of the
//! store as read *before* its scan began, and is out of date while the mark of its slice is greater.
//! So it does not matter when a write comes: before the scan, and the digest has it; during the scan
//! or later, and the mark is greater. Marks are never taken back, for a mark that is cleared after a
//! scan takes the writes with it that came meanwhile.
//!
//! ```text
//! sequence   100        103          107
//! write            W(103)      X(107)
//! digest      reads 100, scans, misses W or has it by chance        mark 107 > 100: out of date
//! ```
//!
//! The sequence number is read after the commit, and not made up before: rows of ended tables are
//! removed beside the commit loop, and raise it too. Marks live in memory, because every digest is
//! computed from disk after a start. Bound: 512 bytes for each 1/256 of the ring that a living table
//! was written in. Callers: `store::commit` raises, `replica::digests` asks.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use repair::bucket::Slice;

use super::engine::{Batch, Family};
use super::keys::{RowKey, TableLife};

/// How many slices are kept together.
const BLOCK: usize = 64;

/// Marks by the life of their table and the number of their block.
type Blocks = BTreeMap<(TableLife, u16), Box<[u64; BLOCK]>>;

/// The marks of all tables.
#[derive(Debug, Default)]
pub struct Marks {
    blocks: Mutex<Blocks>,
}

impl Marks {
    /// Raises the marks of all rows that `batch` changes to `sequence`, the store's own after the
    /// batch was committed.
    pub(super) fn raise(&self, batch: &Batch, sequence: u64) {
        let mut changed = batch.keys(Family::Rows).filter_map(|key| RowKey::slice_of(key));
        let Some(first) = changed.next() else { return };
        let mut blocks = self.blocks();
        for (life, slice) in std::iter::once(first).chain(changed) {
            let (block, at) = place_of(slice);
            let block = blocks.entry((life, block)).or_insert_with(|| Box::new([0; BLOCK]));
            block[at] = block[at].max(sequence);
        }
    }

    /// The newest mark of these slices of a life of a table; 0 where none was written since the
    /// start.
    pub fn newest(&self, life: TableLife, slices: RangeInclusive<Slice>) -> u64 {
        let (first, first_at) = place_of(*slices.start());
        let (last, last_at) = place_of(*slices.end());
        let blocks = self.blocks();
        let within = blocks.range((life, first)..=(life, last));
        let marks = within.flat_map(|((_, number), block)| {
            let from = if *number == first { first_at } else { 0 };
            let to = if *number == last { last_at } else { BLOCK - 1 };
            block[from..=to].iter().copied()
        });
        marks.max().unwrap_or(0)
    }

    /// Forgets tables that nobody asks for any more.
    pub fn retain(&self, is_kept: impl Fn(TableLife) -> bool) {
        self.blocks().retain(|(life, _), _| is_kept(*life));
    }

    /// Takes a mark back, which loses sight of writes. Tests plant this bug to show that they would
    /// find it.
    pub fn clear(&self, life: TableLife, slice: Slice) {
        let (block, at) = place_of(slice);
        if let Some(block) = self.blocks().get_mut(&(life, block)) {
            block[at] = 0;
        }
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place_of(slice: Slice) -> (u16, usize) {
    let number = usize::from(slice.number());
    let block = u16::try_from(number / BLOCK).expect("slices are numbered by u16");
    (block, number % BLOCK)
}

#[cfg(test)]
mod tests;
