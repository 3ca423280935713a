//! One schedule, told step by step.

use std::collections::BTreeSet;

use super::super::ProposeError;
use super::value::Value;
use super::world::{Action, Hearing, World};
use crate::StoreId;

/// A world in which messages reach only the stores that are named.
pub(super) struct Story {
    pub(super) world: World,
    handled: BTreeSet<u64>,
}

impl Story {
    pub(super) fn of(world: World) -> Self {
        Self { world, handled: BTreeSet::new() }
    }

    /// Client `client` begins its next task.
    pub(super) fn starts(&mut self, client: usize) -> &mut Self {
        self.does(Action::Start(client))
    }

    /// What was sent to these stores, and whatever follows from it, arrives, and is answered.
    pub(super) fn arrives_at(&mut self, stores: &[u128]) -> &mut Self {
        let stores: Vec<_> = stores.iter().copied().map(StoreId).collect();
        loop {
            let next = self.world.sent.iter().find(|(sent, message)| {
                stores.contains(&message.0) && !self.handled.contains(sent)
            });
            let Some((&sent, _)) = next else { return self };
            self.handled.insert(sent);
            self.does(Action::Deliver { sent, hearing: Hearing::Now });
        }
    }

    /// What was sent and did not arrive yet is lost, or comes later than all the rest.
    pub(super) fn loses_the_rest(&mut self) -> &mut Self {
        self.handled.extend(self.world.sent.keys());
        self
    }

    /// Everything that was ever sent arrives once more.
    pub(super) fn repeats_everything(&mut self) -> &mut Self {
        let all: Vec<_> = self.world.sent.keys().copied().collect();
        for sent in all {
            self.does(Action::Deliver { sent, hearing: Hearing::Now });
        }
        self
    }

    pub(super) fn does(&mut self, action: Action) -> &mut Self {
        self.world.act(action).expect("a law was broken");
        self
    }

    /// The client waits in vain until it gives up.
    pub(super) fn runs_out(&mut self, client: usize) -> ProposeError {
        while self.world.clients[client].proposer.is_some() {
            self.does(Action::Wake(client));
        }
        self.error(client)
    }

    pub(super) fn error(&self, client: usize) -> ProposeError {
        self.world.clients[client].last_error.clone().expect("a failure")
    }

    /// The newest value that is chosen.
    pub(super) fn chosen(&self) -> Option<&Value> {
        self.world.chosen.newest()
    }

    pub(super) fn is_busy(&self, client: usize) -> bool {
        self.world.clients[client].proposer.is_some()
    }
}
