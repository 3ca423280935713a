//! A DELETE that one of three copies missed: what that copy may still do for whoever knows of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use repair::version::{
    Change, Column, ColumnChange, Columns, Expiry, SafeRule, StampError, VersionVector,
};
use ring::{HostId, Strategy, Tally};
use starling_server::coord::{Asking, Footing, FoundRow, Hosts, ReadOp, ReadStep};
use starling_server::metadata::Conflict;
use starling_server::replica::{RowCopy, StampFailure};
use types::Consistency;
use uuid::Uuid;

use super::store::{Refused, Store, key, write};

/// Three copies of one row of two columns. It was deleted at the first, and the second heard of
/// it; the third missed it and has the row still.
struct Removed {
    first: Store,
    second: Store,
    third: Store,
    /// What the client of the DELETE has seen.
    context: VersionVector,
}

fn removed_at_two_of_three() -> Removed {
    let [mut first, mut second, mut third] = [1, 2, 3].map(Store::new);
    let column = |id, value| Column { id, value, expiry: Expiry::Never };
    let columns = Columns::from_iter([column(1, b"old"), column(2, b"deleted")]);
    let insert = Change::Insert { columns, marker: Expiry::Never };
    let insert = write(&VersionVector::default(), insert);
    let row = first.stamp(key(1), insert, SafeRule).expect("there is room").row;
    for other in [&mut second, &mut third] {
        other.apply(key(1), row.clone(), SafeRule).expect("there is room");
    }
    let removal = write(row.vector(), Change::Remove);
    let tombstone = first.stamp(key(1), removal, SafeRule).expect("there is room").row;
    second.apply(key(1), tombstone.clone(), SafeRule).expect("there is room");
    assert!(tombstone.is_tombstone());
    assert_eq!(third.row(&key(1)), Some(row));
    Removed { first, second, third, context: tombstone.vector().clone() }
}

fn copy(store: &Store) -> Option<RowCopy> {
    store.row(&key(1)).map(RowCopy::Siblings)
}

#[test]
fn an_update_that_knows_of_a_delete_never_starts_from_the_row_of_a_replica_that_missed_it() {
    let Removed { first, mut third, context, .. } = removed_at_two_of_three();
    let value = Bytes::from_static(b"new");
    let set = BTreeMap::from([(1, ColumnChange::Set { value, expiry: Expiry::Never })]);
    let update = write(&context, Change::Update(set));
    let refused = third.stamp(key(1), update.clone(), SafeRule);
    let lacking = Refused::Copy(StampFailure::Row(StampError::MissingHistory));
    assert_eq!(refused, Err(lacking));
    third.apply(key(1), first.row(&key(1)).unwrap(), SafeRule).unwrap();
    let row = third.stamp(key(1), update, SafeRule).unwrap().row;
    let [made] = row.versions() else { panic!("{row:?}") };
    let columns: Vec<_> = made.columns.iter().map(|column| (column.id, column.value)).collect();
    assert_eq!(columns, [(1, &b"new"[..])]);
}

#[test]
fn a_select_after_ones_own_delete_is_never_answered_by_a_replica_that_missed_it() {
    let Removed { first, second, third, context } = removed_at_two_of_three();
    let hosts = [3, 2, 1].map(|number| HostId(Uuid::from_u128(number)));
    let strategy = Strategy::Simple { replication_factor: 3 };
    let tally = Tally::new(Consistency::One, &strategy, "dc", hosts.map(|host| (host, "dc")));
    let (mut read, steps) = ReadOp::ask(Asking {
        replicas: hosts.into_iter().collect(),
        stand_ins: Hosts::new(),
        others: Hosts::new(),
        tally,
        write_quorum: None,
        conflict: Conflict::Siblings,
        at_least: Some(context),
    });
    let ask = |of| ReadStep::AskRow { of, as_stand_in: false };
    assert_eq!(steps[..], [ask(hosts[0])]);
    let steps = read.on_row(hosts[0], copy(&third));
    assert_eq!(steps[..], [hosts[1], hosts[2]].map(ask));
    let steps = read.on_row(hosts[1], copy(&second));
    let row = copy(&first).unwrap();
    let footing = Footing { replicas: 2, stand_ins: 0 };
    let found = ReadStep::Answer(Ok(FoundRow { row: row.clone(), footing }));
    assert_eq!(steps[..], [found, ReadStep::RepairLater { to: hosts[0], row }]);
}
