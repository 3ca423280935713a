//! BATCH: several statements that are carried out together.
//!
//! What is of one partition is one commit on each replica. An UNLOGGED batch may span partitions,
//! and promises nothing across them; a LOGGED one may not, as long as there is no batch log that
//! could finish it. Of statements with one timestamp the later one wins, by its operation.
//!
//! Callers: `prepared` for the statement BATCH, `front` for the request of that name. Pure.

use std::sync::Arc;

use sql::{BatchKind, BatchStatement};

use super::bind::{BoundValues, Markers};
use super::catalog::{Session, full_name};
use super::changes::ChangesOp;
use super::delete::DeletePlan;
use super::insert::InsertPlan;
use super::prepared::{BindContext, Prepared};
use super::update::UpdatePlan;
use super::using::UsingPlan;
use super::write::Modification;
use super::{Plan, PlanError, WritePlan};
use crate::metadata::Table;

/// The operations of a batch's statements differ in these bits only.
const STATEMENT_BITS: u64 = 0xFFFF;

/// As many statements as have an operation of their own.
const STATEMENTS_MAX: usize = 0xFFFF;

/// The statement `BEGIN BATCH … APPLY BATCH`.
#[derive(Debug, Clone)]
pub(super) struct BatchPlan {
    kind: BatchKind,
    using: UsingPlan,
    statements: Vec<Modification>,
}

impl BatchPlan {
    pub(super) fn new(
        batch: &sql::Batch,
        session: Session<'_>,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        let using = UsingPlan::of_batch(&batch.using, markers)?;
        let each = batch.statements.iter().map(|statement| {
            Ok(match statement {
                BatchStatement::Insert(insert) => {
                    Modification::Insert(InsertPlan::new(insert, session, markers)?)
                }
                BatchStatement::Update(update) => {
                    Modification::Update(UpdatePlan::new(update, session, markers)?)
                }
                BatchStatement::Delete(delete) => {
                    Modification::Delete(DeletePlan::new(delete, session, markers)?)
                }
            })
        });
        let statements = each.collect::<Result<Vec<_>, PlanError>>()?;
        for target in statements.iter().map(Modification::target) {
            if using.has_timestamp() && target.using.has_timestamp() {
                return Err(PlanError::BatchTimestamp);
            }
            if using.has_timestamp() && !target.is_lww() {
                return Err(PlanError::Timestamp { table: full_name(&target.table) });
            }
        }
        Ok(Self { kind: batch.kind, using, statements })
    }

    /// The first statement.
    pub(super) fn first(&self) -> Option<&Modification> {
        self.statements.first()
    }

    /// The table of each statement.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        self.statements.iter().map(|statement| statement.target().table.as_ref())
    }

    pub(super) fn bind(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        let timestamp = self.using.own_timestamp_us(values)?;
        let request = BindContext {
            consistency: self.using.write_level(request.consistency)?,
            client_timestamp_us: timestamp.or(request.client_timestamp_us),
            ..*request
        };
        let each = self.statements.iter().map(|statement| (statement, values));
        together(self.kind, each, &request)
    }
}

/// The plan of the statements of one BATCH request, each with its values.
///
/// # Errors
/// [`PlanError`] where a statement cannot be carried out, or does not belong in a batch.
pub fn bind_batch(
    kind: wire::BatchKind,
    statements: &[(Arc<Prepared>, wire::Values)],
    request: &BindContext<'_>,
) -> Result<Plan, PlanError> {
    let level = UsingPlan::default().write_level(request.consistency)?;
    let request = BindContext { consistency: level, ..*request };
    let bound = (0..).zip(statements).map(|(number, (prepared, values))| {
        prepared.modification(values, &statement_of(&request, number))
    });
    let bound = bound.collect::<Result<Vec<_>, _>>()?;
    let kind = match kind {
        wire::BatchKind::Logged => BatchKind::Logged,
        wire::BatchKind::Unlogged => BatchKind::Unlogged,
        wire::BatchKind::Counter => BatchKind::Counter,
    };
    together(kind, bound.iter().map(|(statement, values)| (*statement, values)), &request)
}

fn together<'a>(
    kind: BatchKind,
    statements: impl ExactSizeIterator<Item = (&'a Modification, &'a BoundValues<'a>)>,
    request: &BindContext<'_>,
) -> Result<Plan, PlanError> {
    if kind == BatchKind::Counter {
        return Err(PlanError::unsupported("a COUNTER BATCH"));
    }
    let (count, max) = (statements.len(), request.limits.batch_statements_max);
    if count > (max as usize).min(STATEMENTS_MAX) {
        return Err(PlanError::BatchTooLong { count, max });
    }
    let mut changes = ChangesOp::new(request.consistency, request).of_batch(request);
    for (number, (statement, values)) in (0..).zip(statements) {
        let target = statement.target();
        if target.returns() {
            return Err(PlanError::InBatch { what: "RETURNING" });
        }
        if target.using.has_level() {
            return Err(PlanError::InBatch { what: "USING CONSISTENCY of a statement" });
        }
        statement.change(values, &statement_of(request, number), &mut changes)?;
    }
    let partitions = changes.partitions();
    if kind == BatchKind::Logged && partitions > 1 {
        return Err(PlanError::LoggedBatch { partitions });
    }
    if changes.is_empty() {
        return Ok(Plan::Nothing);
    }
    Ok(Plan::Write(Box::new(WritePlan { changes, returning: None })))
}

/// The request of the statement with this number: each has an operation of its own, the later one
/// a greater.
fn statement_of<'a>(request: &BindContext<'a>, number: u64) -> BindContext<'a> {
    let operation = (request.operation & !STATEMENT_BITS) | (number & STATEMENT_BITS);
    BindContext { operation, ..*request }
}
