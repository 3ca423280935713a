//! One page of a stretch of a partition, gathered from rounds of reads.
//!
//! A page ends before the first row whose versions no longer fit: versions of one row are never
//! split between two pages, so a page holds more result rows than were asked for only where one
//! row alone has more versions. Rows without living versions take no room. A page also ends when it
//! has grown long in bytes, or after many rounds that found little; it may then be short, or empty,
//! and still have a successor.
//!
//! `LIMIT n` counts result rows over all pages and cuts within the last row; what is left of it
//! travels in the paging state:
//!
//! ```text
//! rows left of LIMIT u32, 0: no LIMIT | stored key of the last row
//! big endian
//! ```
//!
//! sealed for the statement, with its keyspace, and the stretch of keys that it reads. Any node
//! continues from it, also after a restart. `count(*)` reads to the end and has no pages.
//!
//! Callers: `front`, which runs the rounds. Pure.

use std::ops::RangeInclusive;

use bytes::Bytes;
use repair::version::Siblings;
use ring::Token;

use super::answer::{Answer, DamagedKey, write_count};
use super::key::Stretch;
use super::prepared::BindContext;
use super::seal::{Purpose, SealError, seal};
use super::{PlanError, using};
use crate::metadata::Secret;
use crate::store::engine::{KeyRange, Order};
use crate::store::keys::RowKey;

/// A page that holds this many bytes of values takes no further row.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// So many rounds, most of which found nothing, are enough for one page.
const ROUNDS_MAX: u32 = 64;

/// One read that is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Where the rows lie on the ring: one token for a stretch of one partition.
    pub tokens: RangeInclusive<Token>,
    /// The keys to read.
    pub range: KeyRange,
    /// How many rows to ask each replica for.
    pub rows_max: u32,
}

/// One page that is being gathered. Reads nothing itself.
#[derive(Debug, Clone)]
pub struct PageOp {
    answer: Answer,
    order: Order,
    tokens: RangeInclusive<Token>,
    /// What is not read yet.
    range: KeyRange,
    /// How many result rows the page may have.
    page_rows: usize,
    /// How many result rows LIMIT still allows; none without LIMIT.
    left: Option<usize>,
    paging: PagingSeal,
    rounds: u32,
    rows: Vec<ShownRow>,
    /// How many result rows the page has, or has counted.
    shown: usize,
    bytes: usize,
    /// Behind this key the next page begins.
    last: Option<Bytes>,
    state: State,
}

/// A row of the page.
#[derive(Debug, Clone)]
struct ShownRow {
    key: Bytes,
    row: Siblings,
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

/// How the paging states of one statement over one stretch are sealed.
#[derive(Debug, Clone)]
struct PagingSeal {
    secret: Secret,
    subject: Vec<u8>,
    made_us: i64,
}

/// What a page is made for.
pub(super) struct PageRequest<'a> {
    /// Names the statement: the same for the same text in the same keyspace, on every node.
    pub(super) statement: &'a [u8; 32],
    /// The rows to read, if there can be any.
    pub(super) stretch: Option<Stretch>,
    /// Which way.
    pub(super) order: Order,
    /// LIMIT.
    pub(super) limit: Option<usize>,
}

impl PageOp {
    /// The page that a request asks for: the first one, or that behind its paging state.
    pub(super) fn new(
        asked: PageRequest<'_>,
        answer: Answer,
        request: &BindContext<'_>,
    ) -> Result<Self, PlanError> {
        let PageRequest { statement, stretch, order, limit } = asked;
        let nothing = || KeyRange::between(Bytes::new(), Bytes::new());
        let tokens = stretch.as_ref().map_or(Token::MIN..=Token::MIN, Stretch::tokens);
        let range = stretch.as_ref().map_or_else(nothing, Stretch::range);
        let rows_max = request.limits.page_rows_max;
        let asked_rows = request.page_size.filter(|_| !answer.counts());
        let page_rows = asked_rows.map_or(rows_max, |size| size.get().min(rows_max));
        let paging = PagingSeal {
            secret: request.snapshot.value.secrets.current.clone(),
            subject: subject(statement, &range),
            made_us: request.now_us,
        };
        let mut op = Self {
            left: if answer.counts() { None } else { limit },
            answer,
            order,
            state: if range.is_empty() { State::Ended } else { State::Reading },
            tokens,
            range,
            page_rows: page_rows.max(1) as usize,
            paging,
            rounds: 0,
            rows: Vec::new(),
            shown: 0,
            bytes: 0,
            last: None,
        };
        if let Some(sealed) = request.paging_state {
            op.resume(sealed, request)?;
        }
        Ok(op)
    }

    /// What to read next; none when the page is complete.
    pub fn next_round(&self) -> Option<Round> {
        if self.state != State::Reading {
            return None;
        }
        let taken = if self.answer.counts() { 0 } else { self.shown };
        // One row more than fits shows whether this is the last page.
        let wanted = self.page_rows.saturating_sub(taken).saturating_add(1);
        let wanted = self.left.map_or(wanted, |left| wanted.min(left));
        let rows_max = u32::try_from(wanted).unwrap_or(u32::MAX);
        Some(Round { tokens: self.tokens.clone(), range: self.range.clone(), rows_max })
    }

    /// Takes the rows of a round in the order of the read, tombstones too, and the key behind
    /// which the next round begins, none at the end of the range.
    pub fn on_rows(&mut self, rows: Vec<(Bytes, Siblings)>, resume_after: Option<Bytes>) {
        for (key, row) in rows {
            self.take(key, row);
            if self.state != State::Reading {
                return;
            }
        }
        self.rounds += 1;
        match resume_after {
            None => self.state = State::Ended,
            Some(key) => {
                self.continue_behind(&key);
                self.last = Some(key);
                if self.rounds >= ROUNDS_MAX && !self.answer.counts() {
                    self.state = State::Full;
                }
            }
        }
        if self.range.is_empty() {
            self.state = State::Ended;
        }
    }

    /// The page, with what the client needs for the next one.
    pub fn finish(self) -> Page {
        let last = self.last.filter(|_| self.state == State::Full);
        let paging_state = last.map(|last| self.paging.seal(&last, self.left));
        Page { answer: self.answer, rows: self.rows, counted: self.shown, paging_state }
    }

    fn take(&mut self, key: Bytes, row: Siblings) {
        let versions = self.answer.living(&row);
        if self.answer.counts() {
            self.shown = self.shown.saturating_add(versions);
            return;
        }
        if versions == 0 {
            self.last = Some(key);
            return;
        }
        let versions = self.left.map_or(versions, |left| versions.min(left));
        let is_long = self.bytes >= PAGE_BYTES_MAX;
        if self.shown > 0 && (is_long || self.shown + versions > self.page_rows) {
            self.state = State::Full;
            return;
        }
        self.shown += versions;
        self.bytes += key.len() + bytes_of(&row);
        self.last = Some(key.clone());
        self.rows.push(ShownRow { key, row, versions });
        self.left = self.left.map(|left| left - versions);
        if self.left == Some(0) {
            self.state = State::Ended;
        }
    }

    fn continue_behind(&mut self, key: &[u8]) {
        self.range = match self.order {
            Order::Forward => self.range.after(key),
            Order::Reverse => self.range.before(key),
        };
    }

    /// Begins where the page before ended.
    fn resume(&mut self, sealed: &[u8], request: &BindContext<'_>) -> Result<(), PlanError> {
        let refused = |source| PlanError::BadPagingState { source };
        let opened = using::opener(request).open(Purpose::Paging, &self.paging.subject, sealed);
        let content = opened.map_err(refused)?;
        let (left, last) =
            content.split_first_chunk::<4>().ok_or_else(|| refused(SealError::Forged))?;
        let left = u32::from_be_bytes(*left) as usize;
        self.left = (left > 0).then_some(left);
        self.continue_behind(last);
        if self.range.is_empty() {
            self.state = State::Ended;
        }
        Ok(())
    }
}

impl PagingSeal {
    fn seal(&self, last: &[u8], left: Option<usize>) -> Bytes {
        let left = left.map_or(0, |left| u32::try_from(left).unwrap_or(u32::MAX));
        let content = [&left.to_be_bytes(), last].concat();
        seal(&self.secret, Purpose::Paging, &self.subject, self.made_us, &content).into()
    }
}

/// What a paging state belongs to: a statement and a stretch of keys, each end with its length.
fn subject(statement: &[u8; 32], range: &KeyRange) -> Vec<u8> {
    let mut subject = statement.to_vec();
    subject.extend_from_slice(&(range.start().len() as u64).to_be_bytes());
    subject.extend_from_slice(range.start());
    subject.extend_from_slice(range.end().map_or(&[], |end| end));
    subject
}

fn bytes_of(row: &Siblings) -> usize {
    row.versions().iter().map(|version| version.columns.as_bytes().len()).sum()
}

/// One page of rows.
#[derive(Debug, Clone)]
pub struct Page {
    answer: Answer,
    rows: Vec<ShownRow>,
    counted: usize,
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
    /// [`DamagedKey`] where a stored key cannot be read.
    pub fn write(&self, out: &mut wire::RowsWriter<'_>) -> Result<(), DamagedKey> {
        if self.answer.counts() {
            write_count(out, self.counted);
            return Ok(());
        }
        for shown in &self.rows {
            let damaged = |_| DamagedKey { len: shown.key.len() };
            let key = RowKey::read(shown.key.clone()).map_err(damaged)?;
            self.answer.write_versions(out, &key, &shown.row, shown.versions)?;
        }
        Ok(())
    }
}
