//! Runs the steps of coordinated operations: here alone they send and wait.
//!
//! ```text
//! place     who holds the row, who of them is alive
//! write     stamped at this replica, sent to the others     forward   to a replica that stamps
//! blind     cells, sent to all replicas
//! read      one row                                         range     a stretch of keys, a scan
//! mend      after the answer: hints of what some have missed
//! spare     one replica more, where those that were asked are slow
//! ```

mod blind;
mod counters;
mod forward;
mod mend;
mod place;
mod range;
mod read;
mod spare;
mod write;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::Either;
use ring::HostId;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use self::counters::CoordCounters;
pub use self::mend::MENDINGS_MAX;
use self::place::Place;
use self::spare::kind_of;
use super::latency::Latencies;
use super::request::Patience;
use crate::clock::{Clock, Random};
use crate::cluster::Cluster;
use crate::config::Planted;
use crate::peer::{Answer, Body, CallError, Class, Pool, Refusal, Reply, Request, Target};
use crate::register::Keeper;
use crate::replica::{Missed, Replica};

/// Carries out clients' operations on rows.
#[derive(Debug, Clone)]
pub struct Coordinator {
    /// Who is alive and who owns what.
    pub cluster: Arc<Cluster>,
    /// The other nodes.
    pub pool: Arc<Pool>,
    /// This node's copies.
    pub replica: Arc<Replica>,
    /// Newer metadata, where an answer shows that there is some.
    pub keeper: Arc<Keeper>,
    /// Deadlines.
    pub clock: Arc<dyn Clock>,
    /// Choices between equal replicas.
    pub random: Random,
    /// How long operations may take.
    pub patience: Patience,
    /// A replica that is down for longer than this is not hinted to by others.
    pub hint_window: Duration,
    /// Tests plant this bug: hints are forgotten without a word.
    pub keeps_hints: bool,
    /// What operations have needed.
    pub counters: Arc<CoordCounters>,
    /// One permit for each write that is waited for after its answer.
    pub mending: Arc<Semaphore>,
    /// How fast other nodes answer.
    pub latencies: Arc<Latencies>,
    /// A bug that tests look for.
    pub planted: Planted,
}

impl Coordinator {
    /// Those of the replicas of which this node keeps hints: not of one that is down for longer than
    /// the window, whose partitions anti-entropy takes first when it is back.
    pub(crate) fn hinted(&self, missed: &[HostId]) -> Missed {
        let now = self.clock.now();
        let is_hinted = |host: &HostId| {
            let is_within = self.cluster.silent_for(*host, now) < self.hint_window;
            if !is_within && self.keeps_hints {
                self.replica.overdue().note(*host);
                CoordCounters::count(&self.counters.hints_past_window);
            }
            is_within && self.keeps_hints
        };
        missed.iter().copied().filter(is_hinted).collect()
    }

    fn call(
        &self,
        place: &Place,
        to: HostId,
        request: Request,
        body: Body,
        deadline: Instant,
    ) -> impl Future<Output = Result<Reply, CallError>> + Send + use<> {
        let member = place.snapshot.member(to).expect("replicas are members of their epoch");
        let target = Target { address: member.internode, host: Some(to) };
        let epoch = place.snapshot.epoch();
        let kind = kind_of(&request);
        let call = self.pool.call(target, Class::Rows, epoch, request, body, deadline);
        let call = match kind {
            Some(kind) => Either::Left(self.timed(to, kind, Box::pin(call))),
            None => Either::Right(call),
        };
        let keeper = Arc::clone(&self.keeper);
        async move {
            let reply = call.await?;
            // The statement is carried out anew, on the rows that the table has now.
            if let Answer::Refused(Refusal::TableEnded { epoch }) = reply.answer {
                keeper.catch_up(reply.from.internode, epoch, deadline).await;
            }
            Ok(reply)
        }
    }
}

fn len(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len()).expect("keys are far below 4 GiB")
}

#[cfg(test)]
mod tests;
