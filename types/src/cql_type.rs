//! The types of CQL columns.

use std::fmt;

/// The type of a column or of an element, as CQL writes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
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
