//! Several rows of one partition in one write.

use super::*;

impl Restarted {
    /// A replica that may mint, and two others that are ready.
    async fn confirmed() -> Self {
        let confirmed = Self::with_peers([true, true], 1).await;
        let store = confirmed.commits.standing().store;
        confirmed.commits.handle().confirm(store, None, StoreId(9)).await.unwrap();
        confirmed
    }

    /// A removal of a row, without context.
    fn removal(&self, row: &[u8]) -> RowChange {
        let mut removal = self.insert(row);
        if let RowChange::Versioned { write, reads_first, .. } = &mut removal {
            write.change = repair::version::Change::Remove;
            *reads_first = true;
        }
        removal
    }
}

#[tokio::test]
async fn rows_of_one_write_are_stamped_together_and_sent_together() {
    let confirmed = Restarted::confirmed().await;
    let changes = [&b"a"[..], b"b", b"a"].map(|row| confirmed.insert(row)).to_vec();
    let mut write = write_of(changes);
    write.level = Consistency::All;
    let written = confirmed.coordinator.write(write).await.unwrap().written;
    let versions: Vec<usize> = written.iter().map(|it| it.row.versions().len()).collect();
    assert_eq!(versions.len(), 3, "each change is answered");
    for peer in &confirmed.peers {
        let applied = peer.applied.lock().unwrap();
        let [rows] = &applied[..] else { panic!("{applied:?}") };
        let sent: BTreeSet<_> = rows.iter().map(|(key, _)| key.clone()).collect();
        let expected = [&b"a"[..], b"b"].map(|row| confirmed.key(row).into());
        assert_eq!((sent, rows.len()), (BTreeSet::from(expected), 2));
        for (key, row) in rows {
            let key = RowKey::read(key.clone()).unwrap();
            let here = confirmed.fetch(key.clustering()).map(|row| row.encode());
            assert_eq!(here.as_deref(), Some(&row[..]), "the last state is sent");
        }
    }
}

#[tokio::test]
async fn each_delete_without_context_removes_what_it_reads_first() {
    let confirmed = Restarted::confirmed().await;
    let inserts = [&b"a"[..], b"b"].map(|row| confirmed.insert(row)).to_vec();
    confirmed.coordinator.write(write_of(inserts)).await.unwrap();
    let removals = [&b"a"[..], b"b"].map(|row| confirmed.removal(row)).to_vec();
    let written = confirmed.coordinator.write(write_of(removals)).await.unwrap().written;
    assert_eq!(written.iter().map(|it| it.replaced).collect::<Vec<_>>(), [1, 1]);
    assert!(written.iter().all(|it| it.row.is_tombstone()));
}

#[tokio::test]
async fn a_delete_that_cannot_read_first_leaves_the_whole_write_undone() {
    let mut confirmed = Restarted::confirmed().await;
    confirmed.coordinator.patience.write = Duration::from_millis(300);
    for peer in &confirmed.peers {
        peer.refusal.set(Refusal::StoreFailed).unwrap();
    }
    let mut write = write_of(vec![confirmed.insert(b"a"), confirmed.removal(b"b")]);
    let level = Consistency::Quorum;
    write.level = level;
    let outcome = confirmed.coordinator.write(write).await;
    assert_eq!(outcome, Err(WriteError::Timeout { level, received: 0, required: 2 }));
    assert_eq!(confirmed.fetch(b"a"), None);
}

#[tokio::test]
async fn a_forwarded_write_is_read_as_it_was_sent() {
    let restarted = Restarted::with_peers([true, true], 1).await;
    let cells = RowChange::Cells {
        table: Arc::clone(&restarted.cells),
        key: restarted.key(b"c").into(),
        operand: Bytes::from_static(b"operand"),
    };
    let write = write_of(vec![restarted.insert(b"a"), restarted.removal(b"b"), cells]);
    let tables = [&restarted.table, &restarted.table, &restarted.cells];
    let rows = RowList::read(forwarded_body(&write)).unwrap();
    let placed = |((key, body), table): ((Bytes, Bytes), &Arc<Table>)| {
        (Arc::clone(table), RowKey::read(key).unwrap(), body)
    };
    let changes: Vec<_> = rows.into_iter().zip(tables).map(placed).collect();
    let read = |changes| read_forwarded(changes, write.level, SiblingLimits::default());
    assert_eq!(format!("{:?}", read(changes.clone()).unwrap()), format!("{write:?}"));
    let mut elsewhere = changes;
    let life = TableLife { table: restarted.table.id.0, epoch: restarted.table.epoch };
    elsewhere[1].1 = RowKey::new(life, Token::new(1), b"k", b"b");
    assert!(read(elsewhere).is_none(), "rows of two partitions are no write of one");
}
