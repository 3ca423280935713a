//! Writes of cells alone, and requests that meet newer metadata.

use repair::cells::{Row, WriteStamp};

use super::*;

impl Restarted {
    fn cells_key(&self) -> RowKey {
        let life = TableLife { table: self.cells.id.0, epoch: self.cells.epoch };
        RowKey::new(life, Token::new(0), b"k", b"c")
    }

    fn operand() -> Bytes {
        let mut row = Row::default();
        row.mark(WriteStamp { timestamp: 5, operation: 1 }, Expiry::Never);
        row.encode().into()
    }

    fn cells_write(&self, level: Consistency) -> PartitionWrite {
        let (table, key) = (Arc::clone(&self.cells), self.cells_key().into());
        let changes = vec![RowChange::Cells { table, key, operand: Self::operand() }];
        PartitionWrite { token: Token::new(0), changes, level }
    }

    fn cells_here(&self) -> Option<RowCopy> {
        self.coordinator.replica.fetch(Conflict::Lww, &self.cells_key()).unwrap()
    }

    /// How often each peer was sent rows to merge.
    fn sent(&self) -> [usize; 2] {
        [0, 1].map(|at| self.peers[at].applied.lock().unwrap().len())
    }

    /// Both peers refuse, for they know that the tables were dropped.
    fn drop_tables_at_the_peers(&self) {
        let mut value = self.coordinator.cluster.snapshot().unwrap().value.clone();
        for name in ["t", "cells"] {
            let (keyspace, name) = ("app".to_owned(), name.to_owned());
            let change = Change::DropTable { keyspace, name, if_exists: false };
            value = change.apply(&value, ChangeId(value.epoch.into())).unwrap();
        }
        for peer in &self.peers {
            peer.refusal.set(Refusal::TableEnded { epoch: value.epoch }).unwrap();
            peer.metadata.set(value.encode()).unwrap();
        }
    }
}

/// The answer to a write of cells that so many replicas have.
fn taken_by(replicas: u32) -> Carried {
    Carried { written: Vec::new(), footing: Footing { replicas, stand_ins: 0 } }
}

#[tokio::test]
async fn cells_go_to_every_replica_as_they_are_and_nothing_is_read_or_minted() {
    // This store may not mint: cells need no dot.
    let restarted = Restarted::with_peers([true, true], 1).await;
    let written = restarted.coordinator.write(restarted.cells_write(Consistency::All)).await;
    assert_eq!(written, Ok(taken_by(3)));
    let row = (Bytes::from(restarted.cells_key()), Restarted::operand());
    for peer in &restarted.peers {
        assert_eq!(*peer.applied.lock().unwrap(), [vec![row.clone()]]);
        assert_eq!(peer.reads.load(Ordering::Relaxed), 0);
        assert_eq!(peer.writes.load(Ordering::Relaxed), 0, "nothing is forwarded");
    }
    let here = RowCopy::decode(Conflict::Lww, &Restarted::operand()).unwrap();
    assert_eq!(restarted.cells_here(), Some(here));
}

#[tokio::test]
async fn cells_that_too_few_replicas_could_take_are_sent_to_nobody() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    restarted.coordinator.cluster.set_alive(BTreeSet::from([host(2)]));
    let level = Consistency::All;
    let outcome = restarted.coordinator.write(restarted.cells_write(level)).await;
    assert_eq!(outcome, Err(WriteError::Unavailable { level, required: 3, alive: 2 }));
    assert_eq!((restarted.sent(), restarted.cells_here()), ([0, 0], None));
}

#[tokio::test]
async fn cells_that_too_few_replicas_took_are_a_timeout_with_the_counts() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    restarted.peers[0].refusal.set(Refusal::StoreFailed).unwrap();
    let level = Consistency::All;
    let outcome = restarted.coordinator.write(restarted.cells_write(level)).await;
    assert_eq!(outcome, Err(WriteError::Timeout { level, received: 2, required: 3 }));
    assert_eq!(
        restarted.coordinator.write(restarted.cells_write(Consistency::Quorum)).await,
        Ok(taken_by(2))
    );
}

#[tokio::test]
async fn cells_reach_the_other_replicas_also_after_the_answer() {
    let restarted = Restarted::on_a_hanging_disk([true, true], 1).await;
    let written = restarted.coordinator.write(restarted.cells_write(Consistency::One)).await;
    assert_eq!(written, Ok(taken_by(1)), "one of the others has them");
    for peer in &restarted.peers {
        tokio::time::timeout(WAIT, peer.was_sent.notified()).await.expect("the cells are sent");
    }
    restarted.may_commit.notify_one();
    let written = async {
        while restarted.cells_here().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT, written).await.expect("this node's own copy takes them as well");
}

#[tokio::test]
async fn a_write_for_an_ended_life_of_its_table_is_to_be_planned_again() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    restarted.drop_tables_at_the_peers();
    let level = Consistency::Quorum;
    let outcome = restarted.coordinator.write(restarted.cells_write(level)).await;
    assert_eq!(outcome, Err(WriteError::Outdated));
    assert_eq!(restarted.sent(), [1, 1], "it is not sent again");
    let snapshot = restarted.coordinator.cluster.snapshot().unwrap();
    assert!(snapshot.table("app", "cells").is_none(), "the newer metadata are here now");
}

#[tokio::test]
async fn a_read_for_an_ended_life_of_its_table_is_to_be_planned_again() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    restarted.drop_tables_at_the_peers();
    let (table, key) = (Arc::clone(&restarted.cells), restarted.cells_key());
    let read = RowRead { table, key, level: Consistency::Quorum, at_least: None };
    assert_eq!(restarted.coordinator.read_row(read).await, Err(ReadError::Outdated));
}
