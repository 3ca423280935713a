use proptest::prelude::*;

use super::super::memory::{MemoryDisk, MemoryEngine, Room};
use super::*;

/// A disk with a node on it, and a source of "random" numbers that never repeats.
struct Lab {
    disk: MemoryDisk,
    engine: MemoryEngine,
    drawn: u128,
}

impl Lab {
    fn new() -> Self {
        let disk = MemoryDisk::new();
        let engine = disk.open();
        Self { disk, engine, drawn: 0 }
    }

    fn boot(&mut self) -> Result<Identity, IdentityError> {
        self.engine = self.disk.open();
        let drawn = &mut self.drawn;
        Identity::boot(&self.engine, Box::new(self.disk.clone()), &mut || {
            *drawn += 1;
            *drawn
        })
    }

    /// Boots, and lets a peer say that it has seen nothing.
    fn confirmed(&mut self) -> Identity {
        let mut identity = self.boot().unwrap();
        let store = identity.standing().store;
        identity.confirm(&self.engine, store, None, StoreId(0)).unwrap();
        identity
    }

    fn commit(&self, identity: &mut Identity) -> Result<bool, EngineError> {
        let mut batch = Batch::default();
        identity.stage(&mut batch);
        self.engine.commit(&batch, Durability::Synced)?;
        identity.committed()
    }

    fn set_record(&self, bytes: Option<Bytes>) {
        let mut batch = Batch::default();
        match bytes {
            Some(bytes) => batch.put(Family::Local, NAME, bytes),
            None => batch.delete(Family::Local, NAME),
        }
        self.engine.commit(&batch, Durability::Synced).unwrap();
    }

    fn record(&self) -> Record {
        match read(self.disk.read(NAME).unwrap().as_deref()) {
            Found::Record(record) => record,
            other => panic!("{other:?}"),
        }
    }
}

fn take(identity: &mut Identity, count: u64) -> (u64, u64) {
    let first = identity.next_epoch().unwrap();
    let last = (1..count).fold(first, |_, _| identity.next_epoch().unwrap());
    (first, last)
}

fn drawn(identity: &Identity) -> (Renewal, Option<StoreId>) {
    match identity.standing().origin {
        Origin::Drawn { reason, retired } => (reason, retired),
        Origin::Kept => panic!("the store id was kept"),
    }
}

#[test]
fn new_directory_draws_both_ids_and_may_mint_at_once() {
    let mut lab = Lab::new();
    let mut identity = lab.boot().unwrap();
    assert_eq!(drawn(&identity), (Renewal::NewDirectory, None));
    assert_eq!(identity.standing().host.0.get_version_num(), 4);
    assert_eq!(identity.standing().store, StoreId(2));
    assert_eq!(identity.next_epoch(), Ok(FIRST_EPOCH));
}

#[test]
fn later_start_keeps_both_ids_and_skips_the_rest_of_the_lease() {
    let mut lab = Lab::new();
    let mut first = lab.boot().unwrap();
    let (_, last) = take(&mut first, 3);
    lab.disk.crash(0);
    let mut second = lab.confirmed();
    assert_eq!(second.standing().origin, Origin::Kept);
    assert_eq!(second.standing().host, first.standing().host);
    assert_eq!(second.standing().store, first.standing().store);
    assert_eq!(second.next_epoch(), Ok(1 + LEASE_BLOCK));
    assert!(last < 1 + LEASE_BLOCK);
}

#[test]
fn kept_store_mints_nothing_until_a_peer_has_answered() {
    let mut lab = Lab::new();
    let store = lab.boot().unwrap().standing().store;
    let mut identity = lab.boot().unwrap();
    assert_eq!(identity.next_epoch(), Err(EpochError::Unconfirmed));
    identity.confirm(&lab.engine, StoreId(77), Some(u64::MAX), StoreId(78)).unwrap();
    assert_eq!(identity.next_epoch(), Err(EpochError::Unconfirmed), "word of another store");
    identity.confirm(&lab.engine, store, Some(LEASE_BLOCK), StoreId(78)).unwrap();
    assert_eq!(identity.next_epoch(), Ok(1 + LEASE_BLOCK));
    assert_eq!(identity.standing().store, store);
}

#[test]
fn store_whose_peers_saw_a_later_epoch_takes_a_new_id() {
    let mut lab = Lab::new();
    let old = lab.boot().unwrap().standing().store;
    let mut identity = lab.boot().unwrap();
    identity.confirm(&lab.engine, old, Some(1 + LEASE_BLOCK), StoreId(78)).unwrap();
    assert_eq!(drawn(&identity), (Renewal::PeerSawMore, Some(old)));
    assert_eq!(identity.next_epoch(), Ok(FIRST_EPOCH));
    assert_eq!(lab.boot().unwrap().standing().store, StoreId(78));
}

#[test]
fn peer_that_saw_what_was_just_minted_proves_nothing() {
    let mut lab = Lab::new();
    let mut identity = lab.boot().unwrap();
    let store = identity.standing().store;
    let (_, last) = take(&mut identity, 10);
    identity.confirm(&lab.engine, store, Some(last), StoreId(78)).unwrap();
    assert_eq!(identity.standing().store, store);
    identity.confirm(&lab.engine, store, Some(last + 1), StoreId(78)).unwrap();
    assert_eq!(identity.standing().store, StoreId(78));
}

#[test]
fn lease_is_renewed_at_half_and_never_runs_out_between_commits() {
    let mut lab = Lab::new();
    let mut identity = lab.boot().unwrap();
    take(&mut identity, LEASE_BLOCK / 2);
    assert_eq!(lab.commit(&mut identity), Ok(false), "half is left");
    take(&mut identity, 1);
    assert_eq!(lab.commit(&mut identity), Ok(true));
    assert_eq!(lab.record().lease_end, 1 + 2 * LEASE_BLOCK);
    assert_eq!(lab.commit(&mut identity), Ok(false));
    take(&mut identity, LEASE_BLOCK);
}

#[test]
fn used_up_lease_deals_out_nothing_until_it_is_renewed_on_disk() {
    let mut lab = Lab::new();
    let mut identity = lab.boot().unwrap();
    take(&mut identity, LEASE_BLOCK);
    assert_eq!(identity.next_epoch(), Err(EpochError::LeaseUsedUp));
    lab.disk.set_replaces_fail(true);
    assert_eq!(lab.commit(&mut identity), Ok(false));
    assert_eq!(identity.next_epoch(), Err(EpochError::LeaseUsedUp));
    lab.disk.set_replaces_fail(false);
    lab.disk.set_room(Room::None);
    assert!(matches!(lab.commit(&mut identity), Err(EngineError::NoSpace { .. })));
    assert_eq!(identity.next_epoch(), Err(EpochError::LeaseUsedUp));
    lab.disk.set_room(Room::Ample);
    assert_eq!(lab.commit(&mut identity), Ok(true));
    assert_eq!(identity.next_epoch(), Ok(1 + LEASE_BLOCK));
}

#[test]
fn failed_sync_of_the_file_is_fatal() {
    let mut lab = Lab::new();
    let mut identity = lab.boot().unwrap();
    take(&mut identity, LEASE_BLOCK);
    let mut batch = Batch::default();
    identity.stage(&mut batch);
    lab.engine.commit(&batch, Durability::Synced).unwrap();
    lab.disk.set_syncs_fail(true);
    assert!(matches!(identity.committed(), Err(EngineError::SyncFailed { .. })));
    assert_eq!(identity.next_epoch(), Err(EpochError::LeaseUsedUp));
}

#[test]
fn every_doubt_about_the_two_records_draws_a_new_store_id() {
    type Spoil = fn(&Lab, Record);
    let cases: [(Renewal, Spoil); 7] = [
        (Renewal::FileMissing, |lab, _| lab.disk.remove_file(NAME)),
        (Renewal::FileDamaged, |lab, _| lab.disk.replace(NAME, b"").unwrap()),
        (Renewal::RecordMissing, |lab, _| lab.set_record(None)),
        (Renewal::RecordDamaged, |lab, _| lab.set_record(Some(Bytes::from_static(b"STARLING")))),
        (Renewal::StoresDiffer, |lab, record| {
            lab.set_record(Some(Record { store: StoreId(99), ..record }.encode()));
        }),
        (Renewal::RolledBack, |lab, record| {
            let lease_end = record.lease_end - LEASE_BLOCK;
            lab.set_record(Some(Record { lease_end, ..record }.encode()));
        }),
        (Renewal::LogDamaged, |lab, _| lab.disk.damage()),
    ];
    for (reason, spoil) in cases {
        let mut lab = Lab::new();
        let old = lab.boot().unwrap().standing();
        lab.boot().unwrap();
        spoil(&lab, lab.record());
        let new = lab.boot().unwrap();
        let (found, retired) = drawn(&new);
        assert_eq!(found, reason);
        assert!(retired.is_some(), "{reason}");
        assert_eq!(new.standing().host, old.host, "{reason}");
        assert_ne!(new.standing().store, old.store, "{reason}");
        assert_eq!(lab.boot().unwrap().standing().origin, Origin::Kept, "settled after {reason}");
    }
}

#[test]
fn file_left_behind_by_a_crash_is_no_reason_for_a_new_store_id() {
    let mut lab = Lab::new();
    let store = lab.boot().unwrap().standing().store;
    lab.disk.set_replaces_fail(true);
    for _ in 0..3 {
        assert!(lab.boot().is_err(), "a start that could not write the file has not happened");
    }
    lab.disk.set_replaces_fail(false);
    let mut identity = lab.confirmed();
    assert_eq!(identity.standing().store, store);
    assert_eq!(identity.next_epoch(), Ok(1 + 4 * LEASE_BLOCK));
}

#[test]
fn directories_of_two_nodes_mixed_are_refused_by_name() {
    let mut lab = Lab::new();
    let host = lab.boot().unwrap().standing().host;
    let other = HostId(uuid::Uuid::from_u128(5));
    lab.disk.replace(NAME, &Record { host: other, ..lab.record() }.encode()).unwrap();
    let refused = lab.boot().err().unwrap();
    assert_eq!(refused, IdentityError::TwoNodes { file: other, rows: host });
    assert!(refused.to_string().contains(&other.to_string()));
}

#[test]
fn newer_format_is_refused_by_name() {
    let mut lab = Lab::new();
    lab.boot().unwrap();
    let mut newer = b"STARLING\0\0\0\x02 with whatever comes to our successors' minds".to_vec();
    newer.extend_from_slice(&crc32fast::hash(&newer).to_be_bytes());
    let refused = IdentityError::NewerFormat { found: 2, known: 1 };
    lab.set_record(Some(newer.clone().into()));
    assert_eq!(lab.boot().err(), Some(refused.clone()));
    lab.disk.replace(NAME, &newer).unwrap();
    assert_eq!(lab.boot().err(), Some(refused.clone()));
    assert_eq!(refuse_newer_format(&lab.disk), Err(refused.clone()));
    assert!(refused.to_string().contains("format 2"));
}

#[test]
fn record_has_its_bytes_for_ever() {
    let host = HostId(uuid::Uuid::from_u128(0x0102));
    let record = Record { host, store: StoreId(0x0304), lease_end: 0x0506 };
    let mut golden = b"STARLING\0\0\0\x01".to_vec();
    golden.extend_from_slice(b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02");
    golden.extend_from_slice(b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03\x04");
    golden.extend_from_slice(b"\0\0\0\0\0\0\x05\x06");
    golden.extend_from_slice(&[0xc6, 0x23, 0x9f, 0x7c]);
    assert_eq!(record.encode().as_ref(), golden);
    assert_eq!(read(Some(&golden)), Found::Record(record));
}

#[test]
fn every_spoilt_byte_of_a_record_is_noticed() {
    let record = Record { host: HostId(uuid::Uuid::nil()), store: StoreId(1), lease_end: 2 };
    let good = record.encode();
    for index in 0..good.len() {
        for flip in [1_u8, 0x80, 0xFF] {
            let mut bad = good.to_vec();
            bad[index] ^= flip;
            assert_eq!(read(Some(&bad)), Found::Damage);
        }
        assert_eq!(read(Some(&good[..index])), Found::Damage);
    }
}

/// What may happen to a store from one step to the next.
#[derive(Clone, Copy, Debug)]
enum Event {
    Mint(u64),
    Commit,
    CommitWithoutFile,
    CommitWithoutRoom,
    Crash,
    Rollback,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..LEASE_BLOCK / 3).prop_map(Event::Mint),
        4 => Just(Event::Commit),
        1 => Just(Event::CommitWithoutFile),
        1 => Just(Event::CommitWithoutRoom),
        2 => Just(Event::Crash),
        1 => Just(Event::Rollback),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Also when the whole directory is restored from a backup, as long as a peer remembers.
    #[test]
    fn no_epoch_of_a_store_is_dealt_out_twice(events in prop::collection::vec(event(), 1..30)) {
        let mut lab = Lab::new();
        let mut identity = lab.boot().unwrap();
        let mut backup = lab.disk.copy();
        let mut seen = std::collections::BTreeMap::<StoreId, u64>::new();
        for event in events {
            match event {
                Event::Mint(count) => {
                    let store = identity.standing().store;
                    for _ in 0..count {
                        let Ok(epoch) = identity.next_epoch() else { break };
                        let highest = seen.entry(store).or_default();
                        prop_assert!(epoch > *highest, "{epoch} after {highest}");
                        *highest = epoch;
                    }
                }
                Event::Commit => {
                    lab.commit(&mut identity).unwrap();
                }
                Event::CommitWithoutFile => {
                    lab.disk.set_replaces_fail(true);
                    prop_assert_eq!(lab.commit(&mut identity), Ok(false));
                    lab.disk.set_replaces_fail(false);
                }
                Event::CommitWithoutRoom => {
                    lab.disk.set_room(Room::None);
                    lab.commit(&mut identity).unwrap_err();
                    lab.disk.set_room(Room::Ample);
                }
                Event::Crash | Event::Rollback => {
                    let store = identity.standing().store;
                    if matches!(event, Event::Rollback) {
                        lab.disk = backup.copy();
                    } else {
                        lab.disk.crash(0);
                        backup = lab.disk.copy();
                    }
                    identity = lab.boot().unwrap();
                    let kept = identity.standing().store;
                    if matches!(event, Event::Crash) {
                        prop_assert_eq!(kept, store);
                    }
                    lab.drawn += 1;
                    let fresh = StoreId(lab.drawn);
                    identity.confirm(&lab.engine, kept, seen.get(&kept).copied(), fresh).unwrap();
                }
            }
        }
    }
}
