//! Statements: from text to something that can be bound, remembered where the client asks for it.
//!
//! A prepared statement is kept with its syntax tree, and planned anew when the metadata have moved
//! on. Its id follows from keyspace and text, so it is the same on every node; one that fell out of
//! the cache is prepared again by its driver.

use std::sync::Arc;

use arc_swap::ArcSwap;
use moka::sync::Cache;
use wire::{ErrorKind, ErrorReply};

use crate::metadata::Snapshot;
use crate::plan::{self, Prepared, prepared_id};

/// The id of a prepared statement.
pub(super) type StatementId = [u8; 16];

/// A statement that was parsed and planned.
#[derive(Debug)]
pub(super) struct KnownStatement {
    /// Equal on all nodes.
    pub(super) id: StatementId,
    keyspace: Option<Arc<str>>,
    syntax: sql::Statement,
    prepared: ArcSwap<Prepared>,
}

impl KnownStatement {
    /// The statement as planned under the epoch of `snapshot`.
    pub(super) fn under(&self, snapshot: &Snapshot) -> Result<Arc<Prepared>, ErrorReply> {
        let prepared = self.prepared.load_full();
        if prepared.epoch() == snapshot.epoch() {
            return Ok(prepared);
        }
        let prepared = plan::prepare(&self.syntax, self.keyspace.as_deref(), snapshot)?;
        let prepared = Arc::new(prepared);
        self.prepared.store(Arc::clone(&prepared));
        Ok(prepared)
    }
}

/// The statements that clients have prepared.
#[derive(Debug)]
pub(super) struct StatementCache {
    known: Cache<StatementId, Arc<KnownStatement>>,
}

impl StatementCache {
    pub(super) fn new(statements_max: u32) -> Self {
        Self { known: Cache::new(statements_max.into()) }
    }

    pub(super) fn find(&self, id: &[u8]) -> Option<Arc<KnownStatement>> {
        self.known.get(&StatementId::try_from(id).ok()?)
    }

    /// Parses and plans a statement and remembers it.
    pub(super) fn prepare(
        &self,
        text: &str,
        keyspace: Option<&Arc<str>>,
        snapshot: &Snapshot,
    ) -> Result<Arc<KnownStatement>, ErrorReply> {
        let id = prepared_id(keyspace.map(AsRef::as_ref), text);
        if let Some(known) = self.known.get(&id) {
            known.under(snapshot)?;
            return Ok(known);
        }
        let syntax = parse(text)?;
        let prepared = plan::prepare(&syntax, keyspace.map(AsRef::as_ref), snapshot)?;
        let prepared = ArcSwap::from_pointee(prepared);
        let known = KnownStatement { id, keyspace: keyspace.cloned(), syntax, prepared };
        let known = Arc::new(known);
        self.known.insert(id, Arc::clone(&known));
        Ok(known)
    }
}

/// Parses one statement.
pub(super) fn parse(text: &str) -> Result<sql::Statement, ErrorReply> {
    sql::parse(text).map_err(|error| ErrorReply::new(ErrorKind::Syntax, error.to_string()))
}
