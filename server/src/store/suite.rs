//! One suite for every engine: the laws of [`Engine`], each a test.
//!
//! An engine joins with a [`Lab`], which knows how to cut its power and to spoil its disk, and one
//! line: `conformance!(ItsLab)`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::thread;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use repair::cells::{DecodeError, Expiry, Row, WriteStamp, merge_encoded, salvage};

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
    /// Writes what is only in memory into tables, if the engine has such.
    fn flush(&mut self) {}
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

    fn merge(&mut self, key: &str, operand: &Bytes) {
        let mut batch = Batch::default();
        batch.merge(Family::Rows, key.to_owned(), operand.clone());
        self.commit(&batch, Durability::Unsynced);
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
                a_range_is_removed_whole_and_nothing_beside_it
                a_removed_range_may_come_back_whole_after_a_power_cut
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
                merges_join_what_was_there_before
                merges_of_one_batch_are_one
                merges_outlive_crashes_as_puts_do
                torn_batch_of_merges_is_all_or_nothing
                shuffled_merges_with_flushes_between_give_one_value
                unreadable_operand_poisons_its_own_row_only_and_is_counted
                blind_writes_read_nothing
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

/// Random ranges against a map; rows that are written after the removal are there.
pub(super) fn a_range_is_removed_whole_and_nothing_beside_it(mut lab: impl Lab) {
    let mut random = StdRng::seed_from_u64(0xD1E);
    let mut model = BTreeMap::<Bytes, Bytes>::new();
    for round in 0..60_u32 {
        let mut batch = Batch::default();
        for _ in 0..6 {
            let (key, value) = (some_key(&mut random), Bytes::from(round.to_string()));
            model.insert(key.clone(), value.clone());
            batch.put(Family::Rows, key.clone(), value);
            batch.put(Family::Marks, key, "kept");
        }
        lab.commit(&batch, Durability::Unsynced);
        let marks = lab.rows(Family::Marks);
        let range = some_range(&mut random);
        lab.engine().remove_range(Family::Rows, &range).unwrap();
        model.retain(|key, _| !range.contains(key));
        let left: Vec<_> = model.iter().map(own).collect();
        assert_eq!(lab.rows(Family::Rows), left, "{range:?}");
        assert_eq!(lab.rows(Family::Marks), marks);
        if round == 30 {
            lab.reopen();
        }
    }
}

pub(super) fn a_removed_range_may_come_back_whole_after_a_power_cut(mut lab: impl Lab) {
    for key in ["a1", "a2", "a3", "b"] {
        lab.put(key, "v");
    }
    lab.engine().remove_range(Family::Rows, &KeyRange::prefix("a")).unwrap();
    lab.crash(lab.unsynced_bytes());
    assert_eq!(lab.rows(Family::Rows).len(), 1, "all of the log survived");
    lab.put("a1", "v");
    lab.put("a2", "v");
    lab.engine().remove_range(Family::Rows, &KeyRange::prefix("a")).unwrap();
    lab.crash(lab.unsynced_bytes() / 2);
    assert_eq!(lab.rows(Family::Rows).len(), 3, "the removal was cut off");
    lab.engine().remove_range(Family::Rows, &KeyRange::prefix("a")).unwrap();
    lab.engine().sync().unwrap();
    lab.note_sync();
    lab.crash(0);
    assert_eq!(lab.rows(Family::Rows).len(), 1);
    lab.leave_no_room();
    let removed = lab.engine().remove_range(Family::Rows, &KeyRange::all());
    assert!(matches!(removed, Err(EngineError::NoSpace { .. })), "{removed:?}");
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

/// A row with a value in one column.
fn cell(column: u32, timestamp: i64, value: &str) -> Bytes {
    let mut row = Row::default();
    let stamp = WriteStamp { timestamp, operation: 1 };
    row.set(column, stamp, Expiry::Never, Some(Bytes::copy_from_slice(value.as_bytes())));
    row.encode().into()
}

fn joined(operands: &[&Bytes]) -> Bytes {
    merge_encoded(None, operands.iter().copied().map(Bytes::as_ref)).into()
}

pub(super) fn merges_join_what_was_there_before(mut lab: impl Lab) {
    let (old, new, other) = (cell(1, 1, "old"), cell(1, 2, "new"), cell(2, 1, "other"));
    lab.merge("blank", &new);
    lab.merge("blank", &old);
    lab.merge("blank", &other);
    let mut batch = Batch::default();
    for key in ["put", "deleted"] {
        batch.put(Family::Rows, key, new.clone());
    }
    lab.commit(&batch, Durability::Unsynced);
    let mut batch = Batch::default();
    batch.delete(Family::Rows, "deleted");
    lab.commit(&batch, Durability::Unsynced);
    lab.merge("put", &old);
    lab.merge("put", &other);
    lab.merge("deleted", &old);
    for _ in 0..2 {
        assert_eq!(lab.get("blank"), Some(joined(&[&new, &other])));
        assert_eq!(lab.get("put"), Some(joined(&[&new, &other])));
        assert_eq!(lab.get("deleted"), Some(old.clone()));
        let shown: Vec<_> = lab.rows(Family::Rows).into_iter().map(|(_, value)| value).collect();
        let expected = [joined(&[&new, &other]), old.clone(), joined(&[&new, &other])];
        assert_eq!(shown, expected, "scans show what reads of keys do");
        lab.flush();
        lab.reopen();
    }
    let mut batch = Batch::default();
    batch.delete(Family::Rows, "put");
    lab.commit(&batch, Durability::Unsynced);
    assert_eq!(lab.get("put"), None);
}

pub(super) fn merges_of_one_batch_are_one(mut lab: impl Lab) {
    let (old, new) = (cell(1, 1, "old"), cell(1, 2, "new"));
    let mut batch = Batch::default();
    for key in ["merged", "put first", "deleted first", "put last", "deleted last"] {
        match key {
            "put first" => batch.put(Family::Rows, key, new.clone()),
            "deleted first" => batch.delete(Family::Rows, key),
            _ => batch.merge(Family::Rows, key, new.clone()),
        }
        match key {
            "put last" => batch.put(Family::Rows, key, old.clone()),
            "deleted last" => batch.delete(Family::Rows, key),
            _ => batch.merge(Family::Rows, key, old.clone()),
        }
    }
    assert_eq!(batch.len(), 5);
    lab.merge("deleted first", &new);
    lab.commit(&batch, Durability::Unsynced);
    assert_eq!((lab.get("merged"), lab.get("put first")), (Some(new.clone()), Some(new)));
    assert_eq!((lab.get("deleted first"), lab.get("put last")), (Some(old.clone()), Some(old)));
    assert_eq!(lab.get("deleted last"), None);
}

pub(super) fn merges_outlive_crashes_as_puts_do(mut lab: impl Lab) {
    let (first, second, lost) = (cell(1, 1, "1"), cell(2, 2, "2"), cell(1, 3, "3"));
    lab.merge("k", &first);
    let mut batch = Batch::default();
    batch.merge(Family::Rows, "k", second.clone());
    lab.commit(&batch, Durability::Synced);
    lab.merge("k", &lost);
    lab.merge("l", &lost);
    assert_eq!(lab.get("k"), Some(joined(&[&first, &second, &lost])));
    lab.crash(0);
    assert_eq!((lab.get("k"), lab.get("l")), (Some(joined(&[&first, &second])), None));
    lab.crash(0);
    lab.merge("k", &lost);
    lab.reopen();
    assert_eq!(lab.get("k"), Some(joined(&[&first, &second, &lost])));
}

pub(super) fn torn_batch_of_merges_is_all_or_nothing(mut lab: impl Lab) {
    let batches = [1, 2, 3].map(|number: u32| {
        let mut batch = Batch::default();
        batch.merge(Family::Rows, "shared", cell(number, 1, "x"));
        batch.merge(Family::Rows, number.to_string(), cell(number, 1, "x"));
        batch
    });
    let mut lengths = Vec::new();
    for batch in &batches {
        lab.commit(batch, Durability::Unsynced);
        lengths.push(lab.unsynced_bytes());
    }
    for cut in [0, 1, lengths[0] - 1, lengths[0], lengths[1] - 1, lengths[1], lengths[2]] {
        let mut wipe = Batch::default();
        for key in ["1", "2", "3", "shared"] {
            wipe.delete(Family::Rows, key);
        }
        lab.commit(&wipe, Durability::Synced);
        for batch in &batches {
            lab.commit(batch, Durability::Unsynced);
        }
        lab.crash(cut);
        let whole = lengths.iter().filter(|length| **length <= cut).count();
        let cells = [cell(1, 1, "x"), cell(2, 1, "x"), cell(3, 1, "x")];
        let shared = joined(&cells[..whole].iter().collect::<Vec<_>>());
        let expected = (whole > 0).then_some(shared);
        assert_eq!(lab.get("shared"), expected, "cut at {cut} of {lengths:?}");
        assert_eq!(lab.rows(Family::Rows).len(), if whole == 0 { 0 } else { whole + 1 });
    }
}

pub(super) fn shuffled_merges_with_flushes_between_give_one_value(mut lab: impl Lab) {
    let mut random = StdRng::seed_from_u64(0x3E6E);
    let mut operands: Vec<Bytes> = (0..40_u32)
        .map(|number| cell(number % 4, i64::from(number % 7), &number.to_string()))
        .collect();
    let mut deletion = Row::default();
    deletion.delete(2);
    operands.push(deletion.encode().into());
    let expected = Some(joined(&operands.iter().collect::<Vec<_>>()));
    for round in 0..6_u32 {
        let key = round.to_string();
        operands.shuffle(&mut random);
        for operand in &operands {
            lab.merge(&key, operand);
            match random.next_u32() % 16 {
                0 => lab.flush(),
                1 => lab.reopen(),
                2 => lab.merge(&key, operand),
                _ => {}
            }
        }
        assert_eq!(lab.get(&key), expected, "round {round}");
    }
    assert!(lab.rows(Family::Rows).into_iter().all(|(_, value)| Some(value) == expected));
}

pub(super) fn unreadable_operand_poisons_its_own_row_only_and_is_counted(mut lab: impl Lab) {
    let (old, new) = (cell(1, 1, "old"), cell(1, 2, "new"));
    lab.merge("a", &old);
    lab.merge("b", &old);
    assert_eq!(lab.engine().stats().unreadable_operands, 0);
    lab.merge("b", &Bytes::from_static(b"?"));
    lab.merge("b", &new);
    lab.merge("c", &old);
    for _ in 0..2 {
        let poisoned = lab.get("b").unwrap();
        assert_eq!(Row::decode(&poisoned), Err(DecodeError::Poisoned));
        assert_eq!(salvage(&poisoned).row, Row::decode(&new).ok());
        assert_eq!(lab.rows(Family::Rows).len(), 3, "scans go on behind it");
        assert_eq!((lab.get("a"), lab.get("c")), (Some(old.clone()), Some(old.clone())));
        assert!(lab.engine().stats().unreadable_operands > 0);
        lab.flush();
    }
}

pub(super) fn blind_writes_read_nothing(mut lab: impl Lab) {
    let before = lab.engine().stats();
    for number in 0..1_000 {
        lab.merge(&(number % 10).to_string(), &cell(1, number, "x"));
    }
    let written = lab.engine().stats();
    assert_eq!((written.reads, written.rows_read), (before.reads, before.rows_read));
    lab.get("0");
    lab.get("not there");
    let range = KeyRange::from("3");
    lab.engine().rows(Family::Rows, &range, Order::Forward, 4).unwrap();
    lab.engine().get(Family::Local, b"0").unwrap();
    let read = lab.engine().stats();
    assert_eq!((read.reads - before.reads, read.rows_read - before.rows_read), (2, 4));
}
