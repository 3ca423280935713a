//! When a failed request is sent again, to another node: only if that can do no harm and may help.
//!
//! What a coordinator says of its replicas — unavailable, too few answers — is an answer, and another
//! node would say the same. What may have been carried out is sent again only if it is idempotent:
//! a write without the context that covers it would leave a sibling of itself.

use scylla::errors::{DbError, RequestAttemptError};
use scylla::policies::retry::{RequestInfo, RetryDecision, RetryPolicy, RetrySession};

/// The rule, for every request the same.
#[derive(Debug)]
pub(crate) struct Retry;

impl RetryPolicy for Retry {
    fn new_session(&self) -> Box<dyn RetrySession> {
        Box::new(Self)
    }
}

impl RetrySession for Retry {
    fn decide_should_retry(&mut self, failed: RequestInfo<'_>) -> RetryDecision {
        if is_helped_by_another_node(failed.error, failed.is_idempotent) {
            RetryDecision::RetryNextTarget(None)
        } else {
            RetryDecision::DontRetry
        }
    }

    fn reset(&mut self) {}
}

fn is_helped_by_another_node(error: &RequestAttemptError, is_idempotent: bool) -> bool {
    match error {
        // The node did nothing at all.
        RequestAttemptError::UnableToAllocStreamId
        | RequestAttemptError::DbError(DbError::IsBootstrapping, _) => true,
        // It may have done everything.
        RequestAttemptError::BrokenConnectionError(_)
        | RequestAttemptError::DbError(DbError::Overloaded | DbError::ServerError, _) => {
            is_idempotent
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scylla::statement::Consistency;

    fn server(error: DbError) -> RequestAttemptError {
        RequestAttemptError::DbError(error, String::new())
    }

    #[test]
    fn a_node_that_does_not_serve_yet_is_passed_over() {
        assert!(is_helped_by_another_node(&server(DbError::IsBootstrapping), false));
        assert!(is_helped_by_another_node(&RequestAttemptError::UnableToAllocStreamId, false));
    }

    #[test]
    fn what_may_have_been_done_is_done_again_only_if_it_is_idempotent() {
        for error in [DbError::ServerError, DbError::Overloaded] {
            assert!(is_helped_by_another_node(&server(error.clone()), true));
            assert!(!is_helped_by_another_node(&server(error), false));
        }
    }

    #[test]
    fn what_is_said_of_replicas_is_an_answer() {
        let consistency = Consistency::Quorum;
        for error in [
            DbError::Unavailable { consistency, required: 2, alive: 1 },
            DbError::ReadTimeout { consistency, received: 2, required: 2, data_present: false },
            DbError::Invalid,
        ] {
            assert!(!is_helped_by_another_node(&server(error), true));
        }
    }
}
