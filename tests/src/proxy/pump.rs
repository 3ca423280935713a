//! One half of one connection: reads what one end says, and says it to the other in its time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::State;
use super::condition::{Condition, Role};
use crate::{Chance, wait};

/// How many bytes are on their way at once, unless the link is narrow.
const ON_THE_WAY_MAX: usize = 1 << 20;

/// A narrow link has as many bytes on their way as pass in this part of a second.
const NARROW_PART: usize = 4;

/// How much is read at once.
const READ_MAX: usize = 64 << 10;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// One end has closed it.
    Closed,
    /// It breaks at both ends at once.
    Reset,
}

/// Bytes on their way.
struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
    written: usize,
}

/// One half of a connection.
pub(super) struct Pump {
    link: watch::Receiver<State>,
    role: Role,
    resets: u64,
    on_the_way: VecDeque<Chunk>,
    count: usize,
    /// When a narrow link has passed all that it was given.
    free_at: Instant,
    has_lost: bool,
    has_ended: bool,
    /// How many bytes pass before the next flip, drawn for a rate.
    next_flip: Option<(u32, u64)>,
    flips: Arc<AtomicU64>,
    chance: Chance,
}

impl Pump {
    pub(super) fn new(link: watch::Receiver<State>, role: Role, flips: Arc<AtomicU64>) -> Self {
        let resets = link.borrow().resets;
        Self {
            link,
            role,
            resets,
            on_the_way: VecDeque::new(),
            count: 0,
            free_at: now(),
            has_lost: false,
            has_ended: false,
            next_flip: None,
            flips,
            chance: Chance::of(wait::wall_us().cast_unsigned()),
        }
    }

    /// Runs until one end closes, or the connection is to be reset.
    pub(super) async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Ended {
        let mut read = vec![0; READ_MAX];
        loop {
            let State { condition, resets } = self.link.borrow_and_update().clone();
            let loses = condition.loses(self.role);
            let is_reset = self.role == Role::Request && resets != self.resets;
            if is_reset || (self.has_lost && !loses) {
                return Ended::Reset;
            }
            if self.has_ended && self.on_the_way.is_empty() && !loses {
                return Ended::Closed;
            }
            let next = self.on_the_way.front();
            let passes = next.is_some() && !condition.is_stalled();
            let (due, bytes) =
                next.map_or((now(), &[][..]), |it| (it.due, &it.bytes[it.written..]));
            let is_due = due <= now();
            let reads = !self.has_ended
                && !condition.is_stalled()
                && self.count < on_the_way_max(&condition);
            tokio::select! {
                biased;
                changed = self.link.changed() => {
                    if changed.is_err() {
                        return Ended::Reset;
                    }
                }
                written = to.write(bytes), if passes && is_due => match written {
                    Ok(count) if count > 0 => self.on_written(count),
                    _ => return Ended::Reset,
                },
                () = sleep_until(due), if passes && !is_due => {}
                count = from.read(&mut read), if reads => match count {
                    // Its end is lost like any other word.
                    Ok(0) => { self.has_ended = true; self.has_lost = loses; }
                    Ok(_) if loses => self.has_lost = true,
                    Ok(count) => self.on_read(&read[..count], &condition),
                    Err(_) => return Ended::Reset,
                },
            }
        }
    }

    fn on_read(&mut self, bytes: &[u8], condition: &Condition) {
        let mut bytes = bytes.to_vec();
        self.corrupt(&mut bytes, condition);
        let now = now();
        if let Some(bytes_per_s) = condition.bytes_per_s {
            let takes = Duration::from_secs(bytes.len() as u64) / bytes_per_s.max(1);
            self.free_at = self.free_at.max(now) + takes;
        }
        let jitter_ms = usize::try_from(condition.jitter.as_millis()).unwrap_or(0);
        let jitter_ms = self.chance.below(jitter_ms + 1);
        let due = now + condition.delay + Duration::from_millis(jitter_ms as u64);
        let due = due.max(if condition.bytes_per_s.is_some() { self.free_at } else { now });
        // Nothing overtakes what was said before it.
        let due = self.on_the_way.back().map_or(due, |last| last.due.max(due));
        self.count += bytes.len();
        self.on_the_way.push_back(Chunk { due, bytes, written: 0 });
    }

    fn on_written(&mut self, count: usize) {
        self.count -= count;
        let chunk = self.on_the_way.front_mut().expect("what is written is on the way");
        chunk.written += count;
        if chunk.written == chunk.bytes.len() {
            self.on_the_way.pop_front();
        }
    }

    /// Flips a bit now and then.
    fn corrupt(&mut self, bytes: &mut [u8], condition: &Condition) {
        let Some(one_in) = condition.flip_one_in else { return };
        let mut at = match self.next_flip {
            Some((rate, at)) if rate == one_in => at,
            _ => self.distance(one_in),
        };
        while let Some(byte) = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1 << self.chance.below(8);
            self.flips.fetch_add(1, Ordering::Relaxed);
            at += 1 + self.distance(one_in);
        }
        self.next_flip = Some((one_in, at - bytes.len() as u64));
    }

    /// How many bytes pass before a flip, `one_in` on average.
    fn distance(&mut self, one_in: u32) -> u64 {
        self.chance.below(2 * one_in as usize) as u64
    }
}

fn on_the_way_max(condition: &Condition) -> usize {
    let narrow = condition.bytes_per_s.map(|bytes| bytes as usize / NARROW_PART);
    narrow.map_or(ON_THE_WAY_MAX, |bytes| bytes.clamp(1, ON_THE_WAY_MAX))
}

fn now() -> Instant {
    Instant::from_std(wait::now())
}
