//! One row in a random network: three replicas, a stand-in for each, and clients that read
//! anywhere and write through whoever is up.
//!
//! Each write knows the writes that its client had read. In the end all copies are merged, and
//! every acknowledged write must be there, or have been replaced or removed by somebody who had
//! read it. On the way no copy may claim to have seen a write, and still show what that write
//! replaced or removed: it would answer a client with what the client itself has deleted. What may
//! go wrong is a [`Setting`]; how a place keeps its row, and by which rule it names its writes, is
//! its own affair.
//!
//! Sources of the faults: Riak issue 679 and its successors; sloppy quorums of Dynamo §4.6.

use std::ops::Range;

use super::random::Random;
use super::version::{
    Change, Column, Columns, Expiry, SiblingLimits, Siblings, VersionVector, Write,
};

/// Places 0 to 2 are the replicas, 3 to 5 the stand-ins of each.
pub(crate) const PLACES: usize = 6;
const REPLICAS: usize = 3;

/// One copy of the row, and the store that it lies in.
pub(crate) trait Place {
    /// Its copy.
    fn row(&self) -> Option<Siblings>;

    /// Carries out a client's write; answers the row that results.
    fn stamp(&mut self, write: Write) -> Siblings;

    /// Takes in another copy.
    fn apply(&mut self, row: &Siblings);

    /// Has this copy from now on, without noticing.
    fn fall_back(&mut self, row: Option<Siblings>);

    /// Takes a new store id.
    fn renew(&mut self);
}

/// What a place loses, once in a run.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Loss {
    Nothing,
    /// Its copy of the row, without noticing.
    Row,
    /// Its copy of the row, and takes a new store id.
    RowNoticed,
    /// The last one or two updates of its copy, without noticing.
    Updates,
    /// The last one or two updates of its copy, and takes a new store id.
    UpdatesNoticed,
}

/// What may happen in a run.
#[expect(clippy::struct_excessive_bools, reason = "faults are independent of one another")]
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) loss: Loss,
    /// Two writes of five remove the row.
    pub(crate) removes: bool,
    /// A tombstone that all replicas hold alike is purged when no stand-in holds the row.
    pub(crate) purges: bool,
    /// One message of eight arrives later, after others.
    pub(crate) delays: bool,
    /// A stand-in keeps its store id when it has handed its row over and dropped it.
    pub(crate) keeps_ids: bool,
    pub(crate) steps: usize,
}

/// Nothing fails.
pub(crate) const CALM: Setting = Setting {
    loss: Loss::Nothing,
    removes: false,
    purges: false,
    delays: false,
    keeps_ids: false,
    steps: 25,
};

/// A set of writes by their numbers, which are below 64.
pub(crate) type Writes = u64;

struct Network<'p, P> {
    random: Random,
    setting: Setting,
    places: &'p mut [P; PLACES],
    /// What each copy was before each of its updates, when updates can be lost.
    earlier: [Vec<Option<Siblings>>; PLACES],
    delayed: Vec<(usize, Siblings)>,
    /// For each write, what its client had read.
    pasts: Vec<Writes>,
    /// For each write, what its client has seen from then on.
    contexts: Vec<VersionVector>,
    removals: Writes,
    acknowledged: Writes,
    overlooked: Writes,
    has_lost: bool,
}

/// What went wrong.
#[derive(Debug, PartialEq, Default)]
pub(crate) struct Verdict {
    /// Acknowledged writes that are gone though nobody replaced or removed them.
    pub(crate) lost: Writes,
    /// Writes that live though an acknowledged removal had read them.
    pub(crate) risen: Writes,
    /// Writes that a copy claimed to have seen, while it showed what their clients had read.
    pub(crate) overlooked: Writes,
}

/// Lets a network run from the start, at places that hold no row.
pub(crate) fn run<P: Place>(seed: u64, setting: Setting, places: &mut [P; PLACES]) -> Verdict {
    Network::run(seed, setting, places)
}

impl<'p, P: Place> Network<'p, P> {
    fn run(seed: u64, setting: Setting, places: &'p mut [P; PLACES]) -> Verdict {
        let mut network = Self {
            random: Random::new(seed),
            setting,
            places,
            earlier: Default::default(),
            delayed: Vec::new(),
            pasts: Vec::new(),
            contexts: Vec::new(),
            removals: 0,
            acknowledged: 0,
            overlooked: 0,
            has_lost: setting.loss == Loss::Nothing,
        };
        for _ in 0..setting.steps {
            network.step();
        }
        network.settle();
        network.verdict()
    }

    fn step(&mut self) {
        self.deliver_some();
        match self.random.below(100) {
            0..50 => self.write(),
            50..62 => {
                let replica = self.random.below(REPLICAS);
                self.hand_over(replica);
            }
            62..74 => self.repair(),
            74..80 if !self.has_lost => self.lose(),
            80..97 if self.setting.purges => self.purge(),
            _ => {}
        }
    }

    fn write(&mut self) {
        let is_removal = self.setting.removes && self.random.in_100(40);
        let read = self.read();
        let number = self.pasts.len();
        self.pasts.push(self.past_of(&read));
        self.removals |= Writes::from(is_removal) << number;
        let takers = self.takers();
        let first = takers.iter().copied().find(|&place| place < REPLICAS).unwrap_or(takers[0]);
        let write = Write {
            context: read.vector().clone(),
            change: if is_removal { Change::Remove } else { insert(number) },
            now: 0,
            write_time: 0,
            limits: SiblingLimits { warn: usize::MAX, max: usize::MAX },
        };
        self.remember(first);
        let row = self.places[first].stamp(write);
        self.contexts.push(row.vector().clone());
        if row.is_unwritten() {
            return; // The removal of a row that nobody ever wrote.
        }
        let mut acknowledgements = 1;
        for taker in takers.into_iter().filter(|&taker| taker != first) {
            if self.random.in_100(75) && self.send(taker, &row) {
                acknowledgements += 1;
            }
        }
        if acknowledgements >= 2 {
            self.acknowledged |= 1 << number;
        }
    }

    /// What a client has read before it writes: nothing, or one or two copies.
    fn read(&mut self) -> Siblings {
        let mut read = Siblings::default();
        if self.random.in_100(70) {
            let one = self.random.below(PLACES);
            let other = (one + 1 + self.random.below(PLACES - 1)) % PLACES;
            let is_pair = self.random.below(3) > 0;
            for place in [Some(one), is_pair.then_some(other)].into_iter().flatten() {
                if let Some(row) = self.places[place].row() {
                    self.overlooked |= self.overlooked_in(&row);
                    read.merge(&row);
                }
            }
        }
        read
    }

    /// The writes that a row claims to have seen, though it shows what their clients had read.
    fn overlooked_in(&self, row: &Siblings) -> Writes {
        let living = living(row);
        let writes = self.pasts.iter().zip(&self.contexts).enumerate();
        let overlooked = writes
            .filter(|(_, (past, context))| **past & living != 0 && row.vector().includes(context));
        overlooked.fold(0, |writes, (number, _)| writes | 1 << number)
    }

    /// The writes that a row shows, and all that their clients had read.
    fn past_of(&self, row: &Siblings) -> Writes {
        let living = living(row);
        members(living).fold(living, |past, write| past | self.pasts[write])
    }

    /// A replica or its stand-in for each of the three, in any order.
    fn takers(&mut self) -> Vec<usize> {
        let mut takers: Vec<usize> = (0..REPLICAS)
            .map(|replica| if self.random.in_100(70) { replica } else { replica + REPLICAS })
            .collect();
        for last in (1..takers.len()).rev() {
            takers.swap(last, self.random.below(last + 1));
        }
        takers
    }

    /// Sends a row; answers whether it arrived at once.
    fn send(&mut self, to: usize, row: &Siblings) -> bool {
        if self.setting.delays && self.random.in_100(12) {
            self.delayed.push((to, row.clone()));
            return false;
        }
        self.receive(to, row);
        true
    }

    fn receive(&mut self, at: usize, row: &Siblings) {
        self.remember(at);
        self.places[at].apply(row);
    }

    fn remember(&mut self, at: usize) {
        if matches!(self.setting.loss, Loss::Updates | Loss::UpdatesNoticed) {
            let row = self.places[at].row();
            if self.earlier[at].last() != Some(&row) {
                self.earlier[at].push(row);
            }
        }
    }

    fn deliver_some(&mut self) {
        for (to, row) in std::mem::take(&mut self.delayed) {
            if self.random.in_100(25) {
                self.receive(to, &row);
            } else {
                self.delayed.push((to, row));
            }
        }
    }

    /// A stand-in gives its row to the replica and drops it.
    fn hand_over(&mut self, replica: usize) {
        if let Some(row) = self.places[replica + REPLICAS].row() {
            self.receive(replica, &row);
            self.places[replica + REPLICAS].fall_back(None);
            if !self.setting.keeps_ids {
                self.places[replica + REPLICAS].renew();
            }
        }
    }

    /// Two replicas take in each other's rows.
    fn repair(&mut self) {
        let one = self.random.below(REPLICAS);
        let other = (one + 1 + self.random.below(REPLICAS - 1)) % REPLICAS;
        let mut merged = Siblings::default();
        for place in [one, other] {
            if let Some(row) = self.places[place].row() {
                merged.merge(&row);
            }
        }
        for place in [one, other] {
            if !merged.is_unwritten() && self.places[place].row().as_ref() != Some(&merged) {
                self.send(place, &merged);
            }
        }
    }

    fn lose(&mut self) {
        let at = self.random.below(PLACES);
        let back = 1 + self.random.below(2);
        let Some(row) = self.places[at].row() else { return };
        let fallen_back = match self.setting.loss {
            Loss::Nothing => Some(row),
            Loss::Row | Loss::RowNoticed => None,
            Loss::Updates | Loss::UpdatesNoticed => {
                let earlier = &self.earlier[at];
                let Some(kept) = earlier.len().checked_sub(back) else { return };
                earlier[kept].clone()
            }
        };
        self.places[at].fall_back(fallen_back);
        self.has_lost = true;
        if matches!(self.setting.loss, Loss::RowNoticed | Loss::UpdatesNoticed) {
            self.places[at].renew();
        }
    }

    fn purge(&mut self) {
        let (replicas, stand_ins) = self.places.split_at_mut(REPLICAS);
        let row = replicas[0].row();
        let is_tombstone = row.as_ref().is_some_and(Siblings::is_tombstone);
        let is_everywhere = replicas.iter().all(|replica| replica.row() == row);
        if is_tombstone && is_everywhere && stand_ins.iter().all(|place| place.row().is_none()) {
            for replica in replicas {
                replica.fall_back(None);
            }
        }
    }

    fn settle(&mut self) {
        for (to, row) in std::mem::take(&mut self.delayed) {
            self.receive(to, &row);
        }
        (0..REPLICAS).for_each(|replica| self.hand_over(replica));
    }

    fn verdict(&self) -> Verdict {
        let mut merged = Siblings::default();
        for row in self.places.iter().filter_map(Place::row) {
            merged.merge(&row);
        }
        let had_read = |writes: Writes| members(writes).fold(0, |past, w| past | self.pasts[w]);
        let accounted = self.past_of(&merged) | self.removals | had_read(self.removals);
        Verdict {
            lost: self.acknowledged & !accounted,
            risen: living(&merged) & had_read(self.removals & self.acknowledged),
            overlooked: self.overlooked,
        }
    }
}

/// A version that says which write it is.
fn insert(number: usize) -> Change {
    let value = [u8::try_from(number).expect("a run has few writes")];
    let column = Column { id: 0, value: &value, expiry: Expiry::Never };
    Change::Insert { columns: Columns::from_iter([column]), marker: Expiry::Never }
}

/// The writes that live in a row.
fn living(row: &Siblings) -> Writes {
    let number = |columns: &Columns| columns.iter().next().map_or(0, |column| column.value[0]);
    row.versions().iter().fold(0, |writes, version| writes | 1 << number(&version.columns))
}

fn members(writes: Writes) -> impl Iterator<Item = usize> {
    (0..64).filter(move |number| writes >> number & 1 == 1)
}

/// The first seed at which something goes wrong, and what; `places` gives each run its own.
pub(crate) fn first_failure<P: Place>(
    seeds: Range<u64>,
    setting: Setting,
    mut places: impl FnMut() -> [P; PLACES],
) -> Option<(u64, Verdict)> {
    let mut verdicts = seeds.map(|seed| (seed, run(seed, setting, &mut places())));
    verdicts.find(|(_, verdict)| *verdict != Verdict::default())
}
