use std::sync::Arc;

use scylla::errors::WriteType;
use scylla::statement::Consistency as Theirs;

use super::*;

fn server(error: DbError, message: &str) -> ExecuteError {
    let attempt = RequestAttemptError::DbError(error, message.to_owned());
    let node = "127.0.0.1:9042".parse().ok();
    ExecuteError::new(node, ExecutionError::LastAttemptError(attempt))
}

#[test]
fn a_refusal_is_told_in_the_words_of_the_node() {
    let error = server(DbError::Invalid, "unconfigured table k.t");
    assert_eq!(error.to_string(), "Invalid: unconfigured table k.t");
    assert!(!error.may_have_applied());
}

#[test]
fn too_few_live_replicas_are_counted_and_nothing_was_written() {
    let error = DbError::Unavailable { consistency: Theirs::All, required: 3, alive: 2 };
    let error = server(error, "too few replicas");
    assert_eq!(
        error.to_string(),
        "Unavailable: too few replicas (ALL: 2 of 3 replicas alive; asked 127.0.0.1:9042)"
    );
    assert!(!error.may_have_applied());
}

#[test]
fn a_write_timeout_says_that_the_write_may_live_on() {
    let error = server(
        DbError::WriteTimeout {
            consistency: Theirs::Quorum,
            received: 1,
            required: 2,
            write_type: WriteType::Simple,
        },
        "too few acknowledgements",
    );
    assert_eq!(
        error.to_string(),
        "Write timeout: too few acknowledgements (QUORUM: 1 of 2 replicas answered; \
         asked 127.0.0.1:9042; the write may live on)"
    );
    assert!(error.may_have_applied());
}

#[test]
fn a_read_timeout_says_nothing_of_writes() {
    let error = DbError::ReadTimeout {
        consistency: Theirs::LocalQuorum,
        received: 0,
        required: 2,
        data_present: false,
    };
    let error = server(error, "silence");
    let shown = "Read timeout: silence (LOCAL_QUORUM: 0 of 2 replicas answered; \
                 asked 127.0.0.1:9042)";
    assert_eq!(error.to_string(), shown);
    assert!(!error.may_have_applied());
}

#[test]
fn silence_of_the_node_leaves_the_outcome_open() {
    let waited = Duration::from_secs(3);
    let error = ExecuteError::new(None, ExecutionError::RequestTimeout(waited));
    assert_eq!(error.to_string(), "no answer within 3s");
    assert!(error.may_have_applied());
}

#[test]
fn a_node_that_does_not_listen_is_unreachable() {
    let io = Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
    let broken =
        ConnectionPoolError::Broken { last_connection_error: ConnectionError::IoError(io) };
    let error = ConnectError::new(&["a:1".to_owned(), "b:2".to_owned()], {
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(broken))
    });
    assert_eq!(error.to_string(), "cannot reach a:1, b:2: connection refused");
    assert!(error.is_unreachable());
}
