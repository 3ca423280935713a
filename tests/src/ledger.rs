//! What a long proof has shown so far, in a file, so that it goes on where it was interrupted.
//!
//! `PROVE` names a directory; without it a proof is short, keeps no book, and begins at 0.
//!
//! ```text
//! target/prove/power-cuts-of-three    25 cuts, 80112 acknowledged, 0 lost
//!                                     25 cuts, 79035 acknowledged, 0 lost
//! ```

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// How much of a proof is done. A line begins with how much of it that line has shown.
#[derive(Debug)]
pub struct Ledger {
    path: Option<PathBuf>,
    done: usize,
}

impl Ledger {
    /// The ledger of this name.
    pub fn open(name: &str) -> Result<Self> {
        match std::env::var_os("PROVE") {
            None => Ok(Self { path: None, done: 0 }),
            Some(directory) => Self::at(PathBuf::from(directory).join(name)),
        }
    }

    fn at(path: PathBuf) -> Result<Self> {
        let text = if path.exists() { fs::read_to_string(&path)? } else { String::new() };
        let counts = text.lines().filter_map(|line| line.split(' ').next());
        let done = counts.map(str::parse::<usize>).sum::<Result<_, _>>();
        let done = done.with_context(|| format!("{} is no ledger", path.display()))?;
        Ok(Self { path: Some(path), done })
    }

    /// How much was shown, over all runs.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Notes that so much more was shown.
    pub fn note(&mut self, more: usize, figures: &str) -> Result<()> {
        self.done += more;
        let Some(path) = &self.path else { return Ok(()) };
        fs::create_dir_all(path.parent().context("a ledger lies in a directory")?)?;
        let mut file = File::options().create(true).append(true).open(path)?;
        Ok(writeln!(file, "{more} {figures}")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_goes_on_where_it_was_interrupted() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("proofs/cuts");
        let mut ledger = Ledger::at(path.clone()).unwrap();
        assert_eq!(ledger.done(), 0);
        ledger.note(25, "cuts, 0 lost").unwrap();
        ledger.note(5, "cuts, 0 lost").unwrap();
        assert_eq!(Ledger::at(path).unwrap().done(), 30);
    }
}
