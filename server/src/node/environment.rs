//! What a node stands on, and what alone differs between a process and a simulated host.
//!
//! All else is wired by the same code. On a simulated host everything runs as tasks of the host's
//! one runtime, so that a seed fixes the order of all that happens.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock::{Clock, Random, SystemClock};
use crate::commits::AnyMutation;
use crate::network::{Network, TcpNetwork};
use crate::store::commit::{CommitFailure, CommitLoop};
use crate::store::engine::EngineError;

/// Time, randomness, network and threads.
#[derive(Debug)]
pub struct Environment {
    /// Where time is read.
    pub clock: Arc<dyn Clock>,
    /// Where randomness is drawn.
    pub random: Random,
    /// Where connections come from.
    pub network: Arc<dyn Network>,
    /// What runs beside the runtime that the node was started on.
    pub threads: Threads,
}

impl Environment {
    /// The operating system's, for a node that listens on this address.
    pub fn system(listen: IpAddr) -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Random::system(),
            network: Arc::new(TcpNetwork::from_address(listen)),
            threads: Threads::Own,
        }
    }
}

/// What runs beside the runtime that a node was started on.
#[derive(Debug, Clone)]
pub enum Threads {
    /// Commits and heartbeats have a thread each, and there is an admin port. A store that fails
    /// ends the process, one that is damaged the node.
    Own,
    /// Nothing: both are tasks, and there is no admin port.
    None {
        /// How long the disk takes for a group of commits.
        pace: Pace,
    },
}

/// How long a simulated disk takes, asked once a group.
#[derive(Clone)]
pub struct Pace(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Pace {
    /// As long as `wait` says.
    pub fn new(wait: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(wait))
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pace")
    }
}

/// The commit loop at work.
pub(super) enum Committing {
    /// On a thread of its own.
    Thread(thread::JoinHandle<()>),
    /// As a task.
    Task(JoinHandle<Result<(), CommitFailure>>),
}

impl Committing {
    #[expect(clippy::disallowed_methods, reason = "the commit loop of a node without threads")]
    pub(super) fn start(
        commit_loop: CommitLoop<AnyMutation>,
        threads: Threads,
    ) -> io::Result<Self> {
        match threads {
            Threads::Own => {
                let thread = commit_loop.spawn(|failure| match failure {
                    // The engine has told everybody already.
                    CommitFailure::Log(EngineError::Corrupt { reason }) => {
                        tracing::error!(reason, "the store takes no more writes");
                    }
                    failure => {
                        tracing::error!(%failure, "the store failed: stopping at once");
                        std::process::exit(1);
                    }
                });
                Ok(Self::Thread(thread?))
            }
            Threads::None { pace } => {
                let committing = commit_loop.run_paced(move || (pace.0)());
                Ok(Self::Task(tokio::spawn(committing)))
            }
        }
    }

    /// Waits until the store fails; on a thread of its own that ends the process instead.
    pub(super) async fn failed(&mut self) -> CommitFailure {
        match self {
            Self::Thread(_) => std::future::pending().await,
            Self::Task(task) => match task.await {
                Ok(Err(failure)) => failure,
                Ok(Ok(())) | Err(_) => CommitFailure::Panicked,
            },
        }
    }

    /// Waits until it has ended, because it was told to.
    pub(super) async fn ended(self) {
        // That it has ended is all that there is to know.
        match self {
            Self::Thread(thread) => {
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
            Self::Task(task) => {
                let _ = task.await;
            }
        }
    }
}
