use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

use proptest::prelude::*;

use super::super::engine::KeyRange;
use super::super::identity::{LEASE_BLOCK, Origin};
use super::super::memory::{MemoryDisk, Room};
use super::super::peer_epochs::peer_epoch;
use super::super::rocks::RocksOptions;
use super::super::{open, open_in_memory};
use super::*;

const K: &[u8] = b"k";

/// The mutations of these tests; a row holds a number.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// Adds one to the row; answers the new number.
    Add(&'static [u8]),
    /// Answers the number.
    Read(&'static [u8]),
    /// Takes the row away if it holds this number; answers 1 if it did.
    DeleteIf(&'static [u8], u64),
    /// Takes that many epochs; answers the last, or 0 when there is none.
    Mint(u64),
    /// Notes an epoch of a peer.
    Note(StoreId, u64),
    /// Answers the group's sequence number.
    Sequence(&'static [u8]),
    Panic,
}

impl Mutation for Op {
    type Answer = u64;

    fn size(&self) -> usize {
        100
    }

    fn may_use_reserve(&self) -> bool {
        matches!(self, Self::DeleteIf(..))
    }

    fn run(self, view: &mut View<'_>) -> u64 {
        match self {
            Self::Add(key) => {
                let sum = number(view, key) + 1;
                view.put(Family::Rows, key, sum.to_be_bytes().to_vec());
                sum
            }
            Self::Read(key) => number(view, key),
            Self::DeleteIf(key, seen) => {
                view.delete_if(Family::Rows, key, &seen.to_be_bytes()).unwrap().into()
            }
            Self::Mint(count) => (0..count).fold(0, |_, _| view.next_epoch().unwrap_or_default()),
            Self::Note(store, epoch) => {
                view.note_epoch(store, epoch);
                0
            }
            Self::Sequence(key) => {
                view.put(Family::Marks, key, view.sequence().to_be_bytes().to_vec());
                view.sequence()
            }
            Self::Panic => panic!("planted"),
        }
    }
}

fn number(view: &View<'_>, key: &[u8]) -> u64 {
    view.get(Family::Rows, key).unwrap().map_or(0, |value| read_number(&value))
}

fn read_number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().unwrap())
}

fn stored(disk: &MemoryDisk) -> BTreeMap<Bytes, u64> {
    let rows =
        disk.open().rows(Family::Rows, &KeyRange::all(), super::super::engine::Order::Forward, 99);
    rows.unwrap().into_iter().map(|(key, value)| (key, read_number(&value))).collect()
}

fn committer(disk: &MemoryDisk, promise: Promise) -> Committer {
    let mut drawn = 0;
    let opened = open_in_memory(disk, &mut || {
        drawn += 1;
        drawn
    });
    Committer::new(opened.unwrap(), promise).unwrap()
}

fn running(disk: &MemoryDisk, limits: QueueLimits) -> (CommitHandle<Op>, CommitLoop<Op>) {
    queue(open_in_memory(disk, &mut || 7).unwrap(), limits, Promise::AfterSync).unwrap()
}

fn jobs<const N: usize>(ops: [Op; N]) -> ([Job<Op>; N], [Pending<u64>; N]) {
    let mut answers = Vec::new();
    let jobs = ops.map(|op| {
        let (job, answer) = Job::new(op);
        answers.push(answer);
        job
    });
    (jobs, answers.try_into().unwrap())
}

fn syncs(committer: &Committer) -> u64 {
    committer.engine.stats().log_syncs
}

#[test]
fn writers_of_one_row_in_one_group_see_one_another_and_share_an_fsync() {
    let mut committer = committer(&MemoryDisk::new(), Promise::AfterSync);
    let before = syncs(&committer);
    let (group, answers) = jobs([Op::Add(K); 5]);
    committer.run_group(group).unwrap();
    assert_eq!(answers.map(|answer| answer.given().unwrap()), [1, 2, 3, 4, 5]);
    assert_eq!(syncs(&committer), before + 1);
    assert_eq!(committer.counters().group_sizes[2].load(Ordering::Relaxed), 1);
}

#[test]
fn group_that_writes_nothing_needs_no_fsync() {
    let mut committer = committer(&MemoryDisk::new(), Promise::AfterSync);
    let before = syncs(&committer);
    assert_eq!(committer.run(Op::Read(K)), Ok(0));
    assert_eq!(committer.run(Op::DeleteIf(K, 3)), Ok(0));
    assert_eq!(syncs(&committer), before);
}

#[test]
fn what_was_read_in_a_group_is_answered_only_if_the_group_is_durable() {
    let disk = MemoryDisk::new();
    let mut committer = committer(&disk, Promise::AfterSync);
    disk.set_syncs_fail(true);
    let (group, [wrote, read]) = jobs([Op::Add(K), Op::Read(K)]);
    let failure = committer.run_group(group).unwrap_err();
    for answer in [wrote, read] {
        let lost = answer.given().unwrap_err();
        assert_eq!(lost, CommitError::Failed { source: failure.clone() });
        assert!(lost.may_have_applied());
    }
}

#[test]
fn failed_sync_ends_all_writing_even_if_the_next_would_succeed() {
    let disk = MemoryDisk::new();
    let mut committer = committer(&disk, Promise::AfterSync);
    disk.set_syncs_fail(true);
    committer.run(Op::Add(K)).unwrap_err();
    disk.set_syncs_fail(false);
    assert_eq!(committer.run(Op::Add(K)), Err(CommitError::Stopped));
    assert_eq!(committer.run(Op::Read(K)), Err(CommitError::Stopped));
}

#[test]
fn full_disk_refuses_its_group_and_writing_resumes_when_there_is_room() {
    let disk = MemoryDisk::new();
    let mut committer = committer(&disk, Promise::AfterSync);
    committer.run(Op::Add(K)).unwrap();
    disk.set_room(Room::ReserveOnly);
    let refused = committer.run(Op::Add(K)).unwrap_err();
    assert!(matches!(refused, CommitError::NoSpace { .. }) && !refused.may_have_applied());
    assert_eq!(committer.run(Op::DeleteIf(K, 1)), Ok(1), "deletes go on");
    disk.set_room(Room::None);
    assert!(matches!(committer.run(Op::DeleteIf(K, 1)), Ok(0)), "nothing to write");
    disk.set_room(Room::Ample);
    committer.run(Op::Add(K)).unwrap();
    disk.set_room(Room::None);
    let refused = committer.run(Op::DeleteIf(K, 1)).unwrap_err();
    assert!(matches!(refused, CommitError::NoSpace { .. }));
    disk.set_room(Room::Ample);
    assert_eq!(committer.run(Op::Add(K)), Ok(2), "what was refused left no trace");
    assert_eq!(committer.counters().refusals_for_space.load(Ordering::Relaxed), 1);
}

#[test]
fn row_is_deleted_only_if_it_is_what_was_looked_at() {
    let mut committer = committer(&MemoryDisk::new(), Promise::AfterSync);
    committer.run(Op::Add(K)).unwrap();
    let (group, answers) = jobs([Op::Add(K), Op::DeleteIf(K, 1), Op::DeleteIf(K, 2), Op::Read(K)]);
    committer.run_group(group).unwrap();
    assert_eq!(answers.map(|answer| answer.given().unwrap()), [2, 0, 1, 0]);
    assert_eq!(committer.run(Op::Read(K)), Ok(0));
}

#[test]
fn sequence_of_a_group_is_above_all_that_was_on_disk_before_it() {
    let mut committer = committer(&MemoryDisk::new(), Promise::AfterSync);
    for key in [b"a", b"b"] {
        let before = committer.engine.sequence();
        let (group, answers) = jobs([Op::Sequence(key), Op::Sequence(K)]);
        committer.run_group(group).unwrap();
        let [first, second] = answers.map(|answer| answer.given().unwrap());
        assert_eq!(first, second);
        assert!(before < first && first <= committer.engine.sequence());
    }
}

#[test]
fn epoch_of_a_peer_is_on_disk_with_the_group_that_saw_it() {
    let disk = MemoryDisk::new();
    let mut committer = committer(&disk, Promise::AfterSync);
    let (peer, own) = (StoreId(500), committer.standing().store);
    let (group, _) = jobs([Op::Note(peer, 3), Op::Note(peer, 2), Op::Note(own, 9)]);
    committer.run_group(group).unwrap();
    let before = syncs(&committer);
    committer.run(Op::Note(peer, 3)).unwrap();
    assert_eq!(syncs(&committer), before, "known already");
    disk.crash(0);
    assert_eq!(peer_epoch(&disk.open(), peer), Ok(Some(3)));
    assert_eq!(peer_epoch(&disk.open(), own), Ok(None));
}

#[test]
fn lease_is_renewed_on_the_way_and_no_write_waits_for_it() {
    const STEP: u64 = LEASE_BLOCK / 3;
    let mut committer = committer(&MemoryDisk::new(), Promise::AfterSync);
    for round in 1..=9 {
        assert_eq!(committer.run(Op::Mint(STEP)), Ok(round * STEP));
    }
    let counters = committer.counters();
    assert!(counters.lease_renewals.load(Ordering::Relaxed) >= 3);
    assert_eq!(counters.lease_waits.load(Ordering::Relaxed), 0);
    assert_eq!(committer.run(Op::Mint(2 * LEASE_BLOCK)), Ok(0));
    assert!(committer.counters().lease_waits.load(Ordering::Relaxed) > 0);
}

/// Writes that were acknowledged and are gone after the power was cut, of four.
fn lost_writes(promise: Promise) -> u64 {
    let disk = MemoryDisk::new();
    let mut committer = committer(&disk, promise);
    let acknowledged = (0..4).filter_map(|_| committer.run(Op::Add(K)).ok()).max().unwrap();
    disk.crash(0);
    acknowledged - stored(&disk).get(K).copied().unwrap_or_default()
}

#[test]
fn power_cut_tells_an_answer_before_the_sync_from_one_after_it() {
    assert_eq!(lost_writes(Promise::AfterSync), 0);
    assert!(lost_writes(Promise::BeforeSync) > 0);
}

#[test]
fn loop_takes_all_that_waits_into_one_group() {
    let disk = MemoryDisk::new();
    let (handle, mut commit_loop) = running(&disk, QueueLimits::default());
    let answers: Vec<_> = (0..10).map(|_| handle.submit(Op::Add(K)).unwrap()).collect();
    assert_eq!(handle.queued(), 10);
    assert_eq!(commit_loop.step(), Ok(true));
    assert_eq!(commit_loop.step(), Ok(false));
    assert_eq!((handle.queued(), handle.counters().groups.load(Ordering::Relaxed)), (0, 1));
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.given().unwrap()).collect();
    assert_eq!(answers, (1..=10).collect::<Vec<_>>());
}

#[test]
fn groups_are_bounded_by_count_and_by_bytes() {
    for (group_max, group_bytes_max) in [(4, 1 << 20), (1000, 301)] {
        let limits = QueueLimits { group_max, group_bytes_max, ..QueueLimits::default() };
        let (handle, mut commit_loop) = running(&MemoryDisk::new(), limits);
        let _answers: Vec<_> = (0..10).map(|_| handle.submit(Op::Add(K)).unwrap()).collect();
        while commit_loop.step().unwrap() {}
        assert_eq!(handle.counters().groups.load(Ordering::Relaxed), 3);
    }
}

#[test]
fn full_queue_refuses_at_once_and_takes_more_when_it_was_emptied() {
    for (queue_max, queue_bytes_max) in [(3, 1 << 20), (1000, 399)] {
        let limits = QueueLimits { queue_max, queue_bytes_max, ..QueueLimits::default() };
        let (handle, mut commit_loop) = running(&MemoryDisk::new(), limits);
        for _ in 0..2 {
            let waiting: Vec<_> = (0..3).map(|_| handle.submit(Op::Add(K)).unwrap()).collect();
            let refused = handle.submit(Op::Add(K)).unwrap_err();
            assert_eq!(refused, CommitError::Overloaded { queued: 3, queued_bytes: 300 });
            assert!(!refused.may_have_applied());
            assert_eq!(commit_loop.step(), Ok(true));
            assert!(waiting.into_iter().all(|answer| answer.given().is_ok()));
        }
        assert_eq!(handle.counters().overloads.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn stopped_loop_has_done_what_came_before_and_refuses_what_comes_after() {
    let disk = MemoryDisk::new();
    let (handle, commit_loop) = running(&disk, QueueLimits::default());
    let before = handle.submit(Op::Add(K)).unwrap();
    handle.stop().await;
    let after = handle.submit(Op::Add(K)).unwrap();
    assert_eq!(commit_loop.run().await, Ok(()));
    assert_eq!(before.await, Ok(1));
    assert_eq!(after.await, Err(CommitError::Stopped));
    assert_eq!(handle.submit(Op::Add(K)).unwrap_err(), CommitError::Stopped);
    assert_eq!(handle.renew(StoreId(1)).await, Err(CommitError::Stopped));
}

#[tokio::test]
async fn loop_ends_when_the_last_handle_is_gone() {
    let (handle, commit_loop) = running(&MemoryDisk::new(), QueueLimits::default());
    let clone = handle.clone();
    let answer = clone.submit(Op::Add(K)).unwrap();
    drop((handle, clone));
    assert_eq!(commit_loop.run().await, Ok(()));
    assert_eq!(answer.await, Ok(1));
}

#[tokio::test]
async fn store_that_was_kept_mints_once_it_is_confirmed() {
    let disk = MemoryDisk::new();
    drop(running(&disk, QueueLimits::default()));
    let (handle, commit_loop) = running(&disk, QueueLimits::default());
    let kept = handle.standing();
    assert_eq!((kept.origin, kept.is_confirmed), (Origin::Kept, false));
    let mut changes = handle.watch_standing();
    let calls = async {
        assert_eq!(handle.submit(Op::Mint(1)).unwrap().await, Ok(0));
        handle.confirm(kept.store, Some(1), StoreId(8)).await.unwrap();
        assert!(changes.borrow_and_update().is_confirmed);
        assert_eq!(handle.submit(Op::Mint(1)).unwrap().await, Ok(1 + LEASE_BLOCK));
        let moved = handle.confirm(kept.store, Some(u64::MAX), StoreId(8)).await.unwrap();
        assert_eq!((moved.store, moved), (StoreId(8), handle.standing()));
        assert_eq!(handle.submit(Op::Mint(1)).unwrap().await, Ok(1));
        assert_eq!(handle.renew(StoreId(9)).await.unwrap().store, StoreId(9));
        handle.stop().await;
    };
    let (ended, ()) = tokio::join!(commit_loop.run(), calls);
    assert_eq!(ended, Ok(()));
}

/// Runs the loop on a thread over an operation that ends it: why it says it ended, the answer,
/// and the answer to a write that was still waiting.
fn failure_of(op: Op) -> (CommitFailure, CommitError, CommitError) {
    let disk = MemoryDisk::new();
    let limits = QueueLimits { group_max: 1, ..QueueLimits::default() };
    let (handle, commit_loop) = running(&disk, limits);
    let (tell, told) = mpsc::channel();
    let answer = handle.submit(op).unwrap();
    let waiting = handle.submit(Op::Add(K)).unwrap();
    disk.set_syncs_fail(true);
    let thread = commit_loop.spawn(move |failure| tell.send(failure).unwrap()).unwrap();
    thread.join().unwrap();
    assert_eq!(handle.submit(Op::Add(K)).unwrap_err(), CommitError::Stopped);
    (told.recv().unwrap(), answer.wait().unwrap_err(), waiting.wait().unwrap_err())
}

#[test]
fn failed_sync_acknowledges_nothing_and_is_told_to_whoever_stops_the_process() {
    let (failure, answer, waiting) = failure_of(Op::Add(K));
    assert!(matches!(failure, CommitFailure::Log(EngineError::SyncFailed { .. })));
    assert!(matches!(answer, CommitError::Failed { .. }));
    assert_eq!(waiting, CommitError::Stopped);
}

#[test]
fn panic_of_a_mutation_is_told_to_whoever_stops_the_process() {
    let failure = (CommitFailure::Panicked, CommitError::Lost, CommitError::Lost);
    assert_eq!(failure_of(Op::Panic), failure);
}

#[test]
fn writers_at_once_on_a_real_disk_share_fsyncs_and_lose_nothing() {
    const WRITERS: u64 = 64;
    const WRITES: u64 = 20;
    let home = tempfile::tempdir().unwrap();
    let opened = open(home.path(), &RocksOptions::default(), &mut || 7).unwrap();
    let engine = Arc::clone(&opened.engine);
    let before = engine.stats().log_syncs;
    let (handle, commit_loop) =
        queue::<Op>(opened, QueueLimits::default(), Promise::AfterSync).unwrap();
    let thread = commit_loop.spawn(|failure| panic!("{failure}")).unwrap();
    let write = || handle.submit(Op::Add(K)).unwrap().wait().unwrap();
    let write_all = || (0..WRITES).map(|_| write()).collect::<Vec<_>>();
    let mut answers: Vec<u64> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write_all)).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    drop(handle);
    thread.join().unwrap();
    answers.sort_unstable();
    assert_eq!(answers, (1..=WRITERS * WRITES).collect::<Vec<_>>());
    let syncs = engine.stats().log_syncs - before;
    println!("{} writes by {WRITERS} writers: {syncs} fsyncs", WRITERS * WRITES);
    assert!(syncs < WRITERS * WRITES / 2);
    drop(engine);
    let engine = open(home.path(), &RocksOptions::default(), &mut || 8).unwrap().engine;
    let kept = engine.get(Family::Rows, K).unwrap().unwrap();
    assert_eq!(read_number(&kept), WRITERS * WRITES);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn acknowledged_writes_survive_every_crash(
        groups in prop::collection::vec((1..6_usize, 0..3_usize, any::<bool>(), 0..80_usize), 1..20),
    ) {
        const KEYS: [&[u8]; 3] = [b"a", b"b", b"c"];
        let disk = MemoryDisk::new();
        let mut committer = committer(&disk, Promise::AfterSync);
        let mut acknowledged = BTreeMap::new();
        for (size, first, fails, cut) in groups {
            disk.set_syncs_fail(fails);
            let (mut group, mut answers) = (Vec::new(), Vec::new());
            for index in 0..size {
                let key = KEYS[(first + index) % KEYS.len()];
                let (job, answer) = Job::new(Op::Add(key));
                group.push(job);
                answers.push((key, answer));
            }
            prop_assert_eq!(committer.run_group(group).is_err(), fails);
            for (key, answer) in answers {
                if let Ok(sum) = answer.given() {
                    acknowledged.insert(key, sum);
                }
            }
            if fails {
                disk.set_syncs_fail(false);
                disk.crash(cut);
                let kept = stored(&disk);
                for (key, sum) in &acknowledged {
                    prop_assert!(kept.get(*key).is_some_and(|kept| kept >= sum));
                }
                committer = self::committer(&disk, Promise::AfterSync);
            }
        }
    }
}
