//! The operators' port: readiness, metrics, and what this node knows of its cluster, as JSON.
//!
//! ```text
//! GET  /live /ready /metrics /api/status /api/ring /api/epochs /api/hints /api/repair
//!      /api/digests
//! POST /api/seed/replace {"old": store, "new": store}      from loopback only
//!      /api/seed/reform  {"stores": [store, ..]}
//!      /api/repair       {"table": "k.t", "preview": bool}
//! ```
//!
//! Reads everything; changes nothing but by way of the register.

mod hints;
mod http;
mod metrics;
mod repair;
mod status;

pub use hints::{HintTarget, Hints};
pub use http::serve;
pub use status::{AdminState, MemberStatus, RingPartition, Status};
