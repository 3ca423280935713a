//! What was acknowledged is there after any number of SIGKILLs and power cuts, and was on disk when it
//! was acknowledged.

mod cells;
mod corruption;
mod disks;
mod kills;
mod power;
mod stops;
mod syncs;
mod writers;
