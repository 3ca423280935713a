//! One scan: a stretch of keys that runs over several partitions of the ring.
//!
//! ```text
//! cut     into pieces whose partitions have the same replicas, in the order of their tokens
//! ask     the first piece; more of them at once while they hold few rows
//! join    pieces in order; of one that has more rows the rest is asked for
//! answer  when there are as many rows as were wanted, or no more; late, with what there is
//! ```
//!
//! Law: the rows are those of a whole number of pieces and of the beginning of one more, so nothing
//! is skipped; at most [`WIDTH_MAX`] pieces are asked or kept at once. A piece that cannot be read
//! fails the scan only when its turn comes: what was wanted may be found before it. Pure.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use ring::{HostId, Placement, Ring, Token};
use smallvec::{SmallVec, smallvec};

use super::error::ReadError;
use super::gather::Hosts;
use super::page::MergedPage;
use crate::replica::RowCopy;
use crate::store::engine::KeyRange;
use crate::store::keys::TableLife;

/// How many pieces are asked or kept at once, at most.
const WIDTH_MAX: usize = 16;

/// A stretch of a scan: all its partitions have the same replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its tokens.
    pub tokens: RangeInclusive<Token>,
    /// What of it is not read yet.
    pub range: KeyRange,
}

/// What the runtime must do next for one scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanStep {
    /// Read rows of a piece.
    Ask {
        /// Its number.
        piece: usize,
        /// How many rows at most to ask each replica for.
        rows_max: u32,
    },
    /// Tell who asked.
    Answer(Result<MergedPage, ReadError>),
}

/// The steps after one event.
pub type ScanSteps = SmallVec<[ScanStep; 4]>;

/// One scan. Asks nobody and waits for nothing itself.
#[derive(Debug)]
pub struct ScanOp {
    pieces: Vec<Piece>,
    /// The piece whose rows are next.
    front: usize,
    /// Before this one all were asked.
    begun: usize,
    /// What came of pieces behind the front.
    answers: BTreeMap<usize, Result<MergedPage, ReadError>>,
    /// How many pieces are asked at once.
    width: usize,
    rows_max: u32,
    rows: Vec<(Bytes, RowCopy)>,
    /// The last key that was looked at, of a row if there was any.
    last: Option<Bytes>,
    is_late: bool,
    is_answered: bool,
}

/// Cuts a stretch of keys, of which only those of `tokens` are meant, into pieces.
///
/// Shape: in the order of their tokens, at most one for each partition; none that is empty.
pub fn cut(
    life: TableLife,
    ring: &Ring,
    placement: &Placement,
    tokens: &RangeInclusive<Token>,
    range: &KeyRange,
) -> Vec<Piece> {
    let mut pieces: Vec<(Hosts, RangeInclusive<Token>)> = Vec::new();
    if tokens.is_empty() {
        return Vec::new();
    }
    let (first, last) = (ring.partition_of(*tokens.start()), ring.partition_of(*tokens.end()));
    for partition in ring.partitions().iter().filter(|it| (first..=last).contains(it)) {
        let whole = ring.partitions().tokens_of(partition);
        let start = *whole.start().max(tokens.start());
        let end = *whole.end().min(tokens.end());
        let hosts = sorted(placement.replicas(partition));
        match pieces.last_mut() {
            Some((before, joined)) if *before == hosts => *joined = *joined.start()..=end,
            _ => pieces.push((hosts, start..=end)),
        }
    }
    let piece = |(_, tokens): (Hosts, RangeInclusive<Token>)| {
        let range = range.within(&life.range_of_tokens(&tokens));
        Piece { tokens, range }
    };
    pieces.into_iter().map(piece).filter(|piece| !piece.range.is_empty()).collect()
}

fn sorted(hosts: &[HostId]) -> Hosts {
    let mut hosts = Hosts::from_slice(hosts);
    hosts.sort_unstable();
    hosts
}

impl ScanOp {
    /// A scan of these pieces for so many rows.
    pub fn begin(pieces: Vec<Piece>, rows_max: u32) -> (Self, ScanSteps) {
        let mut op = Self {
            pieces,
            front: 0,
            begun: 0,
            answers: BTreeMap::new(),
            width: 1,
            rows_max: rows_max.max(1),
            rows: Vec::new(),
            last: None,
            is_late: false,
            is_answered: false,
        };
        let steps = op.settle();
        (op, steps)
    }

    /// A piece, with what of it is not read yet.
    pub fn piece(&self, number: usize) -> &Piece {
        &self.pieces[number]
    }

    /// A piece was read, up to a key or to its end, or could not be.
    pub fn on_page(&mut self, piece: usize, page: Result<MergedPage, ReadError>) -> ScanSteps {
        self.answers.insert(piece, page);
        self.settle()
    }

    /// Much of the time is over: whatever is known is the answer, as soon as that is anything.
    pub fn on_late(&mut self) -> ScanSteps {
        self.is_late = true;
        self.settle()
    }

    fn settle(&mut self) -> ScanSteps {
        while !self.is_answered {
            if self.front == self.pieces.len() {
                return self.answer(None);
            }
            if self.is_enough() {
                let last = self.last.take();
                return self.answer(last);
            }
            match self.answers.remove(&self.front) {
                Some(Ok(page)) => {
                    if let Some(again) = self.join(page) {
                        return smallvec![again];
                    }
                }
                Some(Err(error)) => {
                    self.is_answered = true;
                    return smallvec![ScanStep::Answer(Err(error))];
                }
                None => return self.ask_more(),
            }
        }
        ScanSteps::new()
    }

    /// Takes the rows of the front piece; what to ask where there are more of them to be had.
    fn join(&mut self, page: MergedPage) -> Option<ScanStep> {
        if let Some((key, _)) = page.rows.last() {
            self.last = Some(key.clone());
        }
        self.rows.extend(page.rows);
        let Some(last) = page.resume_after else {
            self.front += 1;
            // So few rows in a whole piece: more pieces are asked at once.
            self.width = (self.width * 2).min(WIDTH_MAX);
            return None;
        };
        let piece = &mut self.pieces[self.front];
        piece.range = piece.range.after(&last);
        self.last = Some(last);
        if piece.range.is_empty() {
            self.front += 1;
            return None;
        }
        (!self.is_enough()).then(|| ScanStep::Ask { piece: self.front, rows_max: self.wanted() })
    }

    fn ask_more(&mut self) -> ScanSteps {
        let until = self.pieces.len().min(self.front + self.width);
        let rows_max = self.wanted();
        let asks = self.begun..until;
        self.begun = self.begun.max(until);
        asks.map(|piece| ScanStep::Ask { piece, rows_max }).collect()
    }

    fn wanted(&self) -> u32 {
        let have = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.rows_max.saturating_sub(have).max(1)
    }

    fn is_enough(&self) -> bool {
        self.rows.len() >= self.rows_max as usize || (self.is_late && self.last.is_some())
    }

    fn answer(&mut self, resume_after: Option<Bytes>) -> ScanSteps {
        self.is_answered = true;
        let rows = std::mem::take(&mut self.rows);
        smallvec![ScanStep::Answer(Ok(MergedPage { rows, resume_after }))]
    }
}

#[cfg(test)]
mod tests;
