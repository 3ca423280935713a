//! What all clients of a run share: how far it has come, and what was promised to whom.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tests::promise::Fate;
use tests::promise::echoes::EchoRow;
use tests::promise::latest::LatestRow;
use tests::promise::siblings::SiblingRow;
use tokio::time::sleep;

use crate::record::Record;
use crate::tables::Table;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The cluster forms, and the tables are made.
    Preparing,
    /// Clients work while things fail.
    Working,
    /// All is whole again, and what was promised is looked for.
    Checking,
}

/// A row of a table, by its key.
pub(crate) type RowId = (Table, usize);

/// What all clients share.
pub(crate) struct Ledger {
    pub(crate) stage: Cell<Stage>,
    /// How many clients are done with their work.
    pub(crate) done: Cell<u8>,
    pub(crate) acknowledged: Cell<u32>,
    pub(crate) statements: Cell<u32>,
    pub(crate) wrong: RefCell<Vec<String>>,
    siblings: RefCell<BTreeMap<RowId, SiblingRow>>,
    latest: RefCell<BTreeMap<RowId, LatestRow>>,
    echoes: RefCell<BTreeMap<RowId, EchoRow>>,
    /// What became of tables that were made while things fail, by name.
    pub(crate) definitions: RefCell<BTreeMap<String, Fate>>,
    /// Rows of which a replica has silently lost its copy: a quorum of the others may have missed
    /// what it knew, so until the run is over reads are not held to what was acknowledged.
    weakened: RefCell<BTreeSet<RowId>>,
    record: Record,
}

impl Ledger {
    pub(crate) fn new(record: Record) -> Rc<Self> {
        Rc::new(Self {
            stage: Cell::new(Stage::Preparing),
            done: Cell::default(),
            acknowledged: Cell::default(),
            statements: Cell::default(),
            wrong: RefCell::default(),
            siblings: RefCell::default(),
            latest: RefCell::default(),
            echoes: RefCell::default(),
            definitions: RefCell::default(),
            weakened: RefCell::default(),
            record,
        })
    }

    /// Waits until the run has come so far.
    pub(crate) async fn reach(&self, stage: Stage) {
        while self.stage.get() < stage {
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn sibling<T>(&self, row: RowId, act: impl FnOnce(&mut SiblingRow) -> T) -> T {
        act(self.siblings.borrow_mut().entry(row).or_default())
    }

    pub(crate) fn latest<T>(&self, row: RowId, act: impl FnOnce(&mut LatestRow) -> T) -> T {
        act(self.latest.borrow_mut().entry(row).or_default())
    }

    pub(crate) fn echo<T>(&self, row: RowId, act: impl FnOnce(&mut EchoRow) -> T) -> T {
        act(self.echoes.borrow_mut().entry(row).or_default())
    }

    /// Notes that a replica has lost its copy of a row.
    pub(crate) fn weaken(&self, row: RowId) {
        self.weakened.borrow_mut().insert(row);
    }

    /// Whether a read of the row must show what was acknowledged before it began.
    pub(crate) fn is_held_to(&self, row: RowId) -> bool {
        row.0.is_strict() && !self.weakened.borrow().contains(&row)
    }

    /// Whether a replica has lost its copy of the row before.
    pub(crate) fn is_weakened(&self, row: RowId) -> bool {
        self.weakened.borrow().contains(&row)
    }

    /// Notes a promise that was not kept.
    pub(crate) fn wrong(&self, row: RowId, wrong: impl fmt::Display) {
        self.is_wrong(format!("{} {}: {wrong}", row.0.name(), row.1));
    }

    /// Notes something else that should not be.
    pub(crate) fn is_wrong(&self, wrong: String) {
        self.record.note(format_args!("wrong {wrong}"));
        self.wrong.borrow_mut().push(wrong);
    }
}
