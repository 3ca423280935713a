//! Who holds a key: tokens, partitions, replicas, and the register of cluster metadata.
//!
//! ```text
//! key -> token -> partition -> owner, and clockwise from it the replicas
//!        Token    Partitions   Ring                       Placement
//! ```
//!
//! Everything here is pure: no async, no clock, no randomness, no I/O. A node's answer depends on
//! the arguments alone, so all nodes that know the same epoch place every key alike.

mod claim;
mod node;
mod partition;
mod preference;
pub mod register;
mod ring;
mod strategy;
mod tally;
mod token;

pub use claim::{ClaimError, claim};
pub use node::{HostId, Node, StoreId, StoreIdError};
pub use partition::{PartitionId, Partitions};
pub use preference::{Placement, StandIn, stand_ins};
pub use ring::{Ring, RingError};
pub use strategy::Strategy;
pub use tally::{HOSTS_INLINE, Tally, Unavailable};
pub use token::{KEY_BYTES_MAX, KeyError, Token, partition_key, partition_key_components};
