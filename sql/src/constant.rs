//! What constants are worth for a type.
//!
//! The rule is Cassandra's: a kind of literal fits some types whatever its digits are; then the type
//! reads the text. Callers: the binder, the shell when it looks for the key of a statement's row.

use types::{CqlType, LiteralError, Value};

use crate::{Literal, Term, TermKind, TypeName};

/// Why a term is no constant of a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstantError {
    /// A constant of another kind than the type takes.
    #[error("{given} is no {kind}")]
    WrongKind {
        /// The type wanted.
        kind: CqlType,
        /// What stands there: `an integer`, `a list`…
        given: &'static str,
    },
    /// A constant of the right kind that the type cannot read.
    #[error(transparent)]
    Literal(#[from] LiteralError),
    /// Null inside a collection.
    #[error("null inside {kind}")]
    NullElement {
        /// The type of the collection.
        kind: CqlType,
    },
    /// A tuple of more values than its type has fields.
    #[error("{kind} takes {takes} values, not {given}")]
    TupleLength {
        /// The type.
        kind: CqlType,
        /// How many fields it has.
        takes: usize,
        /// How many values there are.
        given: usize,
    },
    /// A bind marker or a function call, whose value is not in the text.
    #[error("{given} is no constant")]
    NotConstant {
        /// What stands there.
        given: &'static str,
    },
}

impl Literal {
    /// The value of the literal as one of `kind`; `None` for null.
    pub fn value(&self, kind: &CqlType) -> Result<Option<Value>, ConstantError> {
        let text = match (self, kind.thawed()) {
            (Self::Null, _) => return Ok(None),
            (Self::Boolean(claim), CqlType::Boolean) => return Ok(Some(Value::Boolean(*claim))),
            (Self::Blob(bytes), CqlType::Blob) => return Ok(Some(Value::Blob(bytes.clone()))),
            (
                Self::Text(text),
                CqlType::Ascii
                | CqlType::Text
                | CqlType::Inet
                | CqlType::Timestamp
                | CqlType::Date
                | CqlType::Time,
            )
            | (
                Self::Integer(text),
                CqlType::Int
                | CqlType::Bigint
                | CqlType::Float
                | CqlType::Double
                | CqlType::Timestamp
                | CqlType::Tinyint
                | CqlType::Smallint
                | CqlType::Varint
                | CqlType::Decimal
                | CqlType::Date
                | CqlType::Time,
            )
            | (Self::Float(text), CqlType::Float | CqlType::Double | CqlType::Decimal)
            | (Self::Duration(text), CqlType::Duration) => text,
            (Self::Uuid(id), CqlType::Uuid | CqlType::Timeuuid) => &id.to_string(),
            (other, kind) => {
                return Err(ConstantError::WrongKind { kind: kind.clone(), given: other.form() });
            }
        };
        Ok(Some(Value::parse(kind, text)?))
    }

    fn form(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a decimal number",
            Self::Text(_) => "a text",
            Self::Blob(_) => "a blob",
            Self::Uuid(_) => "a uuid",
            Self::Duration(_) => "a duration",
        }
    }
}

impl Term {
    /// The value of a term without markers and calls as one of `kind`; `None` for null.
    pub fn constant(&self, kind: &CqlType) -> Result<Option<Value>, ConstantError> {
        let each = |of: &CqlType, terms: &[Self]| {
            terms.iter().map(|term| term.element(kind, of)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Some(match (&self.kind, kind.thawed()) {
            (TermKind::Literal(literal), _) => return literal.value(kind),
            (TermKind::Marker(_), _) => {
                return Err(ConstantError::NotConstant { given: "a bind marker" });
            }
            (TermKind::Call { .. }, _) => {
                return Err(ConstantError::NotConstant { given: "a function call" });
            }
            (TermKind::Hinted { kind: TypeName::Known(hint), term }, wanted)
                if hint.thawed() == wanted =>
            {
                return term.constant(kind);
            }
            (TermKind::List(terms), CqlType::List(of)) => Value::List(each(of, terms)?),
            (TermKind::Set(terms), CqlType::Set(of)) => Value::Set(each(of, terms)?),
            (TermKind::Set(terms), CqlType::Map(..)) if terms.is_empty() => Value::Map(Vec::new()),
            (TermKind::Map(pairs), CqlType::Map(key, of)) => Value::Map(
                pairs
                    .iter()
                    .map(|pair| Ok((pair.0.element(kind, key)?, pair.1.element(kind, of)?)))
                    .collect::<Result<_, ConstantError>>()?,
            ),
            (TermKind::Tuple(terms), CqlType::Tuple(of)) => {
                if terms.len() > of.len() {
                    let (kind, given) = (kind.thawed().clone(), terms.len());
                    return Err(ConstantError::TupleLength { kind, takes: of.len(), given });
                }
                let fields = terms.iter().zip(of).map(|(term, of)| term.constant(of));
                Value::Tuple(fields.collect::<Result<_, _>>()?)
            }
            (other, kind) => {
                let given = other.form();
                return Err(ConstantError::WrongKind { kind: kind.clone(), given });
            }
        }))
    }

    /// The value of the term as an element of type `of` of a collection of type `kind`.
    fn element(&self, kind: &CqlType, of: &CqlType) -> Result<Value, ConstantError> {
        self.constant(of)?.ok_or_else(|| ConstantError::NullElement { kind: kind.clone() })
    }
}

impl TermKind {
    fn form(&self) -> &'static str {
        match self {
            Self::Literal(literal) => literal.form(),
            Self::Marker(_) => "a bind marker",
            Self::List(_) => "a list",
            Self::Set(_) => "a set",
            Self::Map(_) => "a map",
            Self::Fields(_) => "a value of a user-defined type",
            Self::Tuple(_) => "a tuple",
            Self::Call { .. } => "a function call",
            Self::Hinted { .. } => "a value of another type",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Statement, parse};

    /// The first value of an INSERT.
    fn term(text: &str) -> Term {
        let insert = format!("INSERT INTO t (c) VALUES ({text})");
        let Ok(Statement::Insert(insert)) = parse(&insert) else { panic!("{text}") };
        insert.values[0].clone()
    }

    #[test]
    fn constants_are_what_the_type_makes_of_them() {
        for (kind, text, shown) in [
            ("int", "-1", "-1"),
            ("double", "1", "1.0"),
            ("float", "-Infinity", "-Infinity"),
            ("timestamp", "'1970-01-02'", "'1970-01-02 00:00:00.000+0000'"),
            ("timestamp", "86400000", "'1970-01-02 00:00:00.000+0000'"),
            ("inet", "'::1'", "'::1'"),
            ("blob", "0XAB", "0xab"),
            ("boolean", "TRUE", "true"),
            ("text", "$$it's$$", "'it''s'"),
            ("frozen<list<int>>", "[1, 2]", "[1, 2]"),
            ("set<text>", "{'b', 'a'}", "{'b', 'a'}"),
            ("map<text, int>", "{}", "{}"),
            ("map<text, list<int>>", "{'a': [1]}", "{'a': [1]}"),
            ("int", "(int) 7", "7"),
            ("tinyint", "-128", "-128"),
            ("varint", "123456789012345678901234567890", "123456789012345678901234567890"),
            ("decimal", "1.50", "1.50"),
            ("decimal", "-1e-7", "-1E-7"),
            ("decimal", "7", "7"),
            ("date", "'2024-02-29'", "'2024-02-29'"),
            ("date", "2147483648", "'1970-01-01'"),
            ("time", "'08:12:54'", "'08:12:54.000000000'"),
            ("duration", "89h4m48s", "89h4m48s"),
            ("duration", "-1y2mo", "-1y2mo"),
            ("duration", "9µs", "9us"),
            ("duration", "-2147483648d", "-2147483648d"),
            ("duration", "-P1Y2M3DT4H5M6S", "-1y2mo3d4h5m6s"),
            ("duration", "P0001-02-03T04:05:06", "1y2mo3d4h5m6s"),
            ("tuple<int, text>", "(1, null)", "(1, null)"),
            ("tuple<int, frozen<tuple<text>>>", "(1, ('a'))", "(1, ('a'))"),
            ("list<duration>", "[1d, 2d]", "[1d, 2d]"),
        ] {
            let value = term(text).constant(&kind.parse().unwrap()).unwrap().unwrap();
            assert_eq!(value.to_string(), shown, "{kind}");
        }
        assert_eq!(term("null").constant(&CqlType::Int), Ok(None));
    }

    #[test]
    fn refusals_say_what_stands_there() {
        for (kind, text, refusal) in [
            ("int", "'1'", "a text is no int"),
            ("int", "1.0", "a decimal number is no int"),
            ("int", "3000000000", "3000000000 is out of the range of int"),
            ("text", "1", "an integer is no text"),
            ("blob", "'ab'", "a text is no blob"),
            ("uuid", "'550e8400-e29b-41d4-a716-446655440000'", "a text is no uuid"),
            (
                "timeuuid",
                "550e8400-e29b-41d4-a716-446655440000",
                "'550e8400-e29b-41d4-a716-446655440000' is no timeuuid",
            ),
            ("list<int>", "{1}", "a set is no list<int>"),
            ("duration", "'1d'", "a text is no duration"),
            ("int", "1d", "a duration is no int"),
            ("decimal", "NaN", "'NaN' is no decimal"),
            ("tuple<int>", "(1, 2)", "tuple<int> takes 1 values, not 2"),
            ("tuple<int>", "1", "an integer is no tuple<int>"),
            ("set<int>", "{1, null}", "null inside set<int>"),
            ("set<int>", "{?}", "a bind marker is no constant"),
            ("timeuuid", "now()", "a function call is no constant"),
            ("int", "(text) 'a'", "a value of another type is no int"),
        ] {
            let error = term(text).constant(&kind.parse().unwrap()).unwrap_err();
            assert_eq!(error.to_string(), refusal);
        }
    }
}
