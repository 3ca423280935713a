//! The randomness of the process, made to follow the seed.
//!
//! The standard library's hash maps and chitchat's choices draw from the operating system. Both end
//! in libc's `getrandom`, which this program defines itself. The node's own randomness is
//! `server::clock::Random` and needs none of this.

use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(0);

/// From now on everything that is drawn follows from `seed`.
pub(crate) fn follow(seed: u64) {
    STATE.store(seed, Ordering::Relaxed);
}

/// Fills `length` bytes at `buffer`, as libc's function of this name does.
#[expect(unsafe_code, reason = "a seed fixes the randomness of libraries only in libc's place")]
#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    for at in 0..length {
        let byte = next().to_le_bytes()[0];
        // SAFETY: the caller hands in `length` bytes to be written, by the contract of getrandom(2).
        unsafe { buffer.add(at).write(byte) };
    }
    length.cast_signed()
}

/// The next number of Steele, Lea and Flood's `SplitMix64`.
fn next() -> u64 {
    let step = 0x9E37_79B9_7F4A_7C15;
    let state = STATE.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
