//! Changes of a table that is there: ALTER TABLE and TRUNCATE.
//!
//! Law: a number that a column or a life of a table had is never given to another, so what was
//! dropped or truncated cannot come back under an old name. Pure.

use serde::{Deserialize, Serialize};
use types::CqlType;

use super::change::ChangeError;
use super::schema::{COLUMN_IDS_MAX, COLUMNS_MAX, Column, ColumnId, ColumnKind, Table};
use super::speculative::SpeculativeRetry;

/// What ALTER TABLE makes different.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Alteration {
    /// New columns outside the primary key.
    Add {
        /// Name and type of each.
        columns: Vec<(String, CqlType)>,
        /// Whether one that exists is no error.
        if_not_exists: bool,
    },
    /// Columns outside the primary key go, with all that rows have in them.
    Drop {
        /// Their names.
        columns: Vec<String>,
        /// Whether a missing one is no error.
        if_exists: bool,
    },
    /// Columns of the primary key are called otherwise.
    Rename {
        /// Old and new names, one after the other.
        columns: Vec<(String, String)>,
        /// Whether a missing one is no error.
        if_exists: bool,
    },
    /// Other options.
    Options {
        /// The new comment, if the statement names one.
        comment: Option<String>,
        /// Whether stand-ins count from now on, if the statement says.
        sloppy_quorum: Option<bool>,
        /// When reads ask one replica more from now on, if the statement says.
        speculative_retry: Option<SpeculativeRetry>,
    },
}

impl Alteration {
    /// Makes the table different.
    ///
    /// # Errors
    /// [`ChangeError`]; the table may be half altered then, for the caller to throw away.
    pub(super) fn alter(&self, table: &mut Table) -> Result<(), ChangeError> {
        match self {
            Self::Add { columns, if_not_exists } => {
                columns.iter().try_for_each(|(name, ty)| add(table, name, ty, *if_not_exists))
            }
            Self::Drop { columns, if_exists } => {
                columns.iter().try_for_each(|name| drop(table, name, *if_exists))
            }
            Self::Rename { columns, if_exists } => {
                columns.iter().try_for_each(|(from, to)| rename(table, from, to, *if_exists))
            }
            Self::Options { comment, sloppy_quorum, speculative_retry } => {
                table.comment = comment.clone().unwrap_or_else(|| table.comment.clone());
                table.sloppy_quorum = sloppy_quorum.unwrap_or(table.sloppy_quorum);
                table.speculative_retry = speculative_retry.unwrap_or(table.speculative_retry);
                Ok(())
            }
        }
    }
}

fn add(
    table: &mut Table,
    name: &str,
    ty: &CqlType,
    if_not_exists: bool,
) -> Result<(), ChangeError> {
    if table.column(name).is_some() {
        let exists = ChangeError::ColumnExists { column: name.to_owned(), table: full_name(table) };
        return if if_not_exists { Ok(()) } else { Err(exists) };
    }
    if table.columns.len() >= COLUMNS_MAX {
        return Err(ChangeError::TooManyColumns { max: COLUMNS_MAX });
    }
    if table.next_column >= COLUMN_IDS_MAX {
        let (table, max) = (full_name(table), COLUMN_IDS_MAX);
        return Err(ChangeError::ColumnsUsedUp { table, max });
    }
    let column = Column {
        id: ColumnId(table.next_column),
        name: name.to_owned(),
        kind: ColumnKind::Regular,
        ty: ty.clone(),
    };
    table.next_column += 1;
    // The key stays in front, the rest in the order of its names.
    let is_before = |other: &Column| other.kind != ColumnKind::Regular || *other.name < *name;
    let at = table.columns.partition_point(is_before);
    table.columns.insert(at, column);
    Ok(())
}

fn drop(table: &mut Table, name: &str, if_exists: bool) -> Result<(), ChangeError> {
    let Some(at) = position(table, name, if_exists)? else { return Ok(()) };
    if table.columns[at].kind != ColumnKind::Regular {
        return Err(ChangeError::KeyColumnDropped { column: name.to_owned() });
    }
    table.columns.remove(at);
    Ok(())
}

fn rename(table: &mut Table, from: &str, to: &str, if_exists: bool) -> Result<(), ChangeError> {
    let Some(at) = position(table, from, if_exists)? else { return Ok(()) };
    if table.columns[at].kind == ColumnKind::Regular {
        return Err(ChangeError::RegularColumnRenamed { column: from.to_owned() });
    }
    if table.column(to).is_some() {
        let (from, to) = (from.to_owned(), to.to_owned());
        return Err(ChangeError::ColumnNameTaken { from, to, table: full_name(table) });
    }
    to.clone_into(&mut table.columns[at].name);
    Ok(())
}

/// Where a column stands; none where a missing one is no error.
fn position(table: &Table, name: &str, if_exists: bool) -> Result<Option<usize>, ChangeError> {
    let found = table.columns.iter().position(|column| column.name == name);
    if found.is_none() && !if_exists {
        return Err(ChangeError::NoColumn { column: name.to_owned(), table: full_name(table) });
    }
    Ok(found)
}

/// Ends the life of the table that all its rows belong to, and begins another.
pub(super) fn truncate(table: &mut Table) -> Result<(), ChangeError> {
    let used_up = || ChangeError::LivesUsedUp { table: full_name(table) };
    table.epoch = table.epoch.checked_add(1).ok_or_else(used_up)?;
    Ok(())
}

fn full_name(table: &Table) -> String {
    format!("{}.{}", table.keyspace, table.name)
}
