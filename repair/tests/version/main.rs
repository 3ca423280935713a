//! Rows, writes and merges from outside: against full histories, and in random networks of
//! replicas that lose, delay and hand over.

mod histories;
mod losses;
mod network;
mod random;
mod rules;

/// Under the name that other crates give it: the networks run over their stores as well.
use starling_repair as repair;
