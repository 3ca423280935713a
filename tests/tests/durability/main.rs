//! What was acknowledged is there after any number of SIGKILLs, and was on disk when it was
//! acknowledged.

mod cells;
mod kills;
mod stops;
mod syncs;
mod writers;
