//! `starling repair`: has a node compare its rows with those of all other replicas, now.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::http::{AdminError, Answer};
use super::{AdminArgs, ended};
use crate::Exit;
use crate::print::Table;
use crate::screen::note;

/// How often a round is looked at.
const PAUSE: Duration = Duration::from_millis(250);

/// How often its progress is told: every so many looks.
const TELL_EVERY: usize = 8;

/// `starling repair`.
#[derive(Debug, Clone, clap::Args)]
pub struct RepairArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Only this table.
    #[arg(long, value_name = "KEYSPACE.TABLE")]
    table: Option<String>,
    /// Count what differs, and mend nothing.
    #[arg(long)]
    preview: bool,
    /// Wait for the end, telling the progress, and fail where not everything was compared.
    #[arg(long)]
    wait: bool,
}

/// What is asked for.
#[derive(Debug, Serialize)]
struct Request<'a> {
    table: Option<&'a str>,
    preview: bool,
}

/// That it has begun.
#[derive(Debug, Deserialize)]
struct Begun {
    round: u64,
}

/// What the node tells of its rounds.
#[derive(Debug, Deserialize)]
struct Told {
    round: Option<Round>,
}

/// How far a round has come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Round {
    id: u64,
    preview: bool,
    is_done: bool,
    partitions: u64,
    partitions_done: u64,
    rows_compared: u64,
    differences: u64,
    mended_here: u64,
    mended_there: u64,
    bytes_sent: u64,
    bytes_received: u64,
    #[serde(default)]
    peers: BTreeMap<String, Peer>,
    #[serde(default)]
    failures: Vec<String>,
    took_ms: u64,
}

/// The part of one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Peer {
    differences: u64,
    bytes_sent: u64,
    bytes_received: u64,
}

/// Runs `starling repair`.
pub fn repair(args: &RepairArgs) -> Exit {
    match begin(args) {
        Ok((begun, text)) if !args.wait => {
            let said = format!("round {begun} has begun; --wait waits for its end\n");
            ended(Ok(if args.admin.json { text } else { said }))
        }
        Ok((begun, _)) => match wait(args, begun) {
            Ok((round, text)) => {
                let exit = ended(Ok(if args.admin.json { text } else { round.text() }));
                if round.failures.is_empty() { exit } else { Exit::Failed }
            }
            Err(error) => ended(Err(error)),
        },
        Err(error) => ended(Err(error)),
    }
}

/// Begins a round; its number, and the answer as it came.
fn begin(args: &RepairArgs) -> Result<(u64, String), AdminError> {
    let request = Request { table: args.table.as_deref(), preview: args.preview };
    let answer = Answer::post(&args.admin, "/api/repair", &request)?;
    let (begun, text): (Begun, String) = answer.read_as()?;
    Ok((begun.round, text))
}

/// Looks at the round until it has ended; tells now and then how far it is.
fn wait(args: &RepairArgs, id: u64) -> Result<(Round, String), AdminError> {
    for look in 0_usize.. {
        let (told, text): (Told, String) = Answer::get(&args.admin, "/api/repair")?.read_as()?;
        // Another round means that the node was restarted, or that somebody began one after this.
        let round = told.round.filter(|round| round.id == id);
        let Some(round) = round else {
            return Err(Answer::gone(&args.admin, "the round is gone: was the node restarted?"));
        };
        if round.is_done {
            let json: Option<Value> = serde_json::from_str(&text).ok();
            let json = json.and_then(|json| Some(format!("{}\n", json.get("round")?)));
            return Ok((round, json.unwrap_or(text)));
        }
        if look % TELL_EVERY == TELL_EVERY - 1 {
            let (done, all) = (round.partitions_done, round.partitions);
            note(&format!("{done} of {all} partitions, {} rows differ", round.differences));
        }
        std::thread::sleep(PAUSE);
    }
    unreachable!("the numbers do not end")
}

impl Round {
    fn text(&self) -> String {
        let mut out = String::new();
        let mut table = Table::new(["peer", "rows that differ", "bytes sent", "bytes received"]);
        for (host, peer) in &self.peers {
            let cells = [peer.differences, peer.bytes_sent, peer.bytes_received];
            let [differences, sent, received] = cells.map(|count| count.to_string());
            table.line([host, &differences, &sent, &received]);
        }
        (1..4).for_each(|column| table.align_right(column));
        out.push_str(&table.text());
        let (done, all) = (self.partitions_done, self.partitions);
        let lines = [
            ("partitions", format!("{done} of {all}, one for each table and peer")),
            ("rows compared", self.rows_compared.to_string()),
            ("rows that differ", self.differences.to_string()),
            ("mended here", self.mended_here.to_string()),
            ("mended there", self.mended_there.to_string()),
            ("bytes sent", self.bytes_sent.to_string()),
            ("bytes received", self.bytes_received.to_string()),
            ("milliseconds", self.took_ms.to_string()),
        ];
        let is_shown = |name: &str| !(self.preview && name.starts_with("mended"));
        for (name, value) in lines.iter().filter(|(name, _)| is_shown(name)) {
            // A string takes all that is written to it.
            let _ = writeln!(out, "{name:>16}: {value}");
        }
        for failure in &self.failures {
            let _ = writeln!(out, "not compared: {failure}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(preview: bool) -> Round {
        let answer = format!(
            r#"{{"id": 1, "table": null, "preview": {preview}, "is_done": true, "partitions": 256,
            "partitions_done": 250, "rows_compared": 1000, "differences": 7, "mended_here": 3,
            "mended_there": 4, "bytes_sent": 10, "bytes_received": 20, "took_ms": 5,
            "peers": {{"h2": {{"differences": 7, "bytes_sent": 10, "bytes_received": 20}}}},
            "failures": ["6 partitions of k.t with h3: the node is down"]}}"#
        );
        serde_json::from_str(&answer).unwrap()
    }

    #[test]
    fn a_round_is_told_with_what_was_mended_and_what_was_not_compared() {
        let expected = concat!(
            " peer | rows that differ | bytes sent | bytes received\n",
            "------+------------------+------------+----------------\n",
            " h2   |                7 |         10 |             20\n",
            "      partitions: 250 of 256, one for each table and peer\n",
            "   rows compared: 1000\n",
            "rows that differ: 7\n",
            "     mended here: 3\n",
            "    mended there: 4\n",
            "      bytes sent: 10\n",
            "  bytes received: 20\n",
            "    milliseconds: 5\n",
            "not compared: 6 partitions of k.t with h3: the node is down\n",
        );
        assert_eq!(told(false).text(), expected);
        assert!(!told(true).text().contains("mended"));
    }
}
