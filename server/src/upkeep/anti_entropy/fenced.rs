//! How a node gets from behind its fence: it fetches all that its peers hold and gives nothing.
//!
//! ```text
//! nothing to fetch: no table of mine has another replica        the fence falls at once
//! a partition with live replicas before their fences            all of those are exchanged with
//! a partition whose live replicas are all behind theirs         all of them are: they free each other
//! a partition none of whose other replicas is alive             the node waits
//! ```
//!
//! A fenced peer is left out where another one is not: it may hold less, and nothing that the other
//! one lacks was acknowledged by both. The rule is [`Fence`](crate::replica::Fence)'s.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use repair::exchange::Mode;
use ring::{HostId, StoreId};

use super::AntiEntropy;
use super::share::{Share, shares};
use crate::store::keys::TableLife;

/// How many partitions are fetched together.
const PARTITIONS_TOGETHER: usize = 16;

/// What a store behind its fence has fetched so far.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    store: Option<StoreId>,
    /// From peers that are before their fences: good for as long as the store lasts.
    complete: BTreeSet<(TableLife, HostId, u16)>,
}

impl AntiEntropy {
    /// Fetches what can be had now, and lowers the fence if that was all. Answers whether it is down.
    pub(super) async fn fetch(&self, fetched: &mut Fetched) -> bool {
        let standing = self.replica.standing();
        let Some(snapshot) = self.cluster.snapshot() else { return false };
        let me = self.cluster.me();
        // The metadata of a directory that went back may be older than its tables.
        let is_registered =
            snapshot.member(me).is_some_and(|member| member.store == standing.store);
        if !is_registered {
            return false;
        }
        if fetched.store != Some(standing.store) {
            *fetched = Fetched { store: Some(standing.store), ..Fetched::default() };
        }
        let shares = shares(&snapshot, me);
        if !self.fetch_all(&shares, fetched).await {
            return false;
        }
        match self.fence.lower(standing.store).await {
            Ok(()) => tracing::info!(store = %standing.store, "this store has all that it should"),
            Err(error) => tracing::warn!(%error, "could not note that the store was exchanged"),
        }
        !self.fence.is_up()
    }

    /// Whether everything was fetched that has to be.
    async fn fetch_all(&self, shares: &[Share], fetched: &mut Fetched) -> bool {
        let alive = self.cluster.alive();
        let mut are_fenced = BTreeMap::new();
        for share in shares.iter().filter(|share| alive.contains(&share.peer)) {
            if let Entry::Vacant(place) = are_fenced.entry(share.peer) {
                // Who does not answer is not known to be alive: a later round asks again.
                let Some(is_fenced) = self.is_fenced(share).await else { return false };
                place.insert(is_fenced);
            }
        }
        let mut sources: BTreeMap<(TableLife, u16), Vec<HostId>> = BTreeMap::new();
        for share in shares {
            for partition in &share.partitions {
                let peers = sources.entry((share.life, *partition)).or_default();
                peers.extend(are_fenced.contains_key(&share.peer).then_some(share.peer));
            }
        }
        for peers in sources.values_mut() {
            if peers.iter().any(|peer| !are_fenced[peer]) {
                peers.retain(|peer| !are_fenced[peer]);
            }
        }
        let mut has_all = sources.values().all(|peers| !peers.is_empty());
        for share in shares {
            let is_open = |partition: &u16| {
                sources[&(share.life, *partition)].contains(&share.peer)
                    && !fetched.complete.contains(&(share.life, share.peer, *partition))
            };
            let open = share.of(share.partitions.iter().copied().filter(is_open).collect());
            for part in open.parts(PARTITIONS_TOGETHER) {
                let talked = self.talk(&part, Mode::Pull, Duration::MAX).await;
                has_all &= talked.failure.is_none();
                if talked.failure.is_none() && !are_fenced[&share.peer] {
                    let complete = part.partitions.iter();
                    let complete = complete.map(|number| (part.life, part.peer, *number));
                    fetched.complete.extend(complete);
                }
                self.note(&part, &talked);
            }
        }
        has_all
    }
}
