//! Statements as a person writes them, and as they are sent.

use bytes::Bytes;
use driver::KeyColumn;
use sql::{
    Attribute, BatchStatement, Comparison, Delete, Insert, Literal, Name, Qualified, Relation,
    Select, Selection, Selector, Statement, Subject, Term, Test, Update,
};

use super::{RowName, SiblingsTable, TableName};

/// The columns that every changed statement ends with.
const APPENDED: [&str; 2] = ["context", "sibling_count"];

/// A SELECT that also asks for the names and contexts of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// What is sent.
    pub(crate) text: String,
    /// The table that is read.
    pub(crate) table: TableName,
    /// Where the answer has each column of the key.
    pub(crate) key: Vec<KeyPlace>,
    /// How many columns were appended.
    pub(crate) appended: usize,
    /// Whether the person asks for contexts too, and so for those of rows without a version.
    pub(crate) shows_absent: bool,
}

/// Where an answer has a column of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyPlace {
    /// Under its own name, among the columns that the person selected.
    Selected(String),
    /// This far from the end: 1 is the last column.
    FromEnd(usize),
}

/// A write of one row that also asks what is left of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writing {
    /// The statement without a remembered context.
    statement: Statement,
    /// The row that is written.
    pub(crate) row: RowName,
    /// Whether the person asks for the row too.
    pub(crate) is_shown: bool,
    /// Whether the statement takes away the whole row.
    pub(crate) is_removal: bool,
    /// Whether the statement may be given a context: it names none.
    pub(crate) takes_context: bool,
}

impl Reading {
    /// The changed form of a SELECT, `None` if it is sent as it is: its rows are no rows of the
    /// table.
    pub(crate) fn of(select: &Select, table: &SiblingsTable) -> Option<Self> {
        let is_of_rows = !select.is_distinct
            && select.group_by.is_empty()
            && !select.selections.iter().any(|selection| is_aggregate(&selection.selector));
        if !is_of_rows {
            return None;
        }
        let missing: Vec<&KeyColumn> =
            table.key.iter().filter(|column| !is_selected(&select.selections, column)).collect();
        let appended = missing.len() + APPENDED.len();
        let key = table.key.iter().map(|column| {
            match missing.iter().position(|it| it.name == column.name) {
                Some(place) => KeyPlace::FromEnd(appended - place),
                None => KeyPlace::Selected(column.name.clone()),
            }
        });
        let key = key.collect();
        let mut sent = select.clone();
        let columns = missing.iter().map(|column| Selector::Column(column.name.as_str().into()));
        sent.selections.extend(columns.map(Selection::from));
        sent.selections.extend(asked());
        Some(Self {
            text: Statement::Select(sent).to_string(),
            table: table.name.clone(),
            key,
            appended,
            shows_absent: select.selections.iter().any(|it| names_context(&it.selector)),
        })
    }
}

impl Writing {
    /// The changed form of a statement, `None` if it is sent as it is: it does not name one row of
    /// the table by constants, or is conditional.
    pub(crate) fn of(statement: &Statement, table: &SiblingsTable) -> Option<Self> {
        let mut statement = statement.clone();
        let (key, is_removal) = match &statement {
            Statement::Insert(insert) => (key_of_insert(insert, table)?, false),
            Statement::Update(Update { relations, condition: None, .. }) => {
                (key_of_relations(relations, table)?, false)
            }
            Statement::Delete(Delete { targets, relations, condition: None, .. }) => {
                (key_of_relations(relations, table)?, targets.is_empty())
            }
            _ => return None,
        };
        let takes_context = using(&mut statement)?.context().is_none();
        let returning = returning(&mut statement)?;
        let is_shown = !returning.is_empty();
        returning.extend(asked());
        let row = RowName { table: table.name.clone(), key };
        Some(Self { statement, row, is_shown, is_removal, takes_context })
    }

    /// The same of a statement of a batch, where it can ask for nothing: only what row it writes
    /// and whether it takes a context is of use.
    pub(crate) fn in_batch(statement: &BatchStatement, table: &SiblingsTable) -> Option<Self> {
        let statement = match statement.clone() {
            BatchStatement::Insert(insert) => Statement::Insert(insert),
            BatchStatement::Update(update) => Statement::Update(update),
            BatchStatement::Delete(delete) => Statement::Delete(delete),
        };
        Self::of(&statement, table)
    }

    /// How many columns were appended.
    pub(crate) const APPENDED: usize = APPENDED.len();

    /// What is sent, with the context that the shell remembers, if it does.
    pub(crate) fn text(&self, context: Option<&Bytes>) -> String {
        let mut statement = self.statement.clone();
        if let Some(context) = context
            && let Some(using) = using(&mut statement)
        {
            let literal = Literal::Blob(context.clone());
            using.attributes.push(Attribute::Context(literal.into()));
        }
        statement.to_string()
    }
}

/// The table that a statement of a batch writes.
pub(crate) fn table_in_batch(statement: &BatchStatement) -> &Qualified {
    match statement {
        BatchStatement::Insert(insert) => &insert.table,
        BatchStatement::Update(update) => &update.table,
        BatchStatement::Delete(delete) => &delete.table,
    }
}

/// Gives a statement of a batch the context of its row.
pub(crate) fn add_context(statement: &mut BatchStatement, context: &Bytes) {
    let using = match statement {
        BatchStatement::Insert(insert) => &mut insert.using,
        BatchStatement::Update(update) => &mut update.using,
        BatchStatement::Delete(delete) => &mut delete.using,
    };
    using.attributes.push(Attribute::Context(Literal::Blob(context.clone()).into()));
}

/// `context(), sibling_count()`.
fn asked() -> impl Iterator<Item = Selection> {
    APPENDED.into_iter().map(|function| Selector::call(function).into())
}

/// The attributes of a write.
fn using(statement: &mut Statement) -> Option<&mut sql::Using> {
    match statement {
        Statement::Insert(insert) => Some(&mut insert.using),
        Statement::Update(update) => Some(&mut update.using),
        Statement::Delete(delete) => Some(&mut delete.using),
        _ => None,
    }
}

/// What a write answers with.
fn returning(statement: &mut Statement) -> Option<&mut Vec<Selection>> {
    match statement {
        Statement::Insert(insert) => Some(&mut insert.returning),
        Statement::Update(update) => Some(&mut update.returning),
        Statement::Delete(delete) => Some(&mut delete.returning),
        _ => None,
    }
}

/// Whether the answer surely has the column under its own name, and no other column under it.
fn is_selected(selections: &[Selection], column: &KeyColumn) -> bool {
    let is_name = |name: &Name| name.text == column.name;
    let is_alias = |selection: &Selection| selection.alias.as_ref().is_some_and(is_name);
    let is_it = |selection: &Selection| match &selection.selector {
        Selector::All => true,
        Selector::Column(name) => selection.alias.is_none() && is_name(name),
        _ => false,
    };
    selections.iter().any(is_it) && !selections.iter().any(is_alias)
}

/// Whether one result row stands for many rows of the table.
fn is_aggregate(selector: &Selector) -> bool {
    match selector {
        Selector::CountRows => true,
        Selector::Call { function, arguments } => {
            let name = function.name.text.as_str();
            matches!(name, "avg" | "count" | "max" | "min" | "sum")
                || arguments.iter().any(is_aggregate)
        }
        Selector::Cast { selector, .. } => is_aggregate(selector),
        Selector::Field { of, .. } | Selector::Element { of, .. } => is_aggregate(of),
        Selector::All | Selector::Column(_) | Selector::Term(_) => false,
    }
}

/// Whether `context()` is, or is in, what is selected.
fn names_context(selector: &Selector) -> bool {
    match selector {
        Selector::Call { function, arguments } => {
            function.name.text == "context" || arguments.iter().any(names_context)
        }
        Selector::Cast { selector, .. } => names_context(selector),
        Selector::Field { of, .. } | Selector::Element { of, .. } => names_context(of),
        Selector::All | Selector::Column(_) | Selector::CountRows | Selector::Term(_) => false,
    }
}

fn key_of_insert(insert: &Insert, table: &SiblingsTable) -> Option<Vec<Bytes>> {
    if insert.if_not_exists || insert.columns.len() != insert.values.len() {
        return None;
    }
    let value = |column: &KeyColumn| {
        let place = insert.columns.iter().position(|name| name.text == column.name)?;
        constant(&insert.values[place], column)
    };
    table.key.iter().map(value).collect()
}

/// The key that the relations name: each column of it once by `=`, and nothing else.
fn key_of_relations(relations: &[Relation], table: &SiblingsTable) -> Option<Vec<Bytes>> {
    if relations.len() != table.key.len() {
        return None;
    }
    let value = |column: &KeyColumn| relations.iter().find_map(|it| equals(it, column));
    table.key.iter().map(value).collect()
}

fn equals(relation: &Relation, column: &KeyColumn) -> Option<Bytes> {
    match (&relation.subject, &relation.test) {
        (Subject::Column(name), Test::Compare(Comparison::Equal, term))
            if name.text == column.name =>
        {
            constant(term, column)
        }
        _ => None,
    }
}

/// The bytes of a constant as a value of the column.
fn constant(term: &Term, column: &KeyColumn) -> Option<Bytes> {
    let value = term.constant(&column.kind).ok()??;
    value.encode(&column.kind).ok().map(Bytes::from)
}
