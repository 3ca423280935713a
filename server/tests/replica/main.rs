//! Copies of rows in a store that models its log: the rules of `repair::version` where they meet
//! the commit loop.

mod cells;
mod copies;
mod losses;
mod mends;
mod power;
mod removals;
mod store;

// The networks in which `repair` proves its rules, over real stores.
#[path = "../../../repair/tests/version/network.rs"]
mod network;
#[path = "../../../repair/tests/version/random.rs"]
mod random;
#[path = "../../../repair/tests/version/rules.rs"]
mod rules;

use repair::version;
