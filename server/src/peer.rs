//! Node to node: messages, framing, connections.
//!
//! ```text
//! caller -> Pool::call -> Link (queue, one connection per peer and class) ~> listen -> Handler
//! ```
//!
//! Law: a message is carried at most once; a caller is told whether its request was never sent
//! ([`CallError::NotSent`]) or may have been carried out ([`CallError::Lost`]). This module knows
//! messages, not their handlers: those come in through [`Handler`].

mod codec;
mod counters;
mod link;
mod listen;
mod message;
mod pool;
mod silence;

pub use codec::{CodecError, Frame};
pub use counters::PeerCounters;
pub use link::{CallError, Reply};
pub use listen::{Handler, Listener};
pub use message::{
    Answer, Body, Class, Head, Hello, PROTOCOL, Received, Refusal, Request, RowList,
};
pub use pool::{Introduce, Pool, PoolOptions, Target};

#[cfg(test)]
mod tests;
