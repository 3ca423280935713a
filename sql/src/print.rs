//! Trees as text: `Display` of every part, the inverse of [`parse`](crate::parse).
//!
//! The text is one line of canonical CQL: keywords in capitals, names in quotes only where they need
//! them, clauses in the order of the grammar.

mod definition;

use std::fmt::{self, Display, Formatter};

use types::Order;

use crate::words::needs_quotes;
use crate::{
    Assignment, Attribute, Batch, BatchKind, BatchStatement, Change, Comparison, Condition, Delete,
    InList, Insert, Literal, Marker, Name, OrderBy, Qualified, Relation, Select, Selection,
    Selector, Statement, Subject, Target, Term, TermKind, Test, TypeName, Update, Using,
};

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateKeyspace(statement) => statement.fmt(f),
            Self::AlterKeyspace(statement) => statement.fmt(f),
            Self::DropKeyspace(statement) => statement.fmt(f),
            Self::CreateTable(statement) => statement.fmt(f),
            Self::AlterTable(statement) => statement.fmt(f),
            Self::DropTable(statement) => statement.fmt(f),
            Self::Truncate(table) => write!(f, "TRUNCATE {table}"),
            Self::Use(keyspace) => write!(f, "USE {keyspace}"),
            Self::Select(statement) => statement.fmt(f),
            Self::Insert(statement) => statement.fmt(f),
            Self::Update(statement) => statement.fmt(f),
            Self::Delete(statement) => statement.fmt(f),
            Self::Batch(statement) => statement.fmt(f),
            Self::Unsupported { text, .. } => f.write_str(text),
        }
    }
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let distinct = if_some(self.is_distinct, "DISTINCT ");
        write!(f, "SELECT {distinct}{} FROM {}", Commas(&self.selections), self.table)?;
        if !self.is_using_last {
            self.using.fmt(f)?;
        }
        write_where(f, &self.relations)?;
        if !self.group_by.is_empty() {
            write!(f, " GROUP BY {}", Commas(&self.group_by))?;
        }
        if !self.order_by.is_empty() {
            write!(f, " ORDER BY {}", Commas(&self.order_by))?;
        }
        if let Some(limit) = &self.per_partition_limit {
            write!(f, " PER PARTITION LIMIT {limit}")?;
        }
        if let Some(limit) = &self.limit {
            write!(f, " LIMIT {limit}")?;
        }
        f.write_str(if_some(self.allow_filtering, " ALLOW FILTERING"))?;
        if self.is_using_last { self.using.fmt(f) } else { Ok(()) }
    }
}

impl Display for Insert {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (columns, values) = (Commas(&self.columns), Commas(&self.values));
        write!(f, "INSERT INTO {} ({columns}) VALUES ({values})", self.table)?;
        f.write_str(if_some(self.if_not_exists, " IF NOT EXISTS"))?;
        self.using.fmt(f)?;
        write_returning(f, &self.returning)
    }
}

impl Display for Update {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "UPDATE {}{} SET {}", self.table, self.using, Commas(&self.assignments))?;
        write_where(f, &self.relations)?;
        write_if(f, self.condition.as_ref())?;
        write_returning(f, &self.returning)
    }
}

impl Display for Delete {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("DELETE ")?;
        if !self.targets.is_empty() {
            write!(f, "{} ", Commas(&self.targets))?;
        }
        write!(f, "FROM {}{}", self.table, self.using)?;
        write_where(f, &self.relations)?;
        write_if(f, self.condition.as_ref())?;
        write_returning(f, &self.returning)
    }
}

impl Display for Batch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            BatchKind::Logged => "BEGIN BATCH",
            BatchKind::Unlogged => "BEGIN UNLOGGED BATCH",
            BatchKind::Counter => "BEGIN COUNTER BATCH",
        })?;
        self.using.fmt(f)?;
        self.statements.iter().try_for_each(|statement| write!(f, " {statement};"))?;
        f.write_str(" APPLY BATCH")
    }
}

impl Display for BatchStatement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert(insert) => insert.fmt(f),
            Self::Update(update) => update.fmt(f),
            Self::Delete(delete) => delete.fmt(f),
        }
    }
}

fn write_where(f: &mut Formatter<'_>, relations: &[Relation]) -> fmt::Result {
    if relations.is_empty() { Ok(()) } else { write!(f, " WHERE {}", Ands(relations)) }
}

fn write_if(f: &mut Formatter<'_>, condition: Option<&Condition>) -> fmt::Result {
    match condition {
        None => Ok(()),
        Some(Condition::Exists) => f.write_str(" IF EXISTS"),
        Some(Condition::All(relations)) => write!(f, " IF {}", Ands(relations)),
    }
}

fn write_returning(f: &mut Formatter<'_>, returning: &[Selection]) -> fmt::Result {
    if returning.is_empty() { Ok(()) } else { write!(f, " RETURNING {}", Commas(returning)) }
}

impl Display for Using {
    /// The clause with a space before it, or nothing.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_empty() { Ok(()) } else { write!(f, " USING {}", Ands(&self.attributes)) }
    }
}

impl Display for Attribute {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ttl(term) => write!(f, "TTL {term}"),
            Self::Timestamp(term) => write!(f, "TIMESTAMP {term}"),
            Self::Context(term) => write!(f, "CONTEXT {term}"),
            Self::Consistency(level, _) => write!(f, "CONSISTENCY {level}"),
        }
    }
}

impl Display for Selection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.selector.fmt(f)?;
        match &self.alias {
            Some(alias) => write!(f, " AS {alias}"),
            None => Ok(()),
        }
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Column(column) => column.fmt(f),
            Self::CountRows => f.write_str("count(*)"),
            Self::Call { function, arguments } => write_call(f, function, arguments),
            Self::Cast { selector, kind } => write!(f, "CAST({selector} AS {kind})"),
            Self::Field { of, field } => write!(f, "{of}.{field}"),
            Self::Element { of, key } => write!(f, "{of}[{key}]"),
            Self::Term(term) => term.fmt(f),
        }
    }
}

impl Display for Relation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.subject, self.test)
    }
}

impl Display for Subject {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(column) => column.fmt(f),
            Self::Tuple(columns) => write!(f, "({})", Commas(columns)),
            Self::Token(columns) => write!(f, "token({})", Commas(columns)),
            Self::Element { column, key } => write!(f, "{column}[{key}]"),
            Self::Field { column, field } => write!(f, "{column}.{field}"),
        }
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(comparison, term) => write!(f, "{comparison} {term}"),
            Self::In(InList::Marker(marker)) => write!(f, "IN {marker}"),
            Self::In(InList::Terms(terms)) => write!(f, "IN ({})", Commas(terms)),
            Self::Contains(term) => write!(f, "CONTAINS {term}"),
            Self::ContainsKey(term) => write!(f, "CONTAINS KEY {term}"),
            Self::Like(term) => write!(f, "LIKE {term}"),
            Self::IsNotNull => f.write_str("IS NOT NULL"),
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(column) => column.fmt(f),
            Self::Element { column, key } => write!(f, "{column}[{key}]"),
            Self::Field { column, field } => write!(f, "{column}.{field}"),
        }
    }
}

impl Display for Assignment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        match &self.change {
            Change::Set(term) => write!(f, "{target} = {term}"),
            Change::Add(term) => write!(f, "{target} = {target} + {term}"),
            Change::Subtract(term) => write!(f, "{target} = {target} - {term}"),
            Change::Prepend(term) => write!(f, "{target} = {term} + {target}"),
        }
    }
}

impl Display for OrderBy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column { column, order } => write!(f, "{column} {}", direction(*order)),
            Self::Nearest { column, to } => write!(f, "{column} ANN OF {to}"),
        }
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TermKind::Literal(literal) => literal.fmt(f),
            TermKind::Marker(marker) => marker.fmt(f),
            TermKind::List(terms) => write!(f, "[{}]", Commas(terms)),
            TermKind::Set(terms) => write!(f, "{{{}}}", Commas(terms)),
            TermKind::Map(pairs) => write!(f, "{{{}}}", Pairs(pairs)),
            TermKind::Fields(fields) => write!(f, "{{{}}}", Pairs(fields)),
            TermKind::Tuple(terms) => write!(f, "({})", Commas(terms)),
            TermKind::Call { function, arguments } => write_call(f, function, arguments),
            TermKind::Hinted { kind, term } => write!(f, "({kind}) {term}"),
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(claim) => claim.fmt(f),
            Self::Integer(text) | Self::Float(text) | Self::Duration(text) => f.write_str(text),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Blob(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Uuid(id) => id.fmt(f),
        }
    }
}

impl Display for Marker {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, ":{name}"),
            None => f.write_str("?"),
        }
    }
}

impl Display for TypeName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(kind) => kind.fmt(f),
            Self::Other { text, .. } => f.write_str(text),
        }
    }
}

impl Display for Qualified {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.keyspace {
            Some(keyspace) => write!(f, "{keyspace}.{}", self.name),
            None => self.name.fmt(f),
        }
    }
}

impl Display for Name {
    /// The name, in quotes where it would mean something else without.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_plain(&self.text) && !needs_quotes(&self.text) {
            return f.write_str(&self.text);
        }
        write!(f, "\"{}\"", self.text.replace('"', "\"\""))
    }
}

/// Whether a name is one word in lower case.
fn is_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// A call; `token` is a function although the word is reserved.
fn write_call(
    f: &mut Formatter<'_>,
    function: &Qualified,
    arguments: &[impl Display],
) -> fmt::Result {
    if function.keyspace.is_none() && function.name.text == "token" {
        return write!(f, "token({})", Commas(arguments));
    }
    write!(f, "{function}({})", Commas(arguments))
}

fn direction(order: Order) -> &'static str {
    match order {
        Order::Ascending => "ASC",
        Order::Descending => "DESC",
    }
}

/// The word or words if they are said.
fn if_some(is_said: bool, words: &'static str) -> &'static str {
    if is_said { words } else { "" }
}

/// Items with commas between them.
struct Commas<'a, T>(&'a [T]);

impl<T: Display> Display for Commas<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_between(f, ", ", self.0, |f, item| item.fmt(f))
    }
}

/// Items with AND between them.
struct Ands<'a, T>(&'a [T]);

impl<T: Display> Display for Ands<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_between(f, " AND ", self.0, |f, item| item.fmt(f))
    }
}

/// `a: 1, b: 2`.
struct Pairs<'a, K, V>(&'a [(K, V)]);

impl<K: Display, V: Display> Display for Pairs<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_between(f, ", ", self.0, |f, (key, value)| write!(f, "{key}: {value}"))
    }
}

fn write_between<T>(
    f: &mut Formatter<'_>,
    between: &str,
    items: &[T],
    write: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (place, item) in items.iter().enumerate() {
        f.write_str(if place > 0 { between } else { "" })?;
        write(f, item)?;
    }
    Ok(())
}
