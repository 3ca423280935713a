//! The options after WITH: their names, and the kinds of their values.
//!
//! Callers: `keyspace` and `table`. Pure.

use sql::{Literal, Property, PropertyValue};

use super::DefinitionError;
use crate::metadata::{Conflict, SpeculativeRetry};
use crate::plan::PlanError;

/// An option that is a map of texts, as `replication` is.
pub(super) fn map(property: &Property) -> Result<Vec<(String, String)>, DefinitionError> {
    let wrong = || wrong(property, "a map");
    let PropertyValue::Map(pairs) = &property.value else { return Err(wrong()) };
    let pair = |(key, value): &(Literal, Literal)| Some((plain(key)?, plain(value)?));
    pairs.iter().map(|both| pair(both).ok_or_else(wrong)).collect()
}

/// An option that is a text.
pub(super) fn text(property: &Property) -> Result<String, DefinitionError> {
    match &property.value {
        PropertyValue::Literal(Literal::Text(text)) => Ok(text.clone()),
        _ => Err(wrong(property, "a string")),
    }
}

/// An option that is true or false.
pub(super) fn boolean(property: &Property) -> Result<bool, DefinitionError> {
    let word = match &property.value {
        PropertyValue::Literal(literal) => plain(literal).unwrap_or_default(),
        PropertyValue::Word(name) => name.text.clone(),
        PropertyValue::Map(_) => String::new(),
    };
    match word.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(property, "true or false")),
    }
}

/// An option that is a whole number.
pub(super) fn integer(property: &Property) -> Result<i64, DefinitionError> {
    let number = match &property.value {
        PropertyValue::Literal(literal) => plain(literal).and_then(|text| text.parse().ok()),
        _ => None,
    };
    number.ok_or_else(|| wrong(property, "an integer"))
}

/// An option that is a number.
pub(super) fn number(property: &Property) -> Result<f64, DefinitionError> {
    let number = match &property.value {
        PropertyValue::Literal(literal) => plain(literal).and_then(|text| text.parse().ok()),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite()).ok_or_else(|| wrong(property, "a number"))
}

/// The conflict mode of a table, or of a keyspace's tables.
pub(super) fn conflict(property: &Property) -> Result<Conflict, PlanError> {
    let given = text(property)?;
    match given.to_ascii_lowercase().as_str() {
        "siblings" => Ok(Conflict::Siblings),
        "lww" => Ok(Conflict::Lww),
        _ => Err(DefinitionError::Conflict { given }.into()),
    }
}

/// When reads ask one replica more.
pub(super) fn speculative_retry(property: &Property) -> Result<SpeculativeRetry, PlanError> {
    let given = text(property)?;
    given.parse().map_err(|_| DefinitionError::SpeculativeRetry { given }.into())
}

/// An option that nothing has.
pub(super) fn unknown(property: &Property) -> DefinitionError {
    DefinitionError::UnknownProperty { property: property.name.text.clone() }
}

fn wrong(property: &Property, expected: &'static str) -> DefinitionError {
    DefinitionError::PropertyValue { property: property.name.text.clone(), expected }
}

/// A constant without its quotes; none for null and blobs.
fn plain(literal: &Literal) -> Option<String> {
    match literal {
        Literal::Boolean(claim) => Some(claim.to_string()),
        Literal::Integer(text)
        | Literal::Float(text)
        | Literal::Text(text)
        | Literal::Duration(text) => Some(text.clone()),
        Literal::Uuid(id) => Some(id.to_string()),
        Literal::Null | Literal::Blob(_) => None,
    }
}
