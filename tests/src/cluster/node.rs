//! One `starling serve` process, its data directory and its log; and the disk of that directory, if its
//! power can be cut.

use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use uuid::Uuid;

use crate::{Chance, Client, Consistency, PowerDisk, Tear, admin, log, wait};

/// SIGTERM ends a node within 10 s; three times that on a busy machine.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How a node is run.
#[derive(Debug)]
pub(super) struct Plan {
    pub binary: PathBuf,
    pub prefix: Vec<String>,
    pub address: IpAddr,
    pub home: PathBuf,
    pub seeds: Vec<String>,
    pub settings: Vec<String>,
}

/// One node: a process now and then, and what outlives it.
#[derive(Debug)]
pub struct Node {
    plan: Plan,
    process: Option<Child>,
    disk: Option<PowerDisk>,
}

impl Node {
    pub(super) fn new(plan: Plan) -> Result<Self> {
        fs::create_dir_all(&plan.home)?;
        Ok(Self { plan, process: None, disk: None })
    }

    /// Puts the data directory on a disk of its own, whose power can be cut.
    pub(super) fn take_disk(&mut self, chance: Chance) -> Result<()> {
        self.disk = Some(PowerDisk::mount(&self.data_dir(), chance)?);
        Ok(())
    }

    /// Gives that disk up, with all that is on it.
    pub(super) fn drop_disk(&mut self) {
        self.disk = None;
    }

    /// The address that the node listens on.
    pub fn address(&self) -> IpAddr {
        self.plan.address
    }

    /// Where the node keeps everything.
    pub fn data_dir(&self) -> PathBuf {
        self.plan.home.join("data")
    }

    /// Where the node's stdout and stderr go, over all its starts.
    pub fn log_path(&self) -> PathBuf {
        self.plan.home.join("log")
    }

    /// Everything the node has logged.
    pub fn log(&self) -> Result<String> {
        let path = self.log_path();
        if !path.exists() {
            return Ok(String::new());
        }
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether the node was started and not ended since.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The id of the process.
    pub fn process_id(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("the node does not run")?.id())
    }

    /// Gives this node another seed than its cluster has, from its next start on.
    pub fn replace_seed(&mut self, index: usize, seed: &str) {
        seed.clone_into(&mut self.plan.seeds[index]);
    }

    /// Starts the process, and waits for nothing.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs already", self.plan.address);
        let log = File::options().append(true).create(true).open(self.log_path())?;
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        self.process = Some(child);
        Ok(())
    }

    /// Kills the process with SIGKILL and waits for its end.
    pub fn kill(&mut self) -> Result<()> {
        self.send_kill()?;
        self.reap()
    }

    /// Kills the process, if it runs, at the moment at which its disk loses its power, and waits for
    /// nothing.
    pub fn lose_power(&mut self, tear: Tear) -> Result<()> {
        let process = self.process.as_mut();
        let kill = || process.map_or(Ok(()), |process| Ok(process.kill()?));
        self.disk.as_mut().context("no power disk")?.cut(tear, kill)
    }

    /// Waits for the end of the process, and gives its disk the power back.
    pub fn restore_power(&mut self) -> Result<()> {
        self.reap()?;
        self.disk.as_mut().context("no power disk")?.restore()
    }

    /// The disk of the data directory.
    pub fn disk(&self) -> Result<&PowerDisk> {
        self.disk.as_ref().context("no power disk")
    }

    /// Asks the process to end, with SIGTERM, and wants it to do so in good order.
    pub fn stop(&mut self) -> Result<()> {
        self.signal("TERM")?;
        let status = self.wait_end(STOP_LIMIT)?;
        ensure!(status.success(), "{} answered SIGTERM with {status}", self.plan.address);
        Ok(())
    }

    /// Stops the process for a while, with SIGSTOP.
    pub fn pause(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// Lets a paused process go on.
    pub fn resume(&self) -> Result<()> {
        self.signal("CONT")
    }

    /// Removes the data directory of a node that does not run.
    pub fn empty(&self) -> Result<()> {
        ensure!(self.process.is_none(), "{} still runs", self.plan.address);
        Ok(fs::remove_dir_all(self.data_dir())?)
    }

    /// Waits until the node says that it is ready.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<()> {
        let address = self.plan.address;
        wait::until(&format!("{address} to be ready"), limit, || {
            self.expect_alive()?;
            Ok(admin::is_ready(address).then_some(()))
        })
    }

    /// Waits until the process has ended by itself.
    pub fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let address = self.plan.address;
        let child = self.process.as_mut().context("the node does not run")?;
        let status = wait::until(&format!("{address} to end"), limit, || Ok(child.try_wait()?))?;
        self.process = None;
        Ok(status)
    }

    /// A connection that has this node as its coordinator.
    pub fn client(&self) -> Result<Client> {
        Client::connect(self.plan.address)
    }

    /// The version of the schema that the node shows to drivers.
    pub fn schema_version(&self) -> Result<Uuid> {
        let query = "SELECT schema_version FROM system.local WHERE key = 'local'";
        self.client()?.rows_at(query, Consistency::One)?.uuid(0, "schema_version")
    }

    /// Resident memory of the process, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.process_id()?);
        let status = fs::read_to_string(&path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
        let kib: u64 = kib.with_context(|| format!("{path} has no VmRSS"))?.trim().parse()?;
        Ok(kib * 1024)
    }

    pub(super) fn send_kill(&mut self) -> Result<()> {
        Ok(self.process.as_mut().context("the node does not run")?.kill()?)
    }

    pub(super) fn reap(&mut self) -> Result<()> {
        if let Some(mut child) = self.process.take() {
            child.wait()?;
        }
        Ok(())
    }

    /// Kills and waits, whatever happens: nothing may outlive its test.
    pub(super) fn drop_process(&mut self) {
        if let Some(mut child) = self.process.take() {
            let ended = child.kill().and_then(|()| child.wait());
            if let Err(error) = ended {
                eprintln!("{} may still run: {error}", self.plan.address);
            }
        }
    }

    fn command(&self) -> Command {
        let plan = &self.plan;
        let mut words = plan.prefix.iter().map(Path::new).chain([plan.binary.as_path()]);
        let mut command = Command::new(words.next().expect("there is a binary"));
        command.args(words);
        command.arg("serve").arg("--data-dir").arg(self.data_dir());
        command.arg("--listen").arg(plan.address.to_string());
        for seed in &plan.seeds {
            command.arg("--seed").arg(seed);
        }
        for setting in &plan.settings {
            command.arg("--set").arg(setting);
        }
        for (name, _) in std::env::vars() {
            if name.starts_with("STARLING_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command
    }

    fn signal(&self, name: &str) -> Result<()> {
        let id = self.process_id()?.to_string();
        let kill = ["-c", r#"kill -s "$0" "$1""#, name, &id];
        let status = Command::new("sh").args(kill).status()?;
        ensure!(status.success(), "cannot send SIG{name} to {id}");
        Ok(())
    }

    fn expect_alive(&mut self) -> Result<()> {
        let child = self.process.as_mut().context("the node does not run")?;
        if let Some(status) = child.try_wait()? {
            self.process = None;
            let log = self.log()?;
            bail!("{} ended with {status}:\n{}", self.plan.address, log::tail(&log, 20));
        }
        Ok(())
    }
}
