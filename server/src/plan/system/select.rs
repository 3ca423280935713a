//! SELECT from a system table.
//!
//! Any column may be tested with `=` and IN, for a system table is small and made anew for each
//! request. The answer is whole: there are no pages. The level is of no account.

use std::collections::BTreeSet;

use bytes::Bytes;
use sql::{
    Attribute, Comparison, InList, Name, Relation, Select, Selection, Selector, Subject, Test,
};
use types::CqlType;

use super::{Part, Record, SystemColumn, SystemTable, View};
use crate::plan::bind::{BoundValues, Expression, Markers};
use crate::plan::prepared::BindContext;
use crate::plan::project::COLUMNS_MAX;
use crate::plan::seal::SealError;
use crate::plan::select::{bind_limit, limit};
use crate::plan::{LocalRows, Plan, PlanError};

/// A SELECT from a system table.
#[derive(Debug, Clone)]
pub(in crate::plan) struct SystemSelect {
    table: &'static SystemTable,
    columns: wire::Columns,
    /// Which columns of the table are shown; none: how many rows there are.
    shown: Option<Vec<usize>>,
    filters: Vec<Filter>,
    limit: Option<Expression>,
}

/// A test of one column.
#[derive(Debug, Clone)]
struct Filter {
    column: usize,
    allowed: Allowed,
}

/// The values that pass a test.
#[derive(Debug, Clone)]
enum Allowed {
    /// These.
    Each(Vec<Expression>),
    /// Those of a list that comes with the request.
    List(Expression),
}

/// One row with a cell for each column of its table.
type Cells = Vec<Option<Vec<u8>>>;

impl SystemSelect {
    pub(in crate::plan) fn new(
        select: &Select,
        table: &'static SystemTable,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        refuse_clauses(select)?;
        if !select.order_by.is_empty() {
            return Err(PlanError::unsupported("ORDER BY on a system table"));
        }
        for attribute in &select.using.attributes {
            let attribute = match attribute {
                Attribute::Consistency(..) => continue,
                Attribute::Ttl(_) => "TTL",
                Attribute::Timestamp(_) => "TIMESTAMP",
                Attribute::Context(_) => "CONTEXT",
            };
            return Err(PlanError::Attribute { attribute, verb: "SELECT from a system table" });
        }
        let (shown, columns) = shown(table, &select.selections)?;
        let filter = |relation| Filter::new(table, relation, markers);
        let filters = select.relations.iter().map(filter).collect::<Result<_, _>>()?;
        let limit = limit(select, markers)?;
        Ok(Self { table, columns, shown, filters, limit })
    }

    /// The columns of the result.
    pub(in crate::plan) fn columns(&self) -> &wire::Columns {
        &self.columns
    }

    /// Keyspace and name of the table.
    pub(in crate::plan) fn table(&self) -> (String, String) {
        (self.table.keyspace.to_owned(), self.table.name.to_owned())
    }

    pub(in crate::plan) fn bind(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        if request.paging_state.is_some() {
            return Err(PlanError::BadPagingState { source: SealError::Forged });
        }
        let limit = bind_limit(self.limit.as_ref(), "LIMIT", values)?.unwrap_or(usize::MAX);
        let bind = |filter: &Filter| Ok((filter.column, filter.allowed.bind(values)?));
        let filters = self.filters.iter().map(bind).collect::<Result<Vec<_>, PlanError>>()?;
        let passes = |cells: &Cells| {
            let is_allowed = |(column, allowed): &(usize, BTreeSet<Vec<u8>>)| {
                cells[*column].as_ref().is_some_and(|cell| allowed.contains(cell))
            };
            filters.iter().all(is_allowed)
        };
        let BindContext { snapshot, local, told, .. } = *request;
        let view = View { snapshot, local, told };
        let records = (self.table.rows)(&view);
        let rows = cells(self.table, records).filter(passes);
        let rows = if let Some(shown) = &self.shown {
            rows.take(limit).map(|cells| pick(&cells, shown)).collect()
        } else {
            let count = i64::try_from(rows.count()).unwrap_or(i64::MAX);
            vec![vec![Some(Bytes::copy_from_slice(&count.to_be_bytes()))]]
        };
        Ok(Plan::Rows(LocalRows { columns: self.columns.clone(), rows }))
    }
}

/// Refuses the clauses of SELECT that only stored tables have.
fn refuse_clauses(select: &Select) -> Result<(), PlanError> {
    let clauses = [
        (select.is_distinct, "SELECT DISTINCT"),
        (!select.group_by.is_empty(), "GROUP BY"),
        (select.per_partition_limit.is_some(), "PER PARTITION LIMIT"),
    ];
    match clauses.iter().find(|(is_there, _)| *is_there) {
        Some((_, clause)) => Err(PlanError::unsupported(format!("{clause} on a system table"))),
        None => Ok(()),
    }
}

impl Filter {
    fn new(
        table: &'static SystemTable,
        relation: &Relation,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        let other = || PlanError::unsupported("a relation other than = or IN on a system table");
        let Subject::Column(name) = &relation.subject else { return Err(other()) };
        let column = position(table, name)?;
        let SystemColumn { name, .. } = table.columns[column];
        let kind = table.columns[column].kind();
        let allowed = match &relation.test {
            Test::Compare(Comparison::Equal, term) => {
                Allowed::Each(vec![markers.expression(term, name, &kind)?])
            }
            Test::In(InList::Terms(terms)) => {
                let each = terms.iter().map(|term| markers.expression(term, name, &kind));
                Allowed::Each(each.collect::<Result<_, _>>()?)
            }
            Test::In(InList::Marker(marker)) => {
                let kind = CqlType::List(Box::new(kind));
                Allowed::List(markers.marker(marker, &format!("in({name})"), &kind))
            }
            _ => return Err(other()),
        };
        Ok(Self { column, allowed })
    }
}

impl Allowed {
    fn bind(&self, values: &BoundValues<'_>) -> Result<BTreeSet<Vec<u8>>, PlanError> {
        match self {
            Self::Each(each) => {
                each.iter().map(|value| Ok(value.bind_value(values)?.into_owned())).collect()
            }
            Self::List(list) => Ok(list.bind_elements(values)?.into_iter().collect()),
        }
    }
}

/// What a list of selections shows, and how the columns of the result are called.
fn shown(
    table: &'static SystemTable,
    selections: &[Selection],
) -> Result<(Option<Vec<usize>>, wire::Columns), PlanError> {
    let mut shown = Vec::new();
    let mut named: Vec<(String, CqlType)> = Vec::new();
    let name_of = |selection: &Selection, name: &str| {
        selection.alias.as_ref().map_or(name, |alias| &alias.text).to_owned()
    };
    for selection in selections {
        match &selection.selector {
            Selector::All => {
                let all = all(table);
                named.extend(
                    all.iter()
                        .map(|at| (table.columns[*at].name.to_owned(), table.columns[*at].kind())),
                );
                shown.extend(all);
            }
            Selector::Column(name) => {
                let column = position(table, name)?;
                shown.push(column);
                let SystemColumn { name, .. } = table.columns[column];
                named.push((name_of(selection, name), table.columns[column].kind()));
            }
            Selector::CountRows if selections.len() == 1 => {
                let named = [(name_of(selection, "count"), CqlType::Bigint)];
                return Ok((None, result_columns(table, &named)));
            }
            _ => return Err(PlanError::unsupported("a function on a system table")),
        }
        if shown.len() > COLUMNS_MAX {
            return Err(PlanError::TooManySelections { max: COLUMNS_MAX });
        }
    }
    Ok((Some(shown), result_columns(table, &named)))
}

/// `*`: keys first, then the others by name.
fn all(table: &SystemTable) -> Vec<usize> {
    let mut all: Vec<usize> = (0..table.columns.len()).collect();
    all.sort_by_key(|at| {
        let column = &table.columns[*at];
        (column.part == Part::Regular).then_some(column.name)
    });
    all
}

fn result_columns(table: &SystemTable, named: &[(String, CqlType)]) -> wire::Columns {
    let (keyspace, table) = (table.keyspace, table.name);
    let spec = |(name, ty)| wire::ColumnSpec { keyspace, table, name, ty };
    wire::Columns::new(&named.iter().map(|(name, ty)| spec((name, ty))).collect::<Vec<_>>())
}

fn position(table: &SystemTable, name: &Name) -> Result<usize, PlanError> {
    let found = table.columns.iter().position(|column| column.name == name.text);
    found.ok_or_else(|| PlanError::UnknownColumn {
        column: name.text.clone(),
        table: format!("{}.{}", table.keyspace, table.name),
    })
}

/// The rows as bytes, a cell for each column of the table.
fn cells(table: &'static SystemTable, records: Vec<Record>) -> impl Iterator<Item = Cells> {
    let kinds: Vec<_> = table.columns.iter().map(|column| (column.name, column.kind())).collect();
    records.into_iter().map(move |record| {
        let cell = |(name, kind): &(&str, CqlType)| {
            let (_, value) = record.iter().find(|(column, _)| column == name)?;
            let bytes = value.encode(kind).expect("the values of a system table are of its types");
            // A collection that is not frozen has no empty value.
            let is_null = matches!(kind, CqlType::Set(_) | CqlType::Map(..)) && bytes == [0; 4];
            (!is_null).then_some(bytes)
        };
        kinds.iter().map(cell).collect()
    })
}

fn pick(cells: &Cells, shown: &[usize]) -> Vec<Option<Bytes>> {
    shown.iter().map(|column| cells[*column].clone().map(Bytes::from)).collect()
}
