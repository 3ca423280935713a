//! `starling serve`: one node, from its configuration to its last log line.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use server::config::{Config, ConfigError, Layers};
use server::node::Ended;
use shell::Exit;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How long the threads of a node that has stopped may take to end.
const SHUTDOWN_MAX: Duration = Duration::from_millis(500);

/// `starling serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// A TOML file; `conf/starling.toml` shows every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the node keeps everything: `node.data_dir`.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address that all ports are opened on: `listen.address`.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<IpAddr>,
    /// A node that agrees on members and schema, 1, 3 or 5 of them: `cluster.seeds`.
    #[arg(long, value_name = "HOST:PORT")]
    seed: Vec<String>,
    /// Any other key of the configuration.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Allow an address beyond loopback although nothing asks for a password: `listen.insecure`.
    #[arg(long)]
    insecure: bool,
    /// What to log, such as `debug` or `info,starling_server::peer=trace`; else `RUST_LOG`, else info.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How to log.
    #[arg(long, value_enum, default_value = "human")]
    log_format: LogFormat,
}

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// A line of text for each event.
    Human,
    /// A JSON object for each event.
    Json,
}

/// Runs `starling serve`; `version` is that of this program.
pub(crate) fn serve(args: &ServeArgs, version: &'static str) -> Exit {
    match run(args, version) {
        Ok(Ended::Stopped) => Exit::Done,
        Ok(Ended::Damaged) => begin_anew(),
        Err(error) => {
            eprintln!("starling: {error:#}");
            let is_usage = error.is::<ConfigError>() || error.is::<ParseError>();
            if is_usage { Exit::Usage } else { Exit::Failed }
        }
    }
}

/// Runs this very program in the place of this process, with the same arguments: no thread, connection
/// or open file of the damaged node lives on, and whoever watches the process sees no other one.
fn begin_anew() -> Exit {
    let mut arguments = std::env::args_os();
    let mut program = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        program.arg0(name);
    }
    let error = program.args(arguments).exec(); // It returns only where it fails.
    eprintln!("starling: cannot begin anew: {error}");
    Exit::Failed
}

fn run(args: &ServeArgs, version: &'static str) -> Result<Ended> {
    let config = Config::load(&args.layers(std::env::vars_os())?)?;
    args.log_to_stderr()?;
    let runtime = Runtime::new().context("cannot start the threads of the node")?;
    let outcome = runtime.block_on(async {
        let stop = Stop::new().context("cannot listen for signals")?;
        server::node::run(config, version, stop.asked()).await
    });
    // Whoever still uses the store must end before it does; a name that is being looked up need not.
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    outcome
}

impl ServeArgs {
    /// Everything that configures the node besides the defaults.
    fn layers(&self, environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Layers> {
        // Of a name or value that is no text none of ours can be meant.
        let text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Ok(Layers {
            file: self.config.as_deref().map(read).transpose()?,
            environment: environment.filter_map(text).collect(),
            flags: self.flags(),
        })
    }

    /// The flags by the keys that they stand for; `--set` comes last, so it wins.
    fn flags(&self) -> Vec<(String, String)> {
        let seeds = (!self.seed.is_empty()).then(|| self.seed.join(","));
        let named = [
            ("node.data_dir", self.data_dir.as_ref().map(|dir| dir.display().to_string())),
            ("listen.address", self.listen.map(|address| address.to_string())),
            ("cluster.seeds", seeds),
            ("listen.insecure", self.insecure.then(|| "true".to_owned())),
        ];
        let named = named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        named.chain(self.set.iter().cloned()).collect()
    }

    fn log_to_stderr(&self) -> Result<(), ParseError> {
        let filter = match &self.log {
            Some(filter) => EnvFilter::try_new(filter)?,
            None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        };
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal());
        match self.log_format {
            LogFormat::Human => builder.init(),
            LogFormat::Json => builder.json().init(),
        }
        Ok(())
    }
}

/// The name and the text of a configuration file.
fn read(path: &Path) -> Result<(String, String)> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    Ok((name, text))
}

/// `key=value`.
fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("expected key=value")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// The signals that end a node in good order.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Listens from now on.
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits until the node is asked to end.
    async fn asked(mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn config(flags: &str, environment: &[(&str, &str)]) -> Config {
        let line = Line::parse_from(std::iter::once("serve").chain(flags.split_whitespace()));
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        Config::load(&line.args.layers(environment).unwrap()).unwrap()
    }

    #[test]
    fn flags_are_keys_of_the_configuration() {
        let flags = "--data-dir /d --listen 127.0.0.9 --seed a:1 --seed b:2 --seed c:3 \
                     --set cql.port=7 --insecure";
        let config = config(flags, &[]);
        assert_eq!(config.node.data_dir, Path::new("/d"));
        assert_eq!(config.listen.address.to_string(), "127.0.0.9");
        assert_eq!(config.cluster.seeds, ["a:1", "b:2", "c:3"]);
        assert_eq!(config.cql.port, 7);
        assert!(config.listen.insecure);
    }

    #[test]
    fn one_seed_is_a_list_too() {
        assert_eq!(config("--seed 127.0.0.1:7000", &[]).cluster.seeds, ["127.0.0.1:7000"]);
    }

    #[test]
    fn flags_win_over_the_environment() {
        let environment = [("STARLING_CQL__PORT", "1"), ("STARLING_ADMIN__PORT", "2")];
        let config = config("--set cql.port=3", &environment);
        assert_eq!((config.cql.port, config.admin.port), (3, 2));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let line = Line::parse_from(["serve", "--config", "/nowhere/c.toml"]);
        let error = line.args.layers(std::iter::empty()).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot read /nowhere/c.toml: "), "{error:#}");
    }
}
