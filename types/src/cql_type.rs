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
    /// A collection or tuple that is written and read as one value.
    Frozen(Box<CqlType>),
    // Types are stored by their place in this list: new ones go to its end.
    /// A signed 8-bit integer.
    Tinyint,
    /// A signed 16-bit integer.
    Smallint,
    /// A signed integer of any size.
    Varint,
    /// A number with a point, of any size.
    Decimal,
    /// A day without time or zone.
    Date,
    /// A time of day without date or zone, in nanoseconds.
    Time,
    /// Months, days and nanoseconds.
    Duration,
    /// One value for each of some types, or null; always written and read as one value.
    Tuple(Vec<CqlType>),
}

impl CqlType {
    /// How deep types may be nested: `list<frozen<set<int>>>` is three levels above `int`.
    pub const DEPTH_MAX: usize = 32;
    /// How many fields a tuple may have.
    pub const FIELDS_MAX: usize = 1_024;

    /// The type itself, without an outer `frozen<…>`.
    pub fn thawed(&self) -> &Self {
        match self {
            Self::Frozen(inner) => inner.thawed(),
            other => other,
        }
    }

    /// Whether values of the type can be compared, so that they may be keys, elements of sets and
    /// keys of maps. A `duration` cannot, nor can what holds one.
    pub fn is_ordered(&self) -> bool {
        match self {
            Self::Duration => false,
            Self::List(of) | Self::Set(of) | Self::Frozen(of) => of.is_ordered(),
            Self::Map(key, value) => key.is_ordered() && value.is_ordered(),
            Self::Tuple(of) => of.iter().all(Self::is_ordered),
            _ => true,
        }
    }

    /// Whether the type is a list, set or map that is written element by element.
    pub fn is_unfrozen_collection(&self) -> bool {
        matches!(self, Self::List(_) | Self::Set(_) | Self::Map(..))
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
            Self::Tinyint => f.write_str("tinyint"),
            Self::Smallint => f.write_str("smallint"),
            Self::Varint => f.write_str("varint"),
            Self::Decimal => f.write_str("decimal"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time"),
            Self::Duration => f.write_str("duration"),
            Self::Tuple(of) => {
                for (place, of) in of.iter().enumerate() {
                    write!(f, "{}{of}", if place == 0 { "tuple<" } else { ", " })?;
                }
                f.write_str(">")
            }
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
    /// A tuple of more fields than [`CqlType::FIELDS_MAX`].
    #[error("tuple with more than {} fields", CqlType::FIELDS_MAX)]
    TooManyFields,
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
        if !matches!(name.as_str(), "list" | "set" | "map" | "frozen" | "tuple") {
            return Err(TypeError::Unknown { name });
        }
        self.sign(b'<', "<")?;
        let first = Box::new(self.kind(depth + 1)?);
        let kind = match name.as_str() {
            "tuple" => CqlType::Tuple(self.fields(*first, depth)?),
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

    /// The types of a tuple's fields, whose first one is read.
    fn fields(&mut self, first: CqlType, depth: usize) -> Result<Vec<CqlType>, TypeError> {
        let mut fields = vec![first];
        while self.sign(b',', ",").is_ok() {
            if fields.len() == CqlType::FIELDS_MAX {
                return Err(TypeError::TooManyFields);
            }
            fields.push(self.kind(depth + 1)?);
        }
        Ok(fields)
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
        "tinyint" => CqlType::Tinyint,
        "smallint" => CqlType::Smallint,
        "varint" => CqlType::Varint,
        "decimal" => CqlType::Decimal,
        "date" => CqlType::Date,
        "time" => CqlType::Time,
        "duration" => CqlType::Duration,
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
            ("tuple<int,text >", CqlType::Tuple(vec![CqlType::Int, CqlType::Text])),
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
        let cases: [(&str, Result<CqlType, TypeError>); 10] = [
            ("", malformed("the name of a type", 0)),
            ("Counter", unknown("counter")),
            ("vector<float, 3>", unknown("vector")),
            ("tuple<>", malformed("the name of a type", 6)),
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

    #[test]
    fn fields_are_bounded() {
        let tuple =
            |fields: usize| format!("tuple<{}>", vec!["int"; fields].join(", ")).parse::<CqlType>();
        assert!(tuple(CqlType::FIELDS_MAX).is_ok());
        assert_eq!(tuple(CqlType::FIELDS_MAX + 1), Err(TypeError::TooManyFields));
    }

    #[test]
    fn what_holds_a_duration_has_no_order() {
        for (kind, is_ordered) in [
            ("int", true),
            ("duration", false),
            ("frozen<list<duration>>", false),
            ("map<int, duration>", false),
            ("tuple<int, frozen<set<text>>>", true),
            ("tuple<int, duration>", false),
        ] {
            assert_eq!(kind.parse::<CqlType>().unwrap().is_ordered(), is_ordered, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn shown_types_are_read_back(kind in strategy::kind()) {
            prop_assert_eq!(kind.to_string().parse(), Ok(kind));
        }
    }
}
