//! Two model replicas talk, and are compared with the join of what they held.

mod laws;
mod model;
