//! A store in memory, and the copies in it.

use std::sync::Arc;

use bytes::Bytes;
use repair::version::{self, ActorRule, SiblingLimits, Siblings, Stamped, VersionVector, Write};
use ring::{StoreId, Token};
use starling_server::replica::{
    Apply, ApplyFailure, Change, Incoming, Missed, ReplicaCounters, Stamp, StampFailure,
};
use starling_server::store::commit::{CommitError, Committer, Mutation, Promise, View};
use starling_server::store::engine::{Engine, Family};
use starling_server::store::keys::{RowKey, TableLife};
use starling_server::store::memory::MemoryDisk;
use starling_server::store::open_in_memory;

/// The key of a row by its number.
pub(crate) fn key(number: u64) -> RowKey {
    RowKey::new(TableLife { table: 1, epoch: 1 }, Token::new(0), &number.to_be_bytes(), &[])
}

/// A write by a client who has seen `context`, at no particular time.
pub(crate) fn write(context: &VersionVector, change: version::Change) -> Write {
    let context = context.clone();
    Write { context, change, now: 0, write_time: 0, limits: SiblingLimits::default() }
}

/// A store with its commit loop, which runs when it is asked to.
pub(crate) struct Store {
    pub(crate) disk: MemoryDisk,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) committer: Committer,
    pub(crate) counters: Arc<ReplicaCounters>,
    /// The last store id that was drawn.
    drawn: u128,
    /// When answers leave.
    promise: Promise,
}

impl Store {
    /// An empty store; stores of different numbers never have the same id.
    pub(crate) fn new(number: u128) -> Self {
        Self::promising(number, Promise::AfterSync)
    }

    /// An empty store whose answers leave when `promise` says.
    pub(crate) fn promising(number: u128, promise: Promise) -> Self {
        Self::open(MemoryDisk::new(), number << 64, promise)
    }

    /// The same store after a restart of its node.
    pub(crate) fn restarted(self) -> Self {
        Self::open(self.disk, self.drawn, self.promise)
    }

    fn open(disk: MemoryDisk, mut drawn: u128, promise: Promise) -> Self {
        let opened = open_in_memory(&disk, &mut || {
            drawn += 1;
            drawn
        });
        let opened = opened.expect("the disk opens");
        let engine = Arc::clone(&opened.engine);
        let committer = Committer::new(opened, promise).expect("the disk reads");
        Self { disk, engine, committer, counters: Arc::default(), drawn, promise }
    }

    pub(crate) fn id(&self) -> StoreId {
        self.committer.standing().store
    }

    /// The committed row.
    pub(crate) fn row(&self, key: &RowKey) -> Option<Siblings> {
        let stored = self.engine.get(Family::Rows, key.as_bytes()).expect("the disk reads");
        stored.map(|bytes| Siblings::decode(&bytes).expect("rows are stored as they were written"))
    }

    pub(crate) fn stamp<R: ActorRule + Send + 'static>(
        &mut self,
        key: RowKey,
        write: Write,
        rule: R,
    ) -> Result<Stamped, Refused<StampFailure>> {
        let stamped = self.stamp_all(vec![Change::Versioned { key, write }], rule)?;
        Ok(stamped.into_iter().next().expect("each versioned change is answered"))
    }

    pub(crate) fn stamp_all<R: ActorRule + Send + 'static>(
        &mut self,
        changes: Vec<Change>,
        rule: R,
    ) -> Result<Vec<Stamped>, Refused<StampFailure>> {
        let stamp =
            Stamp { changes, missed: Missed::new(), rule, counters: Arc::clone(&self.counters) };
        Ok(self.committer.run(stamp)??)
    }

    pub(crate) fn apply<R: ActorRule + Send + 'static>(
        &mut self,
        key: RowKey,
        incoming: Siblings,
        rule: R,
    ) -> Result<(), Refused<ApplyFailure>> {
        let rows = vec![Incoming::Siblings { key, row: incoming }];
        let apply =
            Apply { rows, missed: Missed::new(), rule, counters: Arc::clone(&self.counters) };
        Ok(self.committer.run(apply)??)
    }

    /// Puts bytes in the place of a row, or takes it away, behind the back of everybody.
    pub(crate) fn plant(&mut self, key: &RowKey, row: Option<Bytes>) {
        let plant = Plant { key: key.as_bytes().clone(), row };
        self.committer.run(plant).expect("the disk takes it");
    }

    /// Takes a new store id.
    pub(crate) fn renew(&mut self) {
        self.drawn += 1;
        self.committer.renew(StoreId(self.drawn)).expect("the disk takes it");
    }
}

/// Why nothing was done: the commit loop, or the copy itself.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused<F> {
    Loop(CommitError),
    Copy(F),
}

impl<F> From<CommitError> for Refused<F> {
    fn from(error: CommitError) -> Self {
        Self::Loop(error)
    }
}

impl From<StampFailure> for Refused<StampFailure> {
    fn from(failure: StampFailure) -> Self {
        Self::Copy(failure)
    }
}

impl From<ApplyFailure> for Refused<ApplyFailure> {
    fn from(failure: ApplyFailure) -> Self {
        Self::Copy(failure)
    }
}

struct Plant {
    key: Bytes,
    row: Option<Bytes>,
}

impl Mutation for Plant {
    type Answer = ();

    fn size(&self) -> usize {
        self.key.len()
    }

    fn run(self, view: &mut View<'_>) {
        match self.row {
            Some(row) => view.put(Family::Rows, self.key, row),
            None => view.delete(Family::Rows, self.key),
        }
    }
}
