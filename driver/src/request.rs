//! What is asked of a session: a text or a prepared statement with its values, and how.

use std::num::NonZeroU16;

use bytes::Bytes;
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::statement::Consistency as Theirs;
use scylla::statement::prepared::PreparedStatement;
use types::{Consistency, Value};

use crate::{BindError, Column, kind};

/// A statement to be carried out once; see [`Session::execute`](crate::Session::execute).
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) what: What,
    pub(crate) level: Option<Consistency>,
    pub(crate) page_rows: NonZeroU16,
    pub(crate) is_idempotent: bool,
}

/// What is carried out.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A text without bind markers.
    Text(String),
    /// A prepared statement with a value for each of its markers.
    Prepared(Box<PreparedStatement>, Values),
}

/// How many rows a page has unless the request says otherwise.
const PAGE_ROWS: NonZeroU16 = NonZeroU16::new(1_000).expect("it is not 0");

impl Request {
    fn new(what: What) -> Self {
        Self { what, level: None, page_rows: PAGE_ROWS, is_idempotent: false }
    }

    /// The request at a level of its own instead of the session's.
    #[must_use]
    pub fn at(self, level: Consistency) -> Self {
        Self { level: Some(level), ..self }
    }

    /// The request with pages of this many rows.
    #[must_use]
    pub fn page_rows(self, rows: NonZeroU16) -> Self {
        Self { page_rows: rows, ..self }
    }

    /// The request as one that may be sent again after a failure: a SELECT. A write is none, for
    /// without a context that covers it a write sent twice leaves two siblings.
    #[must_use]
    pub fn idempotent(self) -> Self {
        Self { is_idempotent: true, ..self }
    }
}

impl From<&str> for Request {
    fn from(text: &str) -> Self {
        Self::new(What::Text(text.to_owned()))
    }
}

impl From<String> for Request {
    fn from(text: String) -> Self {
        Self::new(What::Text(text))
    }
}

/// A statement that the nodes know already; see [`Session::prepare`](crate::Session::prepare).
#[derive(Debug, Clone)]
pub struct Prepared {
    statement: PreparedStatement,
    markers: Vec<Column>,
}

impl Prepared {
    pub(crate) fn new(statement: PreparedStatement) -> Self {
        let specs = statement.get_variable_col_specs();
        let markers = specs
            .iter()
            .map(|spec| Column { name: spec.name().to_owned(), kind: kind::known(spec.typ()) })
            .collect();
        Self { statement, markers }
    }

    /// The bind markers in the order of the text.
    pub fn markers(&self) -> &[Column] {
        &self.markers
    }

    /// The statement with a value for each marker; `None` binds null.
    pub fn bind(&self, values: &[Option<Value>]) -> Result<Request, BindError> {
        let encode = |(marker, value): (&Column, &Option<Value>)| {
            let Some(value) = value else { return Ok(None) };
            let unknown = || BindError::UnknownType { marker: marker.name.clone() };
            let kind = marker.kind.as_ref().ok_or_else(unknown)?;
            let wrong = |source| BindError::Value { marker: marker.name.clone(), source };
            value.encode(kind).map(|bytes| Some(bytes.into())).map_err(wrong)
        };
        self.check(values.len())?;
        let values = self.markers.iter().zip(values).map(encode).collect::<Result<_, _>>()?;
        self.bind_raw(values)
    }

    /// The statement with the bytes of a value for each marker; `None` binds null.
    pub fn bind_raw(&self, values: Vec<Option<Bytes>>) -> Result<Request, BindError> {
        self.check(values.len())?;
        Ok(Request::new(What::Prepared(Box::new(self.statement.clone()), Values(values))))
    }

    fn check(&self, given: usize) -> Result<(), BindError> {
        let wanted = self.markers.len();
        if given == wanted { Ok(()) } else { Err(BindError::Count { wanted, given }) }
    }
}

/// Values that are bytes already, one for each marker.
#[derive(Debug, Clone)]
pub(crate) struct Values(Vec<Option<Bytes>>);

impl SerializeRow for Values {
    fn serialize(
        &self,
        _: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        for value in &self.0 {
            let cell = writer.make_cell_writer();
            match value {
                None => cell.set_null(),
                Some(bytes) => cell.set_value(bytes).map_err(SerializationError::new)?,
            };
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The level in the words of `scylla`.
pub(crate) fn theirs(level: Consistency) -> Theirs {
    match level {
        Consistency::Any => Theirs::Any,
        Consistency::One => Theirs::One,
        Consistency::Two => Theirs::Two,
        Consistency::Three => Theirs::Three,
        Consistency::Quorum => Theirs::Quorum,
        Consistency::All => Theirs::All,
        Consistency::LocalQuorum => Theirs::LocalQuorum,
        Consistency::EachQuorum => Theirs::EachQuorum,
        Consistency::Serial => Theirs::Serial,
        Consistency::LocalSerial => Theirs::LocalSerial,
        Consistency::LocalOne => Theirs::LocalOne,
    }
}

/// The level in our words.
pub(crate) fn ours(level: Theirs) -> Consistency {
    Consistency::from_code(level as u16).expect("both name the levels of the protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_the_same_in_both_tongues() {
        for level in Consistency::every() {
            assert_eq!(ours(theirs(level)), level);
            assert_eq!(theirs(level) as u16, level.code());
        }
    }

    #[test]
    fn values_are_written_as_they_are() {
        let values = Values(vec![Some(Bytes::from_static(&[7, 8])), None, Some(Bytes::new())]);
        let mut written = Vec::new();
        let mut writer = RowWriter::new(&mut written);
        values.serialize(&RowSerializationContext::empty(), &mut writer).unwrap();
        assert_eq!(writer.value_count(), 3);
        assert_eq!(written, [0, 0, 0, 2, 7, 8, 255, 255, 255, 255, 0, 0, 0, 0]);
        assert!(!values.is_empty() && Values(Vec::new()).is_empty());
    }
}
