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
    /// Let other seeds agree from now on, after a majority of them is lost for ever. What only
    /// the lost ones knew is given up.
    Reform(ReformArgs),
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

#[derive(Debug, Clone, clap::Args)]
struct ReformArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// The majority is lost for ever: no node of it will come back.
    #[arg(long, required = true)]
    force: bool,
    /// The store ids that agree from now on: 1, 3 or 5 of members that are up.
    #[arg(required = true, value_name = "STORE")]
    stores: Vec<String>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Replacement<'a> {
    old: &'a str,
    new: &'a str,
}

/// What is asked for by force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Reform<'a> {
    stores: &'a [String],
}

/// Runs `starling seed`.
pub fn seed(args: &SeedArgs) -> Exit {
    match &args.command {
        SeedCommand::Replace(args) => replace(args),
        SeedCommand::Reform(args) => reform(args),
    }
}

fn replace(args: &ReplaceArgs) -> Exit {
    let ReplaceArgs { admin, old, new } = args;
    let answer = Answer::post(admin, "/api/seed/replace", &Replacement { old, new });
    let done = |_: Value| format!("seed {old} is replaced by {new}\n");
    ended(answer.and_then(|answer| answer.text(admin, done)))
}

fn reform(args: &ReformArgs) -> Exit {
    let ReformArgs { admin, force: _, stores } = args;
    let answer = Answer::post(admin, "/api/seed/reform", &Reform { stores });
    let done = |_: Value| format!("from now on these agree: {}\n", stores.join(", "));
    ended(answer.and_then(|answer| answer.text(admin, done)))
}
