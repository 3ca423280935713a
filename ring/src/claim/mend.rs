//! Brings a claim into line with the law by moving few partitions.
//!
//! Partitions that break a rule are given up. Free ones go where they may; and from nodes that
//! have too many, partitions go along shortest chains of nodes to those that have too few:
//!
//! ```text
//! a has one too many, c one too few, but c may own none of a's:   a gives b one, b gives c one
//! ```
//!
//! Where that gets stuck, a partition is put where it does the least harm and the ones in its way
//! become free again; those that were driven out before count for more, so that the search does
//! not run in circles. Its patience for that is bounded.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Law, Rule};

/// `start` brought into line with `law`; `None` when more than `patience` partitions would have
/// to be driven out.
///
/// `current` is who owned what before the change.
pub(super) fn mend(
    law: &Law,
    current: &[Option<usize>],
    start: Vec<Option<usize>>,
    patience: usize,
) -> Option<Vec<usize>> {
    let mut mending = Mending::new(law, current, start, patience);
    mending.give_up_unlawful(|mending, owner| mending.surplus(owner) > 0);
    mending.give_up_unlawful(|_, _| true);
    loop {
        // Each turn drives somebody out, or leaves less to do.
        if let Some(partition) = mending.free.pop_front() {
            mending.settle(partition)?;
        } else if let Some(owner) = mending.fullest() {
            if !mending.pass_on(owner) {
                mending.push_out(owner)?;
            }
        } else {
            return mending.finish();
        }
    }
}

/// A claim in the making: some partitions are free, some nodes have too many or too few.
struct Mending<'a> {
    law: &'a Law,
    current: &'a [Option<usize>],
    owners: Vec<Option<usize>>,
    /// The partitions without owner, in the order in which they lost it.
    free: VecDeque<usize>,
    /// The partitions of each node.
    holdings: Vec<BTreeSet<usize>>,
    /// How often each partition was driven out.
    driven_out: Vec<usize>,
    patience: usize,
}

/// How bad it is that a partition goes to a node: what [`Mending::badness`] says, in its order,
/// and the partition.
type Badness = (u8, usize, Reverse<usize>, usize);

impl<'a> Mending<'a> {
    fn new(
        law: &'a Law,
        current: &'a [Option<usize>],
        owners: Vec<Option<usize>>,
        patience: usize,
    ) -> Self {
        let mut holdings = vec![BTreeSet::new(); law.quotas.len()];
        let mut free = VecDeque::new();
        for (partition, owner) in owners.iter().enumerate() {
            match owner {
                Some(owner) => _ = holdings[*owner].insert(partition),
                None => free.push_back(partition),
            }
        }
        let driven_out = vec![0; owners.len()];
        Self { law, current, owners, free, holdings, driven_out, patience }
    }

    /// The claim, if it is lawful after all: the gifts of one chain were each looked at alone.
    fn finish(self) -> Option<Vec<usize>> {
        let owners: Vec<usize> = self.owners.iter().copied().collect::<Option<_>>()?;
        let is_lawful = (0..owners.len())
            .all(|partition| self.in_the_way(partition, owners[partition]).next().is_none());
        is_lawful.then_some(owners)
    }

    /// Frees the partitions that break a rule, of those owners that `may_lose` them.
    fn give_up_unlawful(&mut self, may_lose: impl Fn(&Self, usize) -> bool) {
        for partition in 0..self.owners.len() {
            if let Some(owner) = self.owners[partition]
                && self.in_the_way(partition, owner).next().is_some()
                && may_lose(self, owner)
            {
                self.release(partition);
            }
        }
    }

    /// Gives a free partition to the node with which the fewest others are in its way; where that
    /// is nobody, first of all to one that has too few.
    fn settle(&mut self, partition: usize) -> Option<()> {
        let node = (0..self.holdings.len()).min_by_key(|&node| {
            let badness = self.badness(partition, node);
            let surplus = self.surplus(node);
            (self.harm(partition, node), surplus >= 0, badness, surplus)
        })?;
        self.drive_in(partition, node)
    }

    /// Takes one partition from `owner`, who has too many, along a shortest chain of nodes to one
    /// that has too few: each gives the next one partition. Whether there is such a chain.
    fn pass_on(&mut self, owner: usize) -> bool {
        // For each node that was reached, who gives it which partition.
        let mut gifts: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut givers = VecDeque::from([owner]);
        while let Some(giver) = givers.pop_front() {
            let mut reached = self.best_gifts(giver);
            reached.retain(|taker, _| *taker != owner && !gifts.contains_key(taker));
            for (&taker, &(.., partition)) in &reached {
                gifts.insert(taker, (giver, partition));
                givers.push_back(taker);
            }
            reached.retain(|&taker, _| self.surplus(taker) < 0);
            if let Some((&end, _)) = reached.iter().min_by_key(|(_, badness)| **badness) {
                self.hand_on(owner, end, &gifts);
                return true;
            }
        }
        false
    }

    /// Carries out the gifts of the chain that leads from `owner` to `end`, the last one first.
    fn hand_on(&mut self, owner: usize, end: usize, gifts: &BTreeMap<usize, (usize, usize)>) {
        let mut taker = end;
        while taker != owner {
            let (giver, partition) = gifts[&taker];
            self.give(partition, taker);
            taker = giver;
        }
    }

    /// For each node that may own a partition of `giver`, the one that it is least bad to give it.
    fn best_gifts(&self, giver: usize) -> BTreeMap<usize, Badness> {
        let mut gifts = BTreeMap::new();
        for &partition in &self.holdings[giver] {
            for taker in (0..self.holdings.len()).filter(|&taker| taker != giver) {
                if self.in_the_way(partition, taker).next().is_none() {
                    let badness = self.badness(partition, taker);
                    let best = gifts.entry(taker).or_insert(badness);
                    *best = badness.min(*best);
                }
            }
        }
        gifts
    }

    /// Gives one partition of `owner`, who has too many, to a node that has too few, although
    /// others are in the way.
    fn push_out(&mut self, owner: usize) -> Option<()> {
        let takers = (0..self.holdings.len()).filter(|&node| self.surplus(node) < 0);
        let (_, partition, taker) = takers
            .flat_map(|taker| self.holdings[owner].iter().map(move |&partition| (partition, taker)))
            .map(|(partition, taker)| {
                let is_at_rest = self.current[partition] == Some(owner);
                let harm = self.harm(partition, taker);
                let harm = (harm, usize::from(is_at_rest) + self.driven_out[partition]);
                (harm, partition, taker)
            })
            .min()?;
        self.drive_in(partition, taker)
    }

    /// Gives `partition` to `node` and frees whatever is in the way, as far as patience goes.
    fn drive_in(&mut self, partition: usize, node: usize) -> Option<()> {
        let in_the_way: BTreeSet<usize> = self.in_the_way(partition, node).collect();
        self.patience = self.patience.checked_sub(in_the_way.len())?;
        for other in in_the_way {
            self.release(other);
            self.driven_out[other] += 1;
        }
        self.give(partition, node);
        Some(())
    }

    /// The partitions with which `partition`, were it `node`'s, would break a rule.
    fn in_the_way(&self, partition: usize, node: usize) -> impl Iterator<Item = usize> {
        self.law.rules.iter().flat_map(move |rule| {
            rule.neighbours(partition, self.owners.len()).filter(move |&neighbour| {
                self.owners[neighbour].is_some_and(|other| rule.kinds[other] == rule.kinds[node])
            })
        })
    }

    /// What it costs to clear the way for `partition` to `node`.
    fn harm(&self, partition: usize, node: usize) -> usize {
        self.in_the_way(partition, node).map(|other| 1 + self.driven_out[other]).sum()
    }

    /// Worse is, in this order: to move a partition that has not moved yet; to bring equal racks
    /// together; to come nearer to another partition of the node than an even round would.
    fn badness(&self, partition: usize, node: usize) -> Badness {
        let before = self.current[partition];
        let moves = if before == Some(node) {
            0
        } else if before.is_some() && before == self.owners[partition] {
            2
        } else {
            1
        };
        let row = Rule { kinds: Vec::new(), spread: self.law.spread, is_closed: true };
        let equal_racks = row
            .neighbours(partition, self.owners.len())
            .filter_map(|neighbour| self.owners[neighbour])
            .filter(|&other| self.law.racks[other] == self.law.racks[node])
            .count();
        let gap = self.gap(partition, node).min(self.holdings.len());
        (moves, equal_racks, Reverse(gap), partition)
    }

    /// How far the nearest other partition of `node` is from `partition`.
    fn gap(&self, partition: usize, node: usize) -> usize {
        let size = self.owners.len();
        let holding = &self.holdings[node];
        let after = holding.range(partition + 1..).next().or(holding.first());
        let before = holding.range(..partition).next_back().or(holding.last());
        let ahead = after.map_or(size, |after| (after + size - partition) % size);
        let behind = before.map_or(size, |before| (partition + size - before) % size);
        ahead.min(behind)
    }

    fn give(&mut self, partition: usize, node: usize) {
        if let Some(giver) = self.owners[partition].replace(node) {
            self.holdings[giver].remove(&partition);
        }
        self.holdings[node].insert(partition);
    }

    fn release(&mut self, partition: usize) {
        if let Some(owner) = self.owners[partition].take() {
            self.holdings[owner].remove(&partition);
            self.free.push_back(partition);
        }
    }

    /// The node that has most above its quota, if one has.
    fn fullest(&self) -> Option<usize> {
        (0..self.holdings.len())
            .filter(|&node| self.surplus(node) > 0)
            .max_by_key(|&node| (self.surplus(node), Reverse(node)))
    }

    /// How many partitions `node` has above its quota; negative if it has fewer.
    fn surplus(&self, node: usize) -> isize {
        self.holdings[node].len().cast_signed() - self.law.quotas[node].cast_signed()
    }
}

impl Rule {
    /// The partitions that share a row with `partition`.
    fn neighbours(
        &self,
        partition: usize,
        partitions: usize,
    ) -> impl Iterator<Item = usize> + use<> {
        let is_closed = self.is_closed;
        (1..self.spread.min(partitions)).flat_map(move |distance| {
            let after = partition + distance;
            let before = partition + partitions - distance;
            let after = (is_closed || after < partitions).then_some(after % partitions);
            let before = (is_closed || before >= partitions).then_some(before % partitions);
            after.into_iter().chain(before)
        })
    }
}
