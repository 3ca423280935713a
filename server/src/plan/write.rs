//! What INSERT, UPDATE and DELETE of one row have in common.
//!
//! Callers: `insert`, `update` and `delete`. Pure.

use std::sync::Arc;

use repair::version::{Change, Write};
use sql::Selection;

use super::answer::Answer;
use super::bind::BoundValues;
use super::key::KeyPlan;
use super::prepared::BindContext;
use super::project::Projection;
use super::using::UsingPlan;
use super::{Plan, PlanError, ReadRowPlan, WritePlan};
use crate::metadata::Table;
use crate::store::keys::RowKey;

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
        } else {
            Some(Arc::new(Projection::new(&table, returning)?))
        };
        if returning.as_ref().is_some_and(|shown| shown.is_total()) {
            return Err(PlanError::unsupported("an aggregate after RETURNING"));
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

    /// The plan of a change of the row.
    pub(super) fn bind(
        &self,
        change: Change,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        let level = self.using.write_level(request.consistency)?;
        let key = self.key.bind_row(values)?;
        let context = self.using.context(values, &key, request)?;
        let reads_first = change == Change::Remove && context.is_none();
        let write = Write {
            context: context.unwrap_or_default(),
            change,
            now: request.now_us,
            write_time: request.write_time_us,
            limits: request.limits.siblings,
        };
        let (table, returning) = (Arc::clone(&self.table), self.answer(request));
        let plan = WritePlan { table, key, write, reads_first, level, returning };
        Ok(Plan::Write(Box::new(plan)))
    }

    /// The plan of a statement that turns out to change nothing: at most it shows the row.
    pub(super) fn bind_nothing(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        let level = self.using.write_level(request.consistency)?;
        let key: RowKey = self.key.bind_row(values)?;
        let at_least = self.using.context(values, &key, request)?;
        let Some(answer) = self.answer(request) else { return Ok(Plan::Nothing) };
        let table = Arc::clone(&self.table);
        Ok(Plan::ReadRow(Box::new(ReadRowPlan { table, key, level, at_least, answer })))
    }

    fn answer(&self, request: &BindContext<'_>) -> Option<Answer> {
        Some(Answer::returning(self.returning.as_ref()?, request))
    }
}
