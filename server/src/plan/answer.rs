//! How stored rows are shown to the client that asked.
//!
//! Every living version of a row is a result row, newest first. A row without any is none, unless
//! the statement always answers: RETURNING, and a SELECT of one whole primary key that names
//! `context()`, then show one row with the key, its context, a `sibling_count()` of 0 and null
//! elsewhere, so that a client that deleted or never saw a row can still write with its context.
//!
//! LIMIT counts result rows, and so it may cut within a row: `LIMIT 1` of a row with three versions
//! shows the newest; its `sibling_count()` and `context()` still speak of all three.
//!
//! Callers: `front`, when the coordinator has answered. Pure.

use std::sync::Arc;

use repair::version::{Expiry, Siblings, Version};
use types::key::decode_component;

use super::key::order_of;
use super::project::{Item, Projection};
use super::seal::{Purpose, seal};
use crate::metadata::Secret;
use crate::store::keys::RowKey;

const US_PER_SECOND: i64 = 1_000_000;

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
    /// How many result rows there may be.
    limit: usize,
    /// Whether a row without versions is shown too.
    is_always: bool,
}

/// What all result rows of one stored row share.
struct RowCells<'a> {
    partition: Vec<&'a [u8]>,
    clustering: Vec<Vec<u8>>,
    token: i64,
    context: Vec<u8>,
    siblings: i32,
}

impl Answer {
    pub(super) fn new(projection: &Arc<Projection>, now_us: i64, secret: &Secret) -> Self {
        Self {
            projection: Arc::clone(projection),
            now_us,
            secret: secret.clone(),
            limit: usize::MAX,
            is_always: false,
        }
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
    /// [`DamagedKey`] where the key does not fit the table.
    pub fn write(
        &self,
        out: &mut wire::RowsWriter<'_>,
        key: &RowKey,
        row: &Siblings,
    ) -> Result<(), DamagedKey> {
        if self.counts() {
            write_count(out, self.living(row));
            return Ok(());
        }
        self.write_versions(out, key, row, self.limit)
    }

    /// Whether the result is the number of rows.
    pub(super) fn counts(&self) -> bool {
        self.projection.counts()
    }

    /// How many result rows a stored row is.
    pub(super) fn living(&self, row: &Siblings) -> usize {
        row.living(self.now_us).len()
    }

    /// Appends the newest versions of a row, at most so many.
    pub(super) fn write_versions(
        &self,
        out: &mut wire::RowsWriter<'_>,
        key: &RowKey,
        row: &Siblings,
        versions_max: usize,
    ) -> Result<(), DamagedKey> {
        let partition_key = key.partition_key();
        let cells = self.row_cells(key, &partition_key, row)?;
        for version in row.living(self.now_us).take(versions_max) {
            self.write_version(out, &cells, Some(version));
        }
        if self.is_always && cells.siblings == 0 {
            self.write_version(out, &cells, None);
        }
        Ok(())
    }

    fn row_cells<'a>(
        &self,
        key: &RowKey,
        partition_key: &'a [u8],
        row: &Siblings,
    ) -> Result<RowCells<'a>, DamagedKey> {
        let table = &self.projection.table;
        let damaged = || DamagedKey { len: key.as_bytes().len() };
        let columns = table.partition_key().count();
        let partition =
            ring::partition_key_components(partition_key, columns).map_err(|_| damaged())?;
        let mut rest = key.clustering();
        let clustering = table
            .clustering_key()
            .map(|column| decode_component(&column.ty, order_of(column), &mut rest))
            .collect::<Result<_, _>>()
            .map_err(|_| damaged())?;
        if !rest.is_empty() {
            return Err(damaged());
        }
        let context = if self.projection.shows_context() {
            let seen = row.vector().encode();
            seal(&self.secret, Purpose::Context, key.as_bytes(), self.now_us, &seen)
        } else {
            Vec::new()
        };
        let siblings = i32::try_from(self.living(row)).unwrap_or(i32::MAX);
        let token = key.token().value();
        Ok(RowCells { partition, clustering, token, context, siblings })
    }

    /// Appends one result row; without a version, that of a row where none lives.
    fn write_version(
        &self,
        out: &mut wire::RowsWriter<'_>,
        cells: &RowCells<'_>,
        version: Option<&Version>,
    ) {
        let column = |id| version.and_then(|version| version.columns.get(id, self.now_us));
        for item in &self.projection.items {
            match *item {
                Item::Partition(at) => out.cell(cells.partition.get(at).copied()),
                Item::Clustering(at) => out.cell(cells.clustering.get(at).map(Vec::as_slice)),
                Item::Regular(id) => out.cell(column(id).map(|column| column.value)),
                Item::Context => out.cell(Some(&cells.context)),
                Item::SiblingCount => out.cell(Some(&cells.siblings.to_be_bytes())),
                Item::Token => out.cell(Some(&cells.token.to_be_bytes())),
                Item::WriteTime(id) => {
                    let time = version.filter(|_| column(id).is_some());
                    let time = time.map(|version| version.write_time.to_be_bytes());
                    out.cell(time.as_ref().map(<[u8; 8]>::as_slice));
                }
                Item::Ttl(id) => {
                    let left = column(id).and_then(|column| self.seconds_left(column.expiry));
                    let left = left.map(i32::to_be_bytes);
                    out.cell(left.as_ref().map(<[u8; 4]>::as_slice));
                }
                // Counted rows are not written one by one.
                Item::CountRows => out.cell(None),
            }
        }
    }

    /// The seconds until something ends, rounded up: what still lives has at least one.
    fn seconds_left(&self, expiry: Expiry) -> Option<i32> {
        let Expiry::At(instant) = expiry else { return None };
        let left_us = instant.saturating_sub(self.now_us);
        let seconds = left_us.saturating_add(US_PER_SECOND - 1) / US_PER_SECOND;
        Some(i32::try_from(seconds).unwrap_or(i32::MAX))
    }
}

/// Appends the result of `count(*)`.
pub(super) fn write_count(out: &mut wire::RowsWriter<'_>, count: usize) {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    out.cell(Some(&count.to_be_bytes()));
}
