//! The rows that a DELETE of partitions, or of stretches of them, removes.
//!
//! Each row is read and removed with what was read of it for its context, so a write that came in
//! between stays. Law: either all rows are within the limit, or none is removed.
//!
//! Callers: `front`, which runs the rounds, then the removals. Pure.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use bytes::Bytes;
use repair::version::{Change, SiblingLimits, Siblings, Write};
use ring::Token;

use super::answer::DamagedKey;
use super::key::Stretch;
use super::prepared::BindContext;
use super::{PlanError, Round};
use crate::store::engine::KeyRange;
use crate::store::keys::RowKey;

/// How many rows one round asks for.
const ROUND_ROWS: u32 = 1_000;

/// One row to remove, with the context of what was read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Removal {
    /// The row.
    pub key: RowKey,
    /// The removal.
    pub write: Write,
}

/// The rows of some stretches that are to be removed. Reads and removes nothing itself.
#[derive(Debug, Clone)]
pub struct RemoveOp {
    /// What is not read yet of each stretch.
    rest: VecDeque<(RangeInclusive<Token>, KeyRange)>,
    rows_max: u32,
    now_us: i64,
    write_time_us: i64,
    limits: SiblingLimits,
    removals: Vec<Removal>,
}

impl RemoveOp {
    pub(super) fn new(stretches: &[Stretch], request: &BindContext<'_>) -> Self {
        Self {
            rest: stretches.iter().map(|it| (it.tokens(), it.range())).collect(),
            rows_max: request.limits.delete_rows_max,
            now_us: request.now_us,
            write_time_us: request.write_time_us,
            limits: request.limits.siblings,
            removals: Vec::new(),
        }
    }

    /// What to read next, forwards; none when all rows are known.
    pub fn next_round(&self) -> Option<Round> {
        let (tokens, range) = self.rest.front()?.clone();
        Some(Round { tokens, range, rows_max: ROUND_ROWS.min(self.rows_max.saturating_add(1)) })
    }

    /// Takes the rows of a round, and the key behind which the next round begins, none at the end.
    ///
    /// # Errors
    /// [`PlanError::TooManyRows`], and then none is removed; [`PlanError::Damaged`].
    pub fn on_rows(
        &mut self,
        rows: Vec<(Bytes, Siblings)>,
        resume_after: Option<Bytes>,
    ) -> Result<(), PlanError> {
        // A row that holds nothing but expired versions is removed as well: another clock may see
        // them still.
        for (key, row) in rows.into_iter().filter(|(_, row)| !row.versions().is_empty()) {
            if self.removals.len() >= self.rows_max as usize {
                return Err(PlanError::TooManyRows { max: self.rows_max });
            }
            let damaged = DamagedKey { len: key.len() };
            let key = RowKey::read(key).map_err(|_| damaged)?;
            self.removals.push(Removal { key, write: self.removal(&row) });
        }
        let Some((tokens, range)) = self.rest.pop_front() else { return Ok(()) };
        let rest = resume_after.map(|key| range.after(&key)).filter(|rest| !rest.is_empty());
        if let Some(rest) = rest {
            self.rest.push_front((tokens, rest));
        }
        Ok(())
    }

    /// What to remove.
    pub fn finish(self) -> Vec<Removal> {
        self.removals
    }

    fn removal(&self, row: &Siblings) -> Write {
        Write {
            context: row.vector().clone(),
            change: Change::Remove,
            now: self.now_us,
            write_time: self.write_time_us,
            limits: self.limits,
        }
    }
}
