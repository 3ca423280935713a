//! Which life of a table a request is about, and whether that life still lasts.
//!
//! TRUNCATE and DROP end a life of a table, and the key of every row names the life that it belongs
//! to. Law: what is over is never acknowledged. So a replica looks twice, before it carries a request
//! out and before it answers: newer metadata may have come meanwhile. Whoever asked takes the newer
//! metadata and asks anew. Pure.

use std::sync::Arc;

use crate::metadata::{Life, Snapshot, Table, TableId};
use crate::peer::Refusal;
use crate::store::keys::TableLife;

/// The table whose living rows `life` names.
///
/// # Errors
/// [`Refusal::TableEnded`] where that life is over, [`Refusal::UnknownTable`] where it begins in
/// metadata that this node does not have.
pub(super) fn living(snapshot: &Snapshot, life: TableLife) -> Result<&Arc<Table>, Refusal> {
    let id = TableId(life.table);
    match (snapshot.life(id, life.epoch), snapshot.table_by_id(id)) {
        (Life::Living, Some(table)) => Ok(table),
        (Life::Over, _) => Err(Refusal::TableEnded { epoch: snapshot.epoch() }),
        _ => Err(Refusal::UnknownTable { table: life.table }),
    }
}

#[cfg(test)]
mod tests {
    use ring::Strategy;
    use ring::register::ChangeId;

    use super::*;
    use crate::metadata::tests::{after, create_table, drop_table, formed, keyspace};
    use crate::metadata::{Change, ClusterMetadata};

    fn with_table() -> ClusterMetadata {
        let strategy = Strategy::Simple { replication_factor: 3 };
        let keyspace = keyspace("app", strategy);
        let create = Change::CreateKeyspace { keyspace, if_not_exists: false };
        after(formed(), &[create, create_table(false)])
    }

    fn life_of(snapshot: &Snapshot) -> TableLife {
        let table = snapshot.table("app", "t").unwrap();
        TableLife { table: table.id.0, epoch: table.epoch }
    }

    fn changed(value: &ClusterMetadata, change: &Change) -> Snapshot {
        Snapshot::new(change.apply(value, ChangeId(1)).unwrap()).unwrap()
    }

    #[test]
    fn a_life_lasts_until_the_table_is_truncated_or_dropped() {
        let value = with_table();
        let before = Snapshot::new(value.clone()).unwrap();
        let life = life_of(&before);
        assert_eq!(living(&before, life).unwrap().name, "t");
        let truncate = Change::Truncate { keyspace: "app".to_owned(), name: "t".to_owned() };
        for change in [truncate, drop_table(false)] {
            let after = changed(&value, &change);
            let ended = Refusal::TableEnded { epoch: after.epoch() };
            assert_eq!(living(&after, life).unwrap_err(), ended);
        }
    }

    #[test]
    fn a_life_of_newer_metadata_is_unknown_and_not_over() {
        let value = with_table();
        let before = Snapshot::new(value.clone()).unwrap();
        let truncate = Change::Truncate { keyspace: "app".to_owned(), name: "t".to_owned() };
        let truncated = life_of(&changed(&value, &truncate));
        let next = TableLife { table: truncated.table + 1, epoch: 0 };
        for unknown in [truncated, next] {
            let refusal = Refusal::UnknownTable { table: unknown.table };
            assert_eq!(living(&before, unknown).unwrap_err(), refusal);
        }
    }
}
