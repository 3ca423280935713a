//! Carrying out statements that write: read what they need, write partition by partition, answer.
//!
//! ```text
//! ChangesOp -> [reads] -> one write a partition, side by side -> warnings, or what went wrong
//! ```
//!
//! Law: what has begun is finished, for a write that is stamped has still to be sent; after the
//! first failure nothing more is begun. Of several partitions the answer never says that nothing
//! was done where something was.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use wire::{Batch, ErrorKind, ErrorReply, QueryParams, Values};

use super::execute::{Done, Outcome};
use super::session::{Circumstances, Reply};
use super::statement::parse;
use super::truncate::{LIVES_MAX, no_lasting_life};
use super::{Front, FrontCounters, errors};
use crate::coord::{Carried, Footing, PartitionWrite, RangeRead, RowRead, Written};
use crate::metadata::Snapshot;
use crate::plan::{self, Changes, ChangesOp, ChangesRead, PlanError, Prepared, WritePlan};
use crate::replica::RowCopy;
use crate::store::engine::Order;

/// How many partitions of one request are written at once.
const WRITES_AT_ONCE: usize = 32;

/// How many warnings one answer carries.
const WARNINGS_MAX: usize = 16;

impl Front {
    /// Answers BATCH.
    pub(super) async fn batch(&self, batch: Batch, under: Circumstances) -> Reply {
        let params = QueryParams {
            consistency: batch.consistency,
            values: Values::default(),
            skip_metadata: false,
            page_size: None,
            paging_state: None,
            serial_consistency: batch.serial_consistency,
            timestamp_us: batch.timestamp_us,
        };
        let done = self.batch_of_living_rows(&batch, &params, &under).await;
        self.reply(done, &under)
    }

    /// Carries a batch out on rows that are still those of its tables when it is done.
    async fn batch_of_living_rows(
        &self,
        batch: &Batch,
        params: &QueryParams,
        under: &Circumstances,
    ) -> Result<Done, ErrorReply> {
        let (count, max) = (batch.statements.len(), self.limits.batch_statements_max);
        if count > max as usize {
            return Err(PlanError::BatchTooLong { count, max }.into());
        }
        for _ in 0..LIVES_MAX {
            let snapshot = self.snapshot()?;
            let statements = batch.statements.iter().map(|one| {
                let prepared = self.statement_of_batch(&one.statement, &snapshot, under)?;
                Ok((prepared, one.values.clone()))
            });
            let statements = statements.collect::<Result<Vec<_>, ErrorReply>>()?;
            let told = self.parts.cluster.told();
            let request = self.request(params, &snapshot, &told);
            let plan = plan::bind_batch(batch.kind, &statements, &request)?;
            let done = self.run(plan).await;
            if statements.iter().all(|(prepared, _)| self.is_current(prepared)) {
                return done;
            }
        }
        Err(no_lasting_life())
    }

    fn statement_of_batch(
        &self,
        statement: &wire::Statement,
        snapshot: &Snapshot,
        under: &Circumstances,
    ) -> Result<Arc<Prepared>, ErrorReply> {
        match statement {
            wire::Statement::Text(text) => {
                let syntax = parse(text)?;
                Ok(Arc::new(plan::prepare(&syntax, under.keyspace.as_deref(), snapshot)?))
            }
            wire::Statement::Prepared(id) => {
                let unprepared = || ErrorKind::Unprepared { id: id.clone() };
                self.statements.find(id).ok_or_else(unprepared)?.under(snapshot)
            }
        }
    }

    /// Carries out what writes.
    pub(super) async fn write(&self, plan: WritePlan) -> Result<Done, ErrorReply> {
        let WritePlan { mut changes, returning } = plan;
        self.read_for(&mut changes).await?;
        let Changes { writes, mut warnings } = changes.finish();
        let rows = writes.iter().map(|write| write.changes.len()).sum();
        FrontCounters::add(&self.counters.writes, rows);
        let Carried { written, footing } = self.write_all(writes).await?;
        warnings.extend(footing.warning());
        let of_rows: BTreeSet<String> = written.iter().flat_map(warnings_of).collect();
        warnings.extend(of_rows.into_iter().take(WARNINGS_MAX));
        let outcome = match (returning, written.into_iter().next()) {
            (Some((key, answer)), Some(Written { row, .. })) => {
                Outcome::Row { answer, key, row: RowCopy::Siblings(row) }
            }
            _ => Outcome::Void,
        };
        Ok(Done { outcome, warnings })
    }

    /// Reads what has to be known before anything is written.
    async fn read_for(&self, changes: &mut ChangesOp) -> Result<(), ErrorReply> {
        let level = changes.level();
        let coordinator = &self.parts.coordinator;
        while let Some(read) = changes.next_read() {
            match read {
                ChangesRead::Row { table, key } => {
                    let read = RowRead { table, key, level, at_least: None };
                    let row = coordinator.read_row(read).await;
                    changes.on_row(&row.map_err(|error| errors::of_read(&error))?.row)?;
                }
                ChangesRead::Rows { table, round } => {
                    let read = RangeRead {
                        table,
                        tokens: round.tokens,
                        range: round.range,
                        rows_max: round.rows_max,
                        order: Order::Forward,
                        level,
                    };
                    let page = coordinator.read_range(&read).await;
                    let page = page.map_err(|error| errors::of_read(&error))?;
                    changes.on_rows(page.rows, page.resume_after)?;
                }
            }
        }
        Ok(())
    }

    async fn write_all(&self, writes: Vec<PartitionWrite>) -> Result<Carried, ErrorReply> {
        let partitions = writes.len();
        let mut waiting = writes.into_iter();
        let write = |write: PartitionWrite| async {
            let (level, first) = (write.level, Arc::clone(write.changes[0].table()));
            let outcome = self.parts.coordinator.write(write).await;
            outcome.map_err(|error| (error, level, first))
        };
        let mut running: FuturesUnordered<_> =
            waiting.by_ref().take(WRITES_AT_ONCE).map(write).collect();
        let mut all = Carried { written: Vec::new(), footing: Footing::default() };
        let (mut done, mut failed) = (0, None);
        while let Some(outcome) = running.next().await {
            match outcome {
                Ok(Carried { written, footing }) => {
                    done += 1;
                    all.written.extend(written);
                    all.footing = all.footing.and(footing);
                    if failed.is_none() {
                        running.extend(waiting.next().map(write));
                    }
                }
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        match failed {
            None => Ok(all),
            Some((error, level, table)) => {
                let progress = errors::Progress { level, done, partitions };
                Err(errors::of_write(&error, &table, progress))
            }
        }
    }
}

/// What the client is warned of after a write of a row.
fn warnings_of(written: &Written) -> Vec<String> {
    let mut warnings = Vec::new();
    if written.is_crowded {
        let siblings = written.row.versions().len();
        warnings
            .push(format!("row has {siblings} siblings: read context(), then write USING CONTEXT"));
    }
    if written.has_equal_sibling {
        warnings.push(
            "the row has a sibling of equal content: most likely this write was sent twice"
                .to_owned(),
        );
    }
    warnings
}
