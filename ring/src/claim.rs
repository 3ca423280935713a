//! Who owns which partition.
//!
//! [`claim`] is a pure function of the members and of who owns what now. Its laws, each before
//! the next:
//!
//! 1. **Balance.** The numbers of partitions that nodes own differ by at most one.
//! 2. **Spread.** Any `spread` partitions in a row, round the ring, have different owners, in
//!    different racks where there are enough racks.
//! 3. **Fewest moves**, as far as the search finds them.
//!
//! ```text
//! 4 nodes, 20 partitions, spread 3    a b c d a b c d a b c d a b c d a b c d
//! e joins: 4 partitions move          e b c d a e c d a b e d a b c e a b c d
//! ```
//!
//! What can be promised depends on the numbers. With N nodes and Q partitions:
//!
//! - N > spread: the law of owners holds all round the ring, given Q ≥ spread · (spread + 1).
//!   With fewer partitions `spread` stands for the greatest distance at which ⌈Q/N⌉ partitions of
//!   one node fit on the ring.
//! - N ≤ spread: any N in a row have different owners, but where N does not divide Q no order does
//!   that at the seam (three nodes cannot alternate over 256 partitions); so rows that run over
//!   the end of the ring, from the last partition to the first, are excused.
//! - There are *enough racks* when balance can leave each rack at most ⌊Q/spread⌋ partitions. Then
//!   the law of racks holds all round the ring. With exactly `spread` racks of as many nodes each
//!   it holds but for the seam, as above. Else (fewer racks than `spread`, or one that holds more
//!   than its share of the nodes) racks are no law; they are kept apart where it costs nothing. A
//!   rack is named by its data center and its own name.
//!
//! Replica lists pass over repeated owners and racks in any case, so what is excused costs
//! evenness of load, never a replica.
//!
//! Moves: none when nothing changed. When nodes join or leave a lawful ring and `2 · spread − 1`
//! or more remain (and racks are no law, or join and leave evenly), at most three times what
//! balance alone asks for; for a join as a rule exactly that. Below, the law leaves little choice:
//! with `spread` nodes or racks just one order, into which a change may have to bring almost all.
//!
//! Source: Dynamo §6.2; the laws are those of Riak's claim. Callers: whoever proposes a change of
//! the members.

mod lay_out;
mod mend;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use self::lay_out::lay_out;
use self::mend::mend;
use crate::{HostId, Node};

/// Why nothing can be claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Nobody is there to own partitions.
    #[error("a ring needs at least one node")]
    NoNodes,
    /// Two members have one name.
    #[error("node {host} is listed twice")]
    DuplicateNode {
        /// The name.
        host: HostId,
    },
}

/// The owner of each partition when `nodes` are the members, by the laws in the module's head.
///
/// `current` is who owns each partition now: `None`, or a node that is no member any more, where
/// nobody does. `spread` is at least 1; 0 is taken as 1. The order of `nodes` does not matter.
///
/// Cost: milliseconds for one node more or less among 100, with 1 024 partitions.
///
/// # Errors
/// [`ClaimError`] when `nodes` is empty or names one twice.
pub fn claim(
    nodes: &[Node],
    current: &[Option<HostId>],
    spread: usize,
) -> Result<Vec<HostId>, ClaimError> {
    let members = members(nodes)?;
    let places: BTreeMap<HostId, usize> =
        members.iter().enumerate().map(|(place, node)| (node.host, place)).collect();
    let current: Vec<Option<usize>> =
        current.iter().map(|host| host.and_then(|host| places.get(&host).copied())).collect();
    let law = Law::of(&members, &current, spread.max(1));
    let owners = if current.iter().all(Option::is_none) {
        let dealt = (0..current.len()).map(|partition| Some(partition % members.len())).collect();
        mend(&law, &current, dealt, 0).unwrap_or_else(|| lay_out(&law, &current))
    } else {
        let laid_out = lay_out(&law, &current);
        let patience = 2 * current.len();
        mend(&law, &current, current.clone(), patience)
            .filter(|mended| moves(&current, mended) <= moves(&current, &laid_out))
            .unwrap_or(laid_out)
    };
    Ok(owners.into_iter().map(|owner| members[owner].host).collect())
}

/// How many partitions get another owner.
fn moves(current: &[Option<usize>], owners: &[usize]) -> usize {
    current.iter().zip(owners).filter(|(before, after)| **before != Some(**after)).count()
}

/// The members in the order in which partitions are dealt to them: racks take turns, a larger one
/// more often, and within a rack the host id decides.
fn members(nodes: &[Node]) -> Result<Vec<&Node>, ClaimError> {
    let mut members: Vec<&Node> = nodes.iter().collect();
    members.sort_unstable_by_key(|node| node.host);
    if let Some(pair) = members.windows(2).find(|pair| pair[0].host == pair[1].host) {
        return Err(ClaimError::DuplicateNode { host: pair[0].host });
    }
    let mut racks: BTreeMap<_, Vec<&Node>> = BTreeMap::new();
    for node in members {
        racks.entry((&node.datacenter, &node.rack)).or_default().push(node);
    }
    let mut turns = Vec::new();
    for rack in racks.into_values() {
        let size = rack.len() as u64;
        // Of n nodes the k-th has its turn at (2k + 1) / 2n of the round, in 2³²ths.
        turns.extend((0..).zip(rack).map(|(k, node)| (((2 * k + 1) << 31) / size, node)));
    }
    if turns.is_empty() {
        return Err(ClaimError::NoNodes);
    }
    turns.sort_by_key(|(turn, node)| (*turn, &node.datacenter, &node.rack));
    Ok(turns.into_iter().map(|(_, node)| node).collect())
}

/// What a claim must fulfil. From here on nodes are numbers, in the order of [`members`].
struct Law {
    /// How many partitions each node gets.
    quotas: Vec<usize>,
    /// The rack of each node.
    racks: Vec<usize>,
    /// How far apart racks are kept even where they are no law.
    spread: usize,
    /// That of owners and, where there are enough racks, that of racks.
    rules: Vec<Rule>,
}

/// Any `spread` partitions in a row have owners of different kinds.
struct Rule {
    /// The kind of each node: the node itself, or its rack.
    kinds: Vec<usize>,
    spread: usize,
    /// Whether rows that run over the end of the ring count.
    is_closed: bool,
}

impl Law {
    fn of(members: &[&Node], current: &[Option<usize>], spread: usize) -> Self {
        let racks = racks_of(members);
        let mut held = vec![0_usize; members.len()];
        for owner in current.iter().flatten() {
            held[*owner] += 1;
        }
        let by_rack = quotas(current.len(), &held, |node| racks[node]);
        let owner_rule = Rule::of_owners(members.len(), current.len(), spread);
        if let Some(rack_rule) = Rule::of_racks(&racks, &sums(&by_rack, &racks), spread) {
            return Self { quotas: by_rack, racks, spread, rules: vec![owner_rule, rack_rule] };
        }
        let quotas = quotas(current.len(), &held, |_| 0);
        Self { quotas, racks, spread, rules: vec![owner_rule] }
    }
}

/// The racks of the members, numbered.
fn racks_of(members: &[&Node]) -> Vec<usize> {
    let mut numbers = BTreeMap::new();
    members
        .iter()
        .map(|node| {
            let next = numbers.len();
            *numbers.entry((&node.datacenter, &node.rack)).or_insert(next)
        })
        .collect()
}

/// How many partitions each node gets: as many, or one more.
///
/// One more goes each time to the group that has the fewest, and in it to the node that holds the
/// most now.
fn quotas(partitions: usize, held: &[usize], group: impl Fn(usize) -> usize) -> Vec<usize> {
    let nodes = held.len();
    let groups: Vec<usize> = (0..nodes).map(group).collect();
    let mut quotas = vec![partitions / nodes; nodes];
    for _ in 0..partitions % nodes {
        let of_group = sums(&quotas, &groups);
        let next = (0..nodes)
            .filter(|&node| quotas[node] == partitions / nodes)
            .min_by_key(|&node| (of_group[groups[node]], Reverse(held[node]), node))
            .expect("fewer nodes get one more than there are");
        quotas[next] += 1;
    }
    quotas
}

/// The sums of what the nodes have, by kind.
fn sums(amounts: &[usize], kinds: &[usize]) -> Vec<usize> {
    let mut sums = vec![0; kinds.iter().max().map_or(0, |last| last + 1)];
    for (amount, &kind) in amounts.iter().zip(kinds) {
        sums[kind] += amount;
    }
    sums
}

impl Rule {
    fn of_owners(nodes: usize, partitions: usize, spread: usize) -> Self {
        let kinds = (0..nodes).collect();
        if nodes <= spread {
            return Self { kinds, spread: nodes, is_closed: false };
        }
        let widest = partitions / partitions.div_ceil(nodes).max(1);
        Self { kinds, spread: spread.min(widest).max(1), is_closed: true }
    }

    /// The law of racks that get `amounts`, if there are enough of them.
    fn of_racks(racks: &[usize], amounts: &[usize], spread: usize) -> Option<Self> {
        let sizes = sums(&vec![1; racks.len()], racks);
        let most = amounts.iter().max()?;
        let is_closed = *most <= amounts.iter().sum::<usize>() / spread;
        let is_open = sizes.len() == spread && sizes.iter().all(|size| *size == sizes[0]);
        (is_closed || is_open).then(|| Self { kinds: racks.to_vec(), spread, is_closed })
    }
}

#[cfg(test)]
mod tests;
