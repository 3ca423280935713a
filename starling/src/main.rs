//! The one binary: reads the command line and calls the server or the shell.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shell::{HintsArgs, PlaygroundArgs, RepairArgs, RingArgs, SeedArgs, ShellArgs, StatusArgs};

use serve::ServeArgs;

/// RocksDB and the server share it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The version of the program and the commit that it is built from.
const VERSION: &str = env!("STARLING_VERSION");

/// A leaderless, replicated database that keeps concurrent writes.
#[derive(Debug, Parser)]
#[command(name = "starling", version = VERSION, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one node.
    Serve(ServeArgs),
    /// Run a cluster on this machine, and a shell on it.
    Playground(PlaygroundArgs),
    /// Talk to a cluster in statements.
    Shell(ShellArgs),
    /// Show the members of a cluster and how they are.
    Status(StatusArgs),
    /// Show which node owns which partition.
    Ring(RingArgs),
    /// Show which nodes have missed rows, and how they get them.
    Hints(HintsArgs),
    /// Make all replicas of a node's rows equal, now.
    Repair(RepairArgs),
    /// Change who agrees on members and schema.
    Seed(SeedArgs),
}

fn main() -> ExitCode {
    let exit = match Arguments::parse().command {
        Command::Serve(args) => serve::serve(&args, VERSION),
        Command::Playground(args) => shell::playground(&args, VERSION),
        Command::Shell(args) => shell::shell(&args, VERSION),
        Command::Status(args) => shell::status(&args),
        Command::Ring(args) => shell::ring(&args),
        Command::Hints(args) => shell::hints(&args),
        Command::Repair(args) => shell::repair(&args),
        Command::Seed(args) => shell::seed(&args),
    };
    exit.into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_is_read_as_documented() {
        for line in [
            "starling serve --config c.toml --data-dir d --listen 127.0.0.2 --seed a:7000 \
             --seed b:7000 --set cql.port=9 --insecure --log debug --log-format json",
            "starling playground --nodes 5 --dir d -e USE --detach --conflict lww",
            "starling shell 127.0.0.1:9042 -e SELECT -e USE --format json -u me",
            "starling shell -f file --format vertical",
            "starling status --host 127.0.0.2:7080 --json",
            "starling ring --json",
            "starling repair --host ::1 --table k.t --preview --wait --json",
            "starling seed replace --host ::1 old new",
            "starling seed reform --force one two three",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "starling shell -e USE -f file",
            "starling shell --format xml",
            "starling playground --nodes 0",
            "starling serve --set cql.port",
            "starling serve --listen localhost",
            "starling seed replace old",
            "starling seed reform one two three",
            "starling seed reform --force",
            "starling status --host a:b",
        ] {
            assert_eq!(parse(line).err().map(|error| error.exit_code()), Some(2), "{line}");
        }
    }

    #[test]
    fn the_version_begins_with_that_of_the_package() {
        assert!(VERSION.starts_with(env!("CARGO_PKG_VERSION")), "{VERSION}");
    }
}
