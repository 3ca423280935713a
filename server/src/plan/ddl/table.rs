//! CREATE, DROP and TRUNCATE TABLE.
//!
//! Options that tune Cassandra's storage are checked for their kind and have no effect; one that
//! would change what a statement means is refused by name. The comment is kept. Callers: `ddl`.
//! Pure.

use sql::{ColumnDefinition, CreateTable, DropTable, Name, PrimaryKey, Property, Qualified};
use types::{CqlType, Order};

use super::kind::{check_key, column_type};
use super::{DefinitionError, created, dropped, new_column_name, new_name, own_keyspace, property};
use crate::metadata::{COLUMNS_MAX, Change, ColumnKind, Conflict, SpeculativeRetry, TableSpec};
use crate::plan::catalog::Session;
use crate::plan::{PlanError, SchemaPlan, TruncatePlan};

/// The options of a table that mean something here.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) comment: Option<String>,
    pub(super) conflict: Option<Conflict>,
    pub(super) sloppy_quorum: Option<bool>,
    pub(super) speculative_retry: Option<SpeculativeRetry>,
}

pub(super) fn create(create: &CreateTable, session: Session<'_>) -> Result<SchemaPlan, PlanError> {
    let keyspace = own_keyspace(session.keyspace_of(&create.table)?)?;
    let name = new_name("Table", &create.table.name.text)?;
    if create.compact_storage {
        return Err(PlanError::unsupported("COMPACT STORAGE"));
    }
    let options = Options::read(&create.properties.properties)?;
    let columns = columns(create, &name)?;
    let schema = wire::Schema::Table { keyspace: keyspace.clone(), table: name.clone() };
    let Options { comment, conflict, sloppy_quorum, speculative_retry } = options;
    let speculative_retry = speculative_retry.unwrap_or_default();
    let comment = comment.unwrap_or_default();
    let spec =
        TableSpec { keyspace, name, conflict, sloppy_quorum, speculative_retry, columns, comment };
    // The default is known when the statement is executed; see `Definition::bind`.
    let default_conflict = Conflict::Siblings;
    let if_not_exists = create.if_not_exists;
    Ok(created(schema, Change::CreateTable { spec, default_conflict, if_not_exists }))
}

pub(super) fn drop(drop: &DropTable, session: Session<'_>) -> Result<SchemaPlan, PlanError> {
    let keyspace = own_keyspace(session.keyspace_of(&drop.table)?)?;
    let name = drop.table.name.text.clone();
    let schema = wire::Schema::Table { keyspace: keyspace.clone(), table: name.clone() };
    Ok(dropped(schema, Change::DropTable { keyspace, name, if_exists: drop.if_exists }))
}

pub(super) fn truncate(table: &Qualified, session: Session<'_>) -> Result<TruncatePlan, PlanError> {
    let keyspace = own_keyspace(session.keyspace_of(table)?)?;
    Ok(TruncatePlan { keyspace, table: table.name.text.clone() })
}

impl Options {
    pub(super) fn read(properties: &[Property]) -> Result<Self, PlanError> {
        let mut options = Self::default();
        for property in properties {
            match property.name.text.as_str() {
                "comment" => options.comment = Some(property::text(property)?),
                "conflict" => options.conflict = Some(property::conflict(property)?),
                "speculative_retry" => {
                    options.speculative_retry = Some(property::speculative_retry(property)?);
                }
                "sloppy_quorum" => options.sloppy_quorum = Some(property::boolean(property)?),
                "default_time_to_live" if property::integer(property)? != 0 => {
                    return Err(PlanError::unsupported("default_time_to_live"));
                }
                "cdc" if property::boolean(property)? => {
                    return Err(PlanError::unsupported("cdc = true"));
                }
                _ => check_tuning(property)?,
            }
        }
        Ok(options)
    }
}

/// Checks an option that has no effect.
fn check_tuning(property: &Property) -> Result<(), DefinitionError> {
    match property.name.text.as_str() {
        "caching" | "compaction" | "compression" | "extensions" => {
            property::map(property)?;
        }
        "additional_write_policy" | "memtable" | "read_repair" => {
            property::text(property)?;
        }
        "allow_auto_snapshot" | "cdc" | "incremental_backups" => {
            property::boolean(property)?;
        }
        "default_time_to_live"
        | "gc_grace_seconds"
        | "max_index_interval"
        | "memtable_flush_period_in_ms"
        | "min_index_interval" => {
            property::integer(property)?;
        }
        "bloom_filter_fp_chance"
        | "crc_check_chance"
        | "dclocal_read_repair_chance"
        | "read_repair_chance" => {
            property::number(property)?;
        }
        _ => return Err(property::unknown(property)),
    }
    Ok(())
}

/// Partition key, clustering key, then the rest by name.
fn columns(
    create: &CreateTable,
    table: &str,
) -> Result<Vec<(String, ColumnKind, CqlType)>, PlanError> {
    let declared = declared(create, table)?;
    let missing = || DefinitionError::KeyMissing { table: table.to_owned() };
    let key = create.primary_key.as_ref().ok_or_else(missing)?;
    at_most_columns_max(key.partition.len().saturating_add(key.clustering.len()))?;
    let key = key_columns(key, &create.clustering_order)?;
    let mut columns = Vec::with_capacity(declared.len());
    for (name, kind) in key {
        columns.push(key_column(name, kind, &declared, &columns, table)?);
    }
    let mut regular: Vec<_> = declared
        .into_iter()
        .filter(|(name, _)| !columns.iter().any(|(key, ..)| key == name))
        .map(|(name, ty)| (name, ColumnKind::Regular, ty))
        .collect();
    regular.sort_by(|one, other| one.0.cmp(&other.0));
    columns.append(&mut regular);
    Ok(columns)
}

/// The declared columns, no two of one name.
fn declared(create: &CreateTable, table: &str) -> Result<Vec<(String, CqlType)>, PlanError> {
    at_most_columns_max(create.columns.len())?;
    let mut declared: Vec<(String, CqlType)> = Vec::with_capacity(create.columns.len());
    for column in &create.columns {
        declared.push(declared_column(column)?);
    }
    let mut names: Vec<&str> = declared.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let (column, table) = (twice[0].to_owned(), table.to_owned());
        return Err(DefinitionError::ColumnTwice { column, table }.into());
    }
    Ok(declared)
}

/// Name and type of a column that is to be made.
pub(super) fn declared_column(column: &ColumnDefinition) -> Result<(String, CqlType), PlanError> {
    let name = new_column_name(&column.name)?;
    if column.is_static {
        return Err(PlanError::unsupported("a static column"));
    }
    Ok((name, column_type(&column.kind)?))
}

pub(super) fn at_most_columns_max(columns: usize) -> Result<(), DefinitionError> {
    if columns > COLUMNS_MAX {
        return Err(DefinitionError::TooManyColumns { max: COLUMNS_MAX });
    }
    Ok(())
}

/// The columns of the key in order, each with its part in it.
fn key_columns<'a>(
    key: &'a PrimaryKey,
    orders: &[(Name, Order)],
) -> Result<Vec<(&'a str, ColumnKind)>, DefinitionError> {
    let is_same = |(column, (ordered, _)): (&Name, &(Name, Order))| column.text == ordered.text;
    let fits =
        orders.len() == key.clustering.len() && key.clustering.iter().zip(orders).all(is_same);
    if !orders.is_empty() && !fits {
        return Err(DefinitionError::ClusteringOrder);
    }
    let ascending = || Order::Ascending;
    let order = |at: u16| orders.get(usize::from(at)).map_or_else(ascending, |(_, order)| *order);
    let partition = (0..).zip(&key.partition);
    let partition = partition.map(|(at, name)| (name.text.as_str(), ColumnKind::Partition(at)));
    let clustering = (0..).zip(&key.clustering);
    let clustering =
        clustering.map(|(at, name)| (name.text.as_str(), ColumnKind::Clustering(at, order(at))));
    Ok(partition.chain(clustering).collect())
}

/// A column of the key with its type; `before` are those in front of it.
fn key_column(
    name: &str,
    kind: ColumnKind,
    declared: &[(String, CqlType)],
    before: &[(String, ColumnKind, CqlType)],
    table: &str,
) -> Result<(String, ColumnKind, CqlType), DefinitionError> {
    let (column, table) = (name.to_owned(), table.to_owned());
    if before.iter().any(|(other, ..)| other == name) {
        return Err(DefinitionError::KeyColumnTwice { column, table });
    }
    let Some((_, ty)) = declared.iter().find(|(other, _)| other == name) else {
        return Err(DefinitionError::UnknownKeyColumn { column, table });
    };
    check_key(&column, ty)?;
    Ok((column, kind, ty.clone()))
}
