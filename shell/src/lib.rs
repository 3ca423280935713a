//! The person's end: the statement shell, the playground, and the commands for operators.
//!
//! Each command has a struct of arguments and a function that carries it out and says how it ended;
//! the binary does nothing but read the command line. Data goes to standard output, everything else
//! to standard error wherever standard output is no terminal.
//!
//! ```text
//! repl (terminal, files, -e) -> execute -> causal (contexts) -> driver -> cluster
//!                                     \-> print (table, json, csv, vertical)
//! playground = processes of `starling serve` + repl          admin -> HTTP of one node
//! ```
//!
//! Callers: the binary.

mod admin;
mod catalog;
mod causal;
mod command;
mod execute;
mod exit;
mod host;
mod input;
mod playground;
mod print;
mod repl;
mod screen;

pub use admin::{
    HintsArgs, RepairArgs, RingArgs, SeedArgs, StatusArgs, hints, repair, ring, seed, status,
};
pub use exit::Exit;
pub use playground::{PlaygroundArgs, playground};
pub use repl::{ShellArgs, shell};
