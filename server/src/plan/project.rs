//! What is selected of a row: the list after SELECT or RETURNING, resolved against a table.
//!
//! Every living version of a stored row is a result row. `context()`, `sibling_count()` and
//! `token()` are the stored row's own, the same in all of its result rows; `writetime()` is the
//! version's clock and `ttl()` what is left of a column's life.
//!
//! Columns are called as Cassandra calls them: by their alias, their name, or the call as it would
//! be written (`writetime(v)`, `system.token(k)`, `count`); our own functions are `context()` and
//! `sibling_count()`. Callers: SELECT and RETURNING; `answer` writes the cells. Pure.

use std::sync::Arc;

use sql::{Name, Qualified, Selection, Selector};
use types::CqlType;

use super::{PlanError, catalog};
use crate::metadata::{Column, ColumnKind, Table};

/// What is selected of the rows of a table.
#[derive(Debug)]
pub(super) struct Projection {
    /// The table.
    pub(super) table: Arc<Table>,
    /// The columns of the result.
    pub(super) columns: wire::Columns,
    /// What each of them shows.
    pub(super) items: Vec<Item>,
}

/// One column of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// The part of the partition key at this place.
    Partition(usize),
    /// The part of the clustering key at this place.
    Clustering(usize),
    /// The column with this id.
    Regular(u32),
    /// The sealed context of the row.
    Context,
    /// How many versions live.
    SiblingCount,
    /// Where the row lies on the ring.
    Token,
    /// When the version was written; null where it lacks the column with this id.
    WriteTime(u32),
    /// How many seconds the column with this id has left.
    Ttl(u32),
    /// How many result rows there are; then there is nothing else.
    CountRows,
}

/// An item with its name and type.
struct Named {
    item: Item,
    name: String,
    kind: CqlType,
}

/// How many columns a result may have: `*` may be named more than once.
pub(super) const COLUMNS_MAX: usize = 16_384;

/// Functions of Cassandra's that are not there yet.
const FUNCTIONS_TO_COME: &[&str] = &[
    "avg",
    "blobasint",
    "cast",
    "count",
    "currentdate",
    "currenttime",
    "currenttimestamp",
    "currenttimeuuid",
    "dateof",
    "fromjson",
    "intasblob",
    "max",
    "maxtimeuuid",
    "maxwritetime",
    "min",
    "mintimeuuid",
    "now",
    "sum",
    "to_json",
    "tojson",
    "todate",
    "totimestamp",
    "tounixtimestamp",
    "unixtimestampof",
    "uuid",
];

impl Projection {
    /// Resolves a list after SELECT or RETURNING.
    pub(super) fn new(table: &Arc<Table>, selections: &[Selection]) -> Result<Self, PlanError> {
        let mut named = Vec::new();
        for selection in selections {
            match &selection.selector {
                Selector::All => named.extend(all(table)),
                selector => {
                    let mut one = select(table, selector)?;
                    if let Some(alias) = &selection.alias {
                        one.name.clone_from(&alias.text);
                    }
                    named.push(one);
                }
            }
            if named.len() > COLUMNS_MAX {
                return Err(PlanError::TooManySelections { max: COLUMNS_MAX });
            }
        }
        if named.len() > 1 && named.iter().any(|one| one.item == Item::CountRows) {
            return Err(PlanError::unsupported("count(*) beside other selections"));
        }
        let spec = |one| column_spec(table, one);
        let columns = wire::Columns::new(&named.iter().map(spec).collect::<Vec<_>>());
        let items = named.iter().map(|one| one.item).collect();
        Ok(Self { table: Arc::clone(table), columns, items })
    }

    /// Whether the result is the number of rows.
    pub(super) fn counts(&self) -> bool {
        self.items == [Item::CountRows]
    }

    /// Whether `context()` is selected.
    pub(super) fn shows_context(&self) -> bool {
        self.items.contains(&Item::Context)
    }
}

fn column_spec<'a>(table: &'a Table, one: &'a Named) -> wire::ColumnSpec<'a> {
    wire::ColumnSpec {
        keyspace: &table.keyspace,
        table: &table.name,
        name: &one.name,
        ty: &one.kind,
    }
}

/// `*`: keys first, then the others by name.
fn all(table: &Table) -> impl Iterator<Item = Named> {
    table.columns.iter().map(of_column)
}

fn of_column(column: &Column) -> Named {
    let item = match column.kind {
        ColumnKind::Partition(at) => Item::Partition(usize::from(at)),
        ColumnKind::Clustering(at, _) => Item::Clustering(usize::from(at)),
        ColumnKind::Regular => Item::Regular(column.id.0),
    };
    Named { item, name: column.name.clone(), kind: column.ty.clone() }
}

fn select(table: &Table, selector: &Selector) -> Result<Named, PlanError> {
    match selector {
        Selector::All => Err(PlanError::unsupported("* inside a call")),
        Selector::Column(name) => Ok(of_column(catalog::column(table, name)?)),
        Selector::CountRows => {
            Ok(Named { item: Item::CountRows, name: "count".to_owned(), kind: CqlType::Bigint })
        }
        Selector::Call { function, arguments } => call(table, function, arguments),
        Selector::Cast { .. } => Err(PlanError::unsupported("CAST")),
        Selector::Field { .. } => Err(PlanError::unsupported("a field of a user-defined type")),
        Selector::Element { .. } => Err(PlanError::unsupported("an element of a collection")),
        Selector::Term(_) => Err(PlanError::unsupported("a constant in a list of selections")),
    }
}

fn call(table: &Table, function: &Qualified, arguments: &[Selector]) -> Result<Named, PlanError> {
    let is_builtin = function.keyspace.as_ref().is_none_or(|name| name.text == "system");
    let name = function.name.text.as_str();
    let own = |item, kind| Ok(Named { item, name: format!("{name}()"), kind });
    match name {
        "context" if is_builtin => {
            no_arguments("context", arguments)?;
            own(Item::Context, CqlType::Blob)
        }
        "sibling_count" if is_builtin => {
            no_arguments("sibling_count", arguments)?;
            own(Item::SiblingCount, CqlType::Int)
        }
        "token" if is_builtin => token(table, arguments),
        "writetime" if is_builtin => {
            of_regular(table, "writetime", arguments, Item::WriteTime, CqlType::Bigint)
        }
        "ttl" if is_builtin => of_regular(table, "ttl", arguments, Item::Ttl, CqlType::Int),
        _ if is_builtin && FUNCTIONS_TO_COME.contains(&name) => {
            Err(PlanError::unsupported(format!("function {name}()")))
        }
        _ => Err(PlanError::UnknownFunction { function: function.to_string() }),
    }
}

fn no_arguments(function: &'static str, arguments: &[Selector]) -> Result<(), PlanError> {
    if arguments.is_empty() {
        return Ok(());
    }
    Err(PlanError::Arguments { function, takes: "nothing".to_owned() })
}

/// `token(a, b)` of the row's own partition key.
fn token(table: &Table, arguments: &[Selector]) -> Result<Named, PlanError> {
    let key: Vec<&str> = table.partition_key().map(|column| column.name.as_str()).collect();
    let named = arguments.iter().map(|argument| match argument {
        Selector::Column(Name { text, .. }) => Some(text.as_str()),
        _ => None,
    });
    if !named.eq(key.iter().copied().map(Some)) {
        let takes = format!("the partition key in its order: {}", key.join(", "));
        return Err(PlanError::Arguments { function: "token", takes });
    }
    let name = format!("system.token({})", key.join(", "));
    Ok(Named { item: Item::Token, name, kind: CqlType::Bigint })
}

/// A function of one column outside the key.
fn of_regular(
    table: &Table,
    function: &'static str,
    arguments: &[Selector],
    item: fn(u32) -> Item,
    kind: CqlType,
) -> Result<Named, PlanError> {
    let [Selector::Column(name)] = arguments else {
        return Err(PlanError::Arguments { function, takes: "one column".to_owned() });
    };
    let column = catalog::column(table, name)?;
    if column.kind != ColumnKind::Regular {
        return Err(PlanError::FunctionOfKey { function, column: column.name.clone() });
    }
    let name = format!("{function}({})", column.name);
    Ok(Named { item: item(column.id.0), name, kind })
}
