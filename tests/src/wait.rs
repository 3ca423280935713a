//! Time in tests: every wait has a limit, and says what it waited for when it fails.

use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};

/// How often a condition is looked at again.
const PAUSE: Duration = Duration::from_millis(20);

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "tests watch real processes, so they read real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock, in microseconds since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "timestamps of real processes are near the real time"
)]
pub fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.expect("no test runs before 1970");
    i64::try_from(since.as_micros()).expect("no test runs in 292 000 years")
}

/// How long a test goes on: so many seconds as the environment names, or else the usual time.
pub fn duration_of(name: &str, usual: Duration) -> Result<Duration> {
    #[expect(clippy::disallowed_methods, reason = "a long run asks for more than a short one")]
    match std::env::var(name) {
        Ok(seconds) => {
            let seconds = seconds.parse();
            Ok(Duration::from_secs(seconds.with_context(|| format!("{name} is no number"))?))
        }
        Err(_) => Ok(usual),
    }
}

/// Looks again and again until `probe` has an answer; an error of `probe` ends the wait.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = now();
    loop {
        if let Some(found) = probe().with_context(|| format!("while waiting for {what}"))? {
            return Ok(found);
        }
        if start.elapsed() > limit {
            bail!("waited {limit:?} in vain for {what}");
        }
        thread::sleep(PAUSE);
    }
}

/// Looks again and again until `probe` succeeds, and passes on its last error.
pub fn until_ok<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let start = now();
    loop {
        match probe() {
            Ok(found) => return Ok(found),
            Err(error) if start.elapsed() > limit => {
                return Err(error.context(format!("waited {limit:?} in vain for {what}")));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// What a command that ran to its end left behind.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// Runs a command to its end, and kills it at the limit.
pub fn run(command: &mut Command, limit: Duration) -> Result<Outcome> {
    let (stdout, stderr) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.reopen()?)
        .stderr(stderr.reopen()?)
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let ended = until(&format!("{command:?}"), limit, || Ok(child.try_wait()?));
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let read = |file: &tempfile::NamedTempFile| std::fs::read_to_string(file.path());
    let (stdout, stderr) = (read(&stdout)?, read(&stderr)?);
    let status = ended.with_context(|| format!("stdout:\n{stdout}\nstderr:\n{stderr}"))?;
    Ok(Outcome { status, stdout, stderr })
}
