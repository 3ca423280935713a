//! TRUNCATE, and what it means to statements that run meanwhile.
//!
//! ```text
//! all members alive -> the register ends the life of the rows -> every member knows it -> void
//! ```
//!
//! Law: after the answer no node shows a row of the ended life, nor acknowledges a write of one. A
//! statement that was planned for a life which is over when it has been carried out is planned and
//! carried out anew: what it wrote is gone, what it read was gone already. That is also the way of a
//! coordinator that is behind: the first replica that refuses it gives it the newer metadata.

use std::collections::BTreeSet;

use ring::HostId;
use types::Consistency;
use wire::{ErrorKind, ErrorReply};

use super::{Front, FrontCounters, errors};
use crate::metadata::{Change, Life, Member, Snapshot};
use crate::plan::{Prepared, TruncatePlan};
use crate::register::Proposed;

/// How often a statement is carried out while its table is truncated under it again and again.
pub(super) const LIVES_MAX: usize = 3;

impl Front {
    /// Takes all rows of a table away.
    pub(super) async fn truncate(&self, plan: TruncatePlan) -> Result<(), ErrorReply> {
        FrontCounters::count(&self.counters.schema_changes);
        let deadline = self.parts.clock.now() + self.parts.config.timeouts.metadata;
        let snapshot = self.snapshot()?;
        refuse_absence(&snapshot, &self.parts.cluster.alive())?;
        let TruncatePlan { keyspace, table } = plan;
        let name = format!("{keyspace}.{table}");
        let change = Change::Truncate { keyspace, name: table };
        let epoch = match self.parts.proposals.propose(change, deadline).await {
            Ok(Proposed::Chosen { epoch }) => epoch,
            Ok(Proposed::Nothing) => return Ok(()),
            Err(failure) => return Err(errors::of_proposal(&failure)),
        };
        let spread = self.parts.proposals.spread(epoch, deadline).await;
        spread.map_err(|lacking| not_told(&name, &snapshot, &lacking))
    }

    /// Whether the rows that a statement is about are the living ones of their tables now.
    pub(super) fn is_current(&self, prepared: &Prepared) -> bool {
        let Some(snapshot) = self.parts.cluster.snapshot() else { return true };
        prepared.lives().iter().all(|(table, epoch)| snapshot.life(*table, *epoch) != Life::Over)
    }
}

/// The answer where the tables of a statement ended each time it was carried out.
pub(super) fn no_lasting_life() -> ErrorReply {
    let text = "the table was truncated or dropped whenever the statement was carried out";
    ErrorReply::new(ErrorKind::Overloaded, text)
}

/// A member that is down would go on with the old rows.
fn refuse_absence(snapshot: &Snapshot, alive: &BTreeSet<HostId>) -> Result<(), ErrorReply> {
    let members = &snapshot.value.members;
    let absent: Vec<&Member> =
        members.iter().filter(|member| !alive.contains(&member.host)).collect();
    if absent.is_empty() {
        return Ok(());
    }
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let kind = ErrorKind::Unavailable {
        consistency: Consistency::All,
        required: count(members.len()),
        alive: count(members.len() - absent.len()),
    };
    let names: Vec<String> = absent.iter().map(|member| member.internode.to_string()).collect();
    let text = format!("TRUNCATE needs every node, and {} is down", names.join(", "));
    Err(ErrorReply::new(kind, text))
}

fn not_told(table: &str, snapshot: &Snapshot, lacking: &[HostId]) -> ErrorReply {
    let address = |host: &HostId| match snapshot.member(*host) {
        Some(member) => member.internode.to_string(),
        None => host.to_string(),
    };
    let names: Vec<String> = lacking.iter().map(address).collect();
    let text = format!(
        "{table} is truncated, but {} did not say in time that it knows: it may show the old rows \
         for a while",
        names.join(", ")
    );
    ErrorReply::new(ErrorKind::Truncate, text)
}
