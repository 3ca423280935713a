//! UPDATE: a version made of its base and the columns that the statement sets.
//!
//! A value that is not set leaves its column alone; where nothing is left to do, nothing is
//! written. Callers: `prepared`. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use repair::version::{Change, ColumnChange, Expiry};
use sql::{Assignment, Target, Update};
use types::CqlType;

use super::bind::{Bound, BoundValues, Expression, Markers};
use super::catalog::{self, Session};
use super::key::KeyPlan;
use super::prepared::BindContext;
use super::using::{UsingPlan, Verb};
use super::write::WriteTarget;
use super::{Plan, PlanError};
use crate::metadata::{Column, ColumnKind, Table};

/// An UPDATE.
#[derive(Debug, Clone)]
pub(super) struct UpdatePlan {
    pub(super) target: WriteTarget,
    assignments: Vec<Assigned>,
}

/// One assignment.
#[derive(Debug, Clone)]
struct Assigned {
    /// The column's id.
    id: u32,
    operation: Operation,
    value: Expression,
}

#[derive(Debug, Clone)]
enum Operation {
    Set,
    /// `c = c + {…}` for a set of elements of this type.
    SetAdd(CqlType),
    /// `c = c - {…}` for a set of elements of this type.
    SetRemove(CqlType),
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
        let mut assignments: Vec<Assigned> = Vec::new();
        for assignment in &update.assignments {
            let column = assigned_column(&table, &assignment.target)?;
            if assignments.iter().any(|other| other.id == column.id.0) {
                return Err(PlanError::ColumnTwice { column: column.name.clone() });
            }
            assignments.push(assigned(column, assignment, markers)?);
        }
        let key = KeyPlan::of_relations(&table, &update.relations, false, markers)?;
        key.require_row()?;
        let target = WriteTarget::new(table, key, using, &update.returning)?;
        Ok(Self { target, assignments })
    }

    pub(super) fn bind(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        let expiry = self.target.using.expiry(values, request.now_us)?;
        let mut changes = BTreeMap::new();
        for Assigned { id, operation, value } in &self.assignments {
            if let Some(change) = operation.bind(value.bind(values)?, expiry) {
                changes.insert(*id, change);
            }
        }
        if changes.is_empty() {
            return self.target.bind_nothing(values, request);
        }
        // What the base has in columns that were dropped is neither kept nor compared.
        for dropped in self.target.table.dropped() {
            changes.insert(dropped.0, ColumnChange::Clear);
        }
        self.target.bind(Change::Update(changes), values, request)
    }
}

impl Operation {
    /// What becomes of the column; none where it is left alone.
    fn bind(&self, value: Bound<'_>, expiry: Expiry) -> Option<ColumnChange> {
        match (self, value) {
            (_, Bound::Unset) | (Self::SetAdd(_) | Self::SetRemove(_), Bound::Null) => None,
            (Self::Set, Bound::Null) => Some(ColumnChange::Clear),
            (Self::Set, Bound::Value(value)) => {
                Some(ColumnChange::Set { value: value.into_owned().into(), expiry })
            }
            (Self::SetAdd(of), Bound::Value(value)) => {
                let elements = Bytes::from(value.into_owned());
                Some(ColumnChange::SetAdd { elements, of: of.clone(), expiry })
            }
            (Self::SetRemove(of), Bound::Value(value)) => {
                let elements = Bytes::from(value.into_owned());
                Some(ColumnChange::SetRemove { elements, of: of.clone() })
            }
        }
    }
}

/// The column that an assignment sets, which is outside the key.
fn assigned_column<'t>(table: &'t Table, target: &Target) -> Result<&'t Column, PlanError> {
    let column = catalog::column(table, target.column())?;
    if column.kind != ColumnKind::Regular {
        return Err(PlanError::SetKey { column: column.name.clone() });
    }
    whole_column(target)?;
    Ok(column)
}

/// Refuses parts of columns.
pub(super) fn whole_column(target: &Target) -> Result<(), PlanError> {
    match target {
        Target::Column(_) => Ok(()),
        Target::Element { .. } => Err(PlanError::unsupported("a write of a collection's element")),
        Target::Field { .. } => Err(PlanError::unsupported("a write of a field")),
    }
}

fn assigned(
    column: &Column,
    assignment: &Assignment,
    markers: &mut Markers,
) -> Result<Assigned, PlanError> {
    let name = column.name.as_str();
    let no_such = |operation: String| PlanError::Operation {
        operation,
        column: name.to_owned(),
        kind: column.ty.clone(),
    };
    let (operation, term) = match (&assignment.change, &column.ty) {
        (sql::Change::Set(term), _) => (Operation::Set, term),
        (sql::Change::Add(term), CqlType::Set(of)) => (Operation::SetAdd(CqlType::clone(of)), term),
        (sql::Change::Subtract(term), CqlType::Set(of)) => {
            (Operation::SetRemove(CqlType::clone(of)), term)
        }
        (sql::Change::Add(_), _) => return Err(no_such(format!("{name} = {name} + …"))),
        (sql::Change::Subtract(_), _) => return Err(no_such(format!("{name} = {name} - …"))),
        (sql::Change::Prepend(_), _) => return Err(no_such(format!("{name} = … + {name}"))),
    };
    let value = markers.expression(term, name, &column.ty)?;
    Ok(Assigned { id: column.id.0, operation, value })
}
