//! Which rows a statement is about: some by their whole keys, stretches of partitions, or all whose
//! tokens lie between two bounds.
//!
//! ```text
//! WHERE p = 1 AND c = 2                  one row, where (p, c) is the whole primary key
//! WHERE p IN (1, 2) AND c IN (3, 4)      rows by their whole keys: every combination
//! WHERE p = 1 AND (c, d) > (2, 3)        stretches of a partition: points first, then one slice
//! WHERE token(p) > 5                     a scan; without WHERE that of the whole table
//! ```
//!
//! Law: rows and stretches come in the order in which they are read, no two of them alike and no
//! row in two of them: by the values of the partition key, then in clustering order. How many there
//! may be is bounded, for lists multiply.
//!
//! `relations` reads a WHERE, `span` finds the stretches of clustering keys. Callers: INSERT names
//! the key by its columns, all others by relations. Pure.

mod relations;
mod span;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use ring::{KeyError, Token};
use types::key::encode_component;
use types::tuple::fields;
use types::{CqlType, Order};

use super::PlanError;
use super::bind::{BoundValues, Expression};
use crate::metadata::{Column, ColumnKind, Table};
use crate::store::engine::KeyRange;
use crate::store::keys::{PartitionPrefix, RowKey, TableLife};

/// The rows of a statement, before its values are known.
#[derive(Debug, Clone)]
pub(super) struct KeyPlan {
    table: Arc<Table>,
    /// A choice for each column of the partition key; none in a scan.
    partition: Option<Vec<Choice>>,
    /// The tokens that may be read.
    tokens: TokenSlice,
    /// Choices for the first columns of the clustering key, each for one column or several.
    clustering: Vec<Choice>,
    /// Bounds for the columns behind them.
    slice: Slice,
}

/// The values that some neighbouring columns of the key may have.
#[derive(Debug, Clone)]
struct Choice {
    /// How many columns these are.
    width: usize,
    allowed: Allowed,
}

#[derive(Debug, Clone)]
enum Allowed {
    /// This.
    Equal(Tuple),
    /// One of these.
    In(Vec<Tuple>),
    /// One of a list that comes with the request.
    List(Expression),
}

/// A value for each of some neighbouring columns.
#[derive(Debug, Clone)]
enum Tuple {
    /// One by one.
    Parts(Vec<Expression>),
    /// All in a tuple that comes with the request.
    Whole(Expression),
}

/// Bounds of the clustering columns behind those that are chosen: each is one of the first of them
/// or of several, which compare as a tuple does.
#[derive(Debug, Clone, Default)]
struct Slice {
    lower: Option<Limit>,
    upper: Option<Limit>,
}

#[derive(Debug, Clone)]
struct Limit {
    width: usize,
    values: Tuple,
    is_inclusive: bool,
}

/// Bounds of `token(…)`.
#[derive(Debug, Clone, Default)]
struct TokenSlice {
    lower: Option<TokenLimit>,
    upper: Option<TokenLimit>,
}

#[derive(Debug, Clone)]
struct TokenLimit {
    value: TokenTerm,
    is_inclusive: bool,
}

/// What gives a token.
#[derive(Debug, Clone)]
enum TokenTerm {
    /// Its number.
    Number(Expression),
    /// A partition key that lies there.
    Of(Vec<Expression>),
}

/// Rows that lie side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stretch {
    /// Of one partition.
    Partition {
        /// Where it lies on the ring.
        token: Token,
        /// What its keys begin with.
        partition: PartitionPrefix,
        /// The encoded clustering columns.
        clustering: KeyRange,
    },
    /// Of all partitions whose tokens lie from the first to the last of these.
    Scan {
        /// The table.
        life: TableLife,
        /// The tokens.
        tokens: RangeInclusive<Token>,
    },
}

/// How long table and epoch are at the beginning of a key.
const LIFE_BYTES: usize = 8;

/// The raw values of some columns.
type Values<'a> = Vec<Cow<'a, [u8]>>;

impl KeyPlan {
    /// The row whose key columns INSERT names among its columns.
    pub(super) fn of_columns(
        table: &Arc<Table>,
        value_of: impl Fn(&Column) -> Option<Expression>,
    ) -> Result<Self, PlanError> {
        let choices = |columns: Vec<&Column>, missing: fn(String) -> PlanError| {
            let lacks = |column: &&&Column| value_of(column).is_none();
            let lacking: Vec<_> =
                columns.iter().filter(lacks).map(|column| column.name.as_str()).collect();
            if !lacking.is_empty() {
                return Err(missing(lacking.join(", ")));
            }
            let values = columns.into_iter().filter_map(&value_of);
            let choice = |value| Choice { width: 1, allowed: Allowed::Equal(Tuple::one(value)) };
            Ok(values.map(choice).collect())
        };
        Ok(Self {
            table: Arc::clone(table),
            partition: Some(choices(table.partition_key().collect(), partition_key_missing)?),
            tokens: TokenSlice::default(),
            clustering: choices(table.clustering_key().collect(), clustering_missing)?,
            slice: Slice::default(),
        })
    }

    /// Whether it is one row, whatever the values are.
    pub(super) fn is_row(&self) -> bool {
        self.is_rows() && self.choices().all(|choice| matches!(choice.allowed, Allowed::Equal(_)))
    }

    /// Whether it is rows by their whole keys, and no stretch.
    pub(super) fn is_rows(&self) -> bool {
        self.partition.is_some() && self.chosen() == self.table.clustering_key().count()
    }

    /// Whether it is of no partition that the statement names.
    pub(super) fn is_scan(&self) -> bool {
        self.partition.is_none()
    }

    /// Whether the statement may name several partitions.
    pub(super) fn has_partitions(&self) -> bool {
        let columns = self.partition.iter().flatten();
        columns.into_iter().any(|choice| !matches!(choice.allowed, Allowed::Equal(_)))
    }

    /// Whether the clustering key is restricted.
    pub(super) fn has_clustering(&self) -> bool {
        !self.clustering.is_empty() || !self.slice.is_free()
    }

    /// Refuses anything but one row.
    pub(super) fn require_row(&self) -> Result<(), PlanError> {
        self.require_rows()?;
        if self.is_row() { Ok(()) } else { Err(PlanError::NeedsRow { clause: "the statement" }) }
    }

    /// Refuses anything but rows by their whole keys.
    pub(super) fn require_rows(&self) -> Result<(), PlanError> {
        let rest: Vec<_> = self
            .table
            .clustering_key()
            .skip(self.chosen())
            .map(|column| column.name.as_str())
            .collect();
        if rest.is_empty() { Ok(()) } else { Err(clustering_missing(rest.join(", "))) }
    }

    /// The marker of each column of the partition key, if each is one.
    pub(super) fn partition_markers(&self) -> Vec<u16> {
        let marker = |choice: &Choice| match &choice.allowed {
            Allowed::Equal(Tuple::Parts(values)) => values.first().and_then(Expression::marker),
            Allowed::Equal(_) | Allowed::In(_) | Allowed::List(_) => None,
        };
        self.partition.iter().flatten().map(marker).collect::<Option<_>>().unwrap_or_default()
    }

    /// The row's key.
    ///
    /// # Errors
    /// [`PlanError::NeedsRow`] where it is not [one row](Self::is_row).
    pub(super) fn bind_row(&self, values: &BoundValues<'_>) -> Result<RowKey, PlanError> {
        self.require_row()?;
        let mut key = Vec::new();
        for choice in self.partition.iter().flatten() {
            key.extend(choice.bind_one(values)?);
        }
        let (_, partition) = self.locate(&key)?;
        let mut clustering = Vec::new();
        let mut columns = self.table.clustering_key();
        for choice in &self.clustering {
            for (value, column) in choice.bind_one(values)?.iter().zip(columns.by_ref()) {
                span::put_component(column, value, &mut clustering)?;
            }
        }
        Ok(partition.row(&clustering))
    }

    /// The keys of the rows, which may be none; only where [`Self::is_rows`].
    ///
    /// # Errors
    /// [`PlanError::TooManyCombinations`] for more than `max` of them.
    pub(super) fn bind_rows(
        &self,
        values: &BoundValues<'_>,
        max: u32,
    ) -> Result<Vec<RowKey>, PlanError> {
        let partitions = self.bind_partitions(values, max)?;
        let rows = self.bind_chosen(values, max)?;
        check_product(partitions.len(), rows.len(), max)?;
        let of_partition = |(_, partition): &(Token, PartitionPrefix)| {
            rows.iter().map(|row| partition.row(row)).collect::<Vec<_>>()
        };
        Ok(partitions.iter().flat_map(of_partition).collect())
    }

    /// The stretches in the order of a forward read, which may be none; rows are stretches too.
    ///
    /// # Errors
    /// [`PlanError::TooManyCombinations`] for more than `max` of them.
    pub(super) fn bind_stretches(
        &self,
        values: &BoundValues<'_>,
        max: u32,
    ) -> Result<Vec<Stretch>, PlanError> {
        let Some(tokens) = self.tokens.bind(values)? else { return Ok(Vec::new()) };
        if self.is_scan() {
            return Ok(vec![Stretch::Scan { life: self.life(), tokens }]);
        }
        let mut partitions = self.bind_partitions(values, max)?;
        partitions.retain(|(token, _)| tokens.contains(token));
        let spans = self.bind_spans(values, max)?;
        check_product(partitions.len(), spans.len(), max)?;
        let of_partition = |(token, partition): (Token, PartitionPrefix)| {
            let stretch = move |clustering: &KeyRange| Stretch::Partition {
                token,
                partition: partition.clone(),
                clustering: clustering.clone(),
            };
            spans.iter().map(stretch).collect::<Vec<_>>()
        };
        Ok(partitions.into_iter().flat_map(of_partition).collect())
    }

    /// The partitions by the values of their keys.
    fn bind_partitions(
        &self,
        values: &BoundValues<'_>,
        max: u32,
    ) -> Result<Vec<(Token, PartitionPrefix)>, PlanError> {
        // Under the encoding of its values, which sorts as they do, each with its raw values.
        let mut keys: BTreeMap<Vec<u8>, Values<'_>> = BTreeMap::from([Default::default()]);
        for (column, choice) in self.table.partition_key().zip(self.partition.iter().flatten()) {
            let chosen = choice.bind(values)?;
            check_product(keys.len(), chosen.len(), max)?;
            let mut longer = BTreeMap::new();
            for (sorts_as, key) in &keys {
                for value in chosen.iter().flatten() {
                    let mut sorts_as = sorts_as.clone();
                    put_value(column, value, Order::Ascending, &mut sorts_as)?;
                    let key = key.iter().chain([value]).cloned().collect();
                    longer.insert(sorts_as, key);
                }
            }
            keys = longer;
        }
        keys.values().map(|key| self.locate(key)).collect()
    }

    fn locate<C: AsRef<[u8]>>(&self, columns: &[C]) -> Result<(Token, PartitionPrefix), PlanError> {
        let key = serialized(columns)?;
        let token = Token::of_key(&key);
        Ok((token, PartitionPrefix::new(self.life(), token, &key)))
    }

    fn life(&self) -> TableLife {
        TableLife { table: self.table.id.0, epoch: self.table.epoch }
    }

    fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.partition.iter().flatten().chain(&self.clustering)
    }

    /// How many clustering columns have a choice.
    fn chosen(&self) -> usize {
        self.clustering.iter().map(|choice| choice.width).sum()
    }
}

impl Choice {
    /// The values of each choice in this request.
    fn bind<'a>(&'a self, values: &BoundValues<'a>) -> Result<Vec<Values<'a>>, PlanError> {
        match &self.allowed {
            Allowed::Equal(tuple) => Ok(vec![tuple.bind(self.width, values)?]),
            Allowed::In(each) => each.iter().map(|tuple| tuple.bind(self.width, values)).collect(),
            Allowed::List(list) => {
                let each = list.bind_elements(values)?.into_iter();
                if self.width == 1 {
                    return Ok(each.map(|value| vec![Cow::Owned(value)]).collect());
                }
                let of = match list.kind().thawed() {
                    CqlType::List(of) => of.as_ref(),
                    other => other,
                };
                each.map(|tuple| parts(of, &tuple, self.width, list.name())).collect()
            }
        }
    }

    /// The one value of each column, where there is no choice.
    fn bind_one<'a>(&'a self, values: &BoundValues<'a>) -> Result<Values<'a>, PlanError> {
        match &self.allowed {
            Allowed::Equal(tuple) => tuple.bind(self.width, values),
            Allowed::In(_) | Allowed::List(_) => {
                Err(PlanError::NeedsRow { clause: "the statement" })
            }
        }
    }
}

impl Tuple {
    /// The value of one column.
    fn one(value: Expression) -> Self {
        Self::Parts(vec![value])
    }

    fn bind<'a>(&'a self, width: usize, values: &BoundValues<'a>) -> Result<Values<'a>, PlanError> {
        match self {
            Self::Parts(each) => each.iter().map(|value| value.bind_value(values)).collect(),
            Self::Whole(tuple) => {
                parts(tuple.kind(), &tuple.bind_value(values)?, width, tuple.name())
            }
        }
    }
}

/// The fields of a tuple of columns, none of which may be null.
fn parts(
    kind: &CqlType,
    tuple: &[u8],
    width: usize,
    name: &str,
) -> Result<Values<'static>, PlanError> {
    let refused = |source| PlanError::Value { name: name.to_owned(), source };
    let null = || PlanError::Null { name: name.to_owned() };
    let mut values = Vec::with_capacity(width);
    for field in fields(kind, tuple) {
        let (_, value) = field.map_err(refused)?;
        values.push(Cow::Owned(value.ok_or_else(null)?.to_vec()));
    }
    if values.len() == width { Ok(values) } else { Err(null()) }
}

impl Slice {
    fn is_free(&self) -> bool {
        self.lower.is_none() && self.upper.is_none()
    }
}

impl TokenSlice {
    /// The tokens between the bounds; none where there are none.
    fn bind(&self, values: &BoundValues<'_>) -> Result<Option<RangeInclusive<Token>>, PlanError> {
        let mut first = Token::MIN;
        if let Some(limit) = &self.lower {
            let token = limit.value.bind(values)?;
            let Some(next) = token.value().checked_add(i64::from(!limit.is_inclusive)) else {
                return Ok(None);
            };
            first = Token::new(next);
        }
        let mut last = Token::MAX;
        if let Some(limit) = &self.upper {
            let token = limit.value.bind(values)?;
            // As an upper bound the least token stands for the end of the ring: drivers that cut
            // the ring into ranges write the last one so.
            if token != Token::MIN {
                last = Token::new(token.value() - i64::from(!limit.is_inclusive));
            }
        }
        Ok((first <= last).then_some(first..=last))
    }
}

impl TokenTerm {
    fn bind(&self, values: &BoundValues<'_>) -> Result<Token, PlanError> {
        match self {
            Self::Number(number) => {
                let bytes = number.bind_value(values)?;
                let number = bytes.as_ref().try_into().map_or(0, i64::from_be_bytes);
                Ok(Token::new(number))
            }
            Self::Of(key) => {
                let columns = key.iter().map(|value| value.bind_value(values));
                Ok(Token::of_key(&serialized(&columns.collect::<Result<Vec<_>, _>>()?)?))
            }
        }
    }
}

impl Stretch {
    /// Where the rows lie on the ring.
    pub(super) fn tokens(&self) -> RangeInclusive<Token> {
        match self {
            Self::Partition { token, .. } => *token..=*token,
            Self::Scan { tokens, .. } => tokens.clone(),
        }
    }

    /// The keys.
    pub(super) fn range(&self) -> KeyRange {
        match self {
            Self::Partition { partition, clustering, .. } => {
                let whole = partition.range();
                let start = partition.row(clustering.start());
                let end = clustering.end().map(|end| Bytes::from(partition.row(end)));
                let end = end.or_else(|| whole.end().cloned());
                KeyRange::between(start, end.expect("a partition's keys hold a byte below FF"))
            }
            Self::Scan { life, tokens } => life.range_of_tokens(tokens),
        }
    }
}

impl Stretch {
    /// Whether the rows are of this partition alone.
    pub(super) fn is_of(&self, partition: &PartitionPrefix) -> bool {
        matches!(self, Self::Partition { partition: own, .. } if own == partition)
    }

    /// What the stretch itself does not say of the key of one of its rows.
    pub(super) fn tail(&self, key: &[u8]) -> Bytes {
        Bytes::copy_from_slice(key.get(self.head().len()..).unwrap_or_default())
    }

    /// The key with this [tail](Self::tail).
    pub(super) fn key_of(&self, tail: &[u8]) -> Bytes {
        [&self.head(), tail].concat().into()
    }

    /// What says which rows these are, without the table and its epoch.
    pub(super) fn parts(&self) -> [Bytes; 3] {
        let number = |token: &Token| Bytes::copy_from_slice(&token.value().to_be_bytes());
        match self {
            Self::Partition { partition, clustering, .. } => {
                let own = partition.as_bytes().slice(LIFE_BYTES..);
                let end = clustering
                    .end()
                    .map_or_else(Bytes::new, |end| [b"<", &end[..]].concat().into());
                [own, clustering.start().clone(), end]
            }
            Self::Scan { tokens, .. } => {
                [Bytes::from_static(b"scan"), number(tokens.start()), number(tokens.end())]
            }
        }
    }

    /// What the keys of all rows begin with.
    fn head(&self) -> Bytes {
        match self {
            Self::Partition { partition, .. } => partition.as_bytes().clone(),
            Self::Scan { life, .. } => {
                [life.table.to_be_bytes(), life.epoch.to_be_bytes()].concat().into()
            }
        }
    }
}

/// The serialized partition key of these columns, which is not empty.
fn serialized<C: AsRef<[u8]>>(columns: &[C]) -> Result<Vec<u8>, PlanError> {
    let key = ring::partition_key(columns).map_err(|error| match error {
        KeyError::TooLong { bytes } => PlanError::KeyTooLong { len: bytes },
        _ => PlanError::EmptyKey,
    })?;
    if key.is_empty() { Err(PlanError::EmptyKey) } else { Ok(key) }
}

/// Refuses more than `max` combinations of so many with so many.
fn check_product(these: usize, those: usize, max: u32) -> Result<(), PlanError> {
    if these.saturating_mul(those) > max as usize {
        return Err(PlanError::TooManyCombinations { max });
    }
    Ok(())
}

/// Appends the encoding of a column's value.
fn put_value(
    column: &Column,
    value: &[u8],
    order: Order,
    out: &mut Vec<u8>,
) -> Result<(), PlanError> {
    encode_component(&column.ty, value, order, out)
        .map_err(|source| PlanError::Value { name: column.name.clone(), source })
}

/// Which way a clustering column sorts.
pub(super) fn order_of(column: &Column) -> Order {
    match column.kind {
        ColumnKind::Clustering(_, order) => order,
        ColumnKind::Partition(_) | ColumnKind::Regular => Order::Ascending,
    }
}

fn partition_key_missing(columns: String) -> PlanError {
    PlanError::PartitionKeyMissing { columns }
}

fn clustering_missing(columns: String) -> PlanError {
    PlanError::ClusteringMissing { columns }
}
