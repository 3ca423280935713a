//! Rows of last-write-wins tables against a database that keeps every statement it was ever told.

mod oracle;
mod schedules;
mod statements;
