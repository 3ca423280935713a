//! CREATE, ALTER and DROP KEYSPACE.
//!
//! Callers: `ddl`. Pure.

use std::collections::BTreeMap;

use ring::Strategy;
use sql::{AlterKeyspace, CreateKeyspace, DropKeyspace, Properties};
use wire::SchemaChange;

use super::{DefinitionError, created, dropped, new_name, own_keyspace, property};
use crate::metadata::{Change, Conflict, Keyspace, Snapshot};
use crate::plan::catalog::Session;
use crate::plan::{PlanError, SchemaPlan};

/// What Cassandra writes before the names of its strategies, which may be left out.
const STRATEGY_PACKAGE: &str = "org.apache.cassandra.locator.";
const SIMPLE: &str = "SimpleStrategy";
const NETWORK_TOPOLOGY: &str = "NetworkTopologyStrategy";
const FACTOR: &str = "replication_factor";

/// The options of a keyspace, as far as a statement names them.
#[derive(Debug, Default)]
struct Options {
    strategy: Option<Strategy>,
    durable_writes: Option<bool>,
    conflict: Option<Conflict>,
    sloppy_quorum: Option<bool>,
}

pub(super) fn create(
    create: &CreateKeyspace,
    session: Session<'_>,
) -> Result<SchemaPlan, PlanError> {
    let name = new_name("Keyspace", &own_keyspace(&create.keyspace.text)?)?;
    let options = Options::read(&create.properties, session.snapshot)?;
    let keyspace = Keyspace {
        name,
        strategy: options.strategy.ok_or(DefinitionError::ReplicationMissing)?,
        durable_writes: options.durable_writes.unwrap_or(true),
        conflict: options.conflict,
        sloppy_quorum: options.sloppy_quorum,
        tables: BTreeMap::new(),
    };
    let schema = wire::Schema::Keyspace { keyspace: keyspace.name.clone() };
    let if_not_exists = create.if_not_exists;
    Ok(created(schema, Change::CreateKeyspace { keyspace, if_not_exists }))
}

/// None where IF EXISTS finds no such keyspace.
pub(super) fn alter(
    alter: &AlterKeyspace,
    session: Session<'_>,
) -> Result<Option<SchemaPlan>, PlanError> {
    let name = own_keyspace(&alter.keyspace.text)?;
    let Options { strategy, durable_writes, conflict, sloppy_quorum } =
        Options::read(&alter.properties, session.snapshot)?;
    if alter.if_exists && !session.snapshot.keyspaces.contains_key(&name) {
        return Ok(None);
    }
    let event = SchemaChange::Updated(wire::Schema::Keyspace { keyspace: name.clone() });
    let change = Change::AlterKeyspace { name, strategy, durable_writes, conflict, sloppy_quorum };
    Ok(Some(SchemaPlan { change, event }))
}

pub(super) fn drop(drop: &DropKeyspace) -> Result<SchemaPlan, PlanError> {
    let name = own_keyspace(&drop.keyspace.text)?;
    let schema = wire::Schema::Keyspace { keyspace: name.clone() };
    Ok(dropped(schema, Change::DropKeyspace { name, if_exists: drop.if_exists }))
}

impl Options {
    fn read(properties: &Properties, snapshot: &Snapshot) -> Result<Self, PlanError> {
        let mut options = Self::default();
        for property in &properties.properties {
            match property.name.text.as_str() {
                "replication" => {
                    options.strategy = Some(strategy(property::map(property)?, snapshot)?);
                }
                "durable_writes" => options.durable_writes = Some(property::boolean(property)?),
                "conflict" => options.conflict = Some(property::conflict(property)?),
                "sloppy_quorum" => options.sloppy_quorum = Some(property::boolean(property)?),
                _ => return Err(property::unknown(property).into()),
            }
        }
        Ok(options)
    }
}

/// The strategy that a replication map means.
fn strategy(
    options: Vec<(String, String)>,
    snapshot: &Snapshot,
) -> Result<Strategy, DefinitionError> {
    let mut options: BTreeMap<String, String> = options.into_iter().collect();
    let class = options.remove("class").ok_or(DefinitionError::StrategyMissing)?;
    let strategy = match class.strip_prefix(STRATEGY_PACKAGE).unwrap_or(&class) {
        SIMPLE => simple(options)?,
        NETWORK_TOPOLOGY => network_topology(options, snapshot)?,
        _ => return Err(DefinitionError::UnknownStrategy { class }),
    };
    if strategy.replication_factor() == 0 {
        return Err(DefinitionError::NoReplicas);
    }
    Ok(strategy)
}

fn simple(mut options: BTreeMap<String, String>) -> Result<Strategy, DefinitionError> {
    let given =
        options.remove(FACTOR).ok_or(DefinitionError::FactorMissing { strategy: SIMPLE })?;
    if let Some((option, _)) = options.pop_first() {
        return Err(DefinitionError::StrategyOption { option, strategy: SIMPLE });
    }
    Ok(Strategy::Simple { replication_factor: factor(&given)? })
}

/// `replication_factor` is for every data center that the statement does not name.
fn network_topology(
    mut options: BTreeMap<String, String>,
    snapshot: &Snapshot,
) -> Result<Strategy, DefinitionError> {
    let mut factors = BTreeMap::new();
    if let Some(given) = options.remove(FACTOR) {
        let everywhere = factor(&given)?;
        let value = &snapshot.value;
        let owners = value.members.iter().filter(|member| value.owns_partitions(member.host));
        factors.extend(owners.map(|member| (member.datacenter.clone(), everywhere)));
    }
    for (datacenter, given) in options {
        factors.insert(datacenter, factor(&given)?);
    }
    if factors.is_empty() {
        return Err(DefinitionError::FactorMissing { strategy: NETWORK_TOPOLOGY });
    }
    Ok(Strategy::NetworkTopology(factors))
}

fn factor(given: &str) -> Result<u8, DefinitionError> {
    given.parse().map_err(|_| DefinitionError::Factor { given: given.to_owned() })
}
