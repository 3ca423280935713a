//! What a statement means: text to syntax tree and back.
//!
//! [`parse`] turns one statement of CQL, with our own clauses `USING CONTEXT`, `USING CONSISTENCY` and
//! `RETURNING`, into a [`Statement`]; `Display` turns the tree into text again. [`split`] cuts a
//! script into statements. Statements that Cassandra has and Starling has not are recognised by their
//! first words ([`Statement::Unsupported`]), so that a server can refuse them by name.
//!
//! ```text
//! text -> scan (strings, comments, uuids) -> lex (sqlparser's tokenizer) -> parser -> Statement
//! ```
//!
//! Nothing here knows a schema: whether a name or a type exists is for the binder to say. Callers:
//! the server's sessions and the shell. Pure: no I/O, no clock; any text is parsed or refused, in
//! bounded memory and stack.

mod clause;
mod constant;
mod error;
mod lex;
mod markers;
mod parser;
mod position;
mod print;
mod scan;
mod split;
mod statement;
mod term;
mod words;

pub use clause::{
    Assignment, Attribute, Change, Comparison, Condition, InList, OrderBy, PropertyValue, Relation,
    Selection, Selector, Subject, Target, Test, Using,
};
pub use constant::ConstantError;
pub use error::SyntaxError;
pub use parser::{DEPTH_MAX, parse};
pub use position::{At, Position};
pub use split::{Fragment, Open, Rest, Split, split};
pub use statement::{
    AlterKeyspace, AlterTable, Alteration, Batch, BatchKind, BatchStatement, ColumnDefinition,
    CreateKeyspace, CreateTable, Delete, DropKeyspace, DropTable, Insert, PrimaryKey, Properties,
    Property, Select, Statement, Update,
};
pub use term::{Literal, Marker, Name, Qualified, Term, TermKind, TypeName};

/// How long one statement may be, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 1 << 20;
