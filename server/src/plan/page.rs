//! One page of some stretches of rows, gathered from rounds of reads.
//!
//! The stretches are read one after the other. A page ends before the first row whose versions no
//! longer fit: versions of one row are never split between two pages, so a page holds more result
//! rows than were asked for only where one row alone has more versions. Rows without living
//! versions take no room. A page also ends when it has grown long in bytes, or after many rounds
//! that found nothing; it may then be short, or empty, and still have a successor.
//!
//! `LIMIT n` counts result rows over all pages and cuts within the last row, `PER PARTITION LIMIT`
//! those of one partition; what is left of them travels in the paging state. SELECT DISTINCT shows
//! one result row of each partition. Once a partition has given what it may, the next round begins
//! behind it. Aggregates read to the end and have one page.
//!
//! `place` has the paging states. Callers: `front`, which runs the rounds. Pure.

mod place;

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use bytes::Bytes;
use repair::version::Siblings;
use ring::Token;

use self::place::{PagingSeal, Place, Resumed};
use super::PlanError;
use super::answer::{Answer, DamagedKey, Totals};
use super::key::Stretch;
use super::prepared::BindContext;
use crate::replica::RowCopy;
use crate::store::engine::{KeyRange, Order};
use crate::store::keys::{PartitionPrefix, RowKey};

/// A page that holds this many bytes of values takes no further row.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// So many rounds that found nothing to show are enough for one page.
const IDLE_ROUNDS_MAX: u32 = 64;

/// One read that is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Where the rows lie on the ring: one token for a stretch of one partition.
    pub tokens: RangeInclusive<Token>,
    /// The keys to read.
    pub range: KeyRange,
    /// How many rows are wanted.
    pub rows_max: u32,
}

/// One page that is being gathered. Reads nothing itself.
#[derive(Debug, Clone)]
pub struct PageOp {
    answer: Answer,
    order: Order,
    /// What is not read to its end, in the order of the read.
    stretches: VecDeque<Stretch>,
    /// How many stretches the statement has.
    stretches_max: usize,
    /// What is not read of the first of them.
    rest: KeyRange,
    /// How many result rows the page may have.
    page_rows: usize,
    /// How many result rows LIMIT still allows; none without LIMIT.
    left: Option<usize>,
    of_partition: Option<PartitionLimit>,
    paging: PagingSeal,
    idle_rounds: u32,
    rows: Vec<ShownRow>,
    totals: Option<Totals>,
    /// How many result rows the page has.
    shown: usize,
    bytes: usize,
    /// Behind it the next page begins.
    last: Option<Place>,
    state: State,
}

/// How many result rows a partition may give.
#[derive(Debug, Clone)]
struct PartitionLimit {
    limit: usize,
    /// How many it has given, and which it is; none before the first row.
    taken: usize,
    partition: Option<PartitionPrefix>,
    /// How many rows the next round of a scan asks for: fewer while most rows are passed over.
    guess: usize,
}

/// A row of the page.
#[derive(Debug, Clone)]
struct ShownRow {
    key: Bytes,
    row: RowCopy,
    /// How many of its versions are shown.
    versions: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Another round is needed.
    Reading,
    /// The page is full, or has taken long enough; there may be more rows.
    Full,
    /// There are no more rows, or LIMIT allows none.
    Ended,
}

/// What a page is made for.
pub(super) struct PageRequest<'a> {
    /// Names the statement: the same for the same text in the same keyspace, on every node.
    pub(super) statement: &'a [u8; 32],
    /// The rows to read, in the order of a forward read.
    pub(super) stretches: Vec<Stretch>,
    /// Which way.
    pub(super) order: Order,
    /// LIMIT.
    pub(super) limit: Option<usize>,
    /// PER PARTITION LIMIT, and 1 for SELECT DISTINCT.
    pub(super) per_partition: Option<usize>,
}

impl PageOp {
    /// The page that a request asks for: the first one, or that behind its paging state.
    pub(super) fn new(
        asked: PageRequest<'_>,
        answer: Answer,
        request: &BindContext<'_>,
    ) -> Result<Self, PlanError> {
        let PageRequest { statement, stretches, order, limit, per_partition } = asked;
        let totals = answer.is_total().then(|| answer.totals());
        let rows_max = request.limits.page_rows_max;
        let asked_rows = request.page_size.filter(|_| totals.is_none());
        let page_rows = asked_rows.map_or(rows_max, |size| size.get().min(rows_max)).max(1);
        let paging = PagingSeal::new(statement, &stretches, per_partition.is_some(), request);
        let limited = per_partition.filter(|_| totals.is_none());
        let mut op = Self {
            left: limit.filter(|_| totals.is_none()),
            totals,
            answer,
            order,
            stretches_max: stretches.len(),
            stretches: in_order(stretches, order),
            rest: nothing(),
            page_rows: page_rows as usize,
            of_partition: limited.map(|limit| PartitionLimit::new(limit, page_rows as usize)),
            paging,
            idle_rounds: 0,
            rows: Vec::new(),
            shown: 0,
            bytes: 0,
            last: None,
            state: State::Reading,
        };
        op.begin_stretch();
        if let Some(sealed) = request.paging_state {
            let resumed = op.paging.open(sealed, request)?;
            op.resume(resumed);
        }
        Ok(op)
    }

    /// What to read next; none when the page is complete.
    pub fn next_round(&self) -> Option<Round> {
        let stretch = self.stretches.front().filter(|_| self.state == State::Reading)?;
        // One row more than fits shows whether this is the last page.
        let wanted = self.page_rows.saturating_sub(self.shown).saturating_add(1);
        let wanted = self.left.map_or(wanted, |left| wanted.min(left));
        let wanted = match (&self.of_partition, stretch) {
            (None, _) => wanted,
            (Some(limit), Stretch::Partition { .. }) => wanted.min(limit.left()),
            (Some(limit), Stretch::Scan { .. }) => wanted.min(limit.guess),
        };
        let rows_max = u32::try_from(wanted.max(1)).unwrap_or(u32::MAX);
        Some(Round { tokens: stretch.tokens(), range: self.rest.clone(), rows_max })
    }

    /// Takes the rows of a round in the order of the read, tombstones too, and the key behind
    /// which the next round begins, none at the end of the range.
    ///
    /// # Errors
    /// [`PlanError::Damaged`] for a key that is none, and what a function of an aggregate refuses.
    pub fn on_rows(
        &mut self,
        rows: Vec<(Bytes, RowCopy)>,
        resume_after: Option<Bytes>,
    ) -> Result<(), PlanError> {
        let (shown, count) = (self.shown, rows.len());
        for (key, row) in rows {
            self.take(key, row)?;
            if self.state != State::Reading {
                return Ok(());
            }
        }
        if let Some(limit) = &mut self.of_partition {
            limit.learn(count, self.shown - shown, self.page_rows);
        }
        self.idle_rounds = if self.shown > shown { 0 } else { self.idle_rounds + 1 };
        match resume_after {
            None => self.end_stretch(),
            Some(key) => self.continue_behind(&key),
        }
        self.skip_partition();
        let is_idle = self.idle_rounds >= IDLE_ROUNDS_MAX && self.totals.is_none();
        if self.state == State::Reading && is_idle {
            self.state = State::Full;
        }
        Ok(())
    }

    /// The page, with what the client needs for the next one.
    pub fn finish(self) -> Page {
        let place = self.last.as_ref().filter(|_| self.state == State::Full);
        let paging_state = place.map(|place| self.paging.seal(place, self.left));
        Page { answer: self.answer, rows: self.rows, totals: self.totals, paging_state }
    }

    fn take(&mut self, key: Bytes, row: RowCopy) -> Result<(), PlanError> {
        if let Some(totals) = &mut self.totals {
            return self.answer.add(totals, &key, &row);
        }
        let mut versions = self.answer.living(&row);
        if let Some(limit) = &mut self.of_partition {
            limit.enter(&key)?;
            versions = versions.min(limit.left());
        }
        versions = self.left.map_or(versions, |left| versions.min(left));
        if versions == 0 {
            self.last = Some(self.place_behind(&key));
            return Ok(());
        }
        let is_long = self.bytes >= PAGE_BYTES_MAX;
        if self.shown > 0 && (is_long || self.shown + versions > self.page_rows) {
            self.state = State::Full;
            return Ok(());
        }
        self.shown += versions;
        self.bytes += key.len() + bytes_of(&row);
        if let Some(limit) = &mut self.of_partition {
            limit.taken += versions;
        }
        self.last = Some(self.place_behind(&key));
        self.rows.push(ShownRow { key, row, versions });
        self.left = self.left.map(|left| left - versions);
        if self.left == Some(0) {
            self.state = State::Ended;
        }
        Ok(())
    }

    fn place_behind(&self, key: &[u8]) -> Place {
        let stretch = self.stretches.front().expect("rows come from a stretch");
        let taken = self.of_partition.as_ref().map_or(0, |limit| limit.taken_of(key));
        Place { stretch: self.stretch_number(), behind: Some(stretch.tail(key)), taken }
    }

    /// Which stretch is being read.
    fn stretch_number(&self) -> usize {
        self.stretches_max - self.stretches.len()
    }

    fn continue_behind(&mut self, key: &[u8]) {
        self.rest = match self.order {
            Order::Forward => self.rest.after(key),
            Order::Reverse => self.rest.before(key),
        };
        if self.rest.is_empty() {
            return self.end_stretch();
        }
        self.last = Some(self.place_behind(key));
    }

    fn end_stretch(&mut self) {
        self.stretches.pop_front();
        // The next stretch may be of the same partition.
        let taken = match (&self.of_partition, self.stretches.front()) {
            (Some(limit), Some(Stretch::Partition { partition, .. })) => {
                limit.taken_of(partition.as_bytes())
            }
            _ => 0,
        };
        self.last = Some(Place { stretch: self.stretch_number(), behind: None, taken });
        self.begin_stretch();
    }

    fn begin_stretch(&mut self) {
        match self.stretches.front() {
            Some(stretch) => self.rest = stretch.range(),
            None => self.state = State::Ended,
        }
    }

    /// Leaves a partition that has given all it may.
    fn skip_partition(&mut self) {
        let Some(limit) = self.of_partition.as_ref().filter(|limit| limit.left() == 0) else {
            return;
        };
        let Some(partition) = limit.partition.clone() else { return };
        if let Some(Stretch::Scan { .. }) = self.stretches.front() {
            let behind = partition.range().end().cloned().unwrap_or_default();
            if *self.rest.start() < behind {
                self.rest = match self.rest.end() {
                    Some(end) => KeyRange::between(behind, end.clone()),
                    None => KeyRange::from(behind),
                };
            }
            if self.rest.is_empty() {
                self.end_stretch();
            }
            return;
        }
        while self.stretches.front().is_some_and(|stretch| stretch.is_of(&partition)) {
            self.end_stretch();
        }
    }

    /// Begins where the page before ended.
    fn resume(&mut self, resumed: Resumed) {
        let Resumed { left, place } = resumed;
        self.left = left;
        for _ in 0..place.stretch {
            self.end_stretch();
        }
        self.last = Some(place.clone());
        let Some(stretch) = self.stretches.front() else { return };
        let key = match (place.behind, stretch) {
            (Some(tail), stretch) => stretch.key_of(&tail),
            (None, Stretch::Partition { partition, .. }) => {
                let partition = partition.as_bytes().clone();
                if let Some(limit) = &mut self.of_partition {
                    limit.resume(&partition, place.taken);
                }
                return self.skip_partition();
            }
            (None, Stretch::Scan { .. }) => return,
        };
        if let Some(limit) = &mut self.of_partition {
            limit.resume(&key, place.taken);
        }
        self.continue_behind(&key);
        self.skip_partition();
    }
}

impl PartitionLimit {
    fn new(limit: usize, page_rows: usize) -> Self {
        Self { limit, taken: 0, partition: None, guess: page_rows.saturating_add(1) }
    }

    fn left(&self) -> usize {
        self.limit.saturating_sub(self.taken)
    }

    /// Counts anew where a row is of another partition than the one before it.
    fn enter(&mut self, key: &Bytes) -> Result<(), PlanError> {
        let is_same = |partition: &PartitionPrefix| key.starts_with(partition.as_bytes());
        if !self.partition.as_ref().is_some_and(is_same) {
            self.partition = Some(row_key(key.clone())?.partition());
            self.taken = 0;
        }
        Ok(())
    }

    /// How many result rows the partition of a key has given.
    fn taken_of(&self, key: &[u8]) -> usize {
        let is_same = |partition: &PartitionPrefix| key.starts_with(partition.as_bytes());
        if self.partition.as_ref().is_some_and(is_same) { self.taken } else { 0 }
    }

    /// Goes on behind a key whose partition has given so many; between partitions the key may be
    /// that of no row.
    fn resume(&mut self, key: &Bytes, taken: usize) {
        if let Ok(key) = RowKey::read(key.clone()) {
            self.partition = Some(key.partition());
            self.taken = taken;
        }
    }

    /// What a round of so many rows, of which so many were shown, teaches.
    fn learn(&mut self, rows: usize, shown: usize, page_rows: usize) {
        self.guess = if shown.saturating_mul(2) < rows {
            shown.saturating_mul(2).max(self.limit.saturating_add(1)).min(self.guess)
        } else {
            self.guess.saturating_mul(2).min(page_rows.saturating_add(1))
        };
    }
}

fn in_order(stretches: Vec<Stretch>, order: Order) -> VecDeque<Stretch> {
    match order {
        Order::Forward => stretches.into(),
        Order::Reverse => stretches.into_iter().rev().collect(),
    }
}

fn nothing() -> KeyRange {
    KeyRange::between(Bytes::new(), Bytes::new())
}

fn row_key(key: Bytes) -> Result<RowKey, DamagedKey> {
    let len = key.len();
    RowKey::read(key).map_err(|_| DamagedKey { len })
}

/// About how much memory the values of a row take.
fn bytes_of(row: &RowCopy) -> usize {
    let versions = |row: &Siblings| {
        row.versions().iter().map(|version| version.columns.as_bytes().len()).sum()
    };
    match row {
        RowCopy::Siblings(row) => versions(row),
        RowCopy::Cells(row) => row.encode().len(),
    }
}

/// One page of rows.
#[derive(Debug, Clone)]
pub struct Page {
    answer: Answer,
    rows: Vec<ShownRow>,
    totals: Option<Totals>,
    paging_state: Option<Bytes>,
}

impl Page {
    /// The columns of the result.
    pub fn columns(&self) -> &wire::Columns {
        self.answer.columns()
    }

    /// Where the next page begins; none after the last one.
    pub fn paging_state(&self) -> Option<&[u8]> {
        self.paging_state.as_deref()
    }

    /// Appends the page's rows to a result of [`Self::columns`].
    ///
    /// # Errors
    /// [`PlanError::Damaged`] where a stored key cannot be read, and what a function or an
    /// aggregate refuses.
    pub fn write(&self, out: &mut wire::RowsWriter<'_>) -> Result<(), PlanError> {
        if let Some(totals) = &self.totals {
            return totals.write(out);
        }
        for shown in &self.rows {
            let key = row_key(shown.key.clone())?;
            self.answer.write_versions(out, &key, &shown.row, shown.versions)?;
        }
        Ok(())
    }
}
