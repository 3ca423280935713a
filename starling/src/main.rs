//! The one binary: reads the command line and calls the server or the shell.

fn main() {}
