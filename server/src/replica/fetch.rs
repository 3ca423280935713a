//! Reading this copy: inline, from committed rows.

use std::ops::ControlFlow;

use bytes::Bytes;
use repair::version::Siblings;

use super::Replica;
use crate::store::engine::{Family, KeyRange, Order};
use crate::store::keys::RowKey;

/// A page ends with the row that takes it over this size.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// The copy cannot be read. It is not "no such row".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored row cannot be read")]
pub struct FetchFailure;

/// What one replica has in a stretch of a partition, in the order of the read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaPage {
    /// Keys and rows.
    pub rows: Vec<(Bytes, Siblings)>,
    /// Whether there may be more behind the last.
    pub has_more: bool,
}

impl Replica {
    /// This copy of a row; none where there is none.
    ///
    /// # Errors
    /// [`FetchFailure`] where there is one that cannot be read.
    pub fn fetch(&self, key: &RowKey) -> Result<Option<Siblings>, FetchFailure> {
        let stored = self.engine.get(Family::Rows, key.as_ref());
        let stored = stored.map_err(|error| self.counters.damaged(key.as_ref(), &error))?;
        let decoded = stored.as_ref().map(Siblings::decode).transpose();
        decoded.map_err(|error| self.counters.damaged(key.as_ref(), &error))
    }

    /// The first rows of `range` in `order`: as many as asked for, fewer where the range ends or
    /// where they are large, but at least one if there is one.
    ///
    /// # Errors
    /// [`FetchFailure`] where one of them cannot be read.
    pub fn fetch_range(
        &self,
        range: &KeyRange,
        order: Order,
        rows_max: u32,
    ) -> Result<ReplicaPage, FetchFailure> {
        let mut page = ReplicaPage::default();
        let mut bytes = 0;
        let mut damage = None;
        let rows_max = (rows_max as usize).max(1);
        let scanned = self.engine.scan(Family::Rows, range, order, &mut |key, row| {
            if page.rows.len() >= rows_max || bytes >= PAGE_BYTES_MAX {
                page.has_more = true;
                return ControlFlow::Break(());
            }
            bytes += key.len() + row.len();
            match Siblings::decode(&Bytes::copy_from_slice(row)) {
                Ok(row) => page.rows.push((Bytes::copy_from_slice(key), row)),
                Err(error) => {
                    damage = Some(self.counters.damaged(key, &error));
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        scanned.map_err(|error| self.counters.damaged(range.start(), &error))?;
        damage.map_or(Ok(page), Err)
    }
}
