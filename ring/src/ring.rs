//! The ring: which node owns which partition, at one epoch of the cluster's metadata.
//!
//! A [`Ring`] never changes. A change of members or owners makes a new one under a higher epoch,
//! and whoever holds the old one keeps a consistent picture.
//!
//! ```text
//! partitions    0    1    2    3    4    5
//! owners        a    b    c    a    b    d
//! clockwise from partition 3:  a b d c          each owner once
//! ```
//!
//! The walk itself is the `consistent_hash` crate's: its virtual nodes are put at the ends of
//! their owners' partitions instead of at hashes. Callers: [`Placement`](crate::Placement) and
//! [`stand_ins`](crate::stand_ins), which walk it; the system tables, which show it to drivers.

use std::hash::{Hash, Hasher};

use consistent_hash::{Node as Walker, RingHash, StaticHashRing};

use crate::{HostId, Node, PartitionId, Partitions, Token};

/// Why members and owners make no ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// The ring cannot be cut into that many partitions.
    #[error("a ring has 1 to 65535 partitions, not {count}")]
    PartitionCount {
        /// How many owners were given.
        count: usize,
    },
    /// Two members have one name.
    #[error("node {host} is listed twice")]
    DuplicateNode {
        /// The name.
        host: HostId,
    },
    /// A partition belongs to nobody in the cluster.
    #[error("partition {partition} is owned by {host}, which is no member")]
    UnknownOwner {
        /// The partition's number.
        partition: usize,
        /// Its owner.
        host: HostId,
    },
}

/// Members, partitions and their owners at one epoch. Immutable; share it behind an `Arc`.
#[derive(Debug)]
pub struct Ring {
    epoch: u64,
    partitions: Partitions,
    /// By host id.
    nodes: Vec<Node>,
    /// By partition.
    owners: Vec<HostId>,
    /// Its keys, and the values beside them, are places in `nodes`.
    walk: StaticHashRing<'static, u64, usize, EndTokens>,
}

impl Ring {
    /// The ring of `nodes` at `epoch`, where `owners[i]` owns partition `i`.
    ///
    /// A node may own nothing: it is a member, but holds no replica and has no tokens.
    ///
    /// # Errors
    /// [`RingError`] when the arguments contradict themselves.
    pub fn new(epoch: u64, mut nodes: Vec<Node>, owners: Vec<HostId>) -> Result<Self, RingError> {
        let partitions = Partitions::new(owners.len())
            .ok_or(RingError::PartitionCount { count: owners.len() })?;
        nodes.sort_unstable_by_key(|node| node.host);
        if let Some(pair) = nodes.windows(2).find(|pair| pair[0].host == pair[1].host) {
            return Err(RingError::DuplicateNode { host: pair[0].host });
        }
        let mut ends = vec![Vec::new(); nodes.len()];
        for (partition, &host) in partitions.iter().zip(&owners) {
            let owner = find(&nodes, host)
                .ok_or(RingError::UnknownOwner { partition: partition.index(), host })?;
            ends[owner].push(position(partitions.end_of(partition)));
        }
        let walkers: Vec<_> = ends
            .iter()
            .enumerate()
            .filter(|(_, ends)| !ends.is_empty())
            .map(|(node, ends)| Walker { key: node as u64, value: node, quantity: ends.len() })
            .collect();
        let walk = StaticHashRing::new(EndTokens(ends), walkers.into_iter());
        Ok(Self { epoch, partitions, nodes, owners, walk })
    }

    /// The epoch of the metadata that this ring was made from.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Every member, by host id, those that own nothing included.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The member of that name.
    pub fn node(&self, host: HostId) -> Option<&Node> {
        find(&self.nodes, host).map(|node| &self.nodes[node])
    }

    /// How the ring is cut.
    pub fn partitions(&self) -> Partitions {
        self.partitions
    }

    /// The partition that holds `token`. Cost: one multiplication.
    pub fn partition_of(&self, token: Token) -> PartitionId {
        self.partitions.partition_of(token)
    }

    /// The last token of `partition`, which drivers see as a token of its owner.
    pub fn end_of(&self, partition: PartitionId) -> Token {
        self.partitions.end_of(partition)
    }

    /// The node that owns `partition`.
    pub fn owner(&self, partition: PartitionId) -> HostId {
        self.owners[partition.index()]
    }

    /// The owner of each partition, from partition 0.
    pub fn owners(&self) -> &[HostId] {
        &self.owners
    }

    /// The partitions that `host` owns, clockwise from [`Token::MIN`].
    pub fn partitions_of(&self, host: HostId) -> impl Iterator<Item = PartitionId> {
        self.partitions.iter().filter(move |&partition| self.owner(partition) == host)
    }

    /// The node's tokens as drivers see them: the ends of its partitions, ascending.
    pub fn tokens_of(&self, host: HostId) -> Vec<Token> {
        self.partitions_of(host).map(|partition| self.end_of(partition)).collect()
    }

    /// Every node that owns a partition, each once, in the order in which they are met clockwise
    /// from `partition`, whose owner comes first.
    pub fn walk_from(&self, partition: PartitionId) -> impl Iterator<Item = &Node> {
        self.walk
            .calc_candidates(&position(self.end_of(partition)))
            .map(|walker| &self.nodes[walker.value])
    }
}

/// Where `host` stands among nodes that are sorted by host id.
fn find(nodes: &[Node], host: HostId) -> Option<usize> {
    nodes.binary_search_by_key(&host, |node| node.host).ok()
}

/// The token's place in the order of tokens, counted from [`Token::MIN`].
fn position(token: Token) -> u64 {
    Token::MIN.distance_to(token)
}

/// Puts each virtual node at the end of a partition, and items where they say: hashes nothing.
///
/// Holds the positions of the ends by node and number of the virtual node.
#[derive(Debug)]
struct EndTokens(Vec<Vec<u64>>);

impl RingHash for EndTokens {
    fn hash_item<T: Hash>(&self, item: &T) -> u64 {
        let mut hasher = Verbatim::default();
        item.hash(&mut hasher);
        hasher.finish()
    }

    fn hash_vnode<K: Hash>(&self, node: &K, sequence: usize) -> u64 {
        let node = usize::try_from(self.hash_item(node)).expect("nodes are numbered by usize");
        self.0[node][sequence]
    }
}

/// Gives back the `u64` that is put in: keys of nodes and positions are nothing else.
#[derive(Default)]
struct Verbatim(u64);

impl Hasher for Verbatim {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys and items of the ring are u64");
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn host(number: usize) -> HostId {
        HostId(Uuid::from_u128(number as u128))
    }

    fn node(number: usize) -> Node {
        Node { host: host(number), datacenter: "dc".to_owned(), rack: "r".to_owned() }
    }

    fn ring(nodes: usize, owners: &[usize]) -> Ring {
        let nodes = (0..nodes).map(node).rev().collect();
        Ring::new(7, nodes, owners.iter().map(|&owner| host(owner)).collect()).unwrap()
    }

    fn is_shared<T: Send + Sync>(_: &T) {}

    #[test]
    fn a_ring_tells_owners_and_tokens() {
        let ring = ring(4, &[2, 0, 2, 1]);
        is_shared(&ring);
        assert_eq!(ring.epoch(), 7);
        assert_eq!(ring.nodes(), (0..4).map(node).collect::<Vec<_>>());
        assert_eq!(ring.node(host(3)), Some(&node(3)));
        assert_eq!(ring.node(host(4)), None);
        assert_eq!(ring.tokens_of(host(2)), [-(1 << 62) - 1, (1 << 62) - 1].map(Token::new));
        assert_eq!(ring.tokens_of(host(1)), [Token::MAX]);
        assert_eq!(ring.tokens_of(host(3)), []);
        assert_eq!(ring.owner(ring.partition_of(Token::new(0))), host(2));
        assert_eq!(ring.owner(ring.partition_of(Token::new(-1))), host(0));
    }

    #[test]
    fn contradictions_are_refused() {
        let error = |nodes: Vec<Node>, owners| Ring::new(1, nodes, owners).unwrap_err();
        assert_eq!(error(vec![node(1)], vec![]), RingError::PartitionCount { count: 0 });
        let many = vec![host(1); 65_536];
        assert_eq!(error(vec![node(1)], many), RingError::PartitionCount { count: 65_536 });
        let twice = vec![node(1), node(2), node(1)];
        assert_eq!(error(twice, vec![host(1)]), RingError::DuplicateNode { host: host(1) });
        assert_eq!(
            error(vec![node(1)], vec![host(1), host(2)]),
            RingError::UnknownOwner { partition: 1, host: host(2) }
        );
    }

    proptest! {
        #[test]
        fn a_walk_meets_each_owner_once_in_ring_order(
            owners in vec(0..12_usize, 1..40), token: i64,
        ) {
            let ring = ring(12, &owners);
            let partition = ring.partition_of(Token::new(token));

            let start = owners
                .iter()
                .enumerate()
                .position(|(number, _)| {
                    let number = u16::try_from(number).unwrap();
                    ring.end_of(ring.partitions().numbered(number).unwrap()).value() >= token
                })
                .unwrap();
            let mut clockwise = Vec::new();
            for step in 0..owners.len() {
                let owner = host(owners[(start + step) % owners.len()]);
                if !clockwise.contains(&owner) {
                    clockwise.push(owner);
                }
            }

            let walked: Vec<_> = ring.walk_from(partition).map(|node| node.host).collect();
            prop_assert_eq!(walked, clockwise);
        }
    }
}
