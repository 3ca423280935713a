//! The law of marks, on both engines: whatever order writes, scans and removals of ended tables come
//! in, a digest that passes for current has every write.

use std::path::Path;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use ring::Token;

use super::super::commit::{Committer, Mutation, Promise, View};
use super::super::engine::{Engine, Order};
use super::super::keys::RowKey;
use super::super::memory::{MemoryDisk, Room};
use super::super::rocks::RocksOptions;
use super::super::{Opened, open, open_in_memory};
use super::*;

const LIFE: TableLife = TableLife { table: 1, epoch: 2 };
const ENDED: TableLife = TableLife { table: 1, epoch: 1 };

/// What happens, in slice 0 or 1.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Write(usize),
    /// The digest of the slice reads the sequence number.
    Begin(usize),
    /// It scans.
    Scan(usize),
    /// It is kept.
    Keep(usize),
    /// Rows of an ended life are removed, beside the commit loop.
    Remove,
}

/// Tells a slice's content from every other: how often it was written.
type Content = Vec<(bytes::Bytes, bytes::Bytes)>;

#[derive(Clone, Default)]
struct Digesting {
    sequence: Option<u64>,
    content: Option<Content>,
    kept: Option<(u64, Content)>,
}

fn key(life: TableLife, slice: usize) -> RowKey {
    let first = *Slice::of(Token::MIN).tokens().end();
    let token = if slice == 0 { first } else { Token::new(first.value() + 1) };
    RowKey::new(life, token, b"k", b"")
}

struct Write {
    key: RowKey,
    number: u64,
}

impl Mutation for Write {
    type Answer = ();

    fn size(&self) -> usize {
        1
    }

    fn run(self, view: &mut View<'_>) {
        view.put(Family::Rows, self.key, self.number.to_be_bytes().to_vec());
    }
}

struct World {
    engine: Arc<dyn Engine>,
    committer: Committer,
    writes: u64,
    slices: [Digesting; 2],
    /// The planted bug.
    clears: bool,
}

impl World {
    fn new(opened: Opened, clears: bool) -> Self {
        let engine = Arc::clone(&opened.engine);
        let committer = Committer::new(opened, Promise::AfterSync).unwrap();
        Self { engine, committer, writes: 0, slices: Default::default(), clears }
    }

    fn in_memory(clears: bool) -> Self {
        Self::new(open_in_memory(&MemoryDisk::new(), &mut || 1).unwrap(), clears)
    }

    fn on_disk(home: &Path, clears: bool) -> Self {
        let options = RocksOptions { floor_bytes: 0, reserve_bytes: 0, ..RocksOptions::default() };
        Self::new(open(home, &options, &mut || 1).unwrap(), clears)
    }

    fn write(&mut self, life: TableLife, slice: usize) {
        self.writes += 1;
        self.committer.run(Write { key: key(life, slice), number: self.writes }).unwrap();
    }

    fn content(&self, slice: usize) -> Content {
        let token = key(LIFE, slice).token();
        let range = LIFE.range_of_tokens(&Slice::of(token).tokens());
        self.engine.rows(Family::Rows, &range, Order::Forward, usize::MAX).unwrap()
    }

    fn mark(&self, slice: usize) -> u64 {
        let slice = Slice::of(key(LIFE, slice).token());
        self.committer.marks().newest(LIFE, slice..=slice)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Write(slice) => self.write(LIFE, slice),
            Happening::Remove => {
                self.write(ENDED, 0);
                self.engine.remove_range(Family::Rows, &ENDED.range()).unwrap();
            }
            Happening::Begin(slice) => {
                let kept = self.slices[slice].kept.take();
                let sequence = Some(self.engine.sequence());
                self.slices[slice] = Digesting { sequence, content: None, kept };
            }
            Happening::Scan(slice) => {
                if self.slices[slice].sequence.is_some() {
                    self.slices[slice].content = Some(self.content(slice));
                }
            }
            Happening::Keep(slice) => {
                let digesting = &mut self.slices[slice];
                let Some(content) = digesting.content.take() else { return };
                digesting.kept = Some((digesting.sequence.take().unwrap(), content));
                if self.clears {
                    let slice = Slice::of(key(LIFE, slice).token());
                    self.committer.marks().clear(LIFE, slice);
                }
            }
        }
    }

    /// Whether every digest that passes for current is.
    fn holds(&self) -> bool {
        (0..2).all(|slice| match &self.slices[slice].kept {
            Some((sequence, content)) if self.mark(slice) <= *sequence => {
                *content == self.content(slice)
            }
            _ => true,
        })
    }
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let slice = || 0..2_usize;
    vec(
        prop_oneof![
            slice().prop_map(Happening::Write),
            slice().prop_map(Happening::Begin),
            slice().prop_map(Happening::Scan),
            slice().prop_map(Happening::Keep),
            Just(Happening::Remove),
        ],
        0..24,
    )
}

/// A write between the scan of a digest and the moment in which it is kept.
const RACE: [Happening; 5] = [
    Happening::Write(0),
    Happening::Begin(0),
    Happening::Scan(0),
    Happening::Write(0),
    Happening::Keep(0),
];

proptest! {
    #[test]
    fn a_digest_that_passes_for_current_has_every_write(happenings in happenings()) {
        let mut world = World::in_memory(false);
        for happening in happenings {
            world.happen(happening);
            prop_assert!(world.holds());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn so_it_has_on_a_disk(happenings in happenings()) {
        let home = tempfile::tempdir().unwrap();
        let mut world = World::on_disk(home.path(), false);
        for happening in happenings {
            world.happen(happening);
            prop_assert!(world.holds());
        }
    }
}

#[test]
fn a_digest_of_what_nobody_has_written_since_is_current() {
    let home = tempfile::tempdir().unwrap();
    for mut world in [World::in_memory(false), World::on_disk(home.path(), false)] {
        for happening in [Happening::Write(0), Happening::Begin(0), Happening::Scan(0)] {
            world.happen(happening);
        }
        world.happen(Happening::Keep(0));
        world.happen(Happening::Write(1));
        world.happen(Happening::Remove);
        let (sequence, _) = world.slices[0].kept.clone().unwrap();
        assert!(world.mark(0) > 0 && world.mark(0) <= sequence, "it need not be read again");
        assert!(world.mark(1) > sequence);
    }
}

#[test]
fn marks_that_are_cleared_after_the_scan_are_found_out() {
    let home = tempfile::tempdir().unwrap();
    for mut world in [World::in_memory(true), World::on_disk(home.path(), true)] {
        for happening in RACE {
            world.happen(happening);
        }
        assert!(!world.holds(), "the checker can fail");
    }
    let mut world = World::in_memory(false);
    for happening in RACE {
        world.happen(happening);
    }
    assert!(world.holds());
}

#[test]
fn a_mark_is_there_before_the_write_is_answered_whatever_became_of_it() {
    let disk = MemoryDisk::new();
    let mut world = World::new(open_in_memory(&disk, &mut || 1).unwrap(), false);
    let sequence = world.engine.sequence();
    disk.set_room(Room::ReserveOnly);
    assert!(world.committer.run(Write { key: key(LIFE, 0), number: 1 }).is_err());
    assert_eq!(world.mark(0), 0, "it was refused before anything was tried");
    disk.set_room(Room::Ample);
    world.write(LIFE, 0);
    assert!(world.mark(0) > sequence);
    let before = world.mark(0);
    disk.set_syncs_fail(true);
    assert!(world.committer.run(Write { key: key(LIFE, 0), number: 2 }).is_err());
    assert!(world.mark(0) > before, "it may be there");
}

#[test]
fn the_newest_mark_of_some_slices_is_that_of_none_beside_them() {
    let marks = Marks::default();
    let slice = |number: u64| Slice::of_place(number << 50);
    let batch = |number: u64| {
        let mut batch = Batch::default();
        let token = *slice(number).tokens().start();
        batch.put(Family::Rows, RowKey::new(LIFE, token, b"k", b""), "row");
        batch.put(Family::Rows, &b"no key"[..], "row");
        batch
    };
    for (number, sequence) in [(0, 10), (63, 20), (64, 30), (200, 40), (16_383, 50)] {
        marks.raise(&batch(number), sequence);
        marks.raise(&batch(number), sequence - 1);
    }
    let newest = |from, to| marks.newest(LIFE, slice(from)..=slice(to));
    assert_eq!([newest(0, 0), newest(0, 62), newest(0, 63), newest(1, 62)], [10, 10, 20, 0]);
    assert_eq!(
        [newest(63, 64), newest(65, 199), newest(64, 200), newest(1, 16_383)],
        [30, 0, 40, 50]
    );
    assert_eq!(marks.newest(ENDED, slice(0)..=slice(16_383)), 0);
    marks.retain(|life| life != LIFE);
    assert_eq!(newest(0, 16_383), 0);
}
