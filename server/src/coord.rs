//! What a coordinator does: pure operations, and the one loop that runs their steps.
//!
//! ```text
//! place -> stamp -> send -> gather -> answer        write.rs; without a stamp blind.rs
//! place -> ask   -> gather -> merge -> answer        read.rs, gather.rs, page.rs
//! cut   -> ask   -> join   -> answer                 scan.rs, over several partitions of the ring
//! ```
//!
//! [`WriteOp`], [`BlindOp`], [`ReadOp`] and [`ScanOp`] take events and return steps; they send nothing, wait for nothing and
//! read no clock. `drive` is the only place that does. A reader should begin with `write.rs`.

mod acks;
mod blind;
mod drive;
mod error;
mod gather;
mod page;
mod read;
mod request;
mod scan;
mod write;

pub use blind::{BlindOp, BlindStep, BlindSteps};
pub use drive::Coordinator;
pub use error::{ReadError, RowError, WriteError};
pub use page::{MergedPage, merge_pages};
pub use read::{ReadOp, ReadStep, ReadSteps};
pub use request::{PartitionWrite, Patience, RangeRead, RowChange, RowRead};
pub use scan::{Piece, ScanOp, ScanStep, ScanSteps, cut};
pub use write::{WriteOp, WriteStep, WriteSteps, Written};
