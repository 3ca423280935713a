//! The person's end: statement shell, admin commands, playground.
