//! One node of a Starling cluster.

pub mod store;
