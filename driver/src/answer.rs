//! What a statement is answered with: rows whose types are found out only now.
//!
//! A value stays the bytes that the server sent until somebody asks for it, so a type that is not
//! known here hinders nobody who does not look at it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use scylla::deserialize::row::ColumnIterator;
use scylla::errors::DeserializationError;
use scylla::response::query_result::{IntoRowsResultError, QueryResult, QueryRowsResult};
use types::{CqlType, Value, ValueError};
use uuid::Uuid;

use crate::ExecuteError;
use crate::kind;

/// The answer to a statement, or one page of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The columns of the rows; none if the answer is not of rows.
    pub columns: Arc<[Column]>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether the answer is of rows, be it without one: that of a SELECT or of RETURNING.
    pub is_rows: bool,
    /// What the server wants to be known.
    pub warnings: Vec<String>,
    /// Who answered; of several pages, who answered the first.
    pub coordinator: Coordinator,
}

/// The node that carried a statement out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coordinator {
    /// Its name for ever.
    pub host: Uuid,
    /// Where it was asked.
    pub address: SocketAddr,
}

/// A column of an answer or a bind marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name: of what was selected without AS, its text, such as `context()`.
    pub name: String,
    /// The type, `None` for one that no column of ours can have.
    pub kind: Option<CqlType>,
}

/// One row of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    columns: Arc<[Column]>,
    values: Vec<Option<Bytes>>,
}

/// Why a value of a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The answer has no such column.
    #[error("the answer has no column {name}")]
    NoColumn {
        /// The name, or the place counted from 0.
        name: String,
    },
    /// The column is of a type that is not known here; its bytes can be had.
    #[error("column {column} is of a type that is not known")]
    UnknownType {
        /// The column.
        column: String,
    },
    /// The bytes are no value of the column's type.
    #[error("column {column}: {source}")]
    Malformed {
        /// The column.
        column: String,
        /// Why not.
        source: ValueError,
    },
}

impl Row {
    /// A row of these values; those that are missing at the end are null.
    pub fn new(columns: Arc<[Column]>, mut values: Vec<Option<Bytes>>) -> Self {
        values.resize(columns.len(), None);
        Self { columns, values }
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The bytes at a place, counted from 0; `None` for null and where there is no column.
    pub fn raw(&self, place: usize) -> Option<&Bytes> {
        self.values.get(place)?.as_ref()
    }

    /// The value at a place, counted from 0; `None` for null.
    pub fn value(&self, place: usize) -> Result<Option<Value>, ReadError> {
        let no_column = || ReadError::NoColumn { name: place.to_string() };
        let column = self.columns.get(place).ok_or_else(no_column)?;
        let Some(bytes) = self.raw(place) else { return Ok(None) };
        let unknown = || ReadError::UnknownType { column: column.name.clone() };
        let kind = column.kind.as_ref().ok_or_else(unknown)?;
        let malformed = |source| ReadError::Malformed { column: column.name.clone(), source };
        Value::decode(kind, bytes).map(Some).map_err(malformed)
    }

    /// The value of the first column of this name; `None` for null.
    pub fn find(&self, name: &str) -> Result<Option<Value>, ReadError> {
        let place = self.columns.iter().position(|column| column.name == name);
        self.value(place.ok_or_else(|| ReadError::NoColumn { name: name.to_owned() })?)
    }
}

impl Answer {
    /// Reads the answer of the driver below.
    pub(crate) fn read(theirs: QueryResult) -> Result<Self, ExecuteError> {
        let coordinator = Coordinator {
            host: theirs.request_coordinator().node().host_id,
            address: theirs.request_coordinator().connection_address(),
        };
        let warnings = theirs.warnings().map(str::to_owned).collect();
        let mut answer =
            Self { columns: Arc::new([]), rows: Vec::new(), is_rows: false, warnings, coordinator };
        match theirs.into_rows_result() {
            Ok(rows) => answer.read_rows(&rows).map_err(ExecuteError::malformed)?,
            Err(IntoRowsResultError::ResultNotRows(_)) => {}
            Err(error) => return Err(ExecuteError::malformed(error)),
        }
        Ok(answer)
    }

    fn read_rows(&mut self, theirs: &QueryRowsResult) -> Result<(), DeserializationError> {
        self.is_rows = true;
        self.columns = theirs
            .column_specs()
            .iter()
            .map(|spec| Column { name: spec.name().to_owned(), kind: kind::known(spec.typ()) })
            .collect();
        let rows = theirs.rows::<ColumnIterator<'_, '_>>().map_err(DeserializationError::new)?;
        for row in rows {
            let values = row?
                .map(|column| Ok(column?.slice.map(|slice| slice.to_bytes())))
                .collect::<Result<_, DeserializationError>>()?;
            self.rows.push(Row { columns: Arc::clone(&self.columns), values });
        }
        Ok(())
    }

    /// Puts the next page behind this one.
    pub(crate) fn append(&mut self, mut page: Self) {
        self.rows.append(&mut page.rows);
        self.warnings.append(&mut page.warnings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let column = |name: &str, kind| Column { name: name.to_owned(), kind };
        let columns = [
            column("k", Some(CqlType::Int)),
            column("d", None),
            column("context()", Some(CqlType::Blob)),
            column("b", Some(CqlType::Boolean)),
        ];
        let bytes = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
        Row::new(columns.into(), vec![bytes(&[0, 0, 0, 7]), bytes(&[1]), None, bytes(&[9])])
    }

    #[test]
    fn values_are_found_by_name_and_place() {
        assert_eq!(row().find("k"), Ok(Some(Value::Int(7))));
        assert_eq!(row().value(0), Ok(Some(Value::Int(7))));
        assert_eq!(row().find("context()"), Ok(None));
    }

    #[test]
    fn unknown_types_keep_their_bytes() {
        assert_eq!(row().find("d"), Err(ReadError::UnknownType { column: "d".to_owned() }));
        assert_eq!(row().raw(1).map(|bytes| &bytes[..]), Some(&[1][..]));
    }

    #[test]
    fn wrong_bytes_and_absent_columns_are_named() {
        let malformed = row().find("b").unwrap_err();
        assert_eq!(malformed.to_string(), "column b: boolean is 0 or 1, not 9");
        assert_eq!(row().value(4), Err(ReadError::NoColumn { name: "4".to_owned() }));
        assert_eq!(Row::new(row().columns, vec![]).find("k"), Ok(None));
    }
}
