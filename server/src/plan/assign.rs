//! What INSERT, UPDATE and DELETE do to one column, in terms that both kinds of tables understand.
//!
//! ```text
//! c = a       c = c + a    c = c - a    c = a + c    c[k] = a    DELETE c    DELETE c[k]
//! any type    collections  collections  lists        maps, lists any type    collections
//! ```
//!
//! An [`Operation`] becomes an [`Edit`] with the values of a request. In a siblings table the edits
//! of a column become one [`ColumnChange`], which the stamping replica applies to the version that
//! is its base; in a table of last-write-wins they become cells (`cells`).
//! Callers: `insert`, `update`, `delete`. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use repair::version::{ColumnChange, Expiry, ListEnd};
use sql::{Assignment, Target};
use types::CqlType;
use types::collection::{elements, normalise};

use super::PlanError;
use super::bind::{Bound, BoundValues, Expression, Markers};
use super::catalog;
use crate::metadata::{Column, ColumnKind, Conflict, Table};

/// A column and what becomes of it.
#[derive(Debug, Clone)]
pub(super) struct Assigned {
    column: Column,
    /// One, or several that do not overwrite each other.
    operations: Vec<Operation>,
}

/// What becomes of a column, before the values are known.
#[derive(Debug, Clone)]
enum Operation {
    Set(Expression),
    Clear,
    Add(Expression),
    Remove(Expression),
    Extend(ListEnd, Expression),
    Put { at: Expression, value: Expression },
    Take { at: Expression },
}

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// It has this value.
    Set(Bytes),
    /// It is null.
    Clear,
    /// A set or map has these elements too.
    Add(Bytes),
    /// It loses these elements: a set, of a map those of these keys; or a list of values.
    Remove(Bytes),
    /// A list has these elements too.
    Extend(ListEnd, Bytes),
    /// The element of this key, or at this place of a list, is this one from now on, or gone.
    Put {
        /// The key, or the place.
        at: Bytes,
        /// The value; none: gone.
        value: Option<Bytes>,
    },
}

/// One column of one execution.
#[derive(Debug, Clone)]
pub(super) struct Edited<'p> {
    pub(super) column: &'p Column,
    /// At least one.
    pub(super) edits: Vec<Edit>,
}

impl Assigned {
    /// A column that has a value from now on.
    pub(super) fn set(column: &Column, value: Expression) -> Self {
        Self { column: column.clone(), operations: vec![Operation::Set(value)] }
    }

    /// What the values make of it; none where it is left alone.
    pub(super) fn bind(&self, values: &BoundValues<'_>) -> Result<Option<Edited<'_>>, PlanError> {
        let mut edits = Vec::with_capacity(self.operations.len());
        for operation in &self.operations {
            edits.extend(operation.bind(values)?);
        }
        Ok((!edits.is_empty()).then_some(Edited { column: &self.column, edits }))
    }
}

/// The columns that an UPDATE sets.
pub(super) fn assignments(
    table: &Table,
    assignments: &[Assignment],
    markers: &mut Markers,
) -> Result<Vec<Assigned>, PlanError> {
    let mut assigned = Vec::new();
    for assignment in assignments {
        let column = catalog::column(table, assignment.target.column())?;
        if column.kind != ColumnKind::Regular {
            return Err(PlanError::SetKey { column: column.name.clone() });
        }
        let operation = operation_of(column, assignment, markers)?;
        add(&mut assigned, table, column, operation)?;
    }
    Ok(assigned)
}

/// The columns, or parts of them, that a DELETE takes away.
pub(super) fn removals(
    table: &Table,
    targets: &[Target],
    markers: &mut Markers,
) -> Result<Vec<Assigned>, PlanError> {
    let mut assigned = Vec::new();
    for target in targets {
        let column = catalog::column(table, target.column())?;
        if column.kind != ColumnKind::Regular {
            return Err(PlanError::DeleteKey { column: column.name.clone() });
        }
        let operation = match target {
            Target::Column(_) => Operation::Clear,
            Target::Element { key, .. } => {
                let of = match &column.ty {
                    CqlType::Map(of, _) | CqlType::Set(of) => of,
                    CqlType::List(_) => &CqlType::Int,
                    _ => return Err(no_such(column, format!("DELETE {}[…]", column.name))),
                };
                Operation::Take { at: markers.expression(key, &key_name(column), of)? }
            }
            Target::Field { .. } => return Err(PlanError::unsupported("a write of a field")),
        };
        // To name a column twice here is to say the same twice.
        let is_named = assigned
            .iter()
            .any(|other: &Assigned| is_cleared(other, column) && is_clear(&operation));
        if !is_named {
            add(&mut assigned, table, column, operation)?;
        }
    }
    Ok(assigned)
}

fn is_cleared(assigned: &Assigned, column: &Column) -> bool {
    assigned.column.id == column.id && assigned.operations.iter().all(is_clear)
}

fn is_clear(operation: &Operation) -> bool {
    matches!(operation, Operation::Clear)
}

/// Adds an operation on a column, if it goes together with those that are there.
fn add(
    assigned: &mut Vec<Assigned>,
    table: &Table,
    column: &Column,
    operation: Operation,
) -> Result<(), PlanError> {
    let Some(same) = assigned.iter_mut().find(|other| other.column.id == column.id) else {
        assigned.push(Assigned { column: column.clone(), operations: vec![operation] });
        return Ok(());
    };
    same.operations.push(operation);
    let overwrites = |of: &Operation| matches!(of, Operation::Set(_) | Operation::Clear);
    let is_part = |of: &Operation| matches!(of, Operation::Put { .. } | Operation::Take { .. });
    let are_joined = match table.conflict {
        Conflict::Lww => !same.operations.iter().any(overwrites),
        // The base is changed once, so they must make one change.
        Conflict::Siblings if matches!(column.ty, CqlType::Map(..)) => {
            !same.operations.iter().any(overwrites)
        }
        Conflict::Siblings => {
            matches!(column.ty, CqlType::List(_)) && same.operations.iter().all(is_part)
        }
    };
    if are_joined { Ok(()) } else { Err(PlanError::ColumnTwice { column: column.name.clone() }) }
}

fn operation_of(
    column: &Column,
    assignment: &Assignment,
    markers: &mut Markers,
) -> Result<Operation, PlanError> {
    let name = column.name.as_str();
    let mut term = |term, kind: &CqlType| markers.expression(term, name, kind);
    match (&assignment.target, &assignment.change) {
        (Target::Field { .. }, _) => Err(PlanError::unsupported("a write of a field")),
        (Target::Element { key, .. }, sql::Change::Set(value)) => {
            let (of_keys, of_values) = match &column.ty {
                CqlType::Map(key, value) => (CqlType::clone(key), value),
                CqlType::List(of) => (CqlType::Int, of),
                _ => return Err(no_such(column, format!("{name}[…] = …"))),
            };
            let at = markers.expression(key, &key_name(column), &of_keys)?;
            let value = markers.expression(value, &format!("value({name})"), of_values)?;
            Ok(Operation::Put { at, value })
        }
        (Target::Element { .. }, _) => Err(no_such(column, format!("{name}[…] = {name}[…] + …"))),
        (Target::Column(_), sql::Change::Set(value)) => {
            Ok(Operation::Set(term(value, &column.ty)?))
        }
        (Target::Column(_), sql::Change::Add(value)) => match &column.ty {
            CqlType::Set(_) | CqlType::Map(..) => Ok(Operation::Add(term(value, &column.ty)?)),
            CqlType::List(_) => Ok(Operation::Extend(ListEnd::Back, term(value, &column.ty)?)),
            _ => Err(no_such(column, format!("{name} = {name} + …"))),
        },
        (Target::Column(_), sql::Change::Subtract(value)) => match &column.ty {
            CqlType::Set(_) | CqlType::List(_) => Ok(Operation::Remove(term(value, &column.ty)?)),
            CqlType::Map(key, _) => Ok(Operation::Remove(term(value, &CqlType::Set(key.clone()))?)),
            _ => Err(no_such(column, format!("{name} = {name} - …"))),
        },
        (Target::Column(_), sql::Change::Prepend(value)) => match &column.ty {
            CqlType::List(_) => Ok(Operation::Extend(ListEnd::Front, term(value, &column.ty)?)),
            _ => Err(no_such(column, format!("{name} = … + {name}"))),
        },
    }
}

fn key_name(column: &Column) -> String {
    match column.ty {
        CqlType::List(_) => format!("idx({})", column.name),
        _ => format!("key({})", column.name),
    }
}

fn no_such(column: &Column, operation: String) -> PlanError {
    PlanError::Operation { operation, column: column.name.clone(), kind: column.ty.clone() }
}

impl Operation {
    /// What the values make of it; none where the column is left alone.
    fn bind(&self, values: &BoundValues<'_>) -> Result<Option<Edit>, PlanError> {
        let bound = |expression: &Expression| expression.bind(values).map(owned);
        let at = |at: &Expression| at.bind_value(values).map(|at| Bytes::from(at.into_owned()));
        Ok(match self {
            Self::Clear => Some(Edit::Clear),
            Self::Set(value) => match value.bind(values)? {
                Bound::Unset => None,
                Bound::Null => Some(Edit::Clear),
                Bound::Value(value) => Some(Edit::Set(value.into_owned().into())),
            },
            Self::Add(value) => bound(value)?.map(Edit::Add),
            Self::Remove(value) => bound(value)?.map(Edit::Remove),
            Self::Extend(end, value) => bound(value)?.map(|value| Edit::Extend(*end, value)),
            Self::Put { at: key, value } => match value.bind(values)? {
                Bound::Unset => None,
                Bound::Null => Some(Edit::Put { at: at(key)?, value: None }),
                Bound::Value(value) => {
                    Some(Edit::Put { at: at(key)?, value: Some(value.into_owned().into()) })
                }
            },
            Self::Take { at: key } => Some(Edit::Put { at: at(key)?, value: None }),
        })
    }
}

/// The value, if there is one: to add nothing to a collection changes nothing.
fn owned(bound: Bound<'_>) -> Option<Bytes> {
    match bound {
        Bound::Value(value) => Some(value.into_owned().into()),
        Bound::Null | Bound::Unset => None,
    }
}

impl Edited<'_> {
    /// What the stamping replica of a siblings table does to the column of its base.
    pub(super) fn change(self, expiry: Expiry) -> Result<ColumnChange, PlanError> {
        let Self { column, mut edits } = self;
        if edits.iter().any(|edit| matches!(edit, Edit::Put { .. })) || edits.len() > 1 {
            return parts(column, edits, expiry);
        }
        let of = |kind: &CqlType| match kind {
            CqlType::Set(of) | CqlType::List(of) => CqlType::clone(of),
            other => other.clone(),
        };
        Ok(match (edits.remove(0), &column.ty) {
            (Edit::Set(value), _) => ColumnChange::Set { value, expiry },
            (edit @ (Edit::Add(_) | Edit::Remove(_)), CqlType::Map(..)) => {
                return parts(column, vec![edit], expiry);
            }
            (Edit::Add(elements), kind) => ColumnChange::SetAdd { elements, of: of(kind), expiry },
            (Edit::Remove(elements), kind @ CqlType::List(_)) => {
                ColumnChange::ListRemove { elements, of: of(kind) }
            }
            (Edit::Remove(elements), kind) => ColumnChange::SetRemove { elements, of: of(kind) },
            (Edit::Extend(end, elements), kind) => {
                ColumnChange::ListAdd { elements, end, of: of(kind), expiry }
            }
            (Edit::Clear | Edit::Put { .. }, _) => ColumnChange::Clear,
        })
    }
}

/// One change of several elements of a set, a map or a list; later edits win.
fn parts(column: &Column, edits: Vec<Edit>, expiry: Expiry) -> Result<ColumnChange, PlanError> {
    let refused = |source| PlanError::Value { name: column.name.clone(), source };
    let mut elements = BTreeMap::new();
    for edit in edits {
        put_parts(&column.ty, edit, &mut elements).map_err(refused)?;
    }
    match &column.ty {
        CqlType::List(of) => {
            let place = |(at, value): (Bytes, Option<Bytes>)| Some((place_of(&at)?, value));
            let places = elements.into_iter().filter_map(place).collect();
            Ok(ColumnChange::ListPut { places, of: CqlType::clone(of), expiry })
        }
        CqlType::Map(key, of) => {
            let (put, removed): (Vec<_>, Vec<_>) =
                elements.into_iter().partition(|(_, value)| value.is_some());
            let entries = put.iter().flat_map(|(key, value)| [Some(key), value.as_ref()]);
            let entries = serialized(&column.ty, put.len(), entries.flatten()).map_err(refused)?;
            let keys = CqlType::Set(key.clone());
            let gone = removed.iter().map(|(key, _)| key);
            let removed = serialized(&keys, removed.len(), gone).map_err(refused)?;
            let of = (CqlType::clone(key), CqlType::clone(of));
            Ok(ColumnChange::MapPut { removed, entries, of, expiry })
        }
        kind => {
            let of = match kind {
                CqlType::Set(of) => CqlType::clone(of),
                other => other.clone(),
            };
            let elements = serialized(kind, elements.len(), elements.keys()).map_err(refused)?;
            Ok(ColumnChange::SetRemove { elements, of })
        }
    }
}

/// Takes an edit apart into elements, with none for those that go.
fn put_parts(
    kind: &CqlType,
    edit: Edit,
    out: &mut BTreeMap<Bytes, Option<Bytes>>,
) -> Result<(), types::ValueError> {
    match edit {
        Edit::Put { at, value } => drop(out.insert(at, value)),
        Edit::Remove(keys) => {
            let keys_kind = match kind {
                CqlType::Map(key, _) => &CqlType::Set(key.clone()),
                other => other,
            };
            for key in elements(keys_kind, &keys)? {
                out.insert(keys.slice_ref(key?), None);
            }
        }
        Edit::Add(entries) => {
            let mut each = elements(kind, &entries)?;
            while let (Some(key), Some(value)) = (each.next(), each.next()) {
                out.insert(entries.slice_ref(key?), Some(entries.slice_ref(value?)));
            }
        }
        Edit::Set(_) | Edit::Clear | Edit::Extend(..) => {}
    }
    Ok(())
}

/// A serialized collection of these elements, in canonical form.
fn serialized<'a>(
    kind: &CqlType,
    count: usize,
    elements: impl Iterator<Item = &'a Bytes>,
) -> Result<Bytes, types::ValueError> {
    let len = |len: usize| {
        let len =
            i32::try_from(len).map_err(|_| types::ValueError::TooLarge { kind: kind.clone() });
        len.map(i32::to_be_bytes)
    };
    let mut out = len(count)?.to_vec();
    for element in elements {
        out.extend_from_slice(&len(element.len())?);
        out.extend_from_slice(element);
    }
    Ok(normalise(kind, &out)?.into_owned().into())
}

/// A place in a list, counted from 0.
pub(super) fn place_of(at: &[u8]) -> Option<i32> {
    at.try_into().ok().map(i32::from_be_bytes)
}
