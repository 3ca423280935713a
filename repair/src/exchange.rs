//! The talk by which two replicas find the rows in which they differ, and join them.
//!
//! [`ExchangeOp`] is the side that asks, for some partitions of one life of a table and one peer; the
//! peer answers each [`Question`] from what it holds and remembers nothing. Law: whatever the peer
//! answers, rows are only ever merged; when the talk ends and nobody wrote meanwhile, both sides hold
//! the join of what they held. Cost: what is sent grows with the differences, and with the number of
//! partitions, never with the rows.
//!
//! ```text
//! roots of the partitions    -> leaves of those that differ
//! a moment later, both sides digest anew what differs: what was under way has arrived
//! buckets that still differ  -> digests of their rows, a page at a time
//!     those that I lack      -> the rows; merged here
//!     those that it lacks    <- the rows as they are here now, merged there
//! buckets that got rows      -> their digests once more: a peer that finds a lost entry of its own in
//!                               a row adds a fresh one, which has to come back
//! ```
//!
//! Source: Dynamo §4.7; Riak's comparison in two rounds. Callers: `upkeep/anti_entropy` sends, reads
//! and merges what the steps ask for. Pure.

mod message;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::bucket::Bucket;
use crate::merkle::{self, Digest};

pub use message::{Question, Reply, Stretch};

/// How many rows' digests one page holds at most.
pub const PAGE_ROWS_MAX: usize = 4_096;

/// How many buckets are looked into together.
pub const STRETCH_BUCKETS_MAX: usize = 64;

/// How often the same buckets are looked into, where pushing rows has changed them.
const PASSES_MAX: u32 = 3;

/// What the exchange does with what it finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Rows go both ways.
    Mend,
    /// Rows only come: this copy may be older than it should be, and spreads nothing.
    Pull,
    /// Rows stay where they are; they are only counted.
    Preview,
}

/// What the runtime must do next; each step has its event, named at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send this to the peer: [`ExchangeOp::on_reply`].
    Ask(Question),
    /// Digest these buckets of this copy anew: [`ExchangeOp::on_digests`], in the same order.
    Digest {
        /// Which.
        buckets: Vec<Bucket>,
        /// Whether to wait first until writes that are under way have arrived.
        settles: bool,
    },
    /// Read the keys and digests of the rows of this copy in a stretch, unreadable ones left out, at
    /// most [`PAGE_ROWS_MAX`]: [`ExchangeOp::on_rows`].
    Read(Stretch),
    /// Merge these rows of the peer into this copy: [`ExchangeOp::on_merged`].
    Merge(Vec<(Bytes, Bytes)>),
    /// Read the rows of this copy under these keys and send the peer those whose digests are not
    /// among the known ones: [`ExchangeOp::on_pushed`].
    Push {
        /// The keys, ascending.
        keys: Vec<Bytes>,
        /// What the peer holds already.
        known: BTreeSet<Digest>,
    },
    /// The exchange is complete.
    End,
}

/// What an exchange has found and done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// Rows that differ or that one side lacks; each counts once, however often it is looked at.
    pub differences: u64,
    /// Rows that were merged here.
    pub pulled: u64,
    /// Rows that were sent to the peer.
    pub pushed: u64,
}

/// The peer answers something else than what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the answer does not fit the question")]
pub struct Unfit;

/// One exchange; see the head of this module.
#[derive(Debug)]
pub struct ExchangeOp {
    mode: Mode,
    /// Of the partitions that are compared.
    leaves: BTreeMap<u16, Vec<Digest>>,
    /// Buckets that differ and were not looked into yet.
    queue: VecDeque<Bucket>,
    /// What is looked into now.
    stretch: Vec<Bucket>,
    passes: u32,
    has_pushed: bool,
    state: State,
    found: Found,
}

/// What the operation waits for.
#[derive(Debug)]
enum State {
    /// The leaves of partitions whose roots differ.
    Roots,
    /// Own digests of these buckets, for the first time or after rows were pushed.
    Digests { buckets: Vec<Bucket>, is_again: bool },
    /// The peer's digests of these buckets, to be compared with own ones.
    Compared { mine: Vec<(Bucket, Digest)>, is_again: bool },
    /// A page of own rows.
    Rows { after: Option<Bytes> },
    /// The peer's rows of the same page.
    Page { after: Option<Bytes>, until: Option<Bytes>, mine: Vec<(Bytes, Digest)> },
    /// Rows of the peer.
    Pulled { page: Page, wanted: Vec<Digest>, after: Option<Bytes> },
    /// That they are merged.
    Merged { page: Page, wanted: Vec<Digest>, rest: Option<Bytes> },
    /// That the peer has what it lacks.
    Pushed { until: Option<Bytes> },
    /// Nothing: it has ended.
    Ended,
}

/// A page of both sides.
#[derive(Debug)]
struct Page {
    after: Option<Bytes>,
    until: Option<Bytes>,
    theirs: BTreeSet<Digest>,
    /// The keys that differ, as far as they are known.
    keys: BTreeSet<Bytes>,
}

impl ExchangeOp {
    /// Compares the partitions whose leaves these are; the peer trusts no digest of its own that is
    /// older than `age_max_ms`.
    pub fn compare(
        mode: Mode,
        leaves: BTreeMap<u16, Vec<Digest>>,
        age_max_ms: u64,
    ) -> (Self, Step) {
        let roots = leaves.iter().map(|(partition, leaves)| (*partition, merkle::root(leaves)));
        let ask = Step::Ask(Question::Roots { age_max_ms, roots: roots.collect() });
        let op = Self {
            mode,
            leaves,
            queue: VecDeque::new(),
            stretch: Vec::new(),
            passes: 0,
            has_pushed: false,
            state: State::Roots,
            found: Found::default(),
        };
        (op, ask)
    }

    /// What it has found and done so far.
    pub fn found(&self) -> Found {
        self.found
    }

    /// The peer has answered.
    ///
    /// # Errors
    /// [`Unfit`]: the exchange is over.
    pub fn on_reply(&mut self, reply: Reply) -> Result<Step, Unfit> {
        match (self.take_state(), reply) {
            (State::Roots, Reply::Leaves(theirs)) => self.compare_leaves(&theirs),
            (State::Compared { mine, is_again }, Reply::Digests(theirs))
                if mine.len() == theirs.len() =>
            {
                let differ = mine.into_iter().zip(theirs).filter(|((_, mine), it)| mine != it);
                let differing = differ.map(|((bucket, _), _)| bucket).collect();
                Ok(self.look_into(differing, is_again))
            }
            (State::Page { after, until, mine }, Reply::Page { digests, until: theirs }) => {
                let advances = theirs.is_none() || theirs > after;
                if digests.len() > PAGE_ROWS_MAX || !advances {
                    return Err(Unfit);
                }
                let until = theirs.or(until);
                let theirs = digests.into_iter().collect();
                let page = Page { after, until, theirs, keys: BTreeSet::new() };
                Ok(self.compare_rows(page, mine))
            }
            (State::Pulled { page, wanted, after }, Reply::Rows { rows, until: rest }) => {
                if rest.is_some() && rest <= after {
                    return Err(Unfit);
                }
                Ok(self.take_rows(page, wanted, rows, rest))
            }
            _ => Err(Unfit),
        }
    }

    /// These are the digests that were asked for.
    pub fn on_digests(&mut self, mine: &[Digest]) -> Step {
        let State::Digests { buckets, is_again } = self.take_state() else {
            return Step::End;
        };
        let mine = buckets.iter().copied().zip(mine.iter().copied()).collect();
        self.state = State::Compared { mine, is_again };
        Step::Ask(Question::Buckets(buckets))
    }

    /// These are the rows of this copy, up to the key `until` where there may be more behind it.
    pub fn on_rows(&mut self, mine: Vec<(Bytes, Digest)>, until: Option<Bytes>) -> Step {
        let State::Rows { after } = self.take_state() else {
            return Step::End;
        };
        let ask = Question::Page(self.part(after.clone(), until.clone()));
        self.state = State::Page { after, until, mine };
        Step::Ask(ask)
    }

    /// The rows are merged, all that could be read.
    pub fn on_merged(&mut self) -> Step {
        let State::Merged { page, wanted, rest } = self.take_state() else {
            return Step::End;
        };
        match rest {
            None => self.push(page),
            rest => self.pull(page, wanted, rest),
        }
    }

    /// The peer has merged so many rows.
    pub fn on_pushed(&mut self, count: u64) -> Step {
        let State::Pushed { until } = self.take_state() else {
            return Step::End;
        };
        self.found.pushed += count;
        self.has_pushed |= count > 0;
        self.next_page(until)
    }

    fn compare_leaves(&mut self, theirs: &[(u16, Vec<Digest>)]) -> Result<Step, Unfit> {
        let mut differing = Vec::new();
        for (partition, theirs) in theirs {
            let mine = self.leaves.get(partition).filter(|mine| mine.len() == theirs.len());
            let pairs = mine.ok_or(Unfit)?.iter().zip(theirs);
            for (index, _) in pairs.enumerate().filter(|(_, (mine, theirs))| mine != theirs) {
                let index = u16::try_from(index).map_err(|_| Unfit)?;
                differing.push(Bucket { partition: *partition, index });
            }
        }
        if differing.is_empty() {
            return Ok(Step::End);
        }
        differing.sort_unstable();
        differing.dedup();
        Ok(self.digest(differing, false))
    }

    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Ended)
    }

    fn digest(&mut self, buckets: Vec<Bucket>, is_again: bool) -> Step {
        self.state = State::Digests { buckets: buckets.clone(), is_again };
        Step::Digest { buckets, settles: !is_again }
    }

    /// Looks into buckets that differ on both sides' newest digests.
    fn look_into(&mut self, differing: Vec<Bucket>, is_again: bool) -> Step {
        if !is_again {
            self.queue = differing.into();
            return self.next_stretch();
        }
        if differing.is_empty() {
            return self.next_stretch();
        }
        self.stretch = differing;
        self.passes += 1;
        self.has_pushed = false;
        self.read_page(None)
    }

    fn next_stretch(&mut self) -> Step {
        if self.queue.is_empty() {
            return Step::End;
        }
        let count = self.queue.len().min(STRETCH_BUCKETS_MAX);
        self.stretch = self.queue.drain(..count).collect();
        self.passes = 1;
        self.has_pushed = false;
        self.read_page(None)
    }

    fn read_page(&mut self, after: Option<Bytes>) -> Step {
        self.state = State::Rows { after: after.clone() };
        Step::Read(self.part(after, None))
    }

    fn compare_rows(&mut self, mut page: Page, mut mine: Vec<(Bytes, Digest)>) -> Step {
        mine.retain(|(key, _)| page.until.as_ref().is_none_or(|until| key <= until));
        let known: BTreeSet<Digest> = mine.iter().map(|(_, digest)| *digest).collect();
        let wanted: Vec<Digest> = page.theirs.difference(&known).copied().collect();
        let surplus = mine.into_iter().filter(|(_, digest)| !page.theirs.contains(digest));
        page.keys.extend(surplus.map(|(key, _)| key));
        if wanted.is_empty() { self.push(page) } else { self.pull(page, wanted, None) }
    }

    fn part(&self, after: Option<Bytes>, until: Option<Bytes>) -> Stretch {
        Stretch { buckets: self.stretch.clone(), after, until }
    }

    fn pull(&mut self, page: Page, wanted: Vec<Digest>, rest: Option<Bytes>) -> Step {
        let after = rest.or_else(|| page.after.clone());
        let ask = Question::Pull {
            stretch: self.part(after.clone(), page.until.clone()),
            wanted: wanted.clone(),
            keys_only: self.mode == Mode::Preview,
        };
        self.state = State::Pulled { page, wanted, after };
        Step::Ask(ask)
    }

    fn take_rows(
        &mut self,
        mut page: Page,
        wanted: Vec<Digest>,
        rows: Vec<(Bytes, Bytes)>,
        rest: Option<Bytes>,
    ) -> Step {
        page.keys.extend(rows.iter().map(|(key, _)| key.clone()));
        let is_merged = self.mode != Mode::Preview && !rows.is_empty();
        if is_merged {
            self.found.pulled += rows.len() as u64;
        }
        self.state = State::Merged { page, wanted, rest };
        if is_merged { Step::Merge(rows) } else { self.on_merged() }
    }

    fn push(&mut self, page: Page) -> Step {
        if self.passes == 1 {
            self.found.differences += page.keys.len() as u64;
        }
        if self.mode != Mode::Mend || page.keys.is_empty() {
            return self.next_page(page.until);
        }
        self.state = State::Pushed { until: page.until };
        Step::Push { keys: page.keys.into_iter().collect(), known: page.theirs }
    }

    fn next_page(&mut self, until: Option<Bytes>) -> Step {
        if until.is_some() {
            return self.read_page(until);
        }
        if self.has_pushed && self.passes < PASSES_MAX {
            return self.digest(self.stretch.clone(), true);
        }
        self.next_stretch()
    }
}
