//! What other nodes' background work asks: hints to keep, rows to mend, removed rows to purge.

use std::ops::RangeInclusive;

use bytes::Bytes;
use repair::merkle::Digest;
use ring::{HostId, Token};

use super::{Outcome, PeerHandler, lives, refusal};
use crate::peer::{Answer, Body, Refusal, RowList};
use crate::store::keys::TableLife;
use crate::upkeep::purge::{digests_body, read_digests};

impl PeerHandler {
    /// Keeps hints of rows that this node has.
    pub(super) async fn keep_hints(&self, body: Bytes, missed: &[HostId]) -> Outcome {
        let rows = RowList::read(body).ok_or(Refusal::Damaged)?;
        let keys: Vec<Bytes> = rows.into_iter().map(|(key, _)| key).collect();
        let missed = self.coordinator.hinted(missed);
        let kept = self.replica.keep_hints(keys, &missed).await;
        kept.map_err(|_| Refusal::StoreFailed)?;
        Ok((Answer::Applied, Body::new()))
    }

    /// Merges rows that an exchange has found to differ.
    pub(super) async fn mend(&self, body: Bytes, made_us: i64) -> Outcome {
        self.refuse_old(made_us)?;
        let rows = RowList::read(body).ok_or(Refusal::Damaged)?;
        let keys = rows.iter().map(|(key, _)| self.row(key.clone(), false).map(|(key, _)| key));
        let lives = lives(&keys.collect::<Result<Vec<_>, _>>()?);
        self.replica.mend(rows).await.map_err(|failure| refusal(&failure))?;
        self.still_live(&lives)?;
        Ok((Answer::Applied, Body::new()))
    }

    /// Whether this node keeps hints, and so perhaps copies for others, of rows of a partition.
    pub(super) fn has_hints(&self, life: TableLife, partition: u16) -> Outcome {
        let tokens = self.tokens_of(partition)?;
        let has_hints = self.replica.has_hints(life, &tokens);
        Ok((Answer::Hints(has_hints.map_err(|_| Refusal::StoreFailed)?), Body::new()))
    }

    /// Which of the rows with these digests this copy of a partition holds.
    pub(super) async fn holding(&self, life: TableLife, partition: u16, body: Bytes) -> Outcome {
        if self.replica.is_fenced() {
            return Err(Refusal::Fenced);
        }
        let tokens = self.tokens_of(partition)?;
        self.table(life, &tokens, false)?;
        let wanted = read_digests(body).ok_or(Refusal::Damaged)?;
        let held = self.replica.holding(life, &tokens, &wanted).await;
        let held = held.map_err(|_| Refusal::StoreFailed)?;
        Ok((Answer::Holding, Body::from_iter([digests_body(&held)])))
    }

    /// Takes away rows that all replicas were found to hold, if they are here as they were found.
    pub(super) async fn purge(&self, body: Bytes, made_us: i64) -> Outcome {
        self.refuse_old(made_us)?;
        let rows = RowList::read(body).ok_or(Refusal::Damaged)?;
        let read = |(key, digest): (Bytes, Bytes)| {
            self.row(key.clone(), false)?;
            let digest = digest.as_ref().try_into().map_err(|_| Refusal::Damaged)?;
            Ok((key, Digest::from_bytes(digest)))
        };
        let rows = rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        self.replica.purge(rows).await.map_err(|_| Refusal::StoreFailed)?;
        Ok((Answer::Applied, Body::new()))
    }

    fn tokens_of(&self, partition: u16) -> Result<RangeInclusive<Token>, Refusal> {
        let snapshot = self.cluster.snapshot().ok_or(Refusal::NotReady)?;
        let partitions = snapshot.ring.partitions();
        let partition = partitions.numbered(partition).ok_or(Refusal::Damaged)?;
        Ok(partitions.tokens_of(partition))
    }
}
