//! What is wrong with a keyspace or a table that is to be made.

use types::CqlType;

/// Why a definition is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// A name that keyspaces and tables cannot have.
    #[error(
        "{kind} name must not be empty, more than 48 characters long, or contain \
         non-alphanumeric-underscore characters (got \"{name}\")"
    )]
    Name {
        /// What is to be made.
        kind: &'static str,
        /// The name, or its beginning.
        name: String,
    },
    /// A name that columns cannot have.
    #[error("Column name must not be empty or more than {max} bytes long")]
    ColumnName {
        /// How long it may be.
        max: usize,
    },
    /// An option that nothing has.
    #[error("Unknown property '{property}'")]
    UnknownProperty {
        /// Its name.
        property: String,
    },
    /// An option with a value of another kind.
    #[error("Invalid value for property '{property}'. It should be {expected}")]
    PropertyValue {
        /// The option.
        property: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A keyspace without replication.
    #[error("Missing mandatory option 'replication'")]
    ReplicationMissing,
    /// Replication without a strategy.
    #[error("Missing replication strategy class")]
    StrategyMissing,
    /// A strategy that there is not.
    #[error("Unable to find replication strategy class '{class}'")]
    UnknownStrategy {
        /// The class given.
        class: String,
    },
    /// A strategy without the number of replicas.
    #[error("{strategy} requires a replication_factor strategy option.")]
    FactorMissing {
        /// The strategy.
        strategy: &'static str,
    },
    /// A number of replicas that is none.
    #[error("Replication factor must be a number from 0 to 255; found {given}")]
    Factor {
        /// What was given.
        given: String,
    },
    /// No replica at all.
    #[error("Replication factor must be positive: a row without a replica is nowhere")]
    NoReplicas,
    /// An option that the strategy does not have.
    #[error("Unrecognized strategy option {{{option}}} passed to {strategy}")]
    StrategyOption {
        /// The option.
        option: String,
        /// The strategy.
        strategy: &'static str,
    },
    /// A conflict mode that there is not.
    #[error("conflict must be 'siblings' or 'lww', not '{given}'")]
    Conflict {
        /// What was given.
        given: String,
    },
    /// A speculative retry that there is not.
    #[error(
        "speculative_retry must be a percentile like '99p', a time like '50ms', 'ALWAYS' or \
         'NEVER', not '{given}'"
    )]
    SpeculativeRetry {
        /// What was given.
        given: String,
    },
    /// Another conflict mode for rows that are there.
    #[error("conflict is fixed when a table is created: it cannot be altered")]
    ConflictFixed,
    /// A table without a key.
    #[error("No PRIMARY KEY specified for table '{table}' (exactly one required)")]
    KeyMissing {
        /// The table.
        table: String,
    },
    /// A key of a column that there is not.
    #[error("Unknown column '{column}' referenced in PRIMARY KEY for table '{table}'")]
    UnknownKeyColumn {
        /// The column.
        column: String,
        /// The table.
        table: String,
    },
    /// One column twice in the key.
    #[error("Duplicate column '{column}' in PRIMARY KEY clause for table '{table}'")]
    KeyColumnTwice {
        /// The column.
        column: String,
        /// The table.
        table: String,
    },
    /// One column twice.
    #[error("Duplicate column '{column}' declaration for table '{table}'")]
    ColumnTwice {
        /// The column.
        column: String,
        /// The table.
        table: String,
    },
    /// More columns than a table can have.
    #[error("A table has at most {max} columns")]
    TooManyColumns {
        /// How many it can have.
        max: usize,
    },
    /// A type that keys cannot have.
    #[error("Invalid type {kind} for PRIMARY KEY column '{column}'")]
    KeyType {
        /// The column.
        column: String,
        /// Its type.
        kind: CqlType,
    },
    /// A collection within another that is not frozen.
    #[error("Non-frozen collections are not allowed inside collections: {kind}")]
    Unfrozen {
        /// The outer type.
        kind: CqlType,
    },
    /// A set or map of values without an order.
    #[error("Durations are not allowed inside sets or as keys of maps: {kind}")]
    UnorderedElement {
        /// The type of the set or map.
        kind: CqlType,
    },
    /// A type that is one value anyway.
    #[error("frozen<> is only allowed on collections and tuples (got {kind})")]
    NotFreezable {
        /// The type.
        kind: CqlType,
    },
    /// A type that there is not.
    #[error("Unknown type {kind}")]
    UnknownType {
        /// The type as it was given.
        kind: String,
    },
    /// An order of columns that are not those of the clustering key.
    #[error("Clustering key columns must exactly match columns in CLUSTERING ORDER BY directive")]
    ClusteringOrder,
}

impl DefinitionError {
    /// What drivers look at.
    pub(crate) fn kind(&self) -> wire::ErrorKind {
        match self {
            Self::UnknownProperty { .. }
            | Self::PropertyValue { .. }
            | Self::StrategyMissing
            | Self::UnknownStrategy { .. }
            | Self::FactorMissing { .. }
            | Self::Factor { .. }
            | Self::NoReplicas
            | Self::StrategyOption { .. }
            | Self::Conflict { .. }
            | Self::SpeculativeRetry { .. }
            | Self::ConflictFixed => wire::ErrorKind::Config,
            _ => wire::ErrorKind::Invalid,
        }
    }
}
