//! Reads of stretches of keys from a stale copy here and two other replicas.

use repair::cells::{Row, WriteStamp};

use super::*;
use crate::coord::RangeRead;
use crate::store::engine::{KeyRange, Order};

impl Restarted {
    fn life(&self) -> TableLife {
        TableLife { table: self.cells.id.0, epoch: self.cells.epoch }
    }

    /// The key of a row in one of many partitions.
    fn key_at(&self, token: i64, row: &[u8]) -> Bytes {
        RowKey::new(self.life(), Token::new(token), b"p", row).into()
    }

    /// Rows spread over the ring, at the peers only.
    fn spread_rows(&self) -> Vec<Bytes> {
        let tokens = (-6..6).map(|step: i64| step * (i64::MAX / 7));
        let keys: Vec<Bytes> = tokens.map(|token| self.key_at(token, b"r")).collect();
        for (peer, key) in
            self.peers.iter().flat_map(|peer| keys.iter().map(move |key| (peer, key)))
        {
            peer.stored.lock().unwrap().insert(key.clone(), inserted(5).encode().into());
        }
        keys
    }

    fn scan(&self, range: KeyRange, rows_max: u32) -> RangeRead {
        RangeRead {
            table: Arc::clone(&self.cells),
            tokens: Token::MIN..=Token::MAX,
            range,
            rows_max,
            order: Order::Forward,
            level: Consistency::Quorum,
        }
    }
}

fn inserted(timestamp: i64) -> Row {
    let mut row = Row::default();
    row.mark(WriteStamp { timestamp, operation: 0 }, Expiry::Never);
    row
}

#[tokio::test]
async fn a_scan_in_pages_shows_each_row_once_though_one_replica_lacks_them_and_one_fails() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    let keys = restarted.spread_rows();
    restarted.peers[0].refusal.set(Refusal::StoreFailed).unwrap();
    let mut range = restarted.life().range();
    let mut shown = Vec::new();
    loop {
        let page = restarted.coordinator.read_range(&restarted.scan(range.clone(), 5)).await;
        let page = page.unwrap();
        shown.extend(page.rows.into_iter().map(|(key, _)| key));
        let Some(last) = page.resume_after else { break };
        range = range.after(&last);
    }
    assert_eq!(shown, keys);
}

#[tokio::test]
async fn a_scan_that_too_few_replicas_answer_is_a_timeout_with_the_counts() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    for peer in &restarted.peers {
        peer.refusal.set(Refusal::StoreFailed).unwrap();
    }
    let scan = restarted.scan(restarted.life().range(), 5);
    let timeout = ReadError::Timeout { level: scan.level, received: 1, required: 2 };
    assert_eq!(restarted.coordinator.read_range(&scan).await, Err(timeout));
}

#[tokio::test]
async fn a_scan_with_too_few_live_replicas_asks_nobody() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    restarted.coordinator.cluster.set_alive(BTreeSet::new());
    let scan = restarted.scan(restarted.life().range(), 5);
    let unavailable = ReadError::Unavailable { level: scan.level, required: 2, alive: 1 };
    assert_eq!(restarted.coordinator.read_range(&scan).await, Err(unavailable));
    assert!(restarted.peers.iter().all(|peer| peer.reads.load(Ordering::Relaxed) == 0));
}

#[tokio::test]
async fn a_row_that_is_here_is_hidden_by_a_range_tombstone_that_the_others_have() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    for row in [&b"a"[..], b"b"] {
        let key = restarted.key_at(0, row);
        let rows = vec![(key, inserted(5).encode().into())];
        restarted.coordinator.replica.apply(rows, &[]).await.unwrap();
    }
    let partition = RowKey::read(restarted.key_at(0, b"a")).unwrap().partition();
    let mut ranges = Ranges::default();
    ranges.cover(Bytes::from_static(b"b"), None, 7);
    for peer in &restarted.peers {
        let head = (partition.as_bytes().clone(), ranges.encode().into());
        peer.stored.lock().unwrap().extend([head]);
    }
    let tokens = Token::new(0)..=Token::new(0);
    let read = RangeRead { tokens, ..restarted.scan(partition.range(), 5) };
    let page = restarted.coordinator.read_range(&read).await.unwrap();
    let lives = |row: &RowCopy| matches!(row, RowCopy::Cells(row) if row.is_living(0));
    let lives: Vec<bool> = page.rows.iter().map(|(_, row)| lives(row)).collect();
    assert_eq!(lives, [true, false]);
}
