//! The processes of a playground.

use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use ureq::Agent;

use super::place::{INTERNODE_PORT, home};
use super::{Conflict, PlaygroundError};
use crate::admin::ADMIN_PORT;
use crate::screen::note;

/// What the nodes are run with.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The directory of the playground.
    pub(super) dir: PathBuf,
    /// An address for each node.
    pub(super) addresses: Vec<IpAddr>,
    /// The default of tables.
    pub(super) conflict: Conflict,
}

/// How long a node may take to end when it is asked to; it says within 10 s itself.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How long to rest between two looks.
const REST: Duration = Duration::from_millis(50);
/// How long a node may take to say whether it is ready.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);
/// How many lines of a log are shown of a node that ended.
const TAIL_LINES: usize = 10;

impl Plan {
    /// The nodes that agree on members and schema: three where there are as many, else one.
    fn seeds(&self) -> impl Iterator<Item = String> {
        let count = if self.addresses.len() < 3 { 1 } else { 3 };
        self.addresses.iter().take(count).map(|address| format!("{address}:{INTERNODE_PORT}"))
    }

    /// The arguments of a node, after the name of the program.
    fn arguments(&self, node: usize) -> Vec<String> {
        let conflict = match self.conflict {
            Conflict::Siblings => "siblings",
            Conflict::Lww => "lww",
        };
        let data = home(&self.dir, node).join("data");
        let mut arguments = vec![
            "serve".to_owned(),
            "--data-dir".to_owned(),
            data.display().to_string(),
            "--listen".to_owned(),
            self.addresses[node].to_string(),
        ];
        arguments.extend(self.seeds().flat_map(|seed| ["--seed".to_owned(), seed]));
        // All of them, for a node that comes after the first keyspace gets no partitions.
        let settings = [
            format!("cluster.nodes_min={}", self.addresses.len()),
            format!("tables.default_conflict={conflict}"),
        ];
        arguments.extend(settings.into_iter().flat_map(|it| ["--set".to_owned(), it]));
        arguments
    }

    fn log(&self, node: usize) -> PathBuf {
        home(&self.dir, node).join("log")
    }
}

/// The processes that run, in the order of the plan. Dropping them ends them.
#[derive(Debug, Default)]
pub(super) struct Nodes(Vec<Child>);

impl Nodes {
    /// Starts all nodes.
    pub(super) fn start(&mut self, plan: &Plan) -> io::Result<()> {
        let program = std::env::current_exe()?;
        for node in 0..plan.addresses.len() {
            let log = File::options().append(true).create(true).open(plan.log(node))?;
            let mut command = Command::new(&program);
            command.args(plan.arguments(node)).process_group(0);
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            self.0.push(command.spawn()?);
        }
        Ok(())
    }

    /// Looks whether all nodes still run.
    pub(super) fn check(&mut self, plan: &Plan) -> Result<(), PlaygroundError> {
        for (node, child) in self.0.iter_mut().enumerate() {
            if let Some(status) = child.try_wait()? {
                let log = plan.log(node);
                return Err(PlaygroundError::Ended {
                    node: plan.addresses[node].to_string(),
                    status: status.to_string(),
                    tail: tail(&log),
                    log,
                });
            }
        }
        Ok(())
    }

    /// Asks all nodes to end, waits for them, and kills those that do not.
    pub(super) fn stop(&mut self) {
        self.0.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        for child in &self.0 {
            if let Err(error) = kill_process(Pid::from_child(child), Signal::TERM) {
                note(&format!("cannot stop process {}: {error}", child.id()));
            }
        }
        let mut rested = Duration::ZERO;
        while !self.0.is_empty() && rested < STOP_LIMIT {
            sleep(REST);
            rested += REST;
            self.0.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        }
        for mut child in self.0.drain(..) {
            note(&format!("process {} does not end when asked to, so it is killed", child.id()));
            if let Err(error) = child.kill().and_then(|()| child.wait().map(drop)) {
                note(&format!("process {} may still run: {error}", child.id()));
            }
        }
    }

    /// Leaves all nodes running, and says how to stop them.
    pub(super) fn detach(&mut self, plan: &Plan) -> String {
        let ids: Vec<_> = self.0.drain(..).map(|child| child.id().to_string()).collect();
        format!(
            "the nodes are left running; logs are in {}\n  shell: starling shell {}\n  stop:  \
             kill {}",
            plan.dir.display(),
            plan.addresses[0],
            ids.join(" ")
        )
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An HTTP client that does not wait long.
pub(super) fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(ANSWER_LIMIT))
        .proxy(None);
    config.build().into()
}

/// What each node that is not ready says, in the order of the addresses.
pub(super) fn waiting(agent: &Agent, addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().filter_map(|address| reason(agent, *address)).collect()
}

/// Why a node is not ready; `None` if it is.
fn reason(agent: &Agent, address: IpAddr) -> Option<String> {
    let mut answer = match agent.get(format!("http://{address}:{ADMIN_PORT}/ready")).call() {
        Ok(answer) if answer.status() == 200 => return None,
        Ok(answer) => answer,
        Err(_) => return Some(format!("{address} does not answer yet")),
    };
    let text = answer.body_mut().read_to_string().unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    Some(format!("{address}: {line}"))
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(nodes: u8) -> Plan {
        Plan {
            dir: PathBuf::from("/play"),
            addresses: super::super::place::addresses(nodes),
            conflict: Conflict::Lww,
        }
    }

    #[test]
    fn every_node_gets_the_same_seeds() {
        let seeds = |nodes: u8| plan(nodes).seeds().collect::<Vec<_>>();
        assert_eq!(seeds(1), ["127.0.0.1:7000"]);
        assert_eq!(seeds(2), ["127.0.0.1:7000"]);
        let three = ["127.0.0.1:7000", "127.0.0.2:7000", "127.0.0.3:7000"];
        assert_eq!(seeds(3), three);
        assert_eq!(seeds(5), three);
    }

    #[test]
    fn a_node_is_told_everything_by_its_command_line() {
        let arguments = plan(2).arguments(1).join(" ");
        let expected = "serve --data-dir /play/node2/data --listen 127.0.0.2 \
                        --seed 127.0.0.1:7000 --set cluster.nodes_min=2 \
                        --set tables.default_conflict=lww";
        assert_eq!(arguments, expected);
    }

    #[test]
    fn stopping_ends_every_process() {
        let sleep = || Command::new("sleep").arg("600").spawn().unwrap();
        let mut nodes = Nodes(vec![sleep(), sleep()]);
        let ids: Vec<_> = nodes.0.iter().map(Pid::from_child).collect();
        nodes.stop();
        assert!(nodes.0.is_empty());
        assert!(ids.into_iter().all(|id| rustix::process::test_kill_process(id).is_err()));
    }
}
