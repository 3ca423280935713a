//! Reading a stretch of keys: one round of a partition, or a scan of a part of the ring.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use repair::cells::Ranges;
use ring::{HostId, Token, stand_ins};
use tokio::time::{Instant, timeout_at};

use super::place::{News, PLACINGS_MAX, Place, keyspace_of};
use super::{CoordCounters, Coordinator, len};
use crate::coord::error::{PlaceError, ReadError};
use crate::coord::gather::{Gather, Hosts};
use crate::coord::latency::Kind;
use crate::coord::page::{MergedPage, behind, merge_pages};
use crate::coord::read::repairs_first;
use crate::coord::request::RangeRead;
use crate::coord::scan::{Piece, ScanOp, ScanStep, cut};
use crate::metadata::{Conflict, Snapshot};
use crate::peer::{Answer, Body, Reply, Request, RowList};
use crate::replica::{ReplicaPage, RowCopy};
use crate::store::engine::Order;
use crate::store::keys::TableLife;

/// After this part of its time a scan answers with what it has.
const LATE_PART: u32 = 2;

/// What is asked of the replicas of one stretch.
struct Stretch<'a> {
    read: &'a RangeRead,
    piece: Piece,
    rows_max: u32,
}

impl Coordinator {
    /// Reads rows of a stretch of keys, merged row by row.
    ///
    /// Within one partition it is one round: at least one row unless the stretch holds none. A scan
    /// goes on until it has as many rows as are wanted, or for so long that they shall do.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_range(&self, read: &RangeRead) -> Result<MergedPage, ReadError> {
        let deadline = self.clock.now() + self.patience.read;
        let mut placings = 1;
        loop {
            let mut news = News::default();
            let outcome = if read.tokens.start() == read.tokens.end() {
                self.read_partition(read, deadline, &mut news).await
            } else {
                self.scan(read, deadline, &mut news).await
            };
            let may_retry = outcome.is_err() && placings < PLACINGS_MAX;
            if !may_retry || !self.catch_up(news, deadline).await {
                return outcome;
            }
            placings += 1;
        }
    }

    async fn read_partition(
        &self,
        read: &RangeRead,
        deadline: Instant,
        news: &mut News,
    ) -> Result<MergedPage, ReadError> {
        let snapshot = self.metadata();
        let piece = Piece { tokens: read.tokens.clone(), range: read.range.clone() };
        let stretch = Stretch { read, piece, rows_max: read.rows_max };
        let place = self.place_piece(&snapshot, &stretch)?;
        self.read_stretch(&place, &stretch, deadline, news).await
    }

    async fn scan(
        &self,
        read: &RangeRead,
        deadline: Instant,
        news: &mut News,
    ) -> Result<MergedPage, ReadError> {
        let snapshot = self.metadata();
        let placement = &keyspace_of(&snapshot, &read.table)?.placement;
        let pieces = cut(life(read), &snapshot.ring, placement, &read.tokens, &read.range);
        let (mut op, mut steps) = ScanOp::begin(pieces, read.rows_max);
        let mut until = (self.clock.now() + self.patience.read / LATE_PART).min(deadline);
        let mut asked = FuturesUnordered::new();
        loop {
            for step in steps {
                match step {
                    ScanStep::Ask { piece: number, rows_max } => {
                        let stretch = Stretch { read, piece: op.piece(number).clone(), rows_max };
                        asked.push(self.read_piece(&snapshot, number, stretch, deadline));
                    }
                    ScanStep::Answer(outcome) => return outcome,
                }
            }
            // Every piece is read or given up by the deadline, so there is one to wait for.
            let read = timeout_at(until, asked.select_next_some()).await;
            steps = if let Ok((number, page, told)) = read {
                news.note(told);
                op.on_page(number, page)
            } else {
                until = deadline + self.patience.read;
                op.on_late()
            };
        }
    }

    async fn read_piece(
        &self,
        snapshot: &Arc<Snapshot>,
        number: usize,
        stretch: Stretch<'_>,
        deadline: Instant,
    ) -> (usize, Result<MergedPage, ReadError>, News) {
        let mut news = News::default();
        let page = match self.place_piece(snapshot, &stretch) {
            Ok(place) => self.read_stretch(&place, &stretch, deadline, &mut news).await,
            Err(error) => Err(error.into()),
        };
        (number, page, news)
    }

    fn place_piece(
        &self,
        snapshot: &Arc<Snapshot>,
        stretch: &Stretch<'_>,
    ) -> Result<Place, PlaceError> {
        let keyspace = keyspace_of(snapshot, &stretch.read.table)?;
        let partition = snapshot.ring.partition_of(*stretch.piece.tokens.start());
        // Only true replicas count here, whatever the table says.
        self.place_in(snapshot, keyspace, partition, stretch.read.level, false)
    }

    /// One round of a stretch whose partitions have the same replicas.
    async fn read_stretch(
        &self,
        place: &Place,
        stretch: &Stretch<'_>,
        deadline: Instant,
        news: &mut News,
    ) -> Result<MergedPage, ReadError> {
        let begun_us = self.clock.wall_us();
        let retry = stretch.read.table.speculative_retry;
        let mut spare = self.spare(retry, place, Kind::Stretch, deadline);
        let (mut gather, first) = Gather::begin(&place.alive, place.tally().clone());
        let ask = |of| self.ask_page(place, of, false, stretch, deadline);
        let mut asked: FuturesUnordered<_> = first.into_iter().map(ask).collect();
        let (helpers, at_last) = (self.helpers(place, stretch), spare.at_last());
        let helping =
            helpers.into_iter().map(|of| self.ask_page(place, of, true, stretch, at_last));
        let helping = join_all(helping);
        let mut pages = Vec::new();
        while !gather.is_met() {
            let another = match timeout_at(spare.until(), asked.next()).await {
                Ok(Some((from, Ok(page)))) => {
                    spare.note_answered(from);
                    gather.on_answer(from);
                    pages.push((from, page));
                    None
                }
                Ok(Some((from, Err(told)))) => {
                    news.note(told);
                    gather.on_failed(from)
                }
                Err(_) => match spare.on_slow() {
                    Some(true) => {
                        let more = gather.on_slow();
                        spare.note_asked(more);
                        more
                    }
                    Some(false) => None,
                    None => return Err(gather.timeout()),
                },
                Ok(None) => return Err(gather.timeout()),
            };
            asked.extend(another.map(ask));
        }
        let held = helping.await.into_iter().filter_map(|(_, page)| page.ok()).collect();
        self.merge_and_repair(place, stretch, pages, held, begun_us, deadline).await
    }

    /// Merges the pages of the replicas, and what stand-ins hold for others; and brings those up to
    /// date that are behind, before the answer where the level promises that later reads see no less.
    async fn merge_and_repair(
        &self,
        place: &Place,
        stretch: &Stretch<'_>,
        pages: Vec<(HostId, ReplicaPage)>,
        held: Vec<ReplicaPage>,
        begun_us: i64,
        deadline: Instant,
    ) -> Result<MergedPage, ReadError> {
        let order = stretch.read.order;
        let are_alike = held.is_empty() && pages.windows(2).all(|two| two[0].1 == two[1].1);
        if are_alike {
            return Ok(merge_pages(
                pages.into_iter().map(|(_, page)| page).take(1).collect(),
                order,
            ));
        }
        let all = pages.iter().map(|(_, page)| page.clone()).chain(held).collect();
        let merged = merge_pages(all, order);
        let mut tally = Self::write_quorum_of(place, stretch.read);
        let mut stale = Vec::new();
        for (host, page) in &pages {
            match behind(page, &merged) {
                rows if rows.is_empty() => drop(tally.acknowledge(*host)),
                rows => stale.push((*host, rows)),
            }
        }
        if tally.is_met() || !repairs_first(stretch.read.level) {
            for (host, rows) in stale {
                self.repair_later(place, host, &rows, begun_us);
            }
            return Ok(merged);
        }
        let repairs = stale.iter().map(async |(host, rows)| {
            CoordCounters::count(&self.counters.repairs_awaited);
            (*host, self.repair(place, *host, rows, begun_us, deadline).await)
        });
        let mut repairs: FuturesUnordered<_> = repairs.collect();
        while !tally.is_met() {
            match timeout_at(deadline, repairs.next()).await {
                Ok(Some((host, true))) => drop(tally.acknowledge(host)),
                Ok(Some((_, false))) => {}
                Ok(None) | Err(_) => return Err(ReadError::timeout(&tally)),
            }
        }
        Ok(merged)
    }

    /// Who stands in now for dead replicas of the partitions of a stretch, where others may.
    fn helpers(&self, place: &Place, stretch: &Stretch<'_>) -> Hosts {
        let mut helpers = Hosts::new();
        if place.holders.dead.is_empty() || !stretch.read.table.sloppy_quorum {
            return helpers;
        }
        let (ring, alive) = (&place.snapshot.ring, self.cluster.alive());
        let tokens = &stretch.piece.tokens;
        let (first, last) = (ring.partition_of(*tokens.start()), ring.partition_of(*tokens.end()));
        for partition in ring.partitions().iter().filter(|it| (first..=last).contains(it)) {
            let replicas = &place.holders.replicas;
            for it in stand_ins(ring, partition, replicas, |host| alive.contains(&host)) {
                if !helpers.contains(&it.host) {
                    helpers.push(it.host);
                }
            }
        }
        helpers
    }

    async fn ask_page(
        &self,
        place: &Place,
        of: HostId,
        as_stand_in: bool,
        stretch: &Stretch<'_>,
        deadline: Instant,
    ) -> (HostId, Result<ReplicaPage, News>) {
        let Stretch { read, piece: Piece { tokens, range }, rows_max } = stretch;
        let (conflict, order) = (read.table.conflict, read.order);
        if of == self.cluster.me() {
            let page = self.replica.fetch_range(conflict, range, order, *rows_max);
            return (of, page.map_err(|_| News::default()));
        }
        let (request, body) = page_request(stretch, tokens, as_stand_in);
        let page = match self.call(place, of, request, body, deadline).await {
            Ok(Reply { answer: Answer::Rows { heads, more }, body, .. }) => {
                let page = decode_page(conflict, order, body, heads, more);
                page.ok_or_else(News::default)
            }
            Ok(reply) => Err(News::of(&reply, place.snapshot.epoch())),
            Err(_) => Err(News::default()),
        };
        (of, page)
    }
}

fn life(read: &RangeRead) -> TableLife {
    TableLife { table: read.table.id.0, epoch: read.table.epoch }
}

fn page_request(
    stretch: &Stretch<'_>,
    tokens: &RangeInclusive<Token>,
    as_stand_in: bool,
) -> (Request, Body) {
    let Stretch { read, piece, rows_max } = stretch;
    let TableLife { table, epoch } = life(read);
    let start = piece.range.start().clone();
    let request = Request::ReadRange {
        table,
        table_epoch: epoch,
        first: tokens.start().value(),
        last: tokens.end().value(),
        start_len: len(&start),
        rows_max: *rows_max,
        is_reverse: read.order == Order::Reverse,
        as_stand_in,
    };
    let end = piece.range.end().cloned().unwrap_or_default();
    (request, Body::from_iter([start, end]))
}

fn decode_page(
    conflict: Conflict,
    order: Order,
    body: Bytes,
    heads: u32,
    has_more: bool,
) -> Option<ReplicaPage> {
    let mut list = RowList::read(body)?.into_iter();
    let decode_head = |(prefix, ranges)| Some((prefix, Ranges::decode(&ranges).ok()?));
    let heads = list.by_ref().take(heads as usize).map(decode_head).collect::<Option<Vec<_>>>()?;
    let decode_row = |(key, row)| Some((key, RowCopy::decode(conflict, &row).ok()?));
    let rows = list.map(decode_row).collect::<Option<Vec<_>>>()?;
    // A page that went over nothing must be the last one, or the next round would begin where it
    // did; backwards the range tombstones of a partition lie behind its rows.
    let has_moved = !rows.is_empty() || (order == Order::Forward && !heads.is_empty());
    (has_moved || !has_more).then_some(ReplicaPage { heads, rows, has_more })
}
