//! What statements are made of: selections, attributes, relations, assignments, orders.

use types::{Consistency, Order};

use crate::{At, Literal, Marker, Name, Qualified, Term, TypeName};

/// One item of a list after SELECT or RETURNING.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// What is selected.
    pub selector: Selector,
    /// The name after AS.
    pub alias: Option<Name>,
}

impl From<Selector> for Selection {
    fn from(selector: Selector) -> Self {
        Self { selector, alias: None }
    }
}

/// What is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `*`: all columns. It may stand beside others, as in `*, context()`.
    All,
    /// A column.
    Column(Name),
    /// `count(*)` or `count(1)`.
    CountRows,
    /// `f(a, b)`: also `token`, `writetime`, `ttl`, `context` and `sibling_count`.
    Call {
        /// The function.
        function: Qualified,
        /// What it is given.
        arguments: Vec<Selector>,
    },
    /// `CAST(a AS type)`.
    Cast {
        /// What is cast.
        selector: Box<Selector>,
        /// To what.
        kind: TypeName,
    },
    /// `a.field`.
    Field {
        /// The value with fields.
        of: Box<Selector>,
        /// The field.
        field: Name,
    },
    /// `a[key]`.
    Element {
        /// The collection.
        of: Box<Selector>,
        /// The element's key.
        key: Term,
    },
    /// A literal, marker or collection; never a call by itself, which is a `Call` here.
    Term(Term),
}

impl Selector {
    /// The call of a function without arguments, such as `context()`.
    pub fn call(function: &str) -> Self {
        Self::Call { function: function.into(), arguments: Vec::new() }
    }
}

/// The attributes after USING, in the order of the text; without any there is no USING.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Using {
    /// The attributes, no two alike.
    pub attributes: Vec<Attribute>,
}

/// One attribute after USING.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// `TTL n`: an integer or a marker.
    Ttl(Term),
    /// `TIMESTAMP n`: an integer or a marker.
    Timestamp(Term),
    /// `CONTEXT c`: a blob or a marker.
    Context(Term),
    /// `CONSISTENCY level`.
    Consistency(Consistency, At),
}

impl Using {
    /// Whether there is no attribute.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// The operand of TTL.
    pub fn ttl(&self) -> Option<&Term> {
        self.find(|attribute| match attribute {
            Attribute::Ttl(term) => Some(term),
            _ => None,
        })
    }

    /// The operand of TIMESTAMP.
    pub fn timestamp(&self) -> Option<&Term> {
        self.find(|attribute| match attribute {
            Attribute::Timestamp(term) => Some(term),
            _ => None,
        })
    }

    /// The operand of CONTEXT.
    pub fn context(&self) -> Option<&Term> {
        self.find(|attribute| match attribute {
            Attribute::Context(term) => Some(term),
            _ => None,
        })
    }

    /// The level that CONSISTENCY asks for.
    pub fn consistency(&self) -> Option<Consistency> {
        self.find(|attribute| match attribute {
            Attribute::Consistency(level, _) => Some(*level),
            _ => None,
        })
    }

    fn find<'a, T>(&'a self, of: impl Fn(&'a Attribute) -> Option<T>) -> Option<T> {
        self.attributes.iter().find_map(of)
    }
}

/// One condition of a WHERE or an IF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// What is tested.
    pub subject: Subject,
    /// How.
    pub test: Test,
    /// Where the relation stands.
    pub at: At,
}

/// What a relation tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A column.
    Column(Name),
    /// `(a, b)`.
    Tuple(Vec<Name>),
    /// `token(a, b)`.
    Token(Vec<Name>),
    /// `a[key]`.
    Element {
        /// The collection.
        column: Name,
        /// The element's key.
        key: Term,
    },
    /// `a.field`.
    Field {
        /// The column of a user-defined type.
        column: Name,
        /// The field.
        field: Name,
    },
}

/// How a relation tests its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// `= a`, `< a`…
    Compare(Comparison, Term),
    /// `IN …`.
    In(InList),
    /// `CONTAINS a`.
    Contains(Term),
    /// `CONTAINS KEY a`.
    ContainsKey(Term),
    /// `LIKE a`.
    Like(Term),
    /// `IS NOT NULL`.
    IsNotNull,
}

/// The operators of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
}

/// What follows IN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InList {
    /// `IN ?`: one marker for the whole list.
    Marker(Marker),
    /// `IN (a, b)`, possibly without any.
    Terms(Vec<Term>),
}

/// What UPDATE and DELETE ask for after IF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `IF EXISTS`.
    Exists,
    /// `IF a = 1 AND …`.
    All(Vec<Relation>),
}

/// What an assignment sets and what DELETE removes from a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A column.
    Column(Name),
    /// `a[key]`.
    Element {
        /// The collection.
        column: Name,
        /// The element's key.
        key: Term,
    },
    /// `a.field`.
    Field {
        /// The column of a user-defined type.
        column: Name,
        /// The field.
        field: Name,
    },
}

impl Target {
    /// The column that the target is, or is in.
    pub fn column(&self) -> &Name {
        match self {
            Self::Column(column) | Self::Element { column, .. } | Self::Field { column, .. } => {
                column
            }
        }
    }
}

/// One assignment of UPDATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// What is set; anything but a column takes no change but [`Change::Set`].
    pub target: Target,
    /// To what.
    pub change: Change,
}

/// What an assignment does to its target `c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `c = a`.
    Set(Term),
    /// `c = c + a` or `c += a`.
    Add(Term),
    /// `c = c - a` or `c -= a`.
    Subtract(Term),
    /// `c = a + c`.
    Prepend(Term),
}

/// One item after ORDER BY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderBy {
    /// `c ASC`, `c DESC`.
    Column {
        /// The column.
        column: Name,
        /// Which way.
        order: Order,
    },
    /// `c ANN OF v`.
    Nearest {
        /// The column of vectors.
        column: Name,
        /// The vector to be near to.
        to: Term,
    },
}

/// The value of an option after WITH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyValue {
    /// A constant.
    Literal(Literal),
    /// A bare word.
    Word(Name),
    /// `{a: 1, …}`.
    Map(Vec<(Literal, Literal)>),
}
