//! SELECT: one row by its whole primary key, or a stretch of one partition.
//!
//! Callers: `prepared`. Pure.

use std::sync::Arc;

use sql::{OrderBy, Select};
use types::CqlType;

use super::answer::Answer;
use super::bind::{BoundValues, Expression, Markers};
use super::key::{KeyPlan, Stretch, order_of};
use super::page::{PageOp, PageRequest};
use super::prepared::BindContext;
use super::project::Projection;
use super::seal::SealError;
use super::using::{UsingPlan, Verb};
use super::{Plan, PlanError, ReadPartitionPlan, ReadRowPlan, catalog};
use crate::metadata::Table;
use crate::store::engine::Order;

/// A SELECT from one of the cluster's tables.
#[derive(Debug, Clone)]
pub(super) struct SelectPlan {
    table: Arc<Table>,
    key: KeyPlan,
    using: UsingPlan,
    projection: Arc<Projection>,
    order: Order,
    limit: Option<Expression>,
    /// What paging states belong to.
    statement: [u8; 32],
}

impl SelectPlan {
    pub(super) fn new(
        select: &Select,
        table: Arc<Table>,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        refuse_clauses(select)?;
        let projection = Arc::new(Projection::new(&table, &select.selections)?);
        let using = UsingPlan::new(&select.using, &table, Verb::Select, markers)?;
        if select.allow_filtering {
            return Err(PlanError::unsupported("ALLOW FILTERING"));
        }
        let key = KeyPlan::of_relations(&table, &select.relations, true, markers)?;
        if using.has_context() && !key.is_row() {
            return Err(PlanError::NeedsRow { clause: "USING CONTEXT" });
        }
        let order = order(&table, &select.order_by)?;
        let limit = limit(select, markers)?;
        let statement = fingerprint(select, &table);
        Ok(Self { table, key, using, projection, order, limit, statement })
    }

    /// The table that is read.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// The columns of the result.
    pub(super) fn columns(&self) -> &wire::Columns {
        &self.projection.columns
    }

    /// The marker of each column of the partition key.
    pub(super) fn partition_markers(&self) -> Vec<u16> {
        self.key.partition_markers()
    }

    pub(super) fn bind(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        let level = self.using.read_level(request.consistency)?;
        let limit = bind_limit(self.limit.as_ref(), values)?;
        let secret = &request.snapshot.value.secrets.current;
        let answer = Answer::new(&self.projection, request.now_us, secret);
        if !self.key.is_row() {
            let stretch = self.stretch(values, request)?;
            let asked =
                PageRequest { statement: &self.statement, stretch, order: self.order, limit };
            let page = PageOp::new(asked, answer, request)?;
            let (table, order) = (Arc::clone(&self.table), self.order);
            let plan = ReadPartitionPlan { table, order, level, page };
            return Ok(Plan::ReadPartition(Box::new(plan)));
        }
        if request.paging_state.is_some() {
            return Err(PlanError::BadPagingState { source: SealError::Forged });
        }
        let key = self.key.bind_row(values)?;
        let at_least = self.using.context(values, &key, request)?;
        let answer = answer.limited(limit.unwrap_or(usize::MAX));
        let answer = if self.projection.shows_context() { answer.always() } else { answer };
        let table = Arc::clone(&self.table);
        Ok(Plan::ReadRow(Box::new(ReadRowPlan { table, key, level, at_least, answer })))
    }
}

impl SelectPlan {
    fn stretch(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Option<Stretch>, PlanError> {
        if self.key.is_scan() {
            return Err(PlanError::unsupported("a scan of a whole table"));
        }
        let mut stretches = self.key.bind_stretches(values, request.limits.in_max)?;
        if stretches.len() > 1 {
            return Err(PlanError::unsupported("a SELECT of several stretches"));
        }
        Ok(stretches.pop())
    }
}

/// Refuses the clauses of SELECT that are not there yet.
pub(super) fn refuse_clauses(select: &Select) -> Result<(), PlanError> {
    let clauses = [
        (select.is_distinct, "SELECT DISTINCT"),
        (!select.group_by.is_empty(), "GROUP BY"),
        (select.per_partition_limit.is_some(), "PER PARTITION LIMIT"),
    ];
    match clauses.iter().find(|(is_there, _)| *is_there) {
        Some((_, clause)) => Err(PlanError::unsupported(*clause)),
        None => Ok(()),
    }
}

/// The operand of LIMIT.
pub(super) fn limit(
    select: &Select,
    markers: &mut Markers,
) -> Result<Option<Expression>, PlanError> {
    let limit = select.limit.as_ref();
    limit.map(|term| markers.expression(term, "[limit]", &CqlType::Int)).transpose()
}

/// LIMIT in this request; none without it, and where it is not set.
pub(super) fn bind_limit(
    limit: Option<&Expression>,
    values: &BoundValues<'_>,
) -> Result<Option<usize>, PlanError> {
    let Some(limit) = limit.map(|limit| limit.bind_int(values)).transpose()?.flatten() else {
        return Ok(None);
    };
    match usize::try_from(limit) {
        Ok(limit) if limit > 0 => Ok(Some(limit)),
        _ => Err(PlanError::Limit),
    }
}

/// Which way ORDER BY walks: the first clustering columns, all as declared or all the other way.
fn order(table: &Table, order_by: &[OrderBy]) -> Result<Order, PlanError> {
    let mut clustering = table.clustering_key();
    let mut ways = order_by.iter().map(|item| {
        let (name, order) = match item {
            OrderBy::Column { column, order } => (column, *order),
            OrderBy::Nearest { .. } => return Err(PlanError::unsupported("ORDER BY … ANN OF")),
        };
        let column = catalog::column(table, name)?;
        if !table.clustering_key().any(|key| key.id == column.id) {
            return Err(PlanError::OrderByOther { column: column.name.clone() });
        }
        if clustering.next().is_none_or(|next| next.id != column.id) {
            return Err(PlanError::OrderBy);
        }
        Ok(if order == order_of(column) { Order::Forward } else { Order::Reverse })
    });
    let first = ways.next().transpose()?.unwrap_or(Order::Forward);
    for way in ways {
        if way? != first {
            return Err(PlanError::OrderBy);
        }
    }
    Ok(first)
}

/// What a SELECT of a table is, in 32 bytes: equal on every node for the same text.
fn fingerprint(select: &Select, table: &Table) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&table.id.0.to_be_bytes());
    hasher.update(select.to_string().as_bytes());
    hasher.finalize().into()
}
