//! The highest epoch that this node has seen of each of its peers' stores, kept on disk.
//!
//! A store that was rolled back (restored from a backup, a disk that lied) cannot know it by
//! itself: it would deal out epochs, and mint dots, a second time. Its peers remember. So every
//! commit that takes in a dot of a peer notes the dot's epoch in the same batch, and a node asks
//! its peers before it mints anything after a start ([`super::identity::Identity::confirm`]).
//!
//! ```text
//! local: "peer-epoch/" store id (16 bytes) -> version 1 (u8), epoch u64
//! ```
//!
//! Callers: the commit loop notes; whoever answers a peer's greeting asks [`peer_epoch`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use bytes::Bytes;
use ring::StoreId;

use super::engine::{Batch, Engine, EngineError, Family, KeyRange, Order};

const PREFIX: &[u8] = b"peer-epoch/";
const VERSION: u8 = 1;

/// The highest epoch of `store` that a commit of this node has seen.
pub fn peer_epoch(engine: &dyn Engine, store: StoreId) -> Result<Option<u64>, EngineError> {
    engine.get(Family::Local, &key(store))?.map(|value| decode(&value)).transpose()
}

/// The highest epochs, and which of them the disk does not know yet.
#[derive(Debug, Default)]
pub(super) struct PeerEpochs {
    highest: BTreeMap<StoreId, u64>,
    raised: BTreeSet<StoreId>,
}

impl PeerEpochs {
    /// What the disk knows.
    pub(super) fn load(engine: &dyn Engine) -> Result<Self, EngineError> {
        let mut loaded = Ok(BTreeMap::new());
        engine.scan(
            Family::Local,
            &KeyRange::prefix(PREFIX),
            Order::Forward,
            &mut |key, value| match (&mut loaded, entry(key, value)) {
                (Ok(highest), Ok((store, epoch))) => {
                    highest.insert(store, epoch);
                    ControlFlow::Continue(())
                }
                (_, Err(error)) => {
                    loaded = Err(error);
                    ControlFlow::Break(())
                }
                (Err(_), Ok(_)) => ControlFlow::Break(()),
            },
        )?;
        Ok(Self { highest: loaded?, raised: BTreeSet::new() })
    }

    /// Remembers that a dot of `store` with this epoch was seen.
    pub(super) fn note(&mut self, store: StoreId, epoch: u64) {
        let highest = self.highest.entry(store).or_default();
        if epoch > *highest {
            *highest = epoch;
            self.raised.insert(store);
        }
    }

    /// Puts what the disk does not know yet into `batch`.
    pub(super) fn stage(&self, batch: &mut Batch) {
        for store in &self.raised {
            batch.put(Family::Local, key(*store), encode(self.highest[store]));
        }
    }

    /// The batch is on disk.
    pub(super) fn committed(&mut self) {
        self.raised.clear();
    }
}

fn key(store: StoreId) -> Vec<u8> {
    [PREFIX, &store.0.to_be_bytes()].concat()
}

fn entry(key: &[u8], value: &[u8]) -> Result<(StoreId, u64), EngineError> {
    let store = key[PREFIX.len()..].try_into().map_err(|_| damaged())?;
    Ok((StoreId(u128::from_be_bytes(store)), decode(value)?))
}

fn encode(epoch: u64) -> Bytes {
    let mut value = vec![VERSION];
    value.extend_from_slice(&epoch.to_be_bytes());
    value.into()
}

fn decode(value: &[u8]) -> Result<u64, EngineError> {
    match value.split_first() {
        Some((&VERSION, epoch)) => Ok(u64::from_be_bytes(epoch.try_into().map_err(|_| damaged())?)),
        _ => Err(damaged()),
    }
}

fn damaged() -> EngineError {
    EngineError::Corrupt { reason: "the highest epoch of a peer cannot be read".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::engine::Durability;
    use super::super::memory::MemoryDisk;
    use super::*;

    const PEER: StoreId = StoreId(0x0102);

    fn committed(epochs: &mut PeerEpochs, engine: &dyn Engine) {
        let mut batch = Batch::default();
        epochs.stage(&mut batch);
        engine.commit(&batch, Durability::Synced).unwrap();
        epochs.committed();
    }

    #[test]
    fn highest_epoch_of_a_peer_outlives_a_crash() {
        let disk = MemoryDisk::new();
        let engine = disk.open();
        let mut epochs = PeerEpochs::load(&engine).unwrap();
        epochs.note(PEER, 9);
        epochs.note(PEER, 4);
        epochs.note(StoreId(u128::MAX), 1);
        committed(&mut epochs, &engine);
        disk.crash(0);
        let engine = disk.open();
        assert_eq!(peer_epoch(&engine, PEER), Ok(Some(9)));
        assert_eq!(peer_epoch(&engine, StoreId(3)), Ok(None));
        let mut epochs = PeerEpochs::load(&engine).unwrap();
        epochs.note(PEER, 8);
        epochs.note(StoreId(u128::MAX), 2);
        committed(&mut epochs, &engine);
        assert_eq!(peer_epoch(&engine, PEER), Ok(Some(9)));
        assert_eq!(peer_epoch(&engine, StoreId(u128::MAX)), Ok(Some(2)));
    }

    #[test]
    fn epoch_that_was_not_committed_is_staged_again() {
        let mut epochs = PeerEpochs::default();
        epochs.note(PEER, 5);
        for _ in 0..2 {
            let mut batch = Batch::default();
            epochs.stage(&mut batch);
            assert_eq!(batch.len(), 1);
        }
        epochs.committed();
        let mut batch = Batch::default();
        epochs.stage(&mut batch);
        assert!(batch.is_empty());
    }

    #[test]
    fn record_has_its_bytes_for_ever_and_damage_is_an_error() {
        assert_eq!(key(PEER), b"peer-epoch/\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02");
        assert_eq!(encode(0x0304).as_ref(), [1, 0, 0, 0, 0, 0, 0, 3, 4]);
        let engine = MemoryDisk::new().open();
        for bad in [&b""[..], &[2, 0, 0, 0, 0, 0, 0, 0, 1], &[1, 0]] {
            let mut batch = Batch::default();
            batch.put(Family::Local, key(PEER), bad.to_vec());
            engine.commit(&batch, Durability::Synced).unwrap();
            assert_eq!(peer_epoch(&engine, PEER), Err(damaged()));
            assert_eq!(PeerEpochs::load(&engine).unwrap_err(), damaged());
        }
    }
}
