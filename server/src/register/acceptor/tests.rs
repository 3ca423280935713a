//! The laws of a vote, and the bytes of what is kept of it.

use ring::StoreId;
use ring::register::{
    Accept, Acceptors, Ballot, Call, Generation, Prepare, Refusal, Stores, Verdict,
};

use super::*;
use crate::metadata::tests::{founded, golden};
use crate::store::commit::{Committer, Promise};
use crate::store::engine::Engine;
use crate::store::memory::MemoryDisk;
use crate::store::open_in_memory;

const STORES: [StoreId; 3] = [StoreId(101), StoreId(102), StoreId(103)];

fn seeds() -> SeedList {
    SeedList::new(["a:7000", "b:7000", "c:7000"].map(str::to_owned)).unwrap()
}

/// The store 101, which draws its number when its directory is new.
fn committer(disk: &MemoryDisk) -> Committer {
    let mut drawn = [1, 101].into_iter();
    let opened = open_in_memory(disk, &mut || drawn.next().unwrap()).unwrap();
    Committer::new(opened, Promise::AfterSync).unwrap()
}

fn ballot(counter: u64) -> Ballot {
    Ballot { generation: Generation::FIRST, counter, proposer: StoreId(102), nonce: 5 }
}

fn prepare(counter: u64) -> Request<ClusterMetadata> {
    let stores = Stores::new(STORES).unwrap();
    let call = Call::Form { seeds: seeds(), stores };
    Request::Prepare(Prepare { ballot: ballot(counter), call })
}

fn accept(counter: u64) -> Request<ClusterMetadata> {
    Request::Accept(Accept { ballot: ballot(counter), value: founded(1) })
}

fn vote(committer: &mut Committer, request: &Request<ClusterMetadata>) -> Verdict<ClusterMetadata> {
    let request = postcard::to_stdvec(request).unwrap().into();
    committer.run(Vote { request, seeds: seeds(), voter: None }).unwrap().unwrap().verdict
}

#[test]
fn what_was_promised_and_accepted_outlives_a_power_cut() {
    let disk = MemoryDisk::new();
    let mut store = committer(&disk);
    assert_eq!(vote(&mut store, &prepare(3)), Verdict::Promise { accepted: None });
    disk.crash(0);
    let mut store = committer(&disk);
    let refused = Verdict::Refused(Refusal::Promised { ballot: ballot(3) });
    assert_eq!(vote(&mut store, &prepare(2)), refused);
    assert_eq!(vote(&mut store, &accept(3)), Verdict::Accepted);
    disk.crash(0);
    let promised = vote(&mut committer(&disk), &prepare(4));
    let Verdict::Promise { accepted: Some(accepted) } = promised else { panic!("{promised:?}") };
    assert_eq!(accepted.value.acceptors, Acceptors::formed(Stores::new(STORES).unwrap()));
}

#[test]
fn a_store_that_cannot_read_its_promises_does_not_vote() {
    let mut store = committer(&MemoryDisk::new());
    store.run(Plant(vec![FORMAT, 255])).unwrap();
    let request = postcard::to_stdvec(&prepare(3)).unwrap().into();
    let outcome = store.run(Vote { request, seeds: seeds(), voter: None }).unwrap();
    assert_eq!(outcome, Err(VoteError::Unreadable));
}

#[test]
fn bytes_that_are_no_request_are_refused() {
    let request = Bytes::from_static(&[255; 9]);
    let outcome =
        committer(&MemoryDisk::new()).run(Vote { request, seeds: seeds(), voter: None }).unwrap();
    assert_eq!(outcome, Err(VoteError::Malformed));
}

#[test]
fn the_stored_form_keeps_its_bytes() {
    let disk = MemoryDisk::new();
    let mut store = committer(&disk);
    vote(&mut store, &prepare(3));
    assert_eq!(vote(&mut store, &accept(3)), Verdict::Accepted);
    drop(store);
    let stored = disk.open().get(Family::Register, ACCEPTOR).unwrap().unwrap();
    let golden = golden(include_str!("../../../golden/acceptor-2.hex"));
    assert_eq!(stored, golden, "a change of this form needs a new version byte");
}

#[test]
fn the_first_stored_form_is_read_still() {
    let forming = decode(&golden(include_str!("../../../golden/acceptor-1.hex"))).unwrap();
    assert_eq!((forming.promised, forming.accepted), (Some(ballot(3)), None));
    // A value stood in it without a version byte: here that of the first form of the metadata.
    let value = golden(include_str!("../../../golden/metadata-1.hex"));
    let promised = postcard::to_stdvec(&Some(ballot(4))).unwrap();
    let vote = [&[1][..], &postcard::to_stdvec(&ballot(3)).unwrap(), &value[1..]].concat();
    let state = decode(&[&[1][..], &promised, &vote, &[0]].concat()).unwrap();
    let accepted = state.accepted.unwrap();
    assert_eq!((state.promised, accepted.ballot), (Some(ballot(4)), ballot(3)));
    assert_eq!(Ok(accepted.value), ClusterMetadata::decode(&value));
}

/// Puts bytes where the acceptor's state is kept.
struct Plant(Vec<u8>);

impl Mutation for Plant {
    type Answer = ();

    fn size(&self) -> usize {
        self.0.len()
    }

    fn run(self, view: &mut View<'_>) {
        view.put(Family::Register, ACCEPTOR, self.0);
    }
}
