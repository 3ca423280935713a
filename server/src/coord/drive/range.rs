//! Reading a stretch of keys that have the same replicas.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ring::HostId;
use tokio::time::{Instant, timeout_at};

use super::place::Place;
use super::{Coordinator, len};
use crate::coord::error::ReadError;
use crate::coord::gather::Gather;
use crate::coord::page::{MergedPage, merge_pages};
use crate::coord::request::RangeRead;
use crate::metadata::Conflict;
use crate::peer::{Answer, Body, Reply, Request, RowList};
use crate::replica::{ReplicaPage, RowCopy};
use crate::store::engine::Order;

impl Coordinator {
    /// Reads one round of a partition: at least one row unless the range holds none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_range(&self, read: &RangeRead) -> Result<MergedPage, ReadError> {
        let place = self.place(&read.table, *read.tokens.start(), read.level)?;
        let deadline = self.clock.now() + self.patience.read;
        let mut until = self.slow_at();
        let (mut gather, first) = Gather::begin(&place.alive, place.tally.clone());
        let ask = |of| self.ask_page(&place, of, read, deadline);
        let mut asked: FuturesUnordered<_> = first.into_iter().map(ask).collect();
        let mut pages = Vec::new();
        while !gather.is_met() {
            let another = match timeout_at(until, asked.next()).await {
                Ok(Some((from, Ok(page)))) => {
                    gather.on_answer(from);
                    pages.push(page);
                    None
                }
                Ok(Some((from, Err(())))) => gather.on_failed(from),
                Err(_) if until < deadline => {
                    until = deadline;
                    gather.on_slow()
                }
                Ok(None) | Err(_) => return Err(gather.timeout()),
            };
            asked.extend(another.map(ask));
        }
        Ok(merge_pages(pages, read.order))
    }

    async fn ask_page(
        &self,
        place: &Place,
        of: HostId,
        read: &RangeRead,
        deadline: Instant,
    ) -> (HostId, Result<ReplicaPage, ()>) {
        if of == self.cluster.me() {
            let page = self.replica.fetch_range(
                read.table.conflict,
                &read.range,
                read.order,
                read.rows_max,
            );
            return (of, page.map_err(|_| ()));
        }
        let start = read.range.start().clone();
        let request = Request::ReadRange {
            start_len: len(&start),
            rows_max: read.rows_max,
            is_reverse: read.order == Order::Reverse,
        };
        let end = read.range.end().cloned().expect("a range within a partition ends");
        let body = Body::from_iter([start, end]);
        let page = match self.call(place, of, request, body, deadline).await {
            Ok(Reply { answer: Answer::Rows { more }, body, .. }) => RowList::read(body)
                .ok_or(())
                .and_then(|rows| decode_page(read.table.conflict, rows, more)),
            _ => Err(()),
        };
        (of, page)
    }
}

fn decode_page(
    conflict: Conflict,
    rows: Vec<(Bytes, Bytes)>,
    has_more: bool,
) -> Result<ReplicaPage, ()> {
    let decode = |(key, row)| RowCopy::decode(conflict, &row).map(|row| (key, row)).map_err(|_| ());
    let rows = rows.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    // A page without rows must be the last one, or the next round would begin where it did.
    if has_more && rows.is_empty() {
        Err(())
    } else {
        Ok(ReplicaPage { heads: Vec::new(), rows, has_more })
    }
}
