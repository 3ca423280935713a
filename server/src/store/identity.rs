//! Whose store this is, and the epochs under which it mints dots.
//!
//! A node keeps its host id for ever. Its store id names one life of one data directory: it is
//! drawn anew whenever somebody could remember a dot of this store that the store itself does not,
//! because the directory is new, was restored or damaged, or a peer has seen an epoch that was
//! never dealt out. Epochs are leased in blocks; a block is on disk before its first epoch is
//! used, and a start skips the rest of the last one: no epoch of one store id is dealt out twice.
//!
//! The same record is kept twice, and the two must agree:
//!
//! ```text
//! local: "identity"   rides in a commit batch, first       "STARLING", format u32, host 16 bytes,
//! file   identity     replaced after it                     store 16 bytes, lease end u64, crc32
//! ```
//!
//! A crash between the two leaves the file behind the record; a file *ahead* of its record means
//! that the rows went back in time. Source: Riak's vnode ids with leased counters; `replica::stamp`
//! says when a row needs a fresh epoch. Callers: [`super::open`], the commit loop.

use std::fmt;

use bytes::{Buf, BufMut, Bytes};
use ring::{HostId, StoreId};

use super::directory::Directory;
use super::engine::{Batch, Durability, Engine, EngineError, Family, Recovery};

/// How many epochs are leased at a time; the next block is leased when half of one is left.
pub const LEASE_BLOCK: u64 = 1 << 20;

/// The format of data directories that this release writes.
pub const FORMAT: u32 = 1;

const NAME: &str = "identity";
const MAGIC: &[u8; 8] = b"STARLING";
const RECORD_BYTES: usize = 8 + 4 + 16 + 16 + 8 + 4;
const FIRST_EPOCH: u64 = 1;

/// Why it cannot be said whose store this is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A later release wrote the data directory.
    #[error("the data directory has format {found}; this release knows formats up to {known}")]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest that this release knows.
        known: u32,
    },
    /// The file and the rows belong to two nodes: somebody mixed two data directories.
    #[error("the file `identity` belongs to node {file}, but the rows to node {rows}")]
    TwoNodes {
        /// The host in the file.
        file: HostId,
        /// The host in the rows.
        rows: HostId,
    },
    /// The disk failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why an epoch cannot be dealt out now. Nothing was minted; later it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EpochError {
    /// No peer has said yet which epochs of this store it has seen.
    #[error("no peer has confirmed yet that this store was not rolled back")]
    Unconfirmed,
    /// The lease is used up and could not be renewed.
    #[error("the leased epochs are used up")]
    LeaseUsedUp,
    /// The store is behind its fence.
    #[error("the store is being filled from its peers")]
    Fenced,
}

/// Why a store id was drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Renewal {
    /// There was no store in the directory.
    NewDirectory,
    /// The file is missing.
    FileMissing,
    /// The file cannot be read.
    FileDamaged,
    /// The rows do not say whose they are.
    RecordMissing,
    /// What the rows say of it cannot be read.
    RecordDamaged,
    /// The file and the rows name different stores.
    StoresDiffer,
    /// The rows are older than the file.
    RolledBack,
    /// Something that was synced is missing from the log.
    LogDamaged,
    /// The rows are what could be read of a damaged store.
    Salvaged,
    /// A peer has seen an epoch that this store has not dealt out.
    PeerSawMore,
    /// The node asked for it.
    Asked,
}

impl fmt::Display for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewDirectory => "the data directory is new",
            Self::FileMissing => "the file `identity` is missing",
            Self::FileDamaged => "the file `identity` is damaged",
            Self::RecordMissing => "the rows do not say whose they are",
            Self::RecordDamaged => "the record of whose rows they are is damaged",
            Self::StoresDiffer => "the file `identity` and the rows name different stores",
            Self::RolledBack => "the rows are older than the file `identity`",
            Self::LogDamaged => "something that was synced is missing from the log",
            Self::Salvaged => "the rows are what could be read of a damaged store",
            Self::PeerSawMore => "a peer has seen a later epoch of this store",
            Self::Asked => "the node asked for it",
        })
    }
}

/// Where the present store id comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It was this store's already.
    Kept,
    /// It was drawn since this process began.
    Drawn {
        /// Why.
        reason: Renewal,
        /// The store id in whose place it came, if that is known.
        retired: Option<StoreId>,
    },
}

/// Whose store it is, as everybody may know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The node, for ever.
    pub host: HostId,
    /// The store, for this life of the data directory.
    pub store: StoreId,
    /// Where the store id comes from.
    pub origin: Origin,
    /// Whether the store may mint dots: always under a drawn store id, else once a peer has said
    /// which epochs it saw.
    pub is_confirmed: bool,
}

/// Whose store it is, and the epochs that it may still deal out. The commit loop owns it.
pub struct Identity {
    files: Box<dyn Directory>,
    standing: Standing,
    next_epoch: u64,
    lease_end: u64,
    /// The end of the lease that the batch being built asks for.
    staged_end: Option<u64>,
    is_lease_failing: bool,
}

/// What is kept on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Record {
    host: HostId,
    store: StoreId,
    /// The first epoch that was certainly never dealt out.
    lease_end: u64,
}

/// What was found in one of the two places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    Nothing,
    Damage,
    Newer { format: u32 },
    Record(Record),
}

/// Refuses a data directory that a later release wrote, before its rows are opened.
pub fn refuse_newer_format(files: &dyn Directory) -> Result<(), IdentityError> {
    match read(files.read(NAME)?.as_deref()) {
        Found::Newer { format } => Err(IdentityError::NewerFormat { found: format, known: FORMAT }),
        Found::Nothing | Found::Damage | Found::Record(_) => Ok(()),
    }
}

impl Standing {
    /// The store id in whose place the present one came since this process began.
    pub fn retired(&self) -> Option<StoreId> {
        match self.origin {
            Origin::Kept => None,
            Origin::Drawn { retired, .. } => retired,
        }
    }
}

impl Identity {
    /// Finds out whose store it is, and leases the first block of epochs.
    ///
    /// `fresh` gives 128 random bits, for a store id and, in a new directory, for a host id.
    pub fn boot(
        engine: &dyn Engine,
        files: Box<dyn Directory>,
        fresh: &mut dyn FnMut() -> u128,
    ) -> Result<Self, IdentityError> {
        let file = read(files.read(NAME)?.as_deref());
        let record = read(engine.get(Family::Local, NAME.as_bytes())?.as_deref());
        let (standing, next_epoch) = match judge(file, record, engine.recovery())? {
            Verdict::Keep(kept) => (stand(kept.host, kept.store, Origin::Kept), kept.lease_end),
            Verdict::Draw { reason, old } => {
                let host = old.map_or_else(|| draw_host(fresh()), |old| old.host);
                let origin = Origin::Drawn { reason, retired: old.map(|old| old.store) };
                (stand(host, StoreId(fresh()), origin), FIRST_EPOCH)
            }
        };
        let lease_end = next_epoch + LEASE_BLOCK;
        let record = Record { host: standing.host, store: standing.store, lease_end };
        persist(engine, files.as_ref(), record)?;
        Ok(Self {
            files,
            standing,
            next_epoch,
            lease_end,
            staged_end: None,
            is_lease_failing: false,
        })
    }

    /// Whose store it is.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Goes on under the store id that was just given up, from its first epoch: a bug that tests
    /// plant. On disk all is as it should be.
    pub fn reuse_retired(&mut self) {
        if let Some(retired) = self.standing.retired() {
            self.standing.store = retired;
        }
    }

    /// An epoch that was never dealt out under this store id.
    pub fn next_epoch(&mut self) -> Result<u64, EpochError> {
        if !self.standing.is_confirmed {
            return Err(EpochError::Unconfirmed);
        }
        if self.next_epoch >= self.lease_end {
            return Err(EpochError::LeaseUsedUp);
        }
        let epoch = self.next_epoch;
        self.next_epoch += 1;
        Ok(epoch)
    }

    /// Takes in what a peer has seen of `store`: its highest epoch, if it saw any.
    ///
    /// An epoch that was never dealt out proves that the store was rolled back, and `fresh`
    /// becomes its id. Word of an earlier store id changes nothing.
    pub fn confirm(
        &mut self,
        engine: &dyn Engine,
        store: StoreId,
        seen: Option<u64>,
        fresh: StoreId,
    ) -> Result<(), EngineError> {
        if store != self.standing.store {
            return Ok(());
        }
        if seen.is_some_and(|epoch| epoch >= self.next_epoch) {
            return self.renew(engine, Renewal::PeerSawMore, fresh);
        }
        self.standing.is_confirmed = true;
        Ok(())
    }

    /// Gives up the present store id for `fresh`.
    pub fn renew(
        &mut self,
        engine: &dyn Engine,
        reason: Renewal,
        fresh: StoreId,
    ) -> Result<(), EngineError> {
        let origin = Origin::Drawn { reason, retired: Some(self.standing.store) };
        let standing = stand(self.standing.host, fresh, origin);
        let lease_end = FIRST_EPOCH + LEASE_BLOCK;
        let record = Record { host: standing.host, store: standing.store, lease_end };
        persist(engine, self.files.as_ref(), record)?;
        self.standing = standing;
        self.next_epoch = FIRST_EPOCH;
        self.lease_end = lease_end;
        Ok(())
    }

    /// Puts the record of a longer lease into `batch` when half of the present one is used.
    pub(super) fn stage(&mut self, batch: &mut Batch) {
        let is_low = self.lease_end.saturating_sub(self.next_epoch) < LEASE_BLOCK / 2;
        self.staged_end = is_low.then_some(self.lease_end + LEASE_BLOCK);
        if let Some(end) = self.staged_end {
            batch.put(Family::Local, NAME, self.record(end).encode());
        }
    }

    /// The batch is on disk: the longer lease counts once the file says so too.
    ///
    /// Returns whether a lease was renewed. A file that cannot be written now is tried again with
    /// the next batch, for as long as the old lease lasts.
    pub(super) fn committed(&mut self) -> Result<bool, EngineError> {
        let Some(end) = self.staged_end.take() else { return Ok(false) };
        match self.files.replace(NAME, &self.record(end).encode()) {
            Ok(()) => {
                self.lease_end = end;
                self.is_lease_failing = false;
                Ok(true)
            }
            Err(error @ EngineError::Io { .. }) => {
                if !std::mem::replace(&mut self.is_lease_failing, true) {
                    tracing::warn!(%error, "the lease of epochs could not be renewed");
                }
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn record(&self, lease_end: u64) -> Record {
        Record { host: self.standing.host, store: self.standing.store, lease_end }
    }
}

/// Keeps `record` in both places; whatever damage was found before concerns it no more.
fn persist(engine: &dyn Engine, files: &dyn Directory, record: Record) -> Result<(), EngineError> {
    let bytes = record.encode();
    let mut batch = Batch::default();
    batch.put(Family::Local, NAME, bytes.clone());
    engine.commit(&batch, Durability::Synced)?;
    files.replace(NAME, &bytes)?;
    if engine.recovery() == Recovery::Whole { Ok(()) } else { engine.settle() }
}

/// What the two records and the log say together.
enum Verdict {
    Keep(Record),
    Draw { reason: Renewal, old: Option<Record> },
}

fn judge(file: Found, rows: Found, recovery: Recovery) -> Result<Verdict, IdentityError> {
    use Found::{Damage, Newer, Nothing, Record};
    let draw = |reason, old| Ok(Verdict::Draw { reason, old });
    match (file, rows) {
        (Newer { format }, _) | (_, Newer { format }) => {
            Err(IdentityError::NewerFormat { found: format, known: FORMAT })
        }
        (Record(file), Record(rows)) => {
            if file.host != rows.host {
                Err(IdentityError::TwoNodes { file: file.host, rows: rows.host })
            } else if file.store != rows.store {
                draw(Renewal::StoresDiffer, Some(rows))
            } else if file.lease_end > rows.lease_end {
                draw(Renewal::RolledBack, Some(rows))
            } else {
                match recovery {
                    Recovery::Damaged => draw(Renewal::LogDamaged, Some(rows)),
                    Recovery::Salvaged => draw(Renewal::Salvaged, Some(rows)),
                    Recovery::Whole => Ok(Verdict::Keep(rows)),
                }
            }
        }
        (Nothing, Record(rows)) => draw(Renewal::FileMissing, Some(rows)),
        (Damage, Record(rows)) => draw(Renewal::FileDamaged, Some(rows)),
        (Record(file), Nothing) => draw(Renewal::RecordMissing, Some(file)),
        (Record(file), Damage) => draw(Renewal::RecordDamaged, Some(file)),
        (Nothing, Nothing) => draw(Renewal::NewDirectory, None),
        (Damage, Nothing | Damage) => draw(Renewal::FileDamaged, None),
        (Nothing, Damage) => draw(Renewal::RecordDamaged, None),
    }
}

/// A drawn store id is confirmed from the start: nobody can have seen an epoch of it.
fn stand(host: HostId, store: StoreId, origin: Origin) -> Standing {
    Standing { host, store, origin, is_confirmed: origin != Origin::Kept }
}

fn draw_host(random: u128) -> HostId {
    HostId(uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid())
}

impl Record {
    fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(RECORD_BYTES);
        out.put_slice(MAGIC);
        out.put_u32(FORMAT);
        out.put_u128(self.host.0.as_u128());
        out.put_u128(self.store.0);
        out.put_u64(self.lease_end);
        out.put_u32(crc32fast::hash(&out));
        out.into()
    }
}

/// Reads a record. Every format begins with the magic word and its number, and ends with the
/// checksum of all that stands before it.
fn read(bytes: Option<&[u8]>) -> Found {
    let Some(bytes) = bytes else { return Found::Nothing };
    let Some((mut body, mut checksum)) = bytes.split_at_checked(bytes.len().saturating_sub(4))
    else {
        return Found::Damage;
    };
    if checksum.try_get_u32() != Ok(crc32fast::hash(body)) || !body.starts_with(MAGIC) {
        return Found::Damage;
    }
    body.advance(MAGIC.len());
    match body.try_get_u32() {
        Ok(FORMAT) if bytes.len() == RECORD_BYTES => {
            let host = HostId(uuid::Uuid::from_u128(body.get_u128()));
            let (store, lease_end) = (StoreId(body.get_u128()), body.get_u64());
            // So that no lease ever reaches the end of the numbers; 2⁴³ starts lie below it.
            if lease_end > u64::MAX / 2 {
                return Found::Damage;
            }
            Found::Record(Record { host, store, lease_end })
        }
        Ok(format) if format > FORMAT => Found::Newer { format },
        _ => Found::Damage,
    }
}

#[cfg(test)]
mod tests;
