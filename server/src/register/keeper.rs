//! Chosen values: cached on disk, then installed for requests to read; fetched where missed.
//!
//! ```text
//! register: "chosen"              -> the newest chosen value, as ClusterMetadata::encode gives it
//!           "epoch/" epoch u64 BE -> its digest: one value per epoch, for ever checkable
//! ```
//!
//! Law: only a chosen value comes here, never one that is merely accepted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ring::RingError;
use ring::register::{RegisterValue, Version};
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::commits::Commits;
use crate::metadata::{ClusterMetadata, DecodeError, Snapshot};
use crate::peer::{Answer, Body, Class, Pool, Request, Target};
use crate::store::commit::{CommitError, Mutation, View};
use crate::store::engine::{Engine, EngineError, Family, KeyRange, Order};

/// The key of the newest chosen value.
pub(super) const CHOSEN: &[u8] = b"chosen";

const EPOCH_PREFIX: &[u8] = b"epoch/";

/// How many epochs keep their digest.
const EPOCHS_KEPT: u64 = 10_000;

/// How long one fetch of metadata may take.
const FETCH_WAIT: Duration = Duration::from_secs(2);

/// Why the cached value cannot be served.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// The store cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The value cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The value contradicts itself.
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// An epoch and the digest of the value that was chosen for it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EpochRecord {
    /// The epoch.
    pub epoch: u64,
    /// The digest, in hexadecimal digits.
    pub digest: String,
}

/// Keeps the newest chosen value.
#[derive(Debug)]
pub struct Keeper {
    cluster: Arc<Cluster>,
    commits: Commits,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    /// One at a time asks the same peer: the others take what it brought.
    fetching: Mutex<BTreeMap<SocketAddr, Turn>>,
}

type Turn = Arc<tokio::sync::Mutex<()>>;

impl Keeper {
    /// A keeper; [`Keeper::load`] brings in what the disk has.
    pub fn new(
        cluster: Arc<Cluster>,
        commits: Commits,
        pool: Arc<Pool>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { cluster, commits, pool, clock, fetching: Mutex::default() }
    }

    /// Installs the value that the disk has, if it has one.
    pub fn load(&self, engine: &dyn Engine) -> Result<(), LoadError> {
        if let Some(bytes) = engine.get(Family::Register, CHOSEN)? {
            self.cluster.install(Snapshot::new(ClusterMetadata::decode(&bytes)?)?);
        }
        Ok(())
    }

    /// Writes a chosen value to disk and installs it, unless it is known or older.
    pub async fn learn(&self, value: ClusterMetadata) -> Result<(), CommitError> {
        let known = self.cluster.snapshot();
        if known.is_some_and(|known| known.value.version() >= value.version()) {
            return Ok(());
        }
        let snapshot = match Snapshot::new(value.clone()) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::error!(epoch = value.epoch, %error, "a chosen value contradicts itself");
                return Ok(());
            }
        };
        self.commits.submit(Learn { value }).await?;
        if self.cluster.install(snapshot) {
            tracing::info!(epoch = self.cluster.epoch(), "installed metadata");
        }
        Ok(())
    }

    /// Fetches the metadata of the node at `from`, which has told of `epoch`, if that is news.
    ///
    /// Returns whether this node knows that epoch, or a newer one, now.
    pub async fn catch_up(&self, from: SocketAddr, epoch: u64, deadline: Instant) -> bool {
        self.fetch(from, deadline, || self.cluster.epoch() >= epoch).await
    }

    /// Fetches the metadata of the node at `from`, which has told of `version`, if that is news:
    /// also where a forced reform began a generation at a lower epoch than this node knows.
    pub async fn catch_up_with(&self, from: SocketAddr, version: Version, deadline: Instant) {
        self.fetch(from, deadline, || self.cluster.version() >= Some(version)).await;
    }

    async fn fetch(
        &self,
        from: SocketAddr,
        deadline: Instant,
        is_known: impl Fn() -> bool,
    ) -> bool {
        if is_known() {
            return true;
        }
        let turn = self.turn(from);
        let Ok(_turn) = timeout_at(deadline, turn.lock()).await else { return is_known() };
        if is_known() {
            return true;
        }
        let deadline = deadline.min(self.clock.now() + FETCH_WAIT);
        let to = Target { address: from, host: None };
        let (epoch, request) = (self.cluster.epoch(), Request::Metadata);
        match self.pool.call(to, Class::Control, epoch, request, Body::new(), deadline).await {
            Ok(reply) if reply.answer == Answer::Metadata && !reply.body.is_empty() => {
                self.take(from, &reply.body).await;
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%from, %error, "could not fetch metadata"),
        }
        is_known()
    }

    fn turn(&self, from: SocketAddr) -> Turn {
        let mut fetching = self.fetching.lock().expect("nothing panics while it holds this lock");
        fetching.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(fetching.entry(from).or_default())
    }

    async fn take(&self, from: SocketAddr, body: &Bytes) {
        match ClusterMetadata::decode(body) {
            Ok(value) => {
                if let Err(error) = self.learn(value).await {
                    tracing::error!(%error, "could not keep newer metadata");
                }
            }
            Err(error) => tracing::error!(%from, %error, "refused the metadata of a peer"),
        }
    }

    /// The digests of the last epochs, oldest first: what was chosen, as this node learned it.
    pub fn history(engine: &dyn Engine) -> Result<Vec<EpochRecord>, EngineError> {
        let mut records = Vec::new();
        let range = KeyRange::prefix(EPOCH_PREFIX);
        engine.scan(Family::Register, &range, Order::Forward, &mut |key, digest| {
            if let Ok(epoch) = key[EPOCH_PREFIX.len()..].try_into().map(u64::from_be_bytes) {
                records.push(EpochRecord { epoch, digest: hex(digest) });
            }
            ControlFlow::Continue(())
        })?;
        Ok(records)
    }
}

/// Writes a chosen value if it is newer than the one on disk.
struct Learn {
    value: ClusterMetadata,
}

impl Mutation for Learn {
    type Answer = ();

    fn size(&self) -> usize {
        64 + self.value.owners.len() * 16
    }

    fn may_use_reserve(&self) -> bool {
        true
    }

    fn run(self, view: &mut View<'_>) {
        let known = view.get(Family::Register, CHOSEN).ok().flatten();
        let known = known.and_then(|bytes| ClusterMetadata::decode(&bytes).ok());
        if known.is_some_and(|known| known.version() >= self.value.version()) {
            return;
        }
        let bytes = self.value.encode();
        let digest: [u8; 32] = blake3::hash(&bytes).into();
        view.put(Family::Register, epoch_key(self.value.epoch), Bytes::copy_from_slice(&digest));
        if let Some(forgotten) = self.value.epoch.checked_sub(EPOCHS_KEPT) {
            view.delete(Family::Register, epoch_key(forgotten));
        }
        view.put(Family::Register, CHOSEN, bytes);
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

fn epoch_key(epoch: u64) -> Vec<u8> {
    [EPOCH_PREFIX, &epoch.to_be_bytes()].concat()
}
