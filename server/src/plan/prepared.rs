//! A statement that was checked against a schema, waiting for its values.
//!
//! Callers: `front`, once per text and epoch for [`prepare`], once per execution for
//! [`Prepared::bind`]. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use repair::version::SiblingLimits;
use ring::HostId;
use sql::Statement;
use types::{Consistency, CqlType};
use wire::ColumnSpec;

use super::batch::BatchPlan;
use super::bind::{BoundValues, Markers};
use super::catalog::{Session, Source};
use super::ddl::Definition;
use super::delete::DeletePlan;
use super::functions::Calls;
use super::insert::InsertPlan;
use super::select::SelectPlan;
use super::system::SystemSelect;
use super::update::UpdatePlan;
use super::write::Modification;
use super::{Plan, PlanError};
use crate::cluster::Told;
use crate::config::{Config, DefaultConflict};
use crate::metadata::{Conflict, Snapshot, Table, TableId};

/// What one execution of a statement brings with it.
#[derive(Debug, Clone, Copy)]
pub struct BindContext<'a> {
    /// The wall clock, in microseconds since the Unix epoch: what is over by then is not seen.
    pub now_us: i64,
    /// The hybrid logical clock, in microseconds since the Unix epoch: the time of a write.
    pub write_time_us: i64,
    /// The time of a write by the client's clock, where it says one: drivers send it with
    /// everything. Tables of last-write-wins heed it, siblings tables do not.
    pub client_timestamp_us: Option<i64>,
    /// Which of the writes of one microsecond wins in a table of last-write-wins: drawn at random,
    /// once for each execution.
    pub operation: u64,
    /// The level of the request; `USING CONSISTENCY` overrides it.
    pub consistency: Consistency,
    /// How many rows a page may have; none: as many as [`Limits::page_rows_max`] allows.
    pub page_size: Option<NonZeroU32>,
    /// Where the page begins: the bytes that came with the page before.
    pub paging_state: Option<&'a [u8]>,
    /// The metadata that the statement was prepared under.
    pub snapshot: &'a Snapshot,
    /// This node.
    pub local: &'a LocalNode,
    /// What other nodes told of their metadata last.
    pub told: &'a BTreeMap<HostId, Told>,
    /// What the configuration allows.
    pub limits: &'a Limits,
}

/// This node, as `system.local` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalNode {
    /// Its name for ever.
    pub host: HostId,
    /// Where clients reach it.
    pub cql: SocketAddr,
    /// Where other nodes reach it.
    pub internode: SocketAddr,
    /// The address that it listens on, which need not be one that others can reach.
    pub listen: IpAddr,
    /// Its data center.
    pub datacenter: String,
    /// Its rack.
    pub rack: String,
    /// Grows with each start.
    pub generation: i32,
    /// This release and the commit that it was built from.
    pub version: String,
}

/// What the configuration allows a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How old a context or a paging state may be, in microseconds: half of `gc.age`.
    pub sealed_age_max_us: i64,
    /// How many versions a write may leave.
    pub siblings: SiblingLimits,
    /// How many rows one DELETE of a partition may remove.
    pub delete_rows_max: u32,
    /// How many rows one page may hold.
    pub page_rows_max: u32,
    /// How many statements one BATCH may have.
    pub batch_statements_max: u32,
    /// How many bytes one BATCH may write.
    pub batch_bytes_max: usize,
    /// How far ahead of the wall clock a client's timestamp may lie, in microseconds.
    pub future_max_us: i64,
    /// How many rows, or stretches of rows, the IN relations of one statement may name.
    pub in_max: u32,
    /// The conflict mode of tables where neither they nor their keyspace name one.
    pub default_conflict: Conflict,
}

impl Limits {
    /// The limits that a configuration states.
    pub fn of(config: &Config) -> Self {
        let sealed_age_max = config.gc.age / 2;
        Self {
            sealed_age_max_us: i64::try_from(sealed_age_max.as_micros()).unwrap_or(i64::MAX),
            siblings: SiblingLimits {
                warn: config.siblings.warn as usize,
                max: config.siblings.max as usize,
            },
            delete_rows_max: config.guardrails.delete_rows_max,
            page_rows_max: config.guardrails.page_rows_max,
            batch_statements_max: config.guardrails.batch_statements_max,
            batch_bytes_max: config.guardrails.batch_bytes_max.as_len(),
            future_max_us: i64::try_from(config.clock.future_max.as_micros()).unwrap_or(i64::MAX),
            in_max: config.guardrails.in_max,
            default_conflict: match config.tables.default_conflict {
                DefaultConflict::Siblings => Conflict::Siblings,
                DefaultConflict::Lww => Conflict::Lww,
            },
        }
    }
}

/// A statement that was checked against the metadata of one epoch.
#[derive(Debug, Clone)]
pub struct Prepared {
    epoch: u64,
    table: Option<(String, String)>,
    lives: Vec<(TableId, u32)>,
    marker_specs: Vec<(String, CqlType)>,
    markers: wire::Columns,
    partition_key: Vec<u16>,
    columns: wire::Columns,
    kind: Kind,
}

/// What a statement does, with what is known of it before its values are.
#[derive(Debug, Clone)]
enum Kind {
    /// Nothing, whatever the request.
    Nothing,
    Use(String),
    Definition(Definition),
    Select(Box<SelectPlan>),
    System(SystemSelect),
    Modify(Box<Modification>),
    Batch(BatchPlan),
}

/// Checks a statement against the schema; `keyspace` is that of the session.
///
/// # Errors
/// [`PlanError`] for whatever is wrong with it whatever its values are.
pub fn prepare(
    statement: &Statement,
    keyspace: Option<&str>,
    snapshot: &Snapshot,
) -> Result<Prepared, PlanError> {
    let session = Session { keyspace, snapshot };
    let mut markers = Markers::of(statement);
    let kind = Kind::new(statement, session, &mut markers)?;
    let table = kind.table();
    let marker_specs = markers.specs()?;
    let (of_keyspace, of_table) = match &table {
        Some((keyspace, table)) => (keyspace.as_str(), table.as_str()),
        None => ("", ""),
    };
    let spec = |(name, ty)| ColumnSpec { keyspace: of_keyspace, table: of_table, name, ty };
    let specs: Vec<_> = marker_specs.iter().map(|(name, ty)| spec((name, ty))).collect();
    Ok(Prepared {
        epoch: snapshot.epoch(),
        markers: wire::Columns::new(&specs),
        partition_key: kind.partition_markers(),
        columns: kind.columns(),
        lives: kind.stored().iter().map(|table| (table.id, table.epoch)).collect(),
        table,
        marker_specs,
        kind,
    })
}

impl Kind {
    fn new(
        statement: &Statement,
        session: Session<'_>,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        Ok(match statement {
            Statement::Use(keyspace) => Self::Use(session.existing_keyspace(keyspace)?),
            Statement::Select(select) => match session.source(&select.table)? {
                Source::Stored(table) => {
                    Self::Select(Box::new(SelectPlan::new(select, table, markers)?))
                }
                Source::System(table) => Self::System(SystemSelect::new(select, table, markers)?),
            },
            Statement::Insert(insert) => {
                Self::modify(Modification::Insert(InsertPlan::new(insert, session, markers)?))
            }
            Statement::Update(update) => {
                Self::modify(Modification::Update(UpdatePlan::new(update, session, markers)?))
            }
            Statement::Delete(delete) => {
                Self::modify(Modification::Delete(DeletePlan::new(delete, session, markers)?))
            }
            Statement::Batch(batch) => Self::Batch(BatchPlan::new(batch, session, markers)?),
            Statement::Unsupported { what, .. } => return Err(PlanError::unsupported(*what)),
            definition => match Definition::new(definition, session)? {
                Some(definition) => Self::Definition(definition),
                None => Self::Nothing,
            },
        })
    }

    fn modify(modification: Modification) -> Self {
        Self::Modify(Box::new(modification))
    }

    fn table(&self) -> Option<(String, String)> {
        let named = |table: &Table| (table.keyspace.clone(), table.name.clone());
        match self {
            Self::Nothing | Self::Use(_) | Self::Definition(_) => None,
            Self::Select(select) => Some(named(select.table())),
            Self::System(select) => Some(select.table()),
            Self::Modify(modification) => Some(named(&modification.target().table)),
            Self::Batch(batch) => Some(named(&batch.first()?.target().table)),
        }
    }

    /// The stored tables whose rows the statement is about.
    fn stored(&self) -> Vec<&Table> {
        match self {
            Self::Nothing | Self::Use(_) | Self::Definition(_) | Self::System(_) => Vec::new(),
            Self::Select(select) => vec![select.table()],
            Self::Modify(modification) => vec![&modification.target().table],
            Self::Batch(batch) => batch.tables().collect(),
        }
    }

    fn columns(&self) -> wire::Columns {
        match self {
            Self::Nothing | Self::Use(_) | Self::Definition(_) | Self::Batch(_) => {
                wire::Columns::default()
            }
            Self::Select(select) => select.columns().clone(),
            Self::System(select) => select.columns().clone(),
            Self::Modify(modification) => modification.target().columns(),
        }
    }

    fn partition_markers(&self) -> Vec<u16> {
        match self {
            Self::Nothing | Self::Use(_) | Self::Definition(_) | Self::System(_) => Vec::new(),
            Self::Select(select) => select.partition_markers(),
            Self::Modify(modification) => modification.target().key.partition_markers(),
            Self::Batch(batch) => batch
                .first()
                .map(|first| first.target().key.partition_markers())
                .unwrap_or_default(),
        }
    }
}

impl Prepared {
    /// The epoch of the metadata that the statement was checked against; under another one it must
    /// be prepared anew.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The keyspace and the table whose rows the statement is about, if it is about rows.
    pub fn table(&self) -> Option<(&str, &str)> {
        self.table.as_ref().map(|(keyspace, table)| (keyspace.as_str(), table.as_str()))
    }

    /// The tables whose rows the statement is about, each with the epoch that it had when the
    /// statement was planned: rows of another one are not those that it means.
    pub fn lives(&self) -> &[(TableId, u32)] {
        &self.lives
    }

    /// Names and types of the bind markers, in the order of the text.
    pub fn markers(&self) -> &wire::Columns {
        &self.markers
    }

    /// The marker of each column of the partition key, in the key's order; empty unless every one
    /// of them is bound directly.
    pub fn partition_key(&self) -> &[u16] {
        &self.partition_key
    }

    /// The columns of the result; none for a statement that answers no rows.
    pub fn columns(&self) -> &wire::Columns {
        &self.columns
    }

    /// What to do with these values.
    ///
    /// # Errors
    /// [`PlanError`] for values that do not fit, and for what only the request shows to be wrong.
    pub fn bind(
        &self,
        values: &wire::Values,
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        let values = BoundValues::new(values, &self.marker_specs)?.calling(Calls::of(request));
        match &self.kind {
            Kind::Nothing => Ok(Plan::Nothing),
            Kind::Use(keyspace) => Ok(Plan::Use(keyspace.clone())),
            Kind::Definition(definition) => Ok(definition.bind(request)),
            Kind::Select(select) => select.bind(&values, request),
            Kind::System(select) => select.bind(&values, request),
            Kind::Modify(modification) => modification.bind(&values, request),
            Kind::Batch(batch) => batch.bind(&values, request),
        }
    }

    /// What it changes, as a statement of a BATCH, with its values.
    pub(super) fn modification<'a>(
        &'a self,
        values: &'a wire::Values,
        request: &BindContext<'_>,
    ) -> Result<(&'a Modification, BoundValues<'a>), PlanError> {
        let what = match &self.kind {
            Kind::Modify(modification) => {
                let values = BoundValues::new(values, &self.marker_specs)?;
                return Ok((modification, values.calling(Calls::of(request))));
            }
            Kind::Select(_) | Kind::System(_) => "SELECT",
            Kind::Batch(_) => "BATCH",
            Kind::Use(_) => "USE",
            Kind::Nothing | Kind::Definition(_) => "a change of the schema",
        };
        Err(PlanError::InBatch { what })
    }
}
