//! This store's vote on changes of the metadata.
//!
//! A request is judged inside the commit loop, on the state that the loop has written so far: so
//! votes are taken one after the other without a lock, and an answer leaves after its fsync.
//!
//! ```text
//! register: "acceptor" -> version (u8), postcard of AcceptorState
//!                         1: the value as it was then, 2: the value's own stored form
//!           "chosen"   -> the newest chosen value (keeper)
//! ```

use bytes::Bytes;
use ring::StoreId;
use ring::register::{Acceptor, AcceptorState, Answer, Request, SeedList};

use super::keeper::CHOSEN;
use crate::metadata::{ClusterMetadata, FirstForm};
use crate::store::commit::{Mutation, View};
use crate::store::engine::Family;

const ACCEPTOR: &[u8] = b"acceptor";
const FORMAT: u8 = 2;

/// A request to this store's acceptor.
#[derive(Debug)]
pub struct Vote {
    /// The request, as it was sent.
    pub request: Bytes,
    /// The seeds of this node's configuration.
    pub seeds: SeedList,
    /// In whose name the store votes, if not in its own: a bug that tests plant.
    pub voter: Option<StoreId>,
}

/// Why the acceptor does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// The request cannot be read.
    #[error("malformed request to the register")]
    Malformed,
    /// What the acceptor promised cannot be read: it must not vote.
    #[error("the state of the register cannot be read")]
    Unreadable,
}

impl Mutation for Vote {
    type Answer = Result<Answer<ClusterMetadata>, VoteError>;

    fn size(&self) -> usize {
        self.request.len()
    }

    fn may_use_reserve(&self) -> bool {
        true
    }

    fn run(self, view: &mut View<'_>) -> Self::Answer {
        let request: Request<ClusterMetadata> =
            postcard::from_bytes(&self.request).map_err(|_| VoteError::Malformed)?;
        let unreadable = |_| VoteError::Unreadable;
        let state = view.get(Family::Register, ACCEPTOR).map_err(unreadable)?;
        let state = state.map_or(Some(AcceptorState::default()), |bytes| decode(&bytes));
        let known = view.get(Family::Register, CHOSEN).map_err(unreadable)?;
        let known = known.map(|bytes| ClusterMetadata::decode(&bytes)).transpose();
        let known = known.map_err(|_| VoteError::Unreadable)?;
        let state = state.ok_or(VoteError::Unreadable)?;
        let voter = self.voter.unwrap_or_else(|| view.store());
        let mut acceptor = Acceptor::new(voter, self.seeds, state, known);
        let reply = acceptor.on_request(&request);
        if reply.must_persist {
            view.put(Family::Register, ACCEPTOR, encode(acceptor.state()));
        }
        Ok(reply.answer)
    }
}

fn encode(state: &AcceptorState<ClusterMetadata>) -> Bytes {
    postcard::to_extend(state, vec![FORMAT]).expect("a state in memory can be written").into()
}

fn decode(bytes: &[u8]) -> Option<AcceptorState<ClusterMetadata>> {
    let (&format, state) = bytes.split_first()?;
    match format {
        FORMAT => postcard::from_bytes(state).ok(),
        1 => {
            let state: AcceptorState<FirstForm> = postcard::from_bytes(state).ok()?;
            Some(state.map(ClusterMetadata::from))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
