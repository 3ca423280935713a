//! The operators' port: readiness, metrics, and what this node knows of its cluster, as JSON.
//!
//! ```text
//! GET  /live /ready /metrics /api/status /api/ring /api/epochs /api/hints
//! POST /api/seed/replace {"old": store, "new": store}      from loopback only
//!      /api/seed/reform  {"stores": [store, ..]}
//! ```
//!
//! Reads everything; changes nothing but by way of the register.

mod hints;
mod http;
mod metrics;
mod status;

pub use hints::{HintTarget, Hints};
pub use http::serve;
pub use status::{AdminState, MemberStatus, RingPartition, Status};
