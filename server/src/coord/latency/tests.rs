//! Who is asked first, and when one replica more.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn host(number: u128) -> HostId {
    HostId(Uuid::from_u128(number))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[expect(clippy::disallowed_methods, reason = "some instant to count from")]
fn start() -> Instant {
    Instant::now()
}

/// Peers that have answered a hundred times each, in so many milliseconds.
fn peers(took: &[(u128, u64)], now: Instant) -> Latencies {
    let latencies = Latencies::default();
    for (number, took) in took {
        answer(&latencies, *number, ms(*took), 100, now);
    }
    latencies
}

/// A peer is asked so often, and answers.
fn answer(latencies: &Latencies, number: u128, took: Duration, times: usize, now: Instant) {
    for _ in 0..times {
        latencies.note_asked(host(number), now);
        latencies.note(host(number), Kind::Row, took, now);
    }
}

fn order(latencies: &Latencies, numbers: &[u128], now: Instant) -> Vec<u128> {
    let mut hosts: Vec<_> = numbers.iter().copied().map(host).collect();
    latencies.fast_first(&mut hosts, now);
    hosts.iter().map(|host| host.0.as_u128()).collect()
}

const P99: SpeculativeRetry = SpeculativeRetry::DEFAULT;

#[test]
fn a_slow_peer_comes_last_and_equal_ones_keep_their_turn() {
    let now = start();
    let latencies = peers(&[(1, 300), (2, 2), (3, 1)], now);
    assert_eq!(order(&latencies, &[1, 2, 3], now), [2, 3, 1]);
    assert_eq!(order(&latencies, &[3, 1, 2], now), [3, 2, 1]);
    assert_eq!(order(&latencies, &[1, 3], now), [3, 1]);
}

#[test]
fn whoever_is_not_known_is_asked_like_the_fast_ones() {
    let now = start();
    let latencies = peers(&[(1, 300), (2, 1)], now);
    assert_eq!(order(&latencies, &[9, 1, 2], now), [9, 2, 1]);
    assert_eq!(order(&Latencies::default(), &[3, 1, 2], now), [3, 1, 2]);
}

#[test]
fn a_peer_that_says_nothing_is_slow_before_its_first_answer() {
    let now = start();
    let latencies = peers(&[(1, 1), (2, 1)], now);
    latencies.note_asked(host(1), now);
    assert_eq!(order(&latencies, &[1, 2], now + ms(2)), [1, 2]);
    assert_eq!(order(&latencies, &[1, 2], now + ms(10)), [2, 1]);
    latencies.note_asked(host(1), now + ms(10));
    latencies.note_refused(host(1), now + ms(11));
    assert_eq!(order(&latencies, &[1, 2], now + ms(12)), [1, 2], "it speaks, and owes an answer");
    latencies.note_refused(host(1), now + ms(20));
    assert_eq!(order(&latencies, &[1, 2], now + ms(100)), [1, 2], "it owes none");
}

#[test]
fn a_slow_peer_is_tried_again_once_in_a_while() {
    let now = start();
    let latencies = peers(&[(1, 300), (2, 1)], now);
    let later = now + FORGIVEN_AFTER;
    answer(&latencies, 2, ms(1), 100, later);
    assert_eq!(order(&latencies, &[2, 1], later), [1, 2], "it has not been asked for long");
    latencies.note_asked(host(1), later);
    assert_eq!(order(&latencies, &[2, 1], later), [2, 1]);
}

#[test]
fn a_peer_that_has_become_fast_is_taken_for_fast() {
    let now = start();
    let latencies = peers(&[(1, 300), (2, 1)], now);
    let later = now + 4 * HALF_LIFE;
    for number in [1, 2] {
        answer(&latencies, number, ms(1), 60, later);
    }
    assert_eq!(order(&latencies, &[1, 2], later), [1, 2]);
}

#[test]
fn a_read_waits_as_long_as_the_fastest_of_its_peers_takes_at_worst() {
    let now = start();
    let latencies = peers(&[(1, 300), (2, 4)], now);
    let patience = |retry, numbers: &[u128], kind| {
        let hosts: Vec<_> = numbers.iter().copied().map(host).collect();
        latencies.patience(retry, &hosts, kind, ms(500), now)
    };
    let waits = patience(P99, &[1, 2], Kind::Row).unwrap();
    assert!(ms(4) < waits && waits < ms(6), "{waits:?}");
    let waits = patience(P99, &[1], Kind::Row).unwrap();
    assert!(ms(300) < waits && waits < ms(450), "{waits:?}");
    assert_eq!(patience(P99, &[9], Kind::Row), Some(ms(500)), "nothing is known");
    assert_eq!(patience(P99, &[2], Kind::Stretch), Some(ms(500)), "a row is no stretch");
    assert_eq!(patience(SpeculativeRetry::Never, &[2], Kind::Row), None);
    assert_eq!(patience(SpeculativeRetry::Always, &[2], Kind::Row), Some(ms(0)));
    let after = SpeculativeRetry::After { ms: 50 };
    assert_eq!(patience(after, &[2], Kind::Row), Some(ms(50)));
}

#[test]
fn spare_requests_are_a_part_of_the_reads() {
    let latencies = Latencies::default();
    let sent = |reads: usize| {
        (0..reads).filter(|_| {
            latencies.earn();
            latencies.spend()
        })
    };
    let at_once = sent(1_000).count();
    let then = sent(10_000).count();
    assert!((100..=210).contains(&at_once), "{at_once}");
    assert_eq!(then, 1_000);
}

#[test]
fn what_was_long_ago_is_forgotten() {
    let now = start();
    let mut histogram = Histogram::new(now);
    (0..1_000).for_each(|_| histogram.note(ms(300), now));
    assert!(histogram.percentile(Percentile::of(50), now + HALF_LIFE).is_some());
    assert_eq!(histogram.percentile(Percentile::of(50), now + 20 * HALF_LIFE), None);
    assert_eq!(histogram.percentile(Percentile::of(50), now + Duration::from_hours(9_000)), None);
}

proptest! {
    /// A sorted list is the oracle; buckets are a quarter of their octave wide.
    #[test]
    fn percentiles_are_those_of_a_sorted_list(
        took in prop::collection::vec(64_u64..60_000_000, 20..200),
        part in 0_u32..100,
    ) {
        let now = start();
        let mut histogram = Histogram::new(now);
        for us in &took {
            histogram.note(Duration::from_micros(*us), now);
        }
        let mut sorted = took.clone();
        sorted.sort_unstable();
        let exact = sorted[took.len() * part as usize / 100];
        let found = histogram.percentile(Percentile::of(part), now).unwrap().as_micros();
        let found = u64::try_from(found).unwrap();
        prop_assert!(exact < found && found <= exact + exact / 4 + 1, "{exact} {found}");
    }
}
