//! Carrying out one statement: its plan goes to the coordinator or the register, the rows come back
//! in the client's words.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use ring::HostId;
use wire::{ErrorKind, ErrorReply, Execute, Prepare, Query, QueryParams, ReplyWriter, RowsHead};

use super::session::{Circumstances, Reply};
use super::statement::parse;
use super::truncate::{LIVES_MAX, no_lasting_life};
use super::{Front, FrontCounters, errors};
use crate::cluster::Told;
use crate::coord::{FoundRow, RangeRead, RowRead};
use crate::metadata::Snapshot;
use crate::plan::{
    self, BindContext, Plan, PlanError, Prepared, ReadPartitionPlan, ReadRowPlan, SchemaPlan,
};
use crate::register::Proposed;
use crate::replica::RowCopy;

/// What a statement leads to.
pub(super) enum Outcome {
    Void,
    Keyspace(String),
    Schema(wire::SchemaChange),
    Rows(plan::LocalRows),
    Row { answer: plan::Answer, key: crate::store::keys::RowKey, row: RowCopy },
    Page(plan::Page),
}

/// An outcome with the warnings that go with it.
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) warnings: Vec<String>,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, warnings: Vec::new() }
    }
}

impl Front {
    /// Answers QUERY.
    pub(super) async fn query(&self, query: Query, under: Circumstances) -> Reply {
        let done = match parse(&query.text) {
            Ok(syntax) => {
                let plan = |snapshot: &Snapshot| {
                    let prepared = plan::prepare(&syntax, under.keyspace.as_deref(), snapshot)?;
                    Ok(Arc::new(prepared))
                };
                self.on_living_rows(plan, &query.params).await
            }
            Err(error) => Err(error),
        };
        self.reply(done, &under)
    }

    /// Answers EXECUTE.
    pub(super) async fn execute(&self, execute: Execute, under: Circumstances) -> Reply {
        let done = match self.statements.find(&execute.id) {
            Some(known) => {
                let plan = |snapshot: &Snapshot| known.under(snapshot);
                self.on_living_rows(plan, &execute.params).await
            }
            None => Err(ErrorKind::Unprepared { id: execute.id.clone() }.into()),
        };
        self.reply(done, &under)
    }

    /// Answers PREPARE.
    pub(super) fn prepare(&self, prepare: &Prepare, under: &Circumstances) -> Reply {
        FrontCounters::count(&self.counters.prepares);
        let known = self.snapshot().and_then(|snapshot| {
            let keyspace = under.keyspace.as_ref();
            let known = self.statements.prepare(&prepare.text, keyspace, &snapshot)?;
            let prepared = known.under(&snapshot)?;
            Ok((known.id, prepared))
        });
        let mut reply = Reply::default();
        let writer = writer(&mut reply.bytes, under);
        match known {
            Ok((id, prepared)) => writer.prepared(&wire::Prepared {
                id: &id,
                markers: prepared.markers(),
                partition_key: prepared.partition_key(),
                columns: prepared.columns(),
            }),
            Err(error) => {
                FrontCounters::count(&self.counters.errors);
                writer.error(&error);
            }
        }
        reply
    }

    pub(super) fn snapshot(&self) -> Result<Arc<Snapshot>, ErrorReply> {
        self.serving().ok_or_else(|| ErrorKind::IsBootstrapping.into())
    }

    /// Carries a statement out on rows that are still those of its tables when it is done.
    async fn on_living_rows(
        &self,
        plan: impl Fn(&Snapshot) -> Result<Arc<Prepared>, ErrorReply>,
        params: &QueryParams,
    ) -> Result<Done, ErrorReply> {
        for _ in 0..LIVES_MAX {
            let snapshot = self.snapshot()?;
            let prepared = plan(&snapshot)?;
            let done = self.carry_out(&prepared, params, &snapshot).await;
            if self.is_current(&prepared) {
                return done;
            }
        }
        Err(no_lasting_life())
    }

    async fn carry_out(
        &self,
        prepared: &Prepared,
        params: &QueryParams,
        snapshot: &Snapshot,
    ) -> Result<Done, ErrorReply> {
        let told = self.parts.cluster.told();
        let plan = prepared.bind(&params.values, &self.request(params, snapshot, &told))?;
        self.run(plan).await
    }

    /// What one execution under these parameters brings with it.
    pub(super) fn request<'a>(
        &'a self,
        params: &'a QueryParams,
        snapshot: &'a Snapshot,
        told: &'a BTreeMap<HostId, Told>,
    ) -> BindContext<'a> {
        BindContext {
            now_us: self.parts.clock.wall_us(),
            write_time_us: self.parts.write_clock.tick_us(),
            client_timestamp_us: params.timestamp_us,
            operation: self.parts.random.next_u64(),
            consistency: params.consistency,
            page_size: params.page_size,
            paging_state: params.paging_state.as_deref(),
            snapshot,
            local: &self.parts.local,
            told,
            limits: &self.limits,
        }
    }

    /// Carries out a plan.
    pub(super) async fn run(&self, plan: Plan) -> Result<Done, ErrorReply> {
        match plan {
            Plan::Nothing => Ok(Outcome::Void.into()),
            Plan::Use(keyspace) => Ok(Outcome::Keyspace(keyspace).into()),
            Plan::Rows(rows) => Ok(Outcome::Rows(rows).into()),
            Plan::Schema(plan) => self.change_schema(*plan).await,
            Plan::Truncate(plan) => self.truncate(*plan).await.map(|()| Outcome::Void.into()),
            Plan::Write(plan) => self.write(*plan).await,
            Plan::ReadRow(plan) => self.read_row(*plan).await,
            Plan::ReadPartition(plan) => self.read_partition(*plan).await,
        }
    }

    async fn change_schema(&self, plan: SchemaPlan) -> Result<Done, ErrorReply> {
        FrontCounters::count(&self.counters.schema_changes);
        let deadline = self.parts.clock.now() + self.parts.config.timeouts.metadata;
        match self.parts.proposals.propose(plan.change, deadline).await {
            Ok(Proposed::Chosen { .. }) => Ok(Outcome::Schema(plan.event).into()),
            Ok(Proposed::Nothing) => Ok(Outcome::Void.into()),
            Err(failure) => Err(errors::of_proposal(&failure)),
        }
    }

    async fn read_row(&self, plan: ReadRowPlan) -> Result<Done, ErrorReply> {
        FrontCounters::count(&self.counters.row_reads);
        let ReadRowPlan { table, key, level, at_least, answer } = plan;
        let read = RowRead { table, key: key.clone(), level, at_least };
        match self.parts.coordinator.read_row(read).await {
            Ok(FoundRow { row, footing }) => Ok(Done {
                outcome: Outcome::Row { answer, key, row },
                warnings: footing.warning().into_iter().collect(),
            }),
            Err(error) => Err(errors::of_read(&error)),
        }
    }

    async fn read_partition(&self, plan: ReadPartitionPlan) -> Result<Done, ErrorReply> {
        FrontCounters::count(&self.counters.page_reads);
        let ReadPartitionPlan { table, order, level, mut page } = plan;
        while let Some(round) = page.next_round() {
            let read = RangeRead {
                table: Arc::clone(&table),
                tokens: round.tokens,
                range: round.range,
                rows_max: round.rows_max,
                order,
                level,
            };
            let merged = self.parts.coordinator.read_range(&read).await;
            let merged = merged.map_err(|error| errors::of_read(&error))?;
            page.on_rows(merged.rows, merged.resume_after)?;
        }
        Ok(Outcome::Page(page.finish()).into())
    }

    /// The answer to a request that was carried out, or was not.
    pub(super) fn reply(&self, done: Result<Done, ErrorReply>, under: &Circumstances) -> Reply {
        let mut reply = Reply::default();
        let written = done.and_then(|done| {
            if let Outcome::Keyspace(keyspace) = &done.outcome {
                reply.keyspace = Some(keyspace.as_str().into());
            }
            write_done(&done, &mut reply.bytes, under).map_err(|error| {
                if let PlanError::Damaged(damage) = &error {
                    tracing::error!(%damage, "a stored key cannot be shown");
                }
                error.into()
            })
        });
        if let Err(error) = written {
            FrontCounters::count(&self.counters.errors);
            reply.bytes.clear();
            writer(&mut reply.bytes, under).error(&error);
        }
        reply
    }
}

fn writer<'a>(out: &'a mut BytesMut, under: &Circumstances) -> ReplyWriter<'a> {
    ReplyWriter::new(out, under.stream).compressed(under.compression)
}

/// Writes what a statement led to. The columns of a result are always told, also to a client that
/// asked to leave them out: they may be other ones than when it prepared the statement, and version
/// 4 of the protocol has no other way to say that.
fn write_done(done: &Done, out: &mut BytesMut, under: &Circumstances) -> Result<(), PlanError> {
    let writer = writer(out, under).warned(&done.warnings);
    let head = |columns, paging_state| RowsHead { columns, paging_state, skip_metadata: false };
    match &done.outcome {
        Outcome::Void => writer.void(),
        Outcome::Keyspace(keyspace) => writer.set_keyspace(keyspace),
        Outcome::Schema(event) => writer.schema_change(event),
        Outcome::Rows(local) => {
            let mut rows = writer.rows(&head(&local.columns, None));
            local.write(&mut rows);
            rows.finish();
        }
        Outcome::Row { answer, key, row } => {
            let mut rows = writer.rows(&head(answer.columns(), None));
            answer.write(&mut rows, key, row)?;
            rows.finish();
        }
        Outcome::Page(page) => {
            let mut rows = writer.rows(&head(page.columns(), page.paging_state()));
            page.write(&mut rows)?;
            rows.finish();
        }
    }
    Ok(())
}
