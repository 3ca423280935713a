use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;
use uuid::Uuid;

use super::*;
use crate::Strategy;

fn host(number: usize) -> HostId {
    HostId(Uuid::from_u128(number as u128))
}

fn hosts(numbers: &[usize]) -> Vec<HostId> {
    numbers.iter().copied().map(host).collect()
}

/// Node `i` stands at `places[i]`: data center and rack.
fn ring(places: &[(usize, usize)], owners: &[usize]) -> Ring {
    let nodes = places
        .iter()
        .enumerate()
        .map(|(number, (datacenter, rack))| Node {
            host: host(number),
            datacenter: format!("dc{datacenter}"),
            rack: format!("r{rack}"),
        })
        .collect();
    Ring::new(1, nodes, hosts(owners)).unwrap()
}

fn simple(replication_factor: u8) -> Strategy {
    Strategy::Simple { replication_factor }
}

fn per_datacenter(factors: &[(usize, u8)]) -> Strategy {
    let name = |(datacenter, factor): &(usize, u8)| (format!("dc{datacenter}"), *factor);
    Strategy::NetworkTopology(factors.iter().map(name).collect())
}

fn replicas(ring: &Ring, strategy: Strategy, partition: u16) -> Vec<HostId> {
    let partition = ring.partitions().numbered(partition).unwrap();
    Placement::new(ring, strategy).replicas(partition).to_vec()
}

/// The replicas of a token as Cassandra walks them, from its sorted list of all nodes' tokens.
fn cassandra(ring: &Ring, strategy: &Strategy, token: Token) -> Vec<HostId> {
    let mut tokens: Vec<(Token, &Node)> = ring
        .nodes()
        .iter()
        .flat_map(|node| ring.tokens_of(node.host).into_iter().map(move |token| (token, node)))
        .collect();
    tokens.sort();
    let start = tokens.iter().position(|(end, _)| *end >= token).unwrap();
    tokens.rotate_left(start);

    let mut chosen: Vec<HostId> = Vec::new();
    match strategy {
        Strategy::Simple { replication_factor } => {
            for (_, node) in tokens {
                if chosen.len() < usize::from(*replication_factor) && !chosen.contains(&node.host) {
                    chosen.push(node.host);
                }
            }
        }
        Strategy::NetworkTopology(factors) => {
            // Per data center: replicas still wanted, repeats of a rack still allowed.
            let mut wanted: BTreeMap<&str, (isize, isize)> = BTreeMap::new();
            for (datacenter, factor) in factors {
                let there = |node: &&Node| &node.datacenter == datacenter;
                let mut nodes: Vec<HostId> =
                    tokens.iter().map(|(_, node)| *node).filter(there).map(|n| n.host).collect();
                nodes.sort();
                nodes.dedup();
                let mut racks: Vec<&str> = tokens
                    .iter()
                    .map(|(_, node)| *node)
                    .filter(there)
                    .map(|node| node.rack.as_str())
                    .collect();
                racks.sort_unstable();
                racks.dedup();
                let factor = isize::from(*factor);
                let nodes = isize::try_from(nodes.len()).unwrap();
                let racks = isize::try_from(racks.len()).unwrap();
                wanted.insert(datacenter, (factor.min(nodes), factor - racks));
            }
            let mut seen: Vec<(&str, &str)> = Vec::new();
            for (_, node) in tokens {
                let Some((left, repeats)) = wanted.get_mut(node.datacenter.as_str()) else {
                    continue;
                };
                if *left == 0 || chosen.contains(&node.host) {
                    continue;
                }
                let rack = (node.datacenter.as_str(), node.rack.as_str());
                if seen.contains(&rack) {
                    if *repeats <= 0 {
                        continue;
                    }
                    *repeats -= 1;
                } else {
                    seen.push(rack);
                }
                *left -= 1;
                chosen.push(node.host);
            }
        }
    }
    chosen
}

#[test]
fn replicas_are_the_next_owners_clockwise() {
    let ring = ring(&[(1, 1), (1, 1), (1, 2), (1, 2)], &[0, 1, 0, 2, 3]);
    assert_eq!(replicas(&ring, simple(3), 0), hosts(&[0, 1, 2]));
    assert_eq!(replicas(&ring, simple(3), 2), hosts(&[0, 2, 3]));
    assert_eq!(replicas(&ring, simple(3), 4), hosts(&[3, 0, 1]));
    assert_eq!(replicas(&ring, simple(9), 4), hosts(&[3, 0, 1, 2]));
}

#[test]
fn racks_come_first_and_then_nodes() {
    let ring = ring(&[(1, 1), (1, 1), (1, 2), (1, 1), (1, 2)], &[0, 1, 2, 3, 4]);
    assert_eq!(replicas(&ring, per_datacenter(&[(1, 2)]), 0), hosts(&[0, 2]));
    assert_eq!(replicas(&ring, per_datacenter(&[(1, 3)]), 0), hosts(&[0, 1, 2]));
    assert_eq!(replicas(&ring, per_datacenter(&[(1, 3)]), 2), hosts(&[2, 3, 4]));
}

#[test]
fn each_data_center_fills_its_own_share() {
    let places = [(1, 1), (2, 1), (1, 1), (2, 1), (1, 1)];
    let ring = ring(&places, &[0, 2, 1, 4, 3]);
    assert_eq!(replicas(&ring, per_datacenter(&[(1, 2), (2, 1)]), 0), hosts(&[0, 2, 1]));
    assert_eq!(replicas(&ring, per_datacenter(&[(1, 2), (2, 1)]), 3), hosts(&[4, 3, 0]));
    assert_eq!(replicas(&ring, per_datacenter(&[(1, 0), (2, 9)]), 0), hosts(&[1, 3]));
    assert_eq!(replicas(&ring, per_datacenter(&[(3, 3)]), 0), []);
}

#[test]
fn a_placement_knows_where_its_replicas_stand() {
    let ring = ring(&[(1, 1), (2, 1), (1, 1)], &[0, 1, 2]);
    let placement = Placement::new(&ring, simple(2));
    let partition = ring.partitions().numbered(1).unwrap();
    let located: Vec<_> = placement.located(partition).collect();
    assert_eq!(located, [(host(1), "dc2"), (host(2), "dc1")]);
    assert_eq!(placement.strategy(), &simple(2));
    assert_eq!(placement.epoch(), 1);
}

#[test]
fn the_next_live_node_of_the_data_center_stands_in() {
    //           0       1       2       3       4       5
    let places = [(1, 1), (1, 1), (2, 1), (1, 1), (2, 1), (1, 1)];
    let ring = ring(&places, &[0, 1, 2, 3, 4, 5]);
    let first = ring.partitions().numbered(0).unwrap();
    let found = |dead: &[usize], replicas: &[usize]| -> Vec<_> {
        stand_ins(&ring, first, &hosts(replicas), |node| !hosts(dead).contains(&node))
            .into_iter()
            .map(|stand_in| (stand_in.absent, stand_in.host))
            .collect()
    };
    assert_eq!(found(&[], &[0, 1, 2]), []);
    assert_eq!(found(&[1], &[0, 1, 2]), [(host(1), host(3))]);
    assert_eq!(found(&[1, 3], &[0, 1, 2]), [(host(1), host(5))]);
    assert_eq!(found(&[0, 1], &[0, 1, 2]), [(host(0), host(3)), (host(1), host(5))]);
    assert_eq!(found(&[2], &[0, 1, 2]), [(host(2), host(4))]);
    // Nobody is left in the data center.
    assert_eq!(found(&[2, 4], &[0, 1, 2]), []);
    // A replica that this ring does not know.
    assert_eq!(found(&[9, 1], &[9, 1]), [(host(1), host(0))]);
}

fn strategies() -> impl Generator<Value = Strategy> {
    prop_oneof![
        (1..6_u8).prop_map(simple),
        btree_map((0..4_usize).prop_map(|number| format!("dc{number}")), 0..6_u8, 1..4)
            .prop_map(Strategy::NetworkTopology),
    ]
}

/// Up to 12 nodes in up to 3 data centers and 4 racks, and up to 60 partitions with any owners.
fn rings() -> impl Generator<Value = Ring> {
    vec((0..3_usize, 0..4_usize), 1..12).prop_flat_map(|places| {
        let owners = vec(0..places.len(), 1..60);
        owners.prop_map(move |owners| ring(&places, &owners))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn replica_lists_are_cassandras(ring in rings(), strategy in strategies(), token: i64) {
        let placement = Placement::new(&ring, strategy.clone());
        for partition in ring.partitions().iter() {
            let expected = cassandra(&ring, &strategy, ring.end_of(partition));
            prop_assert_eq!(placement.replicas(partition), expected);
        }
        let token = Token::new(token);
        let expected = cassandra(&ring, &strategy, token);
        prop_assert_eq!(placement.replicas(ring.partition_of(token)), expected);
    }

    #[test]
    fn replicas_stand_in_as_many_racks_as_there_are(
        ring in rings(), factors in btree_map(0..3_usize, 1..6_u8, 1..3),
    ) {
        let factors: Vec<_> = factors.into_iter().collect();
        let placement = Placement::new(&ring, per_datacenter(&factors));
        let racks_among = |hosts: &[HostId], datacenter: &str| {
            let nodes = hosts.iter().map(|&host| ring.node(host).unwrap());
            let mut racks: Vec<&str> = nodes
                .filter(|node| node.datacenter == datacenter)
                .map(|node| node.rack.as_str())
                .collect();
            let count = racks.len();
            racks.sort_unstable();
            racks.dedup();
            (count, racks.len())
        };
        let mut everybody = ring.owners().to_vec();
        everybody.sort();
        everybody.dedup();
        for partition in ring.partitions().iter() {
            for (datacenter, factor) in &factors {
                let datacenter = format!("dc{datacenter}");
                let (nodes, racks) = racks_among(&everybody, &datacenter);
                let chosen = racks_among(placement.replicas(partition), &datacenter);
                let factor = usize::from(*factor);
                prop_assert_eq!(chosen, (nodes.min(factor), racks.min(factor)));
            }
        }
    }

    #[test]
    fn stand_ins_are_live_strangers_of_the_same_data_center(
        ring in rings(), replication_factor in 1..5_u8, dead in vec(0..12_usize, 0..8),
    ) {
        let placement = Placement::new(&ring, simple(replication_factor));
        let is_alive = |node: HostId| !hosts(&dead).contains(&node);
        let datacenter = |node: HostId| &ring.node(node).unwrap().datacenter;
        for partition in ring.partitions().iter() {
            let replicas = placement.replicas(partition);
            let mut spare: Vec<HostId> = cassandra(&ring, &simple(u8::MAX), ring.end_of(partition))
                .into_iter()
                .filter(|node| is_alive(*node) && !replicas.contains(node))
                .collect();
            let mut expected = Vec::new();
            for &absent in replicas.iter().filter(|node| !is_alive(**node)) {
                let is_near = |node: &HostId| datacenter(*node) == datacenter(absent);
                if let Some(next) = spare.iter().position(is_near) {
                    expected.push(StandIn { absent, host: spare.remove(next) });
                }
            }
            prop_assert_eq!(stand_ins(&ring, partition, replicas, is_alive), expected);
        }
    }
}
