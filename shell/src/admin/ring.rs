//! `starling ring`: which node owns which partition.

use serde::Deserialize;

use super::http::Answer;
use super::{AdminArgs, ended};
use crate::Exit;
use crate::print::Table;

/// `starling ring`.
#[derive(Debug, Clone, clap::Args)]
pub struct RingArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs `starling ring`.
pub fn ring(args: &RingArgs) -> Exit {
    let answer = Answer::get(&args.admin, "/api/ring");
    ended(answer.and_then(|answer| answer.text(&args.admin, |ring: Ring| ring.text())))
}

/// The partitions in the order of their tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Ring {
    partitions: Vec<Partition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Partition {
    number: u32,
    /// The last token that belongs to the partition.
    end: Token,
    owner: String,
}

/// A token: text, for few readers of JSON keep all digits of such a number, or a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Number(i64),
}

impl Ring {
    fn text(&self) -> String {
        let mut table = Table::new(["partition", "last token", "owner"]);
        for Partition { number, end, owner } in &self.partitions {
            let end = match end {
                Token::Text(end) => end.clone(),
                Token::Number(end) => end.to_string(),
            };
            table.line([&number.to_string(), &end, owner]);
        }
        table.align_right(0);
        table.align_right(1);
        table.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_listed_with_all_digits_of_their_tokens() {
        let answer = r#"{"partitions": [
            {"number": 0, "end": "-9223372036854775807", "owner": "h1"},
            {"number": 10, "end": 7, "owner": "h2", "replicas": ["h2"]}]}"#;
        let ring: Ring = serde_json::from_str(answer).unwrap();
        let expected = concat!(
            " partition |           last token | owner\n",
            "-----------+----------------------+-------\n",
            "         0 | -9223372036854775807 | h1\n",
            "        10 |                    7 | h2\n",
        );
        assert_eq!(ring.text(), expected);
    }
}
