//! The laws of one scan, and whole scans over replicas of which one is stale and one is dead.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use proptest::prelude::*;
use repair::cells::{Expiry, Ranges, Row, WriteStamp};
use repair::version::{Actor, Columns, Dot, Siblings, Version};
use ring::{Node, StoreId, Strategy as Replication, Tally};
use types::Consistency;
use uuid::Uuid;

use super::*;
use crate::coord::gather::Gather;
use crate::coord::page::merge_pages;
use crate::metadata::Conflict;
use crate::replica::ReplicaPage;
use crate::store::engine::Order;
use crate::store::keys::PartitionPrefix;

const LIFE: TableLife = TableLife { table: 7, epoch: 2 };
const PARTITIONS: usize = 8;

fn host(number: usize) -> HostId {
    HostId(Uuid::from_u128(number as u128 + 1))
}

/// A ring of so many nodes, which own its partitions in turn.
fn ring(nodes: usize) -> Ring {
    let node = |number| Node {
        host: host(number),
        datacenter: "dc".to_owned(),
        rack: format!("r{number}"),
    };
    let owners = (0..PARTITIONS).map(|partition| host(partition % nodes)).collect();
    Ring::new(1, (0..nodes).map(node).collect(), owners).unwrap()
}

fn placement(ring: &Ring) -> Placement {
    Placement::new(ring, Replication::Simple { replication_factor: 3 })
}

fn everything() -> (RangeInclusive<Token>, KeyRange) {
    (Token::MIN..=Token::MAX, LIFE.range())
}

fn pieces(count: i64) -> Vec<Piece> {
    let piece = |number: i64| {
        let tokens = Token::new(number)..=Token::new(number);
        let range = LIFE.range_of_tokens(&tokens);
        Piece { tokens, range }
    };
    (0..count).map(piece).collect()
}

fn key(piece: i64, row: &[u8]) -> Bytes {
    PartitionPrefix::new(LIFE, Token::new(piece), b"p").row(row).into()
}

fn page(keys: &[Bytes], resume_after: Option<&Bytes>) -> MergedPage {
    let rows = keys.iter().map(|key| (key.clone(), RowCopy::Cells(Row::default()))).collect();
    MergedPage { rows, resume_after: resume_after.cloned() }
}

fn ask(piece: usize, rows_max: u32) -> ScanStep {
    ScanStep::Ask { piece, rows_max }
}

#[test]
fn neighbours_with_the_same_replicas_are_one_piece() {
    let (tokens, range) = everything();
    let three = ring(3);
    let joined = cut(LIFE, &three, &placement(&three), &tokens, &range);
    assert_eq!(joined.len(), 1);
    assert_eq!(joined[0].tokens, tokens);
    let five = ring(5);
    let placement = placement(&five);
    let pieces = cut(LIFE, &five, &placement, &tokens, &range);
    let replicas_at = |token| -> BTreeSet<HostId> {
        placement.replicas(five.partition_of(token)).iter().copied().collect()
    };
    let mut next = Some(Token::MIN);
    for piece in &pieces {
        assert_eq!(next, Some(*piece.tokens.start()), "pieces leave nothing out");
        assert_eq!(replicas_at(*piece.tokens.start()), replicas_at(*piece.tokens.end()));
        next = piece.tokens.end().value().checked_add(1).map(Token::new);
        let is_joined = next.map(replicas_at) != Some(replicas_at(*piece.tokens.end()));
        assert!(is_joined, "{piece:?} goes on");
    }
    assert_eq!(next, None);
}

#[test]
fn a_piece_holds_only_what_is_asked_for() {
    let five = ring(5);
    let first = five.end_of(five.partition_of(Token::MIN));
    let tokens = Token::new(first.value() - 1)..=Token::new(first.value() + 1);
    let range = LIFE.range_of_tokens(&(first..=Token::MAX));
    let cut = cut(LIFE, &five, &placement(&five), &tokens, &range);
    let [own, next] = &cut[..] else { panic!("{cut:?}") };
    assert_eq!(own.range, LIFE.range_of_tokens(&(first..=first)));
    assert_eq!(next.tokens, *tokens.end()..=*tokens.end());
}

#[test]
fn more_pieces_are_asked_at_once_while_they_hold_few_rows() {
    let (mut op, first) = ScanOp::begin(pieces(40), 10);
    assert_eq!(first[..], [ask(0, 10)]);
    assert_eq!(op.on_page(0, Ok(page(&[], None)))[..], [ask(1, 10), ask(2, 10)]);
    let one = page(&[key(1, b"a")], None);
    assert_eq!(op.on_page(1, Ok(one))[..], [ask(3, 9), ask(4, 9), ask(5, 9)]);
    for piece in 2..20 {
        let steps = op.on_page(piece, Ok(page(&[], None)));
        assert!(op.begun - op.front <= WIDTH_MAX, "{steps:?}");
    }
}

#[test]
fn pieces_that_answer_out_of_turn_are_joined_in_turn() {
    let (mut op, _) = ScanOp::begin(pieces(3), 10);
    op.on_page(0, Ok(page(&[], None)));
    let keys = [key(1, b"a"), key(2, b"a")];
    assert!(op.on_page(2, Ok(page(&keys[1..], None))).is_empty());
    let whole = page(&keys, None);
    assert_eq!(op.on_page(1, Ok(page(&keys[..1], None)))[..], [ScanStep::Answer(Ok(whole))]);
}

#[test]
fn of_a_piece_that_has_more_rows_the_rest_is_asked_for() {
    let (mut op, _) = ScanOp::begin(pieces(1), 3);
    let keys = [b"a", b"b", b"c"].map(|row| key(0, row));
    let begun = page(&keys[..2], Some(&keys[1]));
    assert_eq!(op.on_page(0, Ok(begun))[..], [ask(0, 1)]);
    assert!(!op.piece(0).range.contains(&keys[1]) && op.piece(0).range.contains(&keys[2]));
    let done = ScanStep::Answer(Ok(page(&keys, Some(&keys[2]))));
    assert_eq!(op.on_page(0, Ok(page(&keys[2..], Some(&keys[2]))))[..], [done]);
}

#[test]
fn a_piece_that_fails_is_missed_only_when_its_turn_comes() {
    let failure = ReadError::Timeout { level: Consistency::Quorum, received: 1, required: 2 };
    let begun = || {
        let (mut op, _) = ScanOp::begin(pieces(3), 2);
        op.on_page(0, Ok(page(&[], None)));
        assert!(op.on_page(2, Err(failure.clone())).is_empty());
        op
    };
    let full = [key(1, b"a"), key(1, b"b")];
    let enough = page(&full, Some(&full[1]));
    assert_eq!(begun().on_page(1, Ok(page(&full, None)))[..], [ScanStep::Answer(Ok(enough))]);
    let steps = begun().on_page(1, Ok(page(&full[..1], None)));
    assert_eq!(steps[..], [ScanStep::Answer(Err(failure.clone()))]);
}

#[test]
fn a_late_scan_answers_with_what_it_has_as_soon_as_that_is_anything() {
    let (mut op, _) = ScanOp::begin(pieces(3), 10);
    assert!(op.on_late().is_empty());
    op.on_page(0, Ok(page(&[], None)));
    let keys = [key(1, b"a")];
    let some = ScanStep::Answer(Ok(page(&keys, Some(&keys[0]))));
    assert_eq!(op.on_page(1, Ok(page(&keys, None)))[..], [some]);
    assert!(op.on_page(2, Ok(page(&[], None))).is_empty());
}

#[test]
fn a_scan_of_nothing_is_answered_at_once() {
    let empty = Ok(MergedPage::default());
    assert_eq!(ScanOp::begin(Vec::new(), 5).1[..], [ScanStep::Answer(empty)]);
}

/// What happens to the rows of some partitions, in this order and each a microsecond later.
#[derive(Debug, Clone, Copy)]
enum Event {
    Insert {
        partition: usize,
        row: u8,
    },
    Delete {
        partition: usize,
        row: u8,
    },
    /// Of the rows from the first up to, but without, the second; none: to the partition's end.
    DeleteRange {
        partition: usize,
        from: u8,
        to: Option<u8>,
    },
}

/// Everything, and how it is read.
#[derive(Debug, Clone)]
struct World {
    nodes: usize,
    conflict: Conflict,
    /// With whether the stale node has heard of it.
    events: Vec<(Event, bool)>,
    dead: usize,
    stale: usize,
    rows_max: u32,
    /// A replica's page ends after at most so many rows, as if they were long.
    page_max: usize,
    /// Decides in which order answers come.
    turns: Vec<usize>,
}

const ROWS: u8 = 6;
const KEYS: usize = 12;

fn partition(number: usize) -> PartitionPrefix {
    let key = [number.try_into().unwrap()];
    PartitionPrefix::new(LIFE, Token::of_key(&key), &key)
}

fn worlds() -> impl Strategy<Value = World> {
    let place = || (0..KEYS, 0..ROWS);
    let event = prop_oneof![
        4 => place().prop_map(|(partition, row)| Event::Insert { partition, row }),
        1 => place().prop_map(|(partition, row)| Event::Delete { partition, row }),
        1 => (place(), prop::option::of(0..=ROWS)).prop_map(|((partition, from), to)| {
            Event::DeleteRange { partition, from, to }
        }),
    ];
    let conflict = prop_oneof![Just(Conflict::Siblings), Just(Conflict::Lww)];
    (
        (3..6_usize, conflict),
        prop::collection::vec((event, any::<bool>()), 0..80),
        (0..5_usize, 0..5_usize),
        (1..20_u32, 1..8_usize),
        prop::collection::vec(any::<usize>(), 1..9),
    )
        .prop_filter("the stale node is not dead", |(_, _, (dead, stale), _, _)| dead != stale)
        .prop_map(|((nodes, conflict), events, (dead, stale), (rows_max, page_max), turns)| {
            World { nodes, conflict, events, dead, stale, rows_max, page_max, turns }
        })
}

/// One node's copies.
#[derive(Default)]
struct Copies {
    rows: BTreeMap<Bytes, RowCopy>,
    heads: BTreeMap<Bytes, Ranges>,
}

impl Copies {
    fn take(&mut self, event: &Event, time: i64, conflict: Conflict) {
        match (*event, conflict) {
            (Event::Insert { partition: at, row }, _) => {
                self.merge(at, row, &inserted(time, conflict));
            }
            (Event::Delete { partition: at, row }, _) => {
                self.merge(at, row, &deleted(time, conflict));
            }
            (Event::DeleteRange { partition: at, from, to }, Conflict::Lww) => {
                let ranges = self.heads.entry(partition(at).as_bytes().clone()).or_default();
                let bound = |row: u8| Bytes::copy_from_slice(&[row]);
                ranges.cover(bound(from), to.map(bound), time);
            }
            // On a siblings table each row that is there is removed.
            (Event::DeleteRange { partition: at, from, to }, Conflict::Siblings) => {
                for row in from..to.unwrap_or(ROWS) {
                    self.merge(at, row, &deleted(time, conflict));
                }
            }
        }
    }

    fn merge(&mut self, at: usize, row: u8, other: &RowCopy) {
        let key = Bytes::from(partition(at).row(&[row]));
        let conflict = match other {
            RowCopy::Cells(_) => Conflict::Lww,
            RowCopy::Siblings(_) => Conflict::Siblings,
        };
        self.rows.entry(key).or_insert_with(|| RowCopy::new(conflict)).merge(other);
    }

    fn page(&self, range: &KeyRange, rows_max: usize) -> ReplicaPage {
        let inside: Vec<_> = self.rows.iter().filter(|(key, _)| range.contains(key)).collect();
        let taken = inside.iter().take(rows_max);
        let rows: Vec<_> =
            taken.map(|(key, row)| (Bytes::clone(key), RowCopy::clone(row))).collect();
        let has_more = inside.len() > rows.len();
        let last = rows.last().map(|(key, _)| key.clone()).filter(|_| has_more);
        let is_touched = |prefix: &Bytes| {
            let rows = KeyRange::prefix(prefix.clone());
            let begins = last.as_ref().is_none_or(|last| prefix <= last);
            begins && !range.within(&rows).is_empty()
        };
        let heads = self.heads.iter().filter(|(prefix, _)| is_touched(prefix));
        let heads = heads.map(|(prefix, ranges)| (prefix.clone(), ranges.clone())).collect();
        ReplicaPage { heads, rows, has_more }
    }
}

fn dot(time: i64) -> Dot {
    let actor = Actor { store: StoreId(1), epoch: 1 };
    Dot { actor, counter: NonZeroU64::new(time.unsigned_abs()).unwrap() }
}

fn inserted(time: i64, conflict: Conflict) -> RowCopy {
    if conflict == Conflict::Lww {
        let mut row = Row::default();
        row.mark(WriteStamp { timestamp: time, operation: 0 }, Expiry::Never);
        return RowCopy::Cells(row);
    }
    let version = Version {
        dot: dot(time),
        write_time: time,
        marker: Some(Expiry::Never),
        columns: Columns::default(),
    };
    let seen = [dot(time)].into_iter().collect();
    RowCopy::Siblings(Siblings::from_parts(seen, vec![version], 0).unwrap())
}

fn deleted(time: i64, conflict: Conflict) -> RowCopy {
    if conflict == Conflict::Lww {
        let mut row = Row::default();
        row.delete(time);
        return RowCopy::Cells(row);
    }
    let seen = [dot(time)].into_iter().collect();
    RowCopy::Siblings(Siblings::from_parts(seen, Vec::new(), time).unwrap())
}

fn is_living(row: &RowCopy) -> bool {
    match row {
        RowCopy::Cells(row) => row.is_living(0),
        RowCopy::Siblings(row) => !row.versions().is_empty(),
    }
}

impl World {
    /// The nodes' copies: the stale node has heard of some events only, and all that it has not
    /// heard of is later than what it has of the same row.
    fn copies(&self) -> Vec<Copies> {
        let mut copies: Vec<Copies> = (0..self.nodes).map(|_| Copies::default()).collect();
        for (time, (event, is_heard)) in (1..).zip(&self.events) {
            for (node, copy) in copies.iter_mut().enumerate() {
                if node != self.stale || *is_heard {
                    copy.take(event, time, self.conflict);
                }
            }
        }
        copies
    }

    /// The keys of all rows that are there after all events, by a look at each alone.
    fn expected(&self) -> BTreeSet<Bytes> {
        let all = (0..KEYS).flat_map(|at| (0..ROWS).map(move |row| (at, row)));
        let lives = |(at, row): &(usize, u8)| {
            let concerns = |event: &&(Event, bool)| match event.0 {
                Event::Insert { partition, row: it } | Event::Delete { partition, row: it } => {
                    (partition, it) == (*at, *row)
                }
                Event::DeleteRange { partition, from, to } => {
                    partition == *at && from <= *row && to.is_none_or(|to| *row < to)
                }
            };
            let last = self.events.iter().rfind(concerns);
            matches!(last, Some((Event::Insert { .. }, _)))
        };
        all.filter(lives).map(|(at, row)| partition(at).row(&[row]).into()).collect()
    }

    fn turn(&self, at: usize, among: usize) -> usize {
        self.turns[at % self.turns.len()] % among
    }

    /// One piece, read at QUORUM from its replicas; the dead one is found out when it is asked.
    fn read(
        &self,
        ring: &Ring,
        copies: &[Copies],
        piece: &Piece,
        rows_max: u32,
    ) -> Result<MergedPage, ReadError> {
        let placement = placement(ring);
        let partition = ring.partition_of(*piece.tokens.start());
        let strategy = placement.strategy();
        let tally = Tally::new(Consistency::Quorum, strategy, "dc", placement.located(partition));
        let (mut gather, first) = Gather::begin(placement.replicas(partition), tally);
        let mut asked: Vec<HostId> = first.to_vec();
        let mut pages = Vec::new();
        while !gather.is_met() {
            let Some(of) = asked.pop() else { return Err(gather.timeout()) };
            if of == host(self.dead) {
                asked.extend(gather.on_failed(of));
                continue;
            }
            let number = (0..self.nodes).find(|number| host(*number) == of).unwrap();
            pages.push(copies[number].page(&piece.range, self.page_max.min(rows_max as usize)));
            gather.on_answer(of);
        }
        Ok(merge_pages(pages, Order::Forward))
    }

    /// One page of the scan.
    fn scan(&self, ring: &Ring, copies: &[Copies], range: &KeyRange) -> MergedPage {
        let (tokens, _) = everything();
        let pieces = cut(LIFE, ring, &placement(ring), &tokens, range);
        let (mut op, mut steps) = ScanOp::begin(pieces, self.rows_max);
        let mut asked = Vec::new();
        for round in 0.. {
            for step in steps {
                match step {
                    ScanStep::Ask { piece, rows_max } => asked.push((piece, rows_max)),
                    ScanStep::Answer(outcome) => return outcome.expect("two replicas answer"),
                }
            }
            let (number, rows_max) = asked.swap_remove(self.turn(round, asked.len()));
            let page = self.read(ring, copies, op.piece(number), rows_max);
            steps = op.on_page(number, page);
        }
        unreachable!("every scan is answered")
    }
}

proptest! {
    #[test]
    fn a_scan_shows_exactly_the_merged_rows_with_one_replica_stale_and_one_dead(world in worlds()) {
        let (ring, copies) = (ring(world.nodes), world.copies());
        let (_, mut range) = everything();
        let mut shown = Vec::new();
        loop {
            let page = world.scan(&ring, &copies, &range);
            prop_assert!(page.rows.iter().all(|(key, _)| range.contains(key)));
            let living = page.rows.iter().filter(|(_, row)| is_living(row));
            shown.extend(living.map(|(key, _)| key.clone()));
            let Some(last) = page.resume_after else { break };
            prop_assert!(page.rows.len() >= world.rows_max as usize);
            prop_assert!(range.contains(&last));
            range = range.after(&last);
        }
        let expected: Vec<Bytes> = world.expected().into_iter().collect();
        prop_assert_eq!(shown, expected);
    }
}
