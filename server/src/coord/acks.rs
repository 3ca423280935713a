//! Who has acknowledged a write, and when its client is answered: once.
//!
//! Law: the answer comes when the level is met, when nobody is left who could meet it, or at the
//! deadline, and only then. Callers: `write` and `blind`. Pure.

use ring::{HostId, Tally};

use super::error::WriteError;

/// The acknowledgements of one write.
#[derive(Debug)]
pub(super) struct Acks {
    tally: Tally,
    /// Replicas that have neither acknowledged nor failed.
    awaited: usize,
    is_answered: bool,
}

/// What the client is told.
pub(super) type Answer = Result<(), WriteError>;

impl Acks {
    /// The acknowledgements of so many replicas, of which `tally` says how many are needed.
    pub(super) fn new(tally: Tally, awaited: usize) -> Self {
        Self { tally, awaited, is_answered: false }
    }

    /// A replica has the write on disk.
    pub(super) fn on_acknowledged(&mut self, from: HostId) -> Option<Answer> {
        self.awaited = self.awaited.saturating_sub(1);
        self.tally.acknowledge(from);
        self.settle()
    }

    /// A replica refused, or cannot be reached.
    pub(super) fn on_failed(&mut self) -> Option<Answer> {
        self.awaited = self.awaited.saturating_sub(1);
        self.settle()
    }

    /// No acknowledgement counts any more.
    pub(super) fn give_up(&mut self) -> Option<Answer> {
        self.answer(Err(WriteError::timeout(&self.tally)))
    }

    /// Tells the client, unless it was told something already.
    pub(super) fn answer(&mut self, answer: Answer) -> Option<Answer> {
        (!std::mem::replace(&mut self.is_answered, true)).then_some(answer)
    }

    /// Answers when the level is met, or when nobody is left who could meet it.
    fn settle(&mut self) -> Option<Answer> {
        if self.tally.is_met() {
            self.answer(Ok(()))
        } else if self.awaited == 0 {
            self.give_up()
        } else {
            None
        }
    }
}
