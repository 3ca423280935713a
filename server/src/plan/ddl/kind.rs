//! The types that columns may have.
//!
//! Inside a collection other collections must be frozen, and inside `frozen<…>` they are, whether it
//! is written or not. A tuple always is. Callers: `table`. Pure.

use sql::TypeName;
use types::CqlType;

use super::DefinitionError;
use crate::plan::PlanError;

/// Types of Cassandra's that no value can have here yet.
const TYPES_TO_COME: &[&str] = &["counter", "empty", "vector"];

/// The type of a column, with all the `frozen` that it has without saying so.
pub(super) fn column_type(kind: &TypeName) -> Result<CqlType, PlanError> {
    let resolved = match kind {
        TypeName::Known(kind) => resolved(kind, false)?,
        TypeName::Other { text, .. } => {
            let mut words = text.split(|it: char| !it.is_ascii_alphanumeric());
            if words.any(|word| TYPES_TO_COME.contains(&word.to_ascii_lowercase().as_str())) {
                return Err(PlanError::unsupported(format!("type {text}")));
            }
            return Err(DefinitionError::UnknownType { kind: text.clone() }.into());
        }
    };
    // What was added may have made it too deep.
    match resolved.to_string().parse::<CqlType>() {
        Ok(_) => Ok(resolved),
        Err(_) => Err(DefinitionError::UnknownType { kind: resolved.to_string() }.into()),
    }
}

/// Checks that a column of the type can be a part of the key.
pub(super) fn check_key(column: &str, kind: &CqlType) -> Result<(), DefinitionError> {
    if kind.is_unfrozen_collection() || !kind.is_ordered() {
        return Err(DefinitionError::KeyType { column: column.to_owned(), kind: kind.clone() });
    }
    Ok(())
}

fn resolved(kind: &CqlType, is_frozen: bool) -> Result<CqlType, DefinitionError> {
    let element = |of: &CqlType| {
        if of.is_unfrozen_collection() && !is_frozen {
            return Err(DefinitionError::Unfrozen { kind: kind.clone() });
        }
        resolved(of, is_frozen).map(Box::new)
    };
    let key = |of: &CqlType| {
        if of.is_ordered() {
            element(of)
        } else {
            Err(DefinitionError::UnorderedElement { kind: kind.clone() })
        }
    };
    let resolved = match kind {
        CqlType::List(of) => CqlType::List(element(of)?),
        CqlType::Set(of) => CqlType::Set(key(of)?),
        CqlType::Map(of_keys, of) => CqlType::Map(key(of_keys)?, element(of)?),
        CqlType::Tuple(of) => {
            let fields = of.iter().map(|of| resolved(of, true)).collect::<Result<_, _>>()?;
            return Ok(CqlType::Frozen(Box::new(CqlType::Tuple(fields))));
        }
        CqlType::Frozen(inner) => {
            return match resolved(inner, true)? {
                frozen @ CqlType::Frozen(_) => Ok(frozen),
                kind => Err(DefinitionError::NotFreezable { kind }),
            };
        }
        scalar => return Ok(scalar.clone()),
    };
    Ok(if is_frozen { CqlType::Frozen(Box::new(resolved)) } else { resolved })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<String, String> {
        let kind = match text.parse() {
            Ok(kind) => TypeName::Known(kind),
            Err(_) => TypeName::Other { text: text.to_owned(), at: sql::At::default() },
        };
        column_type(&kind).map(|kind| kind.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_frozen_is_said() {
        for (written, meant) in [
            ("decimal", "decimal"),
            ("list<int>", "list<int>"),
            ("map<int, duration>", "map<int, duration>"),
            ("list<frozen<set<int>>>", "list<frozen<set<int>>>"),
            ("frozen<list<set<int>>>", "frozen<list<frozen<set<int>>>>"),
            ("frozen<frozen<list<int>>>", "frozen<list<int>>"),
            ("tuple<int, list<int>>", "frozen<tuple<int, frozen<list<int>>>>"),
            ("frozen<tuple<int>>", "frozen<tuple<int>>"),
            ("set<tuple<int, tuple<int>>>", "set<frozen<tuple<int, frozen<tuple<int>>>>>"),
        ] {
            assert_eq!(of(written).as_deref(), Ok(meant), "{written}");
        }
    }

    #[test]
    fn what_no_column_can_hold_is_refused_by_name() {
        let deep = format!("{}int{}", "tuple<".repeat(30), ">".repeat(30));
        for (written, refusal) in [
            ("counter", "type counter is not supported yet"),
            ("list<counter>", "type list<counter> is not supported yet"),
            ("vector<float, 3>", "type vector<float, 3> is not supported yet"),
            ("address", "Unknown type address"),
            ("frozen<address>", "Unknown type frozen<address>"),
            (
                "set<duration>",
                "Durations are not allowed inside sets or as keys of maps: set<duration>",
            ),
            (
                "map<frozen<list<duration>>, int>",
                "Durations are not allowed inside sets or as keys of maps: \
                 map<frozen<list<duration>>, int>",
            ),
            (
                "list<set<int>>",
                "Non-frozen collections are not allowed inside collections: list<set<int>>",
            ),
            ("frozen<int>", "frozen<> is only allowed on collections and tuples (got int)"),
        ] {
            assert_eq!(of(written), Err(refusal.to_owned()), "{written}");
        }
        assert!(of(&deep).unwrap_err().starts_with("Unknown type frozen<tuple<"), "{deep}");
    }

    #[test]
    fn keys_are_frozen_and_have_an_order() {
        for (kind, is_key) in [
            ("decimal", true),
            ("frozen<list<int>>", true),
            ("frozen<tuple<int, text>>", true),
            ("set<text>", false),
            ("duration", false),
            ("frozen<list<duration>>", false),
        ] {
            assert_eq!(check_key("k", &kind.parse().unwrap()).is_ok(), is_key, "{kind}");
        }
    }
}
