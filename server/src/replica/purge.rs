//! Removed rows of this copy: which there are, which of them others hold too, and their end.
//!
//! The rule is [`repair::tombstone`]. Law: a row goes only if it is still the one that all replicas were
//! found to hold (compare and delete, inside the commit loop). Callers: `upkeep/purge`, here and on
//! behalf of other nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use bytes::Bytes;
use repair::cells::{self, Kind, Ranges, kind_of};
use repair::hint::Hint;
use repair::merkle::Digest;
use repair::tombstone::{Confirmed, is_removed};
use ring::Token;

use super::{FetchFailure, Replica, ReplicaCounters};
use crate::store::commit::{CommitError, Mutation, View};
use crate::store::engine::{Engine, EngineError, Family, KeyRange, Order};
use crate::store::keys::TableLife;

/// So many rows are read between two rests.
const PIECE: usize = 1_000;

/// So many removed rows of a partition are looked after in one round.
pub const REMOVED_MAX: usize = 4_096;

/// What of a partition is removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// Rows and range tombstones of which nothing is to be seen, with their digests; of range
    /// tombstones only those that cover no row which does not bear the deletion itself.
    pub rows: Vec<(Bytes, Digest)>,
    /// Rows that a range tombstone covers, and the deletion that they do not bear yet.
    pub covered: Vec<(Bytes, i64)>,
}

/// The range tombstones of a partition while its rows pass by.
struct Head {
    prefix: Bytes,
    digest: Digest,
    ranges: Ranges,
    covers: bool,
}

impl Removed {
    fn is_full(&self) -> bool {
        self.rows.len() + self.covered.len() >= REMOVED_MAX
    }

    fn take(&mut self, head: &mut Option<Head>, key: &[u8], value: &[u8], now: i64) {
        if head.as_ref().is_some_and(|head| !key.starts_with(&head.prefix)) {
            self.end(head.take());
        }
        let value = Bytes::copy_from_slice(value);
        let digest = Digest::of_row(key, &value);
        if kind_of(&value) == Some(Kind::Ranges) {
            if let Ok(ranges) = Ranges::decode(&value) {
                let prefix = Bytes::copy_from_slice(key);
                *head = Some(Head { prefix, digest, ranges, covers: false });
            }
            return;
        }
        if let Some(head) = head
            && let Some(deletion) = head.ranges.at(&key[head.prefix.len()..])
            && !bears(&value, deletion)
        {
            head.covers = true;
            self.covered.push((Bytes::copy_from_slice(key), deletion));
        } else if is_removed(&value, now) {
            self.rows.push((Bytes::copy_from_slice(key), digest));
        }
    }

    /// The partition of a head is over.
    fn end(&mut self, head: Option<Head>) {
        self.rows.extend(head.filter(|head| !head.covers).map(|head| (head.prefix, head.digest)));
    }
}

/// Whether a deletion up to `timestamp` would change nothing of a row.
fn bears(value: &Bytes, timestamp: i64) -> bool {
    cells::Row::decode(value).is_ok_and(|row| row.deletion() >= Some(timestamp))
}

/// What a round of purging changes: confirmations are noted, forgotten ones go.
#[derive(Debug, Default)]
pub struct Notes {
    /// Rows and when all replicas were first found to hold them.
    pub noted: Vec<(Bytes, Confirmed)>,
    /// Rows whose confirmation means nothing any more.
    pub forgotten: Vec<Bytes>,
}

impl Mutation for Notes {
    type Answer = ();

    fn size(&self) -> usize {
        let noted: usize = self.noted.iter().map(|(key, _)| key.len() + 32).sum();
        noted + self.forgotten.iter().map(Bytes::len).sum::<usize>()
    }

    fn may_use_reserve(&self) -> bool {
        true
    }

    fn run(self, view: &mut View<'_>) {
        for (key, confirmed) in self.noted {
            view.put(Family::Marks, key, confirmed.encode());
        }
        for key in self.forgotten {
            view.delete(Family::Marks, key);
        }
    }
}

/// Rows that may go, each with the digest under which all replicas hold it.
struct Purge {
    rows: Vec<(Bytes, Digest)>,
    counters: Arc<ReplicaCounters>,
}

impl Mutation for Purge {
    /// How many went.
    type Answer = Result<usize, FetchFailure>;

    fn size(&self) -> usize {
        self.rows.iter().map(|(key, _)| key.len() + 32).sum()
    }

    fn may_use_reserve(&self) -> bool {
        true
    }

    fn run(self, view: &mut View<'_>) -> Self::Answer {
        let Self { rows, counters } = self;
        let mut purged = 0;
        for (key, digest) in rows {
            let stored = view.get(Family::Rows, &key);
            let stored = stored.map_err(|error| counters.damaged(&key, &error))?;
            if stored.is_some_and(|value| Digest::of_row(&key, &value) == digest) {
                view.delete(Family::Rows, key);
                purged += 1;
            }
        }
        ReplicaCounters::count(&counters.purged_rows, purged);
        Ok(purged)
    }
}

impl Replica {
    /// What is removed at `now` of a stretch of tokens of a life of a table, up to [`REMOVED_MAX`].
    ///
    /// # Errors
    /// The stretch cannot be read to its end.
    pub async fn removed(
        &self,
        life: TableLife,
        tokens: &RangeInclusive<Token>,
        now: i64,
    ) -> Result<Removed, EngineError> {
        let (mut removed, mut head) = (Removed::default(), None);
        let range = life.range_of_tokens(tokens);
        visit(self.engine().as_ref(), &range, |key, value| {
            removed.take(&mut head, key, value, now);
            if removed.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await?;
        // What the rest of its partition looks like is not known where the walk ended early.
        if !removed.is_full() {
            removed.end(head);
        }
        Ok(removed)
    }

    /// Which of these digests rows of the stretch have.
    ///
    /// # Errors
    /// The stretch cannot be read to its end.
    pub async fn holding(
        &self,
        life: TableLife,
        tokens: &RangeInclusive<Token>,
        wanted: &BTreeSet<Digest>,
    ) -> Result<BTreeSet<Digest>, EngineError> {
        let mut found = BTreeSet::new();
        visit(self.engine().as_ref(), &life.range_of_tokens(tokens), |key, value| {
            found.extend(wanted.get(&Digest::of_row(key, value)));
            ControlFlow::Continue(())
        })
        .await?;
        Ok(found)
    }

    /// Whether this node keeps a hint, and so perhaps a copy for others, of a row of the stretch.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn has_hints(
        &self,
        life: TableLife,
        tokens: &RangeInclusive<Token>,
    ) -> Result<bool, EngineError> {
        let (engine, rows) = (self.engine(), life.range_of_tokens(tokens));
        let mut rest = KeyRange::all();
        while let Some((key, value)) =
            engine.rows(Family::Hints, &rest, Order::Forward, 1)?.into_iter().next()
        {
            // A hint that cannot be read may be of any row.
            let Ok(hint) = Hint::read(&key, &value) else { return Ok(true) };
            let prefix = Hint::prefix(hint.host);
            let first = Bytes::from([&prefix[..], rows.start()].concat());
            let of_host = KeyRange::prefix(prefix.to_vec());
            let range = match rows.end() {
                Some(end) => KeyRange::between(first, [&prefix[..], end].concat()),
                None => KeyRange::from(first).within(&of_host),
            };
            if !engine.rows(Family::Hints, &range, Order::Forward, 1)?.is_empty() {
                return Ok(true);
            }
            let Some(end) = of_host.end() else { break };
            rest = KeyRange::from(end.clone());
        }
        Ok(false)
    }

    /// The confirmations that were noted for rows of the stretch.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn confirmed(
        &self,
        life: TableLife,
        tokens: &RangeInclusive<Token>,
    ) -> Result<BTreeMap<Bytes, Option<Confirmed>>, EngineError> {
        let range = life.range_of_tokens(tokens);
        let noted = self.engine().rows(Family::Marks, &range, Order::Forward, usize::MAX)?;
        Ok(noted.into_iter().map(|(key, value)| (key, Confirmed::decode(&value).ok())).collect())
    }

    /// Notes and forgets confirmations.
    ///
    /// # Errors
    /// The store took it not, or may have lost it.
    pub async fn note_confirmed(&self, notes: Notes) -> Result<(), CommitError> {
        self.commits.submit(notes).await
    }

    /// Takes rows away that are still those which all replicas hold; answers how many.
    ///
    /// # Errors
    /// The store failed, or a row cannot be read: some may be gone all the same.
    pub async fn purge(&self, rows: Vec<(Bytes, Digest)>) -> Result<usize, CommitError> {
        let purge = Purge { rows, counters: Arc::clone(&self.counters) };
        Ok(self.commits.submit(purge).await?.unwrap_or(0))
    }
}

/// Shows the rows of a range in pieces, with rests between them.
async fn visit(
    engine: &dyn Engine,
    range: &KeyRange,
    mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
) -> Result<(), EngineError> {
    let mut rest = Some(range.clone());
    while let Some(range) = rest {
        let (mut last, mut seen) = (None, 0);
        engine.scan(Family::Rows, &range, Order::Forward, &mut |key, value| {
            seen += 1;
            if visit(key, value).is_break() {
                return ControlFlow::Break(());
            }
            if seen < PIECE {
                return ControlFlow::Continue(());
            }
            last = Some(Bytes::copy_from_slice(key));
            ControlFlow::Break(())
        })?;
        rest = last.map(|last| range.after(&last));
        tokio::task::yield_now().await;
    }
    Ok(())
}
