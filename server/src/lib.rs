//! One node of a Starling cluster: the only crate that stores, sends and runs loops.
//!
//! Inside it imports run one way: `front -> plan, coord`; `coord, upkeep -> peer, replica`;
//! `replica -> store`; `admin` reads all and writes none; `node` wires. Begin with `coord/write.rs`.

pub mod admin;
pub mod clock;
pub mod cluster;
pub mod commits;
pub mod config;
pub mod coord;
pub mod front;
pub mod metadata;
pub mod network;
pub mod node;
pub mod peer;
pub mod plan;
pub mod register;
pub mod replica;
pub mod store;
pub mod upkeep;
