//! One suite for every engine: the laws of [`Engine`], each a test.
//!
//! An engine joins with a [`Lab`], which knows how to cut its power and to spoil its disk, and one
//! line: `conformance!(ItsLab)`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::thread;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::engine::{Batch, Durability, Engine, EngineError, Family, KeyRange, Order, Recovery};

/// An engine on a disk that obeys the test.
pub(super) trait Lab: Sized {
    /// An open engine on an empty disk.
    fn new() -> Self;
    fn engine(&self) -> &dyn Engine;
    /// Ends the process and starts it again; the machine stays up.
    fn reopen(&mut self);
    /// Learns that everything was synced just now.
    fn note_sync(&mut self) {}
    /// The length of the log behind the last sync.
    fn unsynced_bytes(&self) -> usize;
    /// Cuts the power: that much of the log behind the last sync survives.
    fn crash(&mut self, kept_bytes: usize);
    fn leave_only_the_reserve(&mut self);
    fn leave_no_room(&mut self);
    /// Makes the rows unreadable.
    fn spoil_rows(&mut self);
    /// Spoils the log before its synced end and opens it again.
    fn spoil_the_synced_log(&mut self);

    fn commit(&mut self, batch: &Batch, durability: Durability) {
        self.engine().commit(batch, durability).unwrap();
        if durability == Durability::Synced {
            self.note_sync();
        }
    }

    fn put(&mut self, key: &str, value: &str) {
        self.commit(&puts(&[(Family::Rows, key, value)]), Durability::Synced);
    }

    fn get(&self, key: &str) -> Option<Bytes> {
        self.engine().get(Family::Rows, key.as_bytes()).unwrap()
    }

    fn rows(&self, family: Family) -> Vec<(Bytes, Bytes)> {
        self.engine().rows(family, &KeyRange::all(), Order::Forward, usize::MAX).unwrap()
    }
}

fn puts(rows: &[(Family, &str, &str)]) -> Batch {
    let mut batch = Batch::default();
    for (family, key, value) in rows {
        batch.put(*family, key.to_string(), value.to_string());
    }
    batch
}

macro_rules! conformance {
    ($lab:ty) => {
        mod suite {
            use super::*;

            crate::store::suite::conformance! { @laws $lab;
                scans_agree_with_a_sorted_map
                batch_is_one_over_all_families
                last_change_of_a_key_wins
                empty_value_is_a_value
                scan_ends_when_its_visitor_breaks
                readers_see_whole_batches_only
                end_of_the_process_loses_nothing
                power_cut_loses_only_what_was_not_synced
                sync_covers_what_was_committed_before
                torn_batch_is_all_or_nothing
                full_disk_is_an_error_and_nothing_is_half_written
                unreadable_row_is_an_error_and_never_absent
                damage_to_the_synced_log_is_told_until_it_is_settled
                sequence_grows_with_every_batch_and_survives
                stats_count_syncs_and_bytes
            }
        }
    };
    (@laws $lab:ty; $($law:ident)*) => {
        $(
            #[test]
            fn $law() {
                crate::store::suite::$law(<$lab as crate::store::suite::Lab>::new());
            }
        )*
    };
}
pub(super) use conformance;

/// Random batches and scans against a map, with keys that share prefixes and hold 00 and FF.
pub(super) fn scans_agree_with_a_sorted_map(mut lab: impl Lab) {
    let mut random = StdRng::seed_from_u64(0x57A2);
    let mut model = BTreeMap::<Bytes, Bytes>::new();
    for round in 0..120_u32 {
        let mut batch = Batch::default();
        for _ in 0..random.next_u32() % 6 {
            let (key, value) = (some_key(&mut random), Bytes::from(round.to_string()));
            if random.next_u32() % 4 == 0 {
                model.remove(&key);
                batch.delete(Family::Rows, key);
            } else {
                model.insert(key.clone(), value.clone());
                batch.put(Family::Rows, key, value);
            }
        }
        lab.commit(&batch, Durability::Unsynced);
        if round == 60 {
            lab.reopen();
        }
        let range = some_range(&mut random);
        let mut expected: Vec<_> =
            model.iter().filter(|(key, _)| range.contains(key)).map(own).collect();
        let limit = random.next_u32() as usize % 8;
        for order in [Order::Forward, Order::Reverse] {
            let found = lab.engine().rows(Family::Rows, &range, order, limit).unwrap();
            assert_eq!(found, expected[..limit.min(expected.len())], "{range:?} {order:?}");
            expected.reverse();
        }
    }
    assert_eq!(lab.rows(Family::Rows), model.iter().map(own).collect::<Vec<_>>());
}

fn own((key, value): (&Bytes, &Bytes)) -> (Bytes, Bytes) {
    (key.clone(), value.clone())
}

fn some_key(random: &mut StdRng) -> Bytes {
    let length = 1 + random.next_u32() as usize % 3;
    (0..length).map(|_| [0, 1, b'a', 0xFF][random.next_u32() as usize % 4]).collect()
}

fn some_range(random: &mut StdRng) -> KeyRange {
    match random.next_u32() % 5 {
        0 => KeyRange::all(),
        1 => KeyRange::prefix(some_key(random)),
        2 => KeyRange::from(some_key(random)),
        3 => KeyRange::all().before(&some_key(random)).after(&some_key(random)),
        _ => KeyRange::between(some_key(random), some_key(random)),
    }
}

pub(super) fn batch_is_one_over_all_families(mut lab: impl Lab) {
    let rows: Vec<_> = Family::ALL.map(|family| (family, "key", family.name())).into();
    lab.commit(&puts(&rows), Durability::Synced);
    for family in Family::ALL {
        let found = lab.engine().get(family, b"key").unwrap();
        assert_eq!(found.as_deref(), Some(family.name().as_bytes()));
        assert_eq!(lab.rows(family).len(), 1);
    }
}

pub(super) fn last_change_of_a_key_wins(mut lab: impl Lab) {
    lab.put("k", "1");
    let mut batch = puts(&[(Family::Rows, "k", "2"), (Family::Rows, "l", "2")]);
    batch.delete(Family::Rows, "l");
    batch.delete(Family::Rows, "never there");
    lab.commit(&batch, Durability::Synced);
    assert_eq!((lab.get("k").as_deref(), lab.get("l")), (Some(&b"2"[..]), None));
    let mut batch = Batch::default();
    batch.delete(Family::Rows, "k");
    lab.commit(&batch, Durability::Synced);
    assert_eq!(lab.get("k"), None);
}

pub(super) fn empty_value_is_a_value(mut lab: impl Lab) {
    lab.put("k", "");
    lab.reopen();
    assert_eq!(lab.get("k"), Some(Bytes::new()));
    assert_eq!(lab.get("other"), None);
}

pub(super) fn scan_ends_when_its_visitor_breaks(mut lab: impl Lab) {
    for key in ["a", "b", "c"] {
        lab.put(key, "v");
    }
    let mut seen = Vec::new();
    let visit = &mut |key: &[u8], _: &[u8]| {
        seen.push(key.to_vec());
        if key == b"b" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    lab.engine().scan(Family::Rows, &KeyRange::all(), Order::Reverse, visit).unwrap();
    assert_eq!(seen, [b"c", b"b"]);
}

pub(super) fn readers_see_whole_batches_only(mut lab: impl Lab) {
    lab.reopen();
    let engine = lab.engine();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..300 {
                let value = round.to_string();
                let rows = ["a", "b", "c"].map(|key| (Family::Rows, key, value.as_str()));
                engine.commit(&puts(&rows), Durability::Unsynced).unwrap();
            }
        });
        while !writer.is_finished() {
            let rows = engine.rows(Family::Rows, &KeyRange::all(), Order::Forward, 9).unwrap();
            assert!(rows.windows(2).all(|pair| pair[0].1 == pair[1].1), "{rows:?}");
            assert!(matches!(rows.len(), 0 | 3));
        }
    });
}

pub(super) fn end_of_the_process_loses_nothing(mut lab: impl Lab) {
    lab.put("synced", "1");
    lab.commit(&puts(&[(Family::Marks, "unsynced", "2")]), Durability::Unsynced);
    lab.reopen();
    assert_eq!(lab.get("synced").as_deref(), Some(&b"1"[..]));
    assert_eq!(lab.rows(Family::Marks).len(), 1);
    assert_eq!(lab.engine().recovery(), Recovery::Whole);
}

pub(super) fn power_cut_loses_only_what_was_not_synced(mut lab: impl Lab) {
    lab.put("synced", "1");
    lab.commit(&puts(&[(Family::Rows, "unsynced", "2")]), Durability::Unsynced);
    lab.crash(0);
    assert_eq!(lab.get("synced").as_deref(), Some(&b"1"[..]));
    assert_eq!(lab.get("unsynced"), None);
    assert_eq!(lab.engine().recovery(), Recovery::Whole);
    lab.put("later", "3");
    lab.crash(0);
    assert_eq!(lab.rows(Family::Rows).len(), 2);
}

pub(super) fn sync_covers_what_was_committed_before(mut lab: impl Lab) {
    lab.commit(&puts(&[(Family::Rows, "a", "1")]), Durability::Unsynced);
    lab.engine().sync().unwrap();
    lab.note_sync();
    lab.commit(&puts(&[(Family::Rows, "b", "2")]), Durability::Unsynced);
    lab.put("c", "3");
    lab.crash(0);
    assert_eq!(lab.rows(Family::Rows).len(), 3);
}

/// Cuts a log of three batches at every length: what survives is the first few of them, whole.
pub(super) fn torn_batch_is_all_or_nothing(mut lab: impl Lab) {
    let batches = ["1", "2", "3"].map(|number| {
        puts(&[
            (Family::Rows, number, "a"),
            (Family::Hints, number, "b"),
            (Family::Rows, "x", number),
        ])
    });
    let mut lengths = Vec::new();
    for batch in &batches {
        lab.commit(batch, Durability::Unsynced);
        lengths.push(lab.unsynced_bytes());
    }
    lab.crash(lengths[2]);
    assert_eq!(lab.rows(Family::Rows).len(), 4, "a log that was not cut");
    let step = 1 + lengths[2] / 9;
    for cut in (0..lengths[2]).step_by(step).chain([lengths[0], lengths[1], lengths[2] - 1]) {
        let mut wipe = Batch::default();
        for key in ["1", "2", "3", "x"] {
            wipe.delete(Family::Rows, key);
            wipe.delete(Family::Hints, key);
        }
        lab.commit(&wipe, Durability::Synced);
        for batch in &batches {
            lab.commit(batch, Durability::Unsynced);
        }
        lab.crash(cut);
        let whole = lengths.iter().filter(|length| **length <= cut).count();
        let rows = if whole == 0 { 0 } else { whole + 1 };
        let found = (lab.rows(Family::Rows).len(), lab.rows(Family::Hints).len());
        assert_eq!(found, (rows, whole), "cut at {cut} of {lengths:?}");
        let last = (whole > 0).then(|| whole.to_string());
        assert_eq!(lab.get("x"), last.map(Bytes::from));
        assert_eq!(lab.engine().recovery(), Recovery::Whole, "cut at {cut} of {lengths:?}");
    }
}

pub(super) fn full_disk_is_an_error_and_nothing_is_half_written(mut lab: impl Lab) {
    lab.put("before", "1");
    assert_eq!(lab.engine().room(), Ok(()));
    lab.leave_only_the_reserve();
    assert!(matches!(lab.engine().room(), Err(EngineError::NoSpace { .. })));
    lab.put("from the reserve", "2");
    lab.leave_no_room();
    let rows = puts(&[(Family::Rows, "after", "3"), (Family::Marks, "after", "3")]);
    for durability in [Durability::Synced, Durability::Unsynced] {
        let refused = lab.engine().commit(&rows, durability);
        assert!(matches!(refused, Err(EngineError::NoSpace { .. })), "{refused:?}");
    }
    assert!(matches!(lab.engine().room(), Err(EngineError::NoSpace { .. })));
    assert_eq!(lab.get("before").as_deref(), Some(&b"1"[..]), "reads go on");
    lab.crash(0);
    assert_eq!((lab.rows(Family::Rows).len(), lab.rows(Family::Marks).len()), (2, 0));
}

pub(super) fn unreadable_row_is_an_error_and_never_absent(mut lab: impl Lab) {
    for number in 0..200 {
        lab.commit(
            &puts(&[(Family::Rows, &format!("{number:03}"), &"value".repeat(40))]),
            Durability::Unsynced,
        );
    }
    lab.spoil_rows();
    let found = lab.engine().get(Family::Rows, b"100");
    assert!(
        matches!(found, Err(EngineError::Corrupt { .. } | EngineError::Io { .. })),
        "{found:?}"
    );
    for order in [Order::Forward, Order::Reverse] {
        lab.engine().rows(Family::Rows, &KeyRange::all(), order, usize::MAX).unwrap_err();
    }
}

pub(super) fn damage_to_the_synced_log_is_told_until_it_is_settled(mut lab: impl Lab) {
    for number in 0..50 {
        lab.put(&format!("{number:02}"), "value");
    }
    lab.spoil_the_synced_log();
    assert_eq!(lab.engine().recovery(), Recovery::Damaged);
    lab.put("after", "the damage");
    lab.reopen();
    assert_eq!(lab.engine().recovery(), Recovery::Damaged, "nobody has settled it");
    lab.engine().settle().unwrap();
    assert_eq!(lab.engine().recovery(), Recovery::Whole);
    lab.put("again", "settled");
    lab.reopen();
    assert_eq!(lab.engine().recovery(), Recovery::Whole);
    assert_eq!(lab.get("after").as_deref(), Some(&b"the damage"[..]));
}

pub(super) fn sequence_grows_with_every_batch_and_survives(mut lab: impl Lab) {
    let mut last = lab.engine().sequence();
    for number in 0..5 {
        lab.put(&format!("{number}"), "value");
        let next = lab.engine().sequence();
        assert!(next > last);
        last = next;
        if number % 2 == 0 {
            lab.reopen();
        } else {
            lab.crash(0);
        }
        assert!(lab.engine().sequence() >= last);
        last = lab.engine().sequence();
    }
}

pub(super) fn stats_count_syncs_and_bytes(mut lab: impl Lab) {
    lab.put("k", "1234");
    lab.commit(&puts(&[(Family::Rows, "l", "12")]), Durability::Unsynced);
    let stats = lab.engine().stats();
    assert_eq!((stats.commits, stats.log_syncs, stats.log_bytes), (2, 1, 8));
    lab.engine().sync().unwrap();
    assert_eq!(lab.engine().stats().log_syncs, 2);
    assert!(lab.engine().space().unwrap().free_bytes > 0);
}
