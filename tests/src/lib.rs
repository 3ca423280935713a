//! Whole-system tests: real `starling` processes on loopback, clients that did not grow up with
//! them, and the rules of the house.
//!
//! ```text
//! tests/*.rs --> Cluster --> Node (a child process, a data directory, a log)
//!            \-> Client  --> one connection to one node, so a test chooses its coordinator
//!            \-> python, scylla: drivers as their users run them
//!            \-> proxy: the network between the nodes, and what goes wrong on it
//!            \-> power: a disk under a node that forgets what was not synced
//! ```
//!
//! Law: every wait has a bound, no process outlives its [`Cluster`], and a node that logs a
//! warning or an error which its test does not list fails that test.

pub mod admin;
pub mod cells;
pub mod chance;
pub mod cluster;
pub mod cql;
pub mod damage;
pub mod history;
pub mod ledger;
pub mod log;
pub mod meddler;
pub mod place;
pub mod power;
pub mod promise;
pub mod proxy;
pub mod python;
pub mod trace;
pub mod wait;

pub use chance::Chance;
pub use cluster::{Cluster, Node};
pub use cql::{Client, Refusal, Reply, Rows};
pub use history::History;
pub use power::{PowerDisk, Tear};
pub use types::Consistency;
