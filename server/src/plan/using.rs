//! The attributes after USING: time to live, timestamp, context, level.
//!
//! A context is opened for the one row that the statement is about, so that none of another row,
//! table or cluster gets further. Callers: INSERT, UPDATE, DELETE and SELECT. Pure.

use std::time::Duration;

use repair::version::{Expiry, VersionVector};
use sql::{Attribute, Term, Using};
use types::{Consistency, CqlType};

use super::PlanError;
use super::bind::{BoundValues, Expression, Markers};
use super::catalog::full_name;
use super::prepared::BindContext;
use super::seal::{Opener, Purpose, SealError};
use crate::metadata::{Conflict, Table};
use crate::store::keys::RowKey;

/// Twenty years, in seconds: the longest time to live.
const TTL_MAX: i32 = 630_720_000;
const US_PER_SECOND: i64 = 1_000_000;

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Reads.
    Select,
    /// Writes a whole row.
    Insert,
    /// Writes some columns.
    Update,
    /// Removes.
    Delete,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    fn sets_columns(self) -> bool {
        matches!(self, Self::Insert | Self::Update)
    }
}

/// The attributes of a statement, before its values are known.
#[derive(Debug, Clone, Default)]
pub(super) struct UsingPlan {
    ttl: Option<Expression>,
    timestamp: Option<Expression>,
    context: Option<Expression>,
    level: Option<Consistency>,
}

impl UsingPlan {
    /// The attributes of a statement on `table`.
    pub(super) fn new(
        using: &Using,
        table: &Table,
        verb: Verb,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        let mut plan = Self { level: using.consistency(), ..Self::default() };
        for attribute in &using.attributes {
            match attribute {
                Attribute::Ttl(_) if !verb.sets_columns() => {
                    return Err(PlanError::Attribute { attribute: "TTL", verb: verb.name() });
                }
                Attribute::Ttl(term) => {
                    plan.ttl = Some(markers.expression(term, "[ttl]", &CqlType::Int)?);
                }
                Attribute::Timestamp(_) if verb == Verb::Select => {
                    return Err(PlanError::Attribute { attribute: "TIMESTAMP", verb: verb.name() });
                }
                Attribute::Timestamp(_) if table.conflict == Conflict::Siblings => {
                    return Err(PlanError::Timestamp { table: full_name(table) });
                }
                Attribute::Timestamp(term) => plan.timestamp = Some(timestamp(term, markers)?),
                Attribute::Context(_) if table.conflict == Conflict::Lww => {
                    return Err(PlanError::no_siblings("USING CONTEXT", table));
                }
                Attribute::Context(term) => {
                    plan.context = Some(markers.expression(term, "[context]", &CqlType::Blob)?);
                }
                Attribute::Consistency(..) => {}
            }
        }
        Ok(plan)
    }

    /// Whether there is a context.
    pub(super) fn has_context(&self) -> bool {
        self.context.is_some()
    }

    /// The attributes of a BATCH.
    pub(super) fn of_batch(using: &Using, markers: &mut Markers) -> Result<Self, PlanError> {
        let mut plan = Self { level: using.consistency(), ..Self::default() };
        for attribute in &using.attributes {
            match attribute {
                Attribute::Ttl(_) => return Err(PlanError::BatchTtl),
                Attribute::Context(_) => return Err(PlanError::BatchContext),
                Attribute::Timestamp(term) => plan.timestamp = Some(timestamp(term, markers)?),
                Attribute::Consistency(..) => {}
            }
        }
        Ok(plan)
    }

    /// Whether there is a timestamp.
    pub(super) fn has_timestamp(&self) -> bool {
        self.timestamp.is_some()
    }

    /// Whether there is a level.
    pub(super) fn has_level(&self) -> bool {
        self.level.is_some()
    }

    /// The timestamp after USING; none without one, or where it is not set.
    pub(super) fn own_timestamp_us(
        &self,
        values: &BoundValues<'_>,
    ) -> Result<Option<i64>, PlanError> {
        Ok(self.timestamp.as_ref().map(|it| it.bind_bigint(values)).transpose()?.flatten())
    }

    /// The timestamp of what is written into a table of last-write-wins: the statement's, else the
    /// client's, else the time of the server's clock.
    ///
    /// # Errors
    /// [`PlanError::TimestampBounds`] and [`PlanError::Future`].
    pub(super) fn timestamp_us(
        &self,
        values: &BoundValues<'_>,
        request: &BindContext<'_>,
    ) -> Result<i64, PlanError> {
        let given = self.own_timestamp_us(values)?.or(request.client_timestamp_us);
        let Some(timestamp) = given else { return Ok(request.write_time_us) };
        if timestamp == i64::MIN {
            return Err(PlanError::TimestampBounds { timestamp });
        }
        let ahead_us = timestamp.saturating_sub(request.now_us);
        if ahead_us > request.limits.future_max_us {
            let ahead_max = Duration::from_micros(request.limits.future_max_us.unsigned_abs());
            let ahead = Duration::from_micros(ahead_us.unsigned_abs());
            return Err(PlanError::Future { timestamp, ahead, ahead_max });
        }
        Ok(timestamp)
    }

    /// When what the statement writes ends.
    pub(super) fn expiry(
        &self,
        values: &BoundValues<'_>,
        now_us: i64,
    ) -> Result<Expiry, PlanError> {
        let ttl = self.ttl.as_ref().map(|ttl| ttl.bind_int(values)).transpose()?.flatten();
        match ttl {
            None | Some(0) => Ok(Expiry::Never),
            Some(ttl) if ttl < 0 => Err(PlanError::TtlNegative { ttl }),
            Some(ttl) if ttl > TTL_MAX => Err(PlanError::TtlTooLarge { ttl, max: TTL_MAX }),
            Some(ttl) => Ok(Expiry::At(now_us.saturating_add(i64::from(ttl) * US_PER_SECOND))),
        }
    }

    /// What the client has seen of the row; none without the clause.
    ///
    /// # Errors
    /// Also for a context that is null or not set: a statement that asks for one must not turn
    /// into a statement without one.
    pub(super) fn context(
        &self,
        values: &BoundValues<'_>,
        row: &RowKey,
        request: &BindContext<'_>,
    ) -> Result<Option<VersionVector>, PlanError> {
        let Some(context) = &self.context else { return Ok(None) };
        let sealed = context.bind_value(values)?;
        let opened = opener(request).open(Purpose::Context, row.as_bytes(), &sealed);
        let content = opened.map_err(|error| match error {
            SealError::Expired => PlanError::ExpiredContext,
            source => PlanError::BadContext { source },
        })?;
        let seen = VersionVector::decode(content);
        seen.map(Some).map_err(|_| PlanError::BadContext { source: SealError::Forged })
    }

    /// The level of a read.
    pub(super) fn read_level(&self, request: Consistency) -> Result<Consistency, PlanError> {
        match self.level.unwrap_or(request) {
            Consistency::Any => Err(PlanError::ReadAtAny),
            level => not_serial(level),
        }
    }

    /// The level of a write.
    pub(super) fn write_level(&self, request: Consistency) -> Result<Consistency, PlanError> {
        not_serial(self.level.unwrap_or(request))
    }
}

/// Who opens what the client of this request sent.
pub(super) fn opener<'a>(request: &BindContext<'a>) -> Opener<'a> {
    Opener {
        secrets: &request.snapshot.value.secrets,
        now_us: request.now_us,
        age_max_us: request.limits.sealed_age_max_us,
    }
}

fn timestamp(term: &Term, markers: &mut Markers) -> Result<Expression, PlanError> {
    markers.expression(term, "[timestamp]", &CqlType::Bigint)
}

fn not_serial(level: Consistency) -> Result<Consistency, PlanError> {
    if level.is_serial() { Err(PlanError::SerialLevel { level }) } else { Ok(level) }
}
