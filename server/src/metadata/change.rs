//! Changes of the cluster's metadata: pure functions from one value to the next.

use ring::register::{Acceptors, ChangeId, Changes, ReplaceError};
use ring::{HostId, Node, StoreId, Strategy};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::alter::{Alteration, truncate};
use super::schema::{Column, ColumnId, Conflict, Keyspace, Schema, Table, TableId, TableSpec};
use super::value::{ClusterMetadata, Member, Secrets};

/// Something that the register is asked to do to its value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// A node registers, or tells that its store or its addresses are other ones now.
    Join(Member),
    /// CREATE KEYSPACE.
    CreateKeyspace {
        /// The keyspace, without tables.
        keyspace: Keyspace,
        /// Whether an existing one is no error.
        if_not_exists: bool,
    },
    /// ALTER KEYSPACE.
    AlterKeyspace {
        /// Which one.
        name: String,
        /// The replication that the statement names, if it does.
        strategy: Option<Strategy>,
        /// The new setting, if the statement names one.
        durable_writes: Option<bool>,
        /// The new conflict mode of tables to come, if the statement names one.
        conflict: Option<Conflict>,
        /// Whether stand-ins count in tables to come, if the statement says.
        sloppy_quorum: Option<bool>,
    },
    /// DROP KEYSPACE, with all its tables.
    DropKeyspace {
        /// Which one.
        name: String,
        /// Whether a missing one is no error.
        if_exists: bool,
    },
    /// CREATE TABLE.
    CreateTable {
        /// What is asked for.
        spec: TableSpec,
        /// The asking node's default, where neither table nor keyspace names a conflict mode.
        default_conflict: Conflict,
        /// Whether an existing one is no error.
        if_not_exists: bool,
    },
    /// DROP TABLE.
    DropTable {
        /// The keyspace of the table.
        keyspace: String,
        /// Its name.
        name: String,
        /// Whether a missing one is no error.
        if_exists: bool,
    },
    /// One store takes another's part in the agreement.
    ReplaceAcceptor {
        /// The store that is lost.
        old: StoreId,
        /// The store that takes its part.
        new: StoreId,
    },
    /// ALTER TABLE.
    AlterTable {
        /// The keyspace of the table.
        keyspace: String,
        /// Its name.
        name: String,
        /// What is to be different.
        alteration: Alteration,
        /// Whether a missing one is no error.
        if_exists: bool,
    },
    /// TRUNCATE.
    Truncate {
        /// The keyspace of the table.
        keyspace: String,
        /// Its name.
        name: String,
    },
}

/// Why a change was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ChangeError {
    /// A keyspace of this name exists.
    #[error("keyspace {keyspace} already exists")]
    KeyspaceExists {
        /// Its name.
        keyspace: String,
    },
    /// A table of this name exists.
    #[error("table {keyspace}.{table} already exists")]
    TableExists {
        /// The keyspace of the table.
        keyspace: String,
        /// Its name.
        table: String,
    },
    /// There is no such keyspace.
    #[error("keyspace {keyspace} does not exist")]
    NoKeyspace {
        /// The name that was given.
        keyspace: String,
    },
    /// There is no such table.
    #[error("table {keyspace}.{table} does not exist")]
    NoTable {
        /// The keyspace that was named.
        keyspace: String,
        /// The name that was given.
        table: String,
    },
    /// The cluster is still being formed.
    #[error("{joined} of {needed} nodes have registered: the cluster takes no keyspace yet")]
    NotFormed {
        /// How many members own partitions.
        joined: usize,
        /// How many must.
        needed: u32,
    },
    /// The replication of a keyspace cannot be changed yet.
    #[error(
        "the replication of keyspace {keyspace} cannot be changed: its data would have to move"
    )]
    ReplicationFixed {
        /// The keyspace.
        keyspace: String,
    },
    /// A strategy names a data center that no member is in.
    #[error("unrecognized data center {datacenter} in the replication of keyspace {keyspace}")]
    NoDatacenter {
        /// The keyspace.
        keyspace: String,
        /// The data center that was named.
        datacenter: String,
    },
    /// The store to be replaced takes no part in the agreement, or the other one does already.
    #[error("{why}")]
    Acceptors {
        /// What stands in the way.
        why: String,
    },
    /// The store that should take part belongs to no member.
    #[error("store {store} belongs to no registered node")]
    NoMember {
        /// The store that was named.
        store: StoreId,
    },
    /// A column of this name exists.
    #[error("Column with name '{column}' already exists in table {table}")]
    ColumnExists {
        /// The column.
        column: String,
        /// The table with its keyspace.
        table: String,
    },
    /// There is no such column.
    #[error("Column {column} was not found in table {table}")]
    NoColumn {
        /// The name that was given.
        column: String,
        /// The table with its keyspace.
        table: String,
    },
    /// A column of the key stays.
    #[error("Cannot drop PRIMARY KEY column {column}")]
    KeyColumnDropped {
        /// The column.
        column: String,
    },
    /// Only the columns of the key can be called otherwise.
    #[error("Cannot rename non PRIMARY KEY column {column}")]
    RegularColumnRenamed {
        /// The column.
        column: String,
    },
    /// The new name of a column is that of another one.
    #[error("Cannot rename column {from} to {to} in table {table}: another column has that name")]
    ColumnNameTaken {
        /// The column.
        from: String,
        /// Its new name.
        to: String,
        /// The table with its keyspace.
        table: String,
    },
    /// More columns than a table can have.
    #[error("A table has at most {max} columns")]
    TooManyColumns {
        /// How many it can have.
        max: usize,
    },
    /// So many columns were added and dropped that no number is left for another.
    #[error(
        "table {table} was given {max} columns in its time and takes no more: copy it to a new one"
    )]
    ColumnsUsedUp {
        /// The table with its keyspace.
        table: String,
        /// How many it takes.
        max: u32,
    },
    /// The table was truncated as often as it can be.
    #[error("table {table} cannot be truncated any more: drop it")]
    LivesUsedUp {
        /// The table with its keyspace.
        table: String,
    },
}

/// Why a change makes no new value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Declined {
    /// Everything is as the change wants it.
    Nothing,
    /// The current value refuses it.
    Refused(ChangeError),
}

impl From<ChangeError> for Declined {
    fn from(error: ChangeError) -> Self {
        Self::Refused(error)
    }
}

/// What the first value of a cluster is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Founding {
    /// A random id.
    pub cluster_id: Uuid,
    /// The name from the configuration.
    pub name: String,
    /// How many equal partitions the ring is cut into.
    pub partitions: u32,
    /// How many partitions in a row have different owners.
    pub claim_spread: u32,
    /// How many members must own partitions before the first keyspace.
    pub nodes_min: u32,
    /// The founding node.
    pub member: Member,
    /// Random keys.
    pub secrets: Secrets,
}

impl Founding {
    /// The first value: one member, who owns everything until others register.
    pub fn value(&self, acceptors: Acceptors) -> ClusterMetadata {
        let host = self.member.host;
        ClusterMetadata {
            cluster_id: self.cluster_id,
            name: self.name.clone(),
            epoch: 1,
            acceptors,
            partitions: self.partitions,
            claim_spread: self.claim_spread,
            nodes_min: self.nodes_min,
            members: vec![self.member.clone()],
            owners: vec![host; self.partitions as usize],
            schema: Schema::default(),
            secrets: self.secrets.clone(),
            changes: Changes::default(),
        }
    }
}

impl Change {
    /// The value after this change, under the next epoch and remembering `id`.
    ///
    /// # Errors
    /// [`Declined`], where there is to be no new value.
    pub fn apply(
        &self,
        current: &ClusterMetadata,
        id: ChangeId,
    ) -> Result<ClusterMetadata, Declined> {
        let mut next = current.clone();
        self.change(&mut next)?;
        if next == *current {
            return Err(Declined::Nothing);
        }
        next.epoch += 1;
        next.changes.remember(id, next.epoch);
        Ok(next)
    }

    fn change(&self, next: &mut ClusterMetadata) -> Result<(), ChangeError> {
        match self {
            Self::Join(member) => {
                join(next, member);
                Ok(())
            }
            Self::CreateKeyspace { keyspace, if_not_exists } => {
                create_keyspace(next, keyspace, *if_not_exists)
            }
            Self::AlterKeyspace { name, strategy, durable_writes, conflict, sloppy_quorum } => {
                let keyspace = keyspace_mut(next, name)?;
                if strategy.as_ref().is_some_and(|asked| *asked != keyspace.strategy) {
                    return Err(ChangeError::ReplicationFixed { keyspace: name.clone() });
                }
                keyspace.durable_writes = durable_writes.unwrap_or(keyspace.durable_writes);
                keyspace.conflict = conflict.or(keyspace.conflict);
                keyspace.sloppy_quorum = sloppy_quorum.or(keyspace.sloppy_quorum);
                Ok(())
            }
            Self::DropKeyspace { name, if_exists } => {
                let dropped = next.schema.keyspaces.remove(name);
                if dropped.is_none() && !if_exists {
                    return Err(ChangeError::NoKeyspace { keyspace: name.clone() });
                }
                Ok(())
            }
            Self::CreateTable { spec, default_conflict, if_not_exists } => {
                create_table(next, spec, *default_conflict, *if_not_exists)
            }
            Self::DropTable { keyspace, name, if_exists } => {
                drop_table(next, keyspace, name, *if_exists)
            }
            Self::ReplaceAcceptor { old, new } => replace_acceptor(next, *old, *new),
            Self::AlterTable { keyspace, name, alteration, if_exists } => {
                match table_mut(next, keyspace, name) {
                    Err(ChangeError::NoTable { .. }) if *if_exists => Ok(()),
                    table => alteration.alter(table?),
                }
            }
            Self::Truncate { keyspace, name } => truncate(table_mut(next, keyspace, name)?),
        }
    }
}

/// Registers a node. Partitions are given out only while there is no keyspace: moving them under
/// data needs hand-over. A node that comes later coordinates and owns nothing.
fn join(next: &mut ClusterMetadata, member: &Member) {
    match next.members.binary_search_by_key(&member.host, |known| known.host) {
        Ok(at) => next.members[at] = member.clone(),
        Err(at) => {
            next.members.insert(at, member.clone());
            if next.schema.keyspaces.is_empty() {
                next.owners = claim(next);
            }
        }
    }
}

fn claim(next: &ClusterMetadata) -> Vec<HostId> {
    let nodes: Vec<Node> = next.members.iter().map(Member::node).collect();
    let mut current: Vec<Option<HostId>> = next.owners.iter().copied().map(Some).collect();
    current.resize(next.partitions as usize, None);
    let claimed = ring::claim(&nodes, &current, next.claim_spread as usize);
    claimed.expect("a cluster has members, each once, and partitions")
}

fn create_keyspace(
    next: &mut ClusterMetadata,
    keyspace: &Keyspace,
    if_not_exists: bool,
) -> Result<(), ChangeError> {
    if !next.is_formed() {
        return Err(ChangeError::NotFormed { joined: next.owner_count(), needed: next.nodes_min });
    }
    if next.schema.keyspaces.contains_key(&keyspace.name) {
        let exists = ChangeError::KeyspaceExists { keyspace: keyspace.name.clone() };
        return if if_not_exists { Ok(()) } else { Err(exists) };
    }
    if let Strategy::NetworkTopology(factors) = &keyspace.strategy
        && let Some(unknown) = factors
            .keys()
            .find(|name| !next.members.iter().any(|member| member.datacenter == **name))
    {
        return Err(ChangeError::NoDatacenter {
            keyspace: keyspace.name.clone(),
            datacenter: unknown.clone(),
        });
    }
    next.schema.keyspaces.insert(keyspace.name.clone(), keyspace.clone());
    Ok(())
}

fn keyspace_mut<'a>(
    next: &'a mut ClusterMetadata,
    name: &str,
) -> Result<&'a mut Keyspace, ChangeError> {
    let missing = || ChangeError::NoKeyspace { keyspace: name.to_owned() };
    next.schema.keyspaces.get_mut(name).ok_or_else(missing)
}

fn create_table(
    next: &mut ClusterMetadata,
    spec: &TableSpec,
    default_conflict: Conflict,
    if_not_exists: bool,
) -> Result<(), ChangeError> {
    let id = TableId(next.schema.next_table);
    let keyspace = keyspace_mut(next, &spec.keyspace)?;
    if keyspace.tables.contains_key(&spec.name) {
        let exists =
            ChangeError::TableExists { keyspace: spec.keyspace.clone(), table: spec.name.clone() };
        return if if_not_exists { Ok(()) } else { Err(exists) };
    }
    let conflict = spec.conflict.or(keyspace.conflict).unwrap_or(default_conflict);
    let sloppy_quorum = spec.sloppy_quorum.or(keyspace.sloppy_quorum);
    let sloppy_quorum = sloppy_quorum.unwrap_or(conflict.is_sloppy_by_default());
    let table = Table { sloppy_quorum, ..table(spec, id, conflict) };
    keyspace.tables.insert(spec.name.clone(), table);
    next.schema.next_table += 1;
    Ok(())
}

fn table(spec: &TableSpec, id: TableId, conflict: Conflict) -> Table {
    let columns = (0..).zip(&spec.columns).map(|(number, (name, kind, ty))| Column {
        id: ColumnId(number),
        name: name.clone(),
        kind: *kind,
        ty: ty.clone(),
    });
    let columns: Vec<_> = columns.collect();
    let next_column = columns.last().map_or(0, |last| last.id.0 + 1);
    Table {
        id,
        epoch: 0,
        keyspace: spec.keyspace.clone(),
        name: spec.name.clone(),
        conflict,
        sloppy_quorum: conflict.is_sloppy_by_default(),
        speculative_retry: spec.speculative_retry,
        columns,
        comment: spec.comment.clone(),
        next_column,
    }
}

fn drop_table(
    next: &mut ClusterMetadata,
    keyspace: &str,
    name: &str,
    if_exists: bool,
) -> Result<(), ChangeError> {
    let missing = ChangeError::NoTable { keyspace: keyspace.to_owned(), table: name.to_owned() };
    let dropped = match next.schema.keyspaces.get_mut(keyspace) {
        Some(keyspace) => keyspace.tables.remove(name),
        None => None,
    };
    if dropped.is_none() && !if_exists { Err(missing) } else { Ok(()) }
}

fn table_mut<'a>(
    next: &'a mut ClusterMetadata,
    keyspace: &str,
    name: &str,
) -> Result<&'a mut Table, ChangeError> {
    let missing = || ChangeError::NoTable { keyspace: keyspace.to_owned(), table: name.to_owned() };
    let keyspace = next.schema.keyspaces.get_mut(keyspace).ok_or_else(missing)?;
    keyspace.tables.get_mut(name).ok_or_else(missing)
}

fn replace_acceptor(
    next: &mut ClusterMetadata,
    old: StoreId,
    new: StoreId,
) -> Result<(), ChangeError> {
    if !next.members.iter().any(|member| member.store == new) {
        return Err(ChangeError::NoMember { store: new });
    }
    let why = |error: ReplaceError| ChangeError::Acceptors { why: error.to_string() };
    next.acceptors = next.acceptors.replaced(old, new, next.epoch + 1).map_err(why)?;
    Ok(())
}
