use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use uuid::Uuid;

use super::*;

fn node(number: usize, datacenter: usize, rack: usize) -> Node {
    Node {
        host: HostId(Uuid::from_u128(number as u128)),
        datacenter: format!("dc{datacenter}"),
        rack: format!("r{rack}"),
    }
}

/// Nodes `0..count`, dealt to that many racks of one data center.
fn cluster(count: usize, racks: usize) -> Vec<Node> {
    (0..count).map(|number| node(number, 1, number % racks)).collect()
}

fn fresh(nodes: &[Node], partitions: usize, spread: usize) -> Vec<HostId> {
    claim(nodes, &vec![None; partitions], spread).unwrap()
}

fn change(nodes: &[Node], current: &[HostId], spread: usize) -> Vec<HostId> {
    let current: Vec<_> = current.iter().copied().map(Some).collect();
    claim(nodes, &current, spread).unwrap()
}

fn moved(before: &[HostId], after: &[HostId]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before != after).count()
}

/// Owners as letters, for small clusters.
fn letters(owners: &[HostId]) -> String {
    owners.iter().map(|host| char::from(b'a' + host.0.as_bytes()[15])).collect()
}

/// How many rows of `spread` partitions have two owners of one kind.
fn repeats<K: Ord>(
    owners: &[HostId],
    spread: usize,
    is_closed: bool,
    kind: impl Fn(HostId) -> K,
) -> usize {
    let size = owners.len();
    let starts = if is_closed { size } else { (size + 1).saturating_sub(spread) };
    (0..starts)
        .filter(|start| {
            let mut kinds: Vec<K> =
                (0..spread).map(|step| kind(owners[(start + step) % size])).collect();
            kinds.sort();
            kinds.windows(2).any(|pair| pair[0] == pair[1])
        })
        .count()
}

/// The least that the largest rack can have when the nodes' numbers differ by at most one.
fn least_largest_rack(partitions: usize, sizes: &[usize]) -> usize {
    let nodes: usize = sizes.iter().sum();
    let (few, many) = (partitions / nodes, partitions.div_ceil(nodes));
    let fits = |most: usize| {
        let room: usize = sizes.iter().map(|size| most.min(size * many)).sum();
        room >= partitions && sizes.iter().all(|size| size * few <= most)
    };
    (0..=partitions).find(|&most| fits(most)).unwrap()
}

/// Asserts what the module's head promises.
fn assert_lawful(nodes: &[Node], owners: &[HostId], spread: usize) {
    let partitions = owners.len();
    let count = nodes.len();
    for node in nodes {
        let owned = owners.iter().filter(|owner| **owner == node.host).count();
        assert!(owned == partitions / count || owned == partitions.div_ceil(count));
    }

    if count > spread {
        let each = partitions.div_ceil(count);
        let apart = (1..=spread).rev().find(|apart| apart * each <= partitions).unwrap_or(1);
        assert!(apart == spread || partitions < spread * (spread + 1));
        assert_eq!(repeats(owners, apart, true, |host| host), 0, "owners repeat");
    } else {
        let is_closed = partitions.is_multiple_of(count);
        assert_eq!(repeats(owners, count, is_closed, |host| host), 0, "owners repeat");
    }

    let mut racks: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for node in nodes {
        *racks.entry((&node.datacenter, &node.rack)).or_default() += 1;
    }
    let sizes: Vec<usize> = racks.values().copied().collect();
    let rack = |host| {
        let node = nodes.iter().find(|node| node.host == host).unwrap();
        (&node.datacenter, &node.rack)
    };
    if least_largest_rack(partitions, &sizes) * spread <= partitions {
        assert_eq!(repeats(owners, spread, true, rack), 0, "racks repeat");
    } else if sizes.len() == spread && sizes.iter().all(|size| *size == sizes[0]) {
        assert_eq!(repeats(owners, spread, false, rack), 0, "racks repeat before the seam");
    }
}

/// Up to three data centers of unequal size, each with up to four racks of unequal size.
fn clusters() -> impl Strategy<Value = Vec<Node>> {
    vec(vec(0..5_usize, 1..=4), 1..=3).prop_map(|datacenters| {
        let mut nodes = Vec::new();
        for (datacenter, racks) in datacenters.into_iter().enumerate() {
            for (rack, size) in racks.into_iter().enumerate() {
                for _ in 0..size {
                    // Host ids in an order that has nothing to do with the racks.
                    nodes.push(node(nodes.len() * 37 % 101, datacenter, rack));
                }
            }
        }
        if nodes.is_empty() {
            nodes.push(node(0, 0, 0));
        }
        nodes
    })
}

/// Equal racks as operators like them: 2 to 5, over all data centers together.
fn even_clusters() -> impl Strategy<Value = Vec<Node>> {
    (1..=5_usize, 1..=4_usize).prop_map(|(racks, each)| cluster(racks * each, racks))
}

/// A node joins in one of the racks, or one of the nodes leaves.
#[derive(Debug, Clone)]
enum Change {
    Join { like: Index },
    Leave { which: Index },
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let join = any::<Index>().prop_map(|like| Change::Join { like });
    let leave = any::<Index>().prop_map(|which| Change::Leave { which });
    vec(prop_oneof![join, leave], 0..6)
}

fn apply(change: &Change, nodes: &mut Vec<Node>) {
    match change {
        Change::Join { like } => {
            let like = &nodes[like.index(nodes.len())];
            let number = 1_000 + nodes.iter().map(|node| node.host.0.as_u128()).max().unwrap();
            nodes.push(Node { host: HostId(Uuid::from_u128(number)), ..like.clone() });
        }
        Change::Leave { which } => {
            if nodes.len() > 1 {
                nodes.remove(which.index(nodes.len()));
            }
        }
    }
}

#[test]
fn small_claims_look_as_the_laws_say() {
    assert_eq!(letters(&fresh(&cluster(3, 1), 12, 3)), "abcabcabcabc");
    // 3 does not divide 13: the rows over the end of the ring are excused.
    assert_eq!(letters(&fresh(&cluster(3, 3), 13, 3)), "abcabcabcabca");
    assert_eq!(letters(&fresh(&cluster(2, 1), 5, 3)), "ababa");
    assert_eq!(letters(&fresh(&cluster(1, 1), 4, 3)), "aaaa");
    assert_eq!(letters(&fresh(&cluster(5, 1), 3, 3)), "abc");
    // Racks {a, c, e} and {b, d, f} take turns although two racks are too few for a law.
    assert_eq!(letters(&fresh(&cluster(6, 2), 12, 3)), "abcdefabcdef");
}

#[test]
fn the_claim_in_the_head_is_what_it_says() {
    let four = fresh(&cluster(4, 1), 20, 3);
    assert_eq!(letters(&four), "abcdabcdabcdabcdabcd");
    let five = change(&cluster(5, 1), &four, 3);
    assert_eq!(letters(&five), "ebcdaecdabedabceabcd");
    assert_eq!(change(&cluster(4, 1), &five, 3), four);
}

#[test]
fn nobody_and_doubles_are_refused() {
    assert_eq!(claim(&[], &[None], 3), Err(ClaimError::NoNodes));
    let twice = [node(1, 1, 1), node(2, 1, 1), node(1, 2, 2)];
    assert_eq!(claim(&twice, &[None], 3), Err(ClaimError::DuplicateNode { host: twice[0].host }));
    assert_eq!(claim(&cluster(3, 1), &[], 3), Ok(vec![]));
    assert_eq!(fresh(&cluster(3, 1), 6, 0), fresh(&cluster(3, 1), 6, 1));
}

#[test]
fn a_join_moves_only_what_the_new_node_takes() {
    for spread in 2..=6 {
        for count in spread + 1..=40 {
            let before = fresh(&cluster(count, 1), 256, spread);
            let after = change(&cluster(count + 1, 1), &before, spread);
            assert_eq!(moved(&before, &after), 256 / (count + 1), "{spread} {count}");
            // And when it leaves again, only that comes back.
            let back = change(&cluster(count, 1), &after, spread);
            assert_eq!(moved(&after, &back), 256 / (count + 1), "{spread} {count}");
        }
    }
}

#[test]
fn a_fourth_node_takes_little_more_than_its_share_from_three() {
    for partitions in [64, 100, 128, 256, 512, 1024] {
        let before = fresh(&cluster(3, 1), partitions, 3);
        let after = change(&cluster(4, 1), &before, 3);
        assert_lawful(&cluster(4, 1), &after, 3);
        let share = partitions / 4;
        assert!(moved(&before, &after) <= share + share / 8 + 1, "{partitions}");
    }
}

#[test]
fn racks_that_grow_evenly_move_only_what_the_new_nodes_take() {
    for racks in 3..=5 {
        for each in 1..=6 {
            let before = fresh(&cluster(racks * each, racks), 256, 3);
            let nodes = cluster(racks * (each + 1), racks);
            let after = change(&nodes, &before, 3);
            assert_lawful(&nodes, &after, 3);
            let of_new =
                after.iter().filter(|host| nodes[racks * each..].iter().any(|n| n.host == **host));
            assert_eq!(moved(&before, &after), of_new.count(), "{racks} {each}");
        }
    }
}

#[test]
fn large_clusters_are_claimed_at_once() {
    let hundred = cluster(100, 4);
    let before = fresh(&hundred, 1024, 3);
    assert_lawful(&hundred, &before, 3);
    let after = change(&hundred[..99], &before, 3);
    assert_lawful(&hundred[..99], &after, 3);
    assert!(moved(&before, &after) <= 2 * 11);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn claims_are_lawful_through_all_changes(
        mut nodes in prop_oneof![clusters(), even_clusters()],
        changes in changes(),
        partitions in prop_oneof![1..300_usize, select(vec![64_usize, 128, 256])],
        spread in 1..=4_usize,
    ) {
        let mut owners = fresh(&nodes, partitions, spread);
        assert_lawful(&nodes, &owners, spread);
        for step in &changes {
            apply(step, &mut nodes);
            owners = change(&nodes, &owners, spread);
            assert_lawful(&nodes, &owners, spread);
        }
    }

    #[test]
    fn any_owners_are_brought_into_line(
        nodes in prop_oneof![clusters(), even_clusters()],
        owners in vec(0..80_usize, 1..200),
        spread in 1..=4_usize,
    ) {
        // Numbers without a node stand for nodes that have left, and for nobody.
        let current: Vec<_> = owners
            .iter()
            .map(|&number| (number < 70).then(|| node(number, 0, 0).host))
            .collect();
        assert_lawful(&nodes, &claim(&nodes, &current, spread).unwrap(), spread);
    }

    #[test]
    fn nothing_moves_when_nothing_changed(
        mut nodes in prop_oneof![clusters(), even_clusters()],
        changes in changes(),
        partitions in 1..300_usize,
        spread in 1..=4_usize,
    ) {
        let mut owners = fresh(&nodes, partitions, spread);
        for step in &changes {
            apply(step, &mut nodes);
            owners = change(&nodes, &owners, spread);
        }
        prop_assert_eq!(change(&nodes, &owners, spread), owners);
    }

    #[test]
    fn the_order_of_the_nodes_does_not_matter(
        (nodes, shuffled) in clusters()
            .prop_flat_map(|nodes| (Just(nodes.clone()), Just(nodes).prop_shuffle())),
        current in vec(proptest::option::of(0..40_usize), 1..100),
    ) {
        let current: Vec<_> =
            current.iter().map(|owner| owner.map(|number| node(number, 0, 0).host)).collect();
        prop_assert_eq!(claim(&nodes, &current, 3), claim(&shuffled, &current, 3));
    }

    #[test]
    fn changes_move_at_most_three_times_what_balance_asks_for(
        count in 1..12_usize,
        changes in changes(),
        partitions in 48..300_usize,
        spread in 1..=4_usize,
    ) {
        let mut nodes = cluster(count + 2 * spread, 1);
        let mut owners = fresh(&nodes, partitions, spread);
        for step in &changes {
            apply(step, &mut nodes);
            let after = change(&nodes, &owners, spread);
            if nodes.len() >= 2 * spread - 1 {
                // What a node has beyond its share, or all that a node has that is gone, must move.
                let has = |owners: &[HostId], host| owners.iter().filter(|o| **o == host).count();
                let least: usize = nodes
                    .iter()
                    .map(|node| has(&after, node.host).saturating_sub(has(&owners, node.host)))
                    .sum();
                prop_assert!(moved(&owners, &after) <= 3 * least);
            }
            owners = after;
        }
    }
}
