//! SELECT: one row by its whole primary key, or pages of stretches: of partitions, or of a scan.
//!
//! Callers: `prepared`. Pure.

use std::sync::Arc;

use sql::{OrderBy, Select};
use types::CqlType;

use super::answer::Answer;
use super::bind::{BoundValues, Expression, Markers};
use super::key::{KeyPlan, order_of};
use super::page::{PageOp, PageRequest};
use super::prepared::BindContext;
use super::project::{Of, Projection};
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
    is_distinct: bool,
    limit: Option<Expression>,
    per_partition: Option<Expression>,
    /// What paging states belong to.
    statement: [u8; 32],
}

impl SelectPlan {
    pub(super) fn new(
        select: &Select,
        table: Arc<Table>,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        if !select.group_by.is_empty() {
            return Err(PlanError::unsupported("GROUP BY"));
        }
        let projection = Arc::new(Projection::of_select(&table, &select.selections, markers)?);
        let using = UsingPlan::new(&select.using, &table, Verb::Select, markers)?;
        let key = KeyPlan::of_relations(&table, &select.relations, true, markers)?;
        if using.has_context() && !key.is_row() {
            return Err(PlanError::NeedsRow { clause: "USING CONTEXT" });
        }
        if select.is_distinct {
            check_distinct(&table, &key, &projection)?;
        }
        let order = order(&table, &select.order_by)?;
        check_order(select, &key)?;
        let per_partition = per_partition(select, &projection, markers)?;
        let limit = limit(select, markers)?;
        let statement = fingerprint(select, &table);
        let is_distinct = select.is_distinct;
        Ok(Self {
            table,
            key,
            using,
            projection,
            order,
            is_distinct,
            limit,
            per_partition,
            statement,
        })
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
        let limit = bind_limit(self.limit.as_ref(), "LIMIT", values)?;
        let per_partition = bind_limit(self.per_partition.as_ref(), "PER PARTITION LIMIT", values)?;
        let per_partition = if self.is_distinct { Some(1) } else { per_partition };
        let answer = Answer::new(&self.projection, self.projection.bind(values)?, request);
        if !self.key.is_row() {
            let stretches = self.key.bind_stretches(values, request.limits.in_max)?;
            let statement = &self.statement;
            let asked =
                PageRequest { statement, stretches, order: self.order, limit, per_partition };
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
        let limit = limit.into_iter().chain(per_partition).min();
        let answer = answer.limited(limit.unwrap_or(usize::MAX));
        let shows_context = self.projection.shows_context() && !self.projection.is_total();
        let answer = if shows_context { answer.always() } else { answer };
        let table = Arc::clone(&self.table);
        Ok(Plan::ReadRow(Box::new(ReadRowPlan { table, key, level, at_least, answer })))
    }
}

/// Refuses a SELECT DISTINCT of anything but whole partition keys.
fn check_distinct(table: &Table, key: &KeyPlan, shown: &Projection) -> Result<(), PlanError> {
    let is_other = |of: &Of| {
        !matches!(of, Of::Partition(_) | Of::Token | Of::Term(_) | Of::Call(..) | Of::Cast(..))
    };
    if shown.is_total() || shown.shows(&is_other) {
        let name = if shown.is_total() { "an aggregate" } else { "another column" };
        return Err(PlanError::DistinctOther { name: name.to_owned() });
    }
    for (at, column) in table.partition_key().enumerate() {
        if !shown.shows(&|of| *of == Of::Partition(at)) {
            return Err(PlanError::DistinctPart { column: column.name.clone() });
        }
    }
    if key.has_clustering() { Err(PlanError::DistinctClustering) } else { Ok(()) }
}

/// Refuses an ORDER BY of more than one partition.
fn check_order(select: &Select, key: &KeyPlan) -> Result<(), PlanError> {
    if select.order_by.is_empty() {
        return Ok(());
    }
    if key.is_scan() {
        return Err(PlanError::OrderByOfScan);
    }
    if key.has_partitions() { Err(PlanError::OrderByOfPartitions) } else { Ok(()) }
}

/// The operand of PER PARTITION LIMIT.
fn per_partition(
    select: &Select,
    shown: &Projection,
    markers: &mut Markers,
) -> Result<Option<Expression>, PlanError> {
    let Some(term) = &select.per_partition_limit else { return Ok(None) };
    if select.is_distinct {
        return Err(PlanError::PerPartitionLimit { clause: "SELECT DISTINCT" });
    }
    if shown.is_total() {
        return Err(PlanError::PerPartitionLimit { clause: "aggregate" });
    }
    markers.expression(term, "[per_partition_limit]", &CqlType::Int).map(Some)
}

/// The operand of LIMIT.
pub(super) fn limit(
    select: &Select,
    markers: &mut Markers,
) -> Result<Option<Expression>, PlanError> {
    let limit = select.limit.as_ref();
    limit.map(|term| markers.expression(term, "[limit]", &CqlType::Int)).transpose()
}

/// A limit in this request; none without it, and where it is not set.
pub(super) fn bind_limit(
    limit: Option<&Expression>,
    clause: &'static str,
    values: &BoundValues<'_>,
) -> Result<Option<usize>, PlanError> {
    let Some(limit) = limit.map(|limit| limit.bind_int(values)).transpose()?.flatten() else {
        return Ok(None);
    };
    match usize::try_from(limit) {
        Ok(limit) if limit > 0 => Ok(Some(limit)),
        _ => Err(PlanError::Limit { clause }),
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
