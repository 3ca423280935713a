//! Rows of tables that were dropped or truncated leave the disk by themselves.
//!
//! The keys of all rows of one life of a table lie together, so each life that is over is one removal
//! of a range, and finding the lives costs one look-up for each. Law: only what this node's chosen
//! metadata say is over is removed; a life that they do not know begins in newer ones. A write that
//! was on its way when the life ended is found by a later round.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::metadata::{Life, Snapshot, TableId};
use crate::store::engine::{Engine, EngineError, Family, KeyRange, Order};
use crate::store::keys::TableLife;

/// How long after a round the next one comes where no newer metadata do.
const PAUSE: Duration = Duration::from_mins(5);

/// Removes the rows of ended lives.
pub struct DeadLives {
    /// Says which lives are over.
    pub cluster: Arc<Cluster>,
    /// Where the rows are.
    pub engine: Arc<dyn Engine>,
}

impl DeadLives {
    /// Works until the task is dropped.
    pub async fn run(&self) {
        let mut epochs = self.cluster.watch_epoch();
        loop {
            epochs.mark_unchanged();
            if let Some(snapshot) = self.cluster.snapshot() {
                match sweep(self.engine.as_ref(), &snapshot) {
                    Ok(lives) if lives.is_empty() => {}
                    Ok(lives) => tracing::info!(?lives, "removed the rows of ended tables"),
                    Err(error) => tracing::warn!(%error, "could not remove rows of ended tables"),
                }
            }
            // What changed, or that nothing did, makes no difference.
            let _ = tokio::time::timeout(PAUSE, epochs.changed()).await;
        }
    }
}

/// Removes the rows of every life that `snapshot` says is over, and returns those lives.
///
/// # Errors
/// The engine's; lives that were found before are removed.
fn sweep(engine: &dyn Engine, snapshot: &Snapshot) -> Result<Vec<TableLife>, EngineError> {
    let mut removed = Vec::new();
    let mut rest = KeyRange::all();
    while let Some((key, _)) = engine.rows(Family::Rows, &rest, Order::Forward, 1)?.first() {
        // A key that names no life belongs to nobody that could be asked.
        let Some(life) = TableLife::of_key(key) else {
            rest = rest.after(key);
            continue;
        };
        let range = life.range();
        if snapshot.life(TableId(life.table), life.epoch) == Life::Over {
            engine.remove_range(Family::Rows, &range)?;
            removed.push(life);
        }
        match range.end() {
            Some(end) => rest = KeyRange::from(end.clone()),
            None => break,
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use ring::Strategy;
    use ring::register::ChangeId;

    use super::*;
    use crate::metadata::tests::{after, create_table, drop_table, formed, keyspace};
    use crate::metadata::{Change, ClusterMetadata};
    use crate::store::engine::{Batch, Durability};
    use crate::store::memory::MemoryDisk;

    fn truncate() -> Change {
        Change::Truncate { keyspace: "app".to_owned(), name: "t".to_owned() }
    }

    /// Table 0 was dropped; table 1 lives in its epoch 1.
    fn value() -> ClusterMetadata {
        let keyspace = keyspace("app", Strategy::Simple { replication_factor: 3 });
        let create = Change::CreateKeyspace { keyspace, if_not_exists: false };
        let twice = [create_table(false), drop_table(false), create_table(false), truncate()];
        after(formed(), &[&[create], &twice[..]].concat())
    }

    fn put(engine: &dyn Engine, table: u32, epoch: u32) {
        let mut batch = Batch::default();
        for last in [0, 1, 255] {
            let key = [&TableLife { table, epoch }.range().start()[..], &[7; 9], &[last]].concat();
            batch.put(Family::Rows, key, "row");
        }
        engine.commit(&batch, Durability::Unsynced).unwrap();
    }

    fn lives(engine: &dyn Engine) -> Vec<(u32, u32)> {
        let rows = engine.rows(Family::Rows, &KeyRange::all(), Order::Forward, usize::MAX).unwrap();
        let mut lives: Vec<_> = rows
            .iter()
            .filter_map(|(key, _)| TableLife::of_key(key))
            .map(|life| (life.table, life.epoch))
            .collect();
        lives.dedup();
        lives
    }

    #[test]
    fn rows_of_ended_lives_leave_and_those_of_living_and_unknown_ones_stay() {
        let engine = MemoryDisk::new().open();
        for (table, epoch) in [(0, 0), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (u32::MAX, u32::MAX)]
        {
            put(&engine, table, epoch);
        }
        let snapshot = Snapshot::new(value()).unwrap();
        let removed = sweep(&engine, &snapshot).unwrap();
        let removed: Vec<_> = removed.iter().map(|life| (life.table, life.epoch)).collect();
        assert_eq!(removed, [(0, 0), (0, 3), (1, 0)]);
        assert_eq!(lives(&engine), [(1, 1), (1, 2), (2, 0), (u32::MAX, u32::MAX)]);
        assert_eq!(sweep(&engine, &snapshot), Ok(Vec::new()), "there is nothing left to do");
    }

    #[test]
    fn a_write_that_comes_after_the_end_of_its_life_leaves_in_a_later_round() {
        let engine = MemoryDisk::new().open();
        let before = Snapshot::new(value()).unwrap();
        put(&engine, 1, 1);
        assert_eq!(sweep(&engine, &before), Ok(Vec::new()));
        let after = truncate().apply(&before.value, ChangeId(9)).unwrap();
        let after = Snapshot::new(after).unwrap();
        for _ in 0..2 {
            assert_eq!(sweep(&engine, &after).unwrap().len(), 1);
            assert_eq!(lives(&engine), []);
            put(&engine, 1, 1);
        }
    }

    #[tokio::test]
    async fn newer_metadata_begin_a_round_at_once() {
        let engine: Arc<dyn Engine> = Arc::new(MemoryDisk::new().open());
        put(engine.as_ref(), 1, 1);
        let cluster = Arc::new(Cluster::new(ring::HostId(uuid::Uuid::from_u128(1))));
        let value = value();
        cluster.install(Snapshot::new(value.clone()).unwrap());
        let worker = DeadLives { cluster: Arc::clone(&cluster), engine: Arc::clone(&engine) };
        let news = async {
            tokio::task::yield_now().await;
            assert_eq!(lives(engine.as_ref()), [(1, 1)], "a round left what lives");
            let truncated = truncate().apply(&value, ChangeId(9)).unwrap();
            cluster.install(Snapshot::new(truncated).unwrap());
            while !lives(engine.as_ref()).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = worker.run() => panic!("it works for ever"),
            ended = tokio::time::timeout(PAUSE / 10, news) => ended.unwrap(),
        }
    }
}
