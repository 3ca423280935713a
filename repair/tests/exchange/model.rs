//! A replica whose rows are sets of numbers, joined by union: all that an exchange needs to know of
//! rows. Keys are two bytes; the first one is the bucket's.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use starling_repair::bucket::Bucket;
use starling_repair::exchange::{ExchangeOp, Found, Mode, Question, Reply, Step, Stretch};
use starling_repair::merkle::{BucketDigest, Digest, root};

/// Partitions of the model, and buckets of each.
pub(crate) const PARTITIONS: u16 = 4;
pub(crate) const BUCKETS: u16 = 4;

/// Rows, each a set of numbers, by key.
pub(crate) type Rows = BTreeMap<[u8; 2], BTreeSet<u8>>;

/// One side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) rows: Rows,
    /// Keys whose rows are there and cannot be read.
    pub(crate) unreadable: BTreeSet<[u8; 2]>,
    /// Whether a row that comes gets something of this side's own, once.
    pub(crate) renews: Option<u8>,
    /// How many rows, and how many of their digests, one answer holds.
    pub(crate) page_max: usize,
}

/// What was sent, both ways.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages: usize,
    pub(crate) digests: usize,
    pub(crate) rows: usize,
}

fn encode(set: &BTreeSet<u8>) -> Bytes {
    set.iter().copied().collect::<Vec<_>>().into()
}

fn bucket_of(key: &[u8]) -> Bucket {
    let number = u16::from(key[0]) % (PARTITIONS * BUCKETS);
    Bucket { partition: number / BUCKETS, index: number % BUCKETS }
}

impl Model {
    pub(crate) fn new(rows: Rows) -> Self {
        Self { rows, page_max: 3, ..Self::default() }
    }

    fn readable(&self) -> impl Iterator<Item = (Bytes, Bytes)> {
        let rows = self.rows.iter().filter(|(key, _)| !self.unreadable.contains(*key));
        rows.map(|(key, set)| (Bytes::copy_from_slice(key), encode(set)))
    }

    pub(crate) fn digest(&self, bucket: Bucket) -> Digest {
        let mut digest = BucketDigest::default();
        let inside = self.readable().filter(|(key, _)| bucket_of(key) == bucket);
        inside.for_each(|(key, value)| digest.push(Digest::of_row(&key, &value)));
        digest.finish()
    }

    pub(crate) fn leaves(&self) -> BTreeMap<u16, Vec<Digest>> {
        let of = |partition| {
            (0..BUCKETS).map(|index| self.digest(Bucket { partition, index })).collect()
        };
        (0..PARTITIONS).map(|partition| (partition, of(partition))).collect()
    }

    fn part(&self, stretch: &Stretch) -> Vec<(Bytes, Bytes)> {
        let inside = |key: &Bytes| {
            stretch.buckets.contains(&bucket_of(key))
                && stretch.after.as_ref().is_none_or(|after| key > after)
                && stretch.until.as_ref().is_none_or(|until| key <= until)
        };
        // In the order of buckets, as a store has them.
        let mut rows: Vec<_> = self.readable().filter(|(key, _)| inside(key)).collect();
        rows.sort();
        rows
    }

    /// The first rows of a stretch, and the last key where there are more.
    fn page(&self, stretch: &Stretch) -> (Vec<(Bytes, Digest)>, Option<Bytes>) {
        let mut rows = self.part(stretch);
        let has_more = rows.len() > self.page_max;
        rows.truncate(self.page_max);
        let until = rows.last().filter(|_| has_more).map(|(key, _)| key.clone());
        let digest = |(key, value): (Bytes, Bytes)| (key.clone(), Digest::of_row(&key, &value));
        (rows.into_iter().map(digest).collect(), until)
    }

    fn merge(&mut self, rows: &[(Bytes, Bytes)]) {
        for (key, value) in rows {
            let key: [u8; 2] = key.as_ref().try_into().expect("keys have two bytes");
            self.unreadable.remove(&key);
            let row = self.rows.entry(key).or_default();
            row.extend(value.iter());
            row.extend(self.renews);
        }
    }

    pub(crate) fn answer(&self, question: Question) -> Reply {
        match question {
            Question::Roots { roots, .. } => {
                let leaves = self.leaves();
                let differ =
                    roots.iter().filter(|(partition, theirs)| root(&leaves[partition]) != *theirs);
                Reply::Leaves(
                    differ.map(|(partition, _)| (*partition, leaves[partition].clone())).collect(),
                )
            }
            Question::Buckets(buckets) => {
                Reply::Digests(buckets.iter().map(|bucket| self.digest(*bucket)).collect())
            }
            Question::Page(stretch) => {
                let (rows, until) = self.page(&stretch);
                let digests = rows.into_iter().map(|(_, digest)| digest).collect();
                Reply::Page { digests, until }
            }
            Question::Pull { stretch, wanted, keys_only } => {
                let mut rows = self.part(&stretch);
                let len = rows.len();
                rows.truncate(self.page_max);
                let until = rows.last().filter(|_| rows.len() < len).map(|(key, _)| key.clone());
                rows.retain(|(key, value)| wanted.contains(&Digest::of_row(key, value)));
                if keys_only {
                    for (_, value) in &mut rows {
                        *value = Bytes::new();
                    }
                }
                Reply::Rows { rows, until }
            }
        }
    }
}

/// Runs an exchange to its end.
pub(crate) fn talk(mode: Mode, mine: &mut Model, peer: &mut Model) -> (Found, Traffic) {
    let (mut op, mut step) = ExchangeOp::compare(mode, mine.leaves(), u64::MAX);
    let mut traffic = Traffic::default();
    loop {
        step = match step {
            Step::Ask(question) => {
                traffic.messages += 1;
                assert!(traffic.messages < 10_000, "it does not end");
                let reply = peer.answer(question);
                match &reply {
                    Reply::Page { digests, .. } => traffic.digests += digests.len(),
                    Reply::Rows { rows, .. } if mode != Mode::Preview => traffic.rows += rows.len(),
                    _ => {}
                }
                op.on_reply(reply).expect("the reply fits the question")
            }
            Step::Digest { buckets, .. } => {
                let digests: Vec<_> = buckets.iter().map(|bucket| mine.digest(*bucket)).collect();
                op.on_digests(&digests)
            }
            Step::Read(stretch) => {
                let (rows, until) = mine.page(&stretch);
                op.on_rows(rows, until)
            }
            Step::Merge(rows) => {
                mine.merge(&rows);
                op.on_merged()
            }
            Step::Push { keys, known } => {
                let held: BTreeMap<_, _> = mine.readable().collect();
                let rows = keys.into_iter().filter_map(|key| held.get_key_value(&key));
                let rows: Vec<_> = rows
                    .filter(|(key, value)| !known.contains(&Digest::of_row(key, value)))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                peer.merge(&rows);
                traffic.rows += rows.len();
                op.on_pushed(rows.len() as u64)
            }
            Step::End => return (op.found(), traffic),
        };
    }
}
