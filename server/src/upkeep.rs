//! All background work. Foreground requests never wait for it.

pub mod anti_entropy;
pub mod clock_bound;
pub mod dead_lives;
pub mod gossip;
pub mod handoff;
pub mod liveness;
pub mod membership;
pub mod purge;
