//! Hints beside the rows of this copy: kept in the batch of the row itself or after it, and forgotten
//! once they are delivered.
//!
//! The rule is [`repair::hint`]. Law: a hint, and a row that was held for another node, are forgotten
//! only if what is there is what was delivered; what came since stays, and is delivered again.
//! Callers: `apply` and `stamp`, the coordinator after its answer, hand-over.

use std::sync::Arc;

use bytes::Bytes;
use repair::hint::Hint;
use ring::HostId;
use smallvec::SmallVec;

use super::planted::Bugs;
use super::{FetchFailure, Replica, ReplicaCounters};
use crate::store::commit::{CommitError, Mutation, View};
use crate::store::engine::Family;

/// The replicas that have missed a write.
pub type Missed = SmallVec<[HostId; 2]>;

/// Keeps, beside each row, hints for those who have missed it.
pub(super) fn put_hints<'a>(
    view: &mut View<'_>,
    rows: impl IntoIterator<Item = &'a [u8]>,
    missed: &[HostId],
) {
    if missed.is_empty() {
        return;
    }
    let sequence = view.sequence();
    for row in rows {
        for host in missed {
            let hint = Hint { host: *host, row, sequence };
            view.put(Family::Hints, hint.key(), hint.value().to_vec());
        }
    }
}

/// Hints of a write that is done.
#[derive(Debug)]
struct KeepHints {
    rows: Vec<Bytes>,
    missed: Missed,
}

impl Mutation for KeepHints {
    type Answer = ();

    fn size(&self) -> usize {
        self.rows.iter().map(|row| (row.len() + 32) * self.missed.len()).sum()
    }

    fn run(self, view: &mut View<'_>) {
        put_hints(view, self.rows.iter().map(AsRef::as_ref), &self.missed);
    }
}

/// A row that was delivered, and its hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The key of the hint.
    pub hint: Bytes,
    /// The hint's value as it was read, before the row was.
    pub hint_value: Bytes,
    /// The key of the row.
    pub row: Bytes,
    /// The row as it was delivered, where this node only held it for others and may forget it now.
    pub held: Option<Bytes>,
}

/// What was delivered, to be forgotten.
#[derive(Debug)]
struct Forget {
    delivered: Vec<Delivered>,
    counters: Arc<ReplicaCounters>,
    bugs: Bugs,
}

impl Mutation for Forget {
    /// How many hints were forgotten.
    type Answer = Result<usize, FetchFailure>;

    fn size(&self) -> usize {
        self.delivered.iter().map(|it| it.hint.len() + it.hint_value.len()).sum()
    }

    fn may_use_reserve(&self) -> bool {
        true
    }

    fn run(self, view: &mut View<'_>) -> Self::Answer {
        let Self { delivered, counters, bugs } = self;
        let mut forgotten = 0;
        for Delivered { hint, hint_value, row, held } in delivered {
            if bugs.forgets_uncompared() {
                if held.is_some() {
                    view.delete(Family::Rows, row);
                }
                view.delete(Family::Hints, hint);
                continue;
            }
            let damaged = |key: &[u8], error| counters.damaged(key, &error);
            let forgets_row = match held {
                Some(held) => {
                    let removed = view.delete_if(Family::Rows, row.clone(), &held);
                    removed.map_err(|error| damaged(&row, error))?
                }
                None => true,
            };
            // A hint of a row that was written again since stays with it.
            if forgets_row {
                let removed = view.delete_if(Family::Hints, hint.clone(), &hint_value);
                forgotten += usize::from(removed.map_err(|error| damaged(&hint, error))?);
            }
        }
        Ok(forgotten)
    }
}

impl Replica {
    /// Keeps hints that these replicas have missed rows of this copy; the answer comes after their
    /// fsync.
    ///
    /// # Errors
    /// The store took them not, or may have lost them.
    pub async fn keep_hints(&self, rows: Vec<Bytes>, missed: &[HostId]) -> Result<(), CommitError> {
        if missed.is_empty() {
            return Ok(());
        }
        self.commits.submit(KeepHints { rows, missed: missed.into() }).await
    }

    /// Forgets hints that were delivered, and rows that were only held for others; of what has
    /// changed since nothing. Answers how many hints went.
    ///
    /// # Errors
    /// The store failed, or one of the rows cannot be read: some may be forgotten all the same.
    pub async fn forget(&self, delivered: Vec<Delivered>) -> Result<usize, CommitError> {
        let (counters, bugs) = (Arc::clone(&self.counters), self.bugs);
        let forget = Forget { delivered, counters, bugs };
        Ok(self.commits.submit(forget).await?.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use ring::StoreId;
    use uuid::Uuid;

    use super::*;
    use crate::store::commit::{Committer, Promise};
    use crate::store::memory::MemoryDisk;
    use crate::store::open_in_memory;

    const ROW: &[u8] = b"row";

    fn host() -> HostId {
        HostId(Uuid::from_u128(7))
    }

    fn committer() -> Committer {
        let opened = open_in_memory(&MemoryDisk::new(), &mut || StoreId(1).0).unwrap();
        Committer::new(opened, Promise::AfterSync).unwrap()
    }

    /// A write of the row that the host has missed.
    struct Missing(&'static [u8]);

    impl Mutation for Missing {
        type Answer = ();

        fn size(&self) -> usize {
            self.0.len()
        }

        fn run(self, view: &mut View<'_>) {
            view.put(Family::Rows, ROW, self.0);
            put_hints(view, [ROW], &[host()]);
        }
    }

    /// What lies under the row's key, and under that of its hint.
    struct Look;

    impl Mutation for Look {
        type Answer = (Option<Bytes>, Option<Bytes>);

        fn size(&self) -> usize {
            0
        }

        fn run(self, view: &mut View<'_>) -> Self::Answer {
            let hint = Hint { host: host(), row: ROW, sequence: 0 }.key();
            (view.get(Family::Rows, ROW).unwrap(), view.get(Family::Hints, &hint).unwrap())
        }
    }

    /// The delivery of what is there now, by a node that only held the row or by one that owns it.
    fn delivered(committer: &mut Committer, is_held: bool) -> Delivered {
        let (row, hint_value) = committer.run(Look).unwrap();
        Delivered {
            hint: Hint { host: host(), row: ROW, sequence: 0 }.key().into(),
            hint_value: hint_value.unwrap(),
            row: ROW.into(),
            held: row.filter(|_| is_held),
        }
    }

    fn forget(committer: &mut Committer, delivered: Delivered) -> usize {
        let (counters, bugs) = (Arc::default(), Bugs::default());
        let forget = Forget { delivered: vec![delivered], counters, bugs };
        committer.run(forget).unwrap().unwrap()
    }

    #[test]
    fn a_row_that_is_written_again_and_again_has_one_hint() {
        let mut committer = committer();
        let mut values = std::collections::BTreeSet::new();
        for _ in 0..100 {
            committer.run(Missing(b"a")).unwrap();
            values.insert(committer.run(Look).unwrap().1.unwrap());
        }
        assert_eq!(values.len(), 100, "it tells of the last write each time");
        let delivered = delivered(&mut committer, false);
        assert_eq!(forget(&mut committer, delivered), 1);
        assert_eq!(committer.run(Look).unwrap(), (Some(Bytes::from("a")), None));
    }

    #[test]
    fn what_was_delivered_is_forgotten_with_its_hint() {
        let mut committer = committer();
        committer.run(Missing(b"a")).unwrap();
        let delivered = delivered(&mut committer, true);
        assert_eq!(forget(&mut committer, delivered), 1);
        assert_eq!(committer.run(Look).unwrap(), (None, None));
    }

    /// D holds {1} and a hint for C; it delivers {1}; {1, 2} comes, with the same hint; the answer to the
    /// delivery comes. Without the comparison the second write would be gone, although it was
    /// acknowledged.
    #[test]
    fn a_write_between_the_delivery_and_its_answer_stays_and_so_does_its_hint() {
        for is_held in [true, false] {
            for again in [&b"a"[..], b"b"] {
                let mut committer = committer();
                committer.run(Missing(b"a")).unwrap();
                let delivered = delivered(&mut committer, is_held);
                committer.run(Missing(again)).unwrap();
                let is_other_row = again == b"b";
                assert_eq!(forget(&mut committer, delivered), 0);
                let (row, hint) = committer.run(Look).unwrap();
                assert!(hint.is_some(), "it is delivered once more");
                assert_eq!(row.is_some(), !is_held || is_other_row);
            }
        }
    }
}
