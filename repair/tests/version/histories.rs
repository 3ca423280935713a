//! Rows against full histories.
//!
//! The oracle keeps for every write and removal the whole set of events that its client had
//! seen, and for every copy the whole set of events that reached it. A write lives in a copy when
//! no event there had seen it. A copy includes another when all events that reached the one have
//! reached the other, removals too. Rows must say the same with a vector and a few dots.

use std::collections::BTreeSet;

use proptest::prelude::*;
use ring::StoreId;
use starling_repair::version::{
    Change, Column, ColumnChange, Columns, EpochSource, Expiry, Minter, SafeRule, SiblingLimits,
    Siblings, StampError, Write, apply, stamp,
};

const PLACES: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Insert,
    Update,
    Remove,
}

#[derive(Debug, Clone)]
enum Act {
    /// A client reads these places, all or none of them, and writes at one.
    Write { kind: Kind, at: usize, read: Vec<usize> },
    /// A place sends its row to another; the message is kept and may arrive again.
    Send { from: usize, to: usize },
    /// An old message arrives at a place, perhaps once more.
    Repeat { message: prop::sample::Index, to: usize },
}

/// What happened, by full enumeration.
#[derive(Default)]
struct Oracle {
    /// For each event all events that its client had seen.
    pasts: Vec<BTreeSet<usize>>,
    /// The events that are no removals.
    writes: BTreeSet<usize>,
    /// For each place all events that reached it.
    seen: [BTreeSet<usize>; PLACES],
}

impl Oracle {
    fn living(&self, seen: &BTreeSet<usize>) -> BTreeSet<usize> {
        let is_seen_by_another =
            |event: &usize| seen.iter().any(|e| self.pasts[*e].contains(event));
        let writes = seen.intersection(&self.writes).copied();
        writes.filter(|event| !is_seen_by_another(event)).collect()
    }

    /// Whether a removal by somebody who had seen `past` is an event: it removes or brings something.
    fn is_felt(&self, at: usize, past: &BTreeSet<usize>) -> bool {
        !past.is_subset(&self.seen[at]) || !self.living(&self.seen[at]).is_disjoint(past)
    }

    fn happen(&mut self, at: usize, past: &BTreeSet<usize>, is_write: bool) {
        let event = self.pasts.len();
        self.pasts.push(past.clone());
        if is_write {
            self.writes.insert(event);
        }
        self.seen[at].extend(past);
        self.seen[at].insert(event);
    }
}

struct Epochs(u64);

impl EpochSource for Epochs {
    fn next_epoch(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

struct Place {
    row: Option<Siblings>,
    minter: Minter<Epochs>,
}

impl Place {
    fn new(number: u128) -> Self {
        let minter = Minter { store: StoreId(number), epochs: Epochs(0), rule: SafeRule };
        Self { row: None, minter }
    }

    fn receive(&mut self, row: &Siblings) {
        let applied = apply(self.row.as_ref(), row, false, &mut self.minter);
        assert_eq!(applied.duplicate_dots, 0);
        self.row = Some(applied.row);
    }
}

/// The change that makes a version which says which event it is.
fn change(kind: Kind, event: usize) -> Change {
    let value = u32::try_from(event).expect("a small number").to_be_bytes();
    match kind {
        Kind::Insert => {
            let column = Column { id: 1, value: &value, expiry: Expiry::Never };
            Change::Insert { columns: Columns::from_iter([column]), marker: Expiry::Never }
        }
        Kind::Update => {
            let set = ColumnChange::Set { value: value.to_vec().into(), expiry: Expiry::Never };
            Change::Update([(1, set)].into())
        }
        Kind::Remove => Change::Remove,
    }
}

/// The events whose versions a row holds.
fn living(row: &Siblings) -> BTreeSet<usize> {
    let event = |columns: &Columns| {
        let value = columns.get(1, 0).map(|column| column.value.try_into());
        let value = value.expect("a column").expect("four bytes");
        usize::try_from(u32::from_be_bytes(value)).expect("a small number")
    };
    row.versions().iter().map(|version| event(&version.columns)).collect()
}

/// Copies of one row, and what the oracle says of each.
struct World {
    oracle: Oracle,
    places: Vec<Place>,
    messages: Vec<(Siblings, BTreeSet<usize>)>,
}

impl World {
    fn new() -> Self {
        let places = (1..).take(PLACES).map(Place::new).collect();
        Self { oracle: Oracle::default(), places, messages: Vec::new() }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Write { kind, at, read } => self.write(*kind, *at, read),
            Act::Send { from, to } => {
                let Some(row) = self.places[*from].row.clone() else { return };
                self.messages.push((row, self.oracle.seen[*from].clone()));
                self.deliver(self.messages.len() - 1, *to);
            }
            Act::Repeat { message, to } if !self.messages.is_empty() => {
                self.deliver(message.index(self.messages.len()), *to);
            }
            Act::Repeat { .. } => {}
        }
    }

    fn write(&mut self, kind: Kind, at: usize, read: &[usize]) {
        let (mut context, mut past) = (Siblings::default(), BTreeSet::new());
        for &place in read {
            if let Some(row) = &self.places[place].row {
                context.merge(row);
            }
            past.extend(&self.oracle.seen[place]);
        }
        assert_eq!(living(&context), self.oracle.living(&past));
        let write = Write {
            context: context.vector().clone(),
            change: change(kind, self.oracle.pasts.len()),
            now: 0,
            write_time: 0,
            limits: SiblingLimits { warn: usize::MAX, max: usize::MAX },
        };
        let place = &mut self.places[at];
        let lacks = !past.is_subset(&self.oracle.seen[at]);
        let is_write = !matches!(kind, Kind::Remove);
        match stamp(place.row.as_ref(), &write, &mut place.minter) {
            Ok(stamped) => {
                assert!(!(matches!(kind, Kind::Update) && lacks));
                let is_event = is_write || self.oracle.is_felt(at, &past);
                assert_eq!((stamped.changed, stamped.dot.is_some()), (is_event, is_event));
                if is_event {
                    place.row = Some(stamped.row);
                    self.oracle.happen(at, &past, is_write);
                }
            }
            Err(error) => {
                assert_eq!(error, StampError::MissingHistory);
                assert!(matches!(kind, Kind::Update) && lacks);
            }
        }
    }

    fn deliver(&mut self, message: usize, to: usize) {
        let (row, seen) = &self.messages[message];
        self.places[to].receive(row);
        self.oracle.seen[to].extend(seen);
    }

    /// Every copy holds what the oracle says, and knows of another whether it is ahead.
    fn check(&self) {
        let unwritten = Siblings::default();
        let row = |place: usize| self.places[place].row.as_ref().unwrap_or(&unwritten);
        for (one, seen) in self.oracle.seen.iter().enumerate() {
            assert_eq!(living(row(one)), self.oracle.living(seen));
            for (other, other_seen) in self.oracle.seen.iter().enumerate() {
                let includes = row(one).vector().includes(row(other).vector());
                assert_eq!(includes, other_seen.is_subset(seen));
            }
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    let kind = prop::sample::select(vec![Kind::Insert, Kind::Update, Kind::Remove]);
    let read = prop::collection::vec(0..PLACES, 0..3);
    prop_oneof![
        (kind, 0..PLACES, read).prop_map(|(kind, at, read)| Act::Write { kind, at, read }),
        (0..PLACES, 0..PLACES).prop_map(|(from, to)| Act::Send { from, to }),
        (any::<prop::sample::Index>(), 0..PLACES)
            .prop_map(|(message, to)| Act::Repeat { message, to }),
    ]
}

proptest! {
    #[test]
    fn rows_hold_exactly_what_nobody_has_replaced(acts in prop::collection::vec(act(), 0..60)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
            world.check();
        }
    }
}
