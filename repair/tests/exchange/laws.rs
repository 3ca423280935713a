//! The laws of the exchange.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use starling_repair::bucket::Bucket;
use starling_repair::exchange::{ExchangeOp, Mode, PAGE_ROWS_MAX, Question, Reply, Step, Unfit};
use starling_repair::merkle::Digest;

use super::model::{Model, Rows, talk};

fn rows() -> impl Strategy<Value = Rows> {
    // Few first bytes, so that pages end in the middle of buckets.
    let key = (0..16_u8, any::<u8>()).prop_map(|(bucket, row)| [bucket, row]);
    btree_map(key, btree_set(0..4_u8, 1..3), 0..60)
}

/// The slow oracle.
fn union(one: &Rows, other: &Rows) -> Rows {
    let mut all = one.clone();
    for (key, row) in other {
        all.entry(*key).or_default().extend(row);
    }
    all
}

fn differences(one: &Rows, other: &Rows) -> usize {
    let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    keys.into_iter().filter(|key| one.get(*key) != other.get(*key)).count()
}

proptest! {
    #[test]
    fn both_sides_hold_the_join_of_both_afterwards(one in rows(), other in rows(), page in 1..9_usize) {
        let (mut mine, mut peer) = (Model::new(one.clone()), Model::new(other.clone()));
        (mine.page_max, peer.page_max) = (10 - page, page);
        let (found, _) = talk(Mode::Mend, &mut mine, &mut peer);
        let all = union(&one, &other);
        prop_assert_eq!(&mine.rows, &all);
        prop_assert_eq!(&peer.rows, &all);
        prop_assert_eq!(found.differences, differences(&one, &other) as u64);
        let theirs = other.iter().filter(|(key, row)| one.get(*key) != Some(row)).count();
        prop_assert_eq!(found.pulled, theirs as u64);
        prop_assert_eq!(found.pushed, differences(&other, &all) as u64);
        let (again, traffic) = talk(Mode::Mend, &mut mine, &mut peer);
        prop_assert_eq!((again.differences, traffic.messages), (0, 1), "one message shows it");
    }

    #[test]
    fn only_rows_that_differ_are_sent(all in rows(), lost in vec(any::<prop::sample::Index>(), 0..5)) {
        let (mut mine, mut peer) = (Model::new(all.clone()), Model::new(all.clone()));
        let keys: Vec<_> = all.keys().copied().collect();
        for at in lost.iter().filter(|_| !keys.is_empty()) {
            peer.rows.remove(&keys[at.index(keys.len())]);
        }
        let missing = all.len() - peer.rows.len();
        let (found, traffic) = talk(Mode::Mend, &mut mine, &mut peer);
        prop_assert_eq!((found.differences, found.pushed), (missing as u64, missing as u64));
        prop_assert_eq!((traffic.rows, found.pulled), (missing, 0));
        prop_assert_eq!(peer.rows, all);
    }

    #[test]
    fn a_preview_counts_the_same_and_changes_nothing(one in rows(), other in rows()) {
        let (mut mine, mut peer) = (Model::new(one.clone()), Model::new(other.clone()));
        let (found, traffic) = talk(Mode::Preview, &mut mine, &mut peer);
        prop_assert_eq!(found.differences, differences(&one, &other) as u64);
        prop_assert_eq!((found.pulled, found.pushed, traffic.rows), (0, 0, 0));
        prop_assert_eq!((mine.rows, peer.rows), (one, other));
    }

    #[test]
    fn whoever_only_pulls_has_all_of_its_peer_and_gives_nothing(one in rows(), other in rows()) {
        let (mut mine, mut peer) = (Model::new(one.clone()), Model::new(other.clone()));
        let (found, _) = talk(Mode::Pull, &mut mine, &mut peer);
        prop_assert_eq!(&mine.rows, &union(&one, &other));
        prop_assert_eq!((&peer.rows, found.pushed), (&other, 0));
    }

    #[test]
    fn what_the_peer_adds_to_a_row_that_it_gets_comes_back(one in rows(), other in rows()) {
        let (mut mine, mut peer) = (Model::new(one), Model::new(other));
        peer.renews = Some(100);
        talk(Mode::Mend, &mut mine, &mut peer);
        prop_assert_eq!(&mine.rows, &peer.rows);
        peer.renews = None;
        mine.renews = Some(101);
        mine.rows.retain(|key, _| key[1] % 3 > 0);
        talk(Mode::Mend, &mut mine, &mut peer);
        prop_assert_eq!(mine.rows, peer.rows);
    }

    #[test]
    fn rows_that_cannot_be_read_are_mended_from_the_other_side(
        all in rows(), here in vec(any::<prop::sample::Index>(), 0..4),
        there in vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let (mut mine, mut peer) = (Model::new(all.clone()), Model::new(all.clone()));
        let keys: Vec<_> = all.keys().copied().collect();
        if !keys.is_empty() {
            mine.unreadable = here.iter().map(|at| keys[at.index(keys.len())]).collect();
            peer.unreadable = there.iter().map(|at| keys[at.index(keys.len())]).collect();
        }
        let hopeless: BTreeSet<_> = mine.unreadable.intersection(&peer.unreadable).copied().collect();
        talk(Mode::Mend, &mut mine, &mut peer);
        prop_assert_eq!((&mine.unreadable, &peer.unreadable), (&hopeless, &hopeless));
    }
}

fn begun() -> ExchangeOp {
    let mine = Model::new([([0, 0], [1].into())].into());
    let (op, step) = ExchangeOp::compare(Mode::Mend, mine.leaves(), 0);
    assert!(matches!(step, Step::Ask(_)));
    op
}

#[test]
fn an_answer_that_does_not_fit_ends_the_exchange() {
    let page = || Reply::Page { digests: Vec::new(), until: None };
    let other_leaves = Reply::Leaves(vec![(0, vec![Digest::ZERO])]);
    let other_partition = Reply::Leaves(vec![(9, vec![Digest::ZERO; 4])]);
    for unfit in [page(), other_leaves, other_partition, Reply::Digests(Vec::new())] {
        let mut op = begun();
        assert_eq!(op.on_reply(unfit), Err(Unfit));
        assert_eq!(op.on_reply(page()), Err(Unfit), "it is over");
    }
}

#[test]
fn a_page_is_bounded_and_goes_on_behind_the_last_one() {
    let ask_page = |op: &mut ExchangeOp| {
        op.on_reply(Reply::Leaves(vec![(0, vec![Digest::ZERO; 4])])).unwrap();
        let asked = op.on_digests(&[Digest::of_row(b"k", b"v")]);
        let buckets = vec![Bucket { partition: 0, index: 0 }];
        assert_eq!(asked, Step::Ask(Question::Buckets(buckets)));
        op.on_reply(Reply::Digests(vec![Digest::ZERO])).unwrap();
        assert!(matches!(op.on_rows(Vec::new(), None), Step::Ask(Question::Page(_))));
    };
    let mut op = begun();
    ask_page(&mut op);
    let digests = vec![Digest::ZERO; PAGE_ROWS_MAX + 1];
    assert_eq!(op.on_reply(Reply::Page { digests, until: None }), Err(Unfit));
    let mut op = begun();
    ask_page(&mut op);
    let until = Some(Bytes::from("m"));
    op.on_reply(Reply::Page { digests: Vec::new(), until: until.clone() }).unwrap();
    assert!(matches!(op.on_rows(Vec::new(), None), Step::Ask(Question::Page(_))));
    assert_eq!(op.on_reply(Reply::Page { digests: Vec::new(), until }), Err(Unfit));
}
