//! How stored rows are shown to the client that asked.
//!
//! Every living version of a row is a result row, newest first; a row of a table of last-write-wins
//! is one, put together from its living cells. A row without any is none, unless the statement
//! always answers: RETURNING, and a SELECT of one whole primary key that names `context()`, then
//! show one row with the key, its context, a `sibling_count()` of 0 and null elsewhere, so that a
//! client that deleted or never saw a row can still write with its context.
//!
//! LIMIT counts result rows, and so it may cut within a row: `LIMIT 1` of a row with three versions
//! shows the newest; its `sibling_count()` and `context()` still speak of all three. Aggregates are
//! one result row about all.
//!
//! Callers: `front`, when the coordinator has answered. Pure.

mod evaluate;

use std::sync::Arc;

use bytes::Bytes;
use types::key::decode_component;

use self::evaluate::{Line, View};
use super::PlanError;
use super::bind::BoundValues;
use super::functions::Calls;
use super::key::order_of;
use super::prepared::BindContext;
use super::project::{Item, Projection};
use super::seal::{Purpose, seal};
use super::total::Running;
use crate::metadata::Secret;
use crate::replica::RowCopy;
use crate::store::keys::RowKey;

/// A stored key that does not fit its table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stored key of {len} bytes does not fit its table")]
pub struct DamagedKey {
    /// How long it is.
    pub len: usize,
}

/// How the rows of one execution are shown.
#[derive(Debug, Clone)]
pub struct Answer {
    projection: Arc<Projection>,
    /// What is over by then is not shown; contexts say that they were made then.
    now_us: i64,
    /// Seals contexts.
    secret: Secret,
    /// The values of the constants and markers among the selections.
    terms: Vec<Option<Vec<u8>>>,
    calls: Calls,
    /// How many result rows there may be.
    limit: usize,
    /// Whether a row without versions is shown too.
    is_always: bool,
}

/// What all result rows of one stored row share.
struct RowCells {
    partition: Vec<Vec<u8>>,
    clustering: Vec<Vec<u8>>,
    token: i64,
    context: Option<Vec<u8>>,
    siblings: i32,
}

/// The one result row of aggregates, as far as rows were added.
#[derive(Debug, Clone)]
pub(super) struct Totals {
    items: Vec<RunningItem>,
    /// Whether a row was added.
    has_row: bool,
}

#[derive(Debug, Clone)]
enum RunningItem {
    Total(Running),
    /// What the first row has.
    First(Option<Vec<u8>>),
}

impl Answer {
    pub(super) fn new(
        projection: &Arc<Projection>,
        terms: Vec<Option<Vec<u8>>>,
        request: &BindContext<'_>,
    ) -> Self {
        Self {
            projection: Arc::clone(projection),
            now_us: request.now_us,
            secret: request.snapshot.value.secrets.current.clone(),
            terms,
            calls: Calls::of(request),
            limit: usize::MAX,
            is_always: false,
        }
    }

    /// What RETURNING shows: a row in any case. Its terms are constants, which no value is bound to.
    pub(super) fn returning(projection: &Arc<Projection>, request: &BindContext<'_>) -> Self {
        let terms = projection.bind(&BoundValues::default()).unwrap_or_default();
        Self::new(projection, terms, request).always()
    }

    /// Shows no more than so many result rows.
    pub(super) fn limited(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Shows a row also where no version lives.
    pub(super) fn always(self) -> Self {
        Self { is_always: true, ..self }
    }

    /// The columns of the result.
    pub fn columns(&self) -> &wire::Columns {
        &self.projection.columns
    }

    /// Appends the result rows of one stored row, which is the whole result.
    ///
    /// # Errors
    /// [`PlanError::Damaged`] where the key does not fit the table, and what a function refuses.
    pub fn write(
        &self,
        out: &mut wire::RowsWriter<'_>,
        key: &RowKey,
        row: &RowCopy,
    ) -> Result<(), PlanError> {
        if !self.is_total() {
            return self.write_versions(out, key, row, self.limit);
        }
        let mut totals = self.totals();
        self.add(&mut totals, key.as_bytes(), row)?;
        totals.write(out)
    }

    /// Whether the result is one row about all rows.
    pub(super) fn is_total(&self) -> bool {
        self.projection.is_total()
    }

    /// How many result rows a stored row is.
    pub(super) fn living(&self, row: &RowCopy) -> usize {
        View::count(row, &self.projection.dropped, self.now_us)
    }

    /// The aggregates of no rows.
    pub(super) fn totals(&self) -> Totals {
        let begin = |item: &Item| match item {
            Item::Each(_) => RunningItem::First(None),
            Item::Total(total, shown) => {
                let kind = shown.as_ref().map_or(types::CqlType::Bigint, |it| it.kind.clone());
                RunningItem::Total(total.begin(kind))
            }
        };
        Totals { items: self.projection.items.iter().map(begin).collect(), has_row: false }
    }

    /// Adds the result rows of a stored row to the aggregates.
    pub(super) fn add(
        &self,
        totals: &mut Totals,
        key: &Bytes,
        row: &RowCopy,
    ) -> Result<(), PlanError> {
        if self.projection.is_count() {
            let living = self.living(row);
            totals.counts().for_each(|running| running.add_rows(living));
            return Ok(());
        }
        let key = RowKey::read(key.clone()).map_err(|_| DamagedKey { len: key.len() })?;
        let cells = self.row_cells(&key, row)?;
        for version in View::living(row, &self.projection.dropped, self.now_us) {
            self.add_line(totals, &Line { answer: self, cells: &cells, version })?;
        }
        Ok(())
    }

    fn add_line(&self, totals: &mut Totals, line: &Line<'_>) -> Result<(), PlanError> {
        let is_first = !std::mem::replace(&mut totals.has_row, true);
        for (item, running) in self.projection.items.iter().zip(&mut totals.items) {
            match (item, running) {
                (Item::Each(shown), RunningItem::First(value)) if is_first => {
                    *value = line.value(shown)?;
                }
                (Item::Total(_, Some(shown)), RunningItem::Total(running)) => {
                    running.add(line.value(shown)?.as_deref())?;
                }
                (Item::Total(_, None), RunningItem::Total(running)) => running.add_rows(1),
                _ => {}
            }
        }
        Ok(())
    }

    /// Appends the newest versions of a row, at most so many.
    pub(super) fn write_versions(
        &self,
        out: &mut wire::RowsWriter<'_>,
        key: &RowKey,
        row: &RowCopy,
        limit: usize,
    ) -> Result<(), PlanError> {
        let mut living =
            View::living(row, &self.projection.dropped, self.now_us).take(limit).peekable();
        if living.peek().is_none() && !self.is_always {
            return Ok(());
        }
        let cells = self.row_cells(key, row)?;
        if living.peek().is_none() {
            let line = Line { answer: self, cells: &cells, version: View::Nothing };
            return self.write_line(out, &line);
        }
        living.try_for_each(|version| {
            self.write_line(out, &Line { answer: self, cells: &cells, version })
        })
    }

    fn write_line(&self, out: &mut wire::RowsWriter<'_>, line: &Line<'_>) -> Result<(), PlanError> {
        for item in &self.projection.items {
            if let Item::Each(shown) = item {
                line.write(shown, out)?;
            }
        }
        Ok(())
    }

    /// What the result rows of a row have in common.
    fn row_cells(&self, key: &RowKey, row: &RowCopy) -> Result<RowCells, DamagedKey> {
        let table = &self.projection.table;
        let damaged = || DamagedKey { len: key.as_bytes().len() };
        let columns = table.partition_key().count();
        let partition_key = key.partition_key();
        let partition =
            ring::partition_key_components(&partition_key, columns).map_err(|_| damaged())?;
        let partition = partition.into_iter().map(<[u8]>::to_vec).collect();
        let mut rest = key.clustering();
        let clustering = table
            .clustering_key()
            .map(|column| decode_component(&column.ty, order_of(column), &mut rest))
            .collect::<Result<_, _>>()
            .map_err(|_| damaged())?;
        if !rest.is_empty() {
            return Err(damaged());
        }
        let siblings = i32::try_from(self.living(row)).unwrap_or(i32::MAX);
        let context = self.context(key, row);
        Ok(RowCells { partition, clustering, token: key.token().value(), context, siblings })
    }

    /// What the client has seen of the row when it has seen the answer, sealed; a row of a table of
    /// last-write-wins has no context.
    fn context(&self, key: &RowKey, row: &RowCopy) -> Option<Vec<u8>> {
        if !self.projection.shows_context() {
            return None;
        }
        let seen = row.as_siblings()?.vector().encode();
        Some(seal(&self.secret, Purpose::Context, key.as_bytes(), self.now_us, &seen))
    }
}

impl Totals {
    /// Appends the one result row.
    ///
    /// # Errors
    /// [`PlanError::Overflow`].
    pub(super) fn write(&self, out: &mut wire::RowsWriter<'_>) -> Result<(), PlanError> {
        for item in self.items.clone() {
            let value = match item {
                RunningItem::Total(running) => running.finish()?,
                RunningItem::First(value) => value,
            };
            out.cell(value.as_deref());
        }
        Ok(())
    }

    fn counts(&mut self) -> impl Iterator<Item = &mut Running> {
        self.items.iter_mut().filter_map(|item| match item {
            RunningItem::Total(running) => Some(running),
            RunningItem::First(_) => None,
        })
    }
}
