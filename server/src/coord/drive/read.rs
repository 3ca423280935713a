//! Reading one row: whom [`ReadOp`] names is asked, and brought up to date, at most until the deadline.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ring::{HostId, Tally, Token};
use tokio::time::{Instant, timeout_at};
use types::Consistency;

use super::place::{News, PLACINGS_MAX, Place};
use super::write::row_list;
use super::{CoordCounters, Coordinator};
use crate::config::Planted;
use crate::coord::error::ReadError;
use crate::coord::latency::Kind;
use crate::coord::read::{Asking, FoundRow, ReadOp, ReadStep, ReadSteps};
use crate::coord::request::{RangeRead, RowRead};
use crate::metadata::{Conflict, Table};
use crate::peer::{Answer, Body, Reply, Request};
use crate::replica::{RowCopy, RowDigest};
use crate::store::keys::RowKey;

/// What became of one question, or of one repair.
enum Heard {
    Row(Option<RowCopy>),
    Digest(RowDigest),
    /// Of a failure only what it tells of newer metadata matters: another node is asked then.
    Failed(News),
    Repaired(bool),
}

impl Coordinator {
    /// Reads one row from as many replicas as the level asks for, and merges what they have.
    ///
    /// The row of a key that was never written is empty.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_row(&self, read: RowRead) -> Result<FoundRow, ReadError> {
        let deadline = self.clock.now() + self.patience.read;
        self.read_row_by(&read, deadline).await
    }

    pub(super) async fn read_row_by(
        &self,
        read: &RowRead,
        deadline: Instant,
    ) -> Result<FoundRow, ReadError> {
        let mut placings = 1;
        loop {
            let place = self.place([read.table.as_ref()], read.key.token(), read.level)?;
            let mut news = News::default();
            let outcome = self.read_row_at(&place, read, deadline, &mut news).await;
            let may_retry = outcome.is_err() && placings < PLACINGS_MAX;
            if !may_retry || !self.catch_up(news, deadline).await {
                return outcome;
            }
            placings += 1;
        }
    }

    async fn read_row_at(
        &self,
        place: &Place,
        read: &RowRead,
        deadline: Instant,
        news: &mut News,
    ) -> Result<FoundRow, ReadError> {
        let conflict = read.table.conflict;
        let begun_us = self.clock.wall_us();
        let (mut op, mut steps) = ReadOp::ask(self.asking(place, read));
        let retry = read.table.speculative_retry;
        let mut spare = self.spare(retry, place, Kind::Row, deadline);
        let mut asked = FuturesUnordered::new();
        loop {
            let mut outcome = None;
            for step in steps {
                if matches!(step, ReadStep::Repair { .. }) {
                    CoordCounters::count(&self.counters.repairs_awaited);
                }
                match step {
                    ReadStep::Answer(answer) => outcome = Some(answer),
                    ReadStep::RepairLater { to, row } => {
                        self.repair_later(
                            place,
                            to,
                            &[(read.key.as_bytes().clone(), row)],
                            begun_us,
                        );
                    }
                    step => asked
                        .push(self.carry_out(place, conflict, &read.key, step, begun_us, deadline)),
                }
            }
            if let Some(outcome) = outcome {
                if outcome.as_ref().is_ok_and(|found| found.footing.stand_ins > 0) {
                    CoordCounters::count(&self.counters.sloppy_reads);
                }
                return outcome;
            }
            steps = match timeout_at(spare.until(), asked.next()).await {
                Ok(Some((from, Heard::Row(row)))) => {
                    spare.note_answered(from);
                    op.on_row(from, row)
                }
                Ok(Some((from, Heard::Digest(digest)))) => {
                    spare.note_answered(from);
                    op.on_digest(from, digest)
                }
                Ok(Some((to, Heard::Repaired(is_repaired)))) => op.on_repaired(to, is_repaired),
                Ok(Some((from, Heard::Failed(told)))) => {
                    news.note(told);
                    op.on_failed(from)
                }
                Err(_) => match spare.on_slow() {
                    Some(true) => {
                        let more = op.on_slow();
                        spare.note_asked(asked_of(&more));
                        more
                    }
                    Some(false) => ReadSteps::new(),
                    None => op.on_deadline(),
                },
                Ok(None) => op.on_deadline(),
            };
        }
    }

    fn asking(&self, place: &Place, read: &RowRead) -> Asking {
        let others = read.at_least.as_ref().map(|_| self.may_have_stood_in(place));
        Asking {
            replicas: place.alive.clone(),
            stand_ins: place.stand_ins(),
            others: others.unwrap_or_default(),
            tally: place.tally().clone(),
            write_quorum: (read.level == Consistency::All)
                .then(|| Self::quorum_at(place, &read.table, read.key.token())),
            conflict: read.table.conflict,
            at_least: read.at_least.clone(),
        }
    }

    /// The tally of those who must have what a read of a stretch shows: of a quorum at level ALL.
    pub(super) fn write_quorum_of(place: &Place, read: &RangeRead) -> Tally {
        match read.level {
            Consistency::All => Self::quorum_at(place, &read.table, *read.tokens.start()),
            _ => place.tally().clone(),
        }
    }

    fn quorum_at(place: &Place, table: &Table, token: Token) -> Tally {
        let snapshot = &place.snapshot;
        let keyspace = snapshot.keyspaces.get(&table.keyspace);
        let placement = &keyspace.expect("the place was found in it").placement;
        let located = placement.located(snapshot.ring.partition_of(token));
        Tally::new(Consistency::Quorum, placement.strategy(), "", located)
    }

    /// Asks one node, or brings one up to date.
    async fn carry_out(
        &self,
        place: &Place,
        conflict: Conflict,
        key: &RowKey,
        step: ReadStep,
        made_us: i64,
        deadline: Instant,
    ) -> (HostId, Heard) {
        match step {
            ReadStep::AskRow { of, as_stand_in } => {
                (of, self.ask_row(place, of, as_stand_in, conflict, key, deadline).await)
            }
            ReadStep::AskDigest { of } => {
                (of, self.ask_digest(place, of, conflict, key, deadline).await)
            }
            ReadStep::Repair { to, .. } if self.planted.is(Planted::SkipReadRepair) => {
                (to, Heard::Repaired(true))
            }
            ReadStep::Repair { to, row } => {
                let rows = [(key.as_bytes().clone(), row)];
                (to, Heard::Repaired(self.repair(place, to, &rows, made_us, deadline).await))
            }
            ReadStep::RepairLater { .. } | ReadStep::Answer(_) => {
                unreachable!("nobody waits for these")
            }
        }
    }

    async fn ask_row(
        &self,
        place: &Place,
        of: HostId,
        as_stand_in: bool,
        conflict: Conflict,
        key: &RowKey,
        deadline: Instant,
    ) -> Heard {
        if of == self.cluster.me() {
            let row = self.replica.fetch(conflict, key);
            return row.map_or(Heard::Failed(News::default()), Heard::Row);
        }
        let body = Body::from_iter([key.as_bytes().clone()]);
        let request = Request::ReadRow { as_stand_in, digest: false };
        match self.call(place, of, request, body, deadline).await {
            Ok(Reply { answer: Answer::Row, body, .. }) if body.is_empty() => Heard::Row(None),
            Ok(Reply { answer: Answer::Row, body, .. }) => {
                let row = RowCopy::decode(conflict, &body);
                row.map_or(Heard::Failed(News::default()), |row| Heard::Row(Some(row)))
            }
            Ok(reply) => Heard::Failed(News::of(&reply, place.snapshot.epoch())),
            Err(_) => Heard::Failed(News::default()),
        }
    }

    async fn ask_digest(
        &self,
        place: &Place,
        of: HostId,
        conflict: Conflict,
        key: &RowKey,
        deadline: Instant,
    ) -> Heard {
        if of == self.cluster.me() {
            let digest = self.replica.digest(conflict, key);
            return digest.map_or(Heard::Failed(News::default()), Heard::Digest);
        }
        let body = Body::from_iter([key.as_bytes().clone()]);
        let request = Request::ReadRow { as_stand_in: false, digest: true };
        match self.call(place, of, request, body, deadline).await {
            Ok(Reply { answer: Answer::Digest(digest), .. }) => Heard::Digest(RowDigest(digest)),
            Ok(reply) => Heard::Failed(News::of(&reply, place.snapshot.epoch())),
            Err(_) => Heard::Failed(News::default()),
        }
    }

    /// Merges rows that were read into a replica that is behind; whether they are on its disk.
    pub(super) async fn repair(
        &self,
        place: &Place,
        to: HostId,
        rows: &[(Bytes, RowCopy)],
        made_us: i64,
        deadline: Instant,
    ) -> bool {
        let rows = encoded(rows);
        if to == self.cluster.me() {
            return self.replica.apply(rows, &[]).await.is_ok();
        }
        let request = Request::Apply { made_us, missed: Vec::new(), as_stand_in: false };
        let body = Body::from_iter([row_list(&rows)]);
        let reply = self.call(place, to, request, body, deadline).await;
        reply.is_ok_and(|reply| reply.answer == Answer::Applied)
    }

    /// The same when nobody waits for it.
    #[expect(clippy::disallowed_methods, reason = "what goes on after its answer is a task")]
    pub(super) fn repair_later(
        &self,
        place: &Place,
        to: HostId,
        rows: &[(Bytes, RowCopy)],
        made_us: i64,
    ) {
        CoordCounters::count(&self.counters.repairs_behind);
        if to == self.cluster.me() {
            let (replica, rows) = (Arc::clone(&self.replica), encoded(rows));
            // What cannot be repaired now is found different again.
            tokio::spawn(async move { drop(replica.apply(rows, &[]).await) });
            return;
        }
        let request = Request::Apply { made_us, missed: Vec::new(), as_stand_in: false };
        let deadline = self.clock.now() + self.patience.write;
        let body = Body::from_iter([row_list(&encoded(rows))]);
        // The request is in the peer's queue when this returns; dropping the future leaves it there.
        drop(self.call(place, to, request, body, deadline));
    }
}

fn encoded(rows: &[(Bytes, RowCopy)]) -> Vec<(Bytes, Bytes)> {
    rows.iter().map(|(key, row)| (key.clone(), Bytes::from(row.encode()))).collect()
}

/// Whom the steps ask.
fn asked_of(steps: &ReadSteps) -> Option<HostId> {
    steps.iter().find_map(|step| match step {
        ReadStep::AskRow { of, .. } | ReadStep::AskDigest { of } => Some(*of),
        _ => None,
    })
}
