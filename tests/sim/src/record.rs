//! The trace of a run: every frame that was sent or received, every fault, every answer to a client.

use std::fmt;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Lines in the order in which things happened; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    text: String,
    count: u64,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record")
    }
}

impl Record {
    /// Notes what happens now on a simulated host.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        self.note_at(turmoil::sim_elapsed().unwrap_or_default(), what);
    }

    /// Notes what happens at a moment of the simulation.
    pub(crate) fn note_at(&self, now: Duration, what: fmt::Arguments<'_>) {
        let mut lines = self.0.lock().expect("nothing panics while it holds this lock");
        lines.count += 1;
        let written = writeln!(lines.text, "{:>10} {what}", now.as_micros());
        written.expect("a String takes everything");
    }

    /// How many lines there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.lock().expect("nothing panics while it holds this lock").count
    }

    /// The whole trace.
    pub(crate) fn text(&self) -> String {
        self.0.lock().expect("nothing panics while it holds this lock").text.clone()
    }
}

/// A number for bytes, the same in every run.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
