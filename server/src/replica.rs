//! What one copy of a row does when asked, by this node's coordinator or by another's.
//!
//! ```text
//! write   a client's write of one partition, in one commit
//!           rows of siblings tables       read, stamped and put inside the commit loop
//!           cells of last-write-wins ones merged without a read
//! apply   rows of another copy, in one commit: merged, after a read or without one
//! fetch   a row, a digest of one, or a stretch of keys, read inline from committed rows
//! hints   which replicas have missed rows of this copy
//! ```
//!
//! Law: a merged row or a dot leaves this node only after its fsync; a row that cannot be read is a
//! failure, never a row that is not there. Repair, handoff and bootstrap have no private door: they
//! arrive at [`Replica::apply`] like any write.

mod apply;
mod change;
mod copy;
mod digests;
mod fence;
mod fetch;
mod held;
mod hints;
mod mend;
mod overdue;
mod planted;
mod purge;
mod stamp;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use apply::{Apply, ApplyFailure, Incoming};
pub use change::Change;
pub use copy::{CopyError, RowCopy, RowDigest};
pub use digests::{DigestOptions, Digests, FoundRows, Leaf, RowDigests};
pub use fence::Fence;
pub use fetch::{FetchFailure, ReplicaPage};
pub use held::Held;
pub use hints::{Delivered, Missed};
pub use mend::Mend;
pub use overdue::Overdue;
pub use purge::{Notes, REMOVED_MAX, Removed};
pub use stamp::{Stamp, StampFailure};

use self::planted::Bugs;
use crate::commits::{Commits, Standing};
use crate::config::Planted;
use crate::store::engine::Engine;

/// This node's copies.
pub struct Replica {
    engine: Arc<dyn Engine>,
    commits: Commits,
    counters: Arc<ReplicaCounters>,
    held: Held,
    overdue: Overdue,
    fence: Option<Arc<Fence>>,
    bugs: Bugs,
}

/// What should not happen, counted.
#[derive(Debug, Default)]
pub struct ReplicaCounters {
    /// Dots that came twice with different contents; both are kept.
    pub duplicate_dots: AtomicU64,
    /// Times that a stored row could not be read.
    pub damaged_rows: AtomicU64,
    /// Rows that could not be read and were mended from another copy.
    pub mended_rows: AtomicU64,
    /// Removed rows whose last traces were taken away.
    pub purged_rows: AtomicU64,
    /// Rows whose vector has more actors than it should.
    pub long_vectors: AtomicU64,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Replica {
    /// The copies in `engine`, which change by way of `commits` only; of rows of other nodes at most
    /// `held` are taken in.
    pub fn new(engine: Arc<dyn Engine>, commits: Commits, held: Held) -> Self {
        Self {
            engine,
            commits,
            counters: Arc::default(),
            held,
            overdue: Overdue::default(),
            fence: None,
            bugs: Bugs::default(),
        }
    }

    /// Who has missed writes of which no hint was kept.
    pub fn overdue(&self) -> &Overdue {
        &self.overdue
    }

    /// What this node holds for others.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// The same copies behind `fence`: while it is up they are neither read nor stamped.
    #[must_use]
    pub fn behind(self, fence: Arc<Fence>) -> Self {
        Self { fence: Some(fence), ..self }
    }

    /// The same, with a bug that a test looks for.
    #[must_use]
    pub fn plant(self, planted: Planted) -> Self {
        Self { bugs: Bugs::new(planted), ..self }
    }

    /// Whose store holds them, now.
    pub fn standing(&self) -> Standing {
        self.commits.standing()
    }

    /// Whether they may lack what was acknowledged; see [`Fence`].
    pub fn is_fenced(&self) -> bool {
        self.fence.as_ref().is_some_and(|fence| fence.is_up())
    }

    /// The store that holds them.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// What should not happen, counted.
    pub fn counters(&self) -> &Arc<ReplicaCounters> {
        &self.counters
    }
}

impl ReplicaCounters {
    fn count(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }

    /// Counts and logs a stored row that cannot be read.
    fn damaged(&self, key: &[u8], error: &dyn std::fmt::Display) -> FetchFailure {
        Self::count(&self.damaged_rows, 1);
        tracing::error!(key_len = key.len(), %error, "a stored row cannot be read: not served");
        FetchFailure
    }
}
