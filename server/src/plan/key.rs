//! Which rows a statement is about: one, or a stretch of one partition.
//!
//! ```text
//! WHERE p = 1 AND c = 2               one row, where (p, c) is the whole primary key
//! WHERE p = 1 AND c >= 2 AND c < 5    a stretch: equalities first, then at most one column's range
//! ```
//!
//! Callers: INSERT names the key by its columns, all others by relations. Pure.

use std::borrow::Cow;
use std::ops::Bound as End;
use std::sync::Arc;

use ring::{KEY_BYTES_MAX, KeyError, Token};
use sql::{Comparison, Relation, Subject, Term, Test};
use types::Order;
use types::key::encode_component;

use super::bind::{BoundValues, Expression, Markers};
use super::{PlanError, catalog};
use crate::metadata::{Column, ColumnKind, Table};
use crate::store::engine::KeyRange;
use crate::store::keys::{PartitionPrefix, RowKey, TableLife};

/// The rows of a statement, before its values are known.
#[derive(Debug, Clone)]
pub(super) struct KeyPlan {
    table: Arc<Table>,
    /// A value for each column of the partition key.
    partition: Vec<Expression>,
    /// Values for the first columns of the clustering key.
    prefix: Vec<Expression>,
    /// Bounds for the column behind them.
    slice: Slice,
}

/// The bounds of one clustering column.
#[derive(Debug, Clone, Default)]
struct Slice {
    lower: Option<Limit>,
    upper: Option<Limit>,
}

#[derive(Debug, Clone)]
struct Limit {
    value: Expression,
    is_inclusive: bool,
}

/// A stretch of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Where the partition lies on the ring.
    pub(super) token: Token,
    /// The keys.
    pub(super) range: KeyRange,
}

/// What is known of one key column while the relations are read.
#[derive(Debug, Clone, Default)]
struct Restricted {
    equal: Option<Expression>,
    slice: Slice,
}

impl KeyPlan {
    /// The row whose key columns INSERT names among its columns.
    pub(super) fn of_columns(
        table: &Arc<Table>,
        value_of: impl Fn(&Column) -> Option<Expression>,
    ) -> Result<Self, PlanError> {
        let values = |columns: Vec<&Column>, missing: fn(String) -> PlanError| {
            let lacks = |column: &&&Column| value_of(column).is_none();
            let lacking: Vec<_> =
                columns.iter().filter(lacks).map(|column| column.name.as_str()).collect();
            if lacking.is_empty() {
                Ok(columns.into_iter().filter_map(&value_of).collect())
            } else {
                Err(missing(lacking.join(", ")))
            }
        };
        let partition = values(table.partition_key().collect(), partition_key_missing)?;
        let prefix = values(table.clustering_key().collect(), clustering_missing)?;
        Ok(Self { table: Arc::clone(table), partition, prefix, slice: Slice::default() })
    }

    /// The rows that the relations of a WHERE name.
    pub(super) fn of_relations(
        table: &Arc<Table>,
        relations: &[Relation],
        is_read: bool,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        let keys: Vec<&Column> = table.partition_key().chain(table.clustering_key()).collect();
        let mut restricted = vec![Restricted::default(); keys.len()];
        for relation in relations {
            let (column, comparison, term) = comparison_of(table, relation)?;
            let Some(at) = keys.iter().position(|key| key.id == column.id) else {
                return Err(not_key(column, is_read));
            };
            let value = markers.expression(term, &column.name, &column.ty)?;
            restricted[at].add(column, comparison, value)?;
        }
        let clustering = restricted.split_off(table.partition_key().count());
        let partition = partition_of(table, restricted, relations.is_empty())?;
        let (prefix, slice) = clustering_of(table, clustering)?;
        Ok(Self { table: Arc::clone(table), partition, prefix, slice })
    }

    /// Whether it is one row, and not a stretch.
    pub(super) fn is_row(&self) -> bool {
        self.prefix.len() == self.table.clustering_key().count()
    }

    /// Refuses anything but one row.
    pub(super) fn require_row(&self) -> Result<(), PlanError> {
        let rest: Vec<_> = self
            .table
            .clustering_key()
            .skip(self.prefix.len())
            .map(|column| column.name.as_str())
            .collect();
        if rest.is_empty() { Ok(()) } else { Err(clustering_missing(rest.join(", "))) }
    }

    /// The marker of each column of the partition key, if each is one.
    pub(super) fn partition_markers(&self) -> Vec<u16> {
        let markers = self.partition.iter().map(Expression::marker).collect::<Option<_>>();
        markers.unwrap_or_default()
    }

    /// The row's key; only for one row.
    pub(super) fn bind_row(&self, values: &BoundValues<'_>) -> Result<RowKey, PlanError> {
        let (_, partition) = self.bind_partition(values)?;
        Ok(partition.row(&self.bind_prefix(values)?))
    }

    /// The stretch.
    pub(super) fn bind_stretch(&self, values: &BoundValues<'_>) -> Result<Stretch, PlanError> {
        let (token, partition) = self.bind_partition(values)?;
        let prefix = self.bind_prefix(values)?;
        let Slice { lower, upper } = &self.slice;
        let mut from = self.bind_end(lower.as_ref(), &prefix, values)?;
        let mut to = self.bind_end(upper.as_ref(), &prefix, values)?;
        if matches!(self.slice_column().map(order_of), Some(Order::Descending)) {
            (from, to) = (to, from);
        }
        let range = partition.range_of_clustering(as_slice(&from), as_slice(&to));
        Ok(Stretch { token, range })
    }

    fn bind_partition(
        &self,
        values: &BoundValues<'_>,
    ) -> Result<(Token, PartitionPrefix), PlanError> {
        let bind = |value: &Expression| value.bind_value(values).map(Cow::into_owned);
        let columns = self.partition.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        let key = ring::partition_key(&columns).map_err(|error| match error {
            KeyError::TooLong { bytes } => PlanError::KeyTooLong { len: bytes },
            _ => PlanError::EmptyKey,
        })?;
        if key.is_empty() {
            return Err(PlanError::EmptyKey);
        }
        let token = Token::of_key(&key);
        let life = TableLife { table: self.table.id.0, epoch: self.table.epoch };
        Ok((token, PartitionPrefix::new(life, token, &key)))
    }

    fn bind_prefix(&self, values: &BoundValues<'_>) -> Result<Vec<u8>, PlanError> {
        let mut encoded = Vec::new();
        for (column, value) in self.table.clustering_key().zip(&self.prefix) {
            put_component(column, value, values, &mut encoded)?;
        }
        Ok(encoded)
    }

    /// One end of the stretch; where the slice has none there, that of the prefix.
    fn bind_end(
        &self,
        limit: Option<&Limit>,
        prefix: &[u8],
        values: &BoundValues<'_>,
    ) -> Result<End<Vec<u8>>, PlanError> {
        let mut end = prefix.to_vec();
        let (Some(limit), Some(column)) = (limit, self.slice_column()) else {
            return Ok(if end.is_empty() { End::Unbounded } else { End::Included(end) });
        };
        put_component(column, &limit.value, values, &mut end)?;
        Ok(if limit.is_inclusive { End::Included(end) } else { End::Excluded(end) })
    }

    /// The clustering column that the slice is of.
    fn slice_column(&self) -> Option<&Column> {
        self.table.clustering_key().nth(self.prefix.len())
    }
}

impl Restricted {
    fn add(
        &mut self,
        column: &Column,
        comparison: Comparison,
        value: Expression,
    ) -> Result<(), PlanError> {
        let twice = || PlanError::RestrictedTwice { column: column.name.clone() };
        let (place, is_inclusive) = match comparison {
            Comparison::Equal if self.is_free() => {
                self.equal = Some(value);
                return Ok(());
            }
            Comparison::Equal => return Err(twice()),
            Comparison::NotEqual => {
                return Err(PlanError::NotEqual { column: column.name.clone() });
            }
            _ if matches!(column.kind, ColumnKind::Partition(_)) => {
                return Err(PlanError::unsupported(format!(
                    "a range of partition key {}, a scan of many partitions,",
                    column.name
                )));
            }
            Comparison::Greater => (&mut self.slice.lower, false),
            Comparison::GreaterOrEqual => (&mut self.slice.lower, true),
            Comparison::Less => (&mut self.slice.upper, false),
            Comparison::LessOrEqual => (&mut self.slice.upper, true),
        };
        if self.equal.is_some() || place.is_some() {
            return Err(twice());
        }
        *place = Some(Limit { value, is_inclusive });
        Ok(())
    }

    fn is_free(&self) -> bool {
        self.equal.is_none() && self.slice.is_free()
    }
}

impl Slice {
    fn is_free(&self) -> bool {
        self.lower.is_none() && self.upper.is_none()
    }
}

/// The column, operator and value of a relation of the simple kind.
fn comparison_of<'t, 'r>(
    table: &'t Table,
    relation: &'r Relation,
) -> Result<(&'t Column, Comparison, &'r Term), PlanError> {
    let column = match &relation.subject {
        Subject::Column(name) => catalog::column(table, name)?,
        Subject::Tuple(_) => return Err(PlanError::unsupported("a relation of several columns")),
        Subject::Token(_) => return Err(PlanError::unsupported("a relation of token()")),
        Subject::Element { .. } => {
            return Err(PlanError::unsupported("a relation of a collection's element"));
        }
        Subject::Field { .. } => return Err(PlanError::unsupported("a relation of a field")),
    };
    match &relation.test {
        Test::Compare(comparison, term) => Ok((column, *comparison, term)),
        Test::In(_) => Err(PlanError::unsupported("IN")),
        Test::Contains(_) | Test::ContainsKey(_) => Err(PlanError::unsupported("CONTAINS")),
        Test::Like(_) => Err(PlanError::unsupported("LIKE")),
        Test::IsNotNull => Err(PlanError::unsupported("IS NOT NULL")),
    }
}

fn not_key(column: &Column, is_read: bool) -> PlanError {
    let column = column.name.clone();
    if is_read {
        return PlanError::unsupported(format!(
            "a relation of {column}, which is outside the primary key and needs ALLOW FILTERING,"
        ));
    }
    PlanError::NotKey { column }
}

fn partition_of(
    table: &Table,
    restricted: Vec<Restricted>,
    is_scan: bool,
) -> Result<Vec<Expression>, PlanError> {
    if is_scan {
        return Err(PlanError::unsupported("a scan of a whole table"));
    }
    let lacking: Vec<_> = table
        .partition_key()
        .zip(&restricted)
        .filter(|(_, restricted)| restricted.equal.is_none())
        .map(|(column, _)| column.name.as_str())
        .collect();
    if !lacking.is_empty() {
        return Err(partition_key_missing(lacking.join(", ")));
    }
    Ok(restricted.into_iter().filter_map(|restricted| restricted.equal).collect())
}

/// Equalities, then one range, then nothing.
fn clustering_of(
    table: &Table,
    restricted: Vec<Restricted>,
) -> Result<(Vec<Expression>, Slice), PlanError> {
    let mut prefix = Vec::new();
    let mut slice = Slice::default();
    let mut open: Option<&Column> = None;
    for (column, restricted) in table.clustering_key().zip(restricted) {
        if restricted.is_free() {
            open = open.or(Some(column));
            continue;
        }
        if let Some(preceding) = open {
            let (column, preceding) = (column.name.clone(), preceding.name.clone());
            return Err(PlanError::ClusteringGap { column, preceding });
        }
        if let Some(value) = restricted.equal {
            prefix.push(value);
        } else {
            slice = restricted.slice;
            open = Some(column);
        }
    }
    Ok((prefix, slice))
}

/// Appends a component of the clustering key.
fn put_component(
    column: &Column,
    value: &Expression,
    values: &BoundValues<'_>,
    out: &mut Vec<u8>,
) -> Result<(), PlanError> {
    let bytes = value.bind_value(values)?;
    if bytes.len() > KEY_BYTES_MAX {
        return Err(PlanError::KeyTooLong { len: bytes.len() });
    }
    encode_component(&column.ty, &bytes, order_of(column), out)
        .map_err(|source| PlanError::Value { name: value.name().to_owned(), source })
}

/// Which way a clustering column sorts.
pub(super) fn order_of(column: &Column) -> Order {
    match column.kind {
        ColumnKind::Clustering(_, order) => order,
        ColumnKind::Partition(_) | ColumnKind::Regular => Order::Ascending,
    }
}

fn as_slice(end: &End<Vec<u8>>) -> End<&[u8]> {
    end.as_ref().map(Vec::as_slice)
}

fn partition_key_missing(columns: String) -> PlanError {
    PlanError::PartitionKeyMissing { columns }
}

fn clustering_missing(columns: String) -> PlanError {
    PlanError::ClusteringMissing { columns }
}
