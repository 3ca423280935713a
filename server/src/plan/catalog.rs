//! What the names of a statement mean: keyspaces, tables and columns.
//!
//! The keyspaces of the server itself come first, so no keyspace of a user can hide them. Callers:
//! every statement. Pure.

use std::sync::Arc;

use sql::{Name, Qualified};

use super::PlanError;
use super::system::{self, SystemTable};
use crate::metadata::{Column, Snapshot, Table};

/// A table that a statement may read.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// One of the cluster's.
    Stored(Arc<Table>),
    /// One that this node answers by itself.
    System(&'static SystemTable),
}

/// Where a session stands when it prepares a statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session<'a> {
    /// Its keyspace.
    pub(super) keyspace: Option<&'a str>,
    /// The metadata.
    pub(super) snapshot: &'a Snapshot,
}

impl<'a> Session<'a> {
    /// The keyspace of a table.
    pub(super) fn keyspace_of<'n>(&self, table: &'n Qualified) -> Result<&'n str, PlanError>
    where
        'a: 'n,
    {
        let named = table.keyspace.as_ref().map(|name| name.text.as_str());
        named.or(self.keyspace).ok_or(PlanError::NoKeyspace)
    }

    /// A keyspace to go to.
    pub(super) fn existing_keyspace(&self, name: &Name) -> Result<String, PlanError> {
        let keyspace = name.text.clone();
        let is_there =
            system::is_system(&keyspace) || self.snapshot.keyspaces.contains_key(&keyspace);
        if is_there { Ok(keyspace) } else { Err(PlanError::UnknownKeyspace { keyspace }) }
    }

    /// A table to read.
    pub(super) fn source(&self, table: &Qualified) -> Result<Source, PlanError> {
        let keyspace = self.keyspace_of(table)?;
        let name = table.name.text.as_str();
        let unknown = || PlanError::UnknownTable { table: name.to_owned() };
        if system::is_system(keyspace) {
            return system::table(keyspace, name).map(Source::System).ok_or_else(unknown);
        }
        let Some(entry) = self.snapshot.keyspaces.get(keyspace) else {
            return Err(PlanError::UnknownKeyspace { keyspace: keyspace.to_owned() });
        };
        entry.tables.get(name).cloned().map(Source::Stored).ok_or_else(unknown)
    }

    /// A table to write.
    pub(super) fn stored(&self, table: &Qualified) -> Result<Arc<Table>, PlanError> {
        refuse_system(self.keyspace_of(table)?)?;
        match self.source(table)? {
            Source::Stored(table) => Ok(table),
            Source::System(table) => {
                Err(PlanError::SystemKeyspace { keyspace: table.keyspace.to_owned() })
            }
        }
    }
}

/// Refuses to change what belongs to the server.
pub(super) fn refuse_system(keyspace: &str) -> Result<(), PlanError> {
    if system::is_system(keyspace) {
        return Err(PlanError::SystemKeyspace { keyspace: keyspace.to_owned() });
    }
    Ok(())
}

/// The column of this name.
pub(super) fn column<'t>(table: &'t Table, name: &Name) -> Result<&'t Column, PlanError> {
    table.column(&name.text).ok_or_else(|| PlanError::UnknownColumn {
        column: name.text.clone(),
        table: full_name(table),
    })
}

/// Keyspace and name, as people write them.
pub(super) fn full_name(table: &Table) -> String {
    format!("{}.{}", table.keyspace, table.name)
}
