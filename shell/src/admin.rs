//! Commands for operators: what one node says and does over its admin port.
//!
//! Callers: the binary. Each command asks one node once; the node answers JSON, which `--json` prints
//! as it came.

mod hints;
mod http;
mod repair;
mod ring;
mod seed;
mod status;

use crate::Exit;
use crate::host::Host;
use crate::screen::{data, note};

use http::AdminError;

pub(crate) use http::ADMIN_PORT;

pub use hints::{HintsArgs, hints};
pub use repair::{RepairArgs, repair};
pub use ring::{RingArgs, ring};
pub use seed::{SeedArgs, seed};
pub use status::{StatusArgs, status};

/// Which node is asked, and how its answer is printed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AdminArgs {
    /// The node to ask.
    #[arg(long, value_name = "HOST[:PORT]", default_value = "127.0.0.1")]
    host: Host,
    /// Print the node's answer as it came.
    #[arg(long)]
    json: bool,
}

/// Prints an answer, or says why there is none.
fn ended(answer: Result<String, AdminError>) -> Exit {
    let text = match answer {
        Ok(text) => text,
        Err(error) => {
            note(&error.to_string());
            return error.exit();
        }
    };
    match data(&text) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}
