//! The register at work: what [`ring::register`] decides, kept on disk and carried between nodes.
//!
//! ```text
//! acceptor   a vote is a mutation of the commit loop: it leaves only after its fsync
//! keeper     a chosen value is cached on disk, then installed; missed ones are fetched from peers
//! propose    one proposal after the other; most go through the lowest live acceptor
//! ```
//!
//! Law: the acceptor's state is written before its answer leaves, a chosen value before anybody
//! here reads it. Reads and writes of rows never wait for this module.

mod acceptor;
mod keeper;
mod propose;

pub use acceptor::{Vote, VoteError};
pub use keeper::{EpochRecord, Keeper, LoadError};
pub use propose::{ProposalQueue, Proposals, ProposeFailure, Proposed};
