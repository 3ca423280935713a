//! UPDATE: of a siblings table a version made of its base and the columns that the statement sets,
//! of a table of last-write-wins the cells of those columns.
//!
//! A value that is not set leaves its column alone; where nothing is left to do, nothing is
//! written. Callers: `prepared`, `batch`. Pure.

use std::collections::BTreeMap;

use repair::version::{Change, ColumnChange};
use sql::Update;

use super::PlanError;
use super::assign::{self, Assigned};
use super::bind::{BoundValues, Markers};
use super::catalog::Session;
use super::cells::Written;
use super::changes::ChangesOp;
use super::key::KeyPlan;
use super::prepared::BindContext;
use super::using::{UsingPlan, Verb};
use super::write::WriteTarget;

/// An UPDATE.
#[derive(Debug, Clone)]
pub(super) struct UpdatePlan {
    pub(super) target: WriteTarget,
    assignments: Vec<Assigned>,
}

impl UpdatePlan {
    pub(super) fn new(
        update: &Update,
        session: Session<'_>,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        let table = session.stored(&update.table)?;
        if update.condition.is_some() {
            return Err(PlanError::unsupported("UPDATE … IF"));
        }
        let using = UsingPlan::new(&update.using, &table, Verb::Update, markers)?;
        let assignments = assign::assignments(&table, &update.assignments, markers)?;
        let key = KeyPlan::of_relations(&table, &update.relations, false, markers)?;
        key.require_rows()?;
        let target = WriteTarget::new(table, key, using, &update.returning)?;
        Ok(Self { target, assignments })
    }

    pub(super) fn change(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
        changes: &mut ChangesOp,
    ) -> Result<(), PlanError> {
        change_columns(&self.target, &self.assignments, values, request, changes)
    }
}

/// Adds what a statement does to some columns of its rows.
pub(super) fn change_columns(
    target: &WriteTarget,
    columns: &[Assigned],
    values: &BoundValues<'_>,
    request: &BindContext<'_>,
    changes: &mut ChangesOp,
) -> Result<(), PlanError> {
    let mut edited = Vec::with_capacity(columns.len());
    for column in columns {
        edited.extend(column.bind(values)?);
    }
    if target.is_lww() {
        let ink = target.ink(values, request)?;
        let mut written = Written::default();
        for column in edited {
            written.edit(column, ink)?;
        }
        if written.is_empty() {
            return Ok(());
        }
        return target.cells(&written, values, request, changes);
    }
    let expiry = target.using.expiry(values, request.now_us)?;
    let mut changed = BTreeMap::new();
    for column in edited {
        changed.insert(column.column.id.0, column.change(expiry)?);
    }
    if changed.is_empty() {
        return Ok(());
    }
    // What the base has in columns that were dropped is neither kept nor compared.
    for dropped in target.table.dropped() {
        changed.insert(dropped.0, ColumnChange::Clear);
    }
    target.change(&Change::Update(changed), values, request, changes)
}
