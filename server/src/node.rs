//! One node: the only file that knows all parts, and how they hang together.
//!
//! ```text
//! store <- replica <- coord <- front <- drivers
//!            ^          |
//!            +-- handler <- peer <- other nodes
//! upkeep: gossip (a thread of its own), membership, proposals     admin: reads all
//! ```

mod environment;
mod handler;
mod introduction;
mod life;
mod serve;

pub use environment::{Environment, Pace, Threads};
pub use introduction::Skews;
pub use serve::{Ended, run, run_on};
