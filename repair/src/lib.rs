//! How copies agree: version vectors, siblings, cells, merge, hints, digests and the exchange of what
//! differs.
//!
//! Everything here is pure: no async, no clock, no randomness, no I/O.

mod codec;

pub mod bucket;
pub mod cells;
pub mod exchange;
pub mod hint;
pub mod merkle;
pub mod tombstone;
pub mod version;

/// Whether a stored value is as it was written: its checksum is right, and nothing that could not be
/// read was merged into it. Whether a decoder takes it is another question.
pub fn is_sound(value: &[u8]) -> bool {
    let is_row = cells::kind_of(value).is_some_and(|kind| kind != cells::Kind::Poisoned);
    is_row && codec::unseal(value).is_ok()
}
