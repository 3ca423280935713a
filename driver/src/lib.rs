//! The client library: siblings and contexts on top of the scylla crate.
