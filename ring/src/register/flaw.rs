//! Flaws that the tests plant, one at a time, to show that their searches would notice them.
//! Outside tests there is none. Callers: the places that a flaw would break.

/// A law of the register that a test may break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    /// A replacement is chosen by a majority of the new acceptors alone.
    NewMajorityAlone,
    /// A proposer that meets newer acceptors goes on asking only those that it knew.
    NewerAcceptorsIgnored,
    /// An acceptor is replaced although the last replacement may not have been chosen.
    ReplacesUnsettled,
    /// A majority of the seeds is enough to form.
    FormsWithoutAll,
    /// A seed forgets which stores it promised to form a cluster with.
    ForgetsFormation,
    /// A proposer does not ask whether the value contains its change.
    AppliesTwice,
    /// A change is refused because of a value that may never be chosen.
    RejectsByUnchosen,
    /// A read answers what it found without having it chosen.
    ReadsUnchosen,
    /// An acceptor accepts below its promise.
    BreaksPromise,
}

/// Whether a test of this thread has planted `flaw`.
#[cfg(not(test))]
pub(super) const fn is_planted(_flaw: Flaw) -> bool {
    false
}

#[cfg(test)]
pub(super) use planted::{is_planted, plant};

#[cfg(test)]
mod planted {
    use std::cell::Cell;

    use super::Flaw;

    thread_local! {
        static PLANTED: Cell<Option<Flaw>> = const { Cell::new(None) };
    }

    pub(in crate::register) fn is_planted(flaw: Flaw) -> bool {
        PLANTED.get() == Some(flaw)
    }

    /// Runs `test` with `flaw` planted.
    pub(in crate::register) fn plant<T>(flaw: Flaw, test: impl FnOnce() -> T) -> T {
        PLANTED.set(Some(flaw));
        let result = test();
        PLANTED.set(None);
        result
    }
}
