//! Why a statement is refused before any replica is asked.

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
}

impl PlanError {
    /// What drivers look at.
    pub fn kind(&self) -> wire::ErrorKind {
        wire::ErrorKind::Invalid
    }
}

impl From<PlanError> for wire::ErrorReply {
    fn from(error: PlanError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
