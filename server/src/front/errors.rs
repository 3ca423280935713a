//! What went wrong, in the protocol's words: the right code, the right numbers, what to do.

use ring::Unavailable;
use types::Consistency;
use wire::{ErrorKind, ErrorReply, WriteType};

use crate::coord::{ReadError, RowError, WriteError};
use crate::metadata::{ChangeError, Table};
use crate::register::ProposeFailure;

fn unavailable(consistency: Consistency, required: u32, alive: u32) -> ErrorReply {
    let text = Unavailable { level: consistency, required, alive }.to_string();
    ErrorReply::new(ErrorKind::Unavailable { consistency, required, alive }, text)
}

/// How far a request came that writes one partition or several.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// The level that was asked for.
    pub(super) level: Consistency,
    /// How many partitions are written.
    pub(super) done: usize,
    /// How many there are.
    pub(super) partitions: usize,
}

/// The answer to a write that was not promised: that of the first partition which failed.
pub(super) fn of_write(error: &WriteError, table: &Table, progress: Progress) -> ErrorReply {
    let Progress { level, done, partitions } = progress;
    let write_type = if partitions > 1 { WriteType::UnloggedBatch } else { WriteType::Simple };
    let text = match error {
        WriteError::Invalid(refused) => of_row(refused, table),
        error => error.to_string(),
    };
    let kind = match *error {
        WriteError::Timeout { level: consistency, received, required } => {
            ErrorKind::WriteTimeout { consistency, received, required, write_type }
        }
        WriteError::Invalid(_) => ErrorKind::Invalid,
        // What follows says that nothing was done, which is no longer true.
        _ if done > 0 => {
            let (received, required) = match *error {
                WriteError::Unavailable { required, alive, .. } => (alive, required),
                _ => (0, 1),
            };
            ErrorKind::WriteTimeout { consistency: level, received, required, write_type }
        }
        WriteError::Unavailable { level, required, alive } => {
            return unavailable(level, required, alive);
        }
        WriteError::Overloaded
        | WriteError::NoSpace
        | WriteError::NotReady
        | WriteError::Outdated => ErrorKind::Overloaded,
        WriteError::Damaged | WriteError::Store => ErrorKind::Server,
    };
    let progress = match partitions {
        0 | 1 => String::new(),
        _ => format!(" ({done} of {partitions} partitions are written)"),
    };
    ErrorReply::new(kind, format!("{text}{progress}"))
}

/// Why the row refuses the statement, with the names of its columns.
fn of_row(refused: &RowError, table: &Table) -> String {
    let name = |id: u32| {
        let column = table.columns.iter().find(|column| column.id.0 == id);
        column.map_or("?", |column| column.name.as_str())
    };
    match refused {
        RowError::BasesDiffer { columns } => {
            let names: Vec<&str> = columns.iter().map(|id| name(*id)).collect();
            format!(
                "the versions that the context covers differ in {}: set these columns, or INSERT \
                 the whole row USING CONTEXT",
                names.join(", ")
            )
        }
        RowError::Set { column } => {
            format!("column {} cannot take these elements", name(*column))
        }
        refused => refused.to_string(),
    }
}

/// The answer to a read that has no result.
pub(super) fn of_read(error: &ReadError) -> ErrorReply {
    let kind = match *error {
        ReadError::Unavailable { level, required, alive } => {
            return unavailable(level, required, alive);
        }
        ReadError::Timeout { level: consistency, received, required } => {
            ErrorKind::ReadTimeout { consistency, received, required, has_data: received > 0 }
        }
        ReadError::Behind { level: consistency, received, required } => {
            let (failures, has_data) = (received.max(1), received > 0);
            ErrorKind::ReadFailure { consistency, received, required, failures, has_data }
        }
        ReadError::Outdated => ErrorKind::Overloaded,
    };
    ErrorReply::new(kind, error.to_string())
}

/// The answer to a change of the schema that was not made.
pub(super) fn of_proposal(failure: &ProposeFailure) -> ErrorReply {
    let kind = match failure {
        ProposeFailure::Refused(refused) => of_change(refused),
        ProposeFailure::Overloaded => ErrorKind::Overloaded,
        ProposeFailure::NotFormed => ErrorKind::IsBootstrapping,
        ProposeFailure::NoAgreement { .. } => ErrorKind::Server,
    };
    let advice = match failure {
        ProposeFailure::NoAgreement { may_have_applied: true, .. } => {
            " (the change may be made yet: look before you ask again)"
        }
        ProposeFailure::NoAgreement { .. } => " (nothing was changed)",
        _ => "",
    };
    ErrorReply::new(kind, format!("{failure}{advice}"))
}

fn of_change(refused: &ChangeError) -> ErrorKind {
    match refused {
        ChangeError::KeyspaceExists { keyspace } => {
            ErrorKind::AlreadyExists { keyspace: keyspace.clone(), table: String::new() }
        }
        ChangeError::TableExists { keyspace, table } => {
            ErrorKind::AlreadyExists { keyspace: keyspace.clone(), table: table.clone() }
        }
        ChangeError::NotFormed { .. } => ErrorKind::IsBootstrapping,
        ChangeError::NoDatacenter { .. } => ErrorKind::Config,
        _ => ErrorKind::Invalid,
    }
}
