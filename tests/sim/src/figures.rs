//! What a run did, and what it cost: printed by one process, read and added up by another.
//!
//! Only the costs differ between two runs of a seed.

use std::fmt;
use std::time::Duration;

/// The figures of one run, or of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Figures {
    pub(crate) acknowledged: u32,
    pub(crate) statements: u32,
    pub(crate) faults: u32,
    /// By the clock of the simulation.
    pub(crate) simulated: Duration,
    /// How much of it passed after everything was mended until all replicas were equal.
    pub(crate) settled: Duration,
    pub(crate) trace_lines: u64,
    /// A digest of the whole trace.
    pub(crate) trace: u64,
    /// Processor time.
    pub(crate) cost: Duration,
    /// The most memory that the process had, in MiB.
    pub(crate) memory_mib: u64,
}

impl Figures {
    /// With what this process has cost so far; nothing where the kernel does not say.
    pub(crate) fn with_costs(self) -> Self {
        Self { cost: cost().unwrap_or_default(), memory_mib: memory_mib().unwrap_or(0), ..self }
    }

    /// The figures in a line that some run has printed.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let numbers = line.split_once(": ")?.1.split(", ").map(|part| part.split(' ').next());
        let numbers: Vec<u64> = numbers.map(|it| it?.parse().ok()).collect::<Option<_>>()?;
        let [acknowledged, statements, faults, simulated, settled, trace_lines, cost, memory_mib] =
            *numbers.first_chunk()?;
        Some(Self {
            acknowledged: acknowledged.try_into().ok()?,
            statements: statements.try_into().ok()?,
            faults: faults.try_into().ok()?,
            simulated: Duration::from_millis(simulated),
            settled: Duration::from_millis(settled),
            trace_lines,
            trace: 0,
            cost: Duration::from_millis(cost),
            memory_mib,
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, statements, faults, trace_lines, trace, memory_mib, .. } = self;
        write!(
            f,
            "{acknowledged} writes acknowledged, {statements} statements, {faults} faults, \
             {} ms simulated, {} ms until all were equal, {trace_lines} lines of trace {trace:016x}, {} ms of CPU, \
             {memory_mib} MiB",
            self.simulated.as_millis(),
            self.settled.as_millis(),
            self.cost.as_millis(),
        )
    }
}

/// How long this process has been on a processor.
fn cost() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib >> 10)
}
