//! One exchange with one peer: the steps of [`ExchangeOp`], carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use repair::bucket::{Bucket, buckets_of};
use repair::exchange::{ExchangeOp, Found, Mode, Question, Reply, Step, Stretch};
use repair::merkle::Digest;
use ring::{HostId, Token};

use super::AntiEntropy;
use super::share::{Share, tokens_of};
use crate::metadata::Snapshot;
use crate::peer::{Answer, Body, CallError, Class, Refusal, Request, RowList, Target};
use crate::replica::{ApplyFailure, Incoming};
use crate::store::engine::KeyRange;
use crate::store::keys::{RowKey, TableLife};

/// How long one answer may take: the peer may have to read all of some partitions first.
const ANSWER_WAIT: Duration = Duration::from_mins(1);

/// How long writes that are under way have to arrive, before what differs is looked into.
const SETTLE: Duration = Duration::from_millis(200);

/// One message carries rows up to this size and the one that takes it over.
const PUSH_BYTES_MAX: usize = 512 << 10;

/// What an exchange came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Talked {
    pub(super) found: Found,
    /// Rows of this copy that were compared.
    pub(super) rows: u64,
    /// Bytes of questions and of rows that were sent.
    pub(super) sent: u64,
    /// Bytes of answers.
    pub(super) received: u64,
    /// Why it is not complete; none where it is.
    pub(super) failure: Option<TalkFailure>,
}

/// Why an exchange is not complete. What was merged until then stays merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TalkFailure {
    /// The metadata do not say that both hold these partitions.
    #[error("the partitions or the table have changed")]
    Outdated,
    /// The peer did not answer.
    #[error("the peer is silent: {0}")]
    Silent(#[from] CallError),
    /// The peer does not take part.
    #[error("the peer refuses: {0}")]
    Refused(Refusal),
    /// The peer answers nonsense.
    #[error("the peer answers what does not fit")]
    Unfit,
    /// The peer's rows could not be merged here.
    #[error("rows could not be merged: {0:?}")]
    Merge(ApplyFailure),
}

impl TalkFailure {
    /// Whether it is in the order of things: the next round does better by itself.
    pub(super) fn is_expected(&self) -> bool {
        match self {
            Self::Outdated | Self::Silent(_) => true,
            Self::Refused(refusal) => !matches!(refusal, Refusal::Damaged | Refusal::StoreFailed),
            Self::Merge(failure) => !matches!(failure, ApplyFailure::Damaged | ApplyFailure::Store),
            Self::Unfit => false,
        }
    }
}

/// An exchange under way.
struct Talk<'a> {
    all: &'a AntiEntropy,
    snapshot: Arc<Snapshot>,
    life: TableLife,
    peer: HostId,
    tokens: BTreeMap<u16, RangeInclusive<Token>>,
    talked: Talked,
}

impl AntiEntropy {
    /// Exchanges what a share names. No digest older than `age_max` is trusted, here or there.
    pub(super) async fn talk(&self, share: &Share, mode: Mode, age_max: Duration) -> Talked {
        let failed = |failure| Talked { failure: Some(failure), ..Talked::default() };
        let Some(snapshot) = self.cluster.snapshot() else { return failed(TalkFailure::Outdated) };
        let hosts = [self.cluster.me(), share.peer];
        let tokens = share
            .partitions
            .iter()
            .map(|number| Some((*number, tokens_of(&snapshot, share.life, *number, hosts)?)));
        let Some(tokens) = tokens.collect() else { return failed(TalkFailure::Outdated) };
        let (life, peer, talked) = (share.life, share.peer, Talked::default());
        let mut talk = Talk { all: self, snapshot, life, peer, tokens, talked };
        let failure = talk.run(mode, age_max).await.err();
        let talked = Talked { failure, ..talk.talked };
        self.count(&talked);
        talked
    }

    /// Whether the peer is behind its fence.
    pub(super) async fn is_fenced(&self, share: &Share) -> Option<bool> {
        let snapshot = self.cluster.snapshot()?;
        let (life, peer) = (share.life, share.peer);
        let (tokens, talked) = (BTreeMap::new(), Talked::default());
        let mut talk = Talk { all: self, snapshot, life, peer, tokens, talked };
        let nothing = Question::Roots { age_max_ms: u64::MAX, roots: Vec::new() };
        talk.ask(&nothing).await.ok().map(|(_, is_fenced)| is_fenced)
    }

    fn count(&self, talked: &Talked) {
        let counters = &self.counters;
        let by = |counter: &std::sync::atomic::AtomicU64, by| {
            counter.fetch_add(by, Ordering::Relaxed);
        };
        by(&counters.exchanges, 1);
        by(&counters.failures, u64::from(talked.failure.is_some()));
        by(&counters.differences, talked.found.differences);
        by(&counters.rows_received, talked.found.pulled);
        by(&counters.rows_sent, talked.found.pushed);
        by(&counters.bytes_sent, talked.sent);
        by(&counters.bytes_received, talked.received);
    }
}

impl Talk<'_> {
    async fn run(&mut self, mode: Mode, age_max: Duration) -> Result<(), TalkFailure> {
        let mut leaves = BTreeMap::new();
        for (partition, tokens) in &self.tokens {
            let held = self.all.digests.leaves(self.life, *partition, tokens, age_max).await;
            self.talked.rows += held.iter().map(|leaf| leaf.rows).sum::<u64>();
            leaves.insert(*partition, held.iter().map(|leaf| leaf.digest).collect());
        }
        let age_max_ms = u64::try_from(age_max.as_millis()).unwrap_or(u64::MAX);
        let (mut op, mut step) = ExchangeOp::compare(mode, leaves, age_max_ms);
        loop {
            step = match step {
                Step::Ask(question) => {
                    let (reply, _) = self.ask(&question).await?;
                    op.on_reply(reply).map_err(|_| TalkFailure::Unfit)?
                }
                Step::Digest { buckets, settles } => {
                    if settles {
                        tokio::time::sleep(SETTLE).await;
                    }
                    let all = self.all;
                    let digests = all.bucket_digests(self.life, &self.tokens, &buckets).await;
                    op.on_digests(&digests.ok_or(TalkFailure::Unfit)?)
                }
                Step::Read(stretch) => {
                    let ranges = ranges(self.life, &self.tokens, &stretch);
                    let page = self.all.digests.rows(&ranges.ok_or(TalkFailure::Unfit)?).await;
                    op.on_rows(page.rows, page.until)
                }
                Step::Merge(rows) => {
                    self.merge(rows).await?;
                    op.on_merged()
                }
                Step::Push { keys, known } => {
                    let pushed = self.push(keys, &known).await?;
                    op.on_pushed(pushed)
                }
                Step::End => return Ok(()),
            };
            // What was found until a failure counts as well.
            self.talked.found = op.found();
        }
    }

    async fn ask(&mut self, question: &Question) -> Result<(Reply, bool), TalkFailure> {
        let body = postcard::to_stdvec(question).expect("a question in memory can be written");
        let request = Request::Exchange {
            table: self.life.table,
            table_epoch: self.life.epoch,
            is_fenced: self.all.fence.is_up(),
            made_us: self.all.clock.wall_us(),
        };
        let (answer, body) = self.call(request, body.into()).await?;
        self.talked.received += body.len() as u64;
        let Answer::Exchanged { is_fenced } = answer else { return Err(TalkFailure::Unfit) };
        let reply: Reply = postcard::from_bytes(&body).map_err(|_| TalkFailure::Unfit)?;
        if matches!(reply, Reply::Rows { .. }) {
            self.all.budget.spend(body.len() as u64).await;
        }
        Ok((reply, is_fenced))
    }

    async fn call(
        &mut self,
        request: Request,
        body: Bytes,
    ) -> Result<(Answer, Bytes), TalkFailure> {
        let member = self.snapshot.member(self.peer).ok_or(TalkFailure::Outdated)?;
        let target = Target { address: member.internode, host: Some(self.peer) };
        let deadline = self.all.clock.now() + ANSWER_WAIT;
        self.talked.sent += body.len() as u64;
        let (epoch, body) = (self.snapshot.epoch(), Body::from_iter([body]));
        let call = self.all.pool.call(target, Class::Upkeep, epoch, request, body, deadline);
        let reply = call.await?;
        let Answer::Refused(refusal) = reply.answer else { return Ok((reply.answer, reply.body)) };
        if let Some(newer) = refusal.epoch() {
            self.all.keeper.catch_up(reply.from.internode, newer, deadline).await;
        }
        Err(TalkFailure::Refused(refusal))
    }

    /// Merges rows that the peer has sent, all that are readable and of these partitions.
    async fn merge(&self, mut rows: Vec<(Bytes, Bytes)>) -> Result<(), TalkFailure> {
        rows.retain(|(key, value)| {
            self.is_ours(key) && Incoming::read(key.clone(), value.clone()).is_ok()
        });
        self.all.replica.mend(rows).await.map_err(TalkFailure::Merge)
    }

    fn is_ours(&self, key: &Bytes) -> bool {
        let Ok(key) = RowKey::read(key.clone()) else { return false };
        let number = self.snapshot.ring.partition_of(key.token()).number();
        key.life() == self.life && self.tokens.contains_key(&number)
    }

    /// Sends the rows under these keys, as they are now, that the peer does not know.
    async fn push(
        &mut self,
        keys: Vec<Bytes>,
        known: &BTreeSet<Digest>,
    ) -> Result<u64, TalkFailure> {
        let (mut list, mut pushed) = (RowList::default(), 0);
        for key in keys {
            let row = self.all.digests.row(&key);
            let row = row.filter(|row| !known.contains(&Digest::of_row(&key, row)));
            let Some(row) = row else { continue };
            list.push(&key, &row);
            pushed += 1;
            if list.len() >= PUSH_BYTES_MAX {
                self.send(std::mem::take(&mut list)).await?;
            }
        }
        if !list.is_empty() {
            self.send(list).await?;
        }
        Ok(pushed)
    }

    async fn send(&mut self, list: RowList) -> Result<(), TalkFailure> {
        let bytes = list.len() as u64;
        let request = Request::Mend { made_us: self.all.clock.wall_us() };
        let (answer, _) = self.call(request, list.into_body()).await?;
        self.all.budget.spend(bytes).await;
        if answer == Answer::Applied { Ok(()) } else { Err(TalkFailure::Unfit) }
    }
}

impl AntiEntropy {
    /// The digests of buckets of these partitions as they are now, in order; none where one of them
    /// is no bucket.
    pub(super) async fn bucket_digests(
        &self,
        life: TableLife,
        tokens: &BTreeMap<u16, RangeInclusive<Token>>,
        buckets: &[Bucket],
    ) -> Option<Vec<Digest>> {
        let mut leaves = BTreeMap::new();
        let mut digests = Vec::with_capacity(buckets.len());
        for Bucket { partition, index } in buckets {
            if !leaves.contains_key(partition) {
                let tokens = tokens.get(partition)?;
                let held = self.digests.leaves(life, *partition, tokens, Duration::MAX).await;
                leaves.insert(*partition, held);
            }
            digests.push(leaves[partition].get(usize::from(*index))?.digest);
        }
        Some(digests)
    }
}

/// The keys of a stretch, as ranges that are not empty; none where it names what is no bucket.
pub(super) fn ranges(
    life: TableLife,
    tokens: &BTreeMap<u16, RangeInclusive<Token>>,
    stretch: &Stretch,
) -> Option<Vec<KeyRange>> {
    let mut ranges = Vec::with_capacity(stretch.buckets.len());
    for Bucket { partition, index } in &stretch.buckets {
        let bucket = buckets_of(tokens.get(partition)?).nth(usize::from(*index))?;
        let mut range = life.range_of_tokens(&bucket);
        if let Some(after) = &stretch.after {
            range = range.after(after);
        }
        if let Some(until) = &stretch.until {
            range = range.before(&[until, &[0][..]].concat());
        }
        ranges.push(range);
    }
    ranges.retain(|range| !range.is_empty());
    Some(ranges)
}
