//! Proofs of the register: searches through all schedules of small registers, random schedules of
//! larger ones, and the single stories behind its rules.

mod forming;
mod laws;
mod proposing;
mod random;
mod reforming;
mod replacing;
mod search;
mod shared;
mod steady;
mod story;
mod value;
mod world;
