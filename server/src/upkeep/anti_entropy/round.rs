//! Rounds that an operator asks for: every bucket is read from disk, on both sides, and compared with
//! every live replica, whoever of the two begins otherwise.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use repair::exchange::Mode;
use ring::HostId;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::AntiEntropy;
use super::share::{Share, shares};
use super::talk::Talked;

/// How many partitions one question is about: a peer may have to read all of them first.
const PARTITIONS_TOGETHER: usize = 16;

/// How often rows that came from one peer are offered to the others.
const SPREADS_MAX: usize = 2;

/// How many failures are told.
const FAILURES_MAX: usize = 20;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoundRequest {
    /// Keyspace and table, as `keyspace.table`; none: all tables.
    pub table: Option<String>,
    /// Whether differences are only counted.
    pub preview: bool,
}

/// Why no round begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoundRefusal {
    /// One runs already.
    #[error("a round is under way already")]
    Busy,
    /// This node only fetches.
    #[error("this store is being filled from its peers: nothing can be compared with it yet")]
    Fenced,
    /// There is no such table here.
    #[error("this node holds no partition of {table}")]
    NoTable {
        /// The table that was asked for.
        table: String,
    },
}

/// How far a round has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Round {
    /// Its number, counted from the start of the node.
    pub id: u64,
    /// What was asked for.
    #[serde(flatten)]
    pub request: RoundRequest,
    /// Whether it has ended.
    pub is_done: bool,
    /// How many partitions there are to compare, one for each table and peer.
    pub partitions: u64,
    /// How many of them were compared.
    pub partitions_done: u64,
    /// How many rows of this node were compared, once for each peer.
    pub rows_compared: u64,
    /// Rows that were found to differ.
    pub differences: u64,
    /// Rows that came.
    pub mended_here: u64,
    /// Rows that went.
    pub mended_there: u64,
    /// Bytes that were sent, rows included.
    pub bytes_sent: u64,
    /// Bytes that were received, rows included.
    pub bytes_received: u64,
    /// What each peer had to do with it, by host id.
    pub peers: BTreeMap<String, PeerRound>,
    /// What could not be compared, and why; the first ones.
    pub failures: Vec<String>,
    /// For how long it has run, in milliseconds.
    pub took_ms: u64,
}

/// The part of one peer in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PeerRound {
    /// Rows that were found to differ.
    pub differences: u64,
    /// Bytes that were sent, rows included.
    pub bytes_sent: u64,
    /// Bytes that were received, rows included.
    pub bytes_received: u64,
}

/// The last round that was asked for.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    last: Mutex<Option<Round>>,
    is_asked: Notify,
}

impl Rounds {
    fn last(&self) -> MutexGuard<'_, Option<Round>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Round)) {
        if let Some(round) = self.last().as_mut() {
            change(round);
        }
    }
}

impl Round {
    fn add(&mut self, share: &Share, talked: &Talked) {
        self.rows_compared += talked.rows;
        self.differences += talked.found.differences;
        self.mended_here += talked.found.pulled;
        self.mended_there += talked.found.pushed;
        self.bytes_sent += talked.sent;
        self.bytes_received += talked.received;
        let peer = self.peers.entry(share.peer.to_string()).or_default();
        peer.differences += talked.found.differences;
        peer.bytes_sent += talked.sent;
        peer.bytes_received += talked.received;
        if let Some(failure) = &talked.failure {
            self.fail(share, failure);
        }
    }

    fn fail(&mut self, share: &Share, why: &dyn std::fmt::Display) {
        if self.failures.len() < FAILURES_MAX {
            let (peer, table, count) = (share.peer, &share.table, share.partitions.len());
            self.failures.push(format!("{count} partitions of {table} with {peer}: {why}"));
        }
    }
}

impl AntiEntropy {
    /// Begins a round, and answers its number.
    ///
    /// # Errors
    /// [`RoundRefusal`].
    pub fn ask_round(&self, request: RoundRequest) -> Result<u64, RoundRefusal> {
        if self.fence.is_up() {
            return Err(RoundRefusal::Fenced);
        }
        if let Some(table) = &request.table {
            let snapshot = self.cluster.snapshot();
            let held = snapshot.map(|snapshot| super::share::held(&snapshot, self.cluster.me()));
            let mut held = held.iter().flatten();
            if !held.any(|(_, name, partitions)| name == table && !partitions.is_empty()) {
                return Err(RoundRefusal::NoTable { table: table.clone() });
            }
        }
        let mut last = self.rounds.last();
        if last.as_ref().is_some_and(|round| !round.is_done) {
            return Err(RoundRefusal::Busy);
        }
        let id = last.as_ref().map_or(0, |round| round.id) + 1;
        *last = Some(Round { id, request, ..Round::default() });
        self.rounds.is_asked.notify_one();
        Ok(id)
    }

    /// How far the last round that was asked for has come; none before there was one.
    pub fn last_round(&self) -> Option<Round> {
        self.rounds.last().clone()
    }

    /// Carries out rounds that are asked for, until the task is dropped.
    pub(super) async fn run_rounds(&self) {
        loop {
            self.rounds.is_asked.notified().await;
            let request = self.last_round().map(|round| round.request).unwrap_or_default();
            // Meanwhile nothing else is exchanged: who looks at the outcome sees this round alone.
            let _lane = self.lane.lock().await;
            let started = self.clock.now();
            self.run_round(request, started).await;
            let took_ms = u64::try_from((self.clock.now() - started).as_millis());
            self.rounds.update(|round| {
                (round.is_done, round.took_ms) = (true, took_ms.unwrap_or(u64::MAX));
            });
        }
    }

    async fn run_round(&self, request: RoundRequest, started: Instant) {
        let Some(snapshot) = self.cluster.snapshot() else { return };
        let mut shares = shares(&snapshot, self.cluster.me());
        shares.retain(|share| request.table.as_ref().is_none_or(|table| *table == share.table));
        // One peer after the other: what one has mended here need not come from the next.
        shares.sort_by_key(|share| share.peer);
        let count = |shares: &[Share]| -> u64 {
            shares.iter().map(|share| share.partitions.len() as u64).sum()
        };
        self.rounds.update(|round| round.partitions = count(&shares));
        let alive = self.cluster.alive();
        let (shares, dead): (Vec<_>, Vec<_>) =
            shares.into_iter().partition(|share| alive.contains(&share.peer));
        for share in &dead {
            self.rounds.update(|round| round.fail(share, &"the node is down"));
        }
        let mode = if request.preview { Mode::Preview } else { Mode::Mend };
        let mut sources = self.compare(&shares, mode, Some(started)).await;
        for _ in 0..SPREADS_MAX {
            if mode == Mode::Preview || sources.is_empty() {
                break;
            }
            sources = self.spread(&shares, &sources).await;
        }
    }

    /// Compares all of the shares; answers from which peers rows came.
    async fn compare(
        &self,
        shares: &[Share],
        mode: Mode,
        from_disk_since: Option<Instant>,
    ) -> Vec<HostId> {
        let mut sources = Vec::new();
        for share in shares {
            for part in share.parts(PARTITIONS_TOGETHER) {
                let age_max = from_disk_since.map_or(Duration::MAX, |since| {
                    self.clock.now().saturating_duration_since(since)
                });
                let talked = self.talk(&part, mode, age_max).await;
                if talked.found.pulled > 0 && !sources.contains(&share.peer) {
                    sources.push(share.peer);
                }
                self.rounds.update(|round| {
                    round.add(&part, &talked);
                    if from_disk_since.is_some() {
                        round.partitions_done += part.partitions.len() as u64;
                    }
                });
                self.note(&part, &talked);
            }
        }
        sources
    }

    /// Offers rows that came from some peers to the others, who were compared before they came.
    async fn spread(&self, shares: &[Share], sources: &[HostId]) -> Vec<HostId> {
        let is_only_source = |peer: HostId| sources.iter().all(|source| *source == peer);
        let others: Vec<_> =
            shares.iter().filter(|share| !is_only_source(share.peer)).cloned().collect();
        self.compare(&others, Mode::Mend, None).await
    }
}
