use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Strategy as Generator;
use types::Consistency::{
    All, Any, EachQuorum, LocalOne, LocalQuorum, LocalSerial, One, Quorum, Serial, Three, Two,
};
use uuid::Uuid;

use super::*;
use crate::Strategy;

fn host(number: usize) -> HostId {
    HostId(Uuid::from_u128(number as u128))
}

fn simple(replication_factor: u8) -> Strategy {
    Strategy::Simple { replication_factor }
}

fn per_datacenter(factors: &[(&str, u8)]) -> Strategy {
    let owned = factors.iter().map(|(name, factor)| ((*name).to_owned(), *factor));
    Strategy::NetworkTopology(owned.collect())
}

/// Three replicas in "a", hosts 0 to 2, and two in "b", hosts 3 and 4.
const FIVE: [(usize, &str); 5] = [(0, "a"), (1, "a"), (2, "a"), (3, "b"), (4, "b")];

fn five(level: Consistency, local: &str) -> Tally {
    tally_of(level, &per_datacenter(&[("a", 3), ("b", 2)]), local, &FIVE)
}

fn tally_of(
    level: Consistency,
    strategy: &Strategy,
    local: &str,
    hosts: &[(usize, &'static str)],
) -> Tally {
    Tally::new(level, strategy, local, hosts.iter().map(|(number, name)| (host(*number), *name)))
}

fn unavailable(tally: &Tally, alive: &[usize]) -> Option<(u32, u32)> {
    let is_alive = |node| alive.iter().any(|number| host(*number) == node);
    let error = tally.check_alive(is_alive).err()?;
    assert_eq!(error.level, tally.level());
    Some((error.required, error.alive))
}

#[test]
fn levels_require_what_cassandra_requires() {
    let required =
        |level, strategy: &Strategy, local| tally_of(level, strategy, local, &[]).required();
    let two = per_datacenter(&[("a", 3), ("b", 4), ("c", 0)]);
    let table = [
        (Any, 1, 1),
        (One, 1, 1),
        (Two, 2, 2),
        (Three, 3, 3),
        (Quorum, 4, 3),
        (All, 7, 5),
        (LocalOne, 1, 1),
        (LocalQuorum, 2, 3),
        (LocalSerial, 2, 3),
        (Serial, 4, 3),
        (EachQuorum, 5, 3),
    ];
    assert_eq!(table.len(), Consistency::every().count());
    for (level, with_two, with_five) in table {
        assert_eq!(required(level, &two, "a"), with_two, "{level} of {two:?}");
        assert_eq!(required(level, &simple(5), "a"), with_five, "{level} of 5");
    }
    assert_eq!(required(LocalQuorum, &two, "b"), 3);
    // A data center in which the keyspace has no replicas.
    assert_eq!(required(LocalQuorum, &two, "c"), 1);
    assert_eq!(required(LocalQuorum, &two, "d"), 1);
}

#[test]
fn hosts_count_once_and_no_more_than_needed() {
    let mut tally = five(Quorum, "a");
    assert_eq!((tally.received(), tally.required(), tally.is_met()), (0, 3, false));
    assert!(tally.acknowledge(host(4)));
    assert!(!tally.acknowledge(host(4)));
    assert!(!tally.acknowledge(host(9)));
    assert!(tally.acknowledge(host(0)));
    assert_eq!((tally.received(), tally.is_met()), (2, false));
    assert!(tally.acknowledge(host(1)));
    assert_eq!((tally.received(), tally.is_met()), (3, true));
    assert!(!tally.acknowledge(host(2)));
    assert_eq!(tally.received(), 3);
}

#[test]
fn a_local_level_counts_local_replicas_only() {
    let mut tally = five(LocalQuorum, "a");
    assert!(!tally.acknowledge(host(3)));
    assert!(tally.acknowledge(host(2)));
    assert!(tally.acknowledge(host(0)));
    assert!(tally.is_met());
    // SimpleStrategy: a majority of all, but local ones.
    let mut tally = tally_of(LocalQuorum, &simple(5), "b", &FIVE);
    assert_eq!(tally.required(), 3);
    assert!(tally.acknowledge(host(3)) && tally.acknowledge(host(4)));
    assert!(!tally.acknowledge(host(0)) && !tally.is_met());
}

#[test]
fn each_quorum_needs_every_data_center() {
    let mut tally = five(EachQuorum, "a");
    for number in [0, 1] {
        assert!(tally.acknowledge(host(number)));
    }
    assert!(!tally.acknowledge(host(2)), "a has its quorum");
    assert_eq!((tally.received(), tally.required()), (2, 4));
    assert!(tally.acknowledge(host(3)) && !tally.is_met());
    assert!(tally.acknowledge(host(4)) && tally.is_met());
}

#[test]
fn too_few_alive_is_told_with_cassandras_numbers() {
    let check = |level, local, alive: &[usize]| unavailable(&five(level, local), alive);
    assert_eq!(check(Quorum, "a", &[0, 3, 4]), None);
    assert_eq!(check(Quorum, "a", &[0, 3]), Some((3, 2)));
    assert_eq!(check(All, "a", &[0, 1, 2, 3]), Some((5, 4)));
    assert_eq!(check(One, "a", &[]), Some((1, 0)));
    assert_eq!(check(LocalOne, "a", &[3, 4]), Some((1, 0)));
    assert_eq!(check(LocalQuorum, "b", &[0, 1, 2, 3]), Some((2, 1)));
    assert_eq!(check(LocalQuorum, "elsewhere", &[0, 1, 2, 3, 4]), Some((1, 0)));
    assert_eq!(check(EachQuorum, "a", &[0, 1, 3, 4]), None);
    // Of the first data center that has too few, by name.
    assert_eq!(check(EachQuorum, "b", &[0, 1, 2, 4]), Some((2, 1)));
    assert_eq!(check(EachQuorum, "b", &[0, 4]), Some((2, 1)));
    assert_eq!(check(EachQuorum, "b", &[2, 3, 4]), Some((2, 1)));
    // More replicas are asked for than there are nodes.
    let alone = tally_of(Quorum, &simple(3), "a", &[(0, "a")]);
    assert_eq!(unavailable(&alone, &[0]), Some((2, 1)));
    let error = alone.check_alive(|_| true).unwrap_err();
    let text = "cannot achieve consistency level QUORUM: 2 replicas required, 1 alive";
    assert_eq!(error.to_string(), text);
}

#[test]
fn no_level_is_met_by_nobody() {
    for level in Consistency::every() {
        for strategy in [simple(0), per_datacenter(&[]), per_datacenter(&[("a", 0)])] {
            let tally = tally_of(level, &strategy, "a", &FIVE[..0]);
            assert!(!tally.is_met() && tally.required() > 0, "{level} of {strategy:?}");
            assert!(tally.check_alive(|_| true).is_err());
        }
    }
}

#[test]
fn a_read_asks_no_more_than_the_level_needs() {
    let fewest = |level, preferred: &[usize]| -> Vec<HostId> {
        five(level, "a").fewest(preferred.iter().copied().map(host)).to_vec()
    };
    assert_eq!(fewest(One, &[2, 0]), [host(2)]);
    assert_eq!(fewest(LocalQuorum, &[3, 1, 4, 0, 2]), [host(1), host(0)]);
    assert_eq!(fewest(EachQuorum, &[0, 1, 2, 3, 4]), [0, 1, 3, 4].map(host));
    assert_eq!(fewest(All, &[4, 9, 4]), [host(4)]);
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn strategies() -> impl Generator<Value = Strategy> {
    let name = select(NAMES.to_vec()).prop_map(str::to_owned);
    prop_oneof![
        (1..7_u8).prop_map(simple),
        btree_map(name, 0..6_u8, 1..4).prop_map(Strategy::NetworkTopology),
    ]
}

/// Whether acknowledgements by `hosts`, given by data center, satisfy a level: written anew from
/// its definition.
fn satisfies(level: Consistency, strategy: &Strategy, local: &str, hosts: &[&str]) -> bool {
    let there = |name: &str| hosts.iter().filter(|host| **host == name).count();
    let factor_of = |name: &str| match strategy {
        Strategy::Simple { replication_factor } => usize::from(*replication_factor),
        Strategy::NetworkTopology(factors) => factors.get(name).map_or(0, |n| usize::from(*n)),
    };
    let factor: usize = match strategy {
        Strategy::Simple { replication_factor } => usize::from(*replication_factor),
        Strategy::NetworkTopology(factors) => factors.values().map(|n| usize::from(*n)).sum(),
    };
    match level {
        _ if hosts.is_empty() => false,
        Any | One => true,
        Two => hosts.len() >= 2,
        Three => hosts.len() >= 3,
        Quorum | Serial => 2 * hosts.len() > factor,
        All => hosts.len() >= factor,
        LocalOne => there(local) >= 1,
        LocalQuorum | LocalSerial => there(local) >= 1 && 2 * there(local) > factor_of(local),
        EachQuorum => match strategy {
            Strategy::Simple { .. } => 2 * hosts.len() > factor,
            Strategy::NetworkTopology(factors) => {
                factors.iter().all(|(name, n)| *n == 0 || 2 * there(name) > usize::from(*n))
            }
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_level_is_met_exactly_when_its_definition_says_so(
        level in select(Consistency::every().collect::<Vec<_>>()),
        strategy in strategies(),
        local in select(NAMES.to_vec()),
        hosts in vec(select(NAMES.to_vec()), 0..12),
        acknowledgements in vec(0..14_usize, 0..30),
    ) {
        let numbered = || hosts.iter().enumerate().map(|(number, name)| (host(number), *name));
        let mut tally = Tally::new(level, &strategy, local, numbered());
        let mut heard: Vec<usize> = Vec::new();
        for number in acknowledgements {
            if number < hosts.len() && !heard.contains(&number) {
                heard.push(number);
            }
            let before = tally.received();
            let is_nearer = tally.acknowledge(host(number));
            prop_assert_eq!(tally.received(), before + u32::from(is_nearer));

            let names: Vec<&str> = heard.iter().map(|number| hosts[*number]).collect();
            let is_met = satisfies(level, &strategy, local, &names);
            prop_assert_eq!(tally.is_met(), is_met);
            prop_assert_eq!(tally.received() == tally.required(), is_met);
            prop_assert!(tally.received() <= tally.required());
        }

        // Were exactly those alive, the level would be available exactly if they could meet it.
        let fresh = Tally::new(level, &strategy, local, numbered());
        let is_alive = |node| heard.iter().any(|number| host(*number) == node);
        prop_assert_eq!(fresh.check_alive(is_alive).is_ok(), tally.is_met());
        if let Err(error) = fresh.check_alive(is_alive) {
            prop_assert!(error.alive < error.required);
        }

        // The fewest that meet it are as many as it requires.
        let fewest = fresh.fewest(heard.iter().copied().map(host));
        prop_assert_eq!(fewest.len(), usize::try_from(tally.received()).unwrap());
    }
}
