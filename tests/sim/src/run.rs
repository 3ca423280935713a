//! One run: a cluster that forms from nothing, clients at work while things fail, and the check.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, ensure};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer as Line;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::Options;
use crate::chaos::Chaos;
use crate::copies;
use crate::fabric::Fabric;
use crate::figures::Figures;
use crate::host::{Host, NODES, address};
use crate::ledger::{Ledger, Stage};
use crate::record::{Record, digest};
use crate::trouble::LATENCY_MAX;
use crate::writer::{self, WRITERS, Writer};

/// How long a host runs before the next one does: shorter than a message takes, most of the time.
const TICK: Duration = Duration::from_millis(2);

/// How long a run may take, in its own time.
const RUN_MAX: Duration = Duration::from_mins(5);

/// How long the cluster has at least to find together after everything is mended, and how long at
/// most until all replicas are equal and nobody holds anything for others.
const SETTLE: Duration = Duration::from_secs(3);
const SETTLE_MAX: Duration = Duration::from_mins(1);

/// How often it is looked whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// More memory than this is too much for a handful of rows.
const MEMORY_MIB_MAX: u64 = 100;

/// With fewer acknowledged writes or faults a run proves nothing.
const ACKNOWLEDGED_MIN: u32 = 40;
const FAULTS_MIN: u32 = 5;

/// Errors that a node logs for what is done to it here.
const LISTED: [&str; 2] = ["testing.planted: promises will be broken", "error=the disk is full"];

/// Runs a seed to its end; the answer says what there was.
pub(crate) fn run(options: &Options) -> Result<Figures> {
    let errors = log(options)?;
    let record = Record::default();
    let outcome = simulate(options, &record);
    if let Some(path) = &options.trace {
        std::fs::write(path, record.text())?;
    }
    let figures = outcome?;
    let errors = errors.text();
    let unlisted = errors.lines().find(|line| !LISTED.iter().any(|listed| line.contains(listed)));
    ensure!(unlisted.is_none(), "a node logged {}", unlisted.unwrap_or_default());
    let trace = digest(record.text().as_bytes());
    let figures = Figures { trace, trace_lines: record.count(), ..figures }.with_costs();
    let memory_mib = figures.memory_mib;
    ensure!(memory_mib < MEMORY_MIB_MAX, "the nodes took {memory_mib} MiB of memory");
    Ok(figures)
}

fn simulate(options: &Options, record: &Record) -> Result<Figures> {
    let Options { seed, planted, .. } = *options;
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .epoch(UNIX_EPOCH)
        .simulation_duration(RUN_MAX)
        .tick_duration(TICK)
        .max_message_latency(LATENCY_MAX)
        .tcp_capacity(1_024)
        .enable_random_order()
        .build();
    let fabric = Fabric::new(seed, record.clone());
    let hosts: Vec<Rc<Host>> =
        (0..NODES).map(|node| Host::new(node, seed, planted, fabric.clone())).collect();
    for (node, host) in (0..).zip(&hosts) {
        let host = Rc::clone(host);
        sim.host(address(node), move || Rc::clone(&host).run());
    }
    let ledger = Ledger::new(record.clone());
    for client in 0..WRITERS {
        let record = record.clone();
        let writer = Writer::new(client, seed, Rc::clone(&ledger), &fabric, record);
        if client == 0 {
            sim.client(writer::address(client), writer.lead());
        } else {
            sim.client(writer::address(client), writer.follow());
        }
    }
    let mut chaos =
        Chaos::new(seed, hosts.clone(), fabric.clone(), Rc::clone(&ledger), record.clone());
    let mut settling: Option<Settling> = None;
    loop {
        fabric.pass_time(sim.elapsed());
        if ledger.stage.get() == Stage::Working {
            match &mut settling {
                None if ledger.done.get() < WRITERS => chaos.pass_time(&mut sim),
                None => {
                    chaos.end(&mut sim);
                    settling = Some(Settling::since(sim.elapsed()));
                }
                Some(settling) => {
                    if settling.is_over(sim.elapsed(), &hosts, &ledger, record) {
                        ledger.stage.set(Stage::Checking);
                    }
                }
            }
        }
        let stepped = sim.step().map_err(|error| anyhow!("{error}"));
        if stepped.with_context(|| format!("after {:?}", sim.elapsed()))? {
            break;
        }
    }
    copies::check_metadata(&hosts, &ledger);
    for excess in copies::excesses(&hosts) {
        ledger.is_wrong(excess);
    }
    let (acknowledged, wrong) = (ledger.acknowledged.get(), ledger.wrong.borrow());
    ensure!(wrong.is_empty(), "{} promises broken: {}", wrong.len(), wrong.join("; "));
    ensure!(acknowledged >= ACKNOWLEDGED_MIN, "only {acknowledged} writes were acknowledged");
    ensure!(chaos.count >= FAULTS_MIN, "only {} faults", chaos.count);
    Ok(Figures {
        acknowledged,
        statements: ledger.statements.get(),
        faults: chaos.count,
        simulated: sim.elapsed(),
        settled: settling.map(|settling| settling.took).unwrap_or_default(),
        ..Figures::default()
    })
}

/// The time after everything is mended.
struct Settling {
    since: Duration,
    next_look: Duration,
    /// How long it took until all replicas were equal.
    took: Duration,
}

impl Settling {
    fn since(now: Duration) -> Self {
        Self { since: now, next_look: now + SETTLE, took: Duration::ZERO }
    }

    /// Whether all is as it should be; what is not when the time is up is noted.
    fn is_over(
        &mut self,
        now: Duration,
        hosts: &[Rc<Host>],
        ledger: &Ledger,
        record: &Record,
    ) -> bool {
        if now < self.next_look {
            return false;
        }
        self.next_look = now + LOOK_EVERY;
        self.took = now.saturating_sub(self.since);
        let open = copies::open_repairs(hosts);
        record.note_at(now, format_args!("open repairs: {open:?}"));
        let is_late = self.took > SETTLE_MAX;
        if is_late {
            for open in &open {
                ledger.is_wrong(format!("not converged: {open}"));
            }
        }
        is_late || open.is_empty()
    }
}

/// What nodes log as errors.
#[derive(Clone, Default)]
struct Errors(Arc<Mutex<Vec<u8>>>);

impl Errors {
    fn text(&self) -> String {
        let bytes = self.0.lock().expect("nothing panics while it holds this lock");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl std::io::Write for Errors {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nothing panics while it holds this lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The time of the simulation.
struct Simulated;

impl FormatTime for Simulated {
    fn format_time(&self, line: &mut Line<'_>) -> std::fmt::Result {
        write!(line, "{:>10}", turmoil::sim_elapsed().unwrap_or_default().as_micros())
    }
}

/// Collects errors, and shows what the options ask for.
fn log(options: &Options) -> Result<Errors> {
    let errors = Errors::default();
    let writer = errors.clone();
    let collected = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_timer(Simulated)
        .with_writer(move || writer.clone())
        .with_filter(tracing_subscriber::filter::LevelFilter::ERROR);
    let filter = options.log.as_deref().map(EnvFilter::try_new).transpose()?;
    let shown = filter.map(|filter| {
        tracing_subscriber::fmt::layer().with_ansi(false).with_timer(Simulated).with_filter(filter)
    });
    tracing_subscriber::registry().with(collected).with(shown).init();
    Ok(errors)
}
