//! The types of CQL columns.

use std::fmt;
use std::str::FromStr;

/// The type of a column or of an element, as CQL writes it.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize,
)]
pub enum CqlType {
    /// US-ASCII text.
    Ascii,
    /// A signed 64-bit integer.
    Bigint,
    /// Any bytes.
    Blob,
    /// True or false.
    Boolean,
    /// A 64-bit IEEE 754 number.
    Double,
    /// A 32-bit IEEE 754 number.
    Float,
    /// A signed 32-bit integer.
    Int,
    /// An IPv4 or IPv6 address.
    Inet,
    /// Milliseconds since 1970-01-01T00:00:00Z, signed.
    Timestamp,
    /// A UUID of version 1.
    Timeuuid,
    /// UTF-8 text; `varchar` is the same type.
    Text,
    /// A UUID of any version.
    Uuid,
    /// Values in the order in which they were put.
    List(Box<CqlType>),
    /// Different values in the order of their type.
    Set(Box<CqlType>),
    /// Values under different keys, in the order of the keys' type.
    Map(Box<CqlType>, Box<CqlType>),
    /// A collection that is written and read as one value.
    Frozen(Box<CqlType>),
}

impl CqlType {
    /// How deep types may be nested: `list<frozen<set<int>>>` is three levels above `int`.
    pub const DEPTH_MAX: usize = 32;

    /// The type itself, without an outer `frozen<…>`.
    pub fn thawed(&self) -> &Self {
        match self {
            Self::Frozen(inner) => inner.thawed(),
            other => other,
        }
    }
}

impl fmt::Display for CqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ascii => f.write_str("ascii"),
            Self::Bigint => f.write_str("bigint"),
            Self::Blob => f.write_str("blob"),
            Self::Boolean => f.write_str("boolean"),
            Self::Double => f.write_str("double"),
            Self::Float => f.write_str("float"),
            Self::Int => f.write_str("int"),
            Self::Inet => f.write_str("inet"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Timeuuid => f.write_str("timeuuid"),
            Self::Text => f.write_str("text"),
            Self::Uuid => f.write_str("uuid"),
            Self::List(of) => write!(f, "list<{of}>"),
            Self::Set(of) => write!(f, "set<{of}>"),
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Self::Frozen(inner) => write!(f, "frozen<{inner}>"),
        }
    }
}

/// Why a text names no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// A name that is not, or not yet, a type here.
    #[error("unknown type {name}")]
    Unknown {
        /// The name in lower case.
        name: String,
    },
    /// The text is not built as a type is.
    #[error("malformed type: expected {expected} at byte {at}")]
    Malformed {
        /// What should stand there.
        expected: &'static str,
        /// Where, counted from 0.
        at: usize,
    },
    /// More levels than [`CqlType::DEPTH_MAX`].
    #[error("type nested deeper than {} levels", CqlType::DEPTH_MAX)]
    TooDeep,
}

impl FromStr for CqlType {
    type Err = TypeError;

    /// Reads a type as CQL and `system_schema.columns` write it, in any case; `varchar` is `text`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut reader = Reader { text, at: 0 };
        let kind = reader.kind(0)?;
        reader.skip_space();
        if reader.at < text.len() { Err(reader.expected("the end")) } else { Ok(kind) }
    }
}

/// A place in the text of a type.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn kind(&mut self, depth: usize) -> Result<CqlType, TypeError> {
        if depth > CqlType::DEPTH_MAX {
            return Err(TypeError::TooDeep);
        }
        let name = self.word()?.to_ascii_lowercase();
        if let Some(simple) = simple(&name) {
            return Ok(simple);
        }
        if !matches!(name.as_str(), "list" | "set" | "map" | "frozen") {
            return Err(TypeError::Unknown { name });
        }
        self.sign(b'<', "<")?;
        let first = Box::new(self.kind(depth + 1)?);
        let kind = match name.as_str() {
            "list" => CqlType::List(first),
            "set" => CqlType::Set(first),
            "frozen" => CqlType::Frozen(first),
            _ => {
                self.sign(b',', ",")?;
                CqlType::Map(first, Box::new(self.kind(depth + 1)?))
            }
        };
        self.sign(b'>', ">")?;
        Ok(kind)
    }

    fn word(&mut self) -> Result<&str, TypeError> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        if len == 0 {
            return Err(self.expected("the name of a type"));
        }
        self.at += len;
        Ok(&rest[..len])
    }

    fn sign(&mut self, sign: u8, name: &'static str) -> Result<(), TypeError> {
        self.skip_space();
        if self.text.as_bytes().get(self.at) != Some(&sign) {
            return Err(self.expected(name));
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
    }

    fn expected(&self, expected: &'static str) -> TypeError {
        TypeError::Malformed { expected, at: self.at }
    }
}

/// The type without parameters that has this name.
fn simple(name: &str) -> Option<CqlType> {
    Some(match name {
        "ascii" => CqlType::Ascii,
        "bigint" => CqlType::Bigint,
        "blob" => CqlType::Blob,
        "boolean" => CqlType::Boolean,
        "double" => CqlType::Double,
        "float" => CqlType::Float,
        "int" => CqlType::Int,
        "inet" => CqlType::Inet,
        "timestamp" => CqlType::Timestamp,
        "timeuuid" => CqlType::Timeuuid,
        "text" | "varchar" => CqlType::Text,
        "uuid" => CqlType::Uuid,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::strategy;
    use proptest::prelude::*;

    #[test]
    fn texts_of_drivers_and_people_are_read() {
        let text = || Box::new(CqlType::Text);
        for (written, kind) in [
            ("int", CqlType::Int),
            ("VarChar", CqlType::Text),
            ("set<text>", CqlType::Set(text())),
            ("frozen<map<text, text>>", CqlType::Frozen(Box::new(CqlType::Map(text(), text())))),
            (
                " list < frozen<list<int>> > ",
                CqlType::List(Box::new(CqlType::Frozen(Box::new(CqlType::List(Box::new(
                    CqlType::Int,
                )))))),
            ),
        ] {
            assert_eq!(written.parse(), Ok(kind), "{written}");
        }
    }

    #[test]
    fn refusals_say_what_and_where() {
        let malformed = |expected, at| Err(TypeError::Malformed { expected, at });
        let unknown = |name: &str| Err(TypeError::Unknown { name: name.to_owned() });
        let cases: [(&str, Result<CqlType, TypeError>); 9] = [
            ("", malformed("the name of a type", 0)),
            ("Decimal", unknown("decimal")),
            ("tuple<int, text>", unknown("tuple")),
            ("list", malformed("<", 4)),
            ("list<int", malformed(">", 8)),
            ("map<int>", malformed(",", 7)),
            ("int int", malformed("the end", 4)),
            ("int<text>", malformed("the end", 3)),
            ("'a.b.C'", malformed("the name of a type", 0)),
        ];
        for (written, refusal) in cases {
            assert_eq!(written.parse(), refusal, "{written}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| {
            format!("{}int{}", "list<".repeat(levels), ">".repeat(levels)).parse::<CqlType>()
        };
        assert!(nested(CqlType::DEPTH_MAX).is_ok());
        assert_eq!(nested(CqlType::DEPTH_MAX + 1), Err(TypeError::TooDeep));
        assert_eq!("list<".repeat(1_000_000).parse::<CqlType>(), Err(TypeError::TooDeep));
    }

    proptest! {
        #[test]
        fn shown_types_are_read_back(kind in strategy::kind()) {
            prop_assert_eq!(kind.to_string().parse(), Ok(kind));
        }
    }
}
