//! The side of an exchange that is asked: it answers from what it holds and remembers nothing.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use repair::exchange::{Question, Reply};
use repair::merkle::{self, Digest};
use ring::HostId;

use super::AntiEntropy;
use super::share::tokens_of;
use super::talk::ranges;
use crate::metadata::{Life, TableId};
use crate::peer::Refusal;
use crate::store::keys::TableLife;

/// Who asks, and about what.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The other replica.
    pub from: HostId,
    /// The life of the table.
    pub life: TableLife,
    /// Whether it is behind its fence.
    pub is_fenced: bool,
    /// When it asked, by its wall clock, in microseconds.
    pub made_us: i64,
}

impl AntiEntropy {
    /// Answers a question of another replica of all that it asks about, and whether this node is
    /// behind its fence; the question and the answer are as they are sent.
    ///
    /// # Errors
    /// [`Refusal`]: only replicas of the living table are answered, and by a node behind its fence
    /// only such as are behind theirs.
    pub async fn answer(&self, asked: Asked, question: &[u8]) -> Result<(bool, Vec<u8>), Refusal> {
        let age_us = self.clock.wall_us().saturating_sub(asked.made_us);
        if i128::from(age_us) > self.options.age_max.as_micros().cast_signed() {
            return Err(Refusal::Stale { age_us });
        }
        let is_fenced = self.fence.is_up();
        let question = postcard::from_bytes(question).map_err(|_| Refusal::Damaged)?;
        let is_greeting = matches!(&question, Question::Roots { roots, .. } if roots.is_empty());
        if is_fenced && !asked.is_fenced && !is_greeting {
            return Err(Refusal::Fenced);
        }
        let reply = self.reply(asked, question).await?;
        let reply = postcard::to_stdvec(&reply).expect("a reply in memory can be written");
        Ok((is_fenced, reply))
    }

    async fn reply(&self, asked: Asked, question: Question) -> Result<Reply, Refusal> {
        let life = asked.life;
        Ok(match question {
            Question::Roots { age_max_ms, roots } => {
                let age_max = Duration::from_millis(age_max_ms);
                Reply::Leaves(self.differing(asked, age_max, &roots).await?)
            }
            Question::Buckets(buckets) => {
                let tokens = self.tokens(asked, buckets.iter().map(|bucket| bucket.partition))?;
                let digests = self.bucket_digests(life, &tokens, &buckets).await;
                Reply::Digests(digests.ok_or(Refusal::Damaged)?)
            }
            Question::Page(stretch) => {
                let partitions = stretch.buckets.iter().map(|bucket| bucket.partition);
                let tokens = self.tokens(asked, partitions)?;
                let ranges = ranges(life, &tokens, &stretch).ok_or(Refusal::Damaged)?;
                let page = self.digests.rows(&ranges).await;
                let digests = page.rows.into_iter().map(|(_, digest)| digest).collect();
                Reply::Page { digests, until: page.until }
            }
            Question::Pull { stretch, wanted, keys_only } => {
                let partitions = stretch.buckets.iter().map(|bucket| bucket.partition);
                let tokens = self.tokens(asked, partitions)?;
                let ranges = ranges(life, &tokens, &stretch).ok_or(Refusal::Damaged)?;
                let wanted: BTreeSet<Digest> = wanted.into_iter().collect();
                let found = self.digests.find(&ranges, &wanted, keys_only).await;
                Reply::Rows { rows: found.rows, until: found.until }
            }
        })
    }

    /// The leaves of the partitions whose roots are others here.
    async fn differing(
        &self,
        asked: Asked,
        age_max: Duration,
        roots: &[(u16, Digest)],
    ) -> Result<Vec<(u16, Vec<Digest>)>, Refusal> {
        let tokens = self.tokens(asked, roots.iter().map(|(partition, _)| *partition))?;
        let mut differing = Vec::new();
        for (partition, theirs) in roots {
            let held = self.digests.leaves(asked.life, *partition, &tokens[partition], age_max);
            let leaves: Vec<Digest> = held.await.iter().map(|leaf| leaf.digest).collect();
            if merkle::root(&leaves) != *theirs {
                differing.push((*partition, leaves));
            }
        }
        Ok(differing)
    }

    /// The tokens of partitions that both nodes are replicas of.
    fn tokens(
        &self,
        asked: Asked,
        partitions: impl Iterator<Item = u16>,
    ) -> Result<BTreeMap<u16, std::ops::RangeInclusive<ring::Token>>, Refusal> {
        let snapshot = self.cluster.snapshot().ok_or(Refusal::NotReady)?;
        let epoch = snapshot.epoch();
        let TableLife { table, epoch: table_epoch } = asked.life;
        match snapshot.life(TableId(table), table_epoch) {
            Life::Living => {}
            Life::Over => return Err(Refusal::TableEnded { epoch }),
            Life::Unborn => return Err(Refusal::UnknownTable { table }),
        }
        let hosts = [self.cluster.me(), asked.from];
        let mut tokens = BTreeMap::new();
        for partition in partitions {
            if let Entry::Vacant(place) = tokens.entry(partition) {
                let found = tokens_of(&snapshot, asked.life, partition, hosts);
                place.insert(found.ok_or(Refusal::NotReplica { epoch })?);
            }
        }
        Ok(tokens)
    }
}
