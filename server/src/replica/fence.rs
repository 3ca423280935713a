//! The fence of a store that may lack what was acknowledged: it gives nothing before it has all.
//!
//! A store with a new id was lost, damaged, restored or rolled back. Law: until it has been exchanged
//! with its peers it takes rows in and acknowledges them, but answers no read, stamps nothing and
//! spreads nothing. Which store was exchanged is on disk; the fence is up while that is not the one
//! that this node has now. A store that was merely away needs no fence.
//!
//! Callers: the replica asks; `upkeep/anti_entropy` lowers.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use ring::StoreId;

use crate::commits::Commits;
use crate::store::commit::{CommitError, Mutation, View};
use crate::store::engine::{Engine, EngineError, Family};

const KEY: &[u8] = b"exchanged";
const VERSION: u8 = 1;

/// Whether this node's store has been exchanged with its peers.
#[derive(Debug)]
pub struct Fence {
    commits: Commits,
    exchanged: ArcSwapOption<StoreId>,
}

impl Fence {
    /// The fence as the disk has it.
    ///
    /// # Errors
    /// Where the disk cannot be read. A record that is damaged leaves the fence up.
    pub fn load(engine: &dyn Engine, commits: Commits) -> Result<Self, EngineError> {
        let record = engine.get(Family::Local, KEY)?;
        let exchanged = record.as_deref().and_then(decode).map(Arc::new);
        Ok(Self { commits, exchanged: ArcSwapOption::new(exchanged) })
    }

    /// Whether this copy may lack what was acknowledged.
    pub fn is_up(&self) -> bool {
        let store = self.commits.standing().store;
        self.exchanged.load().as_deref() != Some(&store)
    }

    /// Notes that `store` has been exchanged; the fence stays up if this node has another one by now.
    ///
    /// # Errors
    /// [`CommitError`]: the fence is as it was.
    pub async fn lower(&self, store: StoreId) -> Result<(), CommitError> {
        self.commits.submit(NoteExchanged(store)).await?;
        self.exchanged.store(Some(Arc::new(store)));
        Ok(())
    }
}

struct NoteExchanged(StoreId);

impl Mutation for NoteExchanged {
    type Answer = ();

    fn size(&self) -> usize {
        KEY.len() + 17
    }

    fn may_use_reserve(&self) -> bool {
        true
    }

    fn run(self, view: &mut View<'_>) {
        view.put(Family::Local, KEY, encode(self.0));
    }
}

fn encode(store: StoreId) -> Bytes {
    [&[VERSION][..], &store.0.to_be_bytes()].concat().into()
}

fn decode(record: &[u8]) -> Option<StoreId> {
    let (version, store) = record.split_first()?;
    let store = u128::from_be_bytes(store.try_into().ok()?);
    (*version == VERSION).then_some(StoreId(store))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::commit::{CommitLoop, Promise, QueueLimits, queue};
    use crate::store::memory::MemoryDisk;
    use crate::store::open_in_memory;

    /// The fence of the store on a disk, beside its commit loop. New ids count up from `drawn`.
    fn opened(disk: &MemoryDisk, drawn: u128) -> (Fence, CommitLoop<crate::commits::AnyMutation>) {
        let mut drawn = drawn;
        let opened = open_in_memory(disk, &mut || {
            drawn += 1;
            drawn
        });
        let opened = opened.unwrap();
        let engine = Arc::clone(&opened.engine);
        let (handle, commit_loop) =
            queue(opened, QueueLimits::default(), Promise::AfterSync).unwrap();
        (Fence::load(engine.as_ref(), Commits::new(handle)).unwrap(), commit_loop)
    }

    #[tokio::test]
    async fn a_fence_that_was_lowered_stays_so_for_that_store_alone() {
        let disk = MemoryDisk::new();
        let (fence, commit_loop) = opened(&disk, 10);
        assert!(fence.is_up(), "a new store");
        let store = fence.commits.standing().store;
        let lowering = async {
            fence.lower(store).await.unwrap();
            assert!(!fence.is_up());
            fence.commits.handle().renew(StoreId(99)).await.unwrap();
            assert!(fence.is_up(), "the store is another one now");
            fence.lower(store).await.unwrap();
            assert!(fence.is_up(), "what was exchanged is not this store");
            fence.lower(StoreId(99)).await.unwrap();
            fence.commits.handle().stop().await;
        };
        let (ended, ()) = tokio::join!(commit_loop.run(), lowering);
        ended.unwrap();
        assert!(!opened(&disk, 20).0.is_up(), "a restart changes nothing");
        disk.remove_file("identity");
        assert!(opened(&disk, 30).0.is_up(), "a new store id");
    }

    #[test]
    fn record_has_its_bytes_for_ever_and_no_other_is_read() {
        let record = encode(StoreId(0x0102));
        assert_eq!(record.as_ref(), [&[1][..], &[0; 14], &[1, 2]].concat());
        assert_eq!(decode(&record), Some(StoreId(0x0102)));
        assert_eq!(decode(&record[1..]), None);
        assert_eq!(decode(&[&[2][..], &[0; 16]].concat()), None);
    }
}
