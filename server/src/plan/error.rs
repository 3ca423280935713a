//! Why a statement is refused before any replica is asked.
//!
//! The words are Cassandra's where it has some, for people and tests look for them.

use std::time::Duration;

use ring::KEY_BYTES_MAX;
use types::{Consistency, CqlType};

use super::answer::DamagedKey;
use super::catalog::full_name;
use super::ddl::DefinitionError;
use super::seal::SealError;
use crate::metadata::Table;

/// Why a statement is refused. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A part of the language that is Cassandra's or ours, and not there yet.
    #[error("{what} is not supported yet")]
    Unsupported {
        /// The part's name.
        what: String,
    },
    /// The statement names a table without its keyspace, and the session has none.
    #[error(
        "No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename"
    )]
    NoKeyspace,
    /// There is no such keyspace.
    #[error("keyspace {keyspace} does not exist")]
    UnknownKeyspace {
        /// The name given.
        keyspace: String,
    },
    /// There is no such table.
    #[error("unconfigured table {table}")]
    UnknownTable {
        /// The name given.
        table: String,
    },
    /// The table has no such column.
    #[error("Undefined column name {column} in table {table}")]
    UnknownColumn {
        /// The name given.
        column: String,
        /// The table, with its keyspace.
        table: String,
    },
    /// There is no such function.
    #[error("Unknown function '{function}'")]
    UnknownFunction {
        /// The name given.
        function: String,
    },
    /// A function is called with something else than it takes.
    #[error("{function}() takes {takes}")]
    Arguments {
        /// The function.
        function: String,
        /// What it takes.
        takes: String,
    },
    /// A CAST between types that do not go together.
    #[error("{from} cannot be cast to {to}")]
    Cast {
        /// The type of what is cast.
        from: CqlType,
        /// The type asked for.
        to: CqlType,
    },
    /// An element of something that has none.
    #[error("Invalid element selection: {name} is of type {kind}, which is no collection")]
    NoElements {
        /// What is to have elements.
        name: String,
        /// Its type.
        kind: CqlType,
    },
    /// An aggregate of more than its type can hold.
    #[error("{function}() is out of the range of {kind}")]
    Overflow {
        /// The aggregate.
        function: &'static str,
        /// The type.
        kind: CqlType,
    },
    /// SELECT DISTINCT of something else than the partition key.
    #[error("SELECT DISTINCT queries must only request partition key columns (not {name})")]
    DistinctOther {
        /// What is selected.
        name: String,
    },
    /// SELECT DISTINCT of a part of the partition key.
    #[error(
        "SELECT DISTINCT queries must request all the partition key columns (missing {column})"
    )]
    DistinctPart {
        /// What is missing.
        column: String,
    },
    /// SELECT DISTINCT with a relation on the clustering key.
    #[error("SELECT DISTINCT with WHERE clause only supports restriction by partition key")]
    DistinctClustering,
    /// PER PARTITION LIMIT where there is nothing to limit.
    #[error("PER PARTITION LIMIT is not allowed with {clause} queries")]
    PerPartitionLimit {
        /// What it does not go with.
        clause: &'static str,
    },
    /// More columns in a result than anybody reads.
    #[error("A result has at most {max} columns")]
    TooManySelections {
        /// How many it may have.
        max: usize,
    },
    /// The keyspace is the server's own.
    #[error("{keyspace} keyspace is not user-modifiable.")]
    SystemKeyspace {
        /// Its name.
        keyspace: String,
    },
    /// The request brings more or fewer values than the statement has markers.
    #[error(
        "Invalid amount of bind variables: {markers} markers in the statement, {values} values"
    )]
    ValueCount {
        /// How many markers there are.
        markers: usize,
        /// How many values came.
        values: usize,
    },
    /// The request names its values, and one is missing.
    #[error("no value is bound to marker {name}")]
    NoValue {
        /// The marker's name.
        name: String,
    },
    /// A constant that is none of the type it should have.
    #[error("Invalid value for {name}: {source}")]
    Constant {
        /// What it is for.
        name: String,
        /// What is wrong with it.
        source: sql::ConstantError,
    },
    /// Bytes that are no value of the type they should have.
    #[error("Invalid value for {name}: {source}")]
    Value {
        /// What it is for.
        name: String,
        /// What is wrong with it.
        source: types::ValueError,
    },
    /// Null where there must be a value.
    #[error("Invalid null value for {name}")]
    Null {
        /// What it is for.
        name: String,
    },
    /// A value that is not set where there must be one.
    #[error("Invalid unset value for {name}")]
    Unset {
        /// What it is for.
        name: String,
    },
    /// A partition key of one empty value.
    #[error("Key may not be empty")]
    EmptyKey,
    /// A key, or a part of it, that is too long.
    #[error("Key length of {len} is longer than maximum of {KEY_BYTES_MAX}")]
    KeyTooLong {
        /// Its length.
        len: usize,
    },
    /// A part of the partition key is not named.
    #[error("Some partition key parts are missing: {columns}")]
    PartitionKeyMissing {
        /// The columns.
        columns: String,
    },
    /// A part of the clustering key is not named.
    #[error("Some clustering keys are missing: {columns}")]
    ClusteringMissing {
        /// The columns.
        columns: String,
    },
    /// A clustering column is restricted, and one before it is not.
    #[error(
        "PRIMARY KEY column \"{column}\" cannot be restricted as preceding column \"{preceding}\" \
         is not restricted"
    )]
    ClusteringGap {
        /// The restricted column.
        column: String,
        /// The one that is not.
        preceding: String,
    },
    /// A clustering column is restricted behind one that has a range.
    #[error(
        "Clustering column \"{column}\" cannot be restricted (preceding column \"{preceding}\" is \
         restricted by a non-EQ relation)"
    )]
    ClusteringBehindSlice {
        /// The restricted column.
        column: String,
        /// The one with the range.
        preceding: String,
    },
    /// A range of a column of the partition key.
    #[error(
        "Only EQ and IN relation are supported on the partition key (unless you use the token() \
         function), got a range of {column}"
    )]
    PartitionKeyRange {
        /// The column.
        column: String,
    },
    /// A relation of several columns, one of which is no clustering column.
    #[error(
        "Multi-column relations can only be applied to clustering columns but was applied to: \
         {column}"
    )]
    TupleOfOther {
        /// The column.
        column: String,
    },
    /// A relation of several columns that do not follow one another.
    #[error(
        "Clustering columns must appear in the PRIMARY KEY order in multi-column relations: \
         ({columns})"
    )]
    TupleOrder {
        /// The columns as they were given.
        columns: String,
    },
    /// A tuple with more or fewer values than there are columns.
    #[error("Expected {expected} elements in value tuple, but got {given}")]
    TupleLength {
        /// How many columns there are.
        expected: usize,
        /// How many values.
        given: usize,
    },
    /// `token()` of something else than the partition key.
    #[error("The token function arguments must be in the partition key order: {columns}")]
    TokenOrder {
        /// The partition key.
        columns: String,
    },
    /// `token()` in the WHERE of a write.
    #[error("The token function cannot be used in WHERE clauses of writes")]
    TokenInWrite,
    /// Lists after IN that make too many combinations.
    #[error(
        "the IN relations name more than {max} rows or stretches of rows, or very long ones: split \
         the statement"
    )]
    TooManyCombinations {
        /// How many one statement may name.
        max: u32,
    },
    /// ORDER BY over several partitions, page by page.
    #[error(
        "Cannot page queries with both ORDER BY and a IN restriction on the partition key; you \
         must either remove the ORDER BY or the IN and sort client side"
    )]
    OrderByOfPartitions,
    /// ORDER BY of a scan.
    #[error("ORDER BY is only supported when the partition key is restricted by an EQ or an IN.")]
    OrderByOfScan,
    /// A write selects by a column outside the primary key.
    #[error("Non PRIMARY KEY columns found in where clause: {column}")]
    NotKey {
        /// The column.
        column: String,
    },
    /// Two relations on one column that do not go together.
    #[error(
        "{column} cannot be restricted by more than one relation if it includes an Equal, nor \
         twice from the same side"
    )]
    RestrictedTwice {
        /// The column.
        column: String,
    },
    /// `!=` in a WHERE.
    #[error("Unsupported \"!=\" relation on {column}")]
    NotEqual {
        /// The column.
        column: String,
    },
    /// UPDATE sets a part of the key.
    #[error("PRIMARY KEY part {column} found in SET part")]
    SetKey {
        /// The column.
        column: String,
    },
    /// DELETE of a part of the key.
    #[error("Invalid identifier {column} for deletion (should not be a PRIMARY KEY part)")]
    DeleteKey {
        /// The column.
        column: String,
    },
    /// One column is written twice.
    #[error("Multiple definitions found for column {column}")]
    ColumnTwice {
        /// The column.
        column: String,
    },
    /// INSERT has more or fewer values than columns.
    #[error("Unmatched column names/values")]
    ColumnCount,
    /// An operation that the type of the column does not have.
    #[error("Invalid operation ({operation}) for column {column} of type {kind}")]
    Operation {
        /// The operation, as it would be written.
        operation: String,
        /// The column.
        column: String,
        /// Its type.
        kind: CqlType,
    },
    /// A key column in a place for columns outside the key.
    #[error("Cannot use selection function {function} on PRIMARY KEY part {column}")]
    FunctionOfKey {
        /// The function.
        function: &'static str,
        /// The column.
        column: String,
    },
    /// A time to live below zero.
    #[error("A TTL must be greater or equal to 0, but was {ttl}")]
    TtlNegative {
        /// The time given, in seconds.
        ttl: i32,
    },
    /// A time to live of more than twenty years.
    #[error("ttl is too large. requested ({ttl}) maximum ({max})")]
    TtlTooLarge {
        /// The time given, in seconds.
        ttl: i32,
        /// The longest there is.
        max: i32,
    },
    /// An attribute that the statement does not take.
    #[error("USING {attribute} is not allowed in {verb}")]
    Attribute {
        /// The attribute.
        attribute: &'static str,
        /// The statement's first word.
        verb: &'static str,
    },
    /// A timestamp for a siblings table.
    #[error(
        "USING TIMESTAMP is not allowed on {table}: the versions of a siblings table carry the \
         server's own clock"
    )]
    Timestamp {
        /// The table, with its keyspace.
        table: String,
    },
    /// A timestamp that stands for none.
    #[error("Out of bound timestamp {timestamp}, it must be above {}", i64::MIN)]
    TimestampBounds {
        /// The timestamp.
        timestamp: i64,
    },
    /// A timestamp from the future: it would win over all writes until then.
    #[error(
        "timestamp {timestamp} lies {ahead:?} ahead of the server's clock; clock.future_max allows \
         {ahead_max:?}"
    )]
    Future {
        /// The timestamp, in microseconds.
        timestamp: i64,
        /// How far ahead it lies.
        ahead: Duration,
        /// How far ahead it may lie.
        ahead_max: Duration,
    },
    /// A clause about versions, of which a table of last-write-wins has none.
    #[error("{clause} is not allowed on {table}: conflict = 'lww' keeps no versions")]
    NoSiblings {
        /// The clause.
        clause: &'static str,
        /// The table, with its keyspace.
        table: String,
    },
    /// A place that a list does not have.
    #[error("List index {index} out of bound, list has size {len}")]
    ListIndex {
        /// The place asked for.
        index: i32,
        /// How many elements there are.
        len: usize,
    },
    /// BATCH with a time to live.
    #[error("Global TTL on the BATCH statement is not supported.")]
    BatchTtl,
    /// BATCH with a context.
    #[error("USING CONTEXT belongs to a statement of the BATCH: a context is about one row")]
    BatchContext,
    /// A timestamp of a BATCH, and another one of a statement in it.
    #[error("Timestamp must be set either on BATCH or individual statements")]
    BatchTimestamp,
    /// Something in a BATCH that belongs outside.
    #[error("{what} is not allowed in a BATCH")]
    InBatch {
        /// What.
        what: &'static str,
    },
    /// A LOGGED BATCH that is no single commit.
    #[error(
        "a LOGGED BATCH over {partitions} partitions is not supported yet: use UNLOGGED, which \
         promises nothing across partitions, or write one partition"
    )]
    LoggedBatch {
        /// How many it writes.
        partitions: usize,
    },
    /// A BATCH of too many statements.
    #[error("Batch too large: {count} statements; guardrails.batch_statements_max is {max}")]
    BatchTooLong {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: u32,
    },
    /// A BATCH that writes too much.
    #[error("Batch too large: more than {bytes} bytes; guardrails.batch_bytes_max is {max}")]
    BatchTooLarge {
        /// How much it writes at least.
        bytes: usize,
        /// How much it may write.
        max: usize,
    },
    /// A clause that is about one row, in a statement that is about several.
    #[error("{clause} needs the whole primary key: it is about one row")]
    NeedsRow {
        /// The clause.
        clause: &'static str,
    },
    /// A context that has expired.
    #[error("expired context: read the row again")]
    ExpiredContext,
    /// A context that is none of this row.
    #[error("context not accepted: {source}")]
    BadContext {
        /// What is wrong with it.
        source: SealError,
    },
    /// A paging state that is none of this statement.
    #[error("paging state not accepted: {source}")]
    BadPagingState {
        /// What is wrong with it.
        source: SealError,
    },
    /// A level that reads do not have.
    #[error("ANY ConsistencyLevel is only supported for writes")]
    ReadAtAny,
    /// A level of conditional writes.
    #[error(
        "{level} is not supported as the consistency of a request: it belongs to conditional \
         writes, which do not exist yet"
    )]
    SerialLevel {
        /// The level.
        level: Consistency,
    },
    /// A LIMIT of nothing.
    #[error("{clause} must be strictly positive")]
    Limit {
        /// LIMIT or PER PARTITION LIMIT.
        clause: &'static str,
    },
    /// An order that no stored row has.
    #[error(
        "Unsupported order by relation: only the clustering columns in their declared order, all \
         of them as declared or all the other way round"
    )]
    OrderBy,
    /// An order by something else than a clustering column.
    #[error(
        "Order by is currently only supported on the clustered columns of the PRIMARY KEY, got \
         {column}"
    )]
    OrderByOther {
        /// The column.
        column: String,
    },
    /// A DELETE of a partition finds too much.
    #[error(
        "the DELETE would remove more than {max} rows: nothing was removed; name a smaller stretch"
    )]
    TooManyRows {
        /// How many one statement may remove.
        max: u32,
    },
    /// A replica has sent a row under a key that is none.
    #[error(transparent)]
    Damaged(#[from] DamagedKey),
    /// Something is wrong with a keyspace or table that is to be made.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
}

impl PlanError {
    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    pub(super) fn no_siblings(clause: &'static str, table: &Table) -> Self {
        Self::NoSiblings { clause, table: full_name(table) }
    }

    /// What drivers look at.
    pub fn kind(&self) -> wire::ErrorKind {
        match self {
            Self::SystemKeyspace { .. } => wire::ErrorKind::Unauthorized,
            Self::Damaged(_) => wire::ErrorKind::Server,
            Self::Definition(error) => error.kind(),
            _ => wire::ErrorKind::Invalid,
        }
    }
}

impl From<PlanError> for wire::ErrorReply {
    fn from(error: PlanError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
