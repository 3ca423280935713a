//! DELETE: of columns, of a row, or of the rows of a stretch of a partition.
//!
//! `DELETE c FROM t` is an UPDATE to null. Without a context, a DELETE of a row removes what a read
//! at its level finds. A DELETE of a stretch removes each row with its own context, so it takes
//! none. Callers: `prepared`. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use repair::version::{Change, ColumnChange};
use sql::Delete;

use super::bind::{BoundValues, Markers};
use super::catalog::{self, Session};
use super::key::KeyPlan;
use super::prepared::BindContext;
use super::remove::RemoveOp;
use super::update::whole_column;
use super::using::{UsingPlan, Verb};
use super::write::WriteTarget;
use super::{Plan, PlanError, RemovePartitionPlan};
use crate::metadata::{ColumnKind, Table};

/// A DELETE.
#[derive(Debug, Clone)]
pub(super) struct DeletePlan {
    pub(super) target: WriteTarget,
    /// Ids of the columns to clear; empty for whole rows.
    columns: Vec<u32>,
}

impl DeletePlan {
    pub(super) fn new(
        delete: &Delete,
        session: Session<'_>,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        let table = session.stored(&delete.table)?;
        if delete.condition.is_some() {
            return Err(PlanError::unsupported("DELETE … IF"));
        }
        let columns = cleared(&table, delete)?;
        let using = UsingPlan::new(&delete.using, &table, Verb::Delete, markers)?;
        let key = KeyPlan::of_relations(&table, &delete.relations, false, markers)?;
        if !columns.is_empty() {
            key.require_row()?;
        }
        let target = WriteTarget::new(table, key, using, &delete.returning)?;
        if !target.key.is_row() && target.using.has_context() {
            return Err(PlanError::NeedsRow { clause: "USING CONTEXT" });
        }
        if !target.key.is_row() && target.returns() {
            return Err(PlanError::NeedsRow { clause: "RETURNING" });
        }
        Ok(Self { target, columns })
    }

    pub(super) fn bind(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        if !self.columns.is_empty() {
            let cleared = self.columns.iter().map(|id| (*id, ColumnChange::Clear));
            let change = Change::Update(cleared.collect::<BTreeMap<_, _>>());
            return self.target.bind(change, values, request);
        }
        if self.target.key.is_row() {
            return self.target.bind(Change::Remove, values, request);
        }
        let level = self.target.using.write_level(request.consistency)?;
        let stretches = self.target.key.bind_stretches(values, request.limits.in_max)?;
        let rows = RemoveOp::new(&stretches, request);
        let table = Arc::clone(&self.target.table);
        Ok(Plan::RemovePartition(Box::new(RemovePartitionPlan { table, level, rows })))
    }
}

/// The columns that are to be null.
fn cleared(table: &Table, delete: &Delete) -> Result<Vec<u32>, PlanError> {
    let mut columns = Vec::new();
    for target in &delete.targets {
        let column = catalog::column(table, target.column())?;
        if column.kind != ColumnKind::Regular {
            return Err(PlanError::DeleteKey { column: column.name.clone() });
        }
        whole_column(target)?;
        columns.push(column.id.0);
    }
    Ok(columns)
}
