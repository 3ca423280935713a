//! All background work. Foreground requests never wait for it.

pub mod gossip;
pub mod membership;
