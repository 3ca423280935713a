//! The statements.
//!
//! Trees may be made and changed by hand; what their fields say must stay true for their text to be
//! read back ("not empty", "no two alike").

use types::Order;

use crate::clause::{
    Assignment, Condition, OrderBy, PropertyValue, Relation, Selection, Selector, Target, Using,
};
use crate::{Name, Qualified, Term, TypeName};

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a statement is made once and then only looked at")]
pub enum Statement {
    /// CREATE KEYSPACE.
    CreateKeyspace(CreateKeyspace),
    /// ALTER KEYSPACE.
    AlterKeyspace(AlterKeyspace),
    /// DROP KEYSPACE.
    DropKeyspace(DropKeyspace),
    /// CREATE TABLE.
    CreateTable(CreateTable),
    /// ALTER TABLE.
    AlterTable(AlterTable),
    /// DROP TABLE.
    DropTable(DropTable),
    /// TRUNCATE: the table whose rows all go.
    Truncate(Qualified),
    /// `USE keyspace`.
    Use(Name),
    /// SELECT.
    Select(Select),
    /// INSERT.
    Insert(Insert),
    /// UPDATE.
    Update(Update),
    /// DELETE.
    Delete(Delete),
    /// BEGIN BATCH … APPLY BATCH.
    Batch(Batch),
    /// A statement of Cassandra's that is known by its first words only.
    Unsupported {
        /// Those words: `CREATE INDEX`, `GRANT`…
        what: &'static str,
        /// The whole text.
        text: String,
    },
}

impl Statement {
    /// The attributes after USING, of statements that may have them.
    pub fn using(&self) -> Option<&Using> {
        match self {
            Self::Select(select) => Some(&select.using),
            Self::Insert(insert) => Some(&insert.using),
            Self::Update(update) => Some(&update.using),
            Self::Delete(delete) => Some(&delete.using),
            Self::Batch(batch) => Some(&batch.using),
            _ => None,
        }
    }
}

/// `CREATE KEYSPACE [IF NOT EXISTS] ks WITH …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateKeyspace {
    /// Whether IF NOT EXISTS is there.
    pub if_not_exists: bool,
    /// The keyspace.
    pub keyspace: Name,
    /// The options; not empty.
    pub properties: Properties,
}

/// `ALTER KEYSPACE [IF EXISTS] ks WITH …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterKeyspace {
    /// Whether IF EXISTS is there.
    pub if_exists: bool,
    /// The keyspace.
    pub keyspace: Name,
    /// The options; not empty.
    pub properties: Properties,
}

/// `DROP KEYSPACE [IF EXISTS] ks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropKeyspace {
    /// Whether IF EXISTS is there.
    pub if_exists: bool,
    /// The keyspace.
    pub keyspace: Name,
}

/// The options after WITH, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    /// The options, no two of one name.
    pub properties: Vec<Property>,
}

impl Properties {
    /// The option of this name, given in lower case.
    pub fn find(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name.text == name)
    }
}

/// One option after WITH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The option's name.
    pub name: Name,
    /// Its value.
    pub value: PropertyValue,
}

/// `CREATE TABLE [IF NOT EXISTS] t (…) [WITH …]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTable {
    /// Whether IF NOT EXISTS is there.
    pub if_not_exists: bool,
    /// The table.
    pub table: Qualified,
    /// The columns; not empty.
    pub columns: Vec<ColumnDefinition>,
    /// The key, wherever the text names it. A table without one is for the binder to refuse.
    pub primary_key: Option<PrimaryKey>,
    /// `CLUSTERING ORDER BY (…)`, empty if it is not there.
    pub clustering_order: Vec<(Name, Order)>,
    /// Whether COMPACT STORAGE is there.
    pub compact_storage: bool,
    /// The other options.
    pub properties: Properties,
}

/// One column of CREATE TABLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDefinition {
    /// The column.
    pub name: Name,
    /// Its type.
    pub kind: TypeName,
    /// Whether STATIC is there.
    pub is_static: bool,
}

/// `PRIMARY KEY ((a, b), c, d)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryKey {
    /// The columns of the partition key; not empty.
    pub partition: Vec<Name>,
    /// The clustering columns.
    pub clustering: Vec<Name>,
}

/// `ALTER TABLE [IF EXISTS] t …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterTable {
    /// Whether IF EXISTS is there.
    pub if_exists: bool,
    /// The table.
    pub table: Qualified,
    /// What is to be different.
    pub alteration: Alteration,
}

/// What ALTER TABLE makes different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alteration {
    /// `ADD [IF NOT EXISTS] c type`, `ADD (c type, d type)`.
    Add {
        /// Whether IF NOT EXISTS is there.
        if_not_exists: bool,
        /// The columns; not empty.
        columns: Vec<ColumnDefinition>,
    },
    /// `DROP [IF EXISTS] c`, `DROP (c, d)`.
    Drop {
        /// Whether IF EXISTS is there.
        if_exists: bool,
        /// The columns; not empty.
        columns: Vec<Name>,
        /// The operand of USING TIMESTAMP: an integer or a marker.
        timestamp: Option<Term>,
    },
    /// `DROP COMPACT STORAGE`.
    DropCompactStorage,
    /// `RENAME [IF EXISTS] a TO b AND c TO d`.
    Rename {
        /// Whether IF EXISTS is there.
        if_exists: bool,
        /// Old and new names; not empty.
        columns: Vec<(Name, Name)>,
    },
    /// `ALTER c TYPE type`.
    Retype {
        /// The column.
        column: Name,
        /// The type that it should have.
        kind: TypeName,
    },
    /// `WITH …`: the options; not empty.
    Options(Properties),
}

/// `DROP TABLE [IF EXISTS] t`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropTable {
    /// Whether IF EXISTS is there.
    pub if_exists: bool,
    /// The table.
    pub table: Qualified,
}

/// `SELECT … FROM t …`, clause by clause in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// Whether DISTINCT is there.
    pub is_distinct: bool,
    /// What is selected; not empty.
    pub selections: Vec<Selection>,
    /// The table.
    pub table: Qualified,
    /// The attributes after USING.
    pub using: Using,
    /// Whether USING stands at the end, with other clauses between it and the table.
    pub is_using_last: bool,
    /// The relations after WHERE.
    pub relations: Vec<Relation>,
    /// What follows GROUP BY: columns or calls.
    pub group_by: Vec<Selector>,
    /// What follows ORDER BY.
    pub order_by: Vec<OrderBy>,
    /// The operand of PER PARTITION LIMIT: an integer or a marker.
    pub per_partition_limit: Option<Term>,
    /// The operand of LIMIT: an integer or a marker.
    pub limit: Option<Term>,
    /// Whether ALLOW FILTERING is there.
    pub allow_filtering: bool,
}

impl Select {
    /// `SELECT selections FROM table`.
    pub fn new(selections: Vec<Selection>, table: Qualified) -> Self {
        Self {
            is_distinct: false,
            selections,
            table,
            using: Using::default(),
            is_using_last: false,
            relations: Vec::new(),
            group_by: Vec::new(),
            order_by: Vec::new(),
            per_partition_limit: None,
            limit: None,
            allow_filtering: false,
        }
    }
}

/// `INSERT INTO t (…) VALUES (…) …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insert {
    /// The table.
    pub table: Qualified,
    /// The columns; not empty.
    pub columns: Vec<Name>,
    /// The values; not empty. That there are as many as columns is for the binder to see.
    pub values: Vec<Term>,
    /// Whether IF NOT EXISTS is there.
    pub if_not_exists: bool,
    /// The attributes after USING.
    pub using: Using,
    /// What follows RETURNING; empty if it is not there.
    pub returning: Vec<Selection>,
}

/// `UPDATE t SET … WHERE …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The table.
    pub table: Qualified,
    /// The attributes after USING.
    pub using: Using,
    /// The assignments; not empty.
    pub assignments: Vec<Assignment>,
    /// The relations after WHERE; not empty.
    pub relations: Vec<Relation>,
    /// The condition after IF.
    pub condition: Option<Condition>,
    /// What follows RETURNING; empty if it is not there.
    pub returning: Vec<Selection>,
}

/// `DELETE … FROM t WHERE …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// What is removed from the rows; empty for whole rows.
    pub targets: Vec<Target>,
    /// The table.
    pub table: Qualified,
    /// The attributes after USING.
    pub using: Using,
    /// The relations after WHERE; not empty.
    pub relations: Vec<Relation>,
    /// The condition after IF.
    pub condition: Option<Condition>,
    /// What follows RETURNING; empty if it is not there.
    pub returning: Vec<Selection>,
}

/// `BEGIN … BATCH … APPLY BATCH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What is promised of its statements as a whole.
    pub kind: BatchKind,
    /// The attributes after USING.
    pub using: Using,
    /// The statements, possibly none.
    pub statements: Vec<BatchStatement>,
}

/// What a batch promises of its statements as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchKind {
    /// `BEGIN BATCH`, `BEGIN LOGGED BATCH`: all are done in the end, or none.
    Logged,
    /// `BEGIN UNLOGGED BATCH`: what is of one partition is done as a whole.
    Unlogged,
    /// `BEGIN COUNTER BATCH`.
    Counter,
}

/// One statement of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchStatement {
    /// INSERT.
    Insert(Insert),
    /// UPDATE.
    Update(Update),
    /// DELETE.
    Delete(Delete),
}
