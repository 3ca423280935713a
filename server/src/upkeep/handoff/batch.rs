//! Some hints of one host with their rows as they are now, and who is to have them.

use std::collections::BTreeMap;

use bytes::Bytes;
use repair::hint::Hint;
use ring::HostId;

use crate::metadata::{Life, Snapshot, TableId};
use crate::peer::RowList;
use crate::replica::Delivered;
use crate::store::engine::{Engine, EngineError, Family};
use crate::store::keys::RowKey;

/// A batch never has more bytes of rows than this, but for its last row.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Hints with their rows.
pub(super) struct Batch {
    entries: Vec<Entry>,
    bytes: usize,
}

struct Entry {
    delivered: Delivered,
    /// The row, and who is to have it; none where there is nothing to deliver any more.
    row: Option<(Bytes, Vec<HostId>)>,
}

impl Batch {
    /// Reads the rows of hints of `host`, as many as fit; hints of rows that are gone have none.
    ///
    /// # Errors
    /// A row cannot be read.
    pub(super) fn read(
        engine: &dyn Engine,
        snapshot: &Snapshot,
        me: HostId,
        host: HostId,
        hints: &[(Bytes, Bytes)],
    ) -> Result<Self, EngineError> {
        let mut batch = Self { entries: Vec::with_capacity(hints.len()), bytes: 0 };
        for (key, value) in hints {
            let Ok(hint) = Hint::read(key, value) else { continue };
            let row = key.slice_ref(hint.row);
            let owners = owners(snapshot, &row);
            let stored = match &owners {
                Some(_) => engine.get(Family::Rows, &row)?,
                None => None,
            };
            let is_owner = owners.as_ref().is_some_and(|owners| owners.contains(&me));
            let delivered = Delivered {
                hint: key.clone(),
                hint_value: value.clone(),
                row,
                held: stored.clone().filter(|_| !is_owner),
            };
            let row = stored.zip(owners).map(|(row, owners)| {
                batch.bytes += delivered.row.len() + row.len();
                (row, receivers(owners, me, host))
            });
            batch.entries.push(Entry { delivered, row });
        }
        Ok(batch)
    }

    /// The bytes of keys and rows.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What each receiver gets, in pieces.
    pub(super) fn sends(&self) -> impl Iterator<Item = (HostId, Bytes)> {
        let mut lists: BTreeMap<HostId, Vec<RowList>> = BTreeMap::new();
        for entry in &self.entries {
            let Some((row, receivers)) = &entry.row else { continue };
            for to in receivers {
                let lists = lists.entry(*to).or_default();
                if lists.last().is_none_or(|list| list.len() >= BATCH_BYTES_MAX) {
                    lists.push(RowList::default());
                }
                let list = lists.last_mut().expect("one was just made sure of");
                list.push(&entry.delivered.row, row);
            }
        }
        let piece = |to| move |list: RowList| (to, list.into_body());
        lists.into_iter().flat_map(move |(to, lists)| lists.into_iter().map(piece(to)))
    }

    /// Who is to have some of it.
    pub(super) fn receivers(&self) -> impl Iterator<Item = HostId> + '_ {
        self.entries.iter().filter_map(|entry| entry.row.as_ref()).flat_map(|(_, to)| to).copied()
    }

    /// What may be forgotten when these have all that was sent to them.
    pub(super) fn delivered_to(&self, reached: &[HostId]) -> Vec<Delivered> {
        let is_delivered = |entry: &&Entry| match &entry.row {
            None => true,
            Some((_, receivers)) => receivers.iter().all(|to| reached.contains(to)),
        };
        self.entries.iter().filter(is_delivered).map(|entry| entry.delivered.clone()).collect()
    }
}

/// The bytes of the rows of these hints that `me` holds for others.
///
/// # Errors
/// A row cannot be read.
pub(super) fn held_bytes(
    engine: &dyn Engine,
    snapshot: &Snapshot,
    me: HostId,
    hints: &[(Bytes, Bytes)],
) -> Result<u64, EngineError> {
    let mut bytes = 0;
    for (key, value) in hints {
        let Ok(hint) = Hint::read(key, value) else { continue };
        let row = key.slice_ref(hint.row);
        if owners(snapshot, &row).is_some_and(|owners| !owners.contains(&me)) {
            let stored = engine.get(Family::Rows, &row)?;
            bytes += stored.map_or(0, |stored| row.len() + stored.len()) as u64;
        }
    }
    Ok(bytes)
}

/// The present owners of a row; none where its life is over.
fn owners(snapshot: &Snapshot, row: &Bytes) -> Option<Vec<HostId>> {
    let key = RowKey::read(row.clone()).ok()?;
    let life = key.life();
    let id = TableId(life.table);
    if snapshot.life(id, life.epoch) == Life::Over {
        return None;
    }
    // A life that is not known yet begins in newer metadata: its row has owners then.
    let Some(table) = snapshot.table_by_id(id) else { return Some(Vec::new()) };
    let keyspace = snapshot.keyspaces.get(&table.keyspace)?;
    let partition = snapshot.ring.partition_of(key.token());
    Some(keyspace.placement.replicas(partition).to_vec())
}

/// Who is to have a row that `host` has missed: an owner tells the host alone, unless it owns nothing
/// of the row any more; a stand-in tells all owners.
fn receivers(owners: Vec<HostId>, me: HostId, host: HostId) -> Vec<HostId> {
    if owners.contains(&me) && owners.contains(&host) {
        return vec![host];
    }
    owners.into_iter().filter(|owner| *owner != me).collect()
}
