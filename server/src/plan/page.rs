//! One page of a partition, gathered from rounds of reads.

use bytes::Bytes;
use repair::version::Siblings;

use super::answer::{Answer, DamagedKey};
use crate::store::engine::KeyRange;

/// One read that is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// The keys to read, all of one partition.
    pub range: KeyRange,
    /// How many rows to ask each replica for.
    pub rows_max: u32,
}

/// One page that is being gathered. Reads nothing itself.
#[derive(Debug, Clone)]
pub struct PageOp {
    answer: Answer,
}

impl PageOp {
    /// What to read next; none when the page is complete.
    pub fn next_round(&self) -> Option<Round> {
        unimplemented!()
    }

    /// Takes the rows of a round in the order of the read, tombstones too, and the key behind
    /// which the next round begins, none at the end of the range.
    pub fn on_rows(&mut self, rows: Vec<(Bytes, Siblings)>, resume_after: Option<Bytes>) {
        unimplemented!("{rows:?} {resume_after:?}")
    }

    /// The page, with what the client needs for the next one.
    pub fn finish(self) -> Page {
        unimplemented!("{:?}", self.answer)
    }
}

/// One page of rows.
#[derive(Debug, Clone)]
pub struct Page {
    answer: Answer,
    paging_state: Option<Bytes>,
}

impl Page {
    /// The columns of the result.
    pub fn columns(&self) -> &wire::Columns {
        self.answer.columns()
    }

    /// Where the next page begins; none after the last one.
    pub fn paging_state(&self) -> Option<&[u8]> {
        self.paging_state.as_deref()
    }

    /// Appends the page's rows to a result of [`Self::columns`].
    ///
    /// # Errors
    /// [`DamagedKey`] where a stored key cannot be read.
    pub fn write(&self, out: &mut wire::RowsWriter<'_>) -> Result<(), DamagedKey> {
        unimplemented!("{out:?}")
    }
}
