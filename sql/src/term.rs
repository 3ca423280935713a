//! Names, literals, terms and types: the leaves of the tree.

use bytes::Bytes;
use types::CqlType;
use uuid::Uuid;

use crate::At;

/// A name as it is meant: without its quotes, in lower case if it had none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub at: At,
}

impl Name {
    /// A name that stands nowhere.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), at: At::default() }
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// The name of a table or function, with or without its keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qualified {
    /// The keyspace, if it is named.
    pub keyspace: Option<Name>,
    /// The table or function.
    pub name: Name,
}

impl From<&str> for Qualified {
    fn from(name: &str) -> Self {
        Self { keyspace: None, name: name.into() }
    }
}

/// A constant as it is written: only a type makes a value of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// Digits, with or without a minus.
    Integer(String),
    /// Digits with a point or an exponent, `NaN` or `Infinity`, with or without a minus.
    Float(String),
    /// `'…'` or `$$…$$`.
    Text(String),
    /// `0x…`.
    Blob(Bytes),
    /// A UUID without quotes.
    Uuid(Uuid),
    /// Amounts with units, or ISO 8601 behind a P, with or without a minus.
    Duration(String),
}

/// A place for a value that comes with the request: `?` or `:name`.
///
/// Two markers are equal when they are written alike: their index follows from where they stand.
#[derive(Debug, Clone)]
pub struct Marker {
    /// The name, of `:name`.
    pub name: Option<Name>,
    /// Which of the statement's markers it is, counted from 0 in the order of the text. A tree that
    /// was changed by hand is numbered anew by parsing its text.
    pub index: u16,
}

impl PartialEq for Marker {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Marker {}

/// What gives a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// What it is.
    pub kind: TermKind,
    /// Where it stands.
    pub at: At,
}

/// What a [`Term`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TermKind {
    /// A constant.
    Literal(Literal),
    /// A bind marker.
    Marker(Marker),
    /// `[a, b]`.
    List(Vec<Term>),
    /// `{a, b}`. `{}` is read as a set, and may be an empty map as well.
    Set(Vec<Term>),
    /// `{a: 1, b: 2}` with terms for keys; not empty.
    Map(Vec<(Term, Term)>),
    /// `{a: 1, b: 2}` with names for keys: a value of a user-defined type; not empty.
    Fields(Vec<(Name, Term)>),
    /// `(a, b)`; not empty.
    Tuple(Vec<Term>),
    /// `f(a, b)`.
    Call {
        /// The function.
        function: Qualified,
        /// What it is given.
        arguments: Vec<Term>,
    },
    /// `(type) a`.
    Hinted {
        /// The type that the term is said to be of.
        kind: TypeName,
        /// The term.
        term: Box<Term>,
    },
}

impl From<TermKind> for Term {
    fn from(kind: TermKind) -> Self {
        Self { kind, at: At::default() }
    }
}

impl From<Literal> for Term {
    fn from(literal: Literal) -> Self {
        TermKind::Literal(literal).into()
    }
}

impl Term {
    /// The bind marker, if the term is one.
    pub fn marker(&self) -> Option<&Marker> {
        match &self.kind {
            TermKind::Marker(marker) => Some(marker),
            _ => None,
        }
    }
}

/// A type as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeName {
    /// A type that values can have here.
    Known(CqlType),
    /// Any other: `counter`, `vector<float, 3>`, a user-defined type, a class in quotes.
    Other {
        /// The type as CQL writes it.
        text: String,
        /// Where it stands.
        at: At,
    },
}
