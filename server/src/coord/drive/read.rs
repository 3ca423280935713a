//! Reading one row: whom [`ReadOp`] names is asked, at most until the deadline.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ring::HostId;
use tokio::time::{Instant, timeout_at};

use super::Coordinator;
use super::place::{News, PLACINGS_MAX, Place};
use crate::coord::error::ReadError;
use crate::coord::read::{ReadOp, ReadStep};
use crate::coord::request::RowRead;
use crate::metadata::Conflict;
use crate::peer::{Answer, Body, Reply, Request};
use crate::replica::RowCopy;
use crate::store::keys::RowKey;

impl Coordinator {
    /// Reads one row from as many replicas as the level asks for, and merges what they have.
    ///
    /// The row of a key that was never written is empty.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_row(&self, read: RowRead) -> Result<RowCopy, ReadError> {
        let deadline = self.clock.now() + self.patience.read;
        self.read_row_by(&read, deadline).await
    }

    pub(super) async fn read_row_by(
        &self,
        read: &RowRead,
        deadline: Instant,
    ) -> Result<RowCopy, ReadError> {
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
    ) -> Result<RowCopy, ReadError> {
        let conflict = read.table.conflict;
        let (tally, at_least) = (place.tally.clone(), read.at_least.clone());
        let (mut op, mut steps) = ReadOp::ask(&place.alive, tally, conflict, at_least);
        let mut until = self.slow_at().min(deadline);
        let mut asked = FuturesUnordered::new();
        loop {
            for step in steps {
                match step {
                    ReadStep::Ask { of } => {
                        asked.push(self.ask_row(place, of, conflict, &read.key, deadline));
                    }
                    ReadStep::Answer(outcome) => return outcome,
                }
            }
            steps = match timeout_at(until, asked.next()).await {
                Ok(Some((from, Ok(row)))) => op.on_row(from, row.as_ref()),
                Ok(Some((from, Err(told)))) => {
                    news.note(told);
                    op.on_failed(from)
                }
                Err(_) if until < deadline => {
                    until = deadline;
                    op.on_slow()
                }
                Ok(None) | Err(_) => op.on_deadline(),
            };
        }
    }

    /// Asks one replica for the row; of a failure only what it tells of newer metadata matters, for
    /// another one is asked then.
    async fn ask_row(
        &self,
        place: &Place,
        of: HostId,
        conflict: Conflict,
        key: &RowKey,
        deadline: Instant,
    ) -> (HostId, Result<Option<RowCopy>, News>) {
        if of == self.cluster.me() {
            return (of, self.replica.fetch(conflict, key).map_err(|_| News::default()));
        }
        let body = Body::from_iter([key.as_bytes().clone()]);
        let row = match self.call(place, of, Request::ReadRow, body, deadline).await {
            Ok(Reply { answer: Answer::Row, body, .. }) if body.is_empty() => Ok(None),
            Ok(Reply { answer: Answer::Row, body, .. }) => {
                RowCopy::decode(conflict, &body).map(Some).map_err(|_| News::default())
            }
            Ok(reply) => Err(News::of(&reply, place.snapshot.epoch())),
            Err(_) => Err(News::default()),
        };
        (of, row)
    }
}
