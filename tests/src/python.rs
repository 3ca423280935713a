//! Python clients as their users install them: from PyPI, in a virtual environment.
//!
//! Scripts lie in `python/`, take arguments, and print one JSON value as their last line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{place, wait};

/// The driver that Cassandra's users have.
pub const DRIVER: &str = "cassandra-driver==3.30.1";

/// How long making the environment may take, downloads included.
const INSTALL_LIMIT: Duration = Duration::from_mins(5);

/// A virtual environment that has one package.
#[derive(Debug)]
pub struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// The environment with this package; made once per target directory.
    pub fn with(package: &str) -> Result<Self> {
        let _lock = place::lock("python")?;
        let home = place::shared()?.join(format!("venv-{}", package.replace("==", "-")));
        let interpreter = home.join("bin/python");
        let complete = home.join("complete");
        if !complete.exists() {
            make(&home, &interpreter, package)?;
            fs::write(complete, package)?;
        }
        Ok(Self { interpreter })
    }

    /// Runs a script of `python/` and returns the JSON in its last line.
    pub fn run(&self, script: &str, arguments: &[String], limit: Duration) -> Result<Value> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
        let mut command = Command::new(&self.interpreter);
        command.arg(path).args(arguments);
        let outcome = wait::run(&mut command, limit)?;
        let (status, stdout, stderr) = (outcome.status, outcome.stdout, outcome.stderr);
        ensure!(status.success(), "{script} ended with {status}:\n{stdout}\n{stderr}");
        let last = stdout.trim_end().lines().last().unwrap_or_default();
        serde_json::from_str(last).with_context(|| format!("{script} printed no JSON: {stdout}"))
    }
}

fn make(home: &Path, interpreter: &Path, package: &str) -> Result<()> {
    if home.exists() {
        fs::remove_dir_all(home)?; // What an interrupted run left.
    }
    succeed(Command::new("python3").args(["-m", "venv"]).arg(home))?;
    succeed(Command::new(interpreter).args(["-m", "pip", "install", "--quiet", package]))
}

fn succeed(command: &mut Command) -> Result<()> {
    let outcome = wait::run(command, INSTALL_LIMIT)?;
    ensure!(outcome.status.success(), "{command:?} failed: {}", outcome.stderr);
    Ok(())
}
