//! Which tables keep siblings, and what their keys are.
//!
//! The server tells in `system_views.tables`; a server that has no such table gets every statement
//! as it is. What was read is kept until a table is missing or this shell changes the schema; that
//! another client changed it meanwhile is found out by the refusal of a statement
//! ([`Catalog::clear`]), for contexts hold for one table and one row only.

use std::collections::BTreeMap;

use driver::{ExecuteError, Request, ServerErrorKind, Session};
use sql::Qualified;
use types::Value;

use crate::causal::{SiblingsTable, TableName};

/// What is known of the tables.
#[derive(Debug, Default)]
pub(crate) struct Catalog(State);

#[derive(Debug, Default)]
enum State {
    /// Nothing was asked yet.
    #[default]
    Unread,
    /// The server does not tell.
    Untold,
    /// Of each table, whether it keeps siblings.
    Read(BTreeMap<TableName, bool>),
}

const TABLES: &str = "SELECT keyspace_name, table_name, conflict FROM system_views.tables";

impl Catalog {
    /// The table, if it keeps siblings.
    pub(crate) async fn siblings_table(
        &mut self,
        session: &Session,
        table: &Qualified,
    ) -> Result<Option<SiblingsTable>, ExecuteError> {
        let named = table.keyspace.as_ref().map(|name| name.text.clone());
        let Some(keyspace) = named.or_else(|| session.keyspace()) else { return Ok(None) };
        let name = TableName { keyspace, table: table.name.text.clone() };
        if is_of_the_server(&name.keyspace) || !self.keeps_siblings(session, &name).await? {
            return Ok(None);
        }
        let mut table = session.table(&name.keyspace, &name.table);
        if table.is_none() {
            session.refresh().await?;
            table = session.table(&name.keyspace, &name.table);
        }
        Ok(table.map(|table| SiblingsTable { key: table.primary_key().cloned().collect(), name }))
    }

    /// Knows nothing any more.
    pub(crate) fn clear(&mut self) {
        self.0 = State::Unread;
    }

    async fn keeps_siblings(
        &mut self,
        session: &Session,
        name: &TableName,
    ) -> Result<bool, ExecuteError> {
        match &self.0 {
            State::Untold => return Ok(false),
            State::Read(tables) if tables.contains_key(name) => return Ok(tables[name]),
            State::Unread | State::Read(_) => {}
        }
        self.0 = read(session).await?;
        match &self.0 {
            State::Read(tables) => Ok(tables.get(name).copied().unwrap_or(false)),
            State::Unread | State::Untold => Ok(false),
        }
    }
}

/// Whether a keyspace is one of the server's own, which keep no siblings.
fn is_of_the_server(keyspace: &str) -> bool {
    keyspace == "system" || keyspace.starts_with("system_")
}

async fn read(session: &Session) -> Result<State, ExecuteError> {
    let answer = match session.execute(Request::from(TABLES).idempotent()).await {
        Ok(answer) => answer,
        Err(ExecuteError::Server(error)) if error.kind == ServerErrorKind::Invalid => {
            return Ok(State::Untold);
        }
        Err(error) => return Err(error),
    };
    let text = |value| match value {
        Ok(Some(Value::Text(text))) => Some(text),
        _ => None,
    };
    let tables = answer.rows.iter().filter_map(|row| {
        let name = TableName { keyspace: text(row.value(0))?, table: text(row.value(1))? };
        Some((name, text(row.value(2))? == "siblings"))
    });
    Ok(State::Read(tables.collect()))
}
