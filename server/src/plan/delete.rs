//! DELETE: of columns, of rows, or of the rows of stretches of partitions.
//!
//! `DELETE c FROM t` is an UPDATE to null. In a siblings table a DELETE of a row without a context
//! removes what a read at its level finds, and a DELETE of a stretch removes each row with its own
//! context, so it takes none. In a table of last-write-wins both are tombstones, written without a
//! look at what they cover. Callers: `prepared`, `batch`. Pure.

use repair::version::Change;
use sql::Delete;

use super::PlanError;
use super::assign::{self, Assigned};
use super::bind::{BoundValues, Markers};
use super::catalog::Session;
use super::cells::{self, Written};
use super::changes::ChangesOp;
use super::key::KeyPlan;
use super::prepared::BindContext;
use super::update::change_columns;
use super::using::{UsingPlan, Verb};
use super::write::WriteTarget;

/// A DELETE.
#[derive(Debug, Clone)]
pub(super) struct DeletePlan {
    pub(super) target: WriteTarget,
    /// The columns to clear, or parts of them; empty for whole rows.
    columns: Vec<Assigned>,
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
        let columns = assign::removals(&table, &delete.targets, markers)?;
        let using = UsingPlan::new(&delete.using, &table, Verb::Delete, markers)?;
        let key = KeyPlan::of_relations(&table, &delete.relations, false, markers)?;
        if !columns.is_empty() {
            key.require_rows()?;
        }
        let target = WriteTarget::new(table, key, using, &delete.returning)?;
        Ok(Self { target, columns })
    }

    pub(super) fn change(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
        changes: &mut ChangesOp,
    ) -> Result<(), PlanError> {
        let Self { target, columns } = self;
        if !columns.is_empty() {
            return change_columns(target, columns, values, request, changes);
        }
        match (target.is_lww(), target.key.is_rows()) {
            (false, true) => target.change(&Change::Remove, values, request, changes),
            (false, false) => {
                let stretches = target.key.bind_stretches(values, request.limits.in_max)?;
                changes.removal(&target.table, &stretches, request);
                Ok(())
            }
            (true, true) => {
                let mut written = Written::default();
                written.row.delete(target.using.timestamp_us(values, request)?);
                target.cells(&written, values, request, changes)
            }
            (true, false) => {
                let timestamp = target.using.timestamp_us(values, request)?;
                for stretch in target.key.bind_stretches(values, request.limits.in_max)? {
                    if let Some((partition, ranges)) = cells::removed(&stretch, timestamp) {
                        changes.ranges(&target.table, partition, ranges)?;
                    }
                }
                Ok(())
            }
        }
    }
}
