//! INSERT: a version, or cells, made of the columns that it names.
//!
//! In a siblings table what it does not name, or gives null for, is null in the new version, and a
//! value that is not set counts as not named: an INSERT has no older version to take a column from.
//! In a table of last-write-wins null is written as a cell without value, and the row's marker keeps
//! the row alive without any column. Callers: `prepared`, `batch`. Pure.

use repair::version::{Change, Column, Columns};
use sql::Insert;

use super::PlanError;
use super::assign::{Assigned, Edit};
use super::bind::{BoundValues, Expression, Markers};
use super::catalog::{self, Session};
use super::cells::Written;
use super::changes::ChangesOp;
use super::key::KeyPlan;
use super::prepared::BindContext;
use super::using::{UsingPlan, Verb};
use super::write::WriteTarget;
use crate::metadata::{self, ColumnKind};

/// An INSERT.
#[derive(Debug, Clone)]
pub(super) struct InsertPlan {
    pub(super) target: WriteTarget,
    /// The columns outside the key.
    columns: Vec<Assigned>,
}

impl InsertPlan {
    pub(super) fn new(
        insert: &Insert,
        session: Session<'_>,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        let table = session.stored(&insert.table)?;
        if insert.if_not_exists {
            return Err(PlanError::unsupported("INSERT … IF NOT EXISTS"));
        }
        if insert.columns.len() != insert.values.len() {
            return Err(PlanError::ColumnCount);
        }
        let mut named: Vec<(&metadata::Column, Expression)> = Vec::new();
        for (name, term) in insert.columns.iter().zip(&insert.values) {
            let column = catalog::column(&table, name)?;
            if named.iter().any(|(other, _)| other.id == column.id) {
                return Err(PlanError::ColumnTwice { column: column.name.clone() });
            }
            named.push((column, markers.expression(term, &column.name, &column.ty)?));
        }
        let key = KeyPlan::of_columns(&table, |key| {
            named.iter().find(|(column, _)| column.id == key.id).map(|(_, value)| value.clone())
        })?;
        let regular = named.iter().filter(|(column, _)| column.kind == ColumnKind::Regular);
        let columns = regular.map(|(column, value)| Assigned::set(column, value.clone())).collect();
        let using = UsingPlan::new(&insert.using, &table, Verb::Insert, markers)?;
        let target = WriteTarget::new(table, key, using, &insert.returning)?;
        Ok(Self { target, columns })
    }

    pub(super) fn change(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
        changes: &mut ChangesOp,
    ) -> Result<(), PlanError> {
        if self.target.is_lww() {
            let ink = self.target.ink(values, request)?;
            let mut written = Written::default();
            written.row.mark(ink.stamp, ink.expiry);
            for column in &self.columns {
                if let Some(edited) = column.bind(values)? {
                    written.edit(edited, ink)?;
                }
            }
            return self.target.cells(&written, values, request, changes);
        }
        let expiry = self.target.using.expiry(values, request.now_us)?;
        let mut bound = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let Some(edited) = column.bind(values)? else { continue };
            let id = edited.column.id.0;
            bound.extend(edited.edits.into_iter().filter_map(|edit| match edit {
                Edit::Set(value) => Some((id, value)),
                _ => None,
            }));
        }
        let columns = bound.iter().map(|(id, value)| Column { id: *id, value, expiry });
        let columns = columns.collect::<Columns>();
        self.target.change(&Change::Insert { columns, marker: expiry }, values, request, changes)
    }
}
