//! `starling hints`: which nodes have missed rows that the asked one has, and how they get them.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;

use super::http::Answer;
use super::{AdminArgs, ended};
use crate::Exit;
use crate::print::Table;

/// `starling hints`.
#[derive(Debug, Clone, clap::Args)]
pub struct HintsArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs `starling hints`.
pub fn hints(args: &HintsArgs) -> Exit {
    let answer = Answer::get(&args.admin, "/api/hints");
    ended(answer.and_then(|answer| answer.text(&args.admin, |hints: Hints| hints.text())))
}

/// The hints that a node keeps.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Hints {
    targets: Vec<Target>,
    held_bytes: u64,
    delivered: u64,
    delivered_bytes: u64,
}

/// Those for one node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Target {
    host_id: String,
    address: String,
    state: String,
    pending: u64,
    delivered: u64,
    stuck: bool,
    #[serde(default)]
    seconds_left: Option<f64>,
}

impl Hints {
    fn text(&self) -> String {
        let mut text = String::new();
        if self.targets.is_empty() {
            text.push_str("no node has missed rows of this one\n");
        } else {
            let mut table =
                Table::new(["for", "address", "state", "pending", "delivered", "time left"]);
            for target in &self.targets {
                table.line([
                    target.host_id.as_str(),
                    &target.address,
                    &target.state,
                    &target.pending.to_string(),
                    &target.delivered.to_string(),
                    &target.time_left(),
                ]);
            }
            for numbers in [3, 4] {
                table.align_right(numbers);
            }
            text.push_str(&table.text());
        }
        writeln!(
            text,
            "{} delivered since the start, {} bytes of rows; {} bytes held for others",
            self.delivered, self.delivered_bytes, self.held_bytes
        )
        .expect("a string takes everything");
        text
    }
}

impl Target {
    fn time_left(&self) -> String {
        let left = self.seconds_left.filter(|left| left.is_finite() && *left >= 0.0);
        match left.map(|left| Duration::try_from_secs_f64(left.ceil())) {
            _ if self.stuck => "it does not take them".to_owned(),
            _ if self.state != "up" => "when it is back".to_owned(),
            Some(Ok(left)) => spelled(left),
            _ => "not known yet".to_owned(),
        }
    }
}

/// A time in hours, minutes and seconds.
fn spelled(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let spelled: Vec<String> = parts.map(|(count, unit)| format!("{count}{unit}")).collect();
    if spelled.is_empty() { "0s".to_owned() } else { spelled.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(state: &str, seconds_left: Option<f64>, stuck: bool) -> Target {
        Target {
            host_id: "h".to_owned(),
            address: "a".to_owned(),
            state: state.to_owned(),
            pending: 7,
            delivered: 3,
            stuck,
            seconds_left,
        }
    }

    #[test]
    fn the_time_left_is_said_where_it_can_be() {
        assert_eq!(target("up", Some(61.2), false).time_left(), "1m 2s");
        assert_eq!(target("up", None, false).time_left(), "not known yet");
        assert_eq!(target("down", Some(1.0), false).time_left(), "when it is back");
        assert_eq!(target("up", Some(1.0), true).time_left(), "it does not take them");
        assert_eq!(target("up", Some(f64::MAX), false).time_left(), "not known yet");
    }

    #[test]
    fn hints_are_shown_by_the_node_that_has_missed_the_rows() {
        let targets = vec![target("up", Some(2.0), false)];
        let hints = Hints { targets, held_bytes: 5, delivered: 3, delivered_bytes: 99 };
        let text = hints.text();
        assert!(text.contains("pending") && text.contains('7') && text.contains("2s"), "{text}");
        assert!(text.ends_with("99 bytes of rows; 5 bytes held for others\n"), "{text}");
        let none = Hints { targets: Vec::new(), ..hints };
        assert!(none.text().starts_with("no node has missed rows"), "{}", none.text());
    }
}
