//! What INSERT, UPDATE and DELETE have in common: the rows, the attributes, the answer.
//!
//! Callers: `insert`, `update` and `delete`; `prepared` and `batch`, to which the three are one
//! [`Modification`]. Pure.

use std::sync::Arc;

use repair::cells::WriteStamp;
use repair::version::{Change, Write};
use sql::Selection;

use super::answer::Answer;
use super::bind::BoundValues;
use super::cells::{Ink, Written};
use super::changes::ChangesOp;
use super::delete::DeletePlan;
use super::insert::InsertPlan;
use super::key::KeyPlan;
use super::prepared::BindContext;
use super::project::Projection;
use super::update::UpdatePlan;
use super::using::UsingPlan;
use super::{Plan, PlanError, ReadRowPlan, WritePlan};
use crate::metadata::{Conflict, Table};
use crate::store::keys::RowKey;

/// A statement that changes rows.
#[derive(Debug, Clone)]
pub(super) enum Modification {
    Insert(InsertPlan),
    Update(UpdatePlan),
    Delete(DeletePlan),
}

impl Modification {
    /// Its rows, attributes and answer.
    pub(super) fn target(&self) -> &WriteTarget {
        match self {
            Self::Insert(insert) => &insert.target,
            Self::Update(update) => &update.target,
            Self::Delete(delete) => &delete.target,
        }
    }

    /// Adds what it does.
    pub(super) fn change(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
        changes: &mut ChangesOp,
    ) -> Result<(), PlanError> {
        match self {
            Self::Insert(insert) => insert.change(values, request, changes),
            Self::Update(update) => update.change(values, request, changes),
            Self::Delete(delete) => delete.change(values, request, changes),
        }
    }

    /// The plan of it alone.
    pub(super) fn bind(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        let target = self.target();
        let level = target.using.write_level(request.consistency)?;
        let mut changes = ChangesOp::new(level, request);
        self.change(values, request, &mut changes)?;
        if changes.is_empty() {
            return target.bind_nothing(values, request);
        }
        let returning = match target.answer(request) {
            Some(answer) => Some((target.key.bind_row(values)?, answer)),
            None => None,
        };
        Ok(Plan::Write(Box::new(WritePlan { changes, returning })))
    }
}

/// A write, but for what it does to the columns.
#[derive(Debug, Clone)]
pub(super) struct WriteTarget {
    pub(super) table: Arc<Table>,
    pub(super) key: KeyPlan,
    pub(super) using: UsingPlan,
    returning: Option<Arc<Projection>>,
}

impl WriteTarget {
    pub(super) fn new(
        table: Arc<Table>,
        key: KeyPlan,
        using: UsingPlan,
        returning: &[Selection],
    ) -> Result<Self, PlanError> {
        let returning = if returning.is_empty() {
            None
        } else if table.conflict == Conflict::Lww {
            return Err(PlanError::no_siblings("RETURNING", &table));
        } else {
            Some(Arc::new(Projection::new(&table, returning)?))
        };
        if returning.as_ref().is_some_and(|shown| shown.is_total()) {
            return Err(PlanError::unsupported("an aggregate after RETURNING"));
        }
        let clauses = [("USING CONTEXT", using.has_context()), ("RETURNING", returning.is_some())];
        if let Some((clause, _)) = clauses.into_iter().find(|(_, is_there)| *is_there)
            && !key.is_row()
        {
            return Err(PlanError::NeedsRow { clause });
        }
        Ok(Self { table, key, using, returning })
    }

    /// The columns of the result; none without RETURNING.
    pub(super) fn columns(&self) -> wire::Columns {
        self.returning.as_ref().map(|shown| shown.columns.clone()).unwrap_or_default()
    }

    /// Whether there is a RETURNING.
    pub(super) fn returns(&self) -> bool {
        self.returning.is_some()
    }

    /// Whether the table keeps the latest write only.
    pub(super) fn is_lww(&self) -> bool {
        self.table.conflict == Conflict::Lww
    }

    /// The stamp of the statement's cells, and when they end.
    pub(super) fn ink(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Ink, PlanError> {
        let timestamp = self.using.timestamp_us(values, request)?;
        let stamp = WriteStamp { timestamp, operation: request.operation };
        Ok(Ink { stamp, expiry: self.using.expiry(values, request.now_us)? })
    }

    /// Adds a change of each of the rows of a siblings table.
    pub(super) fn change(
        &self,
        change: &Change,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
        changes: &mut ChangesOp,
    ) -> Result<(), PlanError> {
        for key in self.rows(values, request)? {
            let context = self.using.context(values, &key, request)?;
            let reads_first = *change == Change::Remove && context.is_none();
            let write = Write {
                context: context.unwrap_or_default(),
                change: change.clone(),
                now: request.now_us,
                write_time: request.write_time_us,
                limits: request.limits.siblings,
            };
            changes.write(&self.table, key, write, reads_first)?;
        }
        Ok(())
    }

    /// Adds cells of each of the rows of a table of last-write-wins.
    pub(super) fn cells(
        &self,
        written: &Written,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
        changes: &mut ChangesOp,
    ) -> Result<(), PlanError> {
        for key in self.rows(values, request)? {
            changes.cells(&self.table, key, written.clone())?;
        }
        Ok(())
    }

    fn rows(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Vec<RowKey>, PlanError> {
        self.key.bind_rows(values, request.limits.in_max)
    }

    /// The plan of a statement that turns out to change nothing: at most it shows the row.
    fn bind_nothing(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        let level = self.using.write_level(request.consistency)?;
        let Some(answer) = self.answer(request) else { return Ok(Plan::Nothing) };
        let key = self.key.bind_row(values)?;
        let at_least = self.using.context(values, &key, request)?;
        let table = Arc::clone(&self.table);
        Ok(Plan::ReadRow(Box::new(ReadRowPlan { table, key, level, at_least, answer })))
    }

    fn answer(&self, request: &BindContext<'_>) -> Option<Answer> {
        Some(Answer::returning(self.returning.as_ref()?, request))
    }
}
