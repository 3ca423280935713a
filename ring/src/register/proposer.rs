//! One proposal: from a goal to a chosen value, a refusal, or an error.
//!
//! ```text
//! Preparing --enough promises--> Changing --on_changed--> Accepting --enough accepted--> Over
//!     ^  \________________________ kept as it is ____________^  |
//!     |________________ Resting <------- outbid, silence -------|
//! ```
//!
//! Whatever a proposal answers, it answers from a chosen value: when the change is contained
//! already, or refused by the current value, that value is first chosen anew under this ballot,
//! since what one acceptor reported may otherwise be lost again.
//!
//! Source: arXiv:1802.07000 §2.2, the steps of the proposer. Callers: the server's loop of the
//! register. Pure: time comes in as wake-ups, randomness as a seed.

use std::time::Duration;

use super::electorate::Electorate;
use super::flaw::{Flaw, is_planted};
use super::goal::{Goal, Plan};
use super::phase::{End, Phase, Round};
use super::{
    Accept, Answer, BadChange, Ballot, ChangeId, Generation, Prepare, ProposeError, Refusal,
    RegisterValue, Request, SeedList, Step, Stores, Terms, Verdict, Vote,
};
use crate::StoreId;

/// One change, read, formation or reform, until it ends.
///
/// Every method returns the steps that the runtime must carry out in their order. After the last
/// step it returns none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Proposer<V: RegisterValue> {
    goal: Goal,
    terms: Terms,
    /// The newest chosen value, fixed while a ballot runs.
    known: Option<V>,
    /// A newer one, for the next ballot.
    news: Option<V>,
    ballot: Ballot,
    attempt: u32,
    phase: Phase<V>,
    reject: Option<V::Reject>,
    may_have_applied: bool,
}

impl<V: RegisterValue> Proposer<V> {
    /// Begins `change`, starting from the newest chosen value that is known here.
    pub fn change(known: V, change: ChangeId, terms: Terms) -> (Self, Vec<Step<V>>) {
        Self::begin(Goal::Change(change), Some(known), terms)
    }

    /// Begins a linearizable read: [`Step::Chosen`] brings a value no older than any that was
    /// chosen before this call (§2.2: the identity change). It makes no epoch.
    pub fn read(known: V, terms: Terms) -> (Self, Vec<Step<V>>) {
        Self::begin(Goal::Read, Some(known), terms)
    }

    /// Begins to form a cluster. `stores` are those that answered at the addresses `seeds`, one for
    /// each. If a cluster turns out to be formed already, its value is [`Step::Chosen`].
    ///
    /// # Panics
    /// If there is not one store for each seed: fewer could form a cluster of their own.
    pub fn form(seeds: SeedList, stores: Stores, terms: Terms) -> (Self, Vec<Step<V>>) {
        let (addresses, found) = (seeds.as_slice().len(), stores.as_slice().len());
        assert_eq!(addresses, found, "one store answers at each seed's address");
        Self::begin(Goal::Form { seeds, stores }, None, terms)
    }

    /// Begins a new generation by force, with `stores` as its acceptors, from the newest value
    /// that is known here or was accepted there. A repeat under the same name is done once.
    ///
    /// Only for a register whose majority is lost for ever: should the lost acceptors come back and
    /// agree among themselves, what they chose gives way to the new generation.
    pub fn reform(
        known: V,
        stores: Stores,
        change: ChangeId,
        terms: Terms,
    ) -> (Self, Vec<Step<V>>) {
        let generation = known.version().generation;
        let goal = if generation.reform == change {
            Goal::Read
        } else {
            Goal::Reform { generation: generation.next(change), stores }
        };
        Self::begin(goal, Some(known), terms)
    }

    fn begin(goal: Goal, known: Option<V>, terms: Terms) -> (Self, Vec<Step<V>>) {
        let ballot = Ballot {
            generation: Generation::FIRST,
            counter: 0,
            proposer: terms.proposer,
            nonce: terms.seed,
        };
        let mut proposer = Self {
            goal,
            terms,
            known,
            news: None,
            ballot,
            attempt: 0,
            phase: Phase::Resting { silent: Vec::new() },
            reject: None,
            may_have_applied: false,
        };
        let steps = proposer.bid();
        (proposer, steps)
    }

    /// Takes in what an acceptor answered; answers to other ballots change nothing.
    pub fn on_answer(&mut self, answer: Answer<V>) -> Vec<Step<V>> {
        let Answer { from, ballot, verdict } = answer;
        if ballot != self.ballot
            || !self.phase.round().is_some_and(|round| round.asked.contains(&from))
        {
            return Vec::new();
        }
        match verdict {
            Verdict::Promise { accepted } => self.on_promise(from, accepted),
            Verdict::Accepted => self.on_accepted(from),
            Verdict::Refused(refusal) => self.on_refusal(from, refusal),
        }
    }

    /// Takes in the result of [`Step::Change`].
    pub fn on_changed(&mut self, result: Result<V, V::Reject>) -> Vec<Step<V>> {
        let Phase::Changing { base } = &mut self.phase else {
            return Vec::new();
        };
        let base = base.take();
        match result {
            Ok(next) => self.propose(base, next),
            Err(reject) => self.refuse(base, reject),
        }
    }

    /// Tries again, if `ticket` is that of the newest [`Step::Wake`].
    pub fn on_wake(&mut self, ticket: u32) -> Vec<Step<V>> {
        if self.is_over() || ticket != self.phase.ticket(self.attempt) {
            return Vec::new();
        }
        self.bid()
    }

    /// Takes note of a chosen value that reached this node in another way. The runtime calls it
    /// whenever its cached value becomes newer.
    pub fn learn(&mut self, value: V) -> Vec<Step<V>> {
        let newest = self.news.as_ref().or(self.known.as_ref());
        if self.is_over() || newest.is_some_and(|newest| newest.version() >= value.version()) {
            return Vec::new();
        }
        match &self.goal {
            Goal::Form { .. } | Goal::Reform { .. } => self.on_news(value),
            Goal::Read | Goal::Change(_) => {
                self.news = Some(value);
                Vec::new()
            }
        }
    }

    /// Ends the proposal at the caller's deadline.
    pub fn give_up(&mut self) -> Vec<Step<V>> {
        let (attempts, may_have_applied) = (self.attempt, self.may_have_applied);
        self.fail(ProposeError::GivenUp { attempts, may_have_applied })
    }

    /// Whether the last step was returned.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Whether no further ballot will be tried.
    pub(super) fn is_spent(&self) -> bool {
        self.attempt >= self.terms.pace.attempts_max
    }

    /// The ballot that runs: answers carry it, so they find their proposer by it.
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// The highest counter met, for the [`Terms`] of this node's next proposal.
    pub fn counter(&self) -> u64 {
        self.terms.counter
    }

    /// Opens the next ballot with its prepare round.
    fn bid(&mut self) -> Vec<Step<V>> {
        if self.is_spent() {
            let (attempts, may_have_applied) = (self.attempt, self.may_have_applied);
            let silent = self.phase.silent();
            return self.fail(ProposeError::NoAgreement { attempts, silent, may_have_applied });
        }
        self.attempt += 1;
        self.known = self.news.take().or(self.known.take());
        self.terms.counter = self.terms.counter.saturating_add(1);
        self.ballot.generation = self.goal.generation(self.known.as_ref());
        self.ballot.counter = self.terms.counter;
        self.phase = Phase::Preparing { round: Round::default(), found: None };
        let mut steps = self.ask(&self.goal.readers(self.known.as_ref(), None));
        steps.push(self.wake(self.terms.pace.round));
        steps
    }

    /// Sends the prepare to those of `readers` that were not asked yet.
    fn ask(&mut self, readers: &Electorate) -> Vec<Step<V>> {
        let Phase::Preparing { round, .. } = &mut self.phase else {
            return Vec::new();
        };
        let ballot = self.ballot;
        let newcomers: Vec<_> = readers.members().difference(&round.asked).copied().collect();
        round.asked.extend(&newcomers);
        newcomers
            .into_iter()
            .map(|to| {
                let call = self.goal.call(to, readers, self.known.as_ref());
                Step::Send { to, request: Request::Prepare(Prepare { ballot, call }) }
            })
            .collect()
    }

    fn on_promise(&mut self, from: StoreId, accepted: Option<Vote<V>>) -> Vec<Step<V>> {
        let Phase::Preparing { round, found } = &mut self.phase else {
            return Vec::new();
        };
        round.yes.insert(from);
        if accepted.as_ref().map(|vote| vote.ballot) > found.as_ref().map(|vote| vote.ballot) {
            *found = accepted;
        }
        self.advance_prepare()
    }

    /// Goes on to the change once enough stores have promised, of all acceptors found by then.
    fn advance_prepare(&mut self) -> Vec<Step<V>> {
        let Phase::Preparing { round, found } = &mut self.phase else {
            return Vec::new();
        };
        let value = found.as_ref().map(|vote| &vote.value);
        let readers = self.goal.readers(self.known.as_ref(), value);
        if readers.is_lost(&round.no) {
            return self.rest();
        }
        if !readers.is_met(&round.yes) {
            return self.ask(&readers);
        }
        let found = found.take().map(|vote| vote.value);
        match self.goal.plan(self.known.as_ref(), found) {
            Plan::Keep(value) if is_planted(Flaw::ReadsUnchosen) => {
                self.finish(vec![Step::Chosen { value }])
            }
            Plan::Keep(value) => {
                self.may_have_applied |= !matches!(self.goal, Goal::Read);
                self.accept(value, End::Done)
            }
            Plan::Change { base, acceptors } => {
                self.phase = Phase::Changing { base: base.clone() };
                vec![Step::Change { current: base, acceptors }]
            }
            Plan::Fail(error) => self.fail(error),
        }
    }

    fn propose(&mut self, base: Option<V>, next: V) -> Vec<Step<V>> {
        if let Err(flaw) = self.goal.check(base.as_ref(), &next) {
            return self.fail(ProposeError::BadChange { flaw });
        }
        if self.goal.may_follow(self.known.as_ref(), base.as_ref(), &next) {
            self.may_have_applied = true;
            return self.accept(next, End::Done);
        }
        let base = base.expect("nothing need be settled before a first value");
        self.accept(base, End::Settled)
    }

    fn refuse(&mut self, base: Option<V>, reject: V::Reject) -> Vec<Step<V>> {
        match (&self.goal, base) {
            (Goal::Change(_), Some(base)) if !is_planted(Flaw::RejectsByUnchosen) => {
                self.reject = Some(reject);
                self.accept(base, End::Rejected)
            }
            (_, None) => self.fail(ProposeError::BadChange { flaw: BadChange::Refused }),
            (_, Some(_)) => self.finish(vec![Step::Rejected { reject }]),
        }
    }

    /// Opens the accept round of this ballot.
    fn accept(&mut self, value: V, end: End) -> Vec<Step<V>> {
        let asked = self.goal.voters(self.known.as_ref(), &value).members();
        let accept = Accept { ballot: self.ballot, value: value.clone() };
        let mut steps: Vec<_> = asked
            .iter()
            .map(|to| Step::Send { to: *to, request: Request::Accept(accept.clone()) })
            .collect();
        let round = Round { asked, ..Round::default() };
        self.phase = Phase::Accepting { round, value, end };
        steps.push(self.wake(self.terms.pace.round));
        steps
    }

    fn on_accepted(&mut self, from: StoreId) -> Vec<Step<V>> {
        let Phase::Accepting { round, value, end } = &mut self.phase else {
            return Vec::new();
        };
        round.yes.insert(from);
        if !self.goal.voters(self.known.as_ref(), value).is_met(&round.yes) {
            return Vec::new();
        }
        let (value, end) = (value.clone(), *end);
        match end {
            End::Done => self.finish(vec![Step::Chosen { value }]),
            End::Rejected => {
                let reject = self.reject.take().map(|reject| Step::Rejected { reject });
                self.finish([Step::Learned { value }].into_iter().chain(reject).collect())
            }
            End::Settled => self.restart_from(value),
        }
    }

    fn on_refusal(&mut self, from: StoreId, refusal: Refusal<V>) -> Vec<Step<V>> {
        match refusal {
            Refusal::Behind { value } => return self.on_news(value),
            Refusal::OtherSeeds { seeds } => {
                return self.fail(ProposeError::SeedsDiffer { store: from, seeds });
            }
            Refusal::OtherStores { stores } => {
                return self.fail(ProposeError::SeedsLost { store: from, stores });
            }
            Refusal::Reformed { generation } => {
                return self.fail(ProposeError::AlreadyReformed { generation });
            }
            Refusal::Promised { ballot } => self.outbid_next(ballot),
            Refusal::NotNamed => {}
        }
        match &mut self.phase {
            Phase::Preparing { round, .. } => {
                round.no.insert(from);
                self.advance_prepare()
            }
            Phase::Accepting { round, value, .. } => {
                round.no.insert(from);
                let voters = self.goal.voters(self.known.as_ref(), value);
                if voters.is_lost(&round.no) { self.rest() } else { Vec::new() }
            }
            Phase::Changing { .. } | Phase::Resting { .. } | Phase::Over => Vec::new(),
        }
    }

    /// Sees to it that the next ballot is above `ballot`, as far as that is this proposal's right:
    /// a change stays in its generation until it knows the value that began the next.
    fn outbid_next(&mut self, ballot: Ballot) {
        if ballot.generation == self.ballot.generation {
            self.terms.counter = self.terms.counter.max(ballot.counter);
        } else if let Goal::Reform { generation, .. } = &mut self.goal
            && ballot.generation > *generation
        {
            *generation = ballot.generation.next(generation.reform);
        }
    }

    /// Starts again from a newer chosen value, or ends with it.
    fn on_news(&mut self, value: V) -> Vec<Step<V>> {
        let version = value.version();
        if self.known.as_ref().is_some_and(|known| known.version() >= version) {
            return Vec::new();
        }
        let older = self.known.as_ref().map(|known| known.version().generation);
        match &self.goal {
            Goal::Form { .. } => self.finish(vec![Step::Chosen { value }]),
            Goal::Reform { generation, .. } if Some(version.generation) != older => {
                if version.generation.reform == generation.reform {
                    self.finish(vec![Step::Chosen { value }])
                } else {
                    let generation = version.generation;
                    let mut steps = vec![Step::Learned { value }];
                    steps.extend(self.fail(ProposeError::AlreadyReformed { generation }));
                    steps
                }
            }
            _ => self.restart_from(value),
        }
    }

    /// Opens a new ballot from a value that is now known to be chosen.
    fn restart_from(&mut self, value: V) -> Vec<Step<V>> {
        let mut steps = vec![Step::Learned { value: value.clone() }];
        if self.news.as_ref().is_none_or(|news| news.version() < value.version()) {
            self.news = Some(value);
        }
        steps.extend(self.bid());
        steps
    }

    /// Waits an uneven time before the next ballot, so that rivals do not outbid each other for
    /// ever.
    fn rest(&mut self) -> Vec<Step<V>> {
        self.phase = Phase::Resting { silent: self.phase.silent() };
        let pace = &self.terms.pace;
        let doublings = self.attempt.saturating_sub(1).min(20);
        let longest = pace.rest_min.saturating_mul(1 << doublings).min(pace.rest_max);
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        let share = scramble(self.terms.seed ^ u64::from(self.attempt)) % nanos.max(1);
        vec![self.wake(Duration::from_nanos(share))]
    }

    fn wake(&self, after: Duration) -> Step<V> {
        Step::Wake { after, ticket: self.phase.ticket(self.attempt) }
    }

    fn fail(&mut self, error: ProposeError) -> Vec<Step<V>> {
        self.finish(vec![Step::Failed { error }])
    }

    fn finish(&mut self, last: Vec<Step<V>>) -> Vec<Step<V>> {
        if self.is_over() {
            return Vec::new();
        }
        self.phase = Phase::Over;
        last
    }
}

/// Mixes the bits of a number (the finalizer of `SplitMix64`), for waits that need only be uneven.
fn scramble(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}
