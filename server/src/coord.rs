//! What a coordinator does: pure operations, and the one loop that runs their steps.
//!
//! ```text
//! place -> stamp -> send -> gather -> answer -> mend     write.rs, sends.rs; without a stamp blind.rs
//! place -> ask   -> gather -> merge -> repair -> answer  read.rs; of stretches gather.rs, page.rs
//! cut   -> ask   -> join   -> answer                 scan.rs, over several partitions of the ring
//! ```
//!
//! [`WriteOp`], [`BlindOp`], [`ReadOp`] and [`ScanOp`] take events and return steps; they send nothing, wait for nothing and
//! read no clock. `drive` is the only place that does. A reader should begin with `write.rs`.

mod blind;
mod drive;
mod error;
mod footing;
mod gather;
mod latency;
mod page;
mod read;
mod request;
mod scan;
mod sends;
mod write;

pub use blind::{BlindOp, BlindStep, BlindSteps};
pub use drive::{CoordCounters, Coordinator, MENDINGS_MAX};
pub use error::{ReadError, RowError, WriteError};
pub use footing::Footing;
pub use gather::Hosts;
pub use latency::{Kind, Latencies};
pub use page::{MergedPage, merge_pages};
pub use read::{Asking, FoundRow, ReadOp, ReadStep, ReadSteps};
pub use request::{PartitionWrite, Patience, RangeRead, RowChange, RowRead};
pub use scan::{Piece, ScanOp, ScanStep, ScanSteps, cut};
pub use sends::{Holders, KeepHint, SendTo};
pub use write::{Carried, WriteOp, WriteStep, WriteSteps, Written};
