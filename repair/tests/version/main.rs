//! Rows, writes and merges from outside: against full histories, and in random networks of
//! replicas that lose, delay and hand over.

mod histories;
mod losses;
mod network;
mod random;
mod rules;

// Networks and rules take it from here, so that other crates can run them over their own stores.
use starling_repair::version;
