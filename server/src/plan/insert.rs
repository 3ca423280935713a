//! INSERT: a version made of the columns that it names.
//!
//! What it does not name, or gives null for, is null in the new version. A value that is not set
//! counts as not named: an INSERT has no older version to take a column from. Callers: `prepared`.
//! Pure.

use repair::version::{Change, Column, Columns};
use sql::Insert;

use super::bind::{Bound, BoundValues, Expression, Markers};
use super::catalog::{self, Session};
use super::key::KeyPlan;
use super::prepared::BindContext;
use super::using::{UsingPlan, Verb};
use super::write::WriteTarget;
use super::{Plan, PlanError};
use crate::metadata::{self, ColumnKind};

/// An INSERT.
#[derive(Debug, Clone)]
pub(super) struct InsertPlan {
    pub(super) target: WriteTarget,
    /// Ids and values of the columns outside the key.
    columns: Vec<(u32, Expression)>,
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
        let columns = regular.map(|(column, value)| (column.id.0, value.clone())).collect();
        let using = UsingPlan::new(&insert.using, &table, Verb::Insert, markers)?;
        let target = WriteTarget::new(table, key, using, &insert.returning)?;
        Ok(Self { target, columns })
    }

    pub(super) fn bind(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        let expiry = self.target.using.expiry(values, request.now_us)?;
        let mut bound = Vec::with_capacity(self.columns.len());
        for (id, value) in &self.columns {
            if let Bound::Value(value) = value.bind(values)? {
                bound.push((*id, value));
            }
        }
        let columns = bound.iter().map(|(id, value)| Column { id: *id, value, expiry });
        let columns = columns.collect::<Columns>();
        self.target.bind(Change::Insert { columns, marker: expiry }, values, request)
    }
}
