//! Reading this copy: inline, from committed rows.

use std::ops::ControlFlow;

use bytes::Bytes;
use repair::cells::{Kind, Ranges, kind_of};

use super::{Replica, RowCopy, RowDigest};
use crate::metadata::Conflict;
use crate::store::engine::{Family, KeyRange, Order};
use crate::store::keys::RowKey;

/// A page ends with the row that takes it over this size.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// The copy cannot be read, or may lack what was acknowledged. It is not "no such row".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored row cannot be read")]
pub struct FetchFailure;

/// What one replica has in a stretch of keys, in the order of the read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaPage {
    /// Of last-write-wins tables: the range tombstones of every partition that the page touches,
    /// under the partition's prefix, also of one in whose middle it begins or ends; in the order of
    /// the read. They are not folded into the rows.
    pub heads: Vec<(Bytes, Ranges)>,
    /// Keys and rows.
    pub rows: Vec<(Bytes, RowCopy)>,
    /// Whether there may be more behind the last row; of a page without rows, behind the last head.
    pub has_more: bool,
}

impl Replica {
    /// This copy of a row; none where there is none.
    ///
    /// The range tombstone that covers a row of a last-write-wins table is folded in as a deletion
    /// of the row, also where nothing else is known of it.
    ///
    /// # Errors
    /// [`FetchFailure`] where there is one that cannot be read, and behind the fence.
    pub fn fetch(&self, conflict: Conflict, key: &RowKey) -> Result<Option<RowCopy>, FetchFailure> {
        if self.is_fenced() {
            return Err(FetchFailure);
        }
        let row = self.read(key.as_bytes(), |value| RowCopy::decode(conflict, value))?;
        if conflict == Conflict::Siblings || key.clustering().is_empty() {
            return Ok(row);
        }
        let head = self.read(key.partition().as_bytes(), Ranges::decode)?;
        let Some(deletion) = head.and_then(|head| head.at(key.clustering())) else {
            return Ok(row);
        };
        let mut row = row.and_then(RowCopy::into_cells).unwrap_or_default();
        row.delete(deletion);
        Ok(Some(RowCopy::Cells(row)))
    }

    /// A digest of this copy of a row; that of an empty row where there is none.
    ///
    /// # Errors
    /// As [`Replica::fetch`].
    pub fn digest(&self, conflict: Conflict, key: &RowKey) -> Result<RowDigest, FetchFailure> {
        let row = self.fetch(conflict, key)?;
        Ok(row.unwrap_or_else(|| RowCopy::new(conflict)).digest())
    }

    /// The first rows of `range` in `order`: as many as asked for, fewer where the range ends or
    /// where they are large, but at least one row or head if there is one.
    ///
    /// # Errors
    /// [`FetchFailure`] where one of them cannot be read, and behind the fence.
    pub fn fetch_range(
        &self,
        conflict: Conflict,
        range: &KeyRange,
        order: Order,
        rows_max: u32,
    ) -> Result<ReplicaPage, FetchFailure> {
        if self.is_fenced() {
            return Err(FetchFailure);
        }
        let mut scan = Scan {
            conflict,
            page: ReplicaPage::default(),
            rows_max: (rows_max as usize).max(1),
            bytes: 0,
        };
        let mut damage = None;
        let scanned = self.engine.scan(Family::Rows, range, order, &mut |key, value| {
            scan.take(key, value).unwrap_or_else(|error| {
                damage = Some(self.counters.damaged(key, &error));
                ControlFlow::Break(())
            })
        });
        scanned.map_err(|error| self.counters.damaged(range.start(), &error))?;
        if let Some(damage) = damage {
            return Err(damage);
        }
        let mut page = scan.page;
        if conflict == Conflict::Lww {
            self.add_hidden_head(range, order, &mut page)?;
        }
        Ok(page)
    }

    /// Adds the range tombstones of a partition that the scan has touched without coming over its
    /// prefix: the one in whose middle the range begins, or in which a reverse page ends.
    fn add_hidden_head(
        &self,
        range: &KeyRange,
        order: Order,
        page: &mut ReplicaPage,
    ) -> Result<(), FetchFailure> {
        let lowest = match (order, page.rows.last()) {
            (Order::Reverse, Some((last, _))) if page.has_more => last,
            _ => range.start(),
        };
        // A range that begins at a token, or at a whole partition, begins in the middle of none.
        let Ok(lowest) = RowKey::read(lowest.clone()) else { return Ok(()) };
        let prefix = lowest.partition();
        let prefix = prefix.as_bytes();
        let is_hidden = !lowest.clustering().is_empty()
            && page.heads.last().is_none_or(|(scanned, _)| scanned != prefix);
        let Some(head) = is_hidden.then(|| self.read_head(prefix)).transpose()?.flatten() else {
            return Ok(());
        };
        let at = if order == Order::Forward { 0 } else { page.heads.len() };
        page.heads.insert(at, (prefix.clone(), head));
        Ok(())
    }

    /// The range tombstones under a partition's prefix, where no row lies there.
    fn read_head(&self, prefix: &Bytes) -> Result<Option<Ranges>, FetchFailure> {
        let decode = |value: &Bytes| match kind_of(value) {
            Some(Kind::Row) => Ok(None),
            _ => Ranges::decode(value).map(Some),
        };
        Ok(self.read(prefix, decode)?.flatten())
    }

    fn read<T, E: std::fmt::Display>(
        &self,
        key: &Bytes,
        decode: impl FnOnce(&Bytes) -> Result<T, E>,
    ) -> Result<Option<T>, FetchFailure> {
        let stored = self.engine.get(Family::Rows, key);
        let stored = stored.map_err(|error| self.counters.damaged(key, &error))?;
        let decoded = stored.as_ref().map(decode).transpose();
        decoded.map_err(|error| self.counters.damaged(key, &error))
    }
}

/// A page being filled.
struct Scan {
    conflict: Conflict,
    page: ReplicaPage,
    rows_max: usize,
    bytes: usize,
}

impl Scan {
    /// Takes what lies under the next key, or ends the page before it.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<ControlFlow<()>, super::CopyError> {
        let is_head = self.conflict == Conflict::Lww && kind_of(value) == Some(Kind::Ranges);
        let is_full = !is_head && self.page.rows.len() >= self.rows_max;
        if is_full || self.bytes >= PAGE_BYTES_MAX {
            self.page.has_more = true;
            return Ok(ControlFlow::Break(()));
        }
        self.bytes += key.len() + value.len();
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        if is_head {
            self.page.heads.push((key, Ranges::decode(&value)?));
        } else {
            self.page.rows.push((key, RowCopy::decode(self.conflict, &value)?));
        }
        Ok(ControlFlow::Continue(()))
    }
}
