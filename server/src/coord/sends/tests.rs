//! The laws of sends and hints.

use ring::Strategy;
use types::Consistency;
use uuid::Uuid;

use super::*;

pub(in crate::coord) fn host(number: u128) -> HostId {
    HostId(Uuid::from_u128(number))
}

/// Replicas 1, 2 and 3, some of them dead, some of those with a stand-in.
pub(in crate::coord) fn holders(
    level: Consistency,
    dead: &[u128],
    stand_ins: &[(u128, u128)],
) -> Holders {
    let strategy = Strategy::Simple { replication_factor: 3 };
    let voters = [1, 2, 3].into_iter().chain(stand_ins.iter().map(|(_, host)| *host));
    let stand_in =
        |(absent, helper): &(u128, u128)| StandIn { absent: host(*absent), host: host(*helper) };
    Holders {
        replicas: [1, 2, 3].map(host).into_iter().collect(),
        dead: dead.iter().copied().map(host).collect(),
        stand_ins: stand_ins.iter().map(stand_in).collect(),
        tally: Tally::new(level, &strategy, "dc", voters.map(|number| (host(number), "dc"))),
    }
}

/// A send to a live replica that keeps no hints.
pub(in crate::coord) fn send(number: u128) -> SendTo {
    SendTo { to: host(number), as_stand_in: false, missed: Hosts::new() }
}

pub(in crate::coord) fn kept(missed: u128, keeper: u128) -> KeepHint {
    KeepHint { missed: host(missed), keeper: host(keeper) }
}

fn all(sends: &Sends) -> Vec<SendTo> {
    sends.all().cloned().collect()
}

fn hints(sends: &Sends) -> Vec<KeepHint> {
    sends.hints().to_vec()
}

#[test]
fn a_stand_in_takes_the_place_of_its_replica_and_keeps_its_hint() {
    let sends = Sends::new(&holders(Consistency::Quorum, &[2], &[(2, 9)]), host(1));
    let stand_in =
        SendTo { to: host(9), as_stand_in: true, missed: [host(2)].into_iter().collect() };
    assert_eq!(all(&sends), [send(1), stand_in, send(3)]);
}

#[test]
fn the_keeper_keeps_hints_of_the_dead_for_whom_nobody_stands_in() {
    let holders = holders(Consistency::One, &[1, 2], &[]);
    let keeps = SendTo { missed: [1, 2].map(host).into_iter().collect(), ..send(3) };
    for keeper in [3, 7] {
        let sends = all(&Sends::new(&holders, host(keeper)));
        assert_eq!(sends, std::slice::from_ref(&keeps), "also where the keeper is none of them");
    }
}

#[test]
fn where_all_are_dead_the_first_stand_in_keeps_the_hints_of_the_rest() {
    let holders = holders(Consistency::One, &[1, 2, 3], &[(1, 8), (2, 9)]);
    let sends = Sends::new(&holders, host(8));
    let missed = |hosts: &[u128]| hosts.iter().copied().map(host).collect();
    let stand_in = |to, hosts| SendTo { to: host(to), as_stand_in: true, missed: missed(hosts) };
    assert_eq!(all(&sends), [stand_in(8, &[1, 3]), stand_in(9, &[2])]);
}

#[test]
fn a_stand_in_counts_and_the_answer_says_so() {
    let mut sends = Sends::new(&holders(Consistency::Quorum, &[2, 3], &[(2, 9)]), host(1));
    assert_eq!(sends.on_acknowledged(host(1)), None);
    let footing = Footing { replicas: 1, stand_ins: 1 };
    assert_eq!(sends.on_acknowledged(host(9)), Some(Ok(footing)));
    assert!(sends.is_over());
    assert_eq!(hints(&sends), [], "all hints went with the write");
}

#[test]
fn the_first_in_the_order_of_preference_that_has_it_keeps_hints_of_the_silent() {
    let mut sends = Sends::new(&holders(Consistency::One, &[], &[]), host(3));
    sends.on_acknowledged(host(3));
    sends.on_acknowledged(host(2));
    sends.give_up();
    assert_eq!(hints(&sends), [kept(1, 2)]);
}

#[test]
fn a_keeper_that_fails_hands_its_hints_on() {
    let mut sends = Sends::new(&holders(Consistency::One, &[2], &[]), host(1));
    sends.on_failed(host(1));
    sends.on_acknowledged(host(3));
    assert_eq!(hints(&sends), [kept(1, 3), kept(2, 3)]);
}

#[test]
fn a_silent_stand_in_leaves_a_hint_of_its_replica_to_another() {
    let mut sends = Sends::new(&holders(Consistency::One, &[2], &[(2, 9)]), host(1));
    sends.on_acknowledged(host(1));
    sends.on_acknowledged(host(3));
    sends.give_up();
    assert_eq!(hints(&sends), [kept(2, 1)]);
}

#[test]
fn where_no_replica_has_it_a_stand_in_that_has_keeps_the_hints() {
    let mut sends = Sends::new(&holders(Consistency::One, &[2], &[(2, 9)]), host(1));
    sends.on_failed(host(1));
    sends.on_failed(host(3));
    sends.on_acknowledged(host(9));
    assert_eq!(hints(&sends), [kept(1, 9), kept(3, 9)]);
}

#[test]
fn where_nobody_has_it_there_is_nothing_to_hint() {
    let mut sends = Sends::new(&holders(Consistency::One, &[2], &[]), host(1));
    sends.on_failed(host(1));
    let level = Consistency::One;
    let timeout = WriteError::Timeout { level, received: 0, required: 1 };
    assert_eq!(sends.on_failed(host(3)), Some(Err(timeout)));
    assert_eq!(hints(&sends), []);
}
