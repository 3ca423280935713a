//! ALTER TABLE.
//!
//! Whether its columns exist is for the register to say. What would change the meaning of stored
//! rows is refused by name: their types, their conflict mode. Callers: `ddl`. Pure.

use sql::{AlterTable, Alteration as Asked};
use wire::SchemaChange;

use super::table::{Options, at_most_columns_max, declared_column};
use super::{DefinitionError, new_column_name, own_keyspace};
use crate::metadata::{Alteration, Change};
use crate::plan::catalog::Session;
use crate::plan::{PlanError, SchemaPlan};

pub(super) fn alter(alter: &AlterTable, session: Session<'_>) -> Result<SchemaPlan, PlanError> {
    let keyspace = own_keyspace(session.keyspace_of(&alter.table)?)?;
    let name = alter.table.name.text.clone();
    let alteration = alteration(&alter.alteration)?;
    let schema = wire::Schema::Table { keyspace: keyspace.clone(), table: name.clone() };
    let change = Change::AlterTable { keyspace, name, alteration, if_exists: alter.if_exists };
    Ok(SchemaPlan { change, event: SchemaChange::Updated(schema) })
}

fn alteration(asked: &Asked) -> Result<Alteration, PlanError> {
    Ok(match asked {
        Asked::Add { columns, if_not_exists } => {
            at_most_columns_max(columns.len())?;
            let columns = columns.iter().map(declared_column).collect::<Result<_, _>>()?;
            Alteration::Add { columns, if_not_exists: *if_not_exists }
        }
        Asked::Drop { columns, if_exists, timestamp: None } => {
            let columns = columns.iter().map(|column| column.text.clone()).collect();
            Alteration::Drop { columns, if_exists: *if_exists }
        }
        Asked::Drop { timestamp: Some(_), .. } => {
            return Err(PlanError::unsupported("ALTER TABLE … DROP … USING TIMESTAMP"));
        }
        Asked::DropCompactStorage => return Err(PlanError::unsupported("COMPACT STORAGE")),
        Asked::Rename { columns, if_exists } => {
            let names =
                columns.iter().map(|(from, to)| Ok((from.text.clone(), new_column_name(to)?)));
            let columns = names.collect::<Result<_, DefinitionError>>()?;
            Alteration::Rename { columns, if_exists: *if_exists }
        }
        Asked::Retype { .. } => return Err(PlanError::unsupported("ALTER TABLE … ALTER … TYPE")),
        Asked::Options(properties) => {
            let Options { comment, conflict, sloppy_quorum, speculative_retry } =
                Options::read(&properties.properties)?;
            if conflict.is_some() {
                return Err(DefinitionError::ConflictFixed.into());
            }
            Alteration::Options { comment, sloppy_quorum, speculative_retry }
        }
    })
}
