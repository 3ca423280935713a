//! Parts of a world that copies of it share until one of them changes, with their hash.

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(super) struct Shared<T> {
    part: Rc<T>,
    hash: u64,
}

impl<T: Clone + Hash> Shared<T> {
    pub(super) fn new(part: T) -> Self {
        let hash = hash_of(&part);
        Self { part: Rc::new(part), hash }
    }

    pub(super) fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        let part = Rc::make_mut(&mut self.part);
        let result = change(part);
        self.hash = hash_of(part);
        result
    }

    /// 64 bits of the part. Two of a million look alike with a chance of one in ten million.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.part
    }
}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

pub(super) fn hash_of(part: &impl Hash) -> u64 {
    let mut mixer = Mixer(0);
    part.hash(&mut mixer);
    mixer.finish()
}

/// A fast hasher: folds the double-width product of what it has and what it gets.
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xda94_2042_e4dd_58b5;
        let low = u64::try_from(product & u128::from(u64::MAX)).expect("64 bits");
        let high = u64::try_from(product >> 64).expect("64 bits");
        self.0 = low ^ high.rotate_left(23) ^ self.0.rotate_left(41);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
