//! Chance in tests: a seed that is printed, and choices that follow from it.

use anyhow::{Context as _, Result};

use crate::wait;

/// A generator of choices; the same seed makes the same ones.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Choices of a seed that was never used, which is printed with what it is for.
    pub fn new(what: &str) -> Self {
        let seed = wait::wall_us().cast_unsigned();
        eprintln!("SEED={seed} of {what}");
        Self::of(seed)
    }

    /// Choices of the seed that the environment names, or else of one that was never used; either
    /// is printed.
    pub fn asked_for(name: &str, what: &str) -> Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "a person repeats a run by its seed")]
        let Ok(asked) = std::env::var(name) else { return Ok(Self::new(what)) };
        let seed = asked.parse().with_context(|| format!("{name}={asked} is no seed"))?;
        eprintln!("SEED={seed} of {what}, as asked for");
        Ok(Self::of(seed))
    }

    /// Other choices that follow from these.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self::of(self.next())
    }

    /// The choices of a seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number below this one, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("tests choose among few");
        usize::try_from(self.next() % bound).expect("it is below a usize")
    }

    /// One of these, which must not be none.
    pub fn of_these<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// The step of splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_choices_and_all_of_them() {
        let choices = |seed| {
            let mut chance = Chance::of(seed);
            (0..100).map(|_| chance.below(5)).collect::<Vec<_>>()
        };
        assert_eq!(choices(7), choices(7));
        assert_ne!(choices(7), choices(8));
        assert!((0..5).all(|choice| choices(7).contains(&choice)));
    }
}
