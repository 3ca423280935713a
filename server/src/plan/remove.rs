//! The rows that a DELETE of a partition removes.

use bytes::Bytes;
use repair::version::{Siblings, Write};

use super::{PlanError, Round};
use crate::store::keys::RowKey;

/// One row to remove, with the context of what was read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Removal {
    /// The row.
    pub key: RowKey,
    /// The removal.
    pub write: Write,
}

/// The rows of a partition that are to be removed. Reads and removes nothing itself.
#[derive(Debug, Clone)]
pub struct RemoveOp {
    rows_max: u32,
}

impl RemoveOp {
    /// What to read next; none when all rows are known.
    pub fn next_round(&self) -> Option<Round> {
        unimplemented!("{}", self.rows_max)
    }

    /// Takes the rows of a round, and the key behind which the next round begins, none at the end.
    ///
    /// # Errors
    /// [`PlanError`] when there are more rows than one statement may remove; none is removed then.
    pub fn on_rows(
        &mut self,
        rows: Vec<(Bytes, Siblings)>,
        resume_after: Option<Bytes>,
    ) -> Result<(), PlanError> {
        unimplemented!("{rows:?} {resume_after:?}")
    }

    /// What to remove.
    pub fn finish(self) -> Vec<Removal> {
        unimplemented!()
    }
}
