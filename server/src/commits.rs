//! The way to the commit loop, for mutations of every kind.
//!
//! One loop commits the rows of `replica` and the records of `register`, so that they share one
//! log and one fsync. Its queue carries boxed mutations; [`Commits::submit`] gives the answer its
//! type back. Cost: two small allocations a mutation, beside one fsync a group.

use std::any::Any;

use crate::store::commit::{CommitError, CommitHandle, Mutation, View};
pub use crate::store::identity::Standing;

/// A mutation of any kind.
pub struct AnyMutation(Box<dyn Erased>);

trait Erased: Send {
    fn size(&self) -> usize;
    fn may_use_reserve(&self) -> bool;
    fn run(self: Box<Self>, view: &mut View<'_>) -> Box<dyn Any + Send>;
}

impl<M: Mutation> Erased for M {
    fn size(&self) -> usize {
        Mutation::size(self)
    }

    fn may_use_reserve(&self) -> bool {
        Mutation::may_use_reserve(self)
    }

    fn run(self: Box<Self>, view: &mut View<'_>) -> Box<dyn Any + Send> {
        Box::new(Mutation::run(*self, view))
    }
}

impl Mutation for AnyMutation {
    type Answer = Box<dyn Any + Send>;

    fn size(&self) -> usize {
        self.0.size()
    }

    fn may_use_reserve(&self) -> bool {
        self.0.may_use_reserve()
    }

    fn run(self, view: &mut View<'_>) -> Self::Answer {
        self.0.run(view)
    }
}

/// Where mutations are handed in.
#[derive(Clone)]
pub struct Commits(CommitHandle<AnyMutation>);

impl std::fmt::Debug for Commits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Commits")
    }
}

impl Commits {
    /// The way to the loop behind `handle`.
    pub fn new(handle: CommitHandle<AnyMutation>) -> Self {
        Self(handle)
    }

    /// Whose store it is, now.
    pub fn standing(&self) -> Standing {
        self.0.standing()
    }

    /// The handle itself: for its counters, and for what concerns the identity of the store.
    pub fn handle(&self) -> &CommitHandle<AnyMutation> {
        &self.0
    }

    /// Hands a mutation in and waits until it is durable. Dropping the future does not take it
    /// back.
    ///
    /// # Errors
    /// [`CommitError`]; [`CommitError::may_have_applied`] tells what is known of it then.
    pub async fn submit<M: Mutation>(&self, mutation: M) -> Result<M::Answer, CommitError> {
        let answer = self.0.submit(AnyMutation(Box::new(mutation)))?.await?;
        Ok(*answer.downcast().expect("a mutation is answered with its own kind of answer"))
    }
}
