//! The memory of the register: what one store promised and accepted.
//!
//! The laws, all of one store id: it never accepts below its promise; it answers only requests that
//! name it; it never helps an older set of acceptors once it knows a newer one; and an answer other
//! than a refusal leaves only when the [`AcceptorState`] behind it is on disk. A store whose
//! directory was emptied or restored breaks none of them, for it comes back under another id.
//!
//! Source: arXiv:1802.07000 §2.2, the steps of the acceptor. Callers: the server, one request at a
//! time. Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

use super::flaw::{Flaw, is_planted};
use super::{
    Accept, Answer, Ballot, Call, Prepare, Refusal, RegisterValue, Request, SeedList, Stores,
    Verdict, Version, Vote,
};
use crate::StoreId;

/// How many lists of seeds a store may have promised to form a cluster with.
const FORMING_MAX: usize = 16;

/// What an acceptor must find again after a restart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AcceptorState<V> {
    /// The highest ballot promised.
    pub promised: Option<Ballot>,
    /// The last value accepted. It need not be chosen.
    pub accepted: Option<Vote<V>>,
    /// The stores with which this one promised to form a cluster, until it accepts a value.
    pub forming: Vec<Stores>,
}

impl<V> AcceptorState<V> {
    /// The same state, of values in another form.
    pub fn map<W>(self, form: impl FnOnce(V) -> W) -> AcceptorState<W> {
        let Self { promised, accepted, forming } = self;
        let accepted = accepted.map(|Vote { ballot, value }| Vote { ballot, value: form(value) });
        AcceptorState { promised, accepted, forming }
    }
}

impl<V> Default for AcceptorState<V> {
    fn default() -> Self {
        Self { promised: None, accepted: None, forming: Vec::new() }
    }
}

/// An answer, and what must happen before it leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Reply<V> {
    /// What to send back.
    pub answer: Answer<V>,
    /// Whether [`Acceptor::state`] must reach the disk before the answer leaves.
    pub must_persist: bool,
}

/// One store's part in the register.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Acceptor<V> {
    store: StoreId,
    seeds: SeedList,
    state: AcceptorState<V>,
    known: Option<V>,
}

impl<V: RegisterValue> Acceptor<V> {
    /// The acceptor of `store`, as it was left: `state` from disk, `known` the cached value.
    pub fn new(store: StoreId, seeds: SeedList, state: AcceptorState<V>, known: Option<V>) -> Self {
        Self { store, seeds, state, known }
    }

    /// What must be on disk before an answer leaves.
    pub fn state(&self) -> &AcceptorState<V> {
        &self.state
    }

    /// Takes note of a chosen value; older ones than the known one are ignored.
    pub fn learn(&mut self, value: &V) {
        if self.known.as_ref().is_none_or(|known| known.version() < value.version()) {
            self.known = Some(value.clone());
        }
    }

    /// Promises, accepts or refuses.
    pub fn on_request(&mut self, request: &Request<V>) -> Reply<V> {
        let refusal = match request {
            Request::Prepare(prepare) => self.objection_to_call(prepare),
            Request::Accept(accept) => self.objection_to_value(accept),
        };
        let refusal = refusal.or_else(|| self.objection_to_ballot(request));
        let verdict = match (refusal, request) {
            (Some(refusal), _) => Verdict::Refused(refusal),
            (None, Request::Prepare(prepare)) => self.promise(prepare),
            (None, Request::Accept(accept)) => self.accept(accept),
        };
        Reply {
            must_persist: !matches!(verdict, Verdict::Refused(_)),
            answer: Answer { from: self.store, ballot: request.ballot(), verdict },
        }
    }

    fn promise(&mut self, prepare: &Prepare) -> Verdict<V> {
        self.state.promised = Some(prepare.ballot);
        if let Call::Form { stores, .. } = &prepare.call
            && self.state.accepted.is_none()
            && !self.state.forming.contains(stores)
        {
            self.state.forming.push(stores.clone());
        }
        Verdict::Promise { accepted: self.state.accepted.clone() }
    }

    fn accept(&mut self, accept: &Accept<V>) -> Verdict<V> {
        let Accept { ballot, value } = accept.clone();
        self.state.promised = Some(ballot);
        self.state.accepted = Some(Vote { ballot, value });
        self.state.forming.clear();
        Verdict::Accepted
    }

    fn objection_to_ballot(&self, request: &Request<V>) -> Option<Refusal<V>> {
        let promised = self.state.promised.filter(|promised| *promised > request.ballot())?;
        let is_accept = matches!(request, Request::Accept(_));
        if is_accept && is_planted(Flaw::BreaksPromise) {
            return None;
        }
        Some(Refusal::Promised { ballot: promised })
    }

    fn objection_to_call(&self, prepare: &Prepare) -> Option<Refusal<V>> {
        if !prepare.call.stores().contains(self.store) {
            return Some(Refusal::NotNamed);
        }
        match &prepare.call {
            Call::Form { seeds, stores } => self.objection_to_forming(seeds, stores),
            Call::Change { known, .. } => self.objection_to_stale(*known),
            Call::Reform { known, .. } => self.objection_to_reform(*known, prepare.ballot),
        }
    }

    fn objection_to_value(&self, accept: &Accept<V>) -> Option<Refusal<V>> {
        if !accept.value.acceptors().name(self.store) {
            return Some(Refusal::NotNamed);
        }
        self.objection_to_stale(Some(accept.value.version()))
    }

    /// Who knows of older acceptors only is told of the newer ones.
    fn objection_to_stale(&self, theirs: Option<Version>) -> Option<Refusal<V>> {
        let has_newer_acceptors = |known: &&V| Some(known.acceptors().since()) > theirs;
        let known = self.known.as_ref().filter(has_newer_acceptors)?;
        Some(Refusal::Behind { value: known.clone() })
    }

    /// A cluster is formed only where none is known, by seeds of one list, and by stores of which
    /// no majority has been exchanged since the last try: else one may have been formed already by
    /// stores that are gone.
    fn objection_to_forming(&self, seeds: &SeedList, stores: &Stores) -> Option<Refusal<V>> {
        if let Some(value) = self.known.clone() {
            return Some(Refusal::Behind { value });
        }
        if *seeds != self.seeds || seeds.as_slice().len() != stores.as_slice().len() {
            return Some(Refusal::OtherSeeds { seeds: self.seeds.clone() });
        }
        if is_planted(Flaw::ForgetsFormation) {
            return None;
        }
        let forming = &self.state.forming;
        let is_full = forming.len() >= FORMING_MAX && !forming.contains(stores);
        let other = forming.iter().find(|others| is_full || !others.share_majority_with(stores))?;
        Some(Refusal::OtherStores { stores: other.clone() })
    }

    /// A reform starts from the newest value, and only once.
    fn objection_to_reform(&self, theirs: Version, ballot: Ballot) -> Option<Refusal<V>> {
        if let Some(known) = self.known.as_ref().filter(|known| known.version() > theirs) {
            return Some(Refusal::Behind { value: known.clone() });
        }
        let generation = self.state.accepted.as_ref()?.value.version().generation;
        let is_other =
            generation > theirs.generation && generation.reform != ballot.generation.reform;
        is_other.then_some(Refusal::Reformed { generation })
    }
}
