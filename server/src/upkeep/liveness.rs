//! Who is alive: what becomes of a silence, and of a node that comes and goes.
//!
//! ```text
//!         heard             answers            answers nobody, twice; more often while it is heard
//! down ─────────> arriving ─────────> alive ─────────────────────────────────────────────> down
//!   └ comes and goes too often: waits    └ silent, or without an answer for long: it is asked
//! ```
//!
//! What is heard of a node is a rumour: it speaks, and may hear nobody. It counts as alive when it
//! has answered, and as dead when neither this node nor anybody who was asked has an answer of it.
//! Laws: a silence alone takes nobody out; a question during which this node was stopped itself says
//! nothing; a node that begins anew begins with a clean slate.
//!
//! Source: Das et al., *SWIM* (2002), and Dadgar et al., *Lifeguard* (arXiv 1707.00788).
//! Callers: `gossip`, which hears and asks. Pure: the time is handed in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ring::HostId;
use tokio::time::Instant;

/// So many questions in a row that nobody has an answer to take a silent node out.
const FAILURES_MAX: u8 = 2;

/// So many take out one that is heard of all the time.
const FAILURES_OF_HEARD_MAX: u8 = 5;

/// A node that is heard of is asked too when its last answer is so long ago.
const PROOF: Duration = Duration::from_secs(2);

/// A question takes less, or this node was stopped meanwhile.
const PAUSE: Duration = Duration::from_millis(1_500);

/// How long a death is remembered against a node.
const MEMORY: Duration = Duration::from_mins(1);

/// So many deaths within that time are nothing to speak of.
const DEATHS_FREE: usize = 3;

/// How long a node waits that has died once too often; twice as long each time after that.
const HOLD: Duration = Duration::from_secs(1);

/// No node waits longer.
const HOLD_MAX: Duration = Duration::from_secs(30);

/// What became of a question to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answers, this node or another one that asked it.
    Answers,
    /// It answers nobody in time.
    Silent,
    /// It answers nobody, and its host says that nobody listens there.
    Gone,
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is alive from now on.
    Up,
    /// It is dead from now on; how long it has to wait when it is heard again.
    Down {
        /// Nothing, unless it comes and goes.
        hold: Duration,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Down,
    Arriving,
    Alive {
        is_heard: bool,
        answered_at: Instant,
        /// Questions in a row that nobody had an answer to.
        failures: u8,
    },
}

#[derive(Debug)]
struct Node {
    /// Raised with each of its starts.
    generation: u64,
    standing: Standing,
    /// Whether its address is known.
    can_be_asked: bool,
    /// Whether a question to it is under way.
    is_asked: bool,
    /// When it was taken out, the last time first; at most [`DEATHS_MAX`].
    deaths: VecDeque<Instant>,
    held_until: Option<Instant>,
}

/// How many deaths of a node are remembered.
const DEATHS_MAX: usize = 16;

impl Node {
    fn new(generation: u64) -> Self {
        Self {
            generation,
            standing: Standing::Down,
            can_be_asked: false,
            is_asked: false,
            deaths: VecDeque::new(),
            held_until: None,
        }
    }

    fn is_alive(&self) -> bool {
        matches!(self.standing, Standing::Alive { .. })
    }

    /// Whether it is to be asked.
    fn is_open(&self, now: Instant) -> bool {
        match self.standing {
            _ if self.is_asked || !self.can_be_asked => false,
            Standing::Down => false,
            Standing::Arriving => true,
            Standing::Alive { is_heard, answered_at, failures } => {
                let is_proven = now.saturating_duration_since(answered_at) < PROOF;
                !is_heard || failures > 0 || !is_proven
            }
        }
    }

    /// Takes it out; how long it is to wait.
    fn die(&mut self, now: Instant) -> Duration {
        self.standing = Standing::Down;
        self.deaths.retain(|death| now.saturating_duration_since(*death) < MEMORY);
        self.deaths.truncate(DEATHS_MAX - 1);
        self.deaths.push_front(now);
        let Some(excess) = self.deaths.len().checked_sub(DEATHS_FREE + 1) else {
            return Duration::ZERO;
        };
        let doublings = u32::try_from(excess).unwrap_or(u32::MAX);
        let hold = 2_u32.checked_pow(doublings).map_or(HOLD_MAX, |times| HOLD * times);
        let hold = hold.min(HOLD_MAX);
        self.held_until = Some(now + hold);
        hold
    }
}

/// All other nodes that were ever heard of.
#[derive(Debug, Default)]
pub struct Liveness(BTreeMap<HostId, Node>);

impl Liveness {
    /// These nodes are heard of now, each with its last start; the others are silent.
    ///
    /// `can_be_asked`: whether a node's address is known. One whose address is not is taken for
    /// what is heard of it.
    pub fn hear(
        &mut self,
        heard: &BTreeMap<HostId, u64>,
        can_be_asked: impl Fn(HostId) -> bool,
        now: Instant,
    ) {
        for (host, generation) in heard {
            let node = self.0.entry(*host).or_insert_with(|| Node::new(*generation));
            if *generation > node.generation {
                let Node { standing, is_asked, .. } = *node;
                *node = Node { standing, is_asked, ..Node::new(*generation) };
            }
            node.can_be_asked = can_be_asked(*host);
            let is_held = node.held_until.is_some_and(|until| now < until);
            node.standing = match node.standing {
                Standing::Down | Standing::Arriving if !node.can_be_asked => {
                    Standing::Alive { is_heard: true, answered_at: now, failures: 0 }
                }
                Standing::Down if !is_held => Standing::Arriving,
                Standing::Alive { answered_at, failures, .. } => {
                    Standing::Alive { is_heard: true, answered_at, failures }
                }
                as_it_was => as_it_was,
            };
        }
        for (host, node) in self.0.iter_mut().filter(|(host, _)| !heard.contains_key(host)) {
            node.can_be_asked = can_be_asked(*host);
            node.standing = match node.standing {
                Standing::Alive { answered_at, failures, .. } if node.can_be_asked => {
                    Standing::Alive { is_heard: false, answered_at, failures }
                }
                _ => Standing::Down,
            };
        }
    }

    /// Those who are to be asked now; each is asked once at a time.
    pub fn ask(&mut self, now: Instant) -> Vec<HostId> {
        let due = self.0.iter_mut().filter(|(_, node)| node.is_open(now));
        let asked = due.map(|(host, node)| {
            node.is_asked = true;
            *host
        });
        asked.collect()
    }

    /// What became of a question, and how long that took.
    pub fn on_asked(
        &mut self,
        host: HostId,
        outcome: Outcome,
        took: Duration,
        now: Instant,
    ) -> Option<Verdict> {
        let node = self.0.get_mut(&host)?;
        node.is_asked = false;
        if outcome == Outcome::Answers {
            let is_new = node.standing == Standing::Arriving;
            if let Standing::Alive { answered_at, failures, .. } = &mut node.standing {
                (*answered_at, *failures) = (now, 0);
            } else if is_new {
                node.standing = Standing::Alive { is_heard: true, answered_at: now, failures: 0 };
            }
            return is_new.then_some(Verdict::Up);
        }
        let Standing::Alive { is_heard, failures, .. } = &mut node.standing else { return None };
        if took > PAUSE {
            return None;
        }
        *failures += 1;
        let failures_max = if *is_heard { FAILURES_OF_HEARD_MAX } else { FAILURES_MAX };
        let is_gone = outcome == Outcome::Gone && !*is_heard;
        let is_dead = is_gone || *failures >= failures_max;
        is_dead.then(|| Verdict::Down { hold: node.die(now) })
    }

    /// Those who are alive.
    pub fn alive(&self) -> BTreeSet<HostId> {
        self.0.iter().filter(|(_, node)| node.is_alive()).map(|(host, _)| *host).collect()
    }

    /// Whether a node is alive and not silent, so that it can be asked about others.
    pub fn is_heard(&self, host: HostId) -> bool {
        let standing = self.0.get(&host).map(|node| node.standing);
        matches!(standing, Some(Standing::Alive { is_heard: true, failures: 0, .. }))
    }
}

#[cfg(test)]
mod tests;
