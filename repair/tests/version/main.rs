//! Rows, writes and merges from outside: against full histories, and in random networks of
//! replicas that lose, delay and hand over.

mod histories;
mod network;
mod random;
mod rules;
