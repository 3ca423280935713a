//! A whole register in memory: stores, clients, and everything that was ever sent.
//!
//! Requests never leave the world, so each may be delivered late, often, or never: that is loss,
//! delay, reordering and duplication at once. Answers reach their client at once, late, or never.

use std::collections::BTreeMap;

use super::super::{
    Acceptor, AcceptorState, Answer, Ballot, Generation, ProposeError, Proposer, RegisterValue,
    Request, Step, Stores, Vote,
};
use super::laws::{Broken, Chosen, check_failure};
use super::shared::Shared;
use super::value::{Task, Value, seeds, terms};
use crate::StoreId;

/// What a test breaks in the world around the register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Breakage {
    /// Acceptances leave before the state behind them is on disk.
    AnswersBeforeSync,
    /// A store that lost its disk keeps its name.
    WipedKeepsName,
    /// A client that restarts uses its old ballots again.
    ReusesBallots,
}

#[derive(Clone, Hash)]
pub(super) struct World {
    pub(super) stores: BTreeMap<StoreId, Shared<Disk>>,
    /// The store that lives at each configured seed.
    pub(super) seats: Vec<StoreId>,
    pub(super) clients: Vec<Shared<Client>>,
    /// By their hash, which serves as their name.
    pub(super) sent: BTreeMap<u64, Shared<(StoreId, Request<Value>)>>,
    /// Answers on their way, by their hash.
    pub(super) late: BTreeMap<u64, Shared<Answer<Value>>>,
    pub(super) chosen: Shared<Chosen>,
    pub(super) faults: Faults,
    pub(super) breakage: Option<Breakage>,
}

/// How many faults of each kind may yet happen.
#[derive(Clone, Copy, Default, Hash)]
pub(super) struct Faults {
    /// Stores that lose what they have not synced.
    pub(super) restarts: u32,
    /// Seeds that lose their disk.
    pub(super) wipes: u32,
    /// Clients that forget what they were doing.
    pub(super) crashes: u32,
    /// Chosen values that reach a store by gossip: no fault, but as unpredictable.
    pub(super) spreads: u32,
}

#[derive(Clone, Hash, Debug)]
pub(super) struct Disk {
    pub(super) acceptor: Acceptor<Value>,
    pub(super) synced: AcceptorState<Value>,
    cached: Option<Value>,
}

#[derive(Clone, Hash, Debug)]
pub(super) struct Client {
    name: u128,
    attempts_max: u32,
    /// What is still to do, the next task last.
    todo: Vec<Task>,
    task: Option<Task>,
    pub(super) proposer: Option<Proposer<Value>>,
    ticket: u32,
    pub(super) known: Option<Value>,
    lives: u64,
    /// The newest epoch that was chosen when the task began.
    floor: u64,
    pub(super) last_error: Option<ProposeError>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Start(usize),
    Wake(usize),
    Crash { client: usize, again: bool },
    Deliver { sent: u64, hearing: Hearing },
    Hear { late: u64 },
    HearAll(usize),
    Restart(StoreId),
    Wipe(usize),
    Spread(StoreId),
}

/// When a client hears the answer to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hearing {
    Now,
    Late,
    Never,
}

impl World {
    /// Blank stores with these names, the first `seats` of them configured as seeds.
    pub(super) fn blank(names: impl IntoIterator<Item = u128>, seats: usize) -> Self {
        let names: Vec<_> = names.into_iter().map(StoreId).collect();
        let blank =
            |store: &StoreId| (*store, Disk::shared(*store, seats, AcceptorState::default(), None));
        Self {
            stores: names.iter().map(blank).collect(),
            seats: names[..seats].to_vec(),
            clients: Vec::new(),
            sent: BTreeMap::new(),
            late: BTreeMap::new(),
            chosen: Shared::new(Chosen::default()),
            faults: Faults::default(),
            breakage: None,
        }
    }

    /// Has `value` chosen already, by those of its acceptors that are listed in `by`.
    pub(super) fn holding(mut self, value: &Value, by: &[u128]) -> Self {
        let generation = Generation::FIRST;
        let ballot = Ballot { generation, counter: 0, proposer: StoreId(0), nonce: 0 };
        let vote = Vote { ballot, value: value.clone() };
        for store in by.iter().copied().map(StoreId) {
            let state = AcceptorState {
                promised: Some(ballot),
                accepted: Some(vote.clone()),
                forming: Vec::new(),
            };
            self.stores.insert(store, Disk::shared(store, self.seats.len(), state, None));
        }
        self.chosen.change(|chosen| chosen.note(value)).expect("a first value");
        self
    }

    /// A client that does these tasks and knows what has been chosen so far.
    pub(super) fn client(mut self, attempts_max: u32, tasks: impl Into<Vec<Task>>) -> Self {
        let mut todo: Vec<_> = tasks.into();
        todo.reverse();
        self.clients.push(Shared::new(Client {
            name: 100 + self.clients.len() as u128,
            attempts_max,
            todo,
            task: None,
            proposer: None,
            ticket: 0,
            known: self.chosen.newest().cloned(),
            lives: 0,
            floor: 0,
            last_error: None,
        }));
        self
    }

    pub(super) fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    pub(super) fn broken_by(mut self, breakage: Breakage) -> Self {
        self.breakage = Some(breakage);
        self
    }

    /// Carries out one action.
    pub(super) fn act(&mut self, action: Action) -> Result<(), Broken> {
        match action {
            Action::Start(client) => self.start(client),
            Action::Wake(client) => {
                let ticket = self.clients[client].ticket;
                self.step(client, |proposer| proposer.on_wake(ticket))
            }
            Action::Crash { client, again } => {
                self.faults.crashes -= 1;
                self.clients[client].change(|client| client.crash(again));
                Ok(())
            }
            Action::Deliver { sent, hearing } => self.deliver(sent, hearing),
            Action::Hear { late } => match self.late.remove(&late) {
                Some(answer) => self.hear(&answer),
                None => Ok(()),
            },
            Action::HearAll(client) => {
                let ballot = self.clients[client].ballot();
                let answers: Vec<_> = self.late.values().cloned().collect();
                answers
                    .iter()
                    .filter(|answer| Some(answer.ballot) == ballot)
                    .try_for_each(|answer| self.hear(answer))
            }
            Action::Restart(store) => {
                self.faults.restarts -= 1;
                let disk = &self.stores[&store];
                let (state, cached) = (disk.synced.clone(), disk.cached.clone());
                let disk = Disk::shared(store, self.seats.len(), state, cached);
                self.stores.insert(store, disk);
                Ok(())
            }
            Action::Wipe(seat) => {
                self.faults.wipes -= 1;
                self.wipe(seat);
                Ok(())
            }
            Action::Spread(store) => {
                self.faults.spreads -= 1;
                let newest = self.chosen.newest().expect("a chosen value").clone();
                if let Some(disk) = self.stores.get_mut(&store) {
                    disk.change(|disk| disk.learn(newest));
                }
                Ok(())
            }
        }
    }

    /// A chosen value reaches a client by gossip.
    pub(super) fn gossip(&mut self, number: usize, value: &Value) -> Result<(), Broken> {
        self.clients[number].change(|client| client.learn(value));
        self.step(number, |proposer| proposer.learn(value.clone()))
    }

    fn start(&mut self, number: usize) -> Result<(), Broken> {
        let seats = Stores::new(self.seats.iter().copied());
        let list = seeds(self.seats.len());
        let floor = self.chosen.newest_epoch();
        let reuses = self.breakage == Some(Breakage::ReusesBallots);
        let begun = self.clients[number].change(|client| {
            let task = client.todo.pop()?;
            if client.known.is_none() && !matches!(task, Task::Form(_)) {
                return None; // Nothing to change: its cluster was not formed.
            }
            client.floor = floor;
            client.lives += 1;
            let seed = if reuses { 0 } else { client.lives };
            let terms = terms(client.name, seed, client.attempts_max);
            let known = || client.known.clone().expect("a formed cluster");
            let (proposer, steps) = match &task {
                Task::Form(_) => Proposer::form(list, seats.expect("1, 3 or 5 seats"), terms),
                Task::Read => Proposer::read(known(), terms),
                Task::Reform(change, stores) => {
                    Proposer::reform(known(), stores.clone(), *change, terms)
                }
                Task::Add(change) | Task::AddUnless(change, _) | Task::Replace(change, ..) => {
                    Proposer::change(known(), *change, terms)
                }
            };
            client.task = Some(task);
            client.proposer = Some(proposer);
            Some(steps)
        });
        self.carry_out(number, begun.unwrap_or_default())
    }

    fn deliver(&mut self, sent: u64, hearing: Hearing) -> Result<(), Broken> {
        let message = self.sent[&sent].clone();
        let (to, request) = &*message;
        let is_synced = match request {
            Request::Prepare(_) => true,
            Request::Accept(_) => self.breakage != Some(Breakage::AnswersBeforeSync),
        };
        let Some(disk) = self.stores.get_mut(to) else { return Ok(()) };
        let reply = disk.change(|disk| {
            let reply = disk.acceptor.on_request(request);
            if reply.must_persist && is_synced {
                disk.synced = disk.acceptor.state().clone();
            }
            reply
        });
        match hearing {
            Hearing::Now => self.hear(&reply.answer),
            Hearing::Late => {
                let answer = Shared::new(reply.answer);
                self.late.insert(answer.hash(), answer);
                Ok(())
            }
            Hearing::Never => Ok(()),
        }
    }

    fn hear(&mut self, answer: &Answer<Value>) -> Result<(), Broken> {
        let awaits = |client: &Shared<Client>| client.ballot() == Some(answer.ballot);
        match self.clients.iter().position(awaits) {
            Some(client) => self.step(client, |proposer| proposer.on_answer(answer.clone())),
            None => Ok(()),
        }
    }

    /// A seed loses its disk: what comes back is another store.
    fn wipe(&mut self, seat: usize) {
        let old = self.seats[seat];
        self.stores.remove(&old);
        let keeps_name = self.breakage == Some(Breakage::WipedKeepsName);
        let new = if keeps_name { old } else { StoreId(old.0 + 10) };
        self.seats[seat] = new;
        let blank = Disk::shared(new, self.seats.len(), AcceptorState::default(), None);
        self.stores.insert(new, blank);
    }

    fn step(
        &mut self,
        number: usize,
        event: impl FnOnce(&mut Proposer<Value>) -> Vec<Step<Value>>,
    ) -> Result<(), Broken> {
        let steps = self.clients[number].change(|client| client.proposer.as_mut().map(event));
        self.carry_out(number, steps.unwrap_or_default())
    }

    /// The runtime: what the server does with steps, without time.
    fn carry_out(&mut self, number: usize, steps: Vec<Step<Value>>) -> Result<(), Broken> {
        for step in steps {
            match step {
                Step::Send { to, request } => {
                    let message = Shared::new((to, request));
                    self.sent.insert(message.hash(), message);
                }
                Step::Wake { ticket, .. } => {
                    self.clients[number].change(|client| client.ticket = ticket);
                }
                Step::Change { current, acceptors } => {
                    let task = self.clients[number].task.clone().expect("a task under way");
                    let result = task.apply(current.as_ref(), acceptors);
                    self.step(number, |proposer| proposer.on_changed(result))?;
                }
                Step::Learned { value } => self.note_chosen(number, &value)?,
                Step::Chosen { value } => {
                    self.note_chosen(number, &value)?;
                    let client = &self.clients[number];
                    let task = client.task.as_ref().expect("a task under way");
                    Chosen::check_answer(task, client.floor, &value)?;
                    self.clients[number].change(|client| client.end(None));
                }
                Step::Rejected { reject } => {
                    self.chosen.check_rejection(&reject)?;
                    self.clients[number].change(|client| client.end(None));
                }
                Step::Failed { error } => {
                    check_failure(&error)?;
                    self.clients[number].change(|client| client.end(Some(error)));
                }
            }
        }
        Ok(())
    }

    fn note_chosen(&mut self, number: usize, value: &Value) -> Result<(), Broken> {
        self.chosen.change(|chosen| chosen.note(value))?;
        self.clients[number].change(|client| client.learn(value));
        Ok(())
    }
}

impl Disk {
    fn shared(
        store: StoreId,
        seats: usize,
        synced: AcceptorState<Value>,
        cached: Option<Value>,
    ) -> Shared<Self> {
        let acceptor = Acceptor::new(store, seeds(seats), synced.clone(), cached.clone());
        Shared::new(Self { acceptor, synced, cached })
    }

    fn learn(&mut self, value: Value) {
        self.acceptor.learn(&value);
        if self.cached.as_ref().is_none_or(|cached| cached.version() < value.version()) {
            self.cached = Some(value);
        }
    }

    pub(super) fn knows(&self, value: &Value) -> bool {
        self.cached.as_ref().is_some_and(|cached| cached.version() >= value.version())
    }
}

impl Client {
    pub(super) fn ballot(&self) -> Option<Ballot> {
        self.proposer.as_ref().map(Proposer::ballot)
    }

    /// Whether it has nothing under way and nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.proposer.is_none() && self.todo.is_empty()
    }

    pub(super) fn has_more(&self) -> bool {
        !self.todo.is_empty()
    }

    /// Gives one more task, to be done after all others.
    pub(super) fn give(&mut self, task: Task) {
        self.todo.insert(0, task);
    }

    pub(super) fn learn(&mut self, value: &Value) {
        if self.known.as_ref().is_none_or(|known| known.version() < value.version()) {
            self.known = Some(value.clone());
        }
    }

    /// Forgets everything but what is chosen, and does its task again or leaves it.
    fn crash(&mut self, again: bool) {
        self.proposer = None;
        let task = self.task.take();
        self.todo.extend(task.filter(|_| again));
    }

    fn end(&mut self, error: Option<ProposeError>) {
        self.proposer = None;
        self.task = None;
        self.last_error = error;
    }
}
