//! Statements about the schema, checked as far as they can be without the register.
//!
//! What the statement itself gets wrong is refused here: names, types, keys, options. Whether a
//! keyspace or a table exists is for the register to say, which has the newest value. Callers:
//! `prepared`. Pure.

mod alter;
mod error;
mod keyspace;
mod kind;
mod property;
mod table;

pub use error::DefinitionError;

use sql::{Name, Statement};
use wire::SchemaChange;

use super::catalog::{Session, refuse_system};
use super::prepared::BindContext;
use super::{Plan, PlanError, SchemaPlan, TruncatePlan};
use crate::metadata::Change;

/// The longest name of a keyspace or table, as in Cassandra.
const NAME_BYTES_MAX: usize = 48;
/// The longest name of a column.
const COLUMN_NAME_BYTES_MAX: usize = 1024;

/// A change that is to be asked for.
#[derive(Debug, Clone)]
pub(super) enum Definition {
    Schema(SchemaPlan),
    Truncate(TruncatePlan),
}

impl Definition {
    /// The change that a statement asks for; none where IF EXISTS leaves nothing to do.
    pub(super) fn new(
        statement: &Statement,
        session: Session<'_>,
    ) -> Result<Option<Self>, PlanError> {
        let plan = match statement {
            Statement::CreateKeyspace(create) => keyspace::create(create, session)?,
            Statement::AlterKeyspace(alter) => match keyspace::alter(alter, session)? {
                Some(plan) => plan,
                None => return Ok(None),
            },
            Statement::DropKeyspace(drop) => keyspace::drop(drop)?,
            Statement::CreateTable(create) => table::create(create, session)?,
            Statement::AlterTable(alter) => alter::alter(alter, session)?,
            Statement::DropTable(drop) => table::drop(drop, session)?,
            Statement::Truncate(table) => {
                return Ok(Some(Self::Truncate(table::truncate(table, session)?)));
            }
            _ => return Ok(None),
        };
        Ok(Some(Self::Schema(plan)))
    }

    pub(super) fn bind(&self, request: &BindContext<'_>) -> Plan {
        let mut plan = match self {
            Self::Schema(plan) => plan.clone(),
            Self::Truncate(plan) => return Plan::Truncate(Box::new(plan.clone())),
        };
        if let Change::CreateTable { default_conflict, .. } = &mut plan.change {
            *default_conflict = request.limits.default_conflict;
        }
        Plan::Schema(Box::new(plan))
    }
}

fn created(schema: wire::Schema, change: Change) -> SchemaPlan {
    SchemaPlan { change, event: SchemaChange::Created(schema) }
}

fn dropped(schema: wire::Schema, change: Change) -> SchemaPlan {
    SchemaPlan { change, event: SchemaChange::Dropped(schema) }
}

/// The name of a keyspace that the statement may change.
fn own_keyspace(name: &str) -> Result<String, PlanError> {
    refuse_system(name)?;
    Ok(name.to_owned())
}

/// The name of a keyspace or a table that is to be made.
fn new_name(kind: &'static str, name: &str) -> Result<String, DefinitionError> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_word) {
        return Ok(name.to_owned());
    }
    let shown = name.chars().take(NAME_BYTES_MAX).collect();
    Err(DefinitionError::Name { kind, name: shown })
}

fn new_column_name(name: &Name) -> Result<String, DefinitionError> {
    if (1..=COLUMN_NAME_BYTES_MAX).contains(&name.text.len()) {
        return Ok(name.text.clone());
    }
    Err(DefinitionError::ColumnName { max: COLUMN_NAME_BYTES_MAX })
}

#[cfg(test)]
mod tests;
