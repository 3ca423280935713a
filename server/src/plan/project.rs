//! What is selected of a row: the list after SELECT or RETURNING, resolved against a table.
//!
//! Every living version of a stored row is a result row. `context()`, `sibling_count()` and
//! `token()` are the stored row's own, the same in all of its result rows; `writetime()` is the
//! version's clock, or the cell's in a table of last-write-wins, and `ttl()` what is left of a
//! column's life. Where one item is an aggregate there is one result row, and the other items show
//! what they are in the first row.
//!
//! Columns are called as Cassandra calls them: by their alias, their name, or the call as it would
//! be written (`writetime(v)`, `system.token(k)`, `count`); our own functions are `context()` and
//! `sibling_count()`. Callers: SELECT and RETURNING; `answer` writes the cells. Pure.

use std::sync::Arc;

use sql::{Literal, Name, Qualified, Selection, Selector, Term, TermKind, TypeName};
use types::CqlType;

use super::bind::{Bound, BoundValues, Expression, Markers};
use super::functions::{Function, is_castable};
use super::total::Total;
use super::{PlanError, catalog};
use crate::metadata::{Column, ColumnKind, Conflict, Table};

/// What is selected of the rows of a table.
#[derive(Debug)]
pub(super) struct Projection {
    /// The table.
    pub(super) table: Arc<Table>,
    /// The columns of the result.
    pub(super) columns: wire::Columns,
    /// What each of them shows.
    pub(super) items: Vec<Item>,
    /// Columns that the table once had.
    pub(super) dropped: Vec<u32>,
    /// The constants and markers among the items.
    terms: Vec<Expression>,
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// What each row has.
    Each(Shown),
    /// What all rows have together; without anything shown, how many they are.
    Total(Total, Option<Shown>),
}

/// Something to show, with its type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    pub(super) kind: CqlType,
    pub(super) of: Of,
}

/// What something is shown of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Of {
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
    /// When the column with this id was written; null where it is.
    WriteTime(u32),
    /// How many seconds the column with this id has left.
    Ttl(u32),
    /// The constant or marker with this number.
    Term(usize),
    /// What a function gives for arguments.
    Call(Function, Vec<Shown>),
    /// A value as one of another type.
    Cast(Box<Shown>, CqlType),
    /// The element of a collection under the key that is the term with this number.
    Element(Box<Shown>, usize),
}

/// An item with its name.
struct Named {
    item: Item,
    name: String,
}

/// Resolves selectors.
struct Resolver<'t, 'm> {
    table: &'t Table,
    markers: &'m mut Markers,
    terms: Vec<Expression>,
}

/// How many columns a result may have: `*` may be named more than once.
pub(super) const COLUMNS_MAX: usize = 16_384;

/// Functions of Cassandra's that are not there.
const FUNCTIONS_TO_COME: &[&str] = &["fromjson", "from_json", "tojson", "to_json"];

impl Projection {
    /// Resolves a list after RETURNING, which has no bind markers.
    pub(super) fn new(table: &Arc<Table>, selections: &[Selection]) -> Result<Self, PlanError> {
        // A marker that these have taken is missing where the others are counted, and so refused.
        Self::of_select(table, selections, &mut Markers::none())
    }

    /// Resolves a list after SELECT.
    pub(super) fn of_select(
        table: &Arc<Table>,
        selections: &[Selection],
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        let mut resolver = Resolver { table, markers, terms: Vec::new() };
        let mut named = Vec::new();
        for selection in selections {
            match &selection.selector {
                Selector::All => named.extend(all(table)),
                selector => {
                    let mut one = resolver.item(selector)?;
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
        let kinds: Vec<_> = named.iter().map(|one| one.item.kind()).collect();
        let spec = |(one, ty)| wire::ColumnSpec {
            keyspace: &table.keyspace,
            table: &table.name,
            name: Named::name(one),
            ty,
        };
        let columns = wire::Columns::new(&named.iter().zip(&kinds).map(spec).collect::<Vec<_>>());
        let items = named.into_iter().map(|one| one.item).collect();
        let dropped = table.dropped().map(|id| id.0).collect();
        Ok(Self { table: Arc::clone(table), columns, items, dropped, terms: resolver.terms })
    }

    /// Whether the result is one row about all rows.
    pub(super) fn is_total(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Total(..)))
    }

    /// Whether it is nothing but the number of rows, for which no row has to be looked into.
    pub(super) fn is_count(&self) -> bool {
        self.items.iter().all(|item| matches!(item, Item::Total(_, None)))
    }

    /// Whether `context()` is selected.
    pub(super) fn shows_context(&self) -> bool {
        self.shown().any(|shown| shown.has(&|of| *of == Of::Context))
    }

    /// Whether some item shows one of these; arguments of functions count too.
    pub(super) fn shows(&self, is_it: &impl Fn(&Of) -> bool) -> bool {
        self.shown().any(|shown| shown.has(is_it))
    }

    /// The values of the constants and markers in one request.
    pub(super) fn bind(&self, values: &BoundValues<'_>) -> Result<Vec<Option<Vec<u8>>>, PlanError> {
        let bind = |term: &Expression| match term.bind(values)? {
            Bound::Value(value) => Ok(Some(value.into_owned())),
            Bound::Null => Ok(None),
            Bound::Unset => Err(PlanError::Unset { name: term.name().to_owned() }),
        };
        self.terms.iter().map(bind).collect()
    }

    fn shown(&self) -> impl Iterator<Item = &Shown> {
        self.items.iter().filter_map(|item| match item {
            Item::Each(shown) | Item::Total(_, Some(shown)) => Some(shown),
            Item::Total(_, None) => None,
        })
    }
}

impl Item {
    fn kind(&self) -> CqlType {
        match self {
            Self::Each(shown) => shown.kind.clone(),
            Self::Total(total, shown) => total.kind(shown.as_ref().map(|shown| &shown.kind)),
        }
    }
}

impl Shown {
    fn has(&self, is_it: &impl Fn(&Of) -> bool) -> bool {
        is_it(&self.of)
            || match &self.of {
                Of::Call(_, arguments) => arguments.iter().any(|argument| argument.has(is_it)),
                Of::Cast(of, _) | Of::Element(of, _) => of.has(is_it),
                _ => false,
            }
    }
}

impl Named {
    fn name(&self) -> &str {
        &self.name
    }

    fn each(kind: CqlType, of: Of, name: impl Into<String>) -> Self {
        Self { item: Item::Each(Shown { kind, of }), name: name.into() }
    }
}

/// `*`: keys first, then the others by name.
fn all(table: &Table) -> impl Iterator<Item = Named> {
    table.columns.iter().map(of_column)
}

fn of_column(column: &Column) -> Named {
    let of = match column.kind {
        ColumnKind::Partition(at) => Of::Partition(usize::from(at)),
        ColumnKind::Clustering(at, _) => Of::Clustering(usize::from(at)),
        ColumnKind::Regular => Of::Regular(column.id.0),
    };
    Named::each(column.ty.clone(), of, &column.name)
}

impl Resolver<'_, '_> {
    fn item(&mut self, selector: &Selector) -> Result<Named, PlanError> {
        match selector {
            Selector::All => Err(PlanError::unsupported("* inside a call")),
            Selector::Column(name) => Ok(of_column(catalog::column(self.table, name)?)),
            Selector::CountRows => {
                Ok(Named { item: Item::Total(Total::Count, None), name: "count".to_owned() })
            }
            Selector::Call { function, arguments } => self.call(function, arguments),
            Selector::Cast { selector, kind } => self.cast(selector, kind),
            Selector::Field { .. } => Err(PlanError::unsupported("a field of a user-defined type")),
            Selector::Element { of, key } => self.element(of, key),
            Selector::Term(term) => {
                let shown = self.term(term)?;
                Ok(Named { item: Item::Each(shown), name: selector.to_string() })
            }
        }
    }

    /// Something that each row has, with its name.
    fn each(&mut self, selector: &Selector) -> Result<(Shown, String), PlanError> {
        match self.item(selector)? {
            Named { item: Item::Each(shown), name } => Ok((shown, name)),
            Named { item: Item::Total(..), name } => {
                Err(PlanError::unsupported(format!("the aggregate {name} inside a call")))
            }
        }
    }

    fn call(&mut self, function: &Qualified, arguments: &[Selector]) -> Result<Named, PlanError> {
        let unknown = || PlanError::UnknownFunction { function: function.to_string() };
        if function.keyspace.as_ref().is_some_and(|name| name.text != "system") {
            return Err(unknown());
        }
        let name = function.name.text.as_str();
        match name {
            "context" => {
                no_arguments(name, arguments)?;
                Ok(Named::each(CqlType::Blob, Of::Context, "context()"))
            }
            "sibling_count" => {
                no_arguments(name, arguments)?;
                Ok(Named::each(CqlType::Int, Of::SiblingCount, "sibling_count()"))
            }
            "token" => self.token(arguments),
            "writetime" | "maxwritetime" | "max_writetime" => {
                self.of_regular("writetime", name, arguments, Of::WriteTime, CqlType::Bigint)
            }
            "ttl" => self.of_regular("ttl", name, arguments, Of::Ttl, CqlType::Int),
            _ if FUNCTIONS_TO_COME.contains(&name) => {
                Err(PlanError::unsupported(format!("function {name}()")))
            }
            _ => {
                let each = arguments.iter().map(|argument| self.each(argument));
                let (arguments, names): (Vec<_>, Vec<_>) =
                    each.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
                let called = format!("system.{name}({})", names.join(", "));
                if let Some(total) = Total::find(name) {
                    return total_of(total, name, arguments, called);
                }
                let kinds: Vec<_> = arguments.iter().map(|shown| shown.kind.clone()).collect();
                let (function, kind) = Function::find(name, &kinds)?.ok_or_else(unknown)?;
                Ok(Named::each(kind, Of::Call(function, arguments), called))
            }
        }
    }

    /// `token(a, b)` of the row's own partition key.
    fn token(&self, arguments: &[Selector]) -> Result<Named, PlanError> {
        let key: Vec<&str> =
            self.table.partition_key().map(|column| column.name.as_str()).collect();
        let named = arguments.iter().map(|argument| match argument {
            Selector::Column(Name { text, .. }) => Some(text.as_str()),
            _ => None,
        });
        if !named.eq(key.iter().copied().map(Some)) {
            let takes = format!("the partition key in its order: {}", key.join(", "));
            return Err(PlanError::Arguments { function: "token".to_owned(), takes });
        }
        let name = format!("system.token({})", key.join(", "));
        Ok(Named::each(CqlType::Bigint, Of::Token, name))
    }

    /// A function of one column outside the key.
    fn of_regular(
        &self,
        function: &'static str,
        called: &str,
        arguments: &[Selector],
        of: fn(u32) -> Of,
        kind: CqlType,
    ) -> Result<Named, PlanError> {
        let [Selector::Column(name)] = arguments else {
            let takes = "one column".to_owned();
            return Err(PlanError::Arguments { function: called.to_owned(), takes });
        };
        let column = catalog::column(self.table, name)?;
        if column.kind != ColumnKind::Regular {
            return Err(PlanError::FunctionOfKey { function, column: column.name.clone() });
        }
        let is_many = self.table.conflict == Conflict::Lww && is_collection(&column.ty);
        if is_many && (function == "ttl" || called == "writetime") {
            let what = format!("{function}() of {name}, each of whose elements has its own,");
            return Err(PlanError::unsupported(what.replace("{name}", &column.name)));
        }
        Ok(Named::each(kind, of(column.id.0), format!("{called}({})", column.name)))
    }

    fn cast(&mut self, selector: &Selector, to: &TypeName) -> Result<Named, PlanError> {
        let (shown, name) = self.each(selector)?;
        let TypeName::Known(kind) = to else {
            return Err(PlanError::unsupported(format!("CAST to {to}")));
        };
        if !is_castable(&shown.kind, kind) {
            return Err(PlanError::Cast { from: shown.kind, to: kind.clone() });
        }
        let name = format!("cast({name} as {kind})");
        Ok(Named::each(kind.clone(), Of::Cast(Box::new(shown), kind.clone()), name))
    }

    /// `m[k]`, `s[v]`, `l[i]`.
    fn element(&mut self, of: &Selector, key: &Term) -> Result<Named, PlanError> {
        let (shown, name) = self.each(of)?;
        let (by, gives) = match shown.kind.thawed() {
            CqlType::Map(key, value) => (CqlType::clone(key), CqlType::clone(value)),
            CqlType::Set(of) => (CqlType::clone(of), CqlType::clone(of)),
            CqlType::List(of) => (CqlType::Int, CqlType::clone(of)),
            kind => return Err(PlanError::NoElements { name, kind: kind.clone() }),
        };
        let text = format!("{name}[{key}]");
        let key = self.expression(key, &name, &by)?;
        Ok(Named::each(gives, Of::Element(Box::new(shown), key), text))
    }

    /// A constant, or a marker whose type is written before it.
    fn term(&mut self, term: &Term) -> Result<Shown, PlanError> {
        let kind = match &term.kind {
            TermKind::Hinted { kind: TypeName::Known(kind), .. } => kind.clone(),
            TermKind::Literal(literal) => kind_of(literal)?,
            _ => {
                let what =
                    "a term without its type in a list of selections: write (type) before it,";
                return Err(PlanError::unsupported(what));
            }
        };
        let at = self.expression(term, "selection", &kind)?;
        Ok(Shown { kind, of: Of::Term(at) })
    }

    /// Takes a term in and gives its number.
    fn expression(&mut self, term: &Term, name: &str, kind: &CqlType) -> Result<usize, PlanError> {
        self.terms.push(self.markers.expression(term, name, kind)?);
        Ok(self.terms.len() - 1)
    }
}

fn total_of(
    total: Total,
    name: &str,
    arguments: Vec<Shown>,
    called: String,
) -> Result<Named, PlanError> {
    let takes = || PlanError::Arguments { function: name.to_owned(), takes: total.takes() };
    let Ok([shown]) = <[Shown; 1]>::try_from(arguments) else { return Err(takes()) };
    if !total.is_of(&shown.kind) {
        return Err(takes());
    }
    Ok(Named { item: Item::Total(total, Some(shown)), name: called })
}

fn no_arguments(function: &str, arguments: &[Selector]) -> Result<(), PlanError> {
    if arguments.is_empty() {
        return Ok(());
    }
    let takes = "nothing".to_owned();
    Err(PlanError::Arguments { function: function.to_owned(), takes })
}

/// Whether a column of this type has elements that are written one by one.
pub(super) fn is_collection(kind: &CqlType) -> bool {
    matches!(kind, CqlType::List(_) | CqlType::Set(_) | CqlType::Map(..))
}

/// The type of a constant that nothing else says the type of.
fn kind_of(literal: &Literal) -> Result<CqlType, PlanError> {
    Ok(match literal {
        Literal::Null => return Err(PlanError::unsupported("null in a list of selections")),
        Literal::Boolean(_) => CqlType::Boolean,
        Literal::Integer(digits) if digits.parse::<i32>().is_ok() => CqlType::Int,
        Literal::Integer(digits) if digits.parse::<i64>().is_ok() => CqlType::Bigint,
        Literal::Integer(_) => CqlType::Varint,
        Literal::Float(_) => CqlType::Double,
        Literal::Text(_) => CqlType::Text,
        Literal::Blob(_) => CqlType::Blob,
        Literal::Uuid(_) => CqlType::Uuid,
        Literal::Duration(_) => CqlType::Duration,
    })
}
