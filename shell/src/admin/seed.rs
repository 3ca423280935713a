//! `starling seed`: who agrees on members and schema.

use serde::Serialize;
use serde_json::Value;

use super::http::Answer;
use super::{AdminArgs, ended};
use crate::Exit;

/// `starling seed`.
#[derive(Debug, Clone, clap::Args)]
pub struct SeedArgs {
    #[command(subcommand)]
    command: SeedCommand,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum SeedCommand {
    /// Let a seed that lost its data take part again, in the place of its former self.
    Replace(ReplaceArgs),
}

#[derive(Debug, Clone, clap::Args)]
struct ReplaceArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// The store id that is gone for ever.
    old: String,
    /// The store id that takes its place.
    new: String,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Replacement<'a> {
    old: &'a str,
    new: &'a str,
}

/// Runs `starling seed`.
pub fn seed(args: &SeedArgs) -> Exit {
    let SeedCommand::Replace(args) = &args.command;
    let ReplaceArgs { admin, old, new } = args;
    let answer = Answer::post(admin, "/api/seed/replace", &Replacement { old, new });
    let done = |_: Value| format!("seed {old} is replaced by {new}\n");
    ended(answer.and_then(|answer| answer.text(admin, done)))
}
